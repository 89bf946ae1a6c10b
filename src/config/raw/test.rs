//! `[[test]]` of pipelines and marts.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::pipeline::Scalar;
use crate::model::column::ColumnType;

/// A unit test, run by `vitrina test` in memory: rows in, rows out, nothing else touched. Rows are CSV text under a header: `NULL` is NULL, an
/// empty cell is the empty text, double quotes keep what stands in them (`"NULL"`, `","`, `""`), spaces around a cell do not count.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    /// What it shows, for people: `"test actions stay out"`.
    pub(crate) name: String,
    /// The member that runs, where there is a matrix: `{ region = "mrf1" }`.
    #[serde(default)]
    pub(crate) matrix: IndexMap<String, String>,
    /// The rows that are there before, table by table: `given.source = "…"` is the unit that a pipeline reads, `given."analytics.views"`,
    /// `given."mart.revenue"` and `given."pipeline.orders"` are tables as SQL names them. Columns that are left out are NULL; tables that are left out are empty.
    #[serde(default)]
    pub(crate) given: IndexMap<String, GivenRows>,
    /// The day whose windows are built, of a mart with `[window]`: `2026-01-01`; of a longer grain the window that it lies in.
    pub(crate) window: Option<Scalar>,
    /// What `now()` says, and what day relative periods are counted from; the end of the tested window, or midnight of 2000-01-01, unless told. Without zone it is in the project's.
    pub(crate) now: Option<Scalar>,
    /// Parameters of a workbook, in place of the defaults in its `[with]`.
    #[serde(default)]
    pub(crate) with: IndexMap<String, Scalar>,
    /// The rows that come of it, in the columns that are named here; of a workbook, by sheet: `expect."По дням" = "…"`.
    pub(crate) expect: Option<ExpectedRows>,
    /// Whether the order of rows counts.
    #[serde(default)]
    pub(crate) ordered: bool,
    /// How many rows become dead letters; none unless told.
    pub(crate) expect_dead_letters: Option<u64>,
    /// The run fails, and this is a part of what it says.
    pub(crate) expect_error: Option<String>,
}

/// Rows of a table: CSV text, or that and the types of columns that nothing else tells.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum GivenRows {
    /// CSV text.
    Text(String),
    /// CSV text and types.
    Typed(TypedRows),
}

/// Rows and types of their columns.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypedRows {
    /// Types of columns by name.
    pub(crate) types: IndexMap<String, ColumnType>,
    /// CSV text.
    pub(crate) rows: String,
}

/// Rows that are expected: CSV text, or one per sheet.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ExpectedRows {
    /// CSV text.
    Rows(String),
    /// CSV text by the sheet's name.
    Sheets(IndexMap<String, String>),
}
