//! What SQLite computes as the engine does.
//!
//! Not here: floating point (−0, sums by another order), decimals (kept as text), division (NULL where the engine fails), LIKE
//! (ignores case), times in tables that we did not make (spelled in any way), text in other collations than BINARY or kept as UTF-16.
//! Integers that overflow fail in a sum, and become doubles, which no integer column takes, elsewhere; the engine would wrap them around.

use arrow::datatypes::DataType;
use datafusion::{logical_expr::Operator, scalar::ScalarValue};
use rusqlite::types::Value as Raw;

use super::{
    bind::spelled,
    name::quote,
    table::{Table, TableColumn},
    types::{Affinity, storage},
};
use crate::connector::executor::{AggregateCall, Agreement, Dialect, RemoteColumn, Term};

/// The one dialect of SQLite.
#[derive(Debug)]
pub(super) struct SqliteDialect;

/// A table's columns without the hidden one.
pub(super) fn columns(table: &Table, hidden: Option<&str>) -> Vec<RemoteColumn> {
    let shown = table.columns.iter().filter(|column| hidden.is_none_or(|hidden| column.name != hidden));
    shown
        .map(|column| RemoteColumn {
            sql: quote(&column.name),
            agrees: agreement(table, column),
            sure: table.key.as_ref() == Some(&column.name),
        })
        .collect()
}

fn agreement(table: &Table, column: &TableColumn) -> Agreement {
    // A view does not tell the collations of what it reads.
    let view = table.row_key().is_empty();
    let binary = table.utf8 && !view && column.collation.eq_ignore_ascii_case("binary");
    let kept = match &column.data_type {
        DataType::Boolean => column.ours,
        DataType::Utf8 => binary && column.affinity == Affinity::Text,
        DataType::Date32 | DataType::Timestamp(..) => {
            binary && column.ours && column.affinity == Affinity::Text
        }
        kind if kind.is_integer() => column.affinity == Affinity::Integer,
        _ => false,
    };
    if kept { SqliteDialect.agrees(&column.data_type) } else { Agreement::Nothing }
}

/// A value as SQLite keeps it; the inner `None` = it is kept otherwise than it compares.
pub(super) fn raw(value: &ScalarValue) -> Option<Raw> {
    if value.is_null() {
        return Some(Raw::Null);
    }
    Some(match value {
        ScalarValue::Utf8(Some(text)) => Raw::Text(text.clone()),
        ScalarValue::Boolean(Some(value)) => Raw::Integer(i64::from(*value)),
        ScalarValue::Int8(Some(value)) => Raw::Integer((*value).into()),
        ScalarValue::Int16(Some(value)) => Raw::Integer((*value).into()),
        ScalarValue::Int32(Some(value)) => Raw::Integer((*value).into()),
        ScalarValue::Int64(Some(value)) => Raw::Integer(*value),
        ScalarValue::UInt8(Some(value)) => Raw::Integer((*value).into()),
        ScalarValue::UInt16(Some(value)) => Raw::Integer((*value).into()),
        ScalarValue::UInt32(Some(value)) => Raw::Integer((*value).into()),
        ScalarValue::Date32(_)
        | ScalarValue::TimestampSecond(..)
        | ScalarValue::TimestampMillisecond(..)
        | ScalarValue::TimestampMicrosecond(..)
        | ScalarValue::TimestampNanosecond(..) => Raw::Text(spelled(&value.to_array().ok()?)?),
        _ => return None,
    })
}

impl Dialect for SqliteDialect {
    fn placeholder(&self, number: usize, value: &ScalarValue) -> Option<String> {
        let known = self.agrees(&value.data_type()) > Agreement::Nothing;
        (known && raw(value).is_some()).then(|| format!("?{number}"))
    }

    fn agrees(&self, data_type: &DataType) -> Agreement {
        match data_type {
            DataType::UInt64 => Agreement::Nothing,
            DataType::Boolean | DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..) => {
                Agreement::Order
            }
            kind if kind.is_integer() => Agreement::Order,
            _ => Agreement::Nothing,
        }
    }

    fn ordered(&self, term: &Term) -> String {
        term.sql.clone()
    }

    fn arithmetic(&self, left: &Term, operator: Operator, right: &Term, to: &DataType) -> Option<String> {
        let of = |kind: DataType| [&left.data_type, &right.data_type, to].iter().all(|found| **found == kind);
        let sign = match operator {
            Operator::Plus if of(DataType::Int64) => "+",
            Operator::Minus if of(DataType::Int64) => "-",
            Operator::Multiply if of(DataType::Int64) => "*",
            Operator::StringConcat if of(DataType::Utf8) => "||",
            _ => return None,
        };
        let agrees = left.agrees.min(right.agrees) > Agreement::Nothing;
        agrees.then(|| format!("({} {sign} {})", left.sql, right.sql))
    }

    fn cast(&self, term: &Term, to: &DataType) -> Option<String> {
        let integers = term.data_type.is_integer() && to.is_integer() && *to != DataType::UInt64;
        let wider = integers && term.agrees > Agreement::Nothing && holds(to, &term.data_type);
        wider.then(|| term.sql.clone())
    }

    fn like(&self, _: &Term, _: &Term) -> Option<String> {
        None
    }

    fn aggregate(&self, call: &AggregateCall<'_>) -> Option<String> {
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let Some(argument) = call.argument else {
            return (call.function == "count" && !call.distinct).then(|| format!("count(*){}", call.filter));
        };
        let counts = call.function == "count" && (!call.distinct || argument.agrees > Agreement::Nothing);
        let whole = argument.data_type.is_integer() && argument.agrees > Agreement::Nothing;
        let sums = call.function == "sum" && whole && *call.data_type == DataType::Int64;
        let ends = matches!(call.function, "min" | "max")
            && argument.agrees == Agreement::Order
            && argument.data_type != DataType::Boolean
            && argument.data_type == *call.data_type;
        let known = counts || sums || ends;
        known.then(|| format!("{}({distinct}{}){}", call.function, argument.sql, call.filter))
    }

    fn result(&self, term: &Term) -> Option<String> {
        // Cells come as they are kept, and are judged by their column's type.
        storage(&term.data_type).map(|_| term.sql.clone())
    }

    fn fits(&self, name: &str, term: &Term) -> Option<String> {
        let (sql, text) = (&term.sql, name.replace('\'', "''"));
        let fits = match &term.data_type {
            DataType::Boolean => format!("typeof({sql}) = 'integer' AND {sql} IN (0, 1)"),
            DataType::Int64 => format!("typeof({sql}) = 'integer'"),
            DataType::Utf8 => format!("typeof({sql}) = 'text'"),
            kind if kind.is_integer() => {
                let (low, high) = range(kind)?;
                format!("typeof({sql}) = 'integer' AND {sql} BETWEEN {low} AND {high}")
            }
            kind => {
                let pattern = pattern(kind)?;
                format!("typeof({sql}) = 'text' AND {sql} GLOB '{pattern}'")
            }
        };
        // SQLite raises errors in triggers only; one of a JSON path quotes the path.
        Some(format!(
            "(CASE WHEN {sql} IS NULL OR ({fits}) THEN 1 ELSE json_extract('{{}}', '{MISFIT}{text}' || substr(typeof({sql}), 1, 0)) END)"
        ))
    }

    fn prefers_in(&self) -> bool {
        true
    }
}

/// What the message of a cell that does not fit begins with; the column's name follows.
pub(super) const MISFIT: &str = "misfit in ";

/// The least and the greatest value of an integer type.
fn range(kind: &DataType) -> Option<(i64, i64)> {
    Some(match kind {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN, i64::MAX),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        _ => return None,
    })
}

/// Whether every value of one integer type is one of the other.
fn holds(wide: &DataType, narrow: &DataType) -> bool {
    match (range(wide), range(narrow)) {
        (Some((low, high)), Some((least, most))) => low <= least && most <= high,
        _ => false,
    }
}

/// How dates and times that we wrote are spelled.
fn pattern(kind: &DataType) -> Option<String> {
    let sample = match kind {
        DataType::Date32 => ScalarValue::Date32(Some(0)),
        _ => ScalarValue::Int64(Some(0)).cast_to(kind).ok()?,
    };
    let Raw::Text(sample) = raw(&sample)? else { return None };
    Some(
        sample.chars().map(|c| if c.is_ascii_digit() { "[0-9]".to_owned() } else { c.to_string() }).collect(),
    )
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn times_are_told_by_their_spelling() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let d = "[0-9]";
        assert_eq!(pattern(&DataType::Date32), Some(format!("{d}{d}{d}{d}-{d}{d}-{d}{d}")));
        assert!(pattern(&micros).unwrap().ends_with(&format!("T{d}{d}:{d}{d}:{d}{d}.{d}{d}{d}{d}{d}{d}Z")));
    }

    #[test]
    fn only_wider_integers_hold_narrower_ones() {
        assert!(holds(&DataType::Int64, &DataType::UInt32));
        assert!(!holds(&DataType::UInt32, &DataType::Int8));
        assert!(!holds(&DataType::UInt64, &DataType::Int8));
    }

    #[test]
    fn names_stay_inside_their_quotes() {
        let term = Term { sql: "t1.\"x\"".into(), data_type: DataType::Int64, agrees: Agreement::Order };
        let sql = SqliteDialect.fits("o'); DROP TABLE t; --", &term).unwrap();
        assert!(sql.contains("'misfit in o''); DROP TABLE t; --'"), "{sql}");
    }
}
