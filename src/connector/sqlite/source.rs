//! A table as a source: by cursor, by offset (logs), by row id, or whole.
//!
//! Why nothing is missed or doubled: a unit is a range of keys, fixed before it is read, and rows are taken in the order of these
//! keys. A log's offsets rise in the order of commits, because SQLite lets one writer in at a time. For cursors of the user's own the
//! delivery names what it rests on.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;
use rusqlite::{Connection, types::Value as Raw};

use super::{
    database::{Database, Lease, blocking},
    error::failed,
    name::quote,
    pages::{self, Held, Lane, PAGE_ROWS, Query},
    plan::{Look, Reading},
    range::{Lower, Range},
};
use crate::{
    connector::{
        error::Result,
        source::{Chunk, Source, SourceSpec, until_news},
    },
    model::{
        position::Position,
        unit::{Scope, SliceLimit, Unit},
    },
};

/// How often a waiting source looks for commits of others.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Threads that read ranges of row ids at once, at most.
const THREADS: usize = 4;

/// Tries to open several transactions between two commits of others, before one thread reads alone.
const SNAPSHOT_TRIES: usize = 20;

/// Files over this size are read by several threads.
const READ_BY_MANY: u64 = 8 << 20;

/// A table that is read.
pub(super) struct TableSource {
    inner: Arc<Inner>,
    /// The version of the database when the head was last taken.
    seen: Mutex<Option<Version>>,
    /// Of a whole table: what a run reads.
    pinned: Mutex<Option<Arc<Pinned>>>,
}

struct Inner {
    database: Arc<Database>,
    spec: SourceSpec,
    log: bool,
}

/// Changes with every commit of others. Only one connection's versions compare.
struct Version {
    lease: Lease,
    number: i64,
}

impl TableSource {
    pub(super) fn new(database: Arc<Database>, spec: SourceSpec, log: bool) -> Self {
        Self {
            inner: Arc::new(Inner { database, spec, log }),
            seen: Mutex::default(),
            pinned: Mutex::default(),
        }
    }

    /// The state that is held of this generation.
    fn pinned(&self, generation: &Position) -> Option<Arc<Pinned>> {
        lock(&self.pinned).clone().filter(|pinned| pinned.generation == *generation)
    }

    /// Whether others have committed since this was last asked, or the head last taken; so they have where that is not known.
    async fn has_news(&self) -> Result<bool> {
        let (inner, seen) = (self.inner.clone(), lock(&self.seen).take());
        let looked = blocking(move || {
            let Some(seen) = seen else { return Ok((inner.version()?, true)) };
            let number = data_version(&inner.database, &seen.lease)?;
            let moved = number != seen.number;
            Ok((Version { number, ..seen }, moved))
        });
        let (version, moved) = looked.await?;
        *lock(&self.seen) = Some(version);
        Ok(moved)
    }
}

impl Inner {
    fn look<'a>(&'a self, connection: &'a Connection) -> Result<Look<'a>> {
        Look::begin(Reading { database: &self.database, spec: &self.spec, log: self.log }, connection)
    }

    fn is_whole(&self) -> bool {
        self.spec.whole || (!self.log && self.spec.cursor.is_none())
    }

    fn version(&self) -> Result<Version> {
        let lease = self.database.reader()?;
        let number = data_version(&self.database, &lease)?;
        Ok(Version { lease, number })
    }

    /// What is read for a unit, and by whom.
    fn prepare(&self, unit: &Unit, pinned: Option<&Pinned>) -> Result<(Query, Vec<Lane>)> {
        let whole = unit.scope == Scope::Snapshot;
        let (query, ranges, held) = match pinned {
            Some(pinned) => {
                let (query, ranges) = self.query(&lock(&pinned.leases[0]), unit)?;
                let leases = pinned.leases.iter().take(threads(ranges.len()));
                let held = leases.map(|lease| Held::Pinned(lease.clone())).collect();
                (query, ranges, held)
            }
            None => {
                let lease = self.database.reader()?;
                let (query, ranges) = self.query(&lease, unit)?;
                let mut leases = vec![lease];
                if !whole {
                    // Each page is a transaction of its own.
                    commit(&self.database, &leases[0])?;
                    while leases.len() < threads(ranges.len()) {
                        leases.push(self.database.reader()?);
                    }
                }
                (query, ranges, leases.into_iter().map(Held::Lease).collect())
            }
        };
        Ok((query, share_out(held, ranges)))
    }

    fn query(&self, connection: &Connection, unit: &Unit) -> Result<(Query, Vec<Range>)> {
        let look = self.look(connection)?;
        let shown = look.shown();
        let range = look.range(unit)?;
        let mut query = Query {
            table: quote(&look.table.name),
            selection: look.selection.clone().pinned(&unit.schema, &shown)?,
            keys: paging_keys(&look),
            row: look.table.row_key(),
            pages: false,
            filter: None,
            limit: None,
            whole: None,
            shown,
        };
        query.pages = query.finds_order(connection, &range).map_err(|error| failed(&query.shown, error))?;
        let ids = match query.keys.as_slice() {
            [only] if look.table.rowid.as_ref() == Some(only) && query.pages => {
                Self::ids(&look, only, &range)?
            }
            _ => None,
        };
        let rows = unit.rows.unwrap_or(u64::MAX);
        let ranges = ids.map_or_else(|| vec![range], |(first, last)| split(first, last, rows));
        Ok((query, ranges))
    }

    /// The first and last row id of a range.
    fn ids(look: &Look<'_>, rowid: &str, range: &Range) -> Result<Option<(i64, i64)>> {
        let (condition, parameters) = range.condition(&[rowid]);
        let table = quote(&look.table.name);
        let end = |end: &str| {
            let sql = format!("SELECT {end}({}) FROM {table}{condition}", quote(rowid));
            look.one(&sql, &parameters, |row| row.get::<_, Option<i64>>(0)).map(Option::flatten)
        };
        Ok(end("min")?.zip(end("max")?))
    }

    /// Holds the state that the database is in now, for as many threads as may read it. Only in WAL mode:
    /// elsewhere it would keep writers out, and a snapshot is one transaction that begins when it is read.
    fn pin(
        &self,
        generation: impl FnOnce(&Connection) -> Result<Position>,
    ) -> Result<(Position, Option<Pinned>)> {
        let first = self.database.reader()?;
        let mode = first.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        if mode.map_err(|error| failed(&self.database.shown(), error))? != "wal" {
            return Ok((generation(&first)?, None));
        }
        let size = std::fs::metadata(&self.database.path).map_or(0, |metadata| metadata.len());
        let wanted = if size > READ_BY_MANY { threads(usize::MAX) } else { 1 };
        let leases = self.snapshot(first, wanted)?;
        let generation = generation(&leases[0])?;
        let leases = leases.into_iter().map(|lease| Arc::new(Mutex::new(lease))).collect();
        Ok((generation.clone(), Some(Pinned { generation, leases })))
    }

    /// Leases in transactions that see one state: nobody committed while they began.
    fn snapshot(&self, first: Lease, wanted: usize) -> Result<Vec<Lease>> {
        let watch = self.database.reader()?;
        let mut leases = vec![first];
        while leases.len() < wanted {
            leases.push(self.database.reader()?);
        }
        for tries in 1.. {
            let before = data_version(&self.database, &watch)?;
            for lease in &leases {
                let begun = lease.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1");
                begun.map_err(|error| failed(&self.database.shown(), error))?;
            }
            if leases.len() == 1 || data_version(&self.database, &watch)? == before {
                break;
            }
            for lease in &leases {
                commit(&self.database, lease)?;
            }
            if tries == SNAPSHOT_TRIES {
                leases.truncate(1);
            }
        }
        Ok(leases)
    }
}

/// One state of a database, held from the head of a run on.
struct Pinned {
    generation: Position,
    leases: Vec<Arc<Mutex<Lease>>>,
}

#[async_trait]
impl Source for TableSource {
    async fn schema(&self) -> Result<SchemaRef> {
        let inner = self.inner.clone();
        blocking(move || {
            let lease = inner.database.reader()?;
            Ok(inner.look(&lease)?.selection.schema)
        })
        .await
    }

    async fn head(&self) -> Result<Position> {
        let inner = self.inner.clone();
        *lock(&self.pinned) = None;
        // The version comes before the head: what is committed between the two is then news, and not lost.
        let taken = blocking(move || {
            let version = inner.version()?;
            let head = |connection: &Connection| inner.look(connection)?.head();
            let (head, pinned) = if inner.is_whole() {
                inner.pin(head)?
            } else {
                let lease = inner.database.reader()?;
                (head(&lease)?, None)
            };
            Ok((version, head, pinned.map(Arc::new)))
        });
        let (version, head, pinned) = taken.await?;
        *lock(&self.seen) = Some(version);
        *lock(&self.pinned) = pinned;
        Ok(head)
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let (inner, pinned) = (self.inner.clone(), self.pinned(head));
        let (from, head) = (from.cloned(), head.clone());
        let plan = move || {
            let (lease, guard);
            let connection: &Connection = if let Some(pinned) = &pinned {
                guard = lock(&pinned.leases[0]);
                &guard
            } else {
                lease = inner.database.reader()?;
                &lease
            };
            inner.look(connection)?.plan(from.as_ref(), &head, limit)
        };
        blocking(plan).await
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let pinned = unit.after.position().and_then(|generation| self.pinned(generation));
        let (inner, unit) = (self.inner.clone(), unit.clone());
        let (query, lanes) = blocking(move || inner.prepare(&unit, pinned.as_deref())).await?;
        Ok(pages::read(query, lanes))
    }

    async fn describe(&self, unit: &Unit) -> Result<Option<String>> {
        let (inner, unit) = (self.inner.clone(), unit.clone());
        blocking(move || {
            let lease = inner.database.reader()?;
            let (query, _) = inner.query(&lease, &unit)?;
            // Several threads share the unit's range; each asks for parts of it in this way.
            let range = inner.look(&lease)?.range(&unit)?;
            Ok(Some(query.sql(&range, PAGE_ROWS).0))
        })
        .await
    }

    async fn changed(&self) {
        // Whoever waits has read what it wanted of the state that was held.
        *lock(&self.pinned) = None;
        until_news(LOOK_EVERY, || self.has_news()).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn commit(database: &Database, lease: &Lease) -> Result<()> {
    lease.execute_batch("COMMIT").map_err(|error| failed(&database.shown(), error))
}

/// The keys that tell every row from every other, so that a page may end anywhere.
fn paging_keys(look: &Look<'_>) -> Vec<String> {
    let mut keys: Vec<String> = look.key_names().into_iter().map(str::to_owned).collect();
    for column in look.table.row_key() {
        if !keys.contains(&column) {
            keys.push(column);
        }
    }
    keys
}

fn data_version(database: &Database, connection: &Connection) -> Result<i64> {
    connection
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .map_err(|error| failed(&database.shown(), error))
}

fn threads(ranges: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    ranges.min(cores).clamp(1, THREADS)
}

/// A range of row ids in parts of about a page each, by value: ids with gaps make unequal parts, no wrong ones.
fn split(first: i64, last: i64, rows: u64) -> Vec<Range> {
    let span = (i128::from(last) - i128::from(first) + 1).unsigned_abs();
    let parts = u128::from(rows).min(span).div_ceil(u128::from(PAGE_ROWS)).clamp(1, 4_096);
    let step = span.div_ceil(parts);
    let at = |part: u128| i64::try_from(i128::from(first) - 1 + (part * step).cast_signed()).unwrap_or(last);
    (0..parts)
        .map(|part| {
            let lower = if part == 0 {
                Lower::From(Raw::Integer(first))
            } else {
                Lower::After(vec![Raw::Integer(at(part))])
            };
            Range { lower, upper: Some(vec![Raw::Integer(at(part + 1).min(last))]) }
        })
        .collect()
}

/// Range `i` goes to lane `i % lanes`.
fn share_out(held: Vec<Held>, ranges: Vec<Range>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = held.into_iter().map(|held| Lane { held, ranges: vec![] }).collect();
    let count = lanes.len();
    for (i, range) in ranges.into_iter().enumerate() {
        lanes[i % count].ranges.push(range);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_range_once() {
        for (first, last, rows) in
            [(1, 1, 1), (-5, 100_000, 100_006), (i64::MIN, i64::MAX, u64::MAX), (7, 16_391, 16_385)]
        {
            let ranges = split(first, last, rows);
            assert_eq!(ranges[0].lower, Lower::From(Raw::Integer(first)));
            assert_eq!(ranges.last().unwrap().upper, Some(vec![Raw::Integer(last)]));
            for pair in ranges.windows(2) {
                assert_eq!(pair[1].lower, Lower::After(pair[0].upper.clone().unwrap()));
            }
        }
    }
}
