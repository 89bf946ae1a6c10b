//! Cursor columns: their values in a position, and in SQL.
//!
//! | column | in a position |
//! |---|---|
//! | `Int8`–`Int64`, `UInt8`–`UInt64` | `Int`, `UInt` past its end |
//! | `Decimal` of at most 38 digits | `Decimal` |
//! | `String`, in the order of its bytes | `Text` |
//! | `Date`, `Date32` | `Date` |
//! | `DateTime`, `DateTime64` | `Timestamp` in the unit that it is read as |

use arrow::datatypes::DataType;

use super::{
    name::{literal, quote},
    table::TableColumn,
    types::Kind,
};
use crate::{
    connector::{
        cells::{Zoned, parse_date, parse_timestamp},
        error::{Error, ErrorKind, Result},
        source::Overlap,
    },
    model::value::{Tick, Value},
};

/// A column that orders rows.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) column: String,
    pub(super) nullable: bool,
    kind: KeyKind,
    type_: Kind,
    /// How messages name it.
    shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Integer,
    Decimal { precision: u8, scale: i8 },
    Text,
    Date,
    Timestamp { unit: Tick, utc: bool },
}

impl Key {
    /// Fails where the column's values cannot order rows. `table` is how messages name the table.
    pub(super) fn of(column: &TableColumn, table: &str) -> Result<Self> {
        let shown = format!("column \"{}\" of {table}", column.name);
        let kind = match column.kind.arrow() {
            Some(found) if found.is_integer() => KeyKind::Integer,
            Some(DataType::Decimal128(precision, scale)) => KeyKind::Decimal { precision, scale },
            Some(DataType::Utf8) if column.kind.spelled == "String" => KeyKind::Text,
            Some(DataType::Date32) => KeyKind::Date,
            Some(DataType::Timestamp(unit, zone)) => {
                KeyKind::Timestamp { unit: unit.into(), utc: zone.is_some() }
            }
            _ => {
                let message =
                    format!("{shown} cannot be a cursor: values of {} have no exact order", column.declared);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("take a column of rising whole numbers, text, dates or timestamps as the cursor"));
            }
        };
        let (nullable, type_) = (column.kind.nullable, column.kind.clone());
        Ok(Self { column: column.name.clone(), nullable, kind, type_, shown })
    }

    /// Its type in a source's identity.
    pub(super) fn identity(&self) -> String {
        let kind = match self.kind {
            KeyKind::Integer => "integer",
            KeyKind::Decimal { .. } => "decimal",
            KeyKind::Text => "text",
            KeyKind::Date => "date",
            KeyKind::Timestamp { .. } => "timestamp",
        };
        format!("{} {kind}", self.column)
    }

    pub(super) fn sql(&self) -> String {
        quote(&self.column)
    }

    /// A value of the column, as [`value`](Self::value) takes it.
    pub(super) fn spelled(&self, value: &str) -> String {
        match self.kind {
            KeyKind::Timestamp { .. } => {
                let ticks = self.type_.ticks(value).unwrap_or_else(|| value.to_owned());
                format!("toString({ticks})")
            }
            KeyKind::Date => format!("toString(toDate32({value}))"),
            KeyKind::Integer | KeyKind::Decimal { .. } | KeyKind::Text => format!("toString({value})"),
        }
    }

    /// What a cell, spelled by the server, is in a position.
    pub(super) fn value(&self, cell: Option<&str>) -> Result<Value> {
        let text = cell.ok_or_else(|| self.holds("NULL"))?;
        let strange = || self.holds("a value that no position can keep");
        Ok(match self.kind {
            KeyKind::Integer => match text.parse() {
                Ok(value) => Value::Int(value),
                Err(_) => Value::UInt(text.parse().map_err(|_| strange())?),
            },
            KeyKind::Decimal { scale, .. } => {
                let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
                let digits = usize::from(scale.unsigned_abs());
                let unscaled = format!("{whole}{fraction:0<digits$}").parse().map_err(|_| strange())?;
                Value::Decimal { unscaled, scale }
            }
            KeyKind::Text => Value::Text(text.to_owned()),
            KeyKind::Date => Value::Date(parse_date(text).ok_or_else(strange)?),
            KeyKind::Timestamp { unit, utc } => {
                Value::Timestamp { ticks: text.parse().map_err(|_| strange())?, unit, utc }
            }
        })
    }

    /// A position's value in SQL.
    pub(super) fn literal(&self, value: &Value) -> Result<String> {
        Ok(match (self.kind, value) {
            (KeyKind::Integer, Value::Int(_) | Value::UInt(_)) => {
                format!(
                    "CAST({}, {})",
                    literal(&value.to_string()),
                    literal(if matches!(value, Value::UInt(_)) { "UInt64" } else { "Int64" })
                )
            }
            (
                KeyKind::Decimal { precision, scale },
                Value::Int(_) | Value::UInt(_) | Value::Decimal { .. },
            ) => {
                format!("CAST({}, 'Decimal({precision}, {scale})')", literal(&value.to_string()))
            }
            (KeyKind::Text, Value::Text(text)) => literal(text),
            (KeyKind::Date, Value::Date(_)) => format!("toDate32({})", literal(&value.to_string())),
            (KeyKind::Date, Value::Text(text)) if parse_date(text).is_some() => {
                format!("toDate32({})", literal(text))
            }
            (KeyKind::Timestamp { unit, .. }, Value::Timestamp { ticks, unit: given, .. }) => {
                let ticks =
                    i128::from(*ticks) * i128::from(unit.per_second()) / i128::from(given.per_second());
                self.instant(i64::try_from(ticks).map_err(|_| self.other(value))?, value)?
            }
            (KeyKind::Timestamp { unit, .. }, Value::Date(days)) => {
                self.instant(i64::from(*days) * 86_400 * unit.per_second(), value)?
            }
            (KeyKind::Timestamp { unit, .. }, Value::Text(text)) => {
                let (seconds, nanos, zone) = parse_timestamp(text).ok_or_else(|| self.other(value))?;
                let offset = match zone {
                    Zoned::Offset(offset) => offset,
                    Zoned::Local | Zoned::Utc => 0,
                };
                let ticks =
                    (seconds - offset) * unit.per_second() + nanos * unit.per_second() / 1_000_000_000;
                self.instant(ticks, value)?
            }
            _ => return Err(self.other(value)),
        })
    }

    fn instant(&self, ticks: i64, value: &Value) -> Result<String> {
        self.type_.instant(ticks).ok_or_else(|| self.other(value))
    }

    /// The value that lies `overlap` before this one.
    pub(super) fn before(&self, value: &Value, overlap: Overlap) -> Result<Value> {
        match (value, overlap) {
            (Value::Int(at), Overlap::Steps(steps)) => Ok(Value::Int(at.saturating_sub_unsigned(steps))),
            (Value::UInt(at), Overlap::Steps(steps)) => Ok(Value::UInt(at.saturating_sub(steps))),
            (Value::Decimal { unscaled, scale }, Overlap::Steps(steps)) => {
                let one = 10_i128.pow(scale.unsigned_abs().into());
                let unscaled = unscaled.saturating_sub(one.saturating_mul(steps.into()));
                Ok(Value::Decimal { unscaled, scale: *scale })
            }
            (Value::Date(days), Overlap::Span(span)) => {
                Ok(Value::Date(days.saturating_sub(span.get().as_secs().div_ceil(86_400) as i32)))
            }
            (Value::Timestamp { ticks, unit, utc }, Overlap::Span(span)) => {
                let back =
                    span.get().as_nanos() * u128::from(unit.per_second().unsigned_abs()) / 1_000_000_000;
                let back = i64::try_from(back).unwrap_or(i64::MAX);
                Ok(Value::Timestamp { ticks: ticks.saturating_sub(back), unit: *unit, utc: *utc })
            }
            _ => {
                let message = format!("{} cannot be read again by such an overlap", self.shown);
                Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("an overlap is a number for numbers, a length of time for dates and timestamps"))
            }
        }
    }

    /// The error of a cell that a cursor cannot be.
    pub(super) fn holds(&self, what: &str) -> Error {
        let message = format!("{} is the cursor and holds {what}: such rows would never be read", self.shown);
        Error::new(ErrorKind::BadData, message).hint("mend these rows, or take another column as the cursor")
    }

    fn other(&self, value: &Value) -> Error {
        let sort = match value {
            Value::Int(_) | Value::UInt(_) => "a whole number",
            Value::Text(_) => "text",
            Value::Date(_) => "a date",
            Value::Timestamp { .. } => "a timestamp",
            Value::Decimal { .. } => "a decimal",
            Value::Null | Value::Bool(_) | Value::Float(_) => "something else",
        };
        Error::new(ErrorKind::SourceChanged, format!("{} has no place that is {sort}", self.shown))
    }
}

/// Rows whose keys lie behind, before or at a tuple. Spelled out: the server's index knows no order of tuples.
pub(super) fn compared(keys: &[Key], operator: Side, at: &[String]) -> String {
    let (strict, loose) = match operator {
        Side::Behind => (">", ">="),
        Side::UpTo => ("<", "<="),
    };
    let Some(((key, value), last)) = keys.iter().zip(at).next().map(|first| (first, keys.len() == 1)) else {
        return "true".to_owned();
    };
    let name = key.sql();
    if last {
        let sign = if operator == Side::Behind { strict } else { loose };
        return format!("{name} {sign} {value}");
    }
    let rest = compared(&keys[1..], operator, &at[1..]);
    format!("({name} {loose} {value} AND ({name} {strict} {value} OR {rest}))")
}

/// Where rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Behind a tuple.
    Behind,
    /// Before it, and at it.
    UpTo,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, declared: &str) -> Key {
        let column = TableColumn {
            name: name.into(),
            kind: Kind::of(declared, ""),
            declared: declared.into(),
            fills_itself: false,
            computed: false,
            sorts: false,
        };
        Key::of(&column, "table \"t\"").unwrap()
    }

    #[test]
    fn values_come_back() {
        let at = key("at", "DateTime64(6, 'Europe/Moscow')");
        let value = at.value(Some("1769853600000001")).unwrap();
        assert_eq!(at.literal(&value).unwrap(), "fromUnixTimestamp64Micro(toInt64(1769853600000001), 'UTC')");
        assert!(at.value(None).is_err());
        let text = "2026-01-31T13:00:00.000001+03:00";
        assert_eq!(at.literal(&Value::Text(text.into())).unwrap(), at.literal(&value).unwrap());
        let decimal = key("d", "Decimal(18, 4)");
        let small = decimal.value(Some("-0.01")).unwrap();
        assert_eq!(small, Value::Decimal { unscaled: -100, scale: 4 });
        assert_eq!(decimal.literal(&small).unwrap(), "CAST('-0.0100', 'Decimal(18, 4)')");
        assert_eq!(key("u", "UInt64").value(Some("18446744073709551615")).unwrap(), Value::UInt(u64::MAX));
        assert_eq!(key("s", "String").literal(&Value::Text("о'Нил".into())).unwrap(), r"'о\'Нил'");
        assert_eq!(key("s", "String").literal(&Value::Int(1)).unwrap_err().kind, ErrorKind::SourceChanged);
    }

    #[test]
    fn tuples_are_compared_by_their_columns() {
        let keys = [key("a", "Int64"), key("b", "String")];
        let at = ["1".to_owned(), "'x'".to_owned()];
        assert_eq!(compared(&keys, Side::Behind, &at), "(`a` >= 1 AND (`a` > 1 OR `b` > 'x'))");
        assert_eq!(compared(&keys, Side::UpTo, &at), "(`a` <= 1 AND (`a` < 1 OR `b` <= 'x'))");
        assert_eq!(compared(&keys[..1], Side::UpTo, &at[..1]), "`a` <= 1");
    }
}
