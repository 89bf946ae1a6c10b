//! The contract, kept by a ClickHouse server: strangers write it with plain INSERTs.

use std::sync::Arc;

use arrow::{
    array::{Array, RecordBatch},
    datatypes::DataType,
};
use async_trait::async_trait;
use vitrina::connector::connection::Connection;

use crate::{
    contract::{Abilities, Harness, Reading, contract},
    support::{
        clickhouse::{Place, quote},
        sql::{plain, tuples},
    },
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

fn cell(column: &dyn Array, row: usize) -> String {
    match plain(column, row) {
        None => "NULL".to_owned(),
        Some(text) if matches!(column.data_type(), DataType::Timestamp(..)) => {
            format!("toDateTime64('{text}', 6, 'UTC')")
        }
        Some(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
    }
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
        let values = tuples(rows, cell);
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
