//! Filters of the SQL engine as PostgreSQL's, where both mean exactly the same: otherwise the engine filters itself.
//!
//! Not translated: floating point (−0 and NaN order differently), LIKE, texts that are filled up with spaces or whose collation makes
//! different texts equal, types that are read as the server spells them. Texts are ordered by their bytes, as the engine does.

use arrow::datatypes::DataType;
use datafusion::{
    logical_expr::{BinaryExpr, Expr, Operator},
    scalar::ScalarValue,
};

use super::{
    name::{literal, quote},
    table::{Table, TableColumn},
    types::Kind,
};
use crate::model::{
    time::{date_from_days, format_ticks},
    value::{Tick, Value},
};

/// What stands for values in a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// Themselves: what is sent.
    Literals,
    /// Placeholders: what people are shown.
    Marks,
}

/// The condition; `None` = PostgreSQL would answer otherwise.
pub(crate) fn translated(filter: &Expr, table: &Table, values: Values) -> Option<String> {
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
            let not = if between.negated { "NOT " } else { "" };
            Some(format!("({} {not}BETWEEN {low} AND {high})", ordered(table, column)?))
        }
        Expr::InList(list) => {
            let column = column(table, &list.expr)?;
            let items = list.list.iter().map(|item| value(column, item, values));
            let items: Vec<String> = items.collect::<Option<_>>()?;
            let not = if list.negated { "NOT " } else { "" };
            (!items.is_empty()).then(|| format!("({} {not}IN ({}))", quote(&column.name), items.join(", ")))
        }
        Expr::Column(_) => {
            let column = column(table, filter)?;
            (column.kind == Kind::Bool).then(|| quote(&column.name))
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
    let name = match operator {
        Operator::Eq | Operator::NotEq => quote(&column.name),
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => ordered(table, column)?,
        _ => return None,
    };
    let sign = if operator == Operator::NotEq { "<>".to_owned() } else { operator.to_string() };
    Some(format!("({name} {sign} {given})"))
}

/// A column where its order counts; `None` = the server has another one.
fn ordered(table: &Table, column: &TableColumn) -> Option<String> {
    let text = column.kind == Kind::Text;
    let collate = if text && !column.bytewise { " COLLATE \"C\"" } else { "" };
    (!text || table.utf8).then(|| format!("{}{collate}", quote(&column.name)))
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
    let agrees = match column.kind {
        Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Date | Kind::Timestamp { .. } => true,
        Kind::Numeric(Some((p, _))) => p <= 38,
        Kind::Text => column.deterministic && !column.padded,
        _ => false,
    };
    agrees.then_some(column)
}

/// A literal of the column's own type in SQL.
fn value(column: &TableColumn, given: &Expr, values: Values) -> Option<String> {
    let Expr::Literal(given, _) = given else {
        return None;
    };
    let same = match (given.data_type(), column.kind.arrow()) {
        (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8) => true,
        (given, has) => given == has,
    };
    if !same {
        return None;
    }
    let (text, cast) = match given {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => {
            // No text of the server has a NUL, and none can be sent.
            (Some(text.clone()).filter(|text| !text.contains('\0'))?, "text")
        }
        ScalarValue::Boolean(Some(value)) => (value.to_string(), "boolean"),
        ScalarValue::Int16(Some(value)) => (value.to_string(), "smallint"),
        ScalarValue::Int32(Some(value)) => (value.to_string(), "integer"),
        ScalarValue::Int64(Some(value)) => (value.to_string(), "bigint"),
        ScalarValue::Date32(Some(days)) => (date_from_days(*days).to_string(), "date"),
        ScalarValue::TimestampSecond(Some(ticks), zone) => at(*ticks, Tick::S, zone.is_some()),
        ScalarValue::TimestampMillisecond(Some(ticks), zone) => at(*ticks, Tick::Ms, zone.is_some()),
        ScalarValue::TimestampMicrosecond(Some(ticks), zone) => at(*ticks, Tick::Us, zone.is_some()),
        ScalarValue::Decimal128(Some(unscaled), _, scale) => {
            (Value::Decimal { unscaled: *unscaled, scale: *scale }.to_string(), "numeric")
        }
        _ => return None,
    };
    // Years that are not four digits are spelled otherwise by the server.
    let dated = matches!(column.kind, Kind::Date | Kind::Timestamp { .. });
    if dated && !(text.len() >= 10 && text.as_bytes()[4] == b'-') {
        return None;
    }
    Some(match values {
        Values::Literals => format!("{}::{cast}", literal(&text)),
        Values::Marks => "?".to_owned(),
    })
}

fn at(ticks: i64, unit: Tick, utc: bool) -> (String, &'static str) {
    (format_ticks(ticks, unit, false), if utc { "timestamptz" } else { "timestamp" })
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn column(name: &str, kind: Kind, declared: &str) -> TableColumn {
        TableColumn {
            name: name.into(),
            kind,
            declared: declared.into(),
            not_null: false,
            fills_itself: false,
            generated: false,
            primary: false,
            padded: declared == "character(5)",
            bytewise: false,
            deterministic: declared != "loose",
        }
    }

    fn table() -> Table {
        let columns = vec![
            column("id", Kind::Int8, "bigint"),
            column("имя", Kind::Text, "text"),
            column("padded", Kind::Text, "character(5)"),
            column("loose", Kind::Text, "loose"),
            column("price", Kind::Float8, "double precision"),
            column("amount", Kind::Numeric(Some((12, 2))), "numeric(12,2)"),
            column("day", Kind::Date, "date"),
            column("key", Kind::Other, "uuid"),
        ];
        Table {
            schema: "public".into(),
            name: "t".into(),
            columns,
            row_place: Some("ctid"),
            takes_copy: true,
            utf8: true,
            oid: 1,
        }
    }

    #[test]
    fn what_means_the_same_is_translated() {
        let id = || col("id");
        let cases = [
            (id().gt(lit(5_i64)), Some(r#"("id" > '5'::bigint)"#)),
            (lit(5_i64).lt(id()), Some(r#"("id" > '5'::bigint)"#)),
            (col(r#""имя""#).eq(lit("Ёж' OR 1=1 --")), Some(r#"("имя" = 'Ёж'' OR 1=1 --'::text)"#)),
            (col(r#""имя""#).lt(lit("я")), Some(r#"("имя" COLLATE "C" < 'я'::text)"#)),
            (col(r#""имя""#).eq(lit("\\' OR 1=1 --")), Some(r#"("имя" = '\'' OR 1=1 --'::text)"#)),
            (col(r#""имя""#).eq(lit("a\0b")), None),
            (id().eq(lit(1_i64)).or(id().is_null()), Some(r#"(("id" = '1'::bigint) OR ("id" IS NULL))"#)),
            (id().in_list(vec![lit(1_i64)], true), Some(r#"("id" NOT IN ('1'::bigint))"#)),
            (id().between(lit(1_i64), lit(2_i64)), Some(r#"("id" BETWEEN '1'::bigint AND '2'::bigint)"#)),
            (col("day").gt_eq(lit(ScalarValue::Date32(Some(0)))), Some(r#"("day" >= '1970-01-01'::date)"#)),
            (col("day").gt_eq(lit(ScalarValue::Date32(Some(9_000_000)))), None),
            (
                col("amount").gt(lit(ScalarValue::Decimal128(Some(-5), 12, 2))),
                Some(r#"("amount" > '-0.05'::numeric)"#),
            ),
            (id().eq(lit(1_i32)), None),
            (id().eq(lit(ScalarValue::Int64(None))), None),
            (col("padded").eq(lit("a")), None),
            (col("loose").eq(lit("a")), None),
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

    /// Where texts are not kept as UTF-8, their bytes have another order.
    #[test]
    fn other_encodings_have_other_orders() {
        let other = Table { utf8: false, ..table() };
        let told = |filter: Expr| translated(&filter, &other, Values::Literals);
        assert_eq!(told(col(r#""имя""#).lt(lit("я"))), None);
        assert_eq!(told(col(r#""имя""#).between(lit("а"), lit("я"))), None);
        assert!(told(col(r#""имя""#).eq(lit("я"))).is_some());
        assert!(told(col("id").lt(lit(5_i64))).is_some());
    }
}
