//! Where a table ends, and where the next slice ends: by seeks and walks over its keys, before any row is read.

use std::ops::Deref;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value as Raw};

use super::{
    cursor::{Key, compare},
    database::Database,
    error::failed,
    name::{OFFSET, nearest, quote, quote_all},
    range::{Lower, Range, order_by},
    selection::{Selection, missing},
    table::Table,
};
use crate::{
    connector::{
        cursor::{check_identity, generation, identity, slice, snapshot},
        error::{Error, ErrorKind, Result},
        source::SourceSpec,
    },
    model::{
        position::{Bound, Position, SourceIdentity},
        unit::{Scope, SliceLimit, Unit},
        value::Value,
    },
};

/// Rows whose bytes are looked at to guess how many fill a slice.
const SAMPLE: u64 = 64;

/// What a source is told to read, and where.
pub(super) struct Reading<'a> {
    pub(super) database: &'a Database,
    pub(super) spec: &'a SourceSpec,
    /// Whether the table is a log.
    pub(super) log: bool,
}

/// A table as it is in one short transaction: everything that is asked sees the same rows.
pub(super) struct Look<'a> {
    reading: Reading<'a>,
    connection: &'a Connection,
    pub(super) table: Table,
    pub(super) selection: Selection,
    /// What orders rows: cursor and tie, or the offset; nothing for whole tables.
    pub(super) keys: Vec<Key>,
}

impl<'a> Deref for Look<'a> {
    type Target = Reading<'a>;

    fn deref(&self) -> &Reading<'a> {
        &self.reading
    }
}

impl<'a> Look<'a> {
    /// Begins a read transaction (unless one is open) and resolves what is to be read.
    pub(super) fn begin(reading: Reading<'a>, connection: &'a Connection) -> Result<Self> {
        let Reading { database, spec, log } = reading;
        let shown = database.table_shown(&spec.table);
        let failed = |error| failed(&shown, error);
        if connection.is_autocommit() {
            connection.execute_batch("BEGIN").map_err(failed)?;
        }
        let found = Table::find(connection, &spec.table).map_err(failed)?;
        let Some(table) = found.filter(|table| table.name == spec.table) else {
            return Err(no_table(database, connection, &spec.table));
        };
        let hidden = log.then_some(OFFSET);
        let selection = Selection::of(database, &table, spec.contract.as_ref(), spec.zone, hidden)?;
        let keys = keys(&reading, &table, &selection)?;
        Ok(Self { reading, connection, table, selection, keys })
    }

    pub(super) fn shown(&self) -> String {
        self.database.table_shown(&self.spec.table)
    }

    /// What positions in this source are positions in.
    pub(super) fn identity(&self) -> SourceIdentity {
        let place = format!("{} {}", self.database.spelled, self.table.name);
        identity("sqlite", place, self.keys.iter().map(Deref::deref))
    }

    /// Where the table ends now.
    pub(super) fn head(&self) -> Result<Position> {
        if self.keys.is_empty() {
            return Ok(generation(self.identity()));
        }
        self.check_nulls()?;
        let bound = self.last()?.map(|last| self.bound(&last)).transpose()?;
        Ok(Position::single(self.identity(), bound))
    }

    /// The next unit.
    pub(super) fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        check_identity(from, head, &self.identity())?;
        let schema = self.selection.schema.clone();
        if self.keys.is_empty() {
            let rows = if from == Some(head) { return Ok(None) } else { self.count(&Range::ALL)? };
            return Ok(Some(snapshot(head, schema, Some(rows))));
        }
        let from_bound = from.and_then(Position::bound);
        let begin = from_bound.map(|bound| self.tuple(bound)).transpose()?;
        if let (Some(begin), Some(bound)) = (&begin, from_bound) {
            self.check_shrunk(begin)?;
            self.check_witness(begin, bound)?;
        }
        let Some(head_bound) = head.bound() else {
            return Ok(None);
        };
        let end = self.tuple(head_bound)?;
        let range = Range { lower: self.lower(begin.as_deref())?, upper: Some(end.clone()) };
        let most = self.rows_in(&range, limit)?;
        let (after, known) = match self.nth(&range, most)? {
            Some(tuple) if compare(&tuple, &end).is_lt() => {
                let after = Position::single(self.identity(), Some(self.bound(&tuple)?));
                (after, self.tells_apart().then_some(most))
            }
            _ => (head.clone(), None),
        };
        let upper = after.bound().map(|bound| self.tuple(bound)).transpose()?.unwrap_or(end);
        let count = || self.count(&Range { lower: range.lower, upper: Some(upper) });
        let rows = known.map_or_else(count, Ok)?;
        let late = self.overlaps() && after == *head && self.has_late_rows(from_bound, head_bound);
        if rows == 0 && !late {
            return Ok(None);
        }
        Ok(Some(slice(from, after, schema, (!self.overlaps()).then_some(rows))))
    }

    /// The rows of a unit.
    pub(super) fn range(&self, unit: &Unit) -> Result<Range> {
        let Scope::Slice { from } = &unit.scope else {
            return Ok(Range::ALL);
        };
        let upper = unit.after.position().and_then(Position::bound);
        let upper = upper.map(|bound| self.tuple(bound)).transpose()?;
        let begin = from.as_ref().and_then(Position::bound).map(|bound| self.tuple(bound)).transpose()?;
        let overlap = begin.as_deref().map_or(Ok(None), |begin| self.overlap_lower(begin))?;
        let lower = overlap.map_or_else(|| self.lower(begin.as_deref()), Ok)?;
        Ok(Range { lower, upper })
    }

    /// Where rows behind a tuple begin; without one, where the source begins.
    fn lower(&self, begin: Option<&[Raw]>) -> Result<Lower> {
        if let Some(begin) = begin {
            return Ok(Lower::After(begin.to_vec()));
        }
        let Some(start) = self.spec.cursor.as_ref().and_then(|cursor| cursor.start.as_ref()) else {
            return Ok(Lower::Open);
        };
        let like = self.last()?;
        Ok(Lower::From(self.keys[0].raw(start, like.as_ref().map(|last| &last[0]))?))
    }

    /// Where the overlap before a tuple begins, but not before the source's start.
    pub(super) fn overlap_lower(&self, at: &[Raw]) -> Result<Option<Lower>> {
        let Some(overlap) = self.spec.cursor.as_ref().and_then(|cursor| cursor.overlap) else {
            return Ok(None);
        };
        let back = self.keys[0].before(&at[0], overlap)?;
        Ok(Some(match self.lower(None)? {
            Lower::From(start)
                if compare(std::slice::from_ref(&back), std::slice::from_ref(&start)).is_lt() =>
            {
                Lower::From(start)
            }
            _ => Lower::From(back),
        }))
    }

    fn overlaps(&self) -> bool {
        self.spec.cursor.as_ref().is_some_and(|cursor| cursor.overlap.is_some())
    }

    fn bound(&self, tuple: &[Raw]) -> Result<Bound> {
        let at = self.keys.iter().zip(tuple).map(|(key, raw)| key.value(raw)).collect::<Result<Vec<_>>>()?;
        Ok(Bound { at, witness: self.witness(tuple)? })
    }

    fn tuple(&self, bound: &Bound) -> Result<Vec<Raw>> {
        let like = if bound.at.iter().any(|value| matches!(value, Value::Timestamp { .. } | Value::Date(_))) {
            self.last()?
        } else {
            None
        };
        let like = |i: usize| like.as_ref().map(|last: &Vec<Raw>| &last[i]);
        self.keys.iter().zip(&bound.at).enumerate().map(|(i, (key, value))| key.raw(value, like(i))).collect()
    }

    /// Whether every row has a key of its own, surely: so that as many rows lie up to the n-th one's.
    fn tells_apart(&self) -> bool {
        matches!(self.keys.as_slice(), [key] if self.table.rowid.as_ref() == Some(&key.column))
    }

    /// Whether rows keep their keys as long as they live.
    pub(super) fn stays(&self) -> bool {
        self.keys.iter().all(|key| key.stays())
    }

    pub(super) fn key_names(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.column.as_str()).collect()
    }

    /// The tuple of the last row.
    fn last(&self) -> Result<Option<Vec<Raw>>> {
        let keys = self.key_names();
        let sql = format!(
            "SELECT {} FROM {}{} LIMIT 1",
            quote_all(keys.iter().copied()),
            quote(&self.table.name),
            order_by(&keys, " DESC"),
        );
        self.one(&sql, &[], |row| tuple_of(row, keys.len()))
    }

    /// The tuple of the `n`th row of a range.
    fn nth(&self, range: &Range, n: u64) -> Result<Option<Vec<Raw>>> {
        let keys = self.key_names();
        let (condition, parameters) = range.condition(&keys);
        let sql = format!(
            "SELECT {} FROM {}{condition}{} LIMIT 1 OFFSET {}",
            quote_all(keys.iter().copied()),
            quote(&self.table.name),
            order_by(&keys, ""),
            n.saturating_sub(1),
        );
        self.one(&sql, &parameters, |row| tuple_of(row, keys.len()))
    }

    /// How many rows a range has. Times must all be spelled alike: otherwise they do not sort as time.
    fn count(&self, range: &Range) -> Result<u64> {
        let (condition, parameters) = range.condition(&self.key_names());
        let table = quote(&self.table.name);
        let spelled = self.keys.first().filter(|key| !key.stays());
        let Some(key) = spelled else {
            let sql = format!("SELECT count(*) FROM {table}{condition}");
            return Ok(self.one(&sql, &parameters, |row| row.get::<_, i64>(0))?.unwrap_or(0).unsigned_abs());
        };
        let column = quote(&key.column);
        // As `shape_of` has it.
        let shape = format!(
            "CASE typeof({column}) WHEN 'text'
               THEN length({column}) || substr({column}, 11, 1) || ltrim(substr({column}, 20), '.0123456789')
             END"
        );
        let sql = format!(
            "SELECT count(*), coalesce(min({shape}), ''), coalesce(max({shape}), '') FROM {table}{condition}"
        );
        let shapes =
            |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        let (rows, one, another) = self.one(&sql, &parameters, shapes)?.unwrap_or_default();
        let upper = match range.upper.as_ref().and_then(|upper| upper.first()) {
            Some(Raw::Text(text)) => shape_of(text),
            _ => another.clone(),
        };
        if one != another || (rows > 0 && upper != another) {
            return Err(key.uneven());
        }
        Ok(rows.unsigned_abs())
    }

    /// How many rows fit a slice, by rows and by the bytes of the first ones.
    fn rows_in(&self, range: &Range, limit: SliceLimit) -> Result<u64> {
        let (condition, parameters) = range.condition(&self.key_names());
        let cells = self
            .selection
            .schema
            .fields()
            .iter()
            .map(|field| format!("8 + coalesce(octet_length({}), 0)", quote(field.name())));
        let sql = format!(
            "SELECT avg(bytes) FROM (SELECT {} AS bytes FROM {}{condition}{} LIMIT {SAMPLE})",
            cells.collect::<Vec<_>>().join(" + "),
            quote(&self.table.name),
            order_by(&self.key_names(), ""),
        );
        let bytes: Option<Option<f64>> = self.one(&sql, &parameters, |row| row.get(0))?;
        Ok(limit.rows_of(bytes.flatten().unwrap_or(1.0)))
    }

    /// A table whose rows end before the position has lost some, or was made again; ids that are never given twice say which.
    fn check_shrunk(&self, begin: &[Raw]) -> Result<()> {
        let [first, ..] = self.keys.as_slice() else {
            return Ok(());
        };
        let last = self.last()?;
        let given = if self.log && last.is_some() {
            // A log is only appended to: where its newest rows are gone, somebody else was at it.
            last
        } else if self.table.autoincrement && self.table.key.as_deref() == Some(&first.column) {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
            let name = [Raw::Text(self.table.name.clone())];
            self.one(sql, &name, |row| row.get::<_, i64>(0))?.map(|seq| vec![Raw::Integer(seq)])
        } else {
            last
        };
        if given.is_some_and(|given| compare(&given, begin).is_ge()) {
            return Ok(());
        }
        let message = format!(
            "{} ends before the position: it was made again, or its newest rows were deleted",
            self.shown()
        );
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    fn check_nulls(&self) -> Result<()> {
        let nullable = |key: &&Key| self.table.column(&key.column).is_some_and(|column| !column.not_null);
        for key in self.keys.iter().filter(nullable) {
            let sql = format!(
                "SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1",
                quote(&self.table.name),
                quote(&key.column)
            );
            if self.one(&sql, &[], |row| row.get::<_, i64>(0))?.is_some() {
                return Err(key.cell(&Raw::Null));
            }
        }
        Ok(())
    }

    /// The first row of a query.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        parameters: &[Raw],
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let query =
            || self.connection.prepare_cached(sql)?.query_row(params_from_iter(parameters), read).optional();
        query().map_err(|error| failed(&self.shown(), error))
    }

    /// The rows of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        parameters: &[Raw],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let query = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(params_from_iter(parameters), read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        query().map_err(|error| failed(&self.shown(), error))
    }
}

/// How a time is spelled: how long it is, what divides day and time, and its zone.
fn shape_of(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let zone: String = letters.iter().skip(19).collect();
    let zone = zone.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    format!("{}{}{zone}", letters.len(), letters.get(10).map_or(String::new(), char::to_string))
}

fn tuple_of(row: &Row<'_>, keys: usize) -> rusqlite::Result<Vec<Raw>> {
    (0..keys).map(|i| row.get(i)).collect()
}

fn keys(reading: &Reading<'_>, table: &Table, selection: &Selection) -> Result<Vec<Key>> {
    let Reading { database, spec, log } = reading;
    let shown = database.table_shown(&spec.table);
    if *log {
        if table.key.as_deref() == Some(OFFSET) && table.autoincrement {
            return Ok(if spec.whole { vec![] } else { vec![Key::row_id(OFFSET, &shown)] });
        }
        let message =
            format!("{shown} is no log: it has no column `{OFFSET} INTEGER PRIMARY KEY AUTOINCREMENT`");
        return Err(Error::new(ErrorKind::Unsupported, message)
            .hint("take `log = true` off the connection and read the table by a cursor"));
    }
    let Some(cursor) = &spec.cursor else {
        return Ok(vec![]);
    };
    let listed =
        |name: &str| spec.contract.as_ref().is_some_and(|contract| contract.columns.contains_key(name));
    let mut keys = vec![];
    for name in std::iter::once(&cursor.column).chain(&cursor.tie) {
        let Some(column) = table.column(name) else {
            let row_id = ["rowid", "_rowid_", "oid"].contains(&name.to_ascii_lowercase().as_str());
            let Some(rowid) = table.rowid.as_ref().filter(|_| row_id) else {
                return Err(missing(database, table, name));
            };
            keys.push(Key::row_id(rowid, &shown));
            continue;
        };
        let read_as =
            selection.schema.field_with_name(name).map_or(&column.data_type, |field| field.data_type());
        keys.push(Key::of(table, name, read_as, listed(name), &shown)?);
    }
    Ok(keys)
}

/// The error of a table that is not there, with the nearest that is.
pub(super) fn no_table(database: &Database, connection: &Connection, table: &str) -> Error {
    let message = format!("table \"{table}\" does not exist in {}", database.shown());
    let error = Error::new(ErrorKind::NotFound, message);
    let names = Table::names(connection).unwrap_or_default();
    match nearest(table, names.iter().map(String::as_str)) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
