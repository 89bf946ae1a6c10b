//! Synthetic rows: declared, seeded, the same rows for the same specification.

mod condition;
pub mod config;
mod curve;
mod draw;
mod problems;
mod shape;

use std::sync::Arc;

use chrono_tz::Tz;
use indexmap::IndexMap;

use super::{error::Result, source::Source};
use crate::model::{
    delivery::{Order, Reading, SourceFacts},
    name::{JobName, Member},
    time::Clock,
};
pub use problems::Finding;

/// Opens a generator as the source of one member of a pipeline. `parents` are the specifications of the generators that its rows come from, by
/// pipeline name; each is taken with the same member.
pub fn open(
    _pipeline: &JobName,
    _member: &Member,
    _spec: &config::Generate,
    _parents: &IndexMap<String, config::Generate>,
    _zone: Tz,
    _clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Source>> {
    todo!()
}

/// What a generator can promise: rows by time, none late, always the same.
pub fn source_facts() -> SourceFacts {
    SourceFacts { reading: Reading::Ranges(Order::Sure), replays: true }
}
