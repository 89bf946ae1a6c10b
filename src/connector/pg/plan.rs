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
        cursor::{Keys, Side, SqlKey, check_identity, generation, identity, slice, snapshot},
        error::{Error, ErrorKind, Result},
        source::SourceSpec,
    },
    model::{
        position::{Bound, Position, SourceIdentity},
        unit::{SliceLimit, Unit},
        value::Value,
    },
};

/// Rows whose bytes are looked at to guess how many fill a slice.
const SAMPLE: u64 = 64;

/// A table as it is in one transaction of a session: everything that is asked sees the same rows.
pub(crate) struct Look<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) table: Table,
    pub(crate) selection: Selection,
    pub(crate) keys: Keys<Key>,
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
        let keys = Keys::of(spec, &shown, |name| {
            Key::of(table.column(name).ok_or_else(|| missing(&shown, &table, name))?, &shown)
        })?;
        Ok(Self { lease, table, selection, keys })
    }

    pub(crate) fn shown(&self) -> String {
        self.lease.server.table_shown(&self.table.schema, &self.table.name)
    }

    /// What positions in this source are positions in.
    pub(crate) fn identity(&self) -> SourceIdentity {
        let place = format!("{} {}", self.lease.server.config.database, self.table.sql());
        identity(self.lease.server.dialect.kind(), place, self.keys.all.iter().map(Key::key))
    }

    /// Where the table ends now.
    pub(crate) async fn head(&self) -> Result<Position> {
        if self.keys.all.is_empty() {
            return Ok(generation(self.identity()));
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
        check_identity(from, head, &self.identity())?;
        let schema = self.selection.schema.clone();
        if self.keys.all.is_empty() {
            if from == Some(head) {
                return Ok(None);
            }
            let about = self.estimate().await?;
            return Ok(Some(Unit { about, ..snapshot(head, schema, None) }));
        }
        let begin = from.and_then(Position::bound);
        if let Some(begin) = begin {
            self.check_shrunk(begin).await?;
            self.check_witness(begin).await?;
        }
        let Some(end) = head.bound() else {
            return Ok(None);
        };
        let range = self.keys.range(begin, end)?;
        let after = match self.nth(&range, self.rows_in(&range, limit).await?).await? {
            Some(at) if at != end.at => Position::single(self.identity(), Some(self.bound(at).await?)),
            _ => head.clone(),
        };
        let rows = self.count(&self.keys.range(begin, after.bound().unwrap_or(end))?).await?;
        let late = self.keys.overlap() && after == *head && self.has_late_rows(begin, end);
        if rows == 0 && !late {
            return Ok(None);
        }
        Ok(Some(slice(from, after, schema, (!self.keys.overlap()).then_some(rows))))
    }

    /// The rows of a unit, in the order in which they are read.
    pub(crate) fn tail(&self, unit: &Unit) -> Result<String> {
        let range = self.keys.range_of(unit)?;
        Ok(range.map_or(String::new(), |range| range + &self.reading_order()))
    }

    /// The same with placeholders for values, for people.
    pub(crate) fn shape(&self, unit: &Unit) -> String {
        self.keys.shape_of(unit).map_or(String::new(), |range| range + &self.reading_order())
    }

    /// Rows of equal cursor values have an order too, so that a row has the same number each time.
    fn reading_order(&self) -> String {
        let primary = self.table.columns.iter().filter(|column| column.primary);
        let primary = primary.filter(|column| !self.keys.contain(&column.name));
        let mut others: Vec<String> = primary.map(|column| quote(&column.name)).collect();
        if others.is_empty() {
            others.extend(self.table.row_place.map(str::to_owned));
        }
        let others: String = others.iter().map(|other| format!(", {other}")).collect();
        self.keys.order("") + &others
    }

    async fn bound(&self, at: Vec<Value>) -> Result<Bound> {
        let witness = self.witness(&at).await?;
        Ok(Bound { at, witness })
    }

    /// Whether rows keep their keys as long as they live.
    pub(crate) fn stays(&self) -> bool {
        self.keys.all.iter().all(|key| key.key().stays())
    }

    /// The keys as text. Under names of their own: ORDER BY would take the texts, where they had the columns' names.
    fn spelled_keys(&self) -> String {
        let spelled = |(i, key): (usize, &Key)| format!("{}::text AS _vitrina_{i}", quote(&key.key().column));
        self.keys.all.iter().enumerate().map(spelled).collect::<Vec<_>>().join(", ")
    }

    fn tuple(&self, row: Row) -> Result<Vec<Value>> {
        self.keys.all.iter().zip(row).map(|(key, cell)| key.value(cell.as_deref())).collect()
    }

    /// The tuple of the last row.
    async fn last(&self) -> Result<Option<Vec<Value>>> {
        let sql = format!(
            "SELECT {} FROM {}{} LIMIT 1",
            self.spelled_keys(),
            self.table.sql(),
            self.keys.order(" DESC")
        );
        self.row(&sql).await?.map(|row| self.tuple(row)).transpose()
    }

    /// The tuple of the `n`th row of a range; the rows before it are not spelled.
    async fn nth(&self, range: &str, n: u64) -> Result<Option<Vec<Value>>> {
        let columns = self.keys.all.iter().map(|key| quote(&key.key().column)).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {} FROM (SELECT {columns} FROM {}{}{} LIMIT 1 OFFSET {}) AS _vitrina_nth",
            self.spelled_keys(),
            self.table.sql(),
            range,
            self.keys.order(""),
            n.saturating_sub(1),
        );
        self.row(&sql).await?.map(|row| self.tuple(row)).transpose()
    }

    /// Rows of the whole table as the planner guesses them. To count them is to read all of it once more, and of a view to compute it. What may not be read, or is locked, is told now.
    async fn estimate(&self) -> Result<Option<u64>> {
        self.row(&format!("SELECT 1 FROM {} LIMIT 0", self.table.sql())).await?;
        let sql = format!(
            "SELECT reltuples::bigint FROM pg_catalog.pg_class WHERE oid = {} AND reltuples > 0",
            self.table.oid
        );
        Ok(self.cell(&sql).await?.and_then(|rows| rows.parse().ok()))
    }

    async fn count(&self, range: &str) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}{range}", self.table.sql());
        Ok(self.cell(&sql).await?.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// How many rows fit a slice, by rows and by the bytes of the first ones.
    async fn rows_in(&self, range: &str, limit: SliceLimit) -> Result<u64> {
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
            range,
            self.keys.order(""),
        );
        let bytes: f64 = self.cell(&sql).await?.and_then(|bytes| bytes.parse().ok()).unwrap_or(1.0);
        Ok(limit.rows_of(bytes))
    }

    /// A table whose rows end before the position has lost some, or was made again.
    async fn check_shrunk(&self, begin: &Bound) -> Result<()> {
        let there = self.keys.compared(Side::From, &begin.at)?;
        let sql = format!("SELECT 1 FROM {} WHERE {there} LIMIT 1", self.table.sql());
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
        for key in self.keys.all.iter().filter(|key| key.nullable) {
            let sql = format!(
                "SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1",
                self.table.sql(),
                quote(&key.key().column)
            );
            if self.row(&sql).await?.is_some() {
                return Err(key.key().holds("NULL"));
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
