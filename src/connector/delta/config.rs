//! What users write about Delta tables.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::connector::objects::config::Config;
use crate::{
    connector::{sink::SinkSpec, source::SourceSpec},
    model::{
        delivery::{Mode, Order, Reading, SinkFacts, SourceFacts},
        unit::SliceLimit,
    },
};

/// Every commit leaves files and a version behind, so that news is gathered for longer.
const LINGER: Duration = Duration::from_secs(10);

/// `[sink.delta]`: acts where the sink's connection is Delta.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// Columns that part the table's files into folders, when the table is made: few values each (a region, a day).
    /// Unless told, a table that members replace part by part is partitioned by their columns, any other by none.
    #[serde(default)]
    pub partition_by: Vec<String>,
}

/// What a source on it can promise.
pub fn source_facts(spec: &SourceSpec) -> SourceFacts {
    if spec.whole {
        return SourceFacts { reading: Reading::Whole, replays: true };
    }
    let order = match &spec.cursor {
        // Versions of a table never come out of order.
        None => Order::Sure,
        Some(cursor) if cursor.overlap.is_some() => Order::Overlap,
        Some(cursor) => {
            let what = match &cursor.tie {
                Some(tie) => format!("(`{}`, `{tie}`)", cursor.column),
                None => format!("`{}`", cursor.column),
            };
            Order::Assuming(format!("{what} of a new row is greater than that of every row before it"))
        }
    };
    SourceFacts { reading: Reading::Ranges(order), replays: true }
}

/// What a sink on it can promise.
pub fn sink_facts(_: &SinkSpec) -> SinkFacts {
    SinkFacts {
        weak: None,
        assuming: vec![],
        modes: vec![Mode::Append, Mode::Merge, Mode::Replace, Mode::Window],
        slice: SliceLimit::default(),
        linger: LINGER,
    }
}
