//! `[[check]]` of marts.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pipeline::Scalar;
use crate::model::time::Span;

/// `[[check]]`: what must hold of the new rows. They are judged before they are visible. Exactly one of the rules.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// For people: `"no negative durations"`. Unless told, what the rule says.
    pub(crate) name: Option<String>,
    /// What happens when it does not hold; `"block"` unless told.
    #[serde(default)]
    pub(crate) severity: Severity,
    /// No two rows are equal in these columns.
    #[serde(default)]
    pub(crate) unique: Vec<String>,
    /// These columns are never NULL.
    #[serde(default)]
    pub(crate) not_null: Vec<String>,
    /// Values that columns may have; NULL passes: `accepted.kind = ["trial", "paid"]`.
    #[serde(default)]
    pub(crate) accepted: IndexMap<String, Vec<Scalar>>,
    /// Between what the values of columns lie; NULL passes: `range.cnt_views = { min = 0 }`.
    #[serde(default)]
    pub(crate) range: IndexMap<String, Range>,
    /// Columns whose values are all found in a column of another table; NULL passes: `relationship.tv_id = "mart.content.tv_id"`.
    #[serde(default)]
    pub(crate) relationship: IndexMap<String, String>,
    /// How many rows there are.
    pub(crate) row_count: Option<RowCount>,
    /// A query over `this`, the new rows; any row that it gives breaks the check: `"SELECT * FROM this WHERE money < 0"`.
    pub(crate) sql: Option<String>,
    /// How old the newest value of a column may be: `freshness.started_at = "26h"`. In a mart with `[window]` it is asked of windows that ended no longer ago.
    #[serde(default)]
    pub(crate) freshness: IndexMap<String, Span>,
}

/// What happens when a check does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The table keeps its old content, and the run fails.
    #[default]
    Block,
    /// It is told, and the rows are taken.
    Warn,
}

/// Between what values lie, both ends in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The least: a number, a date, a timestamp, a text.
    pub(crate) min: Option<Scalar>,
    /// The greatest.
    pub(crate) max: Option<Scalar>,
}

/// How many rows there are, both ends in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowCount {
    /// At least.
    pub(crate) min: Option<u64>,
    /// At most.
    pub(crate) max: Option<u64>,
}
