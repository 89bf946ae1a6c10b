//! Where a table ends, and where the next slice ends: by seeks and walks over its keys, before any row is read.

use super::{
    client::{Lease, Row, Server},
    error::failed,
    key::Key,
    name::{nearest, quote},
    selection::{Selection, missing},
    table::Table,
    types::Kind,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::SourceSpec,
    },
    model::{
        name::AttemptId,
        position::{Bound, Position, SourceIdentity},
        unit::{Progress, Scope, SliceLimit, Unit},
        value::Value,
    },
};

/// Rows whose bytes are looked at to guess how many fill a slice.
const SAMPLE: u64 = 64;

/// A table as it is in one transaction of a session: everything that is asked sees the same rows.
pub(crate) struct Look<'a> {
    pub(crate) lease: &'a Lease,
    spec: &'a SourceSpec,
    pub(crate) table: Table,
    pub(crate) selection: Selection,
    /// What orders rows: cursor and tie; nothing for whole tables.
    pub(crate) keys: Vec<Key>,
}

/// A range of rows, as conditions over its keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Range {
    lower: Option<String>,
    upper: Option<String>,
}

impl Range {
    /// What follows the table's name in a query.
    pub(crate) fn condition(&self) -> String {
        let parts: Vec<&str> = self.lower.iter().chain(&self.upper).map(String::as_str).collect();
        if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) }
    }
}

impl<'a> Look<'a> {
    /// Resolves what is to be read. The session should be in a transaction.
    pub(crate) async fn begin(lease: &'a Lease, spec: &'a SourceSpec) -> Result<Self> {
        let server = &lease.server;
        let schema = spec.schema.as_deref().unwrap_or(&server.config.schema);
        let shown = server.table_shown(schema, &spec.table);
        let found = Table::find(lease, schema, &spec.table).await.map_err(|error| failed(&shown, error))?;
        let Some(table) = found else {
            return Err(no_table(lease, server, schema, &spec.table).await);
        };
        let selection = Selection::of(server, &table, spec)?;
        let mut keys = vec![];
        let cursor = spec.cursor.iter().filter(|_| !spec.whole);
        for name in cursor.flat_map(|cursor| std::iter::once(&cursor.column).chain(&cursor.tie)) {
            let column = table.column(name).ok_or_else(|| missing(&shown, &table, name))?;
            keys.push(Key::of(column, &shown)?);
        }
        Ok(Self { lease, spec, table, selection, keys })
    }

    pub(crate) fn shown(&self) -> String {
        self.lease.server.table_shown(&self.table.schema, &self.table.name)
    }

    /// What positions in this source are positions in.
    pub(crate) fn identity(&self) -> SourceIdentity {
        let order = match self.keys.as_slice() {
            [] => "whole".to_owned(),
            keys => keys.iter().map(Key::identity).collect::<Vec<_>>().join(", "),
        };
        let place = format!("{} {}", self.lease.server.config.database, self.table.sql());
        SourceIdentity { kind: self.lease.server.dialect.kind().to_owned(), place, order }
    }

    /// Where the table ends now.
    pub(crate) async fn head(&self) -> Result<Position> {
        if self.keys.is_empty() {
            // A whole table is another generation every time.
            let at = vec![Value::Text(AttemptId::fresh().to_string())];
            return Ok(Position::single(self.identity(), Some(Bound::at(at))));
        }
        self.check_nulls().await?;
        let bound = match self.last().await? {
            Some(at) => Some(self.bound(at).await?),
            None => None,
        };
        Ok(Position::single(self.identity(), bound))
    }

    /// The next unit.
    pub(crate) async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
    ) -> Result<Option<Unit>> {
        self.check_identity(head)?;
        from.map_or(Ok(()), |from| self.check_identity(from))?;
        if self.keys.is_empty() {
            return if from == Some(head) { Ok(None) } else { self.snapshot(head).await.map(Some) };
        }
        let begin = from.and_then(Position::bound);
        if let Some(begin) = begin {
            self.check_shrunk(begin).await?;
            self.check_witness(begin).await?;
        }
        let Some(end) = head.bound() else {
            return Ok(None);
        };
        let range = Range { lower: self.lower(begin)?, upper: Some(self.compared("<=", &end.at)?) };
        let after = match self.nth(&range, self.rows_in(&range, limit).await?).await? {
            Some(at) if at != end.at => Position::single(self.identity(), Some(self.bound(at).await?)),
            _ => head.clone(),
        };
        let upper = after.bound().map(|bound| self.compared("<=", &bound.at)).transpose()?;
        let rows = self.count(&Range { lower: range.lower, upper }).await?;
        let late = self.overlaps() && after == *head && self.has_late_rows(begin, end);
        if rows == 0 && !late {
            return Ok(None);
        }
        Ok(Some(Unit {
            scope: Scope::Slice { from: from.cloned() },
            after: Progress::Position(after),
            schema: self.selection.schema.clone(),
            rows: if self.overlaps() { None } else { Some(rows) },
        }))
    }

    /// The rows of a unit, in the order in which they are read.
    pub(crate) fn tail(&self, unit: &Unit) -> Result<String> {
        let Scope::Slice { from } = &unit.scope else {
            return Ok(String::new());
        };
        let begin = from.as_ref().and_then(Position::bound);
        let overlap = begin.map_or(Ok(None), |begin| self.overlap_lower(&begin.at))?;
        let lower = overlap.map_or_else(|| self.lower(begin), |lower| Ok(Some(lower)))?;
        let upper = unit.after.position().and_then(Position::bound);
        let upper = upper.map(|bound| self.compared("<=", &bound.at)).transpose()?;
        Ok(format!("{}{}", Range { lower, upper }.condition(), self.reading_order()))
    }

    /// The same with placeholders for values, for people.
    pub(crate) fn shape(&self, unit: &Unit) -> String {
        let Scope::Slice { from } = &unit.scope else {
            return String::new();
        };
        let (keys, marks) = (self.key_list(), vec!["?"; self.keys.len()].join(", "));
        let begun = from.as_ref().and_then(Position::bound).is_some();
        let first = self.keys[0].sql();
        let cursor = self.spec.cursor.as_ref();
        let starts = cursor.is_some_and(|cursor| cursor.start.is_some());
        let lower = if begun && !self.overlaps() {
            Some(format!("({keys}) > ({marks})"))
        } else {
            (begun || starts).then(|| format!("{first} >= ?"))
        };
        let upper = Some(format!("({keys}) <= ({marks})"));
        format!("{}{}", Range { lower, upper }.condition(), self.reading_order())
    }

    /// Rows of equal cursor values have an order too, so that a row has the same number each time.
    fn reading_order(&self) -> String {
        let mut order: Vec<String> = self.keys.iter().map(Key::sql).collect();
        let primary = self.table.columns.iter().filter(|column| column.primary);
        order.extend(primary.filter(|column| !self.is_key(&column.name)).map(|column| quote(&column.name)));
        if order.len() == self.keys.len() {
            order.extend(self.table.row_place.map(str::to_owned));
        }
        format!(" ORDER BY {}", order.join(", "))
    }

    fn key_list(&self) -> String {
        self.keys.iter().map(Key::sql).collect::<Vec<_>>().join(", ")
    }

    fn is_key(&self, column: &str) -> bool {
        self.keys.iter().any(|key| key.column == column)
    }

    /// Where rows behind a bound begin; without one, where the source begins.
    fn lower(&self, begin: Option<&Bound>) -> Result<Option<String>> {
        if let Some(begin) = begin {
            return self.compared(">", &begin.at).map(Some);
        }
        let start = self.start()?;
        Ok(start.map(|start| format!("{} >= {start}", self.keys[0].sql())))
    }

    fn start(&self) -> Result<Option<String>> {
        let start = self.spec.cursor.as_ref().and_then(|cursor| cursor.start.as_ref());
        start.map(|start| self.keys[0].literal(start)).transpose()
    }

    /// Where the overlap before a bound begins, but not before the source's start.
    pub(crate) fn overlap_lower(&self, at: &[Value]) -> Result<Option<String>> {
        let Some(overlap) = self.spec.cursor.as_ref().and_then(|cursor| cursor.overlap) else {
            return Ok(None);
        };
        let key = &self.keys[0];
        let back = key.literal(&key.before(&at[0], overlap)?)?;
        let column = key.sql();
        Ok(Some(match self.start()? {
            Some(start) => format!("{column} >= {back} AND {column} >= {start}"),
            None => format!("{column} >= {back}"),
        }))
    }

    fn overlaps(&self) -> bool {
        self.spec.cursor.as_ref().is_some_and(|cursor| cursor.overlap.is_some())
    }

    async fn snapshot(&self, head: &Position) -> Result<Unit> {
        let rows = self.count(&Range::default()).await?;
        Ok(Unit {
            scope: Scope::Snapshot,
            after: Progress::Position(head.clone()),
            schema: self.selection.schema.clone(),
            rows: Some(rows),
        })
    }

    async fn bound(&self, at: Vec<Value>) -> Result<Bound> {
        let witness = self.witness(&at).await?;
        Ok(Bound { at, witness })
    }

    /// Whether rows keep their keys as long as they live.
    pub(crate) fn stays(&self) -> bool {
        self.keys.iter().all(Key::stays)
    }

    /// The keys against a tuple.
    pub(crate) fn compared(&self, operator: &str, at: &[Value]) -> Result<String> {
        if at.len() != self.keys.len() {
            let message = format!("the position in {} has another number of columns", self.shown());
            return Err(Error::new(ErrorKind::SourceChanged, message));
        }
        let values = self.keys.iter().zip(at).map(|(key, value)| key.literal(value));
        let values = values.collect::<Result<Vec<_>>>()?.join(", ");
        Ok(format!("({}) {operator} ({values})", self.key_list()))
    }

    /// `ORDER BY` the keys.
    pub(crate) fn order(&self, direction: &str) -> String {
        let terms: Vec<String> = self.keys.iter().map(|key| format!("{}{direction}", key.sql())).collect();
        format!(" ORDER BY {}", terms.join(", "))
    }

    /// The keys as text. Under names of their own: ORDER BY would take the texts, where they had the columns' names.
    fn spelled_keys(&self) -> String {
        let spelled = |(i, key): (usize, &Key)| format!("{}::text AS _vitrina_{i}", quote(&key.column));
        self.keys.iter().enumerate().map(spelled).collect::<Vec<_>>().join(", ")
    }

    fn tuple(&self, row: Row) -> Result<Vec<Value>> {
        self.keys.iter().zip(row).map(|(key, cell)| key.value(cell.as_deref())).collect()
    }

    /// The tuple of the last row.
    async fn last(&self) -> Result<Option<Vec<Value>>> {
        let sql = format!(
            "SELECT {} FROM {}{} LIMIT 1",
            self.spelled_keys(),
            self.table.sql(),
            self.order(" DESC")
        );
        self.row(&sql).await?.map(|row| self.tuple(row)).transpose()
    }

    /// The tuple of the `n`th row of a range.
    async fn nth(&self, range: &Range, n: u64) -> Result<Option<Vec<Value>>> {
        let sql = format!(
            "SELECT {} FROM {}{}{} LIMIT 1 OFFSET {}",
            self.spelled_keys(),
            self.table.sql(),
            range.condition(),
            self.order(""),
            n.saturating_sub(1),
        );
        self.row(&sql).await?.map(|row| self.tuple(row)).transpose()
    }

    async fn count(&self, range: &Range) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}{}", self.table.sql(), range.condition());
        Ok(self.cell(&sql).await?.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// How many rows fit a slice, by rows and by the bytes of the first ones.
    async fn rows_in(&self, range: &Range, limit: SliceLimit) -> Result<u64> {
        let size = |name: &String| match self.table.column(name).map(|column| column.kind) {
            Some(Kind::Text | Kind::Bytea) => format!("8 + coalesce(octet_length({}), 0)", quote(name)),
            Some(Kind::Other | Kind::Numeric(_)) => {
                format!("8 + coalesce(octet_length({}::text), 0)", quote(name))
            }
            _ => "8".to_owned(),
        };
        let sizes: Vec<String> =
            self.selection.schema.fields().iter().map(|field| size(field.name())).collect();
        let sizes = if sizes.is_empty() { "8".to_owned() } else { sizes.join(" + ") };
        let sql = format!(
            "SELECT avg(_vitrina_bytes)::float8 FROM (SELECT {sizes} AS _vitrina_bytes FROM {}{}{} LIMIT {SAMPLE}) AS sample",
            self.table.sql(),
            range.condition(),
            self.order(""),
        );
        let bytes: f64 = self.cell(&sql).await?.and_then(|bytes| bytes.parse().ok()).unwrap_or(1.0);
        Ok(limit.rows.min((limit.bytes as f64 / bytes.max(1.0)) as u64).max(1))
    }

    fn check_identity(&self, position: &Position) -> Result<()> {
        let now = self.identity();
        if position.source == now {
            return Ok(());
        }
        let message = format!(
            "the position is one in {} {} by {}, but the source is {} {} by {} now",
            position.source.kind,
            position.source.place,
            position.source.order,
            now.kind,
            now.place,
            now.order,
        );
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// A table whose rows end before the position has lost some, or was made again.
    async fn check_shrunk(&self, begin: &Bound) -> Result<()> {
        let sql =
            format!("SELECT 1 FROM {} WHERE {} LIMIT 1", self.table.sql(), self.compared(">=", &begin.at)?);
        if self.row(&sql).await?.is_some() {
            return Ok(());
        }
        let message = format!(
            "{} ends before the position: it was made again, or its newest rows were deleted",
            self.shown()
        );
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    async fn check_nulls(&self) -> Result<()> {
        for key in self.keys.iter().filter(|key| key.nullable) {
            let sql =
                format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", self.table.sql(), quote(&key.column));
            if self.row(&sql).await?.is_some() {
                return Err(key.holds("NULL"));
            }
        }
        Ok(())
    }

    /// The first row of a query.
    pub(crate) async fn row(&self, sql: &str) -> Result<Option<Row>> {
        self.lease.row(sql).await.map_err(|error| failed(&self.shown(), error))
    }

    /// The one cell of a query.
    pub(crate) async fn cell(&self, sql: &str) -> Result<Option<String>> {
        self.lease.cell(sql).await.map_err(|error| failed(&self.shown(), error))
    }

    /// The first cells of the rows of a query.
    pub(crate) async fn cells(&self, sql: &str) -> Result<Vec<String>> {
        let rows = self.lease.rows(sql).await.map_err(|error| failed(&self.shown(), error))?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }
}

/// The error of a table that is not there, with the nearest that is.
pub(crate) async fn no_table(lease: &Lease, server: &Server, schema: &str, table: &str) -> Error {
    let message = format!("{} does not exist", server.table_shown(schema, table));
    let error = Error::new(ErrorKind::NotFound, message);
    let names = Table::names(lease, schema).await.unwrap_or_default();
    match nearest(table, names.iter().map(String::as_str)) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
