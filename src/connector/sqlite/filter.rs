//! Filters of the SQL engine as SQLite's.
//!
//! Not translated: floating point (−0 and NaN order differently), decimals (text does not sort as numbers), text in other collations than BINARY or kept as
//! UTF-16, times in tables that we did not make (spelled in any way).

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use rusqlite::types::Value as Raw;

use super::{
    bind::spelled,
    name::quote,
    table::{Table, TableColumn},
    types::Affinity,
};
use crate::connector::filter::Filtered;

impl Filtered for Table {
    type Column = TableColumn;
    type Value = Raw;

    fn column(&self, name: &str) -> Option<&TableColumn> {
        self.column(name)
    }

    fn name(&self, column: &TableColumn) -> String {
        quote(&column.name)
    }

    fn agreed(&self, column: &TableColumn) -> Option<DataType> {
        let binary = self.utf8 && column.collation.eq_ignore_ascii_case("binary");
        let agrees = match &column.data_type {
            DataType::Boolean => column.ours,
            DataType::UInt64 => false,
            found if found.is_integer() => column.affinity == Affinity::Integer,
            DataType::Utf8 => binary && column.affinity == Affinity::Text,
            DataType::Date32 => binary,
            DataType::Timestamp(_, _) => binary && column.ours,
            _ => false,
        };
        agrees.then(|| column.data_type.clone())
    }

    fn holds(&self, column: &TableColumn) -> String {
        format!("({} = 1)", quote(&column.name))
    }

    fn value(&self, _: &TableColumn, given: &ScalarValue) -> Option<Raw> {
        Some(match given {
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
    use datafusion::{
        logical_expr::Expr,
        prelude::{col, lit},
    };

    use super::*;
    use crate::connector::filter::translated;

    fn table() -> Table {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let sql = r#"CREATE TABLE t (id INTEGER, "имя" TEXT, "Any" TEXT COLLATE NOCASE, price REAL, day DATE, at DATETIME, x)"#;
        connection.execute_batch(sql).unwrap();
        Table::find(&connection, "t").unwrap().unwrap()
    }

    fn sql(filter: &Expr) -> Option<String> {
        translated(filter, &table(), |_| "?".to_owned())
    }

    #[test]
    fn what_means_the_same_is_translated() {
        let id = || col("id");
        let cases = [
            (id().gt(lit(5_i64)), Some(r#"("id" > ?)"#)),
            (lit(5_i64).lt(id()), Some(r#"("id" > ?)"#)),
            (col(r#""имя""#).eq(lit("Ёж' OR 1=1 --")), Some(r#"("имя" = ?)"#)),
            (id().eq(lit(1_i64)).or(id().is_null()), Some(r#"(("id" = ?) OR ("id" IS NULL))"#)),
            (id().in_list(vec![lit(1_i64), lit(2_i64)], true), Some(r#"(NOT ("id" IN (?, ?)))"#)),
            (id().between(lit(1_i64), lit(2_i64)), Some(r#"("id" >= ? AND "id" <= ?)"#)),
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
