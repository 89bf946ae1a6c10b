//! What users write about sheets: columns, totals, charts; and the checks that need no rows.

pub use super::check::{parse_cell, total_fits, validate_number_format, validate_sheet_name};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a column of a sheet looks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SheetColumn {
    /// Header; the column's name unless told.
    pub title: Option<String>,
    /// Excel number format: `#,##0.00`, `dd.mm.yyyy`, `0.0%`.
    pub format: Option<String>,
    /// What stands under the column.
    pub total: Option<Total>,
    /// Width in characters; measured unless told.
    pub width: Option<f64>,
}

/// What stands under a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Total {
    Sum,
    Average,
    Count,
    Min,
    Max,
}

/// A native Excel chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// Its kind.
    pub kind: ChartKind,
    /// Its title.
    pub title: Option<String>,
    /// The column along the axis.
    pub x: String,
    /// Columns drawn, a series each.
    pub y: Vec<String>,
    /// The cell of its upper left corner: `H2`.
    pub at: String,
}

/// Kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ChartKind {
    Column,
    StackedColumn,
    Bar,
    Line,
    Area,
    Pie,
}
