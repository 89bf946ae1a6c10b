//! The one transaction that makes a unit's rows and its record visible.

use arrow::datatypes::SchemaRef;

use super::{
    client::Lease,
    name::{literal, quote},
    record::conflict,
    table::{Table, TableColumn},
    write::{Inner, NUMBER, STAGE},
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
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

/// Staged rows on their last step.
pub(crate) struct Move<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) lease: &'a Lease,
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
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
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
        let Some(table) = self.inner.table(self.lease).await? else {
            return Err(self.inner.dropped());
        };
        if self.inner.spec.mode == Mode::Merge {
            self.check_key().await?;
        }
        for sql in self.statements(&table)? {
            self.run(&sql).await?;
        }
        failpoint::pass("postgres.commit.inside");
        self.run("COMMIT").await?;
        Ok(Committed::Now(record))
    }

    fn statements(&self, table: &Table) -> Result<Vec<String>> {
        Ok(match self.inner.spec.mode {
            Mode::Append => vec![self.insert(table, STAGE)],
            Mode::Replace => vec![self.clear(), self.insert(table, STAGE)],
            Mode::Window => vec![self.clear_window(table)?, self.insert(table, STAGE)],
            Mode::Merge if self.inner.spec.anew => [vec![self.clear()], self.merge(table)].concat(),
            Mode::Merge => self.merge(table),
        })
    }

    /// The rows of a source into the target, each column as the target's type.
    fn insert(&self, table: &Table, source: &str) -> String {
        let columns = self.columns(table);
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let cast =
                    if column.kind.spelled() { format!("::{}", column.declared) } else { String::new() };
                format!("{}{cast}", quote(&column.name))
            })
            .collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {source}",
            table.sql(),
            names.join(", "),
            cells.join(", ")
        )
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
        let refuse = |why: &str| {
            let message = format!("{}: {why}", self.inner.shown());
            Error::new(ErrorKind::Unsupported, message)
        };
        let (column, from, until) = self.window.ok_or_else(|| refuse("the unit is no window"))?;
        let found = table.column(column).ok_or_else(|| refuse("the window's column is not in the target"))?;
        let bound = |value: &Value| {
            let text = match value {
                Value::Timestamp { ticks, unit, .. } => format_ticks(*ticks, *unit, false),
                other => other.to_string(),
            };
            format!("{}::{}", literal(&text), found.declared)
        };
        let column = quote(column);
        Ok(format!(
            "DELETE FROM {} WHERE {column} >= {} AND {column} < {}",
            table.sql(),
            bound(from),
            bound(until)
        ))
    }

    /// Rows of known keys are changed where they are, so that columns which are not ours stay; the others are added. The last staged row
    /// of a key counts. In the order of keys, so that two merges do not wait for each other.
    fn merge(&self, table: &Table) -> Vec<String> {
        let key = &self.inner.spec.key;
        let keys: Vec<String> = key.iter().map(|key| quote(key)).collect();
        let keys = keys.join(", ");
        let last =
            format!("SELECT DISTINCT ON ({keys}) * FROM {STAGE} ORDER BY {keys}, {} DESC", quote(NUMBER));
        let mut statements = vec![];
        let mut source = format!("({last}) AS stage");
        if self.inner.spec.delete == Some(DeleteHow::Hard) {
            let matches: Vec<String> = key
                .iter()
                .map(|key| {
                    let staged = format!("stage.{}", quote(key));
                    let staged = match table.column(key).filter(|column| column.kind.spelled()) {
                        Some(column) => format!("{staged}::{}", column.declared),
                        None => staged,
                    };
                    format!("target.{} = {staged}", quote(key))
                })
                .collect();
            let deleted = quote(DELETED);
            statements.push(format!(
                "DELETE FROM {} AS target USING {source} WHERE stage.{deleted} AND {}",
                table.sql(),
                matches.join(" AND ")
            ));
            source = format!("{source} WHERE stage.{deleted} IS NOT TRUE");
        }
        let changed: Vec<String> = self
            .columns(table)
            .iter()
            .filter(|column| !key.contains(&column.name))
            .map(|column| format!("{0} = excluded.{0}", quote(&column.name)))
            .collect();
        let then = if changed.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", changed.join(", "))
        };
        statements.push(format!("{} ON CONFLICT ({keys}) DO {then}", self.insert(table, &source)));
        statements
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
