//! What users write about Delta tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    connector::{sink::SinkSpec, source::SourceSpec},
    model::delivery::{SinkFacts, SourceFacts},
};

/// A folder of Delta tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder, relative to the project's; each table is a folder in it.
    pub path: String,
}

/// `[sink.delta]`: acts where the sink's connection is Delta.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// Columns that part the table's files into folders.
    #[serde(default)]
    pub partition_by: Vec<String>,
}

impl Config {
    pub fn source_facts(&self, _: &SourceSpec) -> SourceFacts {
        todo!()
    }

    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        todo!()
    }
}
