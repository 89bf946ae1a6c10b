//! The contract, kept by a PostgreSQL server: strangers write it with plain INSERTs.

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
        postgres::{Place, quote},
        sql::{plain, tuples},
    },
};

pub(crate) struct Postgres {
    pub(crate) place: Place,
}

impl Postgres {
    pub(crate) fn new() -> Self {
        Self { place: Place::new() }
    }
}

fn declared(name: &str, kind: &DataType) -> String {
    let kind = match kind {
        _ if name == "id" => "bigint PRIMARY KEY",
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::UInt64 => "numeric(20,0)",
        found if found.is_integer() => "bigint",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Decimal128(p, s) => return format!("{} numeric({p},{s})", quote(name)),
        _ => "text",
    };
    format!("{} {kind}", quote(name))
}

fn cell(column: &dyn Array, row: usize) -> String {
    plain(column, row).map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

#[async_trait]
impl Harness for Postgres {
    fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::all();
        abilities.readings.retain(|reading| *reading != Reading::Log);
        abilities.refused_types = vec!["timestamp(ns)", "timestamp(ns, UTC)"];
        abilities.nul_in_text = false;
        abilities
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.place.open()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        let fields = rows.schema_ref().fields();
        let columns: Vec<String> =
            fields.iter().map(|field| declared(field.name(), field.data_type())).collect();
        let mut statements = vec![
            "BEGIN".to_owned(),
            format!("CREATE TABLE IF NOT EXISTS {} ({})", quote(table), columns.join(", ")),
        ];
        statements.extend(columns.iter().map(|column| {
            let column = column.replace(" PRIMARY KEY", "");
            format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {column}", quote(table))
        }));
        let names: Vec<String> = fields.iter().map(|field| quote(field.name())).collect();
        let values = tuples(rows, cell);
        if !values.is_empty() {
            let (table, names) = (quote(table), names.join(", "));
            statements.push(format!("INSERT INTO {table} ({names}) VALUES {}", values.join(", ")));
        }
        statements.push("COMMIT".to_owned());
        self.place.run(&statements.join("; ")).await;
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        self.place.run(&format!("DELETE FROM {} WHERE id IN ({})", quote(table), ids.join(", "))).await;
    }

    async fn drop_table(&self, table: &str) {
        self.place.run(&format!("DROP TABLE {}", quote(table))).await;
    }

    async fn leftovers(&self) -> Vec<String> {
        let sql = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() \
                   AND c.relkind = 'r' AND c.relname LIKE '\\_vitrina%' AND c.relname <> '_vitrina_records'";
        let rows = self.place.stranger().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

contract!(Postgres);
