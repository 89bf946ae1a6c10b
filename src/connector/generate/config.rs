//! What users write about synthetic rows.

use chrono::{NaiveDate, NaiveDateTime};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::problems::Finding;
use crate::model::time::Span;

/// `[source.generate]`: synthetic rows. The same specification always gives the same rows: first the history since
/// `start`, then new ones minute by minute, as time passes. Every pipeline and every member of its matrix has rows of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Other seeds give other rows.
    pub seed: u64,
    /// When the first row may appear: a day (`2026-01-01`, from midnight in the project's zone) or a time. A generator with a `parent` begins with its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// Rows on a whole working day, before growth. A generator with a `parent` has as many rows as its parent gives rise to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<f64>,
    /// How rows spread over the day, the week and the years; evenly unless told. With a `parent`, when in the day and week its rows appear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// Another generator whose rows give rise to these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// These rows and no others, instead of `start` and `per_day`: `{ at = 2026-01-01, id = 1, title = "…" }`. Their keys are columns, which stand before the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<ListedRow>>,
    /// Columns in order; each has one way to be made (`sequence`, `choice` …).
    pub columns: IndexMap<String, Column>,
}

/// How rows spread over time, in the project's zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Over the day: `"even"`, `"office"` (9 to 18, a dip at lunch), `"evening"`, or 24 weights, from midnight on. Weights are relative to each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Over the week: 7 factors from Monday on; 1 = a whole working day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekdays: Option<Vec<f64>>,
    /// Over the years: 0.4 = two fifths more rows each year than the year before, day by day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_per_year: Option<f64>,
}

/// How rows spread over the day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Hours {
    /// By name.
    Named(Shape),
    /// 24 weights, from midnight on.
    Weights(Vec<f64>),
}

/// A day's shape by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// All hours alike.
    Even,
    /// 9 to 18 with a dip at lunch, a little before and after.
    Office,
    /// From noon on, most between 19 and 23.
    Evening,
}

/// Another generator whose rows give rise to these: leads that turn into services, orders that are paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The pipeline that makes the parents' rows; each member has the parent of the same matrix values.
    pub pipeline: String,
    /// Which of its rows may have a child: an SQL condition over its columns (`"action = 'lead'"`). All of them unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The share of those that do have one, from 0 to 1; all unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// How much later the child appears.
    pub delay: Delay,
    /// Child rows that are followed by further ones, told apart by a `step` or `nth` column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// Columns that the child takes from its parent: `{ lead_id = "id" }` = its `lead_id` is the parent's `id`. They stand before the others.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub columns: IndexMap<String, String>,
}

/// Further rows after a child's first: the cancellation of a service, the renewals of a subscription. They have the same values, but for
/// sequences, times, steps and what is drawn `anew`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// The share of rows that are followed by another one, from 0 to 1.
    pub chance: f64,
    /// How much later than the row before.
    pub delay: Delay,
    /// How many may follow the first row, one after the other, until chance ends it; one unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u8>,
}

/// How much later a row appears than the one that gives rise to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Delay {
    /// `"3d"`: on average; many soon, some late, none later than four times this (or up to ten days more where `curve` moves it into working hours).
    Around(Span),
    /// `{ exactly = "30d" }`: always this much, whatever `curve` says.
    Exactly(ExactDelay),
    /// `{ days = "period_days" }`: as many whole days as this column of the parent says; no row where it is NULL, below 0 or above 366.
    Days(DelayInDays),
}

/// Always the same delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExactDelay {
    /// The delay.
    pub exactly: Span,
}

/// A delay that the parent's row knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayInDays {
    /// A column of the parent: whole days.
    pub days: String,
}

/// One row that is told: when it appears, and its values by column. A column that some rows leave out is NULL there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedRow {
    /// When it appears: a day (from midnight in the project's zone) or a time.
    pub at: Start,
    /// Its values.
    #[serde(flatten)]
    pub values: IndexMap<String, Scalar>,
}

/// One column: exactly one way to be made, and when it is NULL.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// NULL in rows that do not meet this SQL condition: columns that stand above, compared with literals, joined by AND, OR, NOT, IN (`"action = 'lead'"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The share of rows that have NULL here though they should not, from 0 to 1: dirt, as real data has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
    /// `true`: drawn anew in each row of one parent, where the others repeat the first (see `parent.follow`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<bool>,
    /// Rising whole numbers from this one on: without gaps, or, with `when`, with gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// `true`: when the row happened, to the millisecond, with zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<bool>,
    /// Whole numbers of which the first are frequent and the last are rare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zipf: Option<Zipf>,
    /// Whole numbers, all alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uniform: Option<Uniform>,
    /// Amounts around a mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal: Option<Normal>,
    /// One of these texts, by weight: `{ call = 50, lead = 15 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<IndexMap<String, f64>>,
    /// The same value in every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Scalar>,
    /// What belongs to another column's value: a price to a tariff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// One text out of a list for each value of another column, always the same: a name to a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// `["connected", "cancelled"]`: the first in a child's first row, the second in the one that follows (see `parent.follow`), the last in all further ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Vec<String>>,
    /// The number of a child's row among those of its parent, from this one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<i64>,
}

/// Whole numbers of which the first are frequent and the last are rare: the n-th has the weight `1 / n^exponent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zipf {
    /// The most frequent one.
    pub from: i64,
    /// The rarest one.
    pub to: i64,
    /// 0 = all alike; 1 = the first twice as often as the second.
    pub exponent: f64,
}

/// Whole numbers, all alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// The least one.
    pub from: i64,
    /// The greatest one.
    pub to: i64,
}

/// Amounts around a mean, in a bell curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub sd: f64,
    /// None is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// None is greater.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Digits behind the point of a `decimal(18, …)`; a `float64` unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
}

/// What belongs to another column's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The column that it belongs to: text or whole numbers, above this one.
    pub by: String,
    /// What belongs to each of its values; NULL for values that are not here.
    pub values: IndexMap<String, Scalar>,
    /// Numbers become a `decimal(18, …)` with this many digits behind the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
}

/// One text out of a list for each value of another column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// The column: whole numbers or text, above this one. Numbers that follow one another have different texts, as long as the list is.
    pub by: String,
    /// The texts; each member of a matrix has them in an order of its own.
    pub from: Vec<String>,
}

/// A plain value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// A day or a time, as TOML writes them: `2026-01-01`, `2026-01-01T08:30:00`, `2026-01-01T08:30:00+03:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Midnight of this day, or this wall-clock time, in the project's zone.
    Local(NaiveDateTime),
    /// An instant.
    Instant(chrono::DateTime<chrono::Utc>),
}

impl std::str::FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(Self::Local(day.and_time(chrono::NaiveTime::MIN)));
        }
        if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(instant.to_utc()));
        }
        let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        local.map(Self::Local).ok_or_else(|| "expected a day such as 2026-01-01, or a time".to_owned())
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.f")),
            Self::Instant(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.fZ")),
        }
    }
}

impl Serialize for Start {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(StartVisitor)
    }
}

/// Takes text, and TOML's own dates, which the `toml` crate hands over as a map of one text.
struct StartVisitor;

impl<'de> serde::de::Visitor<'de> for StartVisitor {
    type Value = Start;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a day or a time")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Start, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Start, A::Error> {
        use serde::de::Error;
        let entry: Option<(String, String)> = map.next_entry()?;
        let (_, text) = entry.ok_or_else(|| A::Error::custom("expected a day or a time"))?;
        self.visit_str(&text)
    }
}

impl JsonSchema for Start {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Start".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-or-time",
            "examples": ["2026-01-01", "2026-01-01T08:00:00+03:00"],
        })
    }
}
