//! What servers of the family do not have in common: statements that some of them lack, and how each keeps records. Pure: nothing here
//! asks a server.

use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};

use super::{name::quote, table::Table};
use crate::connector::{error::Result, sink::SinkSpec};

/// The staged rows, in the session's own schema; no target can have this name.
pub(crate) const STAGE: &str = "pg_temp._vitrina_stage";

/// The column that keeps the order of staged rows.
pub(crate) const NUMBER: &str = "_vitrina_number";

/// What answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Product {
    /// Of PostgreSQL, or of the one that it is made from: `150018`.
    pub(crate) number: u32,
    /// Greenplum's own version: `6.25.3`; `None` = it is no Greenplum.
    pub(crate) greenplum: Option<String>,
}

impl Product {
    /// What `server_version_num` and `version()` say.
    pub(crate) fn told(number: &str, version: &str) -> Self {
        let own = version.split_once("Greenplum Database ").map(|(_, rest)| rest);
        let own = own.and_then(|rest| rest.split([' ', '-', '+', ')']).next());
        Self { number: number.parse().unwrap_or_default(), greenplum: own.map(str::to_owned) }
    }

    /// PostgreSQL's version as people say it: `9.4.26`, `15.18`.
    fn postgres(&self) -> String {
        let (major, minor, patch) = (self.number / 10_000, self.number / 100 % 100, self.number % 100);
        if major < 10 { format!("{major}.{minor}.{patch}") } else { format!("{major}.{patch}") }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.greenplum {
            Some(own) => write!(f, "Greenplum {own} (PostgreSQL {})", self.postgres()),
            None => write!(f, "PostgreSQL {}", self.postgres()),
        }
    }
}

/// How a connector asks its servers and writes into them.
pub(crate) trait Dialect: Send + Sync {
    /// The kind of its connections: part of a source's identity.
    fn kind(&self) -> &'static str;

    /// Whether this server can be worked with; otherwise what is needed.
    fn accepts(&self, product: &Product) -> std::result::Result<(), &'static str>;

    /// A digest of a text, in SQL, of sixteen characters.
    fn digest(&self, text: &str) -> String;

    /// Whether several sessions may read one state.
    fn exports_snapshots(&self) -> bool;

    /// How often a waiting source looks for commits of others.
    fn looks_every(&self) -> Duration;

    /// What changes whenever anything is committed; `None` = the server has no such thing.
    fn last_commit(&self) -> Option<&'static str>;

    /// Makes a target.
    fn create_table(
        &self,
        product: &Product,
        spec: &SinkSpec,
        table: &str,
        columns: &[(String, String)],
    ) -> Result<String>;

    /// Adds a column.
    fn add_column(&self, table: &str, column: &str, kind: &str) -> String;

    /// Makes the index that a merge finds its rows by, under this name; `None` = merges need none.
    fn create_key(&self, name: &str, table: &str, columns: &str) -> Option<String>;

    /// Makes the table that rows are staged in, which loses them at the end of the transaction.
    fn create_stage(&self, product: &Product, spec: &SinkSpec, columns: &[(String, String)]) -> String;

    /// Keeps other writers out of a target whose rows are about to be deleted; `None` = the server needs no such lock.
    fn lock_target(&self, table: &str) -> Option<String>;

    /// Brings the last staged row of each key into the target.
    fn merge(&self, product: &Product, merge: &Merge<'_>) -> Vec<String>;

    /// What a merge does with its target besides reading it.
    fn merge_rights(&self, spec: &SinkSpec) -> &'static [&'static str];

    /// What writers do with the table of records.
    fn record_rights(&self) -> &'static [&'static str];

    /// The key of the table of records.
    fn record_key(&self) -> &'static str;

    /// Makes the table of records.
    fn create_records(&self, product: &Product, table: &str) -> String;

    /// Writes a record over the one that is expected.
    fn swap(&self, table: &str, row: &RecordRow, expected: Option<u64>) -> Swap;

    /// Takes away what is left of older records, one statement after another.
    fn prune(&self, table: &str) -> Vec<String>;
}

/// A record's cells as SQL spells them.
pub(crate) struct RecordRow {
    pub(crate) target: String,
    pub(crate) track: String,
    pub(crate) seq: u64,
    pub(crate) progress: String,
    pub(crate) attempt: String,
    pub(crate) at: String,
    pub(crate) rows: u64,
}

impl RecordRow {
    /// Names and values of all its columns.
    pub(crate) fn insert(&self, table: &str) -> String {
        let Self { target, track, seq, progress, attempt, at, rows } = self;
        format!(
            "INSERT INTO {table} (target, track, seq, progress, attempt, \"at\", \"rows\") \
             VALUES ({target}, {track}, {seq}, {progress}, {attempt}, {at}, {rows})"
        )
    }
}

/// How a record is written over the one that is expected, in one transaction.
pub(crate) enum Swap {
    /// By one statement, which writes a row where the record is as expected, and holds it until the end.
    Compare(String),
    /// By a lock on the track until the end; then the record is read, and this one added if it was as expected.
    Lock { lock: String, insert: String },
}

/// A staged column on its way into the target.
#[derive(Debug, Clone)]
pub(crate) struct StagedColumn {
    /// Its name in SQL.
    pub(crate) name: String,
    /// The target's type, where it is staged as a text.
    pub(crate) cast: Option<String>,
}

impl StagedColumn {
    /// Its staged value as the target's type; `of` is the stage's alias with a dot, or nothing.
    pub(crate) fn cell(&self, of: &str) -> String {
        let cast = self.cast.as_ref().map_or(String::new(), |cast| format!("::{cast}"));
        format!("{of}{}{cast}", self.name)
    }
}

/// Staged rows that change those of their keys.
pub(crate) struct Merge<'a> {
    pub(crate) spec: &'a SinkSpec,
    /// The target in SQL.
    pub(crate) table: String,
    pub(crate) key: Vec<StagedColumn>,
    /// What the rows fill.
    pub(crate) columns: Vec<StagedColumn>,
    /// The target's other columns in SQL, which keep their values.
    pub(crate) others: Vec<String>,
}

/// The rows of a source into a table, each column as the table's type.
pub(crate) fn insert(table: &str, columns: &[StagedColumn], source: &str) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let cells: Vec<String> = columns.iter().map(|column| column.cell("")).collect();
    format!("INSERT INTO {table} ({}) SELECT {} FROM {source}", names.join(", "), cells.join(", "))
}

/// The number of an advisory lock.
pub(crate) fn lock_number(of: &str) -> i64 {
    let digest = Sha256::digest(format!("vitrina {of}"));
    let mut number = [0; 8];
    number.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(number)
}

/// A staged column's name and type in SQL: what has no binary form of ours is text.
pub(crate) fn staged(table: &Table, name: &str) -> (String, String) {
    let kind = match table.column(name) {
        Some(found) if !found.kind.spelled() => found.declared.as_str(),
        Some(_) => "text",
        // The mark of a deletion, which the target does not keep.
        None => "boolean",
    };
    (quote(name), kind.to_owned())
}

/// Columns as a table declares them.
pub(crate) fn declared(columns: &[(String, String)]) -> String {
    columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ")
}

/// Begins to make tables in a schema. One maker at a time: IF NOT EXISTS alone does not settle races.
pub(crate) fn begin_making(schema: &str) -> String {
    format!("BEGIN; SELECT pg_advisory_xact_lock({})", lock_number(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart() {
        let told = |number: &str, version: &str| Product::told(number, version).to_string();
        let six = "PostgreSQL 9.4.26 (Greenplum Database 6.25.3 build commit:367edc6b4dfd909fe38fc288ade9e294d74e3f9a Open Source) on \
                   x86_64-unknown-linux-gnu, compiled by gcc (GCC) 6.4.0, 64-bit compiled on Oct  4 2023 23:24:14";
        assert_eq!(told("90426", six), "Greenplum 6.25.3 (PostgreSQL 9.4.26)");
        let seven =
            "PostgreSQL 12.12 (Greenplum Database 7.1.0+dev.5.g00dd4e1 build dev) on x86_64-pc-linux-gnu";
        assert_eq!(told("120012", seven), "Greenplum 7.1.0 (PostgreSQL 12.12)");
        assert_eq!(told("150018", "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64"), "PostgreSQL 15.18");
    }

    #[test]
    fn locks_have_numbers_of_their_own() {
        assert_eq!(lock_number("a"), lock_number("a"));
        assert_ne!(lock_number("a"), lock_number("b"));
    }
}
