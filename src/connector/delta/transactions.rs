//! Every application transaction of a table at once. The library gives one by its name and replays the log for each; a table that is built window by
//! window has a pair for every window.
//!
//! The newest checkpoint not past the snapshot holds those that were there then, and the log entries behind it what came since.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::Int64Type,
};
use deltalake::DeltaTableError;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use serde::Deserialize;

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        parquet_file::ParquetFile,
    },
    location::{LOG, Location},
    table::Table,
};

/// Log entries that are read at once.
pub(super) const READS_AT_ONCE: usize = 16;

/// Application transactions by their names: the last number of each.
pub(super) type Numbers = HashMap<String, i64>;

/// Those of a snapshot.
pub(super) async fn all(table: &Table) -> Result<Numbers> {
    let (location, version) = (&table.location, table.version());
    let names = location.logged().await?;
    let mut found = Numbers::new();
    let checkpoint = newest_checkpoint(&names, version);
    for name in checkpoint.iter().flat_map(|(_, parts)| parts) {
        let read = checkpoint_part(location.store.clone(), of_log(name), &mut found).await;
        read.map_err(|error| unreadable(location, name, error))?;
    }
    let from = checkpoint.map(|(at, _)| at);
    match entries(location, from.map_or(0, |at| at + 1), version).await? {
        Some(since) => found.extend(since),
        // Such as a log whose checkpoints are of a form that only the library reads.
        None => {
            let message = "its log has gaps: no checkpoint that can be read stands before its entries";
            return Err(location.error(ErrorKind::Unsupported, message));
        }
    }
    Ok(found)
}

/// The newest whole checkpoint not past a version: its version and its files.
fn newest_checkpoint(names: &[String], version: u64) -> Option<(u64, Vec<&String>)> {
    let mut parts: BTreeMap<u64, Vec<&String>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.contains(".checkpoint.") && name.ends_with(".parquet")) {
        if let Some(at) = version_of(name).filter(|at| *at <= version) {
            parts.entry(at).or_default().push(name);
        }
    }
    parts.into_iter().rev().find(|(_, parts)| is_whole(parts))
}

/// A checkpoint of several parts names how many they are: `VERSION.checkpoint.PART.PARTS.parquet`.
fn is_whole(parts: &[&String]) -> bool {
    let wanted = |name: &&String| name.split('.').nth(3)?.parse::<usize>().ok();
    parts.iter().any(|name| wanted(name).is_none_or(|wanted| parts.len() == wanted))
}

fn version_of(name: &str) -> Option<u64> {
    name.split('.').next()?.parse().ok()
}

/// The transactions of entries, in their order; `None` = one of them is gone.
async fn entries(location: &Location, from: u64, last: u64) -> Result<Option<Vec<(String, i64)>>> {
    let reads: Vec<_> = (from..=last).map(|at| entry(location, at)).collect();
    let found: Vec<_> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let found: Option<Vec<_>> = found.into_iter().collect();
    Ok(found.map(|found| found.into_iter().flatten().map(|txn| (txn.app_id, txn.version)).collect()))
}

type Failure = DeltaTableError;

fn of_log(name: &str) -> Path {
    Path::from(format!("{LOG}/{name}"))
}

fn unreadable(location: &Location, name: &str, error: Failure) -> Error {
    location.failed(&format!("{name} of its log cannot be read"), error)
}

async fn checkpoint_part(
    store: Arc<dyn ObjectStore>,
    path: Path,
    found: &mut HashMap<String, i64>,
) -> Result<(), Failure> {
    let size = store.head(&path).await?.size;
    let builder = ParquetRecordBatchStreamBuilder::new(ParquetFile { store, path, size }).await?;
    let columns = ["txn.appId", "txn.version"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut batches = builder.with_projection(mask).build()?;
    while let Some(batch) = batches.try_next().await? {
        let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else {
            continue;
        };
        let (Some(names), Some(numbers)) = (txn.column_by_name("appId"), txn.column_by_name("version"))
        else {
            continue;
        };
        let names = arrow::compute::cast(names, &arrow::datatypes::DataType::Utf8)?;
        let (names, numbers) = (names.as_string::<i32>(), numbers.as_primitive::<Int64Type>());
        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && names.is_valid(*row)) {
            found.insert(names.value(row).to_owned(), numbers.value(row));
        }
    }
    Ok(())
}

/// An action of a log entry, as far as it is asked for.
#[derive(Deserialize)]
struct Action {
    txn: Option<Transaction>,
}

/// An application transaction as an entry says it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    /// Its name.
    pub(super) app_id: String,
    /// Its number.
    pub(super) version: i64,
}

/// `None` = it is gone: log clean-up takes entries that a checkpoint holds.
async fn entry(location: &Location, version: u64) -> Result<Option<Vec<Transaction>>> {
    let Some(text) = location.logged_entry(version).await? else { return Ok(None) };
    let failed = |error: Failure| unreadable(location, &format!("{version:020}.json"), error);
    let tells = |line: &&[u8]| line.windows(5).any(|found| found == b"\"txn\"");
    let mut found = vec![];
    for line in text.split(|byte| *byte == b'\n').filter(tells) {
        found.extend(serde_json::from_slice::<Action>(line).map_err(|error| failed(error.into()))?.txn);
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::OpenContext, config::Config, place::Place},
        *,
    };

    /// A table whose log lost what it began with, though a snapshot is held, or whose checkpoint only the library reads.
    #[tokio::test]
    async fn a_log_with_gaps_is_told() {
        let root = tempfile::tempdir().unwrap();
        let log = root.path().join("lake/t").join(LOG);
        std::fs::create_dir_all(&log).unwrap();
        let begin = concat!(
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
            "\n",
            r#"{"metaData":{"id":"t","format":{"provider":"parquet","options":{}},"partitionColumns":[],"configuration":{},"#,
            r#""schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}"}}"#,
        );
        let told = r#"{"txn":{"appId":"a","version":7}}"#;
        for (version, text) in [(0, begin), (1, told)] {
            std::fs::write(log.join(format!("{version:020}.json")), text).unwrap();
        }
        let path = root.path().to_owned();
        let context = OpenContext { name: "place".to_owned(), scratch: path.join("scratch"), root: path };
        let config = Config { path: "lake".to_owned(), ..Config::default() };
        let place = Place::new(&config, context).unwrap();
        let table = place.table("t").unwrap().open().await.unwrap().unwrap();
        assert_eq!(all(&table).await.unwrap(), Numbers::from([("a".to_owned(), 7)]));
        std::fs::remove_file(log.join(format!("{:020}.json", 0))).unwrap();
        let error = all(&table).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "table `t` of connection `place`: its log has gaps: no checkpoint that can be read stands before its entries"
        );
    }

    #[test]
    fn the_newest_whole_checkpoint_is_read() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let log = names(&[
            "00000000000000000010.checkpoint.parquet",
            "00000000000000000010.json",
            "00000000000000000020.checkpoint.0000000001.0000000002.parquet",
            "00000000000000000020.checkpoint.0000000002.0000000002.parquet",
            "00000000000000000030.checkpoint.0000000001.0000000002.parquet",
            "_last_checkpoint",
        ]);
        let newest = |version| newest_checkpoint(&log, version).map(|(at, parts)| (at, parts.len()));
        assert_eq!(newest(9), None);
        assert_eq!(newest(19), Some((10, 1)));
        assert_eq!(newest(29), Some((20, 2)));
        assert_eq!(newest(40), Some((20, 2)), "a writer died between the parts of the next one");
    }
}
