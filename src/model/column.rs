//! Column types as users write them, and contracts over the columns of a source.

use std::{fmt, str::FromStr, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An Arrow type with the spelling of contracts: `int64`, `text`, `decimal(12,2)`, `timestamp(ms, UTC)`.
/// Lossless for the types that it can spell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnType(DataType);

/// A spelling that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown type `{0}`")]
pub struct UnknownType(pub String);

impl ColumnType {
    /// Simple names, each with its Arrow type; the first name of a type is the one it prints as.
    pub const NAMES: [(&'static str, DataType); 18] = [
        ("bool", DataType::Boolean),
        ("int8", DataType::Int8),
        ("int16", DataType::Int16),
        ("int32", DataType::Int32),
        ("int64", DataType::Int64),
        ("uint8", DataType::UInt8),
        ("uint16", DataType::UInt16),
        ("uint32", DataType::UInt32),
        ("uint64", DataType::UInt64),
        ("float32", DataType::Float32),
        ("float64", DataType::Float64),
        ("text", DataType::Utf8),
        ("bytes", DataType::Binary),
        ("date", DataType::Date32),
        ("time", DataType::Time64(TimeUnit::Microsecond)),
        ("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("text", DataType::Utf8View),
        ("text", DataType::LargeUtf8),
    ];

    /// The Arrow type.
    pub fn arrow(&self) -> &DataType {
        &self.0
    }

    /// The type of an Arrow column; views and large variants count as the plain type.
    pub fn of(data_type: &DataType) -> Self {
        Self(match data_type {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
            DataType::Dictionary(_, value) => return Self::of(value),
            DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
            other => other.clone(),
        })
    }
}

impl FromStr for ColumnType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let unknown = || UnknownType(text.to_owned());
        let text = text.trim();
        if let Some((_, found)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self(found.clone()));
        }
        let (name, arguments) = text.strip_suffix(')').and_then(|t| t.split_once('(')).ok_or_else(unknown)?;
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        match (name.trim(), arguments.as_slice()) {
            ("decimal", [precision, scale]) => decimal(precision, scale).ok_or_else(unknown),
            ("timestamp", [unit]) => Ok(Self(DataType::Timestamp(tick(unit).ok_or_else(unknown)?, None))),
            ("timestamp", [unit, "UTC"]) => {
                Ok(Self(DataType::Timestamp(tick(unit).ok_or_else(unknown)?, Some("UTC".into()))))
            }
            _ => Err(unknown()),
        }
    }
}

fn decimal(precision: &str, scale: &str) -> Option<ColumnType> {
    let (precision, scale): (u8, i8) = (precision.parse().ok()?, scale.parse().ok()?);
    let fits = precision >= 1 && scale >= 0 && scale.unsigned_abs() <= precision;
    match precision {
        _ if !fits => None,
        0..=38 => Some(ColumnType(DataType::Decimal128(precision, scale))),
        39..=76 => Some(ColumnType(DataType::Decimal256(precision, scale))),
        _ => None,
    }
}

fn tick(text: &str) -> Option<TimeUnit> {
    match text {
        "s" => Some(TimeUnit::Second),
        "ms" => Some(TimeUnit::Millisecond),
        "us" => Some(TimeUnit::Microsecond),
        "ns" => Some(TimeUnit::Nanosecond),
        _ => None,
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::NAMES.iter().find(|(_, found)| *found == self.0) {
            return f.write_str(name);
        }
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::Second => "s",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Microsecond => "us",
            TimeUnit::Nanosecond => "ns",
        };
        match &self.0 {
            DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => write!(f, "decimal({p},{s})"),
            DataType::Timestamp(tick, None) => write!(f, "timestamp({})", unit(tick)),
            DataType::Timestamp(tick, Some(_)) => write!(f, "timestamp({}, UTC)", unit(tick)),
            other => write!(f, "{other}"),
        }
    }
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ColumnType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ColumnType".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "column-type",
            "examples": ["int64", "text", "decimal(12,2)", "timestamp(ms, UTC)"],
        })
    }
}

/// What to do with a column that the contract does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// Leave it out.
    #[default]
    Drop,
    /// Read it with the type that the source declares.
    Keep,
    /// Every row is a bad row.
    Bad,
}

/// The columns that a source promises, in order; what does not decode against it is a bad row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contract {
    /// Listed columns.
    pub columns: IndexMap<String, ContractColumn>,
    /// What becomes of the others.
    pub unlisted: Unlisted,
    /// Texts that stand for NULL.
    pub null_values: Vec<String>,
}

/// One column of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractColumn {
    /// Its type.
    pub kind: ColumnType,
    /// Whether NULL is allowed; otherwise a NULL is a bad row.
    pub nullable: bool,
}

impl Contract {
    /// The schema of the listed columns.
    pub fn schema(&self) -> SchemaRef {
        let field = |(name, column): (&String, &ContractColumn)| {
            Field::new(name, column.kind.arrow().clone(), column.nullable)
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_come_back() {
        for text in [
            "bool",
            "int64",
            "uint8",
            "text",
            "bytes",
            "date",
            "time",
            "timestamp",
            "decimal(12,2)",
            "decimal(50,10)",
            "timestamp(ms)",
            "timestamp(ns, UTC)",
        ] {
            assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
        }
        assert_eq!("timestamp(us)".parse::<ColumnType>().unwrap().to_string(), "timestamp");
        for text in
            ["int", "decimal", "decimal(2,3)", "decimal(77,1)", "timestamp(ms, Europe/Moscow)", "text("]
        {
            assert_eq!(text.parse::<ColumnType>(), Err(UnknownType(text.into())), "{text}");
        }
    }
}
