//! Every application transaction of a table at once. The library gives one by its name and replays the log for each; a table that is built window by
//! window has a pair for every window.
//!
//! The newest checkpoint not past the snapshot holds those that were there then, and the log entries behind it what came since.

use std::{collections::HashMap, fs, io, path::Path};

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::Int64Type,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde::Deserialize;

use super::{
    super::error::{Error, ErrorKind, Result},
    table::Location,
};

/// The last number of each application up to a version.
pub(super) fn all(location: &Location, version: u64) -> Result<HashMap<String, i64>> {
    let log = location.folder.join("_delta_log");
    let entries =
        fs::read_dir(&log).map_err(|error| location.io_failed("its log cannot be listed", error))?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let of = |name: &str| name.split('.').next()?.parse::<u64>().ok().filter(|at| *at <= version);
    let checkpoints = names.iter().filter(|name| name.contains(".checkpoint.") && name.ends_with(".parquet"));
    let newest = checkpoints.clone().filter_map(|name| of(name)).max();
    let mut found = HashMap::new();
    for name in checkpoints.filter(|name| newest.is_some() && of(name) == newest) {
        checkpoint(&log.join(name), &mut found).map_err(|error| unreadable(location, name, error))?;
    }
    let mut since: Vec<(u64, &String)> = names
        .iter()
        .filter(|name| name.ends_with(".json") && !name.contains(".checkpoint."))
        .filter_map(|name| Some((of(name)?, name)))
        .filter(|(at, _)| newest.is_none_or(|newest| *at > newest))
        .collect();
    since.sort_unstable();
    for (_, name) in since {
        entry(&log.join(name), &mut found).map_err(|error| unreadable(location, name, error))?;
    }
    Ok(found)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn unreadable(location: &Location, name: &str, error: Failure) -> Error {
    location.error(ErrorKind::Corrupt, format!("{name} of its log cannot be read")).caused_by(error)
}

fn checkpoint(path: &Path, found: &mut HashMap<String, i64>) -> Result<(), Failure> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path)?)?;
    let columns = ["txn.appId", "txn.version"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
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

fn entry(path: &Path, found: &mut HashMap<String, i64>) -> Result<(), Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        // Log clean-up may take an entry that a checkpoint holds.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for line in text.lines().filter(|line| line.contains("\"txn\"")) {
        if let Some(txn) = serde_json::from_str::<Action>(line)?.txn {
            found.insert(txn.app_id, txn.version);
        }
    }
    Ok(())
}
