//! Small files, old records, old log entries, left-overs. None of it changes a row, holds up a writer or breaks a
//! reader: who loses a race gives up quietly, and files are removed only when they are old.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use deltalake::{
    checkpoints::{cleanup_metadata, create_checkpoint},
    kernel::{Action, Add},
    operations::vacuum::VacuumMode,
    protocol::{DeltaOperation, SaveMode},
    table::config::TablePropertiesExt as _,
};
use futures::StreamExt as _;
use object_store::ObjectStoreExt as _;

use super::{
    super::error::Result,
    files::{FileWriter, TARGET_BYTES, Unnamed},
    ledger::{self, Marks},
    read::stream_files,
    table::{DataFile, Table},
};

/// A file below this is small.
const SMALL_BYTES: u64 = TARGET_BYTES / 4;
/// So many small files of one partition are worth being written as one.
const SMALL_FILES: usize = 12;
/// Commits between two checkpoints.
const CHECKPOINT_EVERY: u64 = 50;
/// Nothing younger is removed, whatever the table's own settings say: a reader, or a unit that is staged, may need it.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// All that there is time for, most useful first.
pub(super) async fn maintain(mut table: Table, budget: Duration, now: DateTime<Utc>) -> Result<()> {
    let begun = Instant::now();
    let late = || begun.elapsed() >= budget;
    checkpoint(&table).await?;
    for group in small_files(table.files()?) {
        if late() {
            return Ok(());
        }
        compact(&mut table, group, now).await?;
    }
    if late() {
        return Ok(());
    }
    ledger::prune(&table.location).await?;
    if !late() {
        vacuum(&table, late).await?;
    }
    Ok(())
}

/// A checkpoint, where the last one is far behind; then log entries that are past the table's retention go.
async fn checkpoint(table: &Table) -> Result<()> {
    let location = &table.location;
    let version = table.version();
    let logged = location.logged().await?;
    let number =
        |name: &String| name.contains(".checkpoint.").then(|| name.split('.').next()?.parse::<u64>().ok())?;
    let newest = logged.iter().filter_map(number).max();
    if version < newest.map_or(0, |newest| newest + 1) + CHECKPOINT_EVERY {
        return Ok(());
    }
    create_checkpoint(&table.delta, None)
        .await
        .map_err(|error| location.failed("a checkpoint cannot be written", error))?;
    cleanup_metadata(&table.delta, None)
        .await
        .map(drop)
        .map_err(|error| location.failed("its old log entries cannot be removed", error))
}

/// Groups of small files that are worth being one, each of one partition and in the order of its rows.
fn small_files(files: Vec<DataFile>) -> Vec<Vec<DataFile>> {
    let mut partitions: BTreeMap<Vec<(String, Option<String>)>, Vec<DataFile>> = BTreeMap::new();
    for file in files {
        let mut partition: Vec<_> = file.partition.clone().into_iter().collect();
        partition.sort();
        partitions.entry(partition).or_default().push(file);
    }
    let mut groups = vec![];
    for files in partitions.into_values() {
        let (mut group, mut bytes) = (vec![], 0);
        for file in files {
            let small = file.size < SMALL_BYTES && !file.vector;
            // A big file between small ones ends a group: rows keep their order.
            if !small || bytes + file.size > TARGET_BYTES {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            if small {
                bytes += file.size;
                group.push(file);
            }
        }
        groups.push(group);
    }
    groups.retain(|group| group.len() >= SMALL_FILES);
    groups
}

/// Writes a group of files as one. The commit changes no row (`dataChange` is false), so whoever reads by version
/// passes over it.
async fn compact(table: &mut Table, group: Vec<DataFile>, now: DateTime<Utc>) -> Result<()> {
    let schema = table.schema()?;
    let mut writer = FileWriter::start(table, &schema, &table.partition_columns()?)?;
    let mut batches = Box::pin(stream_files(&table.location, group.clone(), &schema));
    while let Some(batch) = batches.next().await {
        writer.write(&batch?).await?;
    }
    let mut adds = writer.finish().await?;
    let mut unnamed = Unnamed::default();
    unnamed.add(table, &adds);
    let newest = group.iter().map(|file| file.modified).max().unwrap_or_default();
    for add in &mut adds {
        add.data_change = false;
        // Rows keep their place among the table's files.
        add.modification_time = newest;
    }
    table.refresh().await?;
    if table.schema()? != schema || !all_there(table, &group)? {
        return Ok(());
    }
    unnamed.keep();
    if put(table, &group, adds, now).await?.is_none() {
        unnamed.release();
    }
    table.refresh().await.map(drop)
}

fn all_there(table: &Table, group: &[DataFile]) -> Result<bool> {
    let listing = table.listing()?;
    Ok(group.iter().all(|file| listing.contains(&file.path)))
}

async fn put(table: &Table, group: &[DataFile], adds: Vec<Add>, now: DateTime<Utc>) -> Result<Option<u64>> {
    let removals = group.iter().map(|file| file.removal(false, now.timestamp_millis()));
    let actions = removals.chain(adds.into_iter().map(Action::Add)).collect();
    let operation = DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None };
    table.commit(actions, operation, Marks::default()).await
}

/// Removes files that no snapshot within the retention names.
async fn vacuum(table: &Table, late: impl Fn() -> bool) -> Result<()> {
    let location = &table.location;
    let keep = chrono::Duration::from_std(KEEP).unwrap_or(chrono::Duration::days(7));
    let own = chrono::Duration::from_std(table.state()?.table_config().deleted_file_retention_duration())
        .unwrap_or(keep);
    // Only asked what it would remove: then no commits of its own get in the way of others.
    let (_, found) = table
        .delta
        .clone()
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(keep.max(own))
        .with_enforce_retention_duration(false)
        .with_dry_run(true)
        .await
        .map_err(|error| location.failed("its left-overs cannot be listed", error))?;
    for path in found.files_deleted {
        if late() {
            return Ok(());
        }
        match location.store.delete(&location.path(&path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(location.failed("its left-overs cannot be removed", error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{super::table::Stats, *};

    fn file(path: &str, size: u64, region: &str) -> DataFile {
        DataFile {
            path: path.to_owned(),
            size,
            rows: Some(1),
            partition: HashMap::from([("region".to_owned(), Some(region.to_owned()))]),
            stats: Stats::Said(None),
            modified: 0,
            vector: false,
        }
    }

    #[test]
    fn only_many_small_files_of_one_partition_are_joined() {
        let few = (0..SMALL_FILES - 1).map(|i| file(&format!("a{i}"), 10, "mrf1"));
        let many = (0..SMALL_FILES).map(|i| file(&format!("b{i}"), 10, "mrf2"));
        let big = (0..SMALL_FILES).map(|i| file(&format!("c{i}"), SMALL_BYTES, "mrf3"));
        let groups = small_files(few.chain(many).chain(big).collect());
        assert_eq!(groups.len(), 1);
        assert!(groups[0].iter().all(|file| file.path.starts_with('b')));
    }
}
