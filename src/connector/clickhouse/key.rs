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
        cursor::{KeyColumn, KeyKind, Side, SqlKey},
        error::Result,
    },
    model::value::{Tick, Value},
};

/// A column that orders rows.
#[derive(Debug, Clone)]
pub(super) struct Key {
    key: KeyColumn,
    pub(super) nullable: bool,
    type_: Kind,
}

impl Key {
    /// Fails where the column's values cannot order rows. `table` is how messages name the table.
    pub(super) fn of(column: &TableColumn, table: &str) -> Result<Self> {
        let exact = column.kind.arrow().filter(|found| match found {
            DataType::Utf8 => column.kind.spelled == "String",
            DataType::Decimal256(..) => false,
            _ => true,
        });
        let kind = exact.as_ref().and_then(KeyKind::of).ok_or_else(|| {
            let why = format!("values of {} have no exact order", column.declared);
            KeyColumn::refused(&column.name, table, &why)
        })?;
        let (nullable, type_) = (column.kind.nullable, column.kind.clone());
        Ok(Self { key: KeyColumn::new(&column.name, kind, table), nullable, type_ })
    }

    /// A value of the column, as [`value`](Self::value) takes it.
    pub(super) fn spelled(&self, value: &str) -> String {
        match self.key.kind {
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
        let text = cell.ok_or_else(|| self.key.holds("NULL"))?;
        let strange = || self.key.holds("a value that no position can keep");
        Ok(match self.key.kind {
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

    fn instant(&self, ticks: Option<i64>, value: &Value) -> Result<String> {
        ticks.and_then(|ticks| self.type_.instant(ticks)).ok_or_else(|| self.key.no_place(value))
    }
}

impl SqlKey for Key {
    fn key(&self) -> &KeyColumn {
        &self.key
    }

    fn sql(&self) -> String {
        quote(&self.key.column)
    }

    fn literal(&self, value: &Value) -> Result<String> {
        Ok(match (self.key.kind, value) {
            (KeyKind::Integer, Value::Int(_)) => format!("CAST({}, 'Int64')", literal(&value.to_string())),
            (KeyKind::Integer, Value::UInt(_)) => format!("CAST({}, 'UInt64')", literal(&value.to_string())),
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
                self.instant(unit.of(*ticks, *given), value)?
            }
            (KeyKind::Timestamp { unit, .. }, Value::Date(days)) => {
                self.instant(unit.of(i64::from(*days) * 86_400, Tick::S), value)?
            }
            (KeyKind::Timestamp { unit, .. }, Value::Text(text)) => {
                let (seconds, nanos, zone) = parse_timestamp(text).ok_or_else(|| self.key.no_place(value))?;
                let offset = match zone {
                    Zoned::Offset(offset) => offset,
                    Zoned::Local | Zoned::Utc => 0,
                };
                let whole = unit.of(seconds - offset, Tick::S);
                let part = unit.of(nanos, Tick::Ns);
                self.instant(whole.zip(part).and_then(|(whole, part)| whole.checked_add(part)), value)?
            }
            _ => return Err(self.key.no_place(value)),
        })
    }

    /// Spelled out: the server's index knows no order of tuples.
    fn compared(keys: &[Self], side: Side, at: &[String]) -> String {
        let ([key, keys @ ..], [value, at @ ..]) = (keys, at) else { return "true".to_owned() };
        let (strict, loose, last) = match side {
            Side::Behind => (">", ">=", ">"),
            Side::From => (">", ">=", ">="),
            Side::UpTo => ("<", "<=", "<="),
        };
        let name = key.sql();
        if keys.is_empty() {
            return format!("{name} {last} {value}");
        }
        let rest = Self::compared(keys, side, at);
        format!("({name} {loose} {value} AND ({name} {strict} {value} OR {rest}))")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::error::ErrorKind;

    fn key(name: &str, declared: &str) -> Key {
        Key::of(&TableColumn::plain(name, declared), "table \"t\"").unwrap()
    }

    #[test]
    fn values_come_back() {
        let at = key("at", "DateTime64(6, 'Europe/Moscow')");
        let value = at.value(Some("1769853600000001")).unwrap();
        assert_eq!(at.literal(&value).unwrap(), "fromUnixTimestamp64Micro(toInt64(1769853600000001), 'UTC')");
        assert!(at.value(None).is_err());
        let text = "2026-01-31T13:00:00.000001+03:00";
        assert_eq!(at.literal(&Value::Text(text.into())).unwrap(), at.literal(&value).unwrap());
        // Times that a column of nanoseconds cannot have are no place in it.
        let fine = key("at", "DateTime64(9, 'UTC')");
        for far in [Value::Text("2500-01-01T00:00:00Z".into()), Value::Date(200_000)] {
            assert_eq!(fine.literal(&far).unwrap_err().kind, ErrorKind::SourceChanged);
        }
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
        assert_eq!(Key::compared(&keys, Side::Behind, &at), "(`a` >= 1 AND (`a` > 1 OR `b` > 'x'))");
        assert_eq!(Key::compared(&keys, Side::From, &at), "(`a` >= 1 AND (`a` > 1 OR `b` >= 'x'))");
        assert_eq!(Key::compared(&keys, Side::UpTo, &at), "(`a` <= 1 AND (`a` < 1 OR `b` <= 'x'))");
        assert_eq!(Key::compared(&keys[..1], Side::UpTo, &at[..1]), "`a` <= 1");
    }
}
