//! Cursor columns: their values in a position, and in SQL.
//!
//! | column | in a position |
//! |---|---|
//! | `smallint`, `integer`, `bigint` | `Int` |
//! | `numeric(p,s)` | `Decimal` |
//! | texts, in the order of their bytes (`COLLATE "C"`) | `Text` |
//! | `date` | `Date` |
//! | `timestamp`, `timestamptz` | `Timestamp` in microseconds |

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
    model::{
        time::format_ticks,
        value::{Tick, Value},
    },
};

/// A column that orders rows.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    key: KeyColumn,
    pub(crate) nullable: bool,
    bytewise: bool,
}

impl Key {
    /// Fails where the column's values cannot order rows. `table` is how messages name the table.
    pub(crate) fn of(column: &TableColumn, table: &str) -> Result<Self> {
        let refuse = |why: &str| Err(KeyColumn::refused(&column.name, table, why));
        let kind = match column.kind {
            Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid => KeyKind::Integer,
            Kind::Numeric(Some((precision, scale))) if precision <= 38 => {
                KeyKind::Decimal { precision, scale }
            }
            Kind::Numeric(_) => return refuse("it is a `numeric` without a precision of at most 38 digits"),
            Kind::Text if column.padded => {
                return refuse("texts that are filled up with spaces have no order of bytes");
            }
            Kind::Text => KeyKind::Text,
            Kind::Date => KeyKind::Date,
            Kind::Timestamp { utc, .. } => KeyKind::Timestamp { unit: Tick::Us, utc },
            Kind::Float4 | Kind::Float8 => return refuse("floating point numbers have no exact order"),
            Kind::Bool | Kind::Bytea | Kind::Time | Kind::Other => {
                return refuse("values of its type are not ordered");
            }
        };
        let bytewise = column.bytewise || kind != KeyKind::Text;
        Ok(Self { key: KeyColumn::new(&column.name, kind, table), nullable: !column.not_null, bytewise })
    }

    /// What a cell, spelled by the server, is in a position.
    pub(crate) fn value(&self, cell: Option<&str>) -> Result<Value> {
        let text = cell.ok_or_else(|| self.key.holds("NULL"))?;
        let strange = || self.key.holds("a value that no position can keep");
        Ok(match self.key.kind {
            KeyKind::Integer => Value::Int(text.parse().map_err(|_| strange())?),
            KeyKind::Decimal { scale, .. } => {
                let digits: String = text.chars().filter(|c| *c != '.').collect();
                Value::Decimal { unscaled: digits.parse().map_err(|_| strange())?, scale }
            }
            KeyKind::Text => Value::Text(text.to_owned()),
            KeyKind::Date => Value::Date(parse_date(text).ok_or_else(strange)?),
            KeyKind::Timestamp { utc, .. } => {
                let (seconds, nanos, zone) = parse_timestamp(text).ok_or_else(strange)?;
                // Sessions are in UTC.
                if !matches!(zone, Zoned::Local | Zoned::Utc | Zoned::Offset(0)) {
                    return Err(strange());
                }
                let ticks =
                    seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(nanos / 1_000));
                Value::Timestamp { ticks: ticks.ok_or_else(strange)?, unit: Tick::Us, utc }
            }
        })
    }
}

impl SqlKey for Key {
    fn key(&self) -> &KeyColumn {
        &self.key
    }

    fn sql(&self) -> String {
        let collate = if self.bytewise { "" } else { " COLLATE \"C\"" };
        format!("{}{collate}", quote(&self.key.column))
    }

    fn literal(&self, value: &Value) -> Result<String> {
        let instant = |utc| if utc { "timestamptz" } else { "timestamp" };
        let (text, cast) = match (self.key.kind, value) {
            (KeyKind::Integer, Value::Int(_) | Value::UInt(_)) => (value.to_string(), "bigint"),
            (KeyKind::Decimal { .. }, Value::Int(_) | Value::UInt(_) | Value::Decimal { .. }) => {
                (value.to_string(), "numeric")
            }
            (KeyKind::Text, Value::Text(text)) => (text.clone(), "text"),
            (KeyKind::Date, Value::Date(_)) => (value.to_string(), "date"),
            (KeyKind::Date, Value::Text(text)) if parse_date(text).is_some() => (text.clone(), "date"),
            (KeyKind::Timestamp { utc, .. }, Value::Timestamp { ticks, unit, .. }) => {
                (format_ticks(*ticks, *unit, false), instant(utc))
            }
            (KeyKind::Timestamp { utc, .. }, Value::Date(_)) => (value.to_string(), instant(utc)),
            (KeyKind::Timestamp { utc, .. }, Value::Text(text)) if parse_timestamp(text).is_some() => {
                (text.clone(), instant(utc))
            }
            _ => return Err(self.key.no_place(value)),
        };
        Ok(format!("{}::{cast}", literal(&text)))
    }

    fn compared(keys: &[Self], side: Side, at: &[String]) -> String {
        let operator = match side {
            Side::Behind => ">",
            Side::From => ">=",
            Side::UpTo => "<=",
        };
        let keys: Vec<String> = keys.iter().map(Self::sql).collect();
        format!("({}) {operator} ({})", keys.join(", "), at.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{error::ErrorKind, source::Overlap};

    fn key(kind: Kind) -> Key {
        let column = TableColumn {
            name: "at".into(),
            kind,
            declared: String::new(),
            not_null: false,
            fills_itself: false,
            generated: false,
            primary: false,
            padded: false,
            bytewise: false,
            deterministic: true,
        };
        Key::of(&column, "table \"t\"").unwrap()
    }

    #[test]
    fn values_come_back() {
        let utc = key(Kind::Timestamp { digits: 6, utc: true });
        let at = utc.value(Some("2026-01-31 10:00:00.000001+00")).unwrap();
        assert_eq!(utc.literal(&at).unwrap(), "'2026-01-31T10:00:00.000001'::timestamptz");
        assert!(utc.value(Some("infinity")).is_err());
        assert!(utc.value(None).is_err());
        let decimal = key(Kind::Numeric(Some((18, 4))));
        let at = decimal.value(Some("-0.0001")).unwrap();
        assert_eq!(decimal.literal(&at).unwrap(), "'-0.0001'::numeric");
        assert_eq!(
            decimal.key.before(&at, Overlap::Steps(2)).unwrap(),
            Value::Decimal { unscaled: -20_001, scale: 4 }
        );
        let text = key(Kind::Text);
        assert_eq!(text.sql(), "\"at\" COLLATE \"C\"");
        assert_eq!(text.literal(&Value::Text("о'Нил".into())).unwrap(), "'о''Нил'::text");
        assert_eq!(text.literal(&Value::Int(1)).unwrap_err().kind, ErrorKind::SourceChanged);
    }
}
