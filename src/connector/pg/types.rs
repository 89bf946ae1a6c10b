//! PostgreSQL's types and Arrow's.
//!
//! | PostgreSQL | is read as | and holds |
//! |---|---|---|
//! | `boolean` | `bool` | `bool` |
//! | `smallint` | `int16` | `int8`, `int16`, `uint8` |
//! | `integer` | `int32` | `int32`, `uint16` |
//! | `bigint` | `int64` | `int64`, `uint32` |
//! | `oid` | `uint32` | |
//! | `real`, `double precision` | `float32`, `float64` | the same |
//! | `numeric(p,s)`, p ≤ 76 | `decimal(p,s)` | `decimal(p,s)`; `uint64` as `numeric(20,0)` |
//! | other `numeric` | `text`, all its digits; exact as what a contract says | |
//! | `text`, `varchar`, `char`, `name` | `text` | `text` |
//! | `bytea` | `bytes` | `bytes` |
//! | `date`, `time` | `date`, `time` | the same |
//! | `timestamp`, `timestamptz` | `timestamp`, `timestamp(us, UTC)`; with `(0)` and `(3)` in seconds and milliseconds | the same; nanoseconds are refused |
//! | all others: `uuid`, `json`, `jsonb`, `interval`, arrays, enums, ranges … | `text`, as the server spells it | text that the server reads as such |

use arrow::datatypes::{DataType, TimeUnit};

/// How a column keeps its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// With precision and scale, where Arrow has them.
    Numeric(Option<(u8, i8)>),
    Text,
    Bytea,
    Date,
    Time,
    Timestamp {
        digits: u8,
        utc: bool,
    },
    /// As the server spells it.
    Other,
}

impl Kind {
    /// The kind of a type of `pg_catalog`, by its name and modifier.
    pub(crate) fn of(name: &str, modifier: i32) -> Self {
        let digits = u8::try_from(modifier).unwrap_or(6);
        match name {
            "bool" => Self::Bool,
            "int2" => Self::Int2,
            "int4" => Self::Int4,
            "int8" => Self::Int8,
            "oid" => Self::Oid,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "numeric" => Self::Numeric(precision(modifier)),
            "text" | "varchar" | "bpchar" | "name" => Self::Text,
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp { digits, utc: false },
            "timestamptz" => Self::Timestamp { digits, utc: true },
            _ => Self::Other,
        }
    }

    /// What keeps an Arrow type without loss; `None` = nothing does.
    pub(crate) fn keeping(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::Int2,
            DataType::Int32 | DataType::UInt16 => Self::Int4,
            DataType::Int64 | DataType::UInt32 => Self::Int8,
            DataType::UInt64 => Self::Numeric(Some((20, 0))),
            DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Decimal128(p, s) | DataType::Decimal256(p, s) if *s >= 0 => {
                Self::Numeric(Some((*p, *s)))
            }
            DataType::Utf8 => Self::Text,
            DataType::Binary => Self::Bytea,
            DataType::Date32 => Self::Date,
            DataType::Time64(TimeUnit::Microsecond) => Self::Time,
            DataType::Timestamp(unit, zone) => {
                let digits = match unit {
                    TimeUnit::Second => 0,
                    TimeUnit::Millisecond => 3,
                    TimeUnit::Microsecond => 6,
                    TimeUnit::Nanosecond => return None,
                };
                Self::Timestamp { digits, utc: zone.is_some() }
            }
            _ => return None,
        })
    }

    /// How it is read, and what rows for it must be.
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Oid => DataType::UInt32,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric(Some((p, s))) if p <= 38 => DataType::Decimal128(p, s),
            Self::Numeric(Some((p, s))) => DataType::Decimal256(p, s),
            Self::Numeric(None) | Self::Text | Self::Other => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { digits, utc } => {
                let unit = match digits {
                    0 => TimeUnit::Second,
                    1..=3 => TimeUnit::Millisecond,
                    _ => TimeUnit::Microsecond,
                };
                DataType::Timestamp(unit, utc.then(|| "UTC".into()))
            }
        }
    }

    /// How a column of it is declared.
    pub(crate) fn sql(self) -> String {
        match self {
            Self::Bool => "boolean".to_owned(),
            Self::Int2 => "smallint".to_owned(),
            Self::Int4 => "integer".to_owned(),
            Self::Int8 => "bigint".to_owned(),
            Self::Oid => "oid".to_owned(),
            Self::Float4 => "real".to_owned(),
            Self::Float8 => "double precision".to_owned(),
            Self::Numeric(Some((p, s))) => format!("numeric({p},{s})"),
            Self::Numeric(None) => "numeric".to_owned(),
            Self::Text | Self::Other => "text".to_owned(),
            Self::Bytea => "bytea".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time => "time".to_owned(),
            Self::Timestamp { digits: 6, utc } => if utc { "timestamptz" } else { "timestamp" }.to_owned(),
            Self::Timestamp { digits, utc: true } => format!("timestamptz({digits})"),
            Self::Timestamp { digits, utc: false } => format!("timestamp({digits})"),
        }
    }

    /// Whether its cells are written as text, which the server turns into the column's type when they are moved.
    pub(crate) fn spelled(self) -> bool {
        matches!(self, Self::Other | Self::Numeric(None))
    }

    /// The kind that holds a target's values and the rows'; `None` = none does.
    pub(crate) fn widened(self, rows: Self) -> Option<Self> {
        if self == rows {
            return Some(self);
        }
        match (self, rows) {
            (Self::Int2 | Self::Int4 | Self::Int8, Self::Int2 | Self::Int4 | Self::Int8) => {
                Some(if self.integer_digits() >= rows.integer_digits() { self } else { rows })
            }
            (Self::Float8, Self::Float4) | (Self::Float4, Self::Float8) => Some(Self::Float8),
            (Self::Numeric(None), Self::Numeric(_) | Self::Int2 | Self::Int4 | Self::Int8 | Self::Text) => {
                Some(self)
            }
            (Self::Numeric(Some((p, s))), Self::Int2 | Self::Int4 | Self::Int8) => {
                (i16::from(p) - i16::from(s) >= rows.integer_digits()).then_some(self)
            }
            (Self::Numeric(Some((p, s))), Self::Numeric(Some((q, t)))) => {
                let scale = s.max(t);
                let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(t));
                let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|p| *p <= 76)?;
                Some(Self::Numeric(Some((precision, scale))))
            }
            (Self::Timestamp { digits: a, utc: x }, Self::Timestamp { digits: b, utc: y }) if x == y => {
                Some(Self::Timestamp { digits: a.max(b), utc: x })
            }
            (Self::Other, Self::Text) => Some(self),
            _ => None,
        }
    }

    fn integer_digits(self) -> i16 {
        match self {
            Self::Int2 => 5,
            Self::Int4 => 10,
            _ => 19,
        }
    }
}

/// Precision and scale of a `numeric`, where Arrow can have them.
fn precision(modifier: i32) -> Option<(u8, i8)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // The scale is a signed number of eleven bits.
    let (precision, scale) = ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1_024) - 1_024);
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    (precision <= 76 && scale >= 0 && scale.unsigned_abs() <= precision).then_some((precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(spelled: &str) -> Option<Kind> {
        Kind::keeping(spelled.parse::<crate::model::column::ColumnType>().unwrap().arrow())
    }

    #[test]
    fn types() {
        for (ours, theirs) in [
            ("int8", "smallint"),
            ("uint16", "integer"),
            ("uint64", "numeric(20,0)"),
            ("decimal(76,20)", "numeric(76,20)"),
            ("timestamp(s)", "timestamp(0)"),
            ("timestamp(ms, UTC)", "timestamptz(3)"),
            ("timestamp(us, UTC)", "timestamptz"),
            ("bytes", "bytea"),
        ] {
            assert_eq!(kind(ours).unwrap().sql(), theirs);
        }
        assert_eq!(kind("timestamp(ns)"), None);
        assert_eq!(Kind::of("numeric", ((12 << 16) | 2) + 4), Kind::Numeric(Some((12, 2))));
        assert_eq!(Kind::of("numeric", -1), Kind::Numeric(None));
        assert_eq!(Kind::of("numeric", ((2 << 16) | (0x7ff & -3)) + 4), Kind::Numeric(None));
        assert_eq!(Kind::of("timestamptz", -1), Kind::Timestamp { digits: 6, utc: true });
        assert_eq!(Kind::of("uuid", -1), Kind::Other);
    }

    #[test]
    fn widening() {
        let widen = |a: &str, b: &str| kind(a).unwrap().widened(kind(b).unwrap()).map(Kind::sql);
        assert_eq!(widen("int32", "int64").as_deref(), Some("bigint"));
        assert_eq!(widen("int64", "int32").as_deref(), Some("bigint"));
        assert_eq!(widen("float32", "float64").as_deref(), Some("double precision"));
        assert_eq!(widen("decimal(5,2)", "decimal(5,4)").as_deref(), Some("numeric(7,4)"));
        assert_eq!(widen("timestamp(ms)", "timestamp").as_deref(), Some("timestamp"));
        assert_eq!(widen("timestamp", "timestamp(us, UTC)"), None);
        assert_eq!(widen("int64", "uint64"), None);
        assert_eq!(widen("uint64", "int64").as_deref(), Some("numeric(20,0)"));
        assert_eq!(widen("int64", "text"), None);
        assert_eq!(Kind::Other.widened(Kind::Text), Some(Kind::Other));
    }
}
