//! Records in a Delta table.
//!
//! Two application transactions (`txn` actions) of a commit carry a track's sequence number and a tag of its
//! attempt; both survive checkpoints. What else a record holds lies in a small file under `_vitrina/` in the
//! table's folder (vacuum spares it), on the disk before the commit, and named by sequence number and
//! tag. So a file counts only if the log names it, and left-overs of dead attempts say nothing.
//!
//! Never: a record in the commit's own metadata. Log clean-up removes that.

use std::collections::BTreeMap;

use deltalake::kernel::Transaction;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{Error as StoreError, ObjectStoreExt as _, path::Path};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    super::error::{ErrorKind, Result},
    location::Location,
    table::Table,
    transactions::Numbers,
};
use crate::model::{
    name::{AttemptId, Track},
    unit::Record,
};

/// The folder of record files, in the table's folder.
pub(super) const FOLDER: &str = "_vitrina";
/// Record files of one track that are kept behind its newest one: whoever reads an older snapshot finds its own.
const KEPT: u64 = 100;
/// Record files that are read at once.
const READS_AT_ONCE: usize = 16;
/// The application id that says that a table has records at all.
const ANY: &str = "vitrina";

/// What the log says of a track's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The record's sequence number.
    pub(super) seq: u64,
    /// A tag of the attempt that wrote it.
    tag: u64,
}

const SEQ: &str = "vitrina:";
const TAG: &str = "vitrina-attempt:";

impl Mark {
    /// The mark that a record leaves.
    pub(super) fn of(record: &Record) -> Self {
        Self { seq: record.seq, tag: tag(&record.attempt) }
    }

    fn transactions(self, track: &Track) -> [Transaction; 2] {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        [Transaction::new(seq_id(track), number(self.seq)), Transaction::new(tag_id(track), number(self.tag))]
    }
}

/// The marks that a commit leaves, and the files that they name.
#[derive(Default)]
pub(super) struct Marks {
    /// The actions.
    pub(super) transactions: Vec<Transaction>,
    /// Record files.
    pub(super) files: Vec<Path>,
}

impl Marks {
    /// The marks of these records.
    pub(super) fn of<'a>(records: impl IntoIterator<Item = (&'a Track, &'a Record)>) -> Self {
        let mut marks = Self { transactions: vec![Transaction::new(ANY, 1)], files: vec![] };
        for (track, record) in records {
            let mark = Mark::of(record);
            marks.transactions.extend(mark.transactions(track));
            marks.files.push(path(&track.key(), mark));
        }
        marks
    }
}

fn seq_id(track: &Track) -> String {
    format!("{SEQ}{}", track.key())
}

fn tag_id(track: &Track) -> String {
    format!("{TAG}{}", track.key())
}

/// 63 bits of a digest.
fn tag(attempt: &AttemptId) -> u64 {
    let digest = Sha256::digest(attempt.as_str().as_bytes());
    let bytes: [u8; 8] = std::array::from_fn(|i| digest[i]);
    u64::from_be_bytes(bytes) >> 1
}

/// A record file.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    track: String,
    record: Record,
}

/// The track's mark in a snapshot.
pub(super) async fn mark(table: &Table, track: &Track) -> Result<Option<Mark>> {
    Ok(mark_of(table.transactions().await?, &track.key()))
}

fn mark_of(numbers: &Numbers, key: &str) -> Option<Mark> {
    let number = |what: &str| u64::try_from(*numbers.get(&format!("{what}{key}"))?).ok();
    Some(Mark { seq: number(SEQ)?, tag: number(TAG)? })
}

/// The track's record in a snapshot.
pub(super) async fn record(table: &Table, track: &Track) -> Result<Option<Record>> {
    let Some(mark) = mark(table, track).await? else { return Ok(None) };
    read(&table.location, &track.key(), mark).await.map(Some)
}

/// The records of all tracks whose keys begin with `prefix`, in a snapshot.
pub(super) async fn with_prefix(table: &Table, prefix: &str) -> Result<Vec<(String, Record)>> {
    let numbers = table.transactions().await?;
    let keys = numbers.keys().filter_map(|application| application.strip_prefix(SEQ));
    let wanted =
        keys.filter(|key| key.starts_with(prefix)).filter_map(|key| Some((key, mark_of(numbers, key)?)));
    let reads: Vec<_> = wanted.map(|(key, mark)| read_named(&table.location, key, mark)).collect();
    futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await
}

async fn read_named(location: &Location, key: &str, mark: Mark) -> Result<(String, Record)> {
    Ok((key.to_owned(), read(location, key, mark).await?))
}

/// Whether any track has a record in a snapshot.
pub(super) async fn has_records(table: &Table) -> Result<bool> {
    Ok(table.transactions().await?.contains_key(ANY))
}

/// Writes a record's file, whole. It stays once a commit marks it.
pub(super) async fn write(location: &Location, track: &Track, record: &Record) -> Result<()> {
    let written = Written { track: track.key(), record: record.clone() };
    let text = serde_json::to_vec(&written).map_err(|error| {
        location.error(ErrorKind::Internal, "a record cannot be written down").caused_by(error)
    })?;
    let put = location.loose.put(&path(&track.key(), Mark::of(record)), text.into()).await;
    put.map(drop).map_err(|error| location.failed("its record cannot be written", error))
}

async fn read(location: &Location, key: &str, mark: Mark) -> Result<Record> {
    let path = path(key, mark);
    let lost = |why: &str| {
        location.error(ErrorKind::Corrupt, format!("the record file of `{key}` at {} {why}", mark.seq)).hint(
            format!("restore {}/{path} from a backup, or say where to go on: `position set`", location.shown),
        )
    };
    let text = match location.store.get(&path).await {
        Ok(found) => found.bytes().await,
        Err(StoreError::NotFound { .. }) => return Err(lost("is gone")),
        Err(error) => Err(error),
    };
    let text = text.map_err(|error| location.failed("its record cannot be read", error))?;
    let written: Written =
        serde_json::from_slice(&text).map_err(|error| lost("cannot be understood").caused_by(error))?;
    if written.track != key || Mark::of(&written.record) != mark {
        return Err(lost("belongs to another record"));
    }
    Ok(written.record)
}

fn path(key: &str, mark: Mark) -> Path {
    let digest = Sha256::digest(key.as_bytes());
    let track: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    Path::from(format!("{FOLDER}/{track}/{:020}-{:016x}.json", mark.seq, mark.tag))
}

/// Removes record files far behind the newest ones, of all tracks.
pub(super) async fn prune(location: &Location) -> Result<()> {
    let failed = |error| location.failed("its old records cannot be removed", error);
    let mut tracks: BTreeMap<String, Vec<(u64, Path)>> = BTreeMap::new();
    let mut files = location.store.list(Some(&Path::from(FOLDER)));
    while let Some(file) = files.try_next().await.map_err(failed)? {
        let Some((track, name)) = file.location.as_ref().rsplit_once('/') else { continue };
        if let Some(seq) = name.split_once('-').and_then(|(seq, _)| seq.parse().ok()) {
            let track = track.to_owned();
            tracks.entry(track).or_default().push((seq, file.location));
        }
    }
    for path in tracks.into_values().flat_map(overwritten) {
        match location.store.delete(&path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Sequence numbers rise by one with every commit, so a file of a number that is [`KEPT`] behind the newest file's
/// belongs to a record that was overwritten long ago, whether or not the newest file's attempt came through.
fn overwritten(files: Vec<(u64, Path)>) -> impl Iterator<Item = Path> {
    let newest = files.iter().map(|(seq, _)| *seq).max().unwrap_or_default();
    let oldest = newest.saturating_sub(KEPT);
    files.into_iter().filter(move |(seq, _)| *seq < oldest).map(|(_, path)| path)
}
