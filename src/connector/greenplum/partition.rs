//! Partitions of a table that is made.

use std::fmt;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a table that is made is split: by ranges of a date or a time, and one more partition for all other rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// A column of dates or timestamps.
    pub column: String,
    /// The first day of the first range: `"2026-01-01"`; in UTC for timestamps with a zone.
    #[schemars(with = "String", extend("format" = "date"))]
    pub from: NaiveDate,
    /// The first day behind the last range.
    #[schemars(with = "String", extend("format" = "date"))]
    pub until: NaiveDate,
    /// What one range is.
    pub every: Period,
}

/// A length of time in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        })
    }
}
