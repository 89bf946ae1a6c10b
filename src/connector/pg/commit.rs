//! The one transaction that makes a unit's rows and its record visible.

use arrow::datatypes::SchemaRef;

use super::{
    client::Lease,
    dialect::{Merge, STAGE, StagedColumn, insert},
    name::{literal, quote},
    stage::Place,
    table::{Table, TableColumn},
    this,
    write::Inner,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        records::conflict,
        sink::{Committed, DeleteHow},
    },
    failpoint,
    model::{
        delivery::Mode,
        name::Track,
        time::format_ticks,
        unit::{DELETED, Record},
        value::Value,
    },
};

/// How a transaction begins that moves a record: each statement sees what was committed before it.
pub(crate) const BEGIN_COMMIT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Rows on their last step, in the transaction that they were put into.
pub(crate) struct Move<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) lease: &'a Lease,
    pub(crate) place: &'a Place,
    pub(crate) track: &'a Track,
    /// The sequence number that was claimed.
    pub(crate) expected: Option<u64>,
    pub(crate) schema: &'a SchemaRef,
    /// The window that is replaced: its column, its beginning and its end.
    pub(crate) window: Option<(&'a str, &'a Value, &'a Value)>,
}

impl Move<'_> {
    /// Whatever fails before COMMIT was sent leaves nothing: the session is closed, and its transaction with it.
    pub(crate) async fn commit(&self, record: Record) -> Result<Committed> {
        let shown = self.inner.shown();
        let records = self.inner.records(self.lease, &shown);
        if !records.swap(self.track, self.expected, &record).await? {
            return match records.of(self.track).await? {
                Some(found) if found.seq == record.seq && found.attempt == record.attempt => {
                    Ok(Committed::Already(found))
                }
                _ => Err(conflict(self.track)),
            };
        }
        if let Place::Stage(_) = self.place {
            self.take_in().await?;
        }
        for sql in &self.inner.extras.after_sql {
            self.run(&this::named(sql, &self.inner.sql())).await?;
        }
        failpoint::pass("pg.commit.inside");
        self.run("COMMIT").await?;
        Ok(Committed::Now(record))
    }

    /// Moves what is staged into the target.
    async fn take_in(&self) -> Result<()> {
        let Some(table) = self.inner.table(self.lease).await? else {
            return Err(self.inner.dropped());
        };
        if self.inner.spec.mode == Mode::Merge {
            self.check_key().await?;
        }
        if self.inner.spec.mode != Mode::Append
            && let Some(lock) = self.lease.server.dialect.lock_target(&table.sql())
        {
            self.run(&lock).await?;
        }
        for sql in self.statements(&table)? {
            self.run(&sql).await?;
        }
        Ok(())
    }

    fn statements(&self, table: &Table) -> Result<Vec<String>> {
        Ok(match self.inner.spec.mode {
            Mode::Append => vec![self.insert(table)],
            Mode::Replace => vec![self.clear(), self.insert(table)],
            Mode::Window => vec![self.clear_window(table)?, self.insert(table)],
            Mode::Merge if self.inner.spec.anew => [vec![self.clear()], self.merge(table)].concat(),
            Mode::Merge => self.merge(table),
        })
    }

    fn insert(&self, table: &Table) -> String {
        let columns: Vec<StagedColumn> = self.columns(table).into_iter().map(staged_column).collect();
        insert(&table.sql(), &columns, STAGE)
    }

    /// What a replacement takes away. DELETE and not TRUNCATE: readers neither wait nor see an empty table.
    fn clear(&self) -> String {
        let terms: Vec<String> = self
            .inner
            .spec
            .partition
            .iter()
            .map(|(column, value)| format!("{}::text = {}", quote(column), literal(value)))
            .collect();
        let condition =
            if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) };
        format!("DELETE FROM {}{condition}", self.inner.sql())
    }

    fn clear_window(&self, table: &Table) -> Result<String> {
        let window = self.window.ok_or_else(|| {
            let message = format!("{}: the unit is no window", self.inner.shown());
            Error::new(ErrorKind::Unsupported, message)
        })?;
        Ok(format!("DELETE FROM {} WHERE {}", table.sql(), self.inner.inside(table, window)?))
    }

    /// The last staged row of a key counts.
    fn merge(&self, table: &Table) -> Vec<String> {
        let spec = &self.inner.spec;
        let columns = self.columns(table);
        let filled = |column: &TableColumn| columns.iter().any(|filled| filled.name == column.name);
        let others = table.columns.iter().filter(|column| !filled(column) && !column.generated);
        let others = others.filter(|_| !spec.anew).map(|column| quote(&column.name)).collect();
        let key = spec.key.iter().filter_map(|key| table.column(key));
        let merge = Merge {
            spec,
            table: table.sql(),
            key: key.map(staged_column).collect(),
            columns: columns.into_iter().map(staged_column).collect(),
            others,
        };
        self.lease.server.dialect.merge(&self.lease.product, &merge)
    }

    /// NULL is equal to nothing, so that such rows would be there once more with every merge.
    async fn check_key(&self) -> Result<()> {
        let terms: Vec<String> =
            self.inner.spec.key.iter().map(|key| format!("{} IS NULL", quote(key))).collect();
        let sql = format!("SELECT 1 FROM {STAGE} WHERE {} LIMIT 1", terms.join(" OR "));
        if self.lease.row(&sql).await.map_err(|error| self.inner.failed(error))?.is_none() {
            return Ok(());
        }
        let message = format!("{}: a row has NULL in its key", self.inner.shown());
        Err(Error::new(ErrorKind::BadData, message)
            .hint("take such rows out in the SQL, or choose another key"))
    }

    /// The staged columns that the target has.
    fn columns<'t>(&self, table: &'t Table) -> Vec<&'t TableColumn> {
        let hard = self.inner.spec.delete == Some(DeleteHow::Hard);
        let names = self.schema.fields().iter().map(|field| field.name());
        names.filter(|name| !hard || *name != DELETED).filter_map(|name| table.column(name)).collect()
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.lease.run(sql).await.map(|_| ()).map_err(|error| self.inner.failed(error))
    }
}

impl Inner {
    /// The condition that holds for the rows of a window.
    pub(crate) fn inside(&self, table: &Table, window: (&str, &Value, &Value)) -> Result<String> {
        let (column, from, until) = window;
        let found = table.column(column).ok_or_else(|| {
            let message = format!("{}: the window's column is not in the target", self.shown());
            Error::new(ErrorKind::Unsupported, message)
        })?;
        let bound = |value: &Value| {
            let text = match value {
                // An instant is spelled with its zone: the session may have another one.
                Value::Timestamp { ticks, unit, utc } => format_ticks(*ticks, *unit, *utc),
                other => other.to_string(),
            };
            format!("{}::{}", literal(&text), found.declared)
        };
        let column = quote(column);
        Ok(format!("{column} >= {} AND {column} < {}", bound(from), bound(until)))
    }
}

fn staged_column(column: &TableColumn) -> StagedColumn {
    let cast = column.kind.spelled().then(|| column.declared.clone());
    StagedColumn { name: quote(&column.name), cast }
}
