//! What users write about a SQLite connection.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::quote;
use crate::{
    connector::{sink::SinkSpec, source::SourceSpec},
    model::{
        delivery::{LINGER, Mode, Order, Reading, SinkFacts, SourceFacts},
        unit::SliceLimit,
    },
};

/// A commit holds the write lock of a file that others write too: what it moves is small enough for some tens of
/// milliseconds.
const SLICE: SliceLimit = SliceLimit { rows: 20_000, bytes: 8 << 20 };

/// SQLite database files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// One database file, relative to the project's folder; made when first written to. Either this or `databases`.
    pub path: Option<String>,
    /// Several database files, each a schema of its own: `databases = { actions = "data/actions.db", nature = "data/nature.db" }`.
    #[serde(default)]
    pub databases: IndexMap<String, String>,
    /// Its tables are logs, as topics are: appended only, read by offset (`_offset INTEGER PRIMARY KEY AUTOINCREMENT`).
    #[serde(default)]
    pub log: bool,
}

/// `[sink.sqlite]`: acts where the sink's connection is SQLite.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// Columns that get an index each, where none begins with them: a pipeline that reads the table by such a cursor then looks at nothing but
    /// the rows that are new. One that the table lacks is made before rows are written; none is taken away.
    #[serde(default)]
    pub index: Vec<String>,
}

impl Config {
    /// What makes an index that begins with a column.
    pub(crate) fn create_index(&self, table: &str, column: &str) -> String {
        let name = quote(&format!("{table}_{column}"));
        format!("CREATE INDEX {name} ON {} ({})", quote(table), quote(column))
    }

    /// What a table of this connection can promise as a source.
    pub fn source_facts(&self, spec: &SourceSpec) -> SourceFacts {
        let Some(cursor) = spec.cursor.as_ref().filter(|_| !self.log) else {
            let by_offset = self.log && !spec.whole;
            let reading = if by_offset { Reading::Ranges(Order::Sure) } else { Reading::Whole };
            return SourceFacts { replays: by_offset, reading };
        };
        let column = &cursor.column;
        let order = if cursor.overlap.is_some() {
            Order::Overlap
        } else if ["rowid", "_rowid_", "oid"].contains(&column.to_ascii_lowercase().as_str()) {
            Order::MayMiss("VACUUM renumbers row ids that no column holds".to_owned())
        } else {
            Order::Assuming(format!(
                "rows are added with rising `{column}`, and the newest rows are not deleted (or the column is AUTOINCREMENT)"
            ))
        };
        SourceFacts { reading: Reading::Ranges(order), replays: true }
    }

    /// What a table of this connection can promise as a sink.
    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        let modes = if self.log {
            vec![Mode::Append]
        } else {
            vec![Mode::Append, Mode::Merge, Mode::Replace, Mode::Window]
        };
        SinkFacts { weak: None, assuming: vec![], modes, slice: SLICE, linger: LINGER }
    }

    /// The names of `databases`; empty where there is one file.
    pub fn schemas(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }
}
