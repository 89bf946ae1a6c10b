//! A table read by version: each slice is what some commits added. Versions never come out of order, so nothing is
//! passed over; what maintenance rewrote (`dataChange` is false) is passed by; rows taken out are refused, because
//! those that were read before cannot be called back.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use deltalake::{kernel::Action, logstore::get_actions};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;

use super::{
    super::error::{Error, ErrorKind, Result},
    location::Location,
    read::stream_files,
    table::{DataFile, Table},
};
use crate::model::{position::Bound, unit::SliceLimit, value::Value};

/// Bytes of rows as Arrow for a byte of a data file, about.
const INFLATION: u64 = 4;
/// Versions without rows that are passed before the position is written down all the same: log entries do not
/// live for ever.
const IDLE_VERSIONS: u64 = 50;

/// Data files that are looked at at once.
const LOOKS_AT_ONCE: usize = 16;

/// The bound after a version.
pub(super) fn bound(version: u64) -> Bound {
    Bound::at(vec![Value::Int(i64::try_from(version).unwrap_or(i64::MAX))])
}

fn version_of(location: &Location, bound: &Bound) -> Result<u64> {
    match bound.at.as_slice() {
        [Value::Int(version)] => u64::try_from(*version).ok(),
        _ => None,
    }
    .ok_or_else(|| location.error(ErrorKind::SourceChanged, "its position is no version"))
}

/// The snapshot that a bound names.
pub(super) async fn table_at(table: &Table, at: Option<&Bound>) -> Result<Table> {
    match at.map(|bound| version_of(&table.location, bound)).transpose()? {
        Some(version) if version != table.version() => table.location.open_at(version).await,
        _ => Ok(table.clone()),
    }
}

/// The next slice: where it ends, and its rows where the log knows.
pub(super) async fn plan(
    table: &Table,
    after: Option<&Bound>,
    until: Option<&Bound>,
    limit: SliceLimit,
) -> Result<Option<(Bound, Option<u64>)>> {
    let location = &table.location;
    let Some(until) = until else { return Ok(None) };
    let head = version_of(location, until)?;
    let from = match after {
        Some(after) => version_of(location, after)?,
        None => return first(table, head, limit).await,
    };
    if from > head {
        // Another writer of this track may have seen a later head.
        if Entry::read(table, from).await?.is_some() {
            return Ok(None);
        }
        let what = format!("is at version {head}, and its position at {from}");
        return Err(location.error(ErrorKind::SourceChanged, what));
    }
    let mut sizes = vec![];
    for version in from + 1..=head {
        let Some(entry) = Entry::read(table, version).await? else { return Err(gone(location, version)) };
        if entry.removes {
            return Err(removed(location, version));
        }
        sizes.push((version, Size::of(&entry.files)));
    }
    Ok(cut(&sizes, limit).or_else(|| {
        let idle = head - from >= IDLE_VERSIONS;
        idle.then(|| (bound(head), Some(0)))
    }))
}

/// The first slice is what the table holds at a version. Where the whole log is there and nothing was ever taken
/// out, that version may be an early one; else it is the newest.
async fn first(table: &Table, head: u64, limit: SliceLimit) -> Result<Option<(Bound, Option<u64>)>> {
    let mut sizes = vec![];
    for version in 0..=head {
        match Entry::read(table, version).await? {
            Some(entry) if !entry.removes && !entry.rewrites => sizes.push((version, Size::of(&entry.files))),
            _ => {
                let files = table.files()?;
                let size = Size::of(&files);
                return Ok((!files.is_empty()).then(|| (bound(head), size.rows)));
            }
        }
    }
    Ok(cut(&sizes, limit))
}

/// The slice's end: before the limit is passed, but never before the first version with rows.
fn cut(sizes: &[(u64, Size)], limit: SliceLimit) -> Option<(Bound, Option<u64>)> {
    let mut taken = Size { rows: Some(0), bytes: 0, files: 0 };
    let mut end = None;
    for (version, size) in sizes {
        let both = taken.plus(size);
        if taken.files > 0 && (both.rows.unwrap_or_default() > limit.rows || both.bytes > limit.bytes) {
            break;
        }
        taken = both;
        end = Some(*version);
    }
    end.filter(|_| taken.files > 0).map(|version| (bound(version), taken.rows))
}

/// How big a set of files is.
#[derive(Debug, Clone, Copy)]
struct Size {
    rows: Option<u64>,
    bytes: u64,
    files: usize,
}

impl Size {
    fn of(files: &[DataFile]) -> Self {
        Self {
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.size * INFLATION).sum(),
            files: files.len(),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            rows: self.rows.zip(other.rows).map(|(a, b)| a + b),
            bytes: self.bytes + other.bytes,
            files: self.files + other.files,
        }
    }
}

/// The files of a slice, oldest first: those that its versions added; without a begin, all that its last version holds.
async fn files(table: &Table, after: Option<&Bound>, until: &Bound) -> Result<Vec<DataFile>> {
    let location = &table.location;
    let end = version_of(location, until)?;
    let Some(after) = after else { return table_at(table, Some(until)).await?.files() };
    let mut files = vec![];
    for version in version_of(location, after)? + 1..=end {
        let entry = Entry::read(table, version).await?;
        files.extend(entry.ok_or_else(|| gone(location, version))?.files);
    }
    Ok(files)
}

/// Which files a slice reads, for people.
pub(super) async fn describe(table: &Table, after: Option<&Bound>, until: &Bound) -> Result<String> {
    let found = sized(&files(table, after, until).await?);
    let end = version_of(&table.location, until)?;
    Ok(match after {
        Some(after) => {
            let begin = version_of(&table.location, after)? + 1;
            format!("{found} that versions {begin} to {end} added, whole")
        }
        None => format!("{found} of version {end}, whole"),
    })
}

/// How many files, and how big they are, for people.
pub(super) fn sized(files: &[DataFile]) -> String {
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let files = match files.len() {
        1 => "1 data file".to_owned(),
        count => format!("{count} data files"),
    };
    format!("{files}, {} KiB", bytes.div_ceil(1024))
}

/// The rows of a slice.
pub(super) async fn read(
    table: &Table,
    after: Option<&Bound>,
    until: &Bound,
    schema: &SchemaRef,
) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + 'static> {
    let location = &table.location;
    let files = files(table, after, until).await?;
    let looks: Vec<_> = files.iter().map(|file| is_there(location, file)).collect();
    let there = futures::stream::iter(looks);
    there.buffered(LOOKS_AT_ONCE).try_collect::<()>().await?;
    Ok(stream_files(location, files, schema))
}

async fn is_there(location: &Location, file: &DataFile) -> Result<()> {
    match location.store.head(&location.path(&file.path)?).await {
        Ok(_) => Ok(()),
        Err(object_store::Error::NotFound { .. }) => {
            let what = format!("data file `{}` was removed before it was read", file.path);
            Err(location.error(ErrorKind::SourceChanged, what).hint(
                "a vacuum was faster: `position reset` reads the table as it is now, `position set` goes on from a version",
            ))
        }
        Err(error) => Err(location.failed(&format!("data file `{}` cannot be looked at", file.path), error)),
    }
}

/// What a commit did to the rows.
struct Entry {
    /// Files with new rows, in the order of the commit.
    files: Vec<DataFile>,
    /// Whether rows were taken out.
    removes: bool,
    /// Whether files were written anew.
    rewrites: bool,
}

impl Entry {
    /// The log entry of a version; `None` = it was cleaned up.
    async fn read(table: &Table, version: u64) -> Result<Option<Self>> {
        let location = &table.location;
        let unreadable = |error| location.failed(&format!("log entry {version} cannot be read"), error);
        let bytes = table.delta.log_store().read_commit_entry(version).await.map_err(unreadable)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let mut entry = Self { files: vec![], removes: false, rewrites: false };
        for action in get_actions(version, &bytes).map_err(unreadable)? {
            match action {
                Action::Add(add) if add.data_change => entry.files.push(DataFile::added(&add)),
                Action::Remove(remove) if remove.data_change => entry.removes = true,
                Action::Add(_) | Action::Remove(_) => entry.rewrites = true,
                _ => {}
            }
        }
        Ok(Some(entry))
    }
}

fn gone(location: &Location, version: u64) -> Error {
    location
        .error(ErrorKind::SourceChanged, format!("log entry {version} was cleaned up before it was read"))
        .hint("`position reset` reads the table as it is now, `position set` goes on from a version")
}

fn removed(location: &Location, version: u64) -> Error {
    location
        .error(
            ErrorKind::SourceChanged,
            format!("version {version} takes rows out, which cannot be read on from"),
        )
        .hint("read it by a cursor (`cursor = { column = \"…\" }`), or `position reset` and start again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_end_between_versions() {
        let size =
            |version, rows| (version, Size { rows: Some(rows), bytes: rows, files: usize::from(rows > 0) });
        let limit = SliceLimit { rows: 10, bytes: u64::MAX };
        let end = |sizes: &[(u64, Size)]| cut(sizes, limit).map(|(bound, rows)| (bound.at[0].clone(), rows));
        assert_eq!(end(&[size(1, 4), size(2, 6), size(3, 1)]), Some((Value::Int(2), Some(10))));
        assert_eq!(
            end(&[size(1, 100), size(2, 1)]),
            Some((Value::Int(1), Some(100))),
            "a version is never split"
        );
        assert_eq!(end(&[size(1, 0), size(2, 3), size(3, 0)]), Some((Value::Int(3), Some(3))));
        assert_eq!(end(&[size(1, 0)]), None);
    }
}
