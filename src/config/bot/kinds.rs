//! Choices of words in `bot.toml`, and what its templates may name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Span;

/// Kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AskKindName {
    Date,
    DateRange,
    Choice,
    Number,
    Text,
}

/// How values are written: money, shares, whole and other numbers, days, months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Format {
    Rub,
    Percent,
    Whole,
    Number,
    Date,
    Month,
    Text,
}

/// Kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ChartKind {
    Line,
    Column,
    Stacked,
    Bar,
    Pie,
    Funnel,
    HeatMap,
}

/// What a text is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Compare {
    PreviousPeriod,
}

/// Files of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FileKind {
    Excel,
    Csv,
}

/// What to do when marts are not fresh by then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Otherwise {
    #[default]
    Warn,
    Skip,
}

/// Whether an alert is told again while it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AlertRepeat {
    /// Once until it recovers.
    Never(Never),
    /// After this long.
    After(Span),
}

/// The word `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Never {
    Never,
}

/// What a template may name besides the columns of its rows: how many there are, the rows themselves, the range of days.
pub const TEMPLATE_NAMES: [&str; 3] = ["rows", "row", "period"];

/// The filters that a template may use.
pub const TEMPLATE_FILTERS: [&str; 26] = [
    "sum",
    "avg",
    "first",
    "last",
    "max",
    "min",
    "count",
    "rub",
    "number",
    "short",
    "percent",
    "date",
    "plural",
    "change",
    "abs",
    "capitalize",
    "default",
    "float",
    "int",
    "join",
    "length",
    "lower",
    "replace",
    "round",
    "trim",
    "upper",
];
