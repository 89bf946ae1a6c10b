//! A table as a source: by cursor, by offset (logs), by row id, or whole.
//!
//! Why nothing is missed or doubled: a unit is a range of keys, fixed before it is read, and rows are taken in the order of these
//! keys. A log's offsets rise in the order of commits, because SQLite lets one writer in at a time. For cursors of the user's own the
//! delivery names what it rests on.

use std::{
    sync::{Arc, Mutex, PoisonError},
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
    pages::{self, Lane, PAGE_ROWS, Query},
    plan::{Look, Reading},
    range::{Lower, Range},
};
use crate::{
    connector::{
        error::Result,
        source::{Chunk, Source, SourceSpec},
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

/// A table that is read.
pub(super) struct TableSource {
    inner: Arc<Inner>,
    /// The version of the database when the head was last taken.
    seen: Mutex<Option<Version>>,
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
        Self { inner: Arc::new(Inner { database, spec, log }), seen: Mutex::default() }
    }

    /// Does something in one read transaction.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Look<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        blocking(move || {
            let lease = inner.database.reader()?;
            work(&inner.look(&lease)?)
        })
        .await
    }
}

impl Inner {
    fn look<'a>(&'a self, connection: &'a Connection) -> Result<Look<'a>> {
        Look::begin(Reading { database: &self.database, spec: &self.spec, log: self.log }, connection)
    }

    fn version(&self) -> Result<Version> {
        let lease = self.database.reader()?;
        let number = data_version(&self.database, &lease)?;
        Ok(Version { lease, number })
    }

    /// What is read for a unit, and by whom. The leases of a snapshot hold one and the same state of the database.
    fn prepare(&self, unit: &Unit) -> Result<(Query, Vec<Lane>)> {
        let lease = self.database.reader()?;
        let look = self.look(&lease)?;
        let shown = look.shown();
        let range = look.range(unit)?;
        let mut query = Query {
            table: look.table.name.clone(),
            selection: look.selection.clone().pinned(&unit.schema, &shown)?,
            keys: self.paging_keys(&look),
            pages: false,
            filter: None,
            limit: None,
            shown,
        };
        query.pages = query.finds_order(&lease, &range).map_err(|error| failed(&query.shown, error))?;
        let ids = match query.keys.as_slice() {
            [only] if look.table.rowid.as_ref() == Some(only) && query.pages => self.ids(&look, only, &range)?,
            _ => None,
        };
        let rows = unit.rows.unwrap_or(u64::MAX);
        let ranges = ids.map_or_else(|| vec![range], |(first, last)| split(first, last, rows));
        let whole = unit.scope == Scope::Snapshot;
        drop(look);
        let leases = if whole { self.snapshot(lease, ranges.len())? } else { self.loose(lease, ranges.len())? };
        Ok((query, share_out(leases, ranges)))
    }

    /// The keys that tell every row from every other, so that a page may end anywhere.
    fn paging_keys(&self, look: &Look<'_>) -> Vec<String> {
        let mut keys: Vec<String> = look.key_names().into_iter().map(str::to_owned).collect();
        let rowid = look.table.rowid.as_ref();
        let unique: Vec<String> = match rowid {
            Some(rowid) => vec![rowid.clone()],
            None => look.table.columns.iter().filter(|c| c.primary > 0).map(|c| c.name.clone()).collect(),
        };
        for column in unique {
            if !keys.contains(&column) {
                keys.push(column);
            }
        }
        keys
    }

    /// The first and last row id of a range.
    fn ids(&self, look: &Look<'_>, rowid: &str, range: &Range) -> Result<Option<(i64, i64)>> {
        let (condition, parameters) = range.condition(&[rowid]);
        let table = quote(&look.table.name);
        let end = |end: &str| {
            let sql = format!("SELECT {end}({}) FROM {table}{condition}", quote(rowid));
            look.one(&sql, &parameters, |row| row.get::<_, Option<i64>>(0)).map(Option::flatten)
        };
        Ok(end("min")?.zip(end("max")?))
    }

    /// Leases whose transactions begin with each page.
    fn loose(&self, first: Lease, ranges: usize) -> Result<Vec<Lease>> {
        let _ = first.execute_batch("COMMIT");
        let mut leases = vec![first];
        while leases.len() < threads(ranges) {
            leases.push(self.database.reader()?);
        }
        Ok(leases)
    }

    /// Leases in transactions that see one state: nobody committed while they began.
    fn snapshot(&self, first: Lease, ranges: usize) -> Result<Vec<Lease>> {
        let watch = self.database.reader()?;
        let begin = |lease: &Lease| {
            lease.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")
        };
        let _ = first.execute_batch("COMMIT");
        let mut leases = vec![first];
        let mut tries = 0;
        while leases.len() < threads(ranges) {
            leases.push(self.database.reader()?);
        }
        loop {
            let before = data_version(&self.database, &watch)?;
            leases.iter().try_for_each(begin).map_err(|error| failed(&self.database.shown(), error))?;
            if leases.len() == 1 || data_version(&self.database, &watch)? == before {
                return Ok(leases);
            }
            tries += 1;
            leases.truncate(if tries < SNAPSHOT_TRIES { leases.len() } else { 1 });
            for lease in &leases {
                lease.execute_batch("COMMIT").map_err(|error| failed(&self.database.shown(), error))?;
            }
        }
    }
}

#[async_trait]
impl Source for TableSource {
    async fn schema(&self) -> Result<SchemaRef> {
        self.look(|look| Ok(look.selection.schema.clone())).await
    }

    async fn head(&self) -> Result<Position> {
        let inner = self.inner.clone();
        // Before the head: what is committed between the two is then news, and not lost.
        let version = blocking(move || inner.version()).await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        self.look(|look| look.head()).await
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let (from, head) = (from.cloned(), head.clone());
        self.look(move |look| look.plan(from.as_ref(), &head, limit)).await
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        let (inner, unit) = (self.inner.clone(), unit.clone());
        let (query, lanes) = blocking(move || inner.prepare(&unit)).await?;
        Ok(pages::read(query, lanes))
    }

    async fn changed(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let inner = self.inner.clone();
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
            let looked = blocking(move || {
                let Some(seen) = seen else {
                    return Ok((inner.version()?, true));
                };
                let number = data_version(&inner.database, &seen.lease)?;
                let changed = number != seen.number;
                Ok((Version { number, ..seen }, changed))
            });
            // A database that cannot be looked at is no news; the next run says what is wrong with it.
            if let Ok((version, changed)) = looked.await {
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
                if changed {
                    return;
                }
            }
        }
    }
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
fn share_out(leases: Vec<Lease>, ranges: Vec<Range>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = leases.into_iter().map(|lease| Lane { lease, ranges: vec![] }).collect();
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
        for (first, last, rows) in [(1, 1, 1), (-5, 100_000, 100_006), (i64::MIN, i64::MAX, u64::MAX), (7, 16_391, 16_385)] {
            let ranges = split(first, last, rows);
            assert_eq!(ranges[0].lower, Lower::From(Raw::Integer(first)));
            assert_eq!(ranges.last().unwrap().upper, Some(vec![Raw::Integer(last)]));
            for pair in ranges.windows(2) {
                assert_eq!(pair[1].lower, Lower::After(pair[0].upper.clone().unwrap()));
            }
        }
    }
}
