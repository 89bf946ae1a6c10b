//! Where a table ends, and where the next slice ends: by its keys alone, before any row is read.
//!
//! A slice is cut by one query, which walks over the keys of that slice in the table's own order where the cursor leads the table's sorting key, and gives its last
//! key and how many rows it has. So a table that is read in slices is walked over twice in its keys, and once in everything else.

use arrow::datatypes::SchemaRef;

use super::{
    client::{Row, Server},
    key::{Key, Side, compared},
    table::{Table, missing},
};
use crate::{
    connector::{
        cells::BatchDecoder,
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

/// A table as it is now, and how it is to be read.
pub(super) struct Look<'a> {
    pub(super) server: &'a Server,
    pub(super) spec: &'a SourceSpec,
    pub(super) table: Table,
    pub(super) decoder: BatchDecoder,
    /// What orders rows: cursor and tie; nothing for whole tables.
    pub(super) keys: Vec<Key>,
}

impl<'a> Look<'a> {
    /// Resolves what is to be read.
    pub(super) async fn begin(server: &'a Server, spec: &'a SourceSpec) -> Result<Self> {
        let database = spec.schema.as_deref().unwrap_or(&server.config.database);
        let shown = server.table_shown(database, &spec.table);
        let table = Table::must(server, database, &spec.table).await?;
        let decoder = BatchDecoder::new(&shown, &table.arrow(), spec.contract.as_ref(), spec.zone)?;
        let mut keys = vec![];
        let cursor = spec.cursor.iter().filter(|_| !spec.whole);
        for name in cursor.flat_map(|cursor| std::iter::once(&cursor.column).chain(&cursor.tie)) {
            let column = table.column(name).ok_or_else(|| missing(&shown, &table, name))?;
            keys.push(Key::of(column, &shown)?);
        }
        Ok(Self { server, spec, table, decoder, keys })
    }

    pub(super) fn shown(&self) -> String {
        self.server.table_shown(&self.table.database, &self.table.name)
    }

    /// The decoder of a unit that was planned with this schema.
    pub(super) fn decoder_of(&self, schema: &SchemaRef) -> Result<BatchDecoder> {
        let contract = self.spec.contract.as_ref();
        BatchDecoder::of_unit(&self.shown(), &self.table.arrow(), contract, self.spec.zone, schema)
    }

    /// What positions in this source are positions in.
    pub(super) fn identity(&self) -> SourceIdentity {
        let order = match self.keys.as_slice() {
            [] => "whole".to_owned(),
            keys => keys.iter().map(Key::identity).collect::<Vec<_>>().join(", "),
        };
        SourceIdentity { kind: "clickhouse".to_owned(), place: self.table.sql(), order }
    }

    /// Where the table ends now.
    pub(super) async fn head(&self) -> Result<Position> {
        if self.keys.is_empty() {
            // A whole table is another generation every time.
            let at = vec![Value::Text(AttemptId::fresh().to_string())];
            return Ok(Position::single(self.identity(), Some(Bound::at(at))));
        }
        self.check_nulls().await?;
        let keys = self.keys.iter().map(|key| key.spelled(&key.sql())).collect::<Vec<_>>().join(", ");
        let last = format!("SELECT {keys} FROM {}{} LIMIT 1", self.table.source(), self.order(" DESC"));
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
        self.check_identity(head)?;
        from.map_or(Ok(()), |from| self.check_identity(from))?;
        let schema = self.decoder.target.clone();
        if self.keys.is_empty() {
            let after = Progress::Position(head.clone());
            return Ok((from != Some(head)).then_some(Unit { scope: Scope::Snapshot, after, schema, rows }));
        }
        let begin = from.and_then(Position::bound);
        if let Some(begin) = begin {
            self.check_made_again(begin)?;
            self.check_shrunk(begin).await?;
        }
        let Some(end) = head.bound() else { return Ok(None) };
        let lower = self.lower(begin)?;
        let upper = self.compared(Side::UpTo, &end.at)?;
        let range = condition(&[lower, Some(upper)]);
        let most = self.rows_in(&range, limit).await?;
        let (rows, last) = self.walk(&range, most).await?;
        let after = match last {
            Some(at) if at != end.at => Position::single(self.identity(), Some(self.bound(at).await?)),
            _ => head.clone(),
        };
        let late = self.overlaps() && after == *head && self.has_late_rows(begin, end);
        if rows == 0 && !late {
            return Ok(None);
        }
        let rows = (!self.overlaps()).then_some(rows);
        Ok(Some(Unit {
            scope: Scope::Slice { from: from.cloned() },
            after: Progress::Position(after),
            schema,
            rows,
        }))
    }

    /// How many of the next rows make a slice, and the keys of its last one. Rows of equal keys stay together.
    async fn walk(&self, range: &str, most: u64) -> Result<(u64, Option<Vec<Value>>)> {
        let keys = self.key_list();
        let ends: Vec<String> = self
            .keys
            .iter()
            .enumerate()
            .map(|(at, key)| key.spelled(&format!("_vitrina_end.{}", at + 1)))
            .collect();
        let sql = format!(
            "SELECT toString(count()), max(tuple({keys})) AS _vitrina_end, {} FROM \
             (SELECT {keys} FROM {}{range}{} LIMIT {most} WITH TIES)",
            ends.join(", "),
            self.table.source(),
            self.order(""),
        );
        // The tuple itself is for the expressions behind it.
        let sql = format!("SELECT * EXCEPT _vitrina_end FROM ({sql})");
        let row = self.row(&sql).await?.unwrap_or_default();
        let rows = row.first().cloned().flatten().and_then(|count| count.parse().ok()).unwrap_or_default();
        let last = if rows == 0 { None } else { Some(self.tuple(&row[1..])?) };
        Ok((rows, last))
    }

    /// What follows the table's name where a unit is read.
    pub(super) fn tail(&self, unit: &Unit) -> Result<String> {
        let Scope::Slice { from } = &unit.scope else { return Ok(String::new()) };
        let begin = from.as_ref().and_then(Position::bound);
        let overlap = begin.map_or(Ok(None), |begin| self.overlap_lower(&begin.at))?;
        let lower = overlap.map_or_else(|| self.lower(begin), |lower| Ok(Some(lower)))?;
        let upper = unit.after.position().and_then(Position::bound);
        let upper = upper.map(|bound| self.compared(Side::UpTo, &bound.at)).transpose()?;
        Ok(format!("{}{}", condition(&[lower, upper]), self.reading_order()))
    }

    /// The same with placeholders for values, for people.
    pub(super) fn shape(&self, unit: &Unit) -> String {
        let Scope::Slice { from } = &unit.scope else { return String::new() };
        let marks = vec!["?".to_owned(); self.keys.len()];
        let begun = from.as_ref().and_then(Position::bound).is_some();
        let starts = self.spec.cursor.as_ref().is_some_and(|cursor| cursor.start.is_some());
        let lower = if begun && !self.overlaps() {
            Some(compared(&self.keys, Side::Behind, &marks))
        } else {
            (begun || starts).then(|| format!("{} >= ?", self.keys[0].sql()))
        };
        let upper = Some(compared(&self.keys, Side::UpTo, &marks));
        format!("{}{}", condition(&[lower, upper]), self.reading_order())
    }

    /// Rows of equal cursor values have an order too, as far as the table is sorted.
    fn reading_order(&self) -> String {
        let mut order: Vec<String> = self.keys.iter().map(Key::sql).collect();
        let sorts = self.table.columns.iter().filter(|column| column.sorts);
        let others = sorts.filter(|column| self.keys.iter().all(|key| key.column != column.name));
        order.extend(others.map(|column| super::name::quote(&column.name)));
        format!(" ORDER BY {}", order.join(", "))
    }

    fn key_list(&self) -> String {
        self.keys.iter().map(Key::sql).collect::<Vec<_>>().join(", ")
    }

    fn order(&self, direction: &str) -> String {
        let terms: Vec<String> = self.keys.iter().map(|key| format!("{}{direction}", key.sql())).collect();
        format!(" ORDER BY {}", terms.join(", "))
    }

    /// Where rows behind a bound begin; without one, where the source begins.
    fn lower(&self, begin: Option<&Bound>) -> Result<Option<String>> {
        if let Some(begin) = begin {
            return self.compared(Side::Behind, &begin.at).map(Some);
        }
        Ok(self.start()?.map(|start| format!("{} >= {start}", self.keys[0].sql())))
    }

    fn start(&self) -> Result<Option<String>> {
        let start = self.spec.cursor.as_ref().and_then(|cursor| cursor.start.as_ref());
        start.map(|start| self.keys[0].literal(start)).transpose()
    }

    /// Where the overlap before a bound begins, but not before the source's start.
    fn overlap_lower(&self, at: &[Value]) -> Result<Option<String>> {
        let Some(overlap) = self.spec.cursor.as_ref().and_then(|cursor| cursor.overlap) else {
            return Ok(None);
        };
        let key = &self.keys[0];
        let first = at.first().ok_or_else(|| self.other_columns())?;
        let (back, column) = (key.literal(&key.before(first, overlap)?)?, key.sql());
        Ok(Some(match self.start()? {
            Some(start) => format!("{column} >= {back} AND {column} >= {start}"),
            None => format!("{column} >= {back}"),
        }))
    }

    fn overlaps(&self) -> bool {
        self.spec.cursor.as_ref().is_some_and(|cursor| cursor.overlap.is_some())
    }

    fn compared(&self, side: Side, at: &[Value]) -> Result<String> {
        if at.len() != self.keys.len() {
            return Err(self.other_columns());
        }
        let values = self.keys.iter().zip(at).map(|(key, value)| key.literal(value));
        Ok(compared(&self.keys, side, &values.collect::<Result<Vec<_>>>()?))
    }

    fn other_columns(&self) -> Error {
        let message = format!("the position in {} has another number of columns", self.shown());
        Error::new(ErrorKind::SourceChanged, message)
    }

    fn tuple(&self, row: &[Option<String>]) -> Result<Vec<Value>> {
        self.keys.iter().zip(row).map(|(key, cell)| key.value(cell.as_deref())).collect()
    }

    /// How many rows fit a slice, by rows and by the bytes of some of its range.
    async fn rows_in(&self, range: &str, limit: SliceLimit) -> Result<u64> {
        let columns =
            super::name::quote_all(self.decoder.target.fields().iter().map(|field| field.name().as_str()));
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
        Ok(limit.rows.min((limit.bytes as f64 / bytes.max(1.0)) as u64).max(1))
    }

    /// What a position remembers: which table it is, and what lies in the overlap before it.
    async fn bound(&self, at: Vec<Value>) -> Result<Bound> {
        let overlap = match self.overlap_lower(&at)? {
            None => String::new(),
            Some(lower) => {
                let sql = format!(
                    "SELECT concat(toString(count()), ':', toString(sum(cityHash64({})))) FROM {}{}",
                    self.key_list(),
                    self.table.source(),
                    condition(&[Some(lower), Some(self.compared(Side::UpTo, &at)?)]),
                );
                format!(" {}", self.cell(&sql).await?.unwrap_or_default())
            }
        };
        Ok(Bound { at, witness: Some(format!("{}{overlap}", self.table.uuid)) })
    }

    /// Whether rows showed up in the overlap since a position was taken.
    fn has_late_rows(&self, from: Option<&Bound>, head: &Bound) -> bool {
        from.is_some_and(|from| from.at == head.at && from.witness != head.witness)
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

    /// A table that was dropped and made again, or exchanged for another one, has another number.
    fn check_made_again(&self, begin: &Bound) -> Result<()> {
        let known = begin.witness.as_deref().and_then(|witness| witness.split(' ').next());
        if known.is_none_or(|known| known == self.table.uuid) {
            return Ok(());
        }
        let message = format!("{} was made again: it is another table than the position's", self.shown());
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// A table whose rows end before the position has lost some.
    async fn check_shrunk(&self, begin: &Bound) -> Result<()> {
        let values = self.keys.iter().zip(&begin.at).map(|(key, value)| key.literal(value));
        let values = values.collect::<Result<Vec<_>>>()?;
        let at: Vec<String> =
            self.keys.iter().zip(&values).map(|(key, value)| format!("{} = {value}", key.sql())).collect();
        let behind = self.compared(Side::Behind, &begin.at)?;
        let sql =
            format!("SELECT 1 FROM {} WHERE {behind} OR ({}) LIMIT 1", self.table.source(), at.join(" AND "));
        if self.row(&sql).await?.is_some() {
            return Ok(());
        }
        let message = format!(
            "{} ends before the position: it was emptied, or its newest rows were deleted",
            self.shown()
        );
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    async fn check_nulls(&self) -> Result<()> {
        for key in self.keys.iter().filter(|key| key.nullable) {
            let sql = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", self.table.source(), key.sql());
            if self.row(&sql).await?.is_some() {
                return Err(key.holds("NULL"));
            }
        }
        Ok(())
    }

    async fn row(&self, sql: &str) -> Result<Option<Row>> {
        self.server.row(&self.shown(), sql).await
    }

    async fn cell(&self, sql: &str) -> Result<Option<String>> {
        self.server.cell(&self.shown(), sql).await
    }
}

/// What follows a table's name for rows of which all of these hold.
fn condition(parts: &[Option<String>]) -> String {
    let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
    if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) }
}
