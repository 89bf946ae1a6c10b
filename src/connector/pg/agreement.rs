//! What PostgreSQL computes as the engine does.
//!
//! Texts are compared by their bytes: in collation "C", whatever a column's own is. Every value is bound with its type named. Not here:
//! floating point (−0, NaN, sums by another order), division, averages of decimals (other scales), ILIKE, texts that are filled up with
//! spaces, time zones. Integers that overflow fail; the engine would wrap them around.

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::{logical_expr::Operator, scalar::ScalarValue};

use super::{
    name::quote,
    table::{Table, TableColumn},
    types::Kind,
};
use crate::{
    connector::executor::{AggregateCall, Agreement, Dialect, RemoteColumn, Term},
    model::{
        time::{date_from_days, format_ticks},
        value::{Tick, Value},
    },
};

/// PostgreSQL, and what speaks as it does.
#[derive(Debug)]
pub(super) struct PostgresDialect {
    /// Whether the database keeps texts as UTF-8: in other encodings the order of bytes is another one.
    pub(super) utf8: bool,
}

/// A table's columns.
pub(super) fn columns(table: &Table, dialect: &PostgresDialect) -> Vec<RemoteColumn> {
    let column = |column: &TableColumn| {
        let name = quote(&column.name);
        // In its bytes a text is what the engine has it for, whatever its collation makes of it; numbers without limits are texts to it.
        let sql = match column.kind {
            Kind::Text if !column.deterministic => format!("{name} COLLATE \"C\""),
            Kind::Numeric(None) => format!("{name}::text"),
            _ => column.selected(),
        };
        RemoteColumn { sql, agrees: agreement(column, dialect), sure: true }
    };
    table.columns.iter().map(column).collect()
}

/// The columns of a stage, as the rows of its unit have them.
pub(super) fn staged_columns(schema: &SchemaRef, dialect: &PostgresDialect) -> Vec<RemoteColumn> {
    let column = |field: &FieldRef| {
        let (name, kind) = (quote(field.name()), Kind::keeping(field.data_type()));
        let agrees = kind.map_or(Agreement::Nothing, |_| dialect.agrees(field.data_type()));
        let sql = match kind.unwrap_or(Kind::Text) {
            Kind::Text => format!("{name}::text COLLATE \"C\""),
            kind => format!("{name}::{}", kind.sql()),
        };
        RemoteColumn { sql, agrees, sure: true }
    };
    schema.fields().iter().map(column).collect()
}

fn agreement(column: &TableColumn, dialect: &PostgresDialect) -> Agreement {
    match column.kind {
        Kind::Text if column.padded => Agreement::Nothing,
        Kind::Oid => Agreement::Nothing,
        kind => dialect.agrees(&kind.arrow()),
    }
}

/// A value as text, and the type that the server reads it as; the text is `None` for NULL.
pub(super) fn spelled(value: &ScalarValue) -> Option<(Option<String>, Kind)> {
    let kind = Kind::keeping(&value.data_type())?;
    if value.is_null() {
        return Some((None, kind));
    }
    let text = match value {
        // No text of the server has a NUL, and none can be sent.
        ScalarValue::Utf8(Some(text)) => Some(text.clone()).filter(|text| !text.contains('\0'))?,
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        ScalarValue::Int16(Some(value)) => value.to_string(),
        ScalarValue::Int32(Some(value)) => value.to_string(),
        ScalarValue::Int64(Some(value)) => value.to_string(),
        ScalarValue::Decimal128(Some(unscaled), _, scale) => {
            Value::Decimal { unscaled: *unscaled, scale: *scale }.to_string()
        }
        ScalarValue::Date32(Some(days)) => dated(date_from_days(*days).to_string())?,
        ScalarValue::TimestampSecond(Some(ticks), zone) => at(*ticks, Tick::S, zone.is_some())?,
        ScalarValue::TimestampMillisecond(Some(ticks), zone) => at(*ticks, Tick::Ms, zone.is_some())?,
        ScalarValue::TimestampMicrosecond(Some(ticks), zone) => at(*ticks, Tick::Us, zone.is_some())?,
        _ => return None,
    };
    Some((Some(text), kind))
}

fn at(ticks: i64, unit: Tick, utc: bool) -> Option<String> {
    dated(format_ticks(ticks, unit, utc))
}

/// Years that are not four digits are spelled otherwise by the server.
fn dated(text: String) -> Option<String> {
    (text.len() >= 10 && text.as_bytes()[4] == b'-').then_some(text)
}

impl Dialect for PostgresDialect {
    fn placeholder(&self, number: usize, value: &ScalarValue) -> Option<String> {
        let known = self.agrees(&value.data_type()) > Agreement::Nothing;
        let (_, kind) = spelled(value).filter(|_| known)?;
        Some(format!("${number}::{}", kind.sql()))
    }

    fn agrees(&self, data_type: &DataType) -> Agreement {
        match data_type {
            DataType::Boolean => Agreement::Equality,
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => Agreement::Order,
            DataType::Decimal128(_, scale) if *scale >= 0 => Agreement::Order,
            DataType::Timestamp(..) if Kind::keeping(data_type).is_some() => Agreement::Order,
            DataType::Utf8 if self.utf8 => Agreement::Order,
            DataType::Utf8 => Agreement::Equality,
            _ => Agreement::Nothing,
        }
    }

    fn ordered(&self, term: &Term) -> String {
        if term.data_type == DataType::Utf8 {
            format!("{} COLLATE \"C\"", term.sql)
        } else {
            term.sql.clone()
        }
    }

    fn arithmetic(&self, left: &Term, operator: Operator, right: &Term, to: &DataType) -> Option<String> {
        let integers =
            [&left.data_type, &right.data_type].iter().all(|kind| *kind == to && kind.is_integer());
        let decimals = exact(&left.data_type, operator, &right.data_type, to);
        let sign = match operator {
            Operator::Plus if integers || decimals => "+",
            Operator::Minus if integers || decimals => "-",
            Operator::Multiply if integers || decimals => "*",
            Operator::StringConcat
                if [&left.data_type, &right.data_type, to].iter().all(|kind| **kind == DataType::Utf8) =>
            {
                "||"
            }
            _ => return None,
        };
        let agrees = left.agrees.min(right.agrees) > Agreement::Nothing;
        agrees.then(|| format!("({} {sign} {})", left.sql, right.sql))
    }

    fn cast(&self, term: &Term, to: &DataType) -> Option<String> {
        let digits = |kind: &DataType| match kind {
            DataType::Int16 => Some(5),
            DataType::Int32 => Some(10),
            DataType::Int64 => Some(19),
            _ => None,
        };
        let wider = match (&term.data_type, to) {
            (from, DataType::Decimal128(p, s)) if from.is_integer() => {
                digits(from).is_some_and(|whole| i16::from(*p) - i16::from(*s) >= whole)
            }
            (DataType::Decimal128(p, s), DataType::Decimal128(q, t)) => {
                t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
            }
            (from, to) if from.is_integer() && to.is_integer() => {
                matches!((digits(from), digits(to)), (Some(from), Some(to)) if from <= to)
            }
            (from, DataType::Utf8) => digits(from).is_some(),
            _ => false,
        };
        let kind = Kind::keeping(to).filter(|_| wider && term.agrees > Agreement::Nothing)?;
        Some(format!("({})::{}", term.sql, kind.sql()))
    }

    fn like(&self, term: &Term, pattern: &Term) -> Option<String> {
        Some(format!("({} LIKE {})", self.ordered(term), pattern.sql))
    }

    fn aggregate(&self, call: &AggregateCall<'_>) -> Option<String> {
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let Some(argument) = call.argument else {
            return (call.function == "count" && !call.distinct).then(|| format!("count(*){}", call.filter));
        };
        let agrees = argument.agrees;
        let known = match (call.function, &argument.data_type, call.data_type) {
            ("count", ..) => !call.distinct || agrees >= Agreement::Equality,
            ("sum", DataType::Int16 | DataType::Int32 | DataType::Int64, DataType::Int64) => {
                agrees > Agreement::Nothing
            }
            ("sum", DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => {
                agrees > Agreement::Nothing && from == to
            }
            ("min" | "max", from, to) => {
                agrees == Agreement::Order && from == to && *from != DataType::Boolean
            }
            _ => false,
        };
        let kind = Kind::keeping(call.data_type).filter(|_| known)?;
        let of = if matches!(call.function, "min" | "max") {
            self.ordered(argument)
        } else {
            argument.sql.clone()
        };
        Some(format!("({}({distinct}{of}){})::{}", call.function, call.filter, kind.sql()))
    }

    fn result(&self, term: &Term) -> Option<String> {
        // A text that is filled up with spaces would lose them.
        if term.data_type == DataType::Utf8 && term.agrees == Agreement::Nothing {
            return Some(term.sql.clone());
        }
        let cast = format!("::{}", Kind::keeping(&term.data_type)?.sql());
        Some(if term.sql.ends_with(&cast) { term.sql.clone() } else { format!("({}){cast}", term.sql) })
    }

    fn fits(&self, _: &str, _: &Term) -> Option<String> {
        None
    }

    fn prefers_in(&self) -> bool {
        false
    }
}

/// Whether decimals are added or multiplied without losing a digit of what the engine keeps.
fn exact(left: &DataType, operator: Operator, right: &DataType, to: &DataType) -> bool {
    let (DataType::Decimal128(_, s), DataType::Decimal128(_, t), DataType::Decimal128(p, scale)) =
        (left, right, to)
    else {
        return false;
    };
    // At the engine's limit of digits scales are cut.
    let kept = *p < 38;
    match operator {
        Operator::Multiply => kept && *scale == s + t,
        _ => kept && scale == s.max(t),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: PostgresDialect = PostgresDialect { utf8: true };

    fn term(data_type: DataType) -> Term {
        Term { agrees: DIALECT.agrees(&data_type), sql: "x".into(), data_type }
    }

    #[test]
    fn values_are_never_text() {
        for text in ["'; DROP TABLE t; --", r"\' OR 1=1 --", "$1", "\u{2019}"] {
            let value = ScalarValue::Utf8(Some(text.to_owned()));
            assert_eq!(DIALECT.placeholder(3, &value).as_deref(), Some("$3::text"));
            assert_eq!(spelled(&value).unwrap().0.as_deref(), Some(text));
        }
        assert_eq!(DIALECT.placeholder(1, &ScalarValue::Utf8(Some("a\0b".to_owned()))), None);
        assert_eq!(DIALECT.placeholder(1, &ScalarValue::Float64(Some(0.5))), None);
        assert_eq!(DIALECT.placeholder(1, &ScalarValue::Date32(Some(9_000_000))), None);
        assert_eq!(DIALECT.placeholder(1, &ScalarValue::Date32(None)).as_deref(), Some("$1::date"));
    }

    #[test]
    fn casts_that_may_fail_are_the_engines() {
        let to = |from: DataType, to: DataType| DIALECT.cast(&term(from), &to);
        assert_eq!(to(DataType::Int32, DataType::Int64).as_deref(), Some("(x)::bigint"));
        assert_eq!(to(DataType::Int64, DataType::Int32), None);
        assert_eq!(to(DataType::Int64, DataType::Decimal128(20, 2)), None);
        assert_eq!(to(DataType::Int32, DataType::Decimal128(12, 2)).as_deref(), Some("(x)::numeric(12,2)"));
        assert_eq!(to(DataType::Decimal128(12, 2), DataType::Decimal128(12, 3)), None);
        assert_eq!(to(DataType::Utf8, DataType::Int64), None);
    }

    #[test]
    fn texts_sort_by_bytes_only_where_bytes_are_utf8() {
        assert_eq!(PostgresDialect { utf8: false }.agrees(&DataType::Utf8), Agreement::Equality);
        assert_eq!(DIALECT.ordered(&term(DataType::Utf8)), "x COLLATE \"C\"");
        assert_eq!(DIALECT.agrees(&DataType::Float64), Agreement::Nothing);
    }
}
