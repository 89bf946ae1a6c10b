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
        error::{Error, ErrorKind, Result},
        source::Overlap,
    },
    model::{
        time::format_ticks,
        value::{Tick, Value},
    },
};

/// A column that orders rows.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) column: String,
    pub(crate) nullable: bool,
    kind: KeyKind,
    bytewise: bool,
    /// How messages name it.
    shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Integer,
    Decimal { scale: i8 },
    Text,
    Date,
    Timestamp { utc: bool },
}

impl Key {
    /// Fails where the column's values cannot order rows. `table` is how messages name the table.
    pub(crate) fn of(column: &TableColumn, table: &str) -> Result<Self> {
        let shown = format!("column \"{}\" of {table}", column.name);
        let refuse = |why: &str| {
            Err(Error::new(ErrorKind::Unsupported, format!("{shown} cannot be a cursor: {why}"))
                .hint("take a column of rising whole numbers, text, dates or timestamps as the cursor"))
        };
        let kind = match column.kind {
            Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid => KeyKind::Integer,
            Kind::Numeric(Some((p, scale))) if p <= 38 => KeyKind::Decimal { scale },
            Kind::Numeric(_) => return refuse("it is a `numeric` without a precision of at most 38 digits"),
            Kind::Text if column.padded => {
                return refuse("texts that are filled up with spaces have no order of bytes");
            }
            Kind::Text => KeyKind::Text,
            Kind::Date => KeyKind::Date,
            Kind::Timestamp { utc, .. } => KeyKind::Timestamp { utc },
            Kind::Float4 | Kind::Float8 => return refuse("floating point numbers have no exact order"),
            Kind::Bool | Kind::Bytea | Kind::Time | Kind::Other => {
                return refuse("values of its type are not ordered");
            }
        };
        let bytewise = column.bytewise || kind != KeyKind::Text;
        Ok(Self { column: column.name.clone(), nullable: !column.not_null, kind, bytewise, shown })
    }

    /// Its type in a source's identity.
    pub(crate) fn identity(&self) -> String {
        let kind = match self.kind {
            KeyKind::Integer => "integer",
            KeyKind::Decimal { .. } => "decimal",
            KeyKind::Text => "text",
            KeyKind::Date => "date",
            KeyKind::Timestamp { .. } => "timestamp",
        };
        format!("{} {kind}", self.column)
    }

    /// The column in comparisons and orders.
    pub(crate) fn sql(&self) -> String {
        let collate = if self.bytewise { "" } else { " COLLATE \"C\"" };
        format!("{}{collate}", quote(&self.column))
    }

    /// Whether a row keeps its value as long as it lives: times of change do not.
    pub(crate) fn stays(&self) -> bool {
        !matches!(self.kind, KeyKind::Timestamp { .. } | KeyKind::Date)
    }

    /// What a cell, spelled by the server, is in a position.
    pub(crate) fn value(&self, cell: Option<&str>) -> Result<Value> {
        let text = cell.ok_or_else(|| self.holds("NULL"))?;
        let strange = || self.holds("a value that no position can keep");
        Ok(match self.kind {
            KeyKind::Integer => Value::Int(text.parse().map_err(|_| strange())?),
            KeyKind::Decimal { scale } => {
                let digits: String = text.chars().filter(|c| *c != '.').collect();
                Value::Decimal { unscaled: digits.parse().map_err(|_| strange())?, scale }
            }
            KeyKind::Text => Value::Text(text.to_owned()),
            KeyKind::Date => Value::Date(parse_date(text).ok_or_else(strange)?),
            KeyKind::Timestamp { utc } => {
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

    /// A position's value in SQL.
    pub(crate) fn literal(&self, value: &Value) -> Result<String> {
        let (text, cast) = match (self.kind, value) {
            (KeyKind::Integer, Value::Int(_) | Value::UInt(_)) => (value.to_string(), "bigint"),
            (KeyKind::Decimal { .. }, Value::Int(_) | Value::UInt(_) | Value::Decimal { .. }) => {
                (value.to_string(), "numeric")
            }
            (KeyKind::Text, Value::Text(text)) => (text.clone(), "text"),
            (KeyKind::Date, Value::Date(_)) => (value.to_string(), "date"),
            (KeyKind::Date, Value::Text(text)) if parse_date(text).is_some() => (text.clone(), "date"),
            (KeyKind::Timestamp { utc }, Value::Timestamp { ticks, unit, .. }) => {
                (format_ticks(*ticks, *unit, false), if utc { "timestamptz" } else { "timestamp" })
            }
            (KeyKind::Timestamp { utc }, Value::Date(_)) => {
                (value.to_string(), if utc { "timestamptz" } else { "timestamp" })
            }
            (KeyKind::Timestamp { utc }, Value::Text(text)) if parse_timestamp(text).is_some() => {
                (text.clone(), if utc { "timestamptz" } else { "timestamp" })
            }
            _ => return Err(self.other(value)),
        };
        Ok(format!("{}::{cast}", literal(&text)))
    }

    /// The value that lies `overlap` before this one.
    pub(crate) fn before(&self, value: &Value, overlap: Overlap) -> Result<Value> {
        match (self.kind, value, overlap) {
            (KeyKind::Integer, Value::Int(at), Overlap::Steps(steps)) => {
                Ok(Value::Int(at.saturating_sub_unsigned(steps)))
            }
            (KeyKind::Decimal { .. }, Value::Decimal { unscaled, scale }, Overlap::Steps(steps)) => {
                let one = 10_i128.pow(scale.unsigned_abs().into());
                let unscaled = unscaled.saturating_sub(one.saturating_mul(steps.into()));
                Ok(Value::Decimal { unscaled, scale: *scale })
            }
            (KeyKind::Date, Value::Date(days), Overlap::Span(span)) => {
                Ok(Value::Date(days.saturating_sub(span.get().as_secs().div_ceil(86_400) as i32)))
            }
            (
                KeyKind::Timestamp { utc },
                Value::Timestamp { ticks, unit: Tick::Us, .. },
                Overlap::Span(span),
            ) => {
                let back = i64::try_from(span.get().as_micros()).unwrap_or(i64::MAX);
                Ok(Value::Timestamp { ticks: ticks.saturating_sub(back), unit: Tick::Us, utc })
            }
            _ => {
                let message = format!("{} cannot be read again by such an overlap", self.shown);
                Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("an overlap is a number for numbers, a length of time for dates and timestamps"))
            }
        }
    }

    /// The error of a cell that a cursor cannot be.
    pub(crate) fn holds(&self, what: &str) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            decimal.before(&at, Overlap::Steps(2)).unwrap(),
            Value::Decimal { unscaled: -20_001, scale: 4 }
        );
        let text = key(Kind::Text);
        assert_eq!(text.sql(), "\"at\" COLLATE \"C\"");
        assert_eq!(text.literal(&Value::Text("о'Нил".into())).unwrap(), "'о''Нил'::text");
        assert_eq!(text.literal(&Value::Int(1)).unwrap_err().kind, ErrorKind::SourceChanged);
    }
}
