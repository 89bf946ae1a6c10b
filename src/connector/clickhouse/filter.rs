//! Filters of the SQL engine as ClickHouse's.
//!
//! Not translated: floating point (NaN orders differently), types that are read as the server spells them. `IN` becomes comparisons: the server's takes NULL for
//! a value that is in no set.

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::{
    name::{literal, quote},
    table::{Table, TableColumn},
};
use crate::{
    connector::filter::Filtered,
    model::{time::date_from_days, value::Value},
};

/// Values of a list that are compared one by one.
const LONGEST_LIST: usize = 64;

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
        let has = column.kind.arrow()?;
        let agrees = match &has {
            DataType::Boolean | DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..) => true,
            DataType::Utf8 => column.kind.spelled == "String",
            other => other.is_integer(),
        };
        agrees.then_some(has)
    }

    fn value(&self, column: &TableColumn, given: &ScalarValue) -> Option<String> {
        let inside = |at: i64| column.kind.range().is_none_or(|(first, last)| (first..=last).contains(&at));
        let instant = |ticks: i64, per_second: i64| {
            if inside(ticks.div_euclid(per_second)) { column.kind.instant(ticks) } else { None }
        };
        Some(match given {
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
            integer if integer.data_type().is_integer() => {
                format!("CAST({}, {})", literal(&integer.to_string()), literal(&column.kind.spelled))
            }
            _ => return None,
        })
    }

    fn listed(&self, name: &str, items: &[String]) -> Option<String> {
        let equal = || items.iter().map(|item| format!("{name} = {item}")).collect::<Vec<_>>().join(" OR ");
        (items.len() <= LONGEST_LIST).then(equal)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;
    use crate::connector::filter::tests::assert_translated;

    fn table() -> Table {
        let columns = [
            ("id", "Int64"),
            ("имя", "Nullable(String)"),
            ("price", "Float64"),
            ("amount", "Decimal(12, 2)"),
            ("day", "Date"),
            ("key", "UUID"),
            ("at", "DateTime64(6, 'UTC')"),
        ];
        let columns = columns.map(|(name, declared)| TableColumn::plain(name, declared)).into();
        let (database, name, engine) = ("d".into(), "t".into(), "MergeTree".into());
        Table { database, name, engine, columns, ..Table::default() }
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
        assert_translated(&table(), cases);
    }
}
