//! What users write about a SQLite connection.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    connector::{sink::SinkSpec, source::SourceSpec},
    model::delivery::{SinkFacts, SourceFacts},
};

/// SQLite database files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// One database file, relative to the project's folder; made when first written to.
    pub path: Option<String>,
    /// Several database files, each a schema of its own.
    #[serde(default)]
    pub databases: IndexMap<String, String>,
    /// Its tables are logs, as topics are: appended only, read by offset (`_offset INTEGER PRIMARY KEY AUTOINCREMENT`).
    #[serde(default)]
    pub log: bool,
}

impl Config {
    pub fn source_facts(&self, _: &SourceSpec) -> SourceFacts {
        todo!()
    }

    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        todo!()
    }

    pub fn schemas(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }
}
