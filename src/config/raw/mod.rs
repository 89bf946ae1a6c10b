//! What users write, as plain structs: one file per kind of file. Doc comments here are the manual: the JSON Schemas and
//! `docs/reference/configuration.md` are made from them, and [`walk`](super::walk) proves files against those schemas.
//!
//! Invariant: no struct here checks anything; `walk` has done it when serde gets to see a file.

pub(crate) mod bot;
pub(crate) mod check;
pub(crate) mod dialog;
pub(crate) mod mart;
pub(crate) mod pipeline;
pub(crate) mod project;
pub(crate) mod test;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::project::{Concurrency, Misfire},
    model::time::Span,
};

/// The matrices that a job fans out over.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum MatrixUse {
    /// All members of these matrices.
    All(Vec<String>),
    /// Some members of each matrix.
    Some(IndexMap<String, Vec<String>>),
}

/// When a job runs by itself: one of `every`, `cron`, `after`, `continuous`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedule {
    /// At fixed distances: `"1m"`.
    pub(crate) every: Option<Span>,
    /// By a cron expression of five fields (six with seconds): `"5 6 * * MON-FRI"`.
    #[schemars(extend("format" = "cron"))]
    pub(crate) cron: Option<String>,
    /// The zone of `cron`; the project's unless told.
    #[schemars(extend("format" = "time-zone"))]
    pub(crate) time_zone: Option<String>,
    /// After other jobs, member by member: `"inputs"` = every job that it reads from, or a list of names.
    pub(crate) after: Option<After>,
    /// All the time: as soon as the source has something new.
    pub(crate) continuous: Option<bool>,
    /// What to do with instants that were missed while the daemon was down: run once for all of them, leave them out, or run each (100 at most).
    #[serde(default)]
    pub(crate) misfire: Misfire,
    /// What to do when a run is due while the last one still goes: leave it out, and count it, or run it afterwards.
    #[serde(default)]
    pub(crate) concurrency: Concurrency,
}

/// Jobs that a job runs after.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum After {
    /// Every job that it reads from.
    Inputs(Inputs),
    /// These jobs.
    Jobs(Vec<String>),
}

/// The word `inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Inputs {
    /// Every job that it reads from.
    Inputs,
}

/// What happens when the world fails.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Tries of one unit, the first included; 5 unless told.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) attempts: Option<u32>,
    /// Before the second try; doubled for each further one, with jitter, up to ten minutes, which it may not exceed itself. `"10s"` unless told.
    pub(crate) wait: Option<Span>,
    /// Of one whole run; `"1h"` unless told.
    pub(crate) timeout: Option<Span>,
}

/// `[freshness]`: how old a pipeline or mart may become.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freshness {
    /// The age past which it is stale: `"26h"`. Of a mart with `[window]` that of its newest complete window, counted from its end; of any other mart, since its last
    /// build; of a pipeline, since it last looked at its source and ended well, or committed.
    pub(crate) warn_after: Span,
}

/// SQL, or the file it lies in.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum SqlText {
    /// The text.
    Text(String),
    /// A file of SQL.
    File(SqlFile),
}

/// A file of SQL.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlFile {
    /// Its path, relative to the TOML file.
    pub(crate) file: String,
}
