//! Rows by pages: each page is a short read transaction of its own, decoded to the end before it is handed on,
//! so that a slow sink never keeps a writer of the source waiting.
//!
//! Ranges of row ids are read by several threads at once and put back into order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::UInt64Array;
use futures::{StreamExt, stream::BoxStream};
use rusqlite::{Connection, InterruptHandle, Row, params_from_iter, types::Value as Raw, types::ValueRef};
use serde_json::{Map, Value as Json};
use tokio::sync::mpsc;

use super::{
    database::Lease,
    error::failed,
    name::{quote, quote_all},
    range::{Lower, Range, order_by},
    selection::Selection,
    sink::Shared,
};
use crate::connector::{
    cells::{Cell, RowDecoder, cell_as_json},
    error::{Error, ErrorKind, Result},
    source::{BadRow, Chunk},
};

/// Rows of a page.
pub(super) const PAGE_ROWS: u64 = 16_384;
/// Bytes after which a page ends early.
const PAGE_BYTES: usize = 8 << 20;
/// Pages that a thread reads ahead.
const AHEAD: usize = 2;

/// What is read: columns of a table, in the order of its keys.
pub(super) struct Query {
    /// As SQL names it.
    pub(super) table: String,
    /// How messages name the table.
    pub(super) shown: String,
    pub(super) selection: Selection,
    /// Columns that order rows and tell them apart; none = in whatever order, in one go.
    pub(super) keys: Vec<String>,
    /// Columns that find a row again: the row id, or the primary key; none in views.
    pub(super) row: Vec<String>,
    /// Whether there is an index for that order, so that it can be read page by page.
    pub(super) pages: bool,
    /// More conditions, and their parameters.
    pub(super) filter: Option<(String, Vec<Raw>)>,
    /// Rows at most.
    pub(super) limit: Option<u64>,
    /// A statement in the place of all that, and its parameters: it gives the columns of the selection.
    pub(super) whole: Option<(String, Vec<Raw>)>,
}

/// One thread's share: every n-th of the ranges.
pub(super) struct Lane {
    pub(super) held: Held,
    pub(super) ranges: Vec<Range>,
}

/// A connection to read on.
pub(super) enum Held {
    /// To a database.
    Lease(Lease),
    /// To one state of a database, which is held longer than it is read.
    Pinned(Arc<Mutex<Lease>>),
    /// To rows that are staged.
    Stage(Shared),
}

impl Held {
    fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        match self {
            Self::Lease(lease) => work(lease),
            Self::Pinned(lease) => work(&lease.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::Stage(stage) => work(stage.lock().connection()),
        }
    }
}

enum Message {
    Chunk(Chunk),
    RangeEnds,
}

/// Reads the lanes' ranges in turn: the first of each lane, then the second of each.
pub(super) fn read(query: Query, lanes: Vec<Lane>) -> BoxStream<'static, Result<Chunk>> {
    let query = Arc::new(query);
    let ranges = lanes.iter().map(|lane| lane.ranges.len()).sum();
    let mut state = Ordered { lanes: vec![], range: 0, ranges, base: 0, stops: vec![] };
    for lane in lanes {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let stop = Working::default();
        state.lanes.push(receiver);
        state.stops.push(Stop(stop.clone()));
        let query = query.clone();
        tokio::task::spawn_blocking(move || run_lane(&query, lane, &sender, &stop));
    }
    futures::stream::try_unfold(state, |mut state| async move {
        Ok(state.next().await?.map(|chunk| (chunk, state)))
    })
    .boxed()
}

/// Chunks of several lanes in the order of their ranges.
struct Ordered {
    lanes: Vec<mpsc::Receiver<Result<Message>>>,
    range: usize,
    ranges: usize,
    base: u64,
    /// Dropped with the stream: stops what still runs.
    stops: Vec<Stop>,
}

impl Ordered {
    async fn next(&mut self) -> Result<Option<Chunk>> {
        while self.range < self.ranges {
            let lane = self.range % self.lanes.len();
            match self.lanes[lane].recv().await {
                Some(Ok(Message::Chunk(chunk))) => return Ok(Some(self.numbered(chunk))),
                Some(Ok(Message::RangeEnds)) => self.range += 1,
                Some(Err(error)) => return Err(error),
                None => {
                    return Err(Error::new(ErrorKind::Internal, "a reader of the sqlite connector stopped"));
                }
            }
        }
        self.stops.clear();
        Ok(None)
    }

    /// Chunks are numbered from 0 by themselves; here each goes on where the last ended.
    fn numbered(&mut self, mut chunk: Chunk) -> Chunk {
        let base = self.base;
        self.base += (chunk.batch.num_rows() + chunk.bad.len()) as u64;
        if base > 0 {
            chunk.ordinals = UInt64Array::from_iter_values(chunk.ordinals.values().iter().map(|n| n + base));
            chunk.bad.iter_mut().for_each(|bad| bad.ordinal += base);
        }
        chunk
    }
}

/// What interrupts a lane's statement, while it has the connection to itself: before and after, the connection may be another's.
#[derive(Clone, Default)]
struct Working(Arc<Mutex<Option<InterruptHandle>>>);

impl Working {
    /// Does this work, which may be interrupted meanwhile.
    fn on<T>(&self, connection: &Connection, work: impl FnOnce() -> T) -> T {
        *self.handle() = Some(connection.get_interrupt_handle());
        let done = work();
        *self.handle() = None;
        done
    }

    fn handle(&self) -> MutexGuard<'_, Option<InterruptHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Interrupts a lane that still works when it is dropped.
struct Stop(Working);

impl Drop for Stop {
    fn drop(&mut self) {
        if let Some(handle) = self.0.handle().as_ref() {
            handle.interrupt();
        }
    }
}

fn run_lane(query: &Query, lane: Lane, sender: &mpsc::Sender<Result<Message>>, stop: &Working) {
    let send = |message| sender.blocking_send(message).is_ok();
    let mut result = Ok(true);
    for range in lane.ranges {
        let hand_on = &mut |chunk| send(Ok(Message::Chunk(chunk)));
        result = lane
            .held
            .with(|connection| stop.on(connection, || read_range(query, connection, range, hand_on)));
        if !matches!(result, Ok(true)) || !send(Ok(Message::RangeEnds)) {
            break;
        }
    }
    drop(lane.held);
    if let Err(error) = result {
        send(Err(error));
    }
}

/// Hands on the chunks of one range; false = nobody wants them any more.
fn read_range(
    query: &Query,
    connection: &Connection,
    range: Range,
    send: &mut dyn FnMut(Chunk) -> bool,
) -> Result<bool> {
    let selection = &query.selection;
    let mut decoder = RowDecoder::new(selection.schema.clone(), selection.rules.clone())?;
    let mut page =
        Page { query, connection, left: query.limit.unwrap_or(u64::MAX), last: None, wanted: true };
    let mut next = Some(range);
    while let Some(range) = next.take() {
        page.read(&range, &mut decoder, send)?;
        if decoder.rows() > 0 && page.wanted {
            page.wanted = send(decoder.finish()?);
        }
        if let Some(last) = page.last.take().filter(|_| page.wanted && page.left > 0) {
            next = Some(Range { lower: Lower::After(last), upper: range.upper });
        }
    }
    Ok(page.wanted)
}

struct Page<'a> {
    query: &'a Query,
    connection: &'a Connection,
    /// Rows that may still come.
    left: u64,
    /// The keys of the last row, where more may follow.
    last: Option<Vec<Raw>>,
    wanted: bool,
}

impl Page<'_> {
    fn read(
        &mut self,
        range: &Range,
        decoder: &mut RowDecoder,
        send: &mut dyn FnMut(Chunk) -> bool,
    ) -> Result<()> {
        let query = self.query;
        let failed = |error| failed(&query.shown, error);
        let (sql, parameters) = query.sql(range, self.left);
        let mut statement = self.connection.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(&parameters)).map_err(failed)?;
        let mut taken = 0_u64;
        while let Some(row) = rows.next().map_err(failed)? {
            query.take(self.connection, row, taken, decoder).map_err(failed)?;
            taken += 1;
            self.left -= 1;
            let full = taken == PAGE_ROWS || decoder.bytes() >= PAGE_BYTES;
            if full && query.pages {
                self.last = Some(query.keys_of(row).map_err(failed)?);
                return Ok(());
            }
            if full {
                taken = 0;
                self.wanted = send(decoder.finish()?);
                if !self.wanted {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Query {
    /// What is sent for a page of a range, and its parameters.
    pub(super) fn sql(&self, range: &Range, left: u64) -> (String, Vec<Raw>) {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let (mut condition, mut parameters) = range.condition(&keys);
        if let Some((filter, more)) = &self.filter {
            condition.push_str(if condition.is_empty() { " WHERE " } else { " AND " });
            condition.push_str(filter);
            parameters.extend_from_slice(more);
        }
        let columns: Vec<&str> = self.selected().collect();
        let columns = if columns.is_empty() { "1".to_owned() } else { quote_all(columns) };
        let at_most = match (self.pages, self.limit) {
            (true, _) => format!(" LIMIT {}", left.min(PAGE_ROWS)),
            (false, Some(_)) => format!(" LIMIT {left}"),
            (false, None) => String::new(),
        };
        let order = order_by(&keys, "");
        (format!("SELECT {columns} FROM {}{condition}{order}{at_most}", self.table), parameters)
    }

    /// Whether SQLite finds the rows in order without sorting them.
    pub(super) fn finds_order(&self, connection: &Connection, range: &Range) -> rusqlite::Result<bool> {
        if self.keys.is_empty() {
            return Ok(false);
        }
        let (sql, parameters) = self.sql(range, PAGE_ROWS);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let mut rows = statement.query(params_from_iter(&parameters))?;
        while let Some(row) = rows.next()? {
            if row.get_ref(3)?.as_str().is_ok_and(|detail| detail.contains("TEMP B-TREE")) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The schema's columns, what else every row needs, and the keys for the next page.
    fn selected(&self) -> impl Iterator<Item = &str> {
        let selection = &self.selection;
        let fields = selection.schema.fields().iter().map(|field| field.name().as_str());
        let others: &[String] = if selection.refuses { &selection.others } else { &[] };
        let rows: &[String] = if self.completes() { &self.row } else { &[] };
        let keys: &[String] = if self.pages { &self.keys } else { &[] };
        let keys = keys.iter().filter(|key| selection.schema.index_of(key).is_err());
        fields.chain(others.iter().chain(rows).chain(keys).map(String::as_str))
    }

    /// Whether bad rows are looked up once more, for the columns that are not read.
    fn completes(&self) -> bool {
        !self.selection.refuses && !self.selection.others.is_empty() && !self.row.is_empty()
    }

    #[inline]
    fn take(
        &self,
        connection: &Connection,
        row: &Row<'_>,
        number: u64,
        decoder: &mut RowDecoder,
    ) -> rusqlite::Result<()> {
        if self.selection.refuses {
            decoder.refuse(self.refused(row, number));
        } else if !decoder.push(number, |i| cell(row.get_ref_unwrap(i))) && self.completes() {
            let others = self.other_cells(connection, row)?;
            decoder.complete(others);
        }
        Ok(())
    }

    fn refused(&self, row: &Row<'_>, ordinal: u64) -> BadRow {
        let others = &self.selection.others;
        let fields = self.selection.schema.fields().iter().map(|field| field.name());
        let cells = fields.chain(others).enumerate();
        BadRow {
            ordinal,
            column: others.first().cloned(),
            reason: "the column is not in the contract".to_owned(),
            row: cells.map(|(i, name)| (name.clone(), cell_as_json(cell(row.get_ref_unwrap(i))))).collect(),
        }
    }

    /// The cells of a bad row that are not read otherwise: the dead letter keeps the row whole.
    #[cold]
    fn other_cells(&self, connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Map<String, Json>> {
        let before = self.selection.schema.fields().len();
        let found: Vec<Raw> = (0..self.row.len()).map(|i| row.get(before + i)).collect::<Result<_, _>>()?;
        let terms: Vec<String> = self.row.iter().map(|name| format!("{} IS ?", quote(name))).collect();
        let others = &self.selection.others;
        let columns = quote_all(others.iter().map(String::as_str));
        let sql = format!("SELECT {columns} FROM {} WHERE {}", self.table, terms.join(" AND "));
        connection.prepare_cached(&sql)?.query_row(params_from_iter(found), |row| {
            let pair =
                |(i, name): (usize, &String)| (name.clone(), cell_as_json(cell(row.get_ref_unwrap(i))));
            Ok(others.iter().enumerate().map(pair).collect())
        })
    }

    fn keys_of(&self, row: &Row<'_>) -> rusqlite::Result<Vec<Raw>> {
        let place = |key| self.selected().position(|column| column == key).expect("every key is selected");
        self.keys.iter().map(|key| row.get(place(key))).collect()
    }
}

#[inline]
fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Cell::NotUtf8(text), Cell::Text),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that a statement gives, where the reader is left behind the first.
    fn rows_of(connection: &Connection, stop: Stop) -> rusqlite::Result<usize> {
        let mut statement = connection
            .prepare("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n")?;
        let mut rows = statement.query([])?;
        let mut found = usize::from(rows.next()?.is_some());
        drop(stop);
        while rows.next()?.is_some() {
            found += 1;
        }
        Ok(found)
    }

    /// A connection that is held for several readers: the statement of the next one goes on, whoever before is left.
    #[test]
    fn who_is_left_interrupts_nobody_else() {
        let connection = Connection::open_in_memory().unwrap();
        let working = Working::default();
        let error = working.on(&connection, || rows_of(&connection, Stop(working.clone()))).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
        assert_eq!(rows_of(&connection, Stop(working.clone())).unwrap(), 5);
    }
}
