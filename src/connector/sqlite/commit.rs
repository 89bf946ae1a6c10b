//! The one transaction that makes a unit's rows and its record visible.

use arrow::datatypes::SchemaRef;
use rusqlite::{params_from_iter, types::Value as Raw};

use super::{
    name::{quote, quote_all},
    sink::{Inner, partition_values},
    stage::Stage,
    table::Table,
    types::Affinity,
    window::Inside,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        records::conflict,
        sink::{Attempt, Committed, DeleteHow},
    },
    failpoint,
    model::{
        delivery::Mode,
        name::Track,
        unit::{DELETED, Record, Scope, Unit},
    },
};

/// How statements name the staged rows; no target can have this name.
const STAGED: &str = "\"_vitrina_stage\"";

/// Staged rows on their last step.
pub(super) struct Move<'a> {
    pub(super) inner: &'a Inner,
    pub(super) track: &'a Track,
    /// The sequence number that was claimed.
    pub(super) expected: Option<u64>,
    pub(super) attempt: &'a Attempt,
    pub(super) stage: &'a Stage,
}

impl Move<'_> {
    pub(super) fn commit(&self, unit: &Unit) -> Result<Committed> {
        failpoint::pass("sqlite.commit.before");
        let committed = self.transaction(unit);
        if committed.is_err() && !self.stage.connection().is_autocommit() {
            // What failed is told; that the transaction is gone is certain when the connection is.
            let _ = self.stage.connection().execute_batch("ROLLBACK");
        }
        failpoint::pass("sqlite.commit.after");
        committed
    }

    fn transaction(&self, unit: &Unit) -> Result<Committed> {
        let connection = self.stage.connection();
        self.run("BEGIN IMMEDIATE", &[])?;
        let found = self.inner.record(connection, self.track)?;
        let next = self.expected.map_or(1, |seq| seq + 1);
        match found {
            Some(record) if record.seq == next && record.attempt == self.attempt.id => {
                self.run("ROLLBACK", &[])?;
                return Ok(Committed::Already(record));
            }
            found if found.as_ref().map(|record| record.seq) != self.expected => {
                return Err(conflict(self.track));
            }
            _ => {}
        }
        let table =
            Table::find(connection, &self.inner.spec.table).map_err(|error| self.inner.failed(error))?;
        let Some(table) = table else {
            let shown = self.inner.database.table_shown(&self.inner.spec.table);
            return Err(Error::new(ErrorKind::NotFound, format!("{shown} was dropped meanwhile")));
        };
        for (sql, parameters) in self.statements(&table, &unit.scope)? {
            self.run(&sql, &parameters)?;
        }
        let record = Record {
            seq: next,
            progress: unit.after.clone(),
            attempt: self.attempt.id.clone(),
            at: self.attempt.at,
            rows: self.stage.rows(),
        };
        self.inner.put_record(connection, self.track, &record)?;
        failpoint::pass("sqlite.commit.inside");
        self.run("COMMIT", &[])?;
        Ok(Committed::Now(record))
    }

    fn statements(&self, table: &Table, scope: &Scope) -> Result<Vec<(String, Vec<Raw>)>> {
        Ok(match self.inner.spec.mode {
            Mode::Merge if self.inner.spec.anew => [vec![self.clear(table)], self.merge(table)].concat(),
            Mode::Merge => self.merge(table),
            Mode::Replace => vec![self.clear(table), (self.insert(table, ""), vec![])],
            Mode::Append => vec![(self.insert(table, ""), vec![])],
            Mode::Window => {
                let inside = Inside::of(scope).ok_or_else(|| self.refuse("the unit is no window"))?;
                self.refuse_outside(&inside)?;
                vec![inside.clear(&quote(&table.name)), (self.insert(table, ""), vec![])]
            }
        })
    }

    fn refuse(&self, why: &str) -> Error {
        let shown = self.inner.database.table_shown(&self.inner.spec.table);
        Error::new(ErrorKind::Unsupported, format!("{shown}: {why}"))
    }

    /// A row that does not lie in its window would be there twice after the next build.
    fn refuse_outside(&self, inside: &Inside) -> Result<()> {
        let (sql, values) = inside.outside(self.stage.table());
        let found = self.stage.connection().prepare_cached(&sql);
        let found = found.and_then(|mut found| found.exists(params_from_iter(&values)));
        if !found.map_err(|error| self.inner.failed(error))? {
            return Ok(());
        }
        let shown = self.inner.database.table_shown(&self.inner.spec.table);
        let message = format!("{shown}: a row lies outside of its window by `{}`", inside.column);
        Err(Error::new(ErrorKind::BadData, message).hint("mend the SQL: a build replaces its own rows only"))
    }

    fn insert(&self, table: &Table, condition: &str) -> String {
        let (target, stage) = (quote(&table.name), self.stage.table());
        let columns: Vec<&str> = self.columns().collect();
        let same = table.columns.iter().map(|column| column.name.as_str()).eq(columns.iter().copied());
        if same && condition.is_empty() && columns.len() == self.stage.schema().fields().len() {
            // In this shape SQLite copies rows as they are, without taking them apart.
            return format!("INSERT INTO {target} SELECT * FROM {stage}");
        }
        let columns = quote_all(columns);
        format!("INSERT INTO {target} ({columns}) SELECT {columns} FROM {stage}{condition}")
    }

    fn clear(&self, table: &Table) -> (String, Vec<Raw>) {
        let target = quote(&table.name);
        let terms: Vec<String> =
            self.inner.spec.partition.iter().map(|(column, _)| format!("{} = ?", quote(column))).collect();
        if terms.is_empty() {
            return (format!("DELETE FROM {target}"), vec![]);
        }
        let sql = format!("DELETE FROM {target} WHERE {}", terms.join(" AND "));
        (sql, partition_values(&self.inner.spec))
    }

    /// Rows of known keys are changed where they are, so that columns and row ids that are not ours stay; the others are added.
    fn merge(&self, table: &Table) -> Vec<(String, Vec<Raw>)> {
        let (target, stage) = (quote(&table.name), self.stage.table());
        let key = &self.inner.spec.key;
        let matches: Vec<String> =
            key.iter().map(|key| format!("{target}.{0} IS {STAGED}.{0}", quote(key))).collect();
        let matches = matches.join(" AND ");
        let mut statements = vec![];
        let mut kept = String::new();
        if self.inner.spec.delete == Some(DeleteHow::Hard) {
            let deleted = format!("{STAGED}.{}", quote(DELETED));
            let names: Vec<String> = table.row_key().iter().map(|name| quote(name)).collect();
            let row = names.join(", ");
            let rows = names.iter().map(|name| format!("{target}.{name}")).collect::<Vec<_>>().join(", ");
            statements.push(format!(
                "DELETE FROM {target} WHERE ({row}) IN (SELECT {rows} FROM {stage} CROSS JOIN {target} ON {matches} WHERE {deleted})"
            ));
            kept = format!(" AND {deleted} IS NOT TRUE");
        }
        let changed: Vec<String> = self
            .columns()
            .filter(|column| !key.iter().any(|key| key == column))
            .map(|column| format!("{0} = {STAGED}.{0}", quote(column)))
            .collect();
        if !changed.is_empty() {
            let changed = changed.join(", ");
            statements.push(format!("UPDATE {target} SET {changed} FROM {stage} WHERE {matches}{kept}"));
        }
        let unknown = format!(" WHERE NOT EXISTS (SELECT 1 FROM {target} WHERE {matches}){kept}");
        statements.push(self.insert(table, &unknown));
        statements.into_iter().map(|sql| (sql, vec![])).collect()
    }

    /// The staged columns that the target has.
    fn columns(&self) -> impl Iterator<Item = &str> {
        let hard = self.inner.spec.delete == Some(DeleteHow::Hard);
        let fields = self.stage.schema().fields().iter().map(|field| field.name().as_str());
        fields.filter(move |name| !hard || *name != DELETED)
    }

    fn run(&self, sql: &str, parameters: &[Raw]) -> Result<()> {
        let done = self.stage.connection().execute(sql, params_from_iter(parameters));
        done.map(|_| ()).map_err(|error| self.inner.failed(error))
    }
}

/// How the stage keeps its columns: as the target does.
pub(super) fn declarations(table: &Table, schema: &SchemaRef) -> Vec<String> {
    let own = Stage::declarations(schema);
    let declared = |(field, own): (&arrow::datatypes::FieldRef, String)| {
        let affinity = table.column(field.name()).map(|column| column.affinity);
        affinity.map_or(own, |affinity| {
            match affinity {
                Affinity::Integer => "INTEGER",
                Affinity::Text => "TEXT",
                Affinity::Blob => "",
                Affinity::Real => "REAL",
                Affinity::Numeric => "NUMERIC",
            }
            .to_owned()
        })
    };
    schema.fields().iter().zip(own).map(declared).collect()
}
