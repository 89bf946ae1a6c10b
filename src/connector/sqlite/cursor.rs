//! Cursor columns: what their values are in SQLite, and what they are in a position, without loss.
//!
//! | column | stored as | in a position |
//! |---|---|---|
//! | integers | INTEGER | `Int` |
//! | `decimal(p,s)` | INTEGER only: text of unequal length does not sort as numbers | `Decimal` |
//! | `text` | TEXT in BINARY collation, in a UTF-8 database | `Text` |
//! | `date` | TEXT `2026-01-31` | `Date` |
//! | `timestamp` | TEXT of one form, so that it sorts as time | `Text`, as it is spelled |
//! | `timestamp` under a contract | INTEGER: ticks since 1970 | `Timestamp` |

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use rusqlite::types::Value as Raw;

use super::table::Table;
use crate::{
    connector::{
        cells::{parse_date, parse_timestamp},
        error::{Error, ErrorKind, Result},
        source::Overlap,
    },
    model::{
        time::{date_from_days, format_ticks},
        value::{Tick, Value},
    },
};

/// A column that orders rows.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The column, as the table or SQLite names it.
    pub(super) column: String,
    /// What it holds.
    pub(super) kind: KeyKind,
    /// How messages name it.
    shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Integer,
    Decimal { scale: i8 },
    Text,
    Date,
    Timestamp { unit: Tick, utc: bool, epoch: bool },
}

impl Key {
    /// A row id.
    pub(super) fn row_id(column: &str, shown: &str) -> Self {
        Self {
            column: column.to_owned(),
            kind: KeyKind::Integer,
            shown: format!("column \"{column}\" of {shown}"),
        }
    }

    /// A column of the table, read as `data_type`; `shown` names the table. Fails where its values cannot order rows.
    pub(super) fn of(
        table: &Table,
        column: &str,
        data_type: &DataType,
        epoch: bool,
        shown: &str,
    ) -> Result<Self> {
        let shown = format!("column \"{column}\" of {shown}");
        let refuse = |why: &str| {
            Err(Error::new(ErrorKind::Unsupported, format!("{shown} cannot be a cursor: {why}"))
                .hint("take a column of rising whole numbers, text, dates or timestamps as the cursor"))
        };
        let kind = match data_type {
            found if found.is_integer() => KeyKind::Integer,
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
                KeyKind::Decimal { scale: *scale }
            }
            DataType::Utf8 => KeyKind::Text,
            DataType::Date32 => KeyKind::Date,
            DataType::Timestamp(unit, zone) => {
                KeyKind::Timestamp { unit: (*unit).into(), utc: zone.is_some(), epoch }
            }
            DataType::Float32 | DataType::Float64 => {
                return refuse("floating point numbers have no exact order");
            }
            _ => return refuse("values of its type are not ordered"),
        };
        let found = table.column(column);
        let textual = !matches!(kind, KeyKind::Integer | KeyKind::Decimal { .. });
        if textual && found.is_some_and(|found| !found.collation.eq_ignore_ascii_case("binary")) {
            return refuse("its collation is not BINARY, so its order is not that of its bytes");
        }
        if textual && !table.utf8 {
            return refuse("the database keeps text as UTF-16, so its order is not that of UTF-8");
        }
        let column = found.map_or(column, |found| &found.name).to_owned();
        Ok(Self { column, kind, shown })
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

    /// Whether a row keeps its value as long as it lives: times of change do not.
    pub(super) fn stays(&self) -> bool {
        !matches!(self.kind, KeyKind::Timestamp { .. } | KeyKind::Date)
    }

    /// What a cell is in a position.
    pub(super) fn value(&self, raw: &Raw) -> Result<Value> {
        match (self.kind, raw) {
            (KeyKind::Integer, Raw::Integer(value)) => Ok(Value::Int(*value)),
            (KeyKind::Decimal { scale }, Raw::Integer(value)) => {
                let unscaled = 10_i128.checked_pow(scale.unsigned_abs().into());
                let unscaled = unscaled.and_then(|one| one.checked_mul(i128::from(*value)));
                unscaled.map(|unscaled| Value::Decimal { unscaled, scale }).ok_or_else(|| self.holds(raw))
            }
            (KeyKind::Text, Raw::Text(text)) => Ok(Value::Text(text.clone())),
            (KeyKind::Date, Raw::Text(text)) => {
                parse_date(text).map(Value::Date).ok_or_else(|| self.holds(raw))
            }
            (KeyKind::Timestamp { .. }, Raw::Text(text)) if parse_timestamp(text).is_some() => {
                Ok(Value::Text(text.clone()))
            }
            (KeyKind::Timestamp { unit, utc, epoch: true }, Raw::Integer(ticks)) => {
                Ok(Value::Timestamp { ticks: *ticks, unit, utc })
            }
            _ => Err(self.holds(raw)),
        }
    }

    /// What a position's value is in a cell. `like` is a cell of the column: times are spelled as it is.
    pub(super) fn raw(&self, value: &Value, like: Option<&Raw>) -> Result<Raw> {
        let integers = matches!(like, Some(Raw::Integer(_)));
        Ok(match (self.kind, value) {
            (KeyKind::Integer, Value::Int(value)) => Raw::Integer(*value),
            (KeyKind::Integer, Value::UInt(value)) => Raw::Integer(i64::try_from(*value).unwrap_or(i64::MAX)),
            (KeyKind::Decimal { .. }, Value::Int(value)) => Raw::Integer(*value),
            (KeyKind::Decimal { .. }, Value::Decimal { unscaled, scale }) => {
                let one = 10_i128.pow(scale.unsigned_abs().into());
                Raw::Integer(i64::try_from(unscaled.div_euclid(one)).map_err(|_| self.other(value))?)
            }
            (KeyKind::Text | KeyKind::Timestamp { .. }, Value::Text(text)) => Raw::Text(text.clone()),
            (KeyKind::Date, Value::Text(text)) if parse_date(text).is_some() => Raw::Text(text.clone()),
            (KeyKind::Date, Value::Date(days)) => Raw::Text(date_from_days(*days).to_string()),
            (KeyKind::Timestamp { unit, .. }, Value::Timestamp { ticks, unit: given, .. }) if integers => {
                Raw::Integer(rescaled(*ticks, *given, unit).ok_or_else(|| self.other(value))?)
            }
            (KeyKind::Timestamp { unit, .. }, Value::Date(days)) if integers => {
                Raw::Integer(i64::from(*days) * 86_400 * unit.per_second())
            }
            (KeyKind::Timestamp { .. }, Value::Date(days)) => Raw::Text(date_from_days(*days).to_string()),
            (KeyKind::Timestamp { .. }, Value::Timestamp { ticks, unit, .. }) => {
                let nanos = i128::from(*ticks) * i128::from(Tick::Ns.per_second() / unit.per_second());
                Raw::Text(spelled_like(nanos, like).ok_or_else(|| self.other(value))?)
            }
            _ => return Err(self.other(value)),
        })
    }

    /// The cell that lies `overlap` before this one.
    pub(super) fn before(&self, raw: &Raw, overlap: Overlap) -> Result<Raw> {
        let refuse = || {
            let message = format!("{} cannot be read again by such an overlap", self.shown);
            Error::new(ErrorKind::Unsupported, message)
                .hint("an overlap is a number for numbers, a length of time for dates and timestamps")
        };
        match (self.kind, raw, overlap) {
            (KeyKind::Integer | KeyKind::Decimal { .. }, Raw::Integer(value), Overlap::Steps(steps)) => {
                Ok(Raw::Integer(value.saturating_sub_unsigned(steps)))
            }
            (KeyKind::Date, Raw::Text(text), Overlap::Span(span)) => {
                let days = span.get().as_secs().div_ceil(86_400) as i32;
                let date = parse_date(text).ok_or_else(|| self.holds(raw))?;
                Ok(Raw::Text(date_from_days(date.saturating_sub(days)).to_string()))
            }
            (KeyKind::Timestamp { unit, .. }, Raw::Integer(ticks), Overlap::Span(span)) => {
                let back = span.get().as_nanos() / (Tick::Ns.per_second() / unit.per_second()) as u128;
                Ok(Raw::Integer(ticks.saturating_sub(i64::try_from(back).unwrap_or(i64::MAX))))
            }
            (KeyKind::Timestamp { .. }, Raw::Text(text), Overlap::Span(span)) => {
                let (seconds, nanos, _) = parse_timestamp(text).ok_or_else(|| self.holds(raw))?;
                let at = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
                let back = i128::try_from(span.get().as_nanos()).unwrap_or(i128::MAX);
                shaped(at - back, text).map(Raw::Text).ok_or_else(|| self.holds(raw))
            }
            _ => Err(refuse()),
        }
    }

    /// The error of a cell that a cursor cannot be.
    pub(super) fn holds(&self, raw: &Raw) -> Error {
        let what = match raw {
            Raw::Null => "NULL",
            Raw::Integer(_) => "an integer",
            Raw::Real(_) => "a real number",
            Raw::Text(_) if matches!(self.kind, KeyKind::Date | KeyKind::Timestamp { .. }) => {
                "text that is no such time"
            }
            Raw::Text(_) => "text",
            Raw::Blob(_) => "bytes",
        };
        let message = format!("{} is the cursor and holds {what}: such rows would never be read", self.shown);
        Error::new(ErrorKind::BadData, message).hint(match self.kind {
            KeyKind::Decimal { .. } => "decimals order rows only where they are stored as whole numbers",
            _ => "mend these rows, or take another column as the cursor",
        })
    }

    /// The error of spellings of different length: they do not sort as time.
    pub(super) fn uneven(&self) -> Error {
        let message = format!("{} is the cursor and its times are not all spelled alike", self.shown);
        Error::new(ErrorKind::BadData, message)
            .hint("text sorts as time only where every value has the same digits and the same zone")
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

/// Order of two cells as SQLite has it, between cells of one sort.
pub(super) fn compare(a: &[Raw], b: &[Raw]) -> Ordering {
    let one = |a: &Raw, b: &Raw| match (a, b) {
        (Raw::Integer(a), Raw::Integer(b)) => a.cmp(b),
        (Raw::Text(a), Raw::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ => Ordering::Equal,
    };
    a.iter().zip(b).map(|(a, b)| one(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn rescaled(ticks: i64, from: Tick, to: Tick) -> Option<i64> {
    let nanos = i128::from(ticks) * i128::from(Tick::Ns.per_second() / from.per_second());
    i64::try_from(nanos.div_euclid(i128::from(Tick::Ns.per_second() / to.per_second()))).ok()
}

fn spelled_like(nanos: i128, like: Option<&Raw>) -> Option<String> {
    match like {
        Some(Raw::Text(like)) => {
            let (.., zone) = parse_timestamp(like)?;
            let offset = match zone {
                crate::connector::cells::Zoned::Offset(seconds) => seconds,
                _ => 0,
            };
            shaped(nanos + i128::from(offset) * 1_000_000_000, like)
        }
        _ => shaped(nanos, "2026-01-01T00:00:00.000000Z"),
    }
}

/// A time of a clock, spelled in the shape of another: the same separator, digits and zone.
fn shaped(nanos: i128, like: &str) -> Option<String> {
    let ticks = i64::try_from(nanos).ok()?;
    let full = format_ticks(ticks, Tick::Ns, false);
    let spelled = like.bytes().skip(11).take_while(|byte| !matches!(byte, b'Z' | b'z' | b'+' | b'-')).count();
    let length = like.len().min(11 + spelled);
    let mut text = full.get(..length)?.to_owned();
    if length > 10 {
        text.replace_range(10..11, like.get(10..11)?);
    }
    text.push_str(&like[length..]);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;

    fn key(kind: KeyKind) -> Key {
        Key { column: "at".into(), kind, shown: "column \"at\" of table \"t\"".into() }
    }

    #[test]
    fn times_are_spelled_in_the_shape_that_the_column_has() {
        let key = key(KeyKind::Timestamp { unit: Tick::Us, utc: true, epoch: true });
        let overlap = Overlap::Span("10m".parse::<Span>().unwrap());
        let before = |text: &str| match key.before(&Raw::Text(text.into()), overlap) {
            Ok(Raw::Text(text)) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(before("2026-01-01T00:05:00.000000Z"), "2025-12-31T23:55:00.000000Z");
        assert_eq!(before("2026-01-01 00:05"), "2025-12-31 23:55");
        assert_eq!(before("2026-01-01 00:05:01.5+03:00"), "2025-12-31 23:55:01.5+03:00");
        let noon = Value::Timestamp { ticks: 43_200, unit: Tick::S, utc: true };
        let like = Raw::Text("2026-01-01 00:05:01.50+03:00".into());
        assert_eq!(key.raw(&noon, Some(&like)).unwrap(), Raw::Text("1970-01-01 15:00:00.00+03:00".into()));
        assert_eq!(key.raw(&noon, Some(&Raw::Integer(1))).unwrap(), Raw::Integer(43_200_000_000));
    }

    #[test]
    fn a_cursor_holds_what_sorts() {
        let decimal = key(KeyKind::Decimal { scale: 2 });
        assert_eq!(decimal.value(&Raw::Integer(7)).unwrap(), Value::Decimal { unscaled: 700, scale: 2 });
        assert_eq!(decimal.raw(&Value::Decimal { unscaled: 700, scale: 2 }, None).unwrap(), Raw::Integer(7));
        for raw in [Raw::Text("7.00".into()), Raw::Real(7.5), Raw::Null] {
            assert_eq!(decimal.value(&raw).unwrap_err().kind, ErrorKind::BadData);
        }
        assert!(key(KeyKind::Integer).value(&Raw::Text("x".into())).is_err());
        assert!(key(KeyKind::Date).value(&Raw::Text("2026-1-1".into())).is_err());
    }
}
