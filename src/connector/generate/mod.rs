//! Synthetic rows: declared, seeded, the same rows for the same specification.

pub mod config;

use std::sync::Arc;

use super::{error::Result, source::Source};
use crate::model::{delivery::SourceFacts, name::Member, time::Clock};

/// Opens a generator as the source of one member. `parents` are the specifications of the generators whose rows this one's belong to, by pipeline name (of the same member).
pub fn open(
    _spec: &config::Generate,
    _member: &Member,
    _parents: &indexmap::IndexMap<String, config::Generate>,
    _zone: chrono_tz::Tz,
    _clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Source>> {
    todo!()
}

/// What a generator can promise.
pub fn source_facts() -> SourceFacts {
    todo!()
}
