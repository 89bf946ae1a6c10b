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

use std::{cmp::Ordering, ops::Deref};

use arrow::datatypes::DataType;
use rusqlite::types::Value as Raw;

use super::table::Table;
use crate::{
    connector::{
        cells::{Zoned, parse_date, parse_timestamp},
        cursor::{KeyColumn, KeyKind},
        error::{Error, Result},
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
    key: KeyColumn,
    /// Whether whole numbers are times: ticks since 1970.
    epoch: bool,
}

impl Deref for Key {
    type Target = KeyColumn;

    fn deref(&self) -> &KeyColumn {
        &self.key
    }
}

impl Key {
    /// A row id.
    pub(super) fn row_id(column: &str, shown: &str) -> Self {
        Self { key: KeyColumn::new(column, KeyKind::Integer, shown), epoch: false }
    }

    /// A column of the table, read as `data_type`; `shown` names the table. Fails where its values cannot order rows.
    pub(super) fn of(
        table: &Table,
        column: &str,
        data_type: &DataType,
        epoch: bool,
        shown: &str,
    ) -> Result<Self> {
        let refuse = |why: &str| Err(KeyColumn::refused(column, shown, why));
        let Some(kind) = KeyKind::of(data_type) else {
            return refuse(match data_type {
                DataType::Float32 | DataType::Float64 => "floating point numbers have no exact order",
                _ => "values of its type are not ordered",
            });
        };
        let found = table.column(column);
        let textual = !matches!(kind, KeyKind::Integer | KeyKind::Decimal { .. });
        if textual && found.is_some_and(|found| !found.collation.eq_ignore_ascii_case("binary")) {
            return refuse("its collation is not BINARY, so its order is not that of its bytes");
        }
        if textual && !table.utf8 {
            return refuse("the database keeps text as UTF-16, so its order is not that of UTF-8");
        }
        let column = found.map_or(column, |found| &found.name);
        Ok(Self { key: KeyColumn::new(column, kind, shown), epoch })
    }

    /// What a cell is in a position.
    pub(super) fn value(&self, raw: &Raw) -> Result<Value> {
        match (self.kind, raw) {
            (KeyKind::Integer, Raw::Integer(value)) => Ok(Value::Int(*value)),
            (KeyKind::Decimal { scale, .. }, Raw::Integer(value)) => {
                let unscaled = 10_i128.checked_pow(scale.unsigned_abs().into());
                let unscaled = unscaled.and_then(|one| one.checked_mul(i128::from(*value)));
                unscaled.map(|unscaled| Value::Decimal { unscaled, scale }).ok_or_else(|| self.cell(raw))
            }
            (KeyKind::Text, Raw::Text(text)) => Ok(Value::Text(text.clone())),
            (KeyKind::Date, Raw::Text(text)) => {
                parse_date(text).map(Value::Date).ok_or_else(|| self.cell(raw))
            }
            (KeyKind::Timestamp { .. }, Raw::Text(text)) if parse_timestamp(text).is_some() => {
                Ok(Value::Text(text.clone()))
            }
            (KeyKind::Timestamp { unit, utc }, Raw::Integer(ticks)) if self.epoch => {
                Ok(Value::Timestamp { ticks: *ticks, unit, utc })
            }
            _ => Err(self.cell(raw)),
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
                Raw::Integer(i64::try_from(unscaled.div_euclid(one)).map_err(|_| self.no_place(value))?)
            }
            (KeyKind::Text | KeyKind::Timestamp { .. }, Value::Text(text)) => Raw::Text(text.clone()),
            (KeyKind::Date, Value::Text(text)) if parse_date(text).is_some() => Raw::Text(text.clone()),
            (KeyKind::Date, Value::Date(days)) => Raw::Text(date_from_days(*days).to_string()),
            (KeyKind::Timestamp { unit, .. }, Value::Timestamp { ticks, unit: given, .. }) if integers => {
                Raw::Integer(unit.of(*ticks, *given).ok_or_else(|| self.no_place(value))?)
            }
            (KeyKind::Timestamp { unit, .. }, Value::Date(days)) if integers => {
                let ticks = unit.of(i64::from(*days) * 86_400, Tick::S);
                Raw::Integer(ticks.ok_or_else(|| self.no_place(value))?)
            }
            (KeyKind::Timestamp { .. }, Value::Date(days)) => Raw::Text(date_from_days(*days).to_string()),
            (KeyKind::Timestamp { .. }, Value::Timestamp { ticks, unit, .. }) => {
                let nanos = i128::from(*ticks) * i128::from(Tick::Ns.per_second() / unit.per_second());
                Raw::Text(spelled_like(nanos, like).ok_or_else(|| self.no_place(value))?)
            }
            _ => return Err(self.no_place(value)),
        })
    }

    /// The cell that lies `overlap` before this one.
    pub(super) fn before(&self, raw: &Raw, overlap: Overlap) -> Result<Raw> {
        match (self.kind, raw, overlap) {
            (KeyKind::Integer | KeyKind::Decimal { .. }, Raw::Integer(value), Overlap::Steps(steps)) => {
                Ok(Raw::Integer(value.saturating_sub_unsigned(steps)))
            }
            (KeyKind::Date, Raw::Text(text), Overlap::Span(span)) => {
                let days = span.get().as_secs().div_ceil(86_400) as i32;
                let date = parse_date(text).ok_or_else(|| self.cell(raw))?;
                Ok(Raw::Text(date_from_days(date.saturating_sub(days)).to_string()))
            }
            (KeyKind::Timestamp { unit, .. }, Raw::Integer(ticks), Overlap::Span(span)) => {
                let back = span.get().as_nanos() / (Tick::Ns.per_second() / unit.per_second()) as u128;
                Ok(Raw::Integer(ticks.saturating_sub(i64::try_from(back).unwrap_or(i64::MAX))))
            }
            (KeyKind::Timestamp { .. }, Raw::Text(text), Overlap::Span(span)) => {
                let (seconds, nanos, _) = parse_timestamp(text).ok_or_else(|| self.cell(raw))?;
                let at = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
                let back = i128::try_from(span.get().as_nanos()).unwrap_or(i128::MAX);
                shaped(at - back, text).map(Raw::Text).ok_or_else(|| self.cell(raw))
            }
            _ => Err(self.no_overlap()),
        }
    }

    /// The error of a cell that a cursor cannot be.
    pub(super) fn cell(&self, raw: &Raw) -> Error {
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
        match self.kind {
            KeyKind::Decimal { .. } => {
                self.holds(what).hint("decimals order rows only where they are stored as whole numbers")
            }
            _ => self.holds(what),
        }
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

fn spelled_like(nanos: i128, like: Option<&Raw>) -> Option<String> {
    match like {
        Some(Raw::Text(like)) => {
            let (.., zone) = parse_timestamp(like)?;
            let offset = match zone {
                Zoned::Offset(seconds) => seconds,
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
    use crate::{connector::error::ErrorKind, model::time::Span};

    fn key(kind: KeyKind) -> Key {
        Key { key: KeyColumn::new("at", kind, "table \"t\""), epoch: true }
    }

    #[test]
    fn times_are_spelled_in_the_shape_that_the_column_has() {
        let key = key(KeyKind::Timestamp { unit: Tick::Us, utc: true });
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
        let decimal = key(KeyKind::Decimal { precision: 12, scale: 2 });
        assert_eq!(decimal.value(&Raw::Integer(7)).unwrap(), Value::Decimal { unscaled: 700, scale: 2 });
        assert_eq!(decimal.raw(&Value::Decimal { unscaled: 700, scale: 2 }, None).unwrap(), Raw::Integer(7));
        for raw in [Raw::Text("7.00".into()), Raw::Real(7.5), Raw::Null] {
            assert_eq!(decimal.value(&raw).unwrap_err().kind, ErrorKind::BadData);
        }
        assert!(key(KeyKind::Integer).value(&Raw::Text("x".into())).is_err());
        assert!(key(KeyKind::Date).value(&Raw::Text("2026-1-1".into())).is_err());
    }
}
