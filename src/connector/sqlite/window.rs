//! The rows of a window, in SQL.

use datafusion::scalar::ScalarValue;
use rusqlite::types::Value as Raw;

use super::{dialect::raw, name::quote};
use crate::model::{
    unit::Scope,
    value::{Tick, Value},
};

/// Rows whose column lies in a window.
pub(super) struct Inside {
    /// The column.
    pub(super) column: String,
    from: Raw,
    until: Raw,
}

impl Inside {
    /// Of a unit that is a window, by a column whose values sort as SQLite keeps them.
    pub(super) fn of(scope: &Scope) -> Option<Self> {
        let Scope::Window { column, from, until } = scope else { return None };
        Some(Self { column: column.clone(), from: kept(from)?, until: kept(until)? })
    }

    /// Takes them out of a table.
    pub(super) fn clear(&self, table: &str) -> (String, Vec<Raw>) {
        let column = quote(&self.column);
        let sql = format!("DELETE FROM {table} WHERE {column} >= ?1 AND {column} < ?2");
        (sql, vec![self.from.clone(), self.until.clone()])
    }

    /// Finds a row of a table that is none of them.
    pub(super) fn outside(&self, table: &str) -> (String, Vec<Raw>) {
        let column = quote(&self.column);
        let sql =
            format!("SELECT 1 FROM {table} WHERE ({column} >= ?1 AND {column} < ?2) IS NOT TRUE LIMIT 1");
        (sql, vec![self.from.clone(), self.until.clone()])
    }
}

/// A value as tables of ours keep it.
fn kept(value: &Value) -> Option<Raw> {
    raw(&match value {
        Value::Int(value) => ScalarValue::Int64(Some(*value)),
        Value::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Date(days) => ScalarValue::Date32(Some(*days)),
        Value::Timestamp { ticks, unit, utc } => {
            let zone = utc.then(|| "UTC".into());
            match unit {
                Tick::S => ScalarValue::TimestampSecond(Some(*ticks), zone),
                Tick::Ms => ScalarValue::TimestampMillisecond(Some(*ticks), zone),
                Tick::Us => ScalarValue::TimestampMicrosecond(Some(*ticks), zone),
                Tick::Ns => ScalarValue::TimestampNanosecond(Some(*ticks), zone),
            }
        }
        Value::Null | Value::Bool(_) | Value::UInt(_) | Value::Float(_) | Value::Decimal { .. } => {
            return None;
        }
    })
}
