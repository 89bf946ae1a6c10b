//! Filters of the SQL engine as PostgreSQL's.
//!
//! Not translated: floating point (−0 and NaN order differently), texts that are filled up with spaces or whose collation makes different texts equal, types that
//! are read as the server spells them. Texts are ordered by their bytes, as the engine does.

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::{
    name::{literal, quote},
    table::{Table, TableColumn},
    types::Kind,
};
use crate::{
    connector::filter::Filtered,
    model::{
        time::{date_from_days, format_ticks},
        value::{Tick, Value},
    },
};

impl Filtered for Table {
    type Column = TableColumn;
    type Value = String;

    fn column(&self, name: &str) -> Option<&TableColumn> {
        self.column(name)
    }

    fn name(&self, column: &TableColumn) -> String {
        quote(&column.name)
    }

    fn agreed(&self, column: &TableColumn) -> Option<DataType> {
        let agrees = match column.kind {
            Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Date | Kind::Timestamp { .. } => true,
            Kind::Numeric(Some((p, _))) => p <= 38,
            Kind::Text => column.deterministic && !column.padded,
            _ => false,
        };
        agrees.then(|| column.kind.arrow())
    }

    fn ordered(&self, column: &TableColumn) -> Option<String> {
        let text = column.kind == Kind::Text;
        let collate = if text && !column.bytewise { " COLLATE \"C\"" } else { "" };
        (!text || self.utf8).then(|| format!("{}{collate}", quote(&column.name)))
    }

    fn value(&self, column: &TableColumn, given: &ScalarValue) -> Option<String> {
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
        Some(format!("{}::{cast}", literal(&text)))
    }
}

fn at(ticks: i64, unit: Tick, utc: bool) -> (String, &'static str) {
    (format_ticks(ticks, unit, false), if utc { "timestamptz" } else { "timestamp" })
}

#[cfg(test)]
mod tests {
    use datafusion::{
        logical_expr::Expr,
        prelude::{col, lit},
    };

    use super::*;
    use crate::connector::filter::{tests::assert_translated, translated};

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
            (id().in_list(vec![lit(1_i64)], true), Some(r#"(NOT ("id" IN ('1'::bigint)))"#)),
            (id().between(lit(1_i64), lit(2_i64)), Some(r#"("id" >= '1'::bigint AND "id" <= '2'::bigint)"#)),
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
        assert_translated(&table(), cases);
    }

    /// Where texts are not kept as UTF-8, their bytes have another order.
    #[test]
    fn other_encodings_have_other_orders() {
        let other = Table { utf8: false, ..table() };
        let told = |filter: Expr| translated(&filter, &other, |value| value);
        assert_eq!(told(col(r#""имя""#).lt(lit("я"))), None);
        assert_eq!(told(col(r#""имя""#).between(lit("а"), lit("я"))), None);
        assert!(told(col(r#""имя""#).eq(lit("я"))).is_some());
        assert!(told(col("id").lt(lit(5_i64))).is_some());
    }
}
