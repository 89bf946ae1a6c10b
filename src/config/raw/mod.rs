//! What users write, as plain structs: one file per kind of file. Doc comments here are the manual: the JSON Schemas and
//! `docs/reference/configuration.md` are made from them, and [`walk`](super::walk) proves files against those schemas.
//!
//! Invariant: no struct here checks anything; `walk` has done it when serde gets to see a file.

pub mod mart;
pub mod pipeline;
pub mod project;

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
pub enum MatrixUse {
    /// All members of these matrices.
    All(Vec<String>),
    /// Some members of each matrix.
    Some(IndexMap<String, Vec<String>>),
}

/// When a job runs by itself: one of `every`, `cron`, `after`, `continuous`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// At fixed distances: `"1m"`.
    pub every: Option<Span>,
    /// By a cron expression of five fields (six with seconds): `"5 6 * * MON-FRI"`.
    #[schemars(extend("format" = "cron"))]
    pub cron: Option<String>,
    /// The zone of `cron`; the project's unless told.
    #[schemars(extend("format" = "time-zone"))]
    pub time_zone: Option<String>,
    /// After other jobs, member by member: `"inputs"` = every job that it reads from, or a list of names.
    pub after: Option<After>,
    /// All the time: as soon as the source has something new.
    pub continuous: Option<bool>,
    /// What to do with runs that were missed while the daemon was down.
    #[serde(default)]
    pub misfire: Misfire,
    /// What to do when a run is due while the last one still goes.
    #[serde(default)]
    pub concurrency: Concurrency,
}

/// Jobs that a job runs after.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum After {
    /// Every job that it reads from.
    Inputs(Inputs),
    /// These jobs.
    Jobs(Vec<String>),
}

/// The word `inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Inputs {
    /// Every job that it reads from.
    Inputs,
}

/// What happens when the world fails.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Tries of one unit, the first included; 5 unless told.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: Option<u32>,
    /// Before the second try; doubled for each further one, with jitter, up to ten minutes. `"10s"` unless told.
    pub wait: Option<Span>,
    /// Of one whole run; `"1h"` unless told.
    pub timeout: Option<Span>,
}

/// SQL, or the file it lies in.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SqlText {
    /// The text.
    Text(String),
    /// A file of SQL.
    File(SqlFile),
}

/// A file of SQL.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlFile {
    /// Its path, relative to the TOML file.
    pub file: String,
}
