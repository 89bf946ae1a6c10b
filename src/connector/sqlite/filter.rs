//! Filters of the SQL engine as SQLite's, where both mean exactly the same: otherwise the engine filters itself.
//!
//! Not translated: floating point (−0 and NaN order differently), decimals (text does not sort as numbers), LIKE (SQLite
//! ignores case), text in other collations than BINARY or kept as UTF-16, times in tables that we did not make (spelled in any way).

use arrow::datatypes::DataType;
use datafusion::{
    logical_expr::{BinaryExpr, Expr, Operator},
    scalar::ScalarValue,
};
use rusqlite::types::Value as Raw;

use super::{
    bind::spelled,
    name::quote,
    table::{Table, TableColumn},
    types::Affinity,
};

/// The condition and its parameters; `None` = SQLite would answer otherwise.
pub(super) fn translated(filter: &Expr, table: &Table) -> Option<(String, Vec<Raw>)> {
    let mut parameters = vec![];
    let sql = Translator { table, parameters: &mut parameters }.condition(filter)?;
    Some((sql, parameters))
}

struct Translator<'a> {
    table: &'a Table,
    parameters: &'a mut Vec<Raw>,
}

impl Translator<'_> {
    fn condition(&mut self, filter: &Expr) -> Option<String> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Some(format!("({left} {op} {right})"))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.comparison(left, *op, right),
            Expr::Not(inner) => Some(format!("(NOT {})", self.condition(inner)?)),
            Expr::IsNull(inner) => Some(format!("({} IS NULL)", quote(&self.any_column(inner)?.name))),
            Expr::IsNotNull(inner) => Some(format!("({} IS NOT NULL)", quote(&self.any_column(inner)?.name))),
            Expr::Between(between) => {
                let column = self.column(&between.expr)?.clone();
                let low = self.value(&column, &between.low)?;
                let high = self.value(&column, &between.high)?;
                self.parameters.extend([low, high]);
                let not = if between.negated { "NOT " } else { "" };
                Some(format!("({} {not}BETWEEN ? AND ?)", quote(&column.name)))
            }
            Expr::InList(list) => {
                let column = self.column(&list.expr)?.clone();
                let values: Vec<Raw> =
                    list.list.iter().map(|value| self.value(&column, value)).collect::<Option<_>>()?;
                let marks = vec!["?"; values.len()].join(", ");
                self.parameters.extend(values);
                let not = if list.negated { "NOT " } else { "" };
                Some(format!("({} {not}IN ({marks}))", quote(&column.name)))
            }
            Expr::Column(_) => {
                let column = self.column(filter)?;
                (column.data_type == DataType::Boolean).then(|| format!("({} = 1)", quote(&column.name)))
            }
            _ => None,
        }
    }

    fn comparison(&mut self, left: &Expr, operator: Operator, right: &Expr) -> Option<String> {
        let (column, operator, value) = match (left, right) {
            (Expr::Column(_), _) => (left, operator, right),
            (_, Expr::Column(_)) => (right, operator.swap()?, left),
            _ => return None,
        };
        let sign = match operator {
            Operator::Eq => "=",
            Operator::NotEq => "<>",
            Operator::Lt => "<",
            Operator::LtEq => "<=",
            Operator::Gt => ">",
            Operator::GtEq => ">=",
            _ => return None,
        };
        let column = self.column(column)?.clone();
        let value = self.value(&column, value)?;
        self.parameters.push(value);
        Some(format!("({} {sign} ?)", quote(&column.name)))
    }

    fn any_column(&self, expr: &Expr) -> Option<&TableColumn> {
        match expr {
            Expr::Column(column) => self.table.columns.iter().find(|found| found.name == column.name),
            _ => None,
        }
    }

    /// A column whose order and equality SQLite and the engine agree on.
    fn column(&self, expr: &Expr) -> Option<&TableColumn> {
        let column = self.any_column(expr)?;
        let binary = self.table.utf8 && column.collation.eq_ignore_ascii_case("binary");
        let agrees = match &column.data_type {
            DataType::Boolean => column.ours,
            DataType::UInt64 => false,
            found if found.is_integer() => column.affinity == Affinity::Integer,
            DataType::Utf8 => binary && column.affinity == Affinity::Text,
            DataType::Date32 => binary,
            DataType::Timestamp(_, _) => binary && column.ours,
            _ => false,
        };
        agrees.then_some(column)
    }

    /// A literal of the column's own type as the column keeps it.
    fn value(&self, column: &TableColumn, literal: &Expr) -> Option<Raw> {
        let Expr::Literal(value, _) = literal else {
            return None;
        };
        let same = match (value.data_type(), &column.data_type) {
            (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8) => true,
            (given, has) => given == *has,
        };
        if !same || value.is_null() {
            return None;
        }
        Some(match value {
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)) => Raw::Text(text.clone()),
            ScalarValue::Boolean(Some(value)) => Raw::Integer(i64::from(*value)),
            ScalarValue::Int8(Some(value)) => Raw::Integer((*value).into()),
            ScalarValue::Int16(Some(value)) => Raw::Integer((*value).into()),
            ScalarValue::Int32(Some(value)) => Raw::Integer((*value).into()),
            ScalarValue::Int64(Some(value)) => Raw::Integer(*value),
            ScalarValue::UInt8(Some(value)) => Raw::Integer((*value).into()),
            ScalarValue::UInt16(Some(value)) => Raw::Integer((*value).into()),
            ScalarValue::UInt32(Some(value)) => Raw::Integer((*value).into()),
            other => Raw::Text(spelled(&other.to_array().ok()?)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn table() -> Table {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let sql = r#"CREATE TABLE t (id INTEGER, "имя" TEXT, "Any" TEXT COLLATE NOCASE, price REAL, day DATE, at DATETIME, x)"#;
        connection.execute_batch(sql).unwrap();
        Table::find(&connection, "t").unwrap().unwrap()
    }

    fn sql(filter: &Expr) -> Option<String> {
        translated(filter, &table()).map(|(sql, _)| sql)
    }

    #[test]
    fn what_means_the_same_is_translated() {
        let id = || col("id");
        let cases = [
            (id().gt(lit(5_i64)), Some(r#"("id" > ?)"#)),
            (lit(5_i64).lt(id()), Some(r#"("id" > ?)"#)),
            (col(r#""имя""#).eq(lit("Ёж' OR 1=1 --")), Some(r#"("имя" = ?)"#)),
            (id().eq(lit(1_i64)).or(id().is_null()), Some(r#"(("id" = ?) OR ("id" IS NULL))"#)),
            (id().in_list(vec![lit(1_i64), lit(2_i64)], true), Some(r#"("id" NOT IN (?, ?))"#)),
            (id().between(lit(1_i64), lit(2_i64)), Some(r#"("id" BETWEEN ? AND ?)"#)),
            (col("day").gt_eq(lit(ScalarValue::Date32(Some(0)))), Some(r#"("day" >= ?)"#)),
            (id().eq(lit(1_i32)), None),
            (id().eq(lit(ScalarValue::Int64(None))), None),
            (col(r#""Any""#).eq(lit("a")), None),
            (col("price").gt(lit(0.0)), None),
            (col("x").eq(lit("a")), None),
            (col("at").gt(lit(ScalarValue::TimestampMicrosecond(Some(0), None))), None),
            (col(r#""имя""#).like(lit("a%")), None),
            (id().eq(lit(1_i64)).and(col("price").gt(lit(0.0))), None),
        ];
        for (filter, expected) in cases {
            assert_eq!(sql(&filter).as_deref(), expected, "{filter}");
        }
    }
}
