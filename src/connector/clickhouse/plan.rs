//! Where a table ends, and where the next slice ends: by its keys alone, before any row is read.
//!
//! A slice is cut by two queries: one walks over the keys of that slice in the table's own order, where the cursor leads the table's sorting key, and gives its last key; the other one
//! counts the rows up to it, most of which the server knows by its index. So a table that is read in slices is walked over twice in its keys, and once in everything else. `LIMIT … WITH TIES`
//! would give both at once, and reads all that is left of the table: the server stops in the table's order for a bare `LIMIT` only.

use arrow::datatypes::SchemaRef;

use super::{
    client::{Row, Server},
    key::Key,
    name::{quote, quote_all},
    table::{Table, missing},
};
use crate::{
    connector::{
        cells::BatchDecoder,
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

/// Of a query that stops early: it reads whole blocks, and this is a quarter of the smallest range that the index tells apart.
const SMALL_BLOCKS: &str = " SETTINGS max_block_size = 2048";

/// What to do where replicas differ.
const BEHIND: &str = "it is tried again; where this stays, see how far its replicas are behind (`system.replicas`), and whether rows were deleted";

/// A table as it is now, and how it is to be read.
pub(super) struct Look<'a> {
    pub(super) server: &'a Server,
    pub(super) spec: &'a SourceSpec,
    pub(super) table: Table,
    pub(super) decoder: BatchDecoder,
    keys: Keys<Key>,
}

impl<'a> Look<'a> {
    /// Resolves what is to be read.
    pub(super) async fn begin(server: &'a Server, spec: &'a SourceSpec) -> Result<Self> {
        let database = spec.schema.as_deref().unwrap_or(&server.config.database);
        let shown = server.table_shown(database, &spec.table);
        let table = Table::must(server, database, &spec.table).await?;
        let contract = spec.contract.as_ref();
        let decoder = BatchDecoder::new(&shown, &table.read_as(contract), contract, spec.zone)?;
        let keys = Keys::of(spec, &shown, |name| {
            Key::of(table.column(name).ok_or_else(|| missing(&shown, &table, name))?, &shown)
        })?;
        Ok(Self { server, spec, table, decoder, keys })
    }

    pub(super) fn shown(&self) -> String {
        self.server.table_shown(&self.table.database, &self.table.name)
    }

    /// The decoder of a unit that was planned with this schema.
    pub(super) fn decoder_of(&self, schema: &SchemaRef) -> Result<BatchDecoder> {
        let contract = self.spec.contract.as_ref();
        let declared = self.table.read_as(contract);
        BatchDecoder::of_unit(&self.shown(), &declared, contract, self.spec.zone, schema)
    }

    /// What positions in this source are positions in.
    pub(super) fn identity(&self) -> SourceIdentity {
        identity("clickhouse", self.table.sql(), self.keys.all.iter().map(Key::key))
    }

    /// Where the table ends now.
    pub(super) async fn head(&self) -> Result<Position> {
        if self.keys.all.is_empty() {
            return Ok(generation(self.identity()));
        }
        self.check_nulls().await?;
        let keys = self.keys.all.iter().map(|key| key.spelled(&key.sql())).collect::<Vec<_>>().join(", ");
        let last = format!("SELECT {keys} FROM {}{} LIMIT 1", self.table.source(), self.keys.order(" DESC"));
        let bound = match self.row(&last).await? {
            Some(row) => Some(self.bound(self.tuple(&row)?).await?),
            None => None,
        };
        Ok(Position::single(self.identity(), bound))
    }

    /// The next unit; `rows` of a snapshot are known where it is held.
    pub(super) async fn plan(
        &self,
        from: Option<&Position>,
        head: &Position,
        limit: SliceLimit,
        rows: Option<u64>,
    ) -> Result<Option<Unit>> {
        check_identity(from, head, &self.identity())?;
        let schema = self.decoder.target.clone();
        if self.keys.all.is_empty() {
            return Ok((from != Some(head)).then(|| snapshot(head, schema, rows)));
        }
        let begin = from.and_then(Position::bound);
        if let Some(begin) = begin {
            self.check_made_again(begin)?;
            self.check_shrunk(begin).await?;
        }
        let Some(end) = head.bound() else { return Ok(None) };
        let range = self.keys.range(begin, end)?;
        let most = self.rows_in(&range, limit).await?;
        let after = match self.key_at(&range, most - 1).await? {
            Some(at) if at != end.at => Position::single(self.identity(), Some(self.bound(at).await?)),
            _ => head.clone(),
        };
        let rows = self.count(begin, after.bound().unwrap_or(end)).await?;
        let late = self.keys.overlap() && after == *head && self.has_late_rows(begin, end);
        if rows == 0 && !late {
            return Ok(None);
        }
        Ok(Some(slice(from, after, schema, (!self.keys.overlap()).then_some(rows))))
    }

    /// The keys of the row behind so many others; `None` = there are no more than those.
    async fn key_at(&self, range: &str, offset: u64) -> Result<Option<Vec<Value>>> {
        let keys = self.keys.all.iter().map(|key| key.spelled(&key.sql())).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {keys} FROM {}{range}{} LIMIT 1 OFFSET {offset}{SMALL_BLOCKS}",
            self.table.source(),
            self.keys.order("")
        );
        self.row(&sql).await?.map(|row| self.tuple(&row)).transpose()
    }

    /// Rows behind one place, up to another one. Rows of equal keys stay together.
    async fn count(&self, begin: Option<&Bound>, end: &Bound) -> Result<u64> {
        let range = self.keys.range(begin, end)?;
        let count =
            self.cell(&format!("SELECT toString(count()) FROM {}{range}", self.table.source())).await?;
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// What follows the table's name where a unit is read.
    pub(super) fn tail(&self, unit: &Unit) -> Result<String> {
        let range = self.keys.range_of(unit)?;
        Ok(range.map_or(String::new(), |range| range + &self.reading_order()))
    }

    /// The same with placeholders for values, for people.
    pub(super) fn shape(&self, unit: &Unit) -> String {
        self.keys.shape_of(unit).map_or(String::new(), |range| range + &self.reading_order())
    }

    /// Rows of equal cursor values have an order too, as far as the table is sorted.
    fn reading_order(&self) -> String {
        let sorts = self.table.columns.iter().filter(|column| column.sorts);
        let others = sorts.filter(|column| !self.keys.contain(&column.name));
        let others: String = others.map(|column| format!(", {}", quote(&column.name))).collect();
        self.keys.order("") + &others
    }

    fn tuple(&self, row: &[Option<String>]) -> Result<Vec<Value>> {
        self.keys.all.iter().zip(row).map(|(key, cell)| key.value(cell.as_deref())).collect()
    }

    /// How many rows fit a slice, by rows and by the bytes of some of its range.
    async fn rows_in(&self, range: &str, limit: SliceLimit) -> Result<u64> {
        let columns = quote_all(self.decoder.target.fields().iter().map(|field| field.name().as_str()));
        let sql = format!(
            "SELECT toString(avg(byteSize({columns}))) FROM (SELECT {columns} FROM {}{range} LIMIT {SAMPLE})",
            self.table.sql(),
        );
        let bytes: f64 = self
            .cell(&sql)
            .await?
            .and_then(|bytes| bytes.parse().ok())
            .filter(|bytes: &f64| !bytes.is_nan())
            .unwrap_or(1.0);
        Ok(limit.rows_of(bytes))
    }

    /// What a position remembers: which table it is, and what lies in the overlap before it.
    async fn bound(&self, at: Vec<Value>) -> Result<Bound> {
        let overlap = match self.keys.overlap_lower(&at)? {
            None => String::new(),
            Some(lower) => {
                let sql = format!(
                    "SELECT concat(toString(count()), ':', toString(sum(cityHash64({})))) FROM {} WHERE {lower} AND {}",
                    self.keys.list(),
                    self.table.source(),
                    self.keys.compared(Side::UpTo, &at)?,
                );
                format!(" {}", self.cell(&sql).await?.unwrap_or_default())
            }
        };
        // Replicas may have made the table each for itself: then no number is that of all.
        let number = if self.server.has_replicas() { "" } else { &self.table.uuid };
        Ok(Bound { at, witness: Some(format!("{number}{overlap}")) })
    }

    /// Whether rows showed up in the overlap since a position was taken.
    fn has_late_rows(&self, from: Option<&Bound>, head: &Bound) -> bool {
        from.is_some_and(|from| from.at == head.at && from.witness != head.witness)
    }

    /// A table that was dropped and made again, or exchanged for another one, has another number.
    fn check_made_again(&self, begin: &Bound) -> Result<()> {
        let known = begin.witness.as_deref().and_then(|witness| witness.split(' ').next());
        if self.server.has_replicas()
            || known.is_none_or(|known| known.is_empty() || known == self.table.uuid)
        {
            return Ok(());
        }
        let message = format!("{} was made again: it is another table than the position's", self.shown());
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// A table whose rows end before the position has lost some.
    async fn check_shrunk(&self, begin: &Bound) -> Result<()> {
        let there = self.keys.compared(Side::From, &begin.at)?;
        let sql = format!("SELECT 1 FROM {} WHERE {there} LIMIT 1{SMALL_BLOCKS}", self.table.source());
        if self.row(&sql).await?.is_some() {
            return Ok(());
        }
        if self.server.has_replicas() {
            let message = format!("{} ends before the position on the replica that answers", self.shown());
            return Err(Error::new(ErrorKind::Busy, message).hint(BEHIND));
        }
        let message = format!(
            "{} ends before the position: it was emptied, or its newest rows were deleted",
            self.shown()
        );
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// Rows that have to come, where one replica may have planned and another may be read: one that is behind has not all of them. Those that are gone from a single server were deleted.
    pub(super) fn must_come(&self, unit: &Unit) -> u64 {
        unit.rows.filter(|_| self.server.has_replicas()).unwrap_or_default()
    }

    async fn check_nulls(&self) -> Result<()> {
        for key in self.keys.all.iter().filter(|key| key.nullable) {
            let sql = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", self.table.source(), key.sql());
            if self.row(&sql).await?.is_some() {
                return Err(key.key().holds("NULL"));
            }
        }
        Ok(())
    }

    /// Whether what its keys end with is decided by the parts of this one server's table: not where replicas follow each other, nor where a key is computed as it is read.
    pub(super) fn rests_on_parts(&self) -> bool {
        let stored = |key: &Key| self.table.column(&key.key().column).is_some_and(|column| !column.computed);
        self.table.has_own_parts() && self.keys.all.iter().all(stored)
    }

    async fn row(&self, sql: &str) -> Result<Option<Row>> {
        self.server.row(&self.shown(), sql).await
    }

    async fn cell(&self, sql: &str) -> Result<Option<String>> {
        self.server.cell(&self.shown(), sql).await
    }
}

/// Fails where fewer rows came than have to.
pub(super) fn check_came(shown: &str, came: u64, must: u64) -> Result<()> {
    if came >= must {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Busy, format!("{shown}: a replica gave {came} rows of {must}")).hint(BEHIND))
}
