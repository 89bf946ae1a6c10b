//! What users write about sheets: columns, totals, charts; and the checks that need no rows.

pub use super::check::{parse_cell, total_fits, validate_number_format, validate_sheet_name};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a column of a sheet looks. Columns that are not named look as their type does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SheetColumn {
    /// Header; the column's name unless told.
    pub title: Option<String>,
    /// Excel number format: `#,##0.00`, `0` (ids, years), `0.0%`, `dd.mm.yyyy`, `#,##0" ₽"`. Unless told: thousands apart and
    /// the places of the type, days as the project's language writes them.
    pub format: Option<String>,
    /// What stands under the column, over all rows; it follows the filter. `sum` and `average` are for numbers,
    /// `min` and `max` for numbers, dates and times, `count` counts cells that are not empty.
    pub total: Option<Total>,
    /// Width in characters, 1 to 255; measured over the first rows unless told.
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

/// A native Excel chart over all rows of its sheet, in their order. About 19 rows high.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// Its kind.
    pub kind: ChartKind,
    /// Its title; unless told, the title of the one column drawn.
    pub title: Option<String>,
    /// The column along the axis; of a pie: the names of its slices.
    pub x: String,
    /// Columns drawn, a series each: numbers. A pie has one.
    pub y: Vec<String>,
    /// The cell of its upper left corner: `H2`. The table begins at `A4`; a chart never covers the rows above its first row.
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
