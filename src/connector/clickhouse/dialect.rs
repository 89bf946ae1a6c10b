//! What ClickHouse computes as the engine does.
//!
//! Every value is a parameter of the request, its type named in the text. Aggregates are taken over nullable values, since over others they make zeros of no rows; casts are to nullable types, since
//! others make zeros of NULL. Not here: floating point (sums by another order, NaN), division, averages, texts that are no `String` (enums and
//! UUIDs compare otherwise than they are spelled), joins by anything but equal values, subqueries that name columns of the query around.

use arrow::datatypes::DataType;
use datafusion::{logical_expr::Operator, scalar::ScalarValue};

use super::{
    name::{quote, quote_all},
    table::{Table, TableColumn},
    types::keeping,
};
use crate::{
    connector::executor::{AggregateCall, Agreement, Dialect, RemoteColumn, Term, Truth},
    model::{
        time::{date_from_days, format_ticks},
        value::{Tick, Value},
    },
};

/// Bytes of a text that is sent as a parameter: servers take 128 KiB of one.
const LONGEST_TEXT: usize = 64 << 10;
/// What statements of the engine mean, whatever the user's own settings are: joins give NULL where nothing matches, and all that matches.
const SETTINGS: &str = "SETTINGS join_use_nulls = 1, join_default_strictness = 'ALL', transform_null_in = 0, group_by_use_nulls = 0";
/// Days from 1900 to 2299, which all types of days and instants have.
const DAYS: std::ops::RangeInclusive<i64> = -25_567..=120_529;

/// The one dialect of ClickHouse.
#[derive(Debug)]
pub(super) struct ClickHouseDialect;

/// A table's name where a statement reads it: one whose rows are replaced when parts merge is read as if all were merged.
pub(super) fn source(table: &Table) -> String {
    let source = table.source();
    if source == table.sql() {
        return source;
    }
    // FINAL stands behind an alias; inside, there is none.
    let columns = table.columns.iter().filter(|column| column.kind.arrow().is_some());
    format!("(SELECT {} FROM {source})", quote_all(columns.map(|column| column.name.as_str())))
}

/// A table's columns that can be read.
pub(super) fn columns(table: &Table) -> Vec<RemoteColumn> {
    let readable = table.columns.iter().filter(|column| column.kind.arrow().is_some());
    readable
        .map(|column| RemoteColumn { sql: selected(column), agrees: agreement(column), sure: true })
        .collect()
}

fn agreement(column: &TableColumn) -> Agreement {
    match column.kind.arrow() {
        Some(DataType::Utf8) if column.kind.spelled != "String" => Agreement::Nothing,
        Some(data_type) => ClickHouseDialect.agrees(&data_type),
        None => Agreement::Nothing,
    }
}

/// The column as a value of the type that it is read as.
fn selected(column: &TableColumn) -> String {
    let name = quote(&column.name);
    match column.kind.arrow().filter(|_| agreement(column) > Agreement::Nothing) {
        Some(data_type @ (DataType::Date32 | DataType::Timestamp(..))) => match keeping(&data_type) {
            Some(kind) if kind != column.kind.spelled => format!("{name}::Nullable({kind})"),
            _ => name,
        },
        _ => name,
    }
}

/// A value as a parameter's text, escaped as parameters are; NULL as `\N`. `None` = it cannot be sent.
pub(super) fn spelled(value: &ScalarValue) -> Option<String> {
    if value.is_null() {
        return Some("\\N".to_owned());
    }
    Some(match value {
        ScalarValue::Utf8(Some(text)) => escaped(text),
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        ScalarValue::Decimal128(Some(unscaled), _, scale) => {
            Value::Decimal { unscaled: *unscaled, scale: *scale }.to_string()
        }
        ScalarValue::Date32(Some(days)) if DAYS.contains(&i64::from(*days)) => {
            date_from_days(*days).to_string()
        }
        ScalarValue::TimestampSecond(Some(ticks), _) => instant(*ticks, Tick::S)?,
        ScalarValue::TimestampMillisecond(Some(ticks), _) => instant(*ticks, Tick::Ms)?,
        ScalarValue::TimestampMicrosecond(Some(ticks), _) => instant(*ticks, Tick::Us)?,
        ScalarValue::Float64(Some(value)) => value.to_string(),
        integer if integer.data_type().is_integer() => integer.to_string(),
        _ => return None,
    })
}

/// Tabs, line ends and backslashes would end a value, or begin an escape.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn instant(ticks: i64, unit: Tick) -> Option<String> {
    let day = ticks.div_euclid(unit.per_second()).div_euclid(86_400);
    let text = format_ticks(ticks, unit, false);
    DAYS.contains(&day).then(|| text.replace('T', " "))
}

fn nullable(sql: &str, data_type: &DataType) -> Option<String> {
    Some(format!("CAST({sql}, 'Nullable({})')", keeping(data_type)?.replace('\'', "\\'")))
}

impl Dialect for ClickHouseDialect {
    fn placeholder(&self, number: usize, value: &ScalarValue) -> Option<String> {
        let data_type = value.data_type();
        let known = self.agrees(&data_type) > Agreement::Nothing || data_type == DataType::Float64;
        if !known || spelled(value)?.len() > LONGEST_TEXT {
            return None;
        }
        let kind = keeping(&data_type)?;
        Some(if value.is_null() {
            format!("{{v{number}:Nullable({kind})}}")
        } else {
            format!("{{v{number}:{kind}}}")
        })
    }

    fn agrees(&self, data_type: &DataType) -> Agreement {
        match data_type {
            DataType::Boolean => Agreement::Equality,
            DataType::Utf8 | DataType::Date32 => Agreement::Order,
            DataType::Decimal128(_, scale) if *scale >= 0 => Agreement::Order,
            DataType::Timestamp(unit, Some(_)) if *unit != arrow::datatypes::TimeUnit::Nanosecond => {
                Agreement::Order
            }
            kind if kind.is_integer() => Agreement::Order,
            _ => Agreement::Nothing,
        }
    }

    fn quoted(&self, name: &str) -> String {
        quote(name)
    }

    fn statement(&self, sql: String) -> String {
        format!("{sql} {SETTINGS}")
    }

    fn ordered(&self, term: &Term) -> String {
        term.sql.clone()
    }

    fn truth(&self, condition: &str, truth: Truth) -> String {
        match truth {
            Truth::True => format!("ifNull({condition}, false)"),
            Truth::NotTrue => format!("(NOT ifNull({condition}, false))"),
            Truth::False => format!("ifNull(NOT {condition}, false)"),
            Truth::NotFalse => format!("(NOT ifNull(NOT {condition}, false))"),
        }
    }

    fn same(&self, left: &str, right: &str) -> String {
        format!("ifNull({left} = {right}, isNull({left}) AND isNull({right}))")
    }

    /// What is unknown stays unknown, which IN does not see to.
    fn listed(&self, term: &Term, items: &[String]) -> String {
        let equal = items.iter().map(|item| format!("{} = {item}", term.sql));
        format!("({})", equal.collect::<Vec<_>>().join(" OR "))
    }

    fn arithmetic(&self, left: &Term, operator: Operator, right: &Term, to: &DataType) -> Option<String> {
        if left.agrees.min(right.agrees) == Agreement::Nothing {
            return None;
        }
        let all =
            |kind: &DataType| [&left.data_type, &right.data_type, to].iter().all(|found| *found == kind);
        let sign = match operator {
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Multiply => "*",
            Operator::StringConcat if all(&DataType::Utf8) => {
                return Some(format!("({} || {})", left.sql, right.sql));
            }
            _ => return None,
        };
        if all(&DataType::Int64) {
            return Some(format!("({} {sign} {})", left.sql, right.sql));
        }
        let (DataType::Decimal128(_, s), DataType::Decimal128(_, t), DataType::Decimal128(p, scale)) =
            (&left.data_type, &right.data_type, to)
        else {
            return None;
        };
        // As wide as the result, so that nothing overflows; at the engine's limit of digits scales are cut.
        let exact = if operator == Operator::Multiply { *scale == s + t } else { scale == s.max(t) };
        if *p >= 38 || !exact {
            return None;
        }
        let [one, other] = [left, right].map(|term| {
            let DataType::Decimal128(_, scale) = term.data_type else { return None };
            nullable(&term.sql, &DataType::Decimal128(*p, scale))
        });
        Some(format!("({} {sign} {})", one?, other?))
    }

    fn cast(&self, term: &Term, to: &DataType) -> Option<String> {
        let wider = match (&term.data_type, to) {
            (from, DataType::Decimal128(p, s)) if from.is_integer() => {
                digits(from).is_some_and(|whole| i16::from(*p) - i16::from(*s) >= whole)
            }
            (DataType::Decimal128(p, s), DataType::Decimal128(q, t)) => {
                t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
            }
            (from, to) if from.is_signed_integer() && to.is_signed_integer() => {
                matches!((digits(from), digits(to)), (Some(from), Some(to)) if from <= to)
            }
            (from, DataType::Utf8) => from.is_integer(),
            _ => false,
        };
        nullable(&term.sql, to).filter(|_| wider && term.agrees > Agreement::Nothing)
    }

    fn like(&self, term: &Term, pattern: &Term) -> Option<String> {
        Some(format!("({} LIKE {})", term.sql, pattern.sql))
    }

    fn aggregate(&self, call: &AggregateCall<'_>) -> Option<String> {
        let filter = call.filter;
        let Some(argument) = call.argument else {
            let counts = call.function == "count" && !call.distinct;
            return counts.then(|| format!("CAST(count(){filter}, 'Int64')"));
        };
        let of = format!("toNullable({})", argument.sql);
        let agrees = argument.agrees;
        let sum = match (call.function, &argument.data_type, call.data_type) {
            ("count", ..) if !call.distinct => return Some(format!("CAST(count({of}){filter}, 'Int64')")),
            ("count", ..) if agrees >= Agreement::Equality => {
                return Some(format!("CAST(uniqExact({of}){filter}, 'Int64')"));
            }
            ("sum", from, DataType::Int64) => from.is_signed_integer(),
            ("sum", from, DataType::UInt64) => from.is_unsigned_integer(),
            ("sum", DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => from == to,
            ("min" | "max", from, to) => agrees == Agreement::Order && from == to,
            _ => false,
        };
        if !sum || agrees == Agreement::Nothing {
            return None;
        }
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        nullable(&format!("{}({distinct}{of}){filter}", call.function), call.data_type)
    }

    fn result(&self, term: &Term) -> Option<String> {
        match &term.data_type {
            // Spelled by a function that only a scan knows of.
            DataType::Utf8 if term.agrees == Agreement::Nothing => None,
            DataType::Binary => None,
            data_type => nullable(&term.sql, data_type),
        }
    }

    fn fits(&self, _: &str, _: &Term) -> Option<String> {
        None
    }

    fn prefers_in(&self) -> bool {
        true
    }

    fn joins_by_any(&self) -> bool {
        false
    }
}

/// Digits that values of an integer type may have.
fn digits(kind: &DataType) -> Option<i16> {
    Some(match kind {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn term(data_type: DataType) -> Term {
        Term { agrees: ClickHouseDialect.agrees(&data_type), sql: "x".into(), data_type }
    }

    #[test]
    fn values_are_never_text() {
        for (text, sent) in [
            ("'; DROP TABLE t; --", "'; DROP TABLE t; --"),
            (r"\' OR 1=1 --", r"\\' OR 1=1 --"),
            ("{v2:String}", "{v2:String}"),
            ("a\tb\nc\0", r"a\tb\nc\0"),
            (r"\N", r"\\N"),
        ] {
            let value = ScalarValue::Utf8(Some(text.to_owned()));
            assert_eq!(ClickHouseDialect.placeholder(3, &value).as_deref(), Some("{v3:String}"));
            assert_eq!(spelled(&value).as_deref(), Some(sent));
        }
        let long = ScalarValue::Utf8(Some("x".repeat(LONGEST_TEXT + 1)));
        assert_eq!(ClickHouseDialect.placeholder(1, &long), None);
        assert_eq!(ClickHouseDialect.placeholder(1, &ScalarValue::Float32(Some(0.5))), None);
        let null = ScalarValue::Date32(None);
        assert_eq!(ClickHouseDialect.placeholder(1, &null).as_deref(), Some("{v1:Nullable(Date32)}"));
        assert_eq!(spelled(&null).as_deref(), Some("\\N"));
    }

    #[test]
    fn instants_are_of_the_types_that_keep_them() {
        let at = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
        let shown = ClickHouseDialect.placeholder(1, &at(1)).unwrap();
        assert_eq!(shown, "{v1:DateTime64(6, 'UTC')}");
        assert_eq!(spelled(&at(1)).as_deref(), Some("1970-01-01 00:00:00.000001"));
        assert_eq!(ClickHouseDialect.placeholder(1, &at(i64::MAX)), None);
        assert_eq!(ClickHouseDialect.placeholder(1, &ScalarValue::Date32(Some(200_000))), None);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        assert_eq!(ClickHouseDialect.agrees(&nanos), Agreement::Nothing);
    }

    #[test]
    fn decimals_are_as_wide_as_their_result() {
        let (left, to) = (term(DataType::Decimal128(12, 2)), DataType::Decimal128(13, 2));
        let sum = ClickHouseDialect.arithmetic(&left, Operator::Plus, &left, &to).unwrap();
        assert_eq!(sum, "(CAST(x, 'Nullable(Decimal(13, 2))') + CAST(x, 'Nullable(Decimal(13, 2))'))");
        let cut = DataType::Decimal128(38, 4);
        assert_eq!(ClickHouseDialect.arithmetic(&left, Operator::Multiply, &left, &cut), None);
        let narrow = term(DataType::Int32);
        assert_eq!(ClickHouseDialect.arithmetic(&narrow, Operator::Plus, &narrow, &DataType::Int32), None);
    }

    #[test]
    fn casts_that_may_fail_are_the_engines() {
        let to = |from: DataType, to: DataType| ClickHouseDialect.cast(&term(from), &to);
        assert_eq!(to(DataType::Int32, DataType::Int64).as_deref(), Some("CAST(x, 'Nullable(Int64)')"));
        assert_eq!(to(DataType::Int64, DataType::Int32), None);
        assert_eq!(to(DataType::Utf8, DataType::Int64), None);
        assert_eq!(to(DataType::Int64, DataType::Decimal128(20, 2)), None);
    }
}
