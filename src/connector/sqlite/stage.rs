//! Rows on their way into a table: in a temporary table that only this connection sees.
//!
//! It lies in memory up to [`IN_MEMORY`], past it in a temporary file that no name leads to: whatever ends the process, nothing is left over.

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use rusqlite::{Connection, params_from_iter};

use super::{
    bind::Binder,
    database::Lease,
    dialect::raw,
    error::{failed, io_failed},
    name::{quote, quote_all},
    types::storage,
};
use crate::connector::{
    error::{Error, Result},
    executor::Statement,
};

/// Bytes of staged rows that are kept in memory.
pub(super) const IN_MEMORY: usize = 64 << 20;
/// Rows of one INSERT.
const ROWS_AT_ONCE: usize = 48;
/// Parameters of one statement, at most: SQLite's own limit.
const PARAMETERS: usize = 32_766;

const IN_TEMP: &str = "temp.\"_vitrina_stage\"";
const IN_FILE: &str = "spill.\"_vitrina_stage\"";

/// A temporary table of one unit's rows.
pub(super) struct Stage {
    /// Gone only when the stage is.
    lease: Option<Lease>,
    schema: SchemaRef,
    columns: String,
    /// How messages name the target.
    shown: String,
    scratch: std::path::PathBuf,
    rows: u64,
    bytes: usize,
    spilled: bool,
}

impl Stage {
    /// An empty stage on a writing connection. `declared` = how the target keeps each column: what the target would do to a cell is done here already.
    pub(super) fn begin(
        lease: Lease,
        schema: SchemaRef,
        declared: &[String],
        shown: String,
        scratch: &std::path::Path,
    ) -> Result<Self> {
        let name = |(field, declared): (&arrow::datatypes::FieldRef, &String)| {
            format!("{} {declared}", quote(field.name()))
        };
        let columns = schema.fields().iter().zip(declared).map(name).collect::<Vec<_>>().join(", ");
        let stage = Self {
            lease: Some(lease),
            schema,
            columns,
            shown,
            scratch: scratch.to_owned(),
            rows: 0,
            bytes: 0,
            spilled: false,
        };
        stage.run(&format!("CREATE TEMP TABLE \"_vitrina_stage\" ({})", stage.columns))?;
        stage.run("BEGIN")?;
        Ok(stage)
    }

    /// How the columns of a schema are kept where nothing else is declared.
    pub(super) fn declarations(schema: &SchemaRef) -> Vec<String> {
        let declared = |data_type| storage(data_type).unwrap_or_default().to_owned();
        schema.fields().iter().map(|field| declared(field.data_type())).collect()
    }

    /// The connection that sees the staged rows.
    pub(super) fn connection(&self) -> &Connection {
        self.lease.as_ref().expect("a stage holds its connection until it is dropped")
    }

    /// The table, as SQL names it.
    pub(super) fn table(&self) -> &'static str {
        if self.spilled { IN_FILE } else { IN_TEMP }
    }

    /// The columns.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows that were staged, those included that a later row of their key replaced.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds rows.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.num_columns();
        let at_once = (PARAMETERS / columns.max(1)).clamp(1, ROWS_AT_ONCE);
        let mut binder = Binder::new(batch)?;
        let whole = batch.num_rows() / at_once * at_once;
        for (from, until, rows) in [(0, whole, at_once), (whole, batch.num_rows(), 1)] {
            if from == until {
                continue;
            }
            let sql = self.insert(columns, rows);
            let mut statement = self.connection().prepare_cached(&sql).map_err(|e| self.failed(e))?;
            for first in (from..until).step_by(rows) {
                for row in 0..rows {
                    binder.bind(&mut statement, row * columns + 1, first + row)?;
                }
                statement.raw_execute().map_err(|error| self.failed(error))?;
            }
        }
        self.rows += batch.num_rows() as u64;
        self.bytes += batch.get_array_memory_size();
        if self.bytes > IN_MEMORY && !self.spilled {
            self.spill()?;
        }
        Ok(())
    }

    /// Fills the stage by a query that this database runs itself.
    pub(super) fn add_query(&mut self, query: &Statement) -> Result<()> {
        let columns = quote_all(self.schema.fields().iter().map(|field| field.name().as_str()));
        let sql = format!("INSERT INTO {} ({columns}) SELECT {columns} FROM ({})", self.table(), query.sql);
        let values = params_from_iter(query.values.iter().filter_map(raw));
        let inserted = self.connection().execute(&sql, values).map_err(|error| self.failed(error))?;
        self.rows += inserted as u64;
        Ok(())
    }

    /// Ends the filling. Of rows with one key only the last stays.
    pub(super) fn finish(&mut self, key: &[String]) -> Result<()> {
        if !key.is_empty() {
            let table = self.table();
            let key = quote_all(key.iter().map(String::as_str));
            let sql = format!(
                "DELETE FROM {table} WHERE rowid NOT IN (SELECT max(rowid) FROM {table} GROUP BY {key})"
            );
            self.run(&sql)?;
        }
        self.run("COMMIT")
    }

    pub(super) fn failed(&self, error: rusqlite::Error) -> Error {
        failed(&self.shown, error)
    }

    fn insert(&self, columns: usize, rows: usize) -> String {
        let row = format!("({})", vec!["?"; columns].join(", "));
        format!("INSERT INTO {} VALUES {}", self.table(), vec![row; rows].join(", "))
    }

    fn spill(&mut self) -> Result<()> {
        let what = || format!("a temporary file in \"{}\"", self.scratch.display());
        std::fs::create_dir_all(&self.scratch).map_err(|error| io_failed(&what(), error))?;
        let file =
            tempfile::NamedTempFile::new_in(&self.scratch).map_err(|error| io_failed(&what(), error))?;
        self.run("COMMIT")?;
        let path = file.path().to_string_lossy().into_owned();
        self.connection().execute("ATTACH ?1 AS spill", [path]).map_err(|error| self.failed(error))?;
        self.spilled = true;
        self.run(&format!(
            "PRAGMA spill.journal_mode = OFF; PRAGMA spill.synchronous = OFF; PRAGMA spill.cache_size = -16384; \
             CREATE TABLE {IN_FILE} ({}); BEGIN; INSERT INTO {IN_FILE} SELECT * FROM {IN_TEMP}; DROP TABLE {IN_TEMP}",
            self.columns
        ))
        // Here `file` is dropped, and its name with it; SQLite holds the file open until the stage is dropped.
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection().execute_batch(sql).map_err(|error| self.failed(error))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let undone = lease.is_autocommit() || lease.execute_batch("ROLLBACK").is_ok();
        let clean = "DROP TABLE IF EXISTS temp.\"_vitrina_stage\"";
        let detached = !self.spilled || lease.execute_batch("DETACH spill").is_ok();
        if !undone || !detached || lease.execute_batch(clean).is_err() {
            lease.discard();
        }
    }
}
