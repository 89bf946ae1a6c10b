//! One lossless typed value: a cursor's bound, a parameter.

use std::{cmp::Ordering, fmt};

use arrow::datatypes::TimeUnit;
use serde::{Deserialize, Serialize};

/// A value that survives being written down and read back: integers stay exact, decimals keep
/// their scale, timestamps their unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Value {
    /// SQL NULL.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number; text in JSON, because readers of JSON round past 2^53.
    Int(#[serde(with = "as_text")] i64),
    /// A whole number past `i64`.
    UInt(#[serde(with = "as_text")] u64),
    /// IEEE 754 double, kept by its bits.
    Float(FloatBits),
    /// `unscaled × 10^-scale`.
    Decimal {
        /// All digits, as a whole number.
        #[serde(with = "as_text")]
        unscaled: i128,
        /// Digits behind the point.
        scale: i8,
    },
    /// Unicode text, compared by bytes (BINARY collation).
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// An instant, or a wall-clock time without zone, as ticks since 1970-01-01T00:00.
    Timestamp {
        /// Ticks of `unit`.
        #[serde(with = "as_text")]
        ticks: i64,
        /// What one tick is.
        unit: Tick,
        /// Whether it is an instant (UTC) or a wall-clock time.
        utc: bool,
    },
}

/// Bits of a double, so that it can be compared and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FloatBits(u64);

impl From<f64> for FloatBits {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl FloatBits {
    /// The double.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A tick of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Tick {
    S,
    Ms,
    Us,
    Ns,
}

impl Tick {
    /// Ticks in a second.
    pub fn per_second(self) -> i64 {
        match self {
            Self::S => 1,
            Self::Ms => 1_000,
            Self::Us => 1_000_000,
            Self::Ns => 1_000_000_000,
        }
    }

    /// Ticks of another unit in this one, a part of a tick left out; `None` = more than there are.
    pub fn of(self, ticks: i64, unit: Self) -> Option<i64> {
        let scaled = i128::from(ticks) * i128::from(self.per_second());
        i64::try_from(scaled.div_euclid(i128::from(unit.per_second()))).ok()
    }
}

impl From<TimeUnit> for Tick {
    fn from(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Self::S,
            TimeUnit::Millisecond => Self::Ms,
            TimeUnit::Microsecond => Self::Us,
            TimeUnit::Nanosecond => Self::Ns,
        }
    }
}

impl From<Tick> for TimeUnit {
    fn from(tick: Tick) -> Self {
        match tick {
            Tick::S => Self::Second,
            Tick::Ms => Self::Millisecond,
            Tick::Us => Self::Microsecond,
            Tick::Ns => Self::Nanosecond,
        }
    }
}

impl Value {
    /// Order between values of one type; `None` between types (or with a NaN).
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::UInt(a), Self::UInt(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::UInt(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::UInt(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Float(a), Self::Float(b)) => a.get().partial_cmp(&b.get()),
            (Self::Decimal { unscaled: a, scale: left }, Self::Decimal { unscaled: b, scale: right })
                if left == right =>
            {
                Some(a.cmp(b))
            }
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (
                Self::Timestamp { ticks: a, unit: left, utc: x },
                Self::Timestamp { ticks: b, unit: right, utc: y },
            ) if x == y => {
                let scaled = |ticks: &i64, unit: &Tick| {
                    i128::from(*ticks) * i128::from(Tick::Ns.per_second() / unit.per_second())
                };
                Some(scaled(a, left).cmp(&scaled(b, right)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::UInt(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{}", value.get()),
            Self::Decimal { unscaled, scale } => {
                f.write_str(&arrow::datatypes::Decimal128Type::format_value(*unscaled, *scale))
            }
            Self::Text(value) => f.write_str(value),
            Self::Date(days) => write!(f, "{}", super::time::date_from_days(*days)),
            Self::Timestamp { ticks, unit, utc } => {
                f.write_str(&super::time::format_ticks(*ticks, *unit, *utc))
            }
        }
    }
}

/// Formatting of a decimal by its scale alone.
trait FormatDecimal {
    fn format_value(unscaled: i128, scale: i8) -> String;
}

impl FormatDecimal for arrow::datatypes::Decimal128Type {
    fn format_value(unscaled: i128, scale: i8) -> String {
        <Self as arrow::datatypes::DecimalType>::format_decimal(unscaled, 38, scale)
    }
}

/// Numbers as text in JSON.
mod as_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        d: D,
    ) -> Result<T, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
