//! Filters of the SQL engine as ClickHouse's, where both mean exactly the same: otherwise the engine filters itself.
//!
//! Not translated: floating point (NaN orders differently), LIKE, types that are read as the server spells them. `IN` becomes comparisons:
//! the server's takes NULL for a value that is in no set.

use arrow::datatypes::DataType;
use datafusion::{
    logical_expr::{BinaryExpr, Expr, Operator},
    scalar::ScalarValue,
};

use super::{
    name::{literal, quote},
    table::{Table, TableColumn},
};
use crate::model::{time::date_from_days, value::Value};

/// Values of a list that are compared one by one.
const LONGEST_LIST: usize = 64;

/// What stands for values in a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Themselves: what is sent.
    Literals,
    /// Placeholders: what people are shown.
    Marks,
}

/// The condition; `None` = ClickHouse would answer otherwise.
pub(super) fn translated(filter: &Expr, table: &Table, values: Values) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            Some(format!("({} {op} {})", translated(left, table, values)?, translated(right, table, values)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => comparison(table, left, *op, right, values),
        Expr::Not(inner) => Some(format!("(NOT {})", translated(inner, table, values)?)),
        Expr::IsNull(inner) => Some(format!("({} IS NULL)", quote(&any_column(table, inner)?.name))),
        Expr::IsNotNull(inner) => Some(format!("({} IS NOT NULL)", quote(&any_column(table, inner)?.name))),
        Expr::Between(between) => {
            let column = column(table, &between.expr)?;
            let (low, high) = (value(column, &between.low, values)?, value(column, &between.high, values)?);
            let (not, name) = (if between.negated { "NOT " } else { "" }, quote(&column.name));
            Some(format!("({not}({name} >= {low} AND {name} <= {high}))"))
        }
        Expr::InList(list) if !list.list.is_empty() && list.list.len() <= LONGEST_LIST => {
            let column = column(table, &list.expr)?;
            let name = quote(&column.name);
            let equal =
                list.list.iter().map(|item| Some(format!("{name} = {}", value(column, item, values)?)));
            let equal: Vec<String> = equal.collect::<Option<_>>()?;
            let not = if list.negated { "NOT " } else { "" };
            Some(format!("({not}({}))", equal.join(" OR ")))
        }
        Expr::Column(_) => {
            let column = column(table, filter)?;
            (column.kind.arrow() == Some(DataType::Boolean)).then(|| quote(&column.name))
        }
        _ => None,
    }
}

fn comparison(
    table: &Table,
    left: &Expr,
    operator: Operator,
    right: &Expr,
    values: Values,
) -> Option<String> {
    let (found, operator, given) = match (left, right) {
        (Expr::Column(_), _) => (left, operator, right),
        (_, Expr::Column(_)) => (right, operator.swap()?, left),
        _ => return None,
    };
    let column = column(table, found)?;
    let given = value(column, given, values)?;
    let sign = match operator {
        Operator::Eq => "=",
        Operator::NotEq => "<>",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    };
    Some(format!("({} {sign} {given})", quote(&column.name)))
}

fn any_column<'t>(table: &'t Table, expr: &Expr) -> Option<&'t TableColumn> {
    match expr {
        Expr::Column(column) => table.column(&column.name),
        _ => None,
    }
}

/// A column whose order and equality the server and the engine agree on.
fn column<'t>(table: &'t Table, expr: &Expr) -> Option<&'t TableColumn> {
    let column = any_column(table, expr)?;
    let agrees = match column.kind.arrow()? {
        DataType::Boolean | DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..) => true,
        DataType::Utf8 => column.kind.spelled == "String",
        other => other.is_integer(),
    };
    agrees.then_some(column)
}

/// A literal of the column's own type in SQL.
fn value(column: &TableColumn, given: &Expr, values: Values) -> Option<String> {
    let Expr::Literal(given, _) = given else { return None };
    let has = column.kind.arrow()?;
    let same = match (given.data_type(), &has) {
        (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8) => true,
        (DataType::Timestamp(a, x), DataType::Timestamp(b, y)) => a == *b && x.is_some() == y.is_some(),
        (given, has) => given == *has,
    };
    if !same {
        return None;
    }
    let inside = |at: i64| column.kind.range().is_none_or(|(first, last)| (first..=last).contains(&at));
    let instant = |ticks: i64, per_second: i64| {
        if inside(ticks.div_euclid(per_second)) { column.kind.instant(ticks) } else { None }
    };
    let spelled = match given {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => literal(text),
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        ScalarValue::Date32(Some(days)) if inside(i64::from(*days)) => {
            format!("toDate32({})", literal(&date_from_days(*days).to_string()))
        }
        ScalarValue::TimestampSecond(Some(ticks), _) => instant(*ticks, 1)?,
        ScalarValue::TimestampMillisecond(Some(ticks), _) => instant(*ticks, 1_000)?,
        ScalarValue::TimestampMicrosecond(Some(ticks), _) => instant(*ticks, 1_000_000)?,
        ScalarValue::TimestampNanosecond(Some(ticks), _) => instant(*ticks, 1_000_000_000)?,
        ScalarValue::Decimal128(Some(unscaled), precision, scale) => {
            let text = Value::Decimal { unscaled: *unscaled, scale: *scale }.to_string();
            format!("CAST({}, 'Decimal({precision}, {scale})')", literal(&text))
        }
        integer if has.is_integer() && !integer.is_null() => {
            format!("CAST({}, {})", literal(&integer.to_string()), literal(&column.kind.spelled))
        }
        _ => return None,
    };
    Some(match values {
        Values::Literals => spelled,
        Values::Marks => "?".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::connector::clickhouse::types::Kind;

    fn column(name: &str, declared: &str) -> TableColumn {
        TableColumn {
            name: name.into(),
            kind: Kind::of(declared, ""),
            declared: declared.into(),
            fills_itself: false,
            computed: false,
            sorts: false,
        }
    }

    fn table() -> Table {
        let columns = vec![
            column("id", "Int64"),
            column("имя", "Nullable(String)"),
            column("price", "Float64"),
            column("amount", "Decimal(12, 2)"),
            column("day", "Date"),
            column("key", "UUID"),
            column("at", "DateTime64(6, 'UTC')"),
        ];
        let (database, name, engine) = ("d".into(), "t".into(), "MergeTree".into());
        let (uuid, comment) = (String::new(), String::new());
        Table { database, name, engine, uuid, comment, feeds_views: false, rows: None, columns }
    }

    #[test]
    fn what_means_the_same_is_translated() {
        let id = || col("id");
        let at = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        let cases = [
            (id().gt(lit(5_i64)), Some("(`id` > CAST('5', 'Int64'))")),
            (lit(5_i64).lt(id()), Some("(`id` > CAST('5', 'Int64'))")),
            (col(r#""имя""#).eq(lit("Ёж' OR 1=1 --")), Some(r"(`имя` = 'Ёж\' OR 1=1 --')")),
            (col(r#""имя""#).eq(lit("\\' OR 1=1 --")), Some(r"(`имя` = '\\\' OR 1=1 --')")),
            (col(r#""имя""#).eq(lit("a\0b")), Some(r"(`имя` = 'a\0b')")),
            (
                id().in_list(vec![lit(1_i64), lit(2_i64)], true),
                Some("(NOT (`id` = CAST('1', 'Int64') OR `id` = CAST('2', 'Int64')))"),
            ),
            (col("day").gt_eq(lit(ScalarValue::Date32(Some(0)))), Some("(`day` >= toDate32('1970-01-01'))")),
            (col("day").gt_eq(lit(ScalarValue::Date32(Some(-1)))), None),
            (col("at").lt(at(1)), Some("(`at` < fromUnixTimestamp64Micro(toInt64(1), 'UTC'))")),
            (col("at").lt(at(i64::MAX)), None),
            (
                col("amount").gt(lit(ScalarValue::Decimal128(Some(-5), 12, 2))),
                Some("(`amount` > CAST('-0.05', 'Decimal(12, 2)'))"),
            ),
            (id().eq(lit(1_i32)), None),
            (id().eq(lit(ScalarValue::Int64(None))), None),
            (col("price").gt(lit(0.0)), None),
            (col("key").eq(lit("a")), None),
            (col(r#""имя""#).like(lit("a%")), None),
        ];
        for (filter, expected) in cases {
            assert_eq!(translated(&filter, &table(), Values::Literals).as_deref(), expected, "{filter}");
            let shown = translated(&filter, &table(), Values::Marks);
            assert_eq!(shown.is_some(), expected.is_some(), "{filter}");
            assert!(shown.is_none_or(|shown| !shown.contains('\'')), "{filter}");
        }
    }
}
