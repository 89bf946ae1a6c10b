//! Tables in memory, gone with the process: the contract suite's first subject, and a source and sink for tests.
//!
//! A store is shared by name inside a process: connections of one project folder and one name see the same
//! tables, as connections to one database do, for as long as any of them (or a test) holds the [`Store`].

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OpenContext, connection::Connection, sink::SinkSpec, source::SourceSpec};
use crate::model::{
    delivery::{LINGER, Mode, Order, Reading, SinkFacts, SourceFacts},
    unit::SliceLimit,
};

mod cell;
mod columns;
mod connection;
mod decode;
mod modes;
mod read;
mod store;
mod write;

pub use store::{Step, Store, TableName};

/// Tables in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its tables are logs: appended only, read by offset.
    #[serde(default)]
    pub log: bool,
    /// The schema of tables that name none; `main` unless told.
    pub schema: Option<String>,
}

impl Config {
    /// What a source on it can promise: a cursor rests on rising values, a log on nothing.
    pub fn source_facts(&self, spec: &SourceSpec) -> SourceFacts {
        let reading = match &spec.cursor {
            Some(cursor) if cursor.overlap.is_some() => Reading::Ranges(Order::Overlap),
            Some(cursor) => Reading::Ranges(Order::Assuming(format!(
                "new rows have greater values of `{}` than old ones",
                cursor.column
            ))),
            None if self.log && !spec.whole => Reading::Ranges(Order::Sure),
            None => Reading::Whole,
        };
        SourceFacts { reading, replays: true }
    }

    /// What a sink on it can promise: rows and record change under one lock.
    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        let modes = vec![Mode::Append, Mode::Merge, Mode::Replace, Mode::Window];
        SinkFacts { weak: None, assuming: vec![], modes, slice: SliceLimit::default(), linger: LINGER }
    }
}

/// Opens the store of this folder and name, made empty where nobody holds it yet.
pub fn open(config: &Config, context: OpenContext) -> Arc<dyn Connection> {
    let store = Store::named(&context.root, &context.name);
    Arc::new(connection::MemoryConnection::new(store, context.name, config))
}
