//! Tables in memory, gone with the process: the contract suite's first subject, and a source and sink for tests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OpenContext, connection::Connection, sink::SinkSpec, source::SourceSpec};
use crate::model::delivery::{SinkFacts, SourceFacts};

/// Tables in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    pub fn source_facts(&self, _: &SourceSpec) -> SourceFacts {
        todo!()
    }

    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        todo!()
    }
}

/// Opens an empty store.
pub fn open(_: &Config, _: OpenContext) -> Arc<dyn Connection> {
    todo!()
}
