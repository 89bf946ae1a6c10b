//! Reading: by cursor, as a log, or whole.
//!
//! Ranges are decided over the sorted keys of the moment; a key is `[cursor, tie]` or `[offset]`, and a bound
//! remembers a digest of the row that lay there. A whole table is kept as it was when its head was taken.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use arrow::{
    array::UInt64Array, compute::take_record_batch, datatypes::SchemaRef, record_batch::RecordBatch,
    util::display::array_value_to_string,
};
use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use sha2::{Digest, Sha256};

use super::{Step, Store, TableName, cell, decode, store::Table};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{Chunk, CursorSpec, Source, SourceSpec},
    },
    model::{
        column::ColumnType,
        position::{Bound, Position, SourceIdentity},
        unit::{Progress, Scope, SliceLimit, Unit},
        value::Value,
    },
};

/// Rows of one chunk.
const CHUNK_ROWS: usize = 1_000;

/// A table that is read.
pub(super) struct MemorySource {
    store: Arc<Store>,
    table: TableName,
    spec: SourceSpec,
    log: bool,
    /// The store's version at the last `head`.
    seen: AtomicU64,
    /// The whole table as it was at the last `head`.
    snapshot: Mutex<Option<Table>>,
}

/// A row's place in the order of reading.
struct Key {
    at: Vec<Value>,
    row: usize,
}

/// The rows of a table in the order of reading.
struct Ordered {
    rows: RecordBatch,
    keys: Vec<Key>,
}

impl MemorySource {
    pub(super) fn new(store: Arc<Store>, table: TableName, spec: SourceSpec, log: bool) -> Result<Self> {
        let source = Self { store, table, spec, log, seen: AtomicU64::new(0), snapshot: Mutex::new(None) };
        let found = source.store.table(&source.table)?;
        decode::schema(&source.spec, &found.schema)?;
        source.identity(&found)?;
        Ok(source)
    }

    fn whole(&self) -> bool {
        self.spec.whole || (self.spec.cursor.is_none() && !self.log)
    }

    fn identity(&self, table: &Table) -> Result<SourceIdentity> {
        let kind_of = |column: &str| match table.schema.field_with_name(column) {
            Ok(field) => Ok(ColumnType::of(field.data_type())),
            Err(_) => Err(self.error(ErrorKind::NotFound, &format!("no column \"{column}\" to order it by"))),
        };
        let order = match &self.spec.cursor {
            Some(CursorSpec { column, tie: None, .. }) => format!("{column} {}", kind_of(column)?),
            Some(CursorSpec { column, tie: Some(tie), .. }) => {
                format!("{column} {}, {tie} {}", kind_of(column)?, kind_of(tie)?)
            }
            None if !self.whole() => "offset".to_owned(),
            None => "version".to_owned(),
        };
        let place = format!("{}/{}/{}", self.spec.connection, self.table.schema, self.table.table);
        Ok(SourceIdentity { kind: "memory".to_owned(), place, order })
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        let (table, connection) = (&self.spec.table, &self.spec.connection);
        Error::new(kind, format!("table \"{table}\" of connection \"{connection}\": {what}"))
    }

    fn ordered(&self, table: &Table) -> Result<Ordered> {
        let rows = table.whole()?;
        let Some(cursor) = &self.spec.cursor else {
            let key = |row| Key { at: vec![Value::Int(row as i64 + 1)], row };
            return Ok(Ordered { keys: (0..rows.num_rows()).map(key).collect(), rows });
        };
        let mut columns = vec![];
        for name in std::iter::once(&cursor.column).chain(&cursor.tie) {
            let column = rows.column_by_name(name);
            let column =
                column.ok_or_else(|| self.error(ErrorKind::NotFound, &format!("no column \"{name}\"")))?;
            let values = cell::values(column)?;
            if values.contains(&Value::Null) {
                return Err(
                    self.error(ErrorKind::BadData, &format!("NULL in the cursor's column \"{name}\""))
                );
            }
            columns.push(values);
        }
        let key = |row: usize| Key { at: columns.iter().map(|column| column[row].clone()).collect(), row };
        let mut keys: Vec<Key> = (0..rows.num_rows()).map(key).collect();
        keys.sort_by(|a, b| compare(&a.at, &b.at));
        if let Some(start) = &cursor.start {
            keys.retain(|key| key.at[0].compare(start).is_some_and(std::cmp::Ordering::is_ge));
        }
        Ok(Ordered { rows, keys })
    }

    /// Refuses a position that this table cannot continue.
    fn check(&self, table: &Table, ordered: &Ordered, from: &Position) -> Result<()> {
        if from.source != self.identity(table)? {
            return Err(self.error(ErrorKind::SourceChanged, "the position belongs to another source"));
        }
        let Some(bound) = from.bound() else {
            return Ok(());
        };
        let last = ordered.keys.last();
        if last.is_none_or(|last| compare(&last.at, &bound.at).is_lt()) {
            return Err(self.error(ErrorKind::SourceChanged, &format!("it ends before the position {from}")));
        }
        let there = ordered.keys.iter().find(|key| compare(&key.at, &bound.at).is_eq());
        match (there, &bound.witness) {
            (Some(key), Some(witness)) if digest(&ordered.rows, key.row)? != *witness => {
                let what = format!("another row lies at the position {from}: the table was made again");
                Err(self.error(ErrorKind::SourceChanged, &what))
            }
            _ => Ok(()),
        }
    }

    /// Keys after `from` (less the overlap) up to and with `to`, and how many of them are read again.
    fn range<'a>(
        &self,
        ordered: &'a Ordered,
        from: Option<&Bound>,
        to: &Bound,
    ) -> Result<(&'a [Key], usize)> {
        let until = ordered.keys.partition_point(|key| compare(&key.at, &to.at).is_le());
        let Some(from) = from else {
            return Ok((&ordered.keys[..until], 0));
        };
        let fresh = ordered.keys.partition_point(|key| compare(&key.at, &from.at).is_le());
        let mut first = fresh;
        if let Some(overlap) = self.spec.cursor.as_ref().and_then(|cursor| cursor.overlap) {
            let low = cell::before(&from.at[0], overlap);
            let low =
                low.ok_or_else(|| self.error(ErrorKind::Unsupported, "the overlap does not fit the cursor"))?;
            first = ordered
                .keys
                .partition_point(|key| key.at[0].compare(&low).is_some_and(std::cmp::Ordering::is_lt));
        }
        let first = first.min(fresh).min(until);
        Ok((&ordered.keys[first..until], fresh.min(until) - first))
    }

    fn bound(ordered: &Ordered, key: &Key) -> Result<Bound> {
        let first = ordered.keys.iter().find(|other| compare(&other.at, &key.at).is_eq()).unwrap_or(key);
        Ok(Bound { at: key.at.clone(), witness: Some(digest(&ordered.rows, first.row)?) })
    }

    fn plan_range(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        let table = self.store.table(&self.table)?;
        let ordered = self.ordered(&table)?;
        if let Some(from) = from {
            self.check(&table, &ordered, from)?;
        }
        let Some(end) = head.bound() else {
            return Ok(None);
        };
        let (keys, again) = self.range(&ordered, from.and_then(Position::bound), end)?;
        let fresh = &keys[again..];
        let row_bytes = (ordered.rows.get_array_memory_size() / ordered.rows.num_rows().max(1)).max(1) as u64;
        let most = usize::try_from(limit.rows.min(limit.bytes / row_bytes)).unwrap_or(usize::MAX).max(1);
        let Some(last) = fresh.get(most.min(fresh.len()).wrapping_sub(1)) else {
            return Ok(None);
        };
        let count = fresh.partition_point(|key| compare(&key.at, &last.at).is_le());
        let after = Position::single(self.identity(&table)?, Some(Self::bound(&ordered, last)?));
        Ok(Some(Unit {
            scope: Scope::Slice { from: from.cloned() },
            after: Progress::Position(after),
            schema: decode::schema(&self.spec, &table.schema)?,
            rows: Some((again + count) as u64),
            about: None,
        }))
    }

    fn plan_whole(&self, from: Option<&Position>, head: &Position) -> Result<Option<Unit>> {
        let table = self.kept(head)?;
        if from == Some(head) {
            return Ok(None);
        }
        if from.is_some_and(|from| from.source != head.source) {
            return Err(self.error(ErrorKind::SourceChanged, "the position belongs to another source"));
        }
        Ok(Some(Unit {
            scope: Scope::Snapshot,
            after: Progress::Position(head.clone()),
            schema: decode::schema(&self.spec, &table.schema)?,
            rows: Some(table.rows() as u64),
            about: None,
        }))
    }

    /// The table as it was when this head was taken.
    fn kept(&self, head: &Position) -> Result<Table> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = snapshot.as_ref().filter(|table| head.bound() == Some(&version(table)));
        kept.cloned()
            .ok_or_else(|| self.error(ErrorKind::SourceChanged, "that state of it is no longer kept"))
    }

    /// The rows of a unit, in the order of reading.
    fn rows_of(&self, unit: &Unit) -> Result<RecordBatch> {
        let Some(to) = unit.after.position() else {
            return Err(self.error(ErrorKind::Internal, "a unit without position"));
        };
        let Scope::Slice { from } = &unit.scope else {
            return self.kept(to)?.whole();
        };
        let table = self.store.table(&self.table)?;
        if to.source != self.identity(&table)? {
            return Err(self.error(ErrorKind::SourceChanged, "the unit belongs to another source"));
        }
        let ordered = self.ordered(&table)?;
        let end = to.bound().ok_or_else(|| self.error(ErrorKind::Internal, "a slice without an end"))?;
        let (keys, _) = self.range(&ordered, from.as_ref().and_then(Position::bound), end)?;
        let rows = UInt64Array::from_iter_values(keys.iter().map(|key| key.row as u64));
        Ok(take_record_batch(&ordered.rows, &rows)?)
    }
}

fn version(table: &Table) -> Bound {
    Bound::at(vec![Value::Int(table.version as i64)])
}

/// Keys of one source have one shape, so their values compare.
fn compare(a: &[Value], b: &[Value]) -> std::cmp::Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| a.compare(b).unwrap_or(std::cmp::Ordering::Equal));
    orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

fn digest(rows: &RecordBatch, row: usize) -> Result<String> {
    let mut hash = Sha256::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        // A column that was added later is NULL in old rows: it must not make them other rows.
        if column.is_valid(row) {
            hash.update(field.name());
            hash.update([0]);
            hash.update(array_value_to_string(column, row)?);
            hash.update([0]);
        }
    }
    let start: [u8; 8] = hash.finalize()[..8].try_into().unwrap_or_default();
    Ok(format!("{:016x}", u64::from_be_bytes(start)))
}

#[async_trait]
impl Source for MemorySource {
    async fn schema(&self) -> Result<SchemaRef> {
        decode::schema(&self.spec, &self.store.table(&self.table)?.schema)
    }

    async fn head(&self) -> Result<Position> {
        self.store.trip(Step::Head)?;
        self.seen.store(*self.store.watch().borrow(), Ordering::SeqCst);
        let table = self.store.table(&self.table)?;
        let identity = self.identity(&table)?;
        if self.whole() {
            let head = Position::single(identity, Some(version(&table)));
            *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(table);
            return Ok(head);
        }
        let ordered = self.ordered(&table)?;
        let last = ordered.keys.last().map(|last| Self::bound(&ordered, last)).transpose()?;
        Ok(Position::single(identity, last))
    }

    async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        if self.whole() { self.plan_whole(from, head) } else { self.plan_range(from, head, limit) }
    }

    async fn read(&self, unit: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
        self.store.trip(Step::Read)?;
        let (rows, pinned, spec) = (self.rows_of(unit)?, unit.schema.clone(), self.spec.clone());
        let count = rows.num_rows();
        let chunk = move |first: usize| {
            let part = rows.slice(first, CHUNK_ROWS.min(count - first));
            decode::decode(&spec, &part, &pinned, first as u64)
        };
        Ok(stream::iter((0..count).step_by(CHUNK_ROWS)).map(chunk).boxed())
    }

    async fn changed(&self) {
        let seen = self.seen.load(Ordering::SeqCst);
        // The sender lives in the store, which this source holds: waiting cannot fail.
        let _ = self.store.watch().wait_for(|version| *version > seen).await;
    }
}
