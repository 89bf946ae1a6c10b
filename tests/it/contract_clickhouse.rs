//! The contract, kept by a ClickHouse server: strangers write it with plain INSERTs.

use std::sync::Arc;

use arrow::{
    array::{Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use vitrina::connector::connection::Connection;

use crate::{
    contract::{Abilities, Harness, Reading, contract},
    support::clickhouse::{Place, quote},
};

struct ClickHouse(Place);

impl ClickHouse {
    fn new() -> Self {
        Self(Place::new())
    }
}

fn declared(name: &str, kind: &DataType) -> String {
    let kind = match kind {
        _ if name == "id" => "Int64",
        DataType::Int8 => "Nullable(Int8)",
        DataType::Int16 => "Nullable(Int16)",
        DataType::Int32 => "Nullable(Int32)",
        DataType::UInt64 => "Nullable(UInt64)",
        found if found.is_integer() => "Nullable(Int64)",
        DataType::Boolean => "Nullable(Bool)",
        DataType::Date32 => "Nullable(Date32)",
        DataType::Timestamp(_, None) => "Nullable(DateTime64(6, 'UTC')) COMMENT '(as timestamp)'",
        DataType::Timestamp(_, Some(_)) => "Nullable(DateTime64(6, 'Europe/Moscow'))",
        DataType::Decimal128(p, s) => return format!("{} Nullable(Decimal({p}, {s}))", quote(name)),
        _ => "Nullable(String)",
    };
    format!("{} {kind}", quote(name))
}

/// A cell as a program in another language would write it.
fn cell(column: &dyn Array, row: usize) -> String {
    let text = match column.data_type() {
        _ if column.is_null(row) => return "NULL".to_owned(),
        DataType::Timestamp(_, _) => {
            let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            let format = FormatOptions::new().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"));
            let text = ArrayFormatter::try_new(&micros, &format).unwrap().value(row).to_string();
            return format!("toDateTime64('{text}', 6, 'UTC')");
        }
        _ => ArrayFormatter::try_new(column, &FormatOptions::new()).unwrap().value(row).to_string(),
    };
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[async_trait]
impl Harness for ClickHouse {
    fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::all();
        abilities.readings.retain(|reading| *reading != Reading::Log);
        abilities.years = 1900..=2299;
        abilities
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.0.open()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        let (fields, table) = (rows.schema_ref().fields(), self.0.table(table));
        let columns: Vec<String> =
            fields.iter().map(|field| declared(field.name(), field.data_type())).collect();
        let order = if fields.iter().any(|field| field.name() == "id") { "id" } else { "tuple()" };
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} ({}) ENGINE = MergeTree ORDER BY {order}",
            columns.join(", ")
        );
        self.0.run(&create);
        for column in &columns {
            self.0.run(&format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}"));
        }
        let names: Vec<String> = fields.iter().map(|field| quote(field.name())).collect();
        let row = |row: usize| {
            let cells: Vec<String> = rows.columns().iter().map(|column| cell(column.as_ref(), row)).collect();
            format!("({})", cells.join(", "))
        };
        let values: Vec<String> = (0..rows.num_rows()).map(row).collect();
        if !values.is_empty() {
            self.0.run(&format!("INSERT INTO {table} ({}) VALUES {}", names.join(", "), values.join(", ")));
        }
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        self.0.run(&format!("DELETE FROM {} WHERE id IN ({})", self.0.table(table), ids.join(", ")));
    }

    async fn drop_table(&self, table: &str) {
        self.0.run(&format!("DROP TABLE {}", self.0.table(table)));
    }

    async fn leftovers(&self) -> Vec<String> {
        let database = &self.0.config.database;
        let sql = format!(
            "SELECT name FROM system.tables WHERE database = '{database}' AND startsWith(name, '_vitrina') AND name <> '_vitrina_records'"
        );
        self.0.run(&sql).lines().map(str::to_owned).collect()
    }
}

contract!(ClickHouse);
