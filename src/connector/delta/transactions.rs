//! Every application transaction of a table at once. The library gives one by its name and replays the log for each; a table that is built window by
//! window has a pair for every window.
//!
//! The newest checkpoint not past the snapshot holds those that were there then, and the log entries behind it what came since.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::Int64Type,
};
use deltalake::DeltaTableError;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _, path::Path};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use serde::Deserialize;

use super::{
    super::error::{Error, Result},
    location::{LOG, Location},
    parquet_file::ParquetFile,
};

/// Log entries that are read at once.
const READS_AT_ONCE: usize = 16;

/// The last number of each application up to a version.
pub(super) async fn all(location: &Location, version: u64) -> Result<HashMap<String, i64>> {
    let names = location.logged().await?;
    let of = |name: &str| name.split('.').next()?.parse::<u64>().ok().filter(|at| *at <= version);
    let checkpoints = names.iter().filter(|name| name.contains(".checkpoint.") && name.ends_with(".parquet"));
    let newest = checkpoints.clone().filter_map(|name| of(name)).max();
    let mut found = HashMap::new();
    for name in checkpoints.filter(|name| newest.is_some() && of(name) == newest) {
        let read = checkpoint(location.store.clone(), of_log(name), &mut found).await;
        read.map_err(|error| unreadable(location, name, error))?;
    }
    let mut since: Vec<(u64, &String)> = names
        .iter()
        .filter(|name| name.ends_with(".json") && !name.contains(".checkpoint."))
        .filter_map(|name| Some((of(name)?, name)))
        .filter(|(at, _)| newest.is_none_or(|newest| *at > newest))
        .collect();
    since.sort_unstable();
    let entries: Vec<_> = since.into_iter().map(|(_, name)| entry(location, name)).collect();
    let entries: Vec<_> = futures::stream::iter(entries).buffered(READS_AT_ONCE).try_collect().await?;
    found.extend(entries.into_iter().flatten().map(|txn| (txn.app_id, txn.version)));
    Ok(found)
}

type Failure = DeltaTableError;

fn of_log(name: &str) -> Path {
    Path::from(format!("{LOG}/{name}"))
}

fn unreadable(location: &Location, name: &str, error: Failure) -> Error {
    location.failed(&format!("{name} of its log cannot be read"), error)
}

async fn checkpoint(
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    app_id: String,
    version: i64,
}

async fn entry(location: &Location, name: &str) -> Result<Vec<Transaction>> {
    let failed = |error: Failure| unreadable(location, name, error);
    let text = match location.store.get(&of_log(name)).await {
        Ok(found) => found.bytes().await.map_err(|error| failed(error.into()))?,
        // Log clean-up may take an entry that a checkpoint holds.
        Err(StoreError::NotFound { .. }) => return Ok(vec![]),
        Err(error) => return Err(failed(error.into())),
    };
    let tells = |line: &&[u8]| line.windows(5).any(|found| found == b"\"txn\"");
    let mut found = vec![];
    for line in text.split(|byte| *byte == b'\n').filter(tells) {
        found.extend(serde_json::from_slice::<Action>(line).map_err(|error| failed(error.into()))?.txn);
    }
    Ok(found)
}
