//! What a connector hands to the suite: a place of its own, and hands that touch it as strangers would.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use vitrina::{connector::connection::Connection, model::delivery::Mode};

/// A way to read a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// By a cursor column.
    Cursor,
    /// By offset or version: no cursor is named.
    Log,
    /// The whole table, one generation at a time.
    Whole,
}

/// What a connector can do. What it cannot do must be refused, and that is tested too.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Abilities {
    /// Ways to read.
    pub(crate) readings: Vec<Reading>,
    /// Whether slices of a log end where the limit says (false: only between commits of its writers).
    pub(crate) cuts_logs: bool,
    /// Whether a log shows that its newest rows were taken away, or that it was made again.
    pub(crate) notices_log_changes: bool,
    /// Cursor columns by type, as contracts spell it.
    pub(crate) cursors: Vec<&'static str>,
    /// Ways to write.
    pub(crate) modes: Vec<Mode>,
    /// Types that a target cannot hold without loss, as contracts spell them: refused in `claim`.
    pub(crate) refused_types: Vec<&'static str>,
    /// Whether a text may have a NUL in it.
    pub(crate) nul_in_text: bool,
    /// Whether an evolving target widens `int32` to `int64`; otherwise that is a changed schema.
    pub(crate) widens: bool,
    /// Whether staged rows can be checked before the commit.
    pub(crate) checks: bool,
    /// Whether tables may have any name (dots, quotes, any alphabet).
    pub(crate) any_name: bool,
    /// Years that dates and times may lie in; a row outside is bad data, never another date.
    pub(crate) years: std::ops::RangeInclusive<i32>,
}

impl Abilities {
    /// Everything: what `memory` can do; others take away.
    pub(crate) fn all() -> Self {
        Self {
            readings: vec![Reading::Cursor, Reading::Log, Reading::Whole],
            cuts_logs: true,
            notices_log_changes: true,
            cursors: vec![
                "int8",
                "int32",
                "int64",
                "uint64",
                "text",
                "date",
                "timestamp(ms, UTC)",
                "timestamp(us, UTC)",
                "timestamp(us)",
                "decimal(18,4)",
            ],
            modes: vec![Mode::Append, Mode::Merge, Mode::Replace, Mode::Window],
            refused_types: vec![],
            nul_in_text: true,
            widens: true,
            checks: true,
            any_name: true,
            years: 1..=9999,
        }
    }
}

/// A fresh place, gone when the harness is dropped.
#[async_trait]
pub(crate) trait Harness: Send + Sync {
    /// What this connector can do.
    fn abilities(&self) -> Abilities;

    /// A new connection to the place, as a new process would open it.
    fn open(&self) -> Arc<dyn Connection>;

    /// A new connection whose tables are read in this way when no cursor is named.
    fn open_for(&self, _: Reading) -> Arc<dyn Connection> {
        self.open()
    }

    /// Adds rows to a source table as a stranger would, making it where it is missing, and adding columns that it lacks.
    /// One call is one commit of the writer. `reading` = how the suite will read the table.
    async fn insert(&self, reading: Reading, table: &str, rows: &RecordBatch);

    /// Deletes rows of a source table by `id`.
    async fn delete(&self, table: &str, ids: &[i64]);

    /// Drops a source table.
    async fn drop_table(&self, table: &str);

    /// Whatever lies in the place and belongs to no committed unit: staged files, temporary tables. Asked after `maintain`.
    async fn leftovers(&self) -> Vec<String>;
}
