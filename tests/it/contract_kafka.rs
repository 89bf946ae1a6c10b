//! The contract, kept by topics of a real Kafka: strangers write them with a client of their own.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use vitrina::{connector::connection::Connection, model::delivery::Mode};

use crate::{
    contract::{Abilities, Harness, Reading, contract},
    support::kafka::Cluster,
};

struct Kafka(Cluster);

impl Kafka {
    fn new() -> Self {
        Self(Cluster::new())
    }
}

/// A cell as a program in another language would write it.
fn cell(column: &dyn Array, row: usize) -> Json {
    match column.data_type() {
        _ if column.is_null(row) => Json::Null,
        found if found.is_integer() => {
            cast(column, &DataType::Int64).unwrap().as_primitive::<Int64Type>().value(row).into()
        }
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Timestamp(_, zone) => {
            let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            let format = FormatOptions::new().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f"));
            let text = ArrayFormatter::try_new(&micros, &format).unwrap().value(row).to_string();
            if zone.is_some() { format!("{text}Z").into() } else { text.into() }
        }
        _ => ArrayFormatter::try_new(column, &FormatOptions::new()).unwrap().value(row).to_string().into(),
    }
}

#[async_trait]
impl Harness for Kafka {
    fn abilities(&self) -> Abilities {
        Abilities {
            readings: vec![Reading::Log],
            cursors: vec![],
            modes: vec![Mode::Append],
            checks: false,
            any_name: false,
            ..Abilities::all()
        }
    }

    fn open(&self) -> Arc<dyn Connection> {
        self.0.open()
    }

    async fn insert(&self, _: Reading, table: &str, rows: &RecordBatch) {
        if !self.0.topics().contains(&table.to_owned()) {
            self.0.create(table, 1, &[]);
        }
        let names = rows.schema_ref().fields().iter().map(|field| field.name());
        let object = |row| {
            let cells =
                names.clone().zip(rows.columns()).map(|(name, column)| (name.clone(), cell(column, row)));
            Json::Object(cells.collect::<Map<_, _>>()).to_string()
        };
        let messages: Vec<String> = (0..rows.num_rows()).map(object).collect();
        self.0.write(table, 0, &messages.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// A log loses its newest messages only by being made again without them.
    async fn delete(&self, table: &str, ids: &[i64]) {
        let mut kept: Vec<String> = self.0.messages(table).into_iter().map(|(_, _, text)| text).collect();
        kept.retain(|text| !ids.iter().any(|id| text.contains(&format!("\"id\":{id},"))));
        self.drop_table(table).await;
        self.0.create(table, 1, &[]);
        self.0.write(table, 0, &kept.iter().map(String::as_str).collect::<Vec<_>>());
    }

    async fn drop_table(&self, table: &str) {
        self.0.drop_topic(table);
    }

    async fn leftovers(&self) -> Vec<String> {
        let scratch = std::fs::read_dir(self.0.root.path().join("scratch")).into_iter().flatten();
        let files = scratch.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let topics =
            self.0.topics().into_iter().filter(|name| name.starts_with('_') && name != "_vitrina_records");
        files.chain(topics).collect()
    }
}

contract!(Kafka);
