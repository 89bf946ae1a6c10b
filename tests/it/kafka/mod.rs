//! What is Kafka's own: marks and gaps between messages, partitions, retention, owners that are shut out, security.

mod faults;
mod formats;
mod group;
mod many;
mod protobuf;
mod reading;
mod registry;
mod security;
mod slices;
mod writing;

use std::sync::Arc;

use arrow::{datatypes::DataType, record_batch::RecordBatch};
use vitrina::{
    connector::{
        connection::Connection,
        error::Result,
        sink::{Committed, SinkSpec},
        source::Source,
    },
    model::{
        delivery::Mode,
        position::Position,
        unit::{SliceLimit, Unit},
    },
};

use crate::{
    contract::{reading as looks, writing as hands},
    support::{
        kafka::Cluster,
        rows::{batch, ids, ints},
        specs,
    },
};

/// A source of the column `id` over a new connection.
async fn source(cluster: &Cluster, table: &str) -> Arc<dyn Source> {
    source_of(cluster.open().as_ref(), table).await
}

/// The same over this one.
async fn source_of(connection: &dyn Connection, table: &str) -> Arc<dyn Source> {
    connection.source(&specs::source(table, &batch(vec![("id", ints([]))]))).await.unwrap()
}

/// Messages `{"id":…}`.
fn messages(ids: impl IntoIterator<Item = i64>) -> Vec<String> {
    ids.into_iter().map(|id| format!("{{\"id\":{id}}}")).collect()
}

fn as_str(messages: &[String]) -> Vec<&str> {
    messages.iter().map(String::as_str).collect()
}

/// Units from a position to the head of this moment, and what is in each.
async fn everything(source: &dyn Source, from: Option<&Position>, most: u64) -> (Vec<Unit>, Vec<i64>) {
    let head = source.head().await.unwrap();
    let limit = SliceLimit { rows: most, ..looks::WIDE };
    let units = looks::plan_all(source, from, &head, limit).await;
    let held = looks::read_all(source, &units).await;
    (units, held.iter().flat_map(|held| ids(&held.batch)).collect())
}

/// Writes one unit over a new connection.
async fn write(cluster: &Cluster, spec: &SinkSpec, at: i64, rows: &RecordBatch) -> Result<Committed> {
    let connection: Arc<dyn Connection> = cluster.open();
    let sink = connection.sink(spec).await?;
    let unit = specs::unit(Mode::Append, at, rows);
    hands::stage(sink.as_ref(), &specs::track("mrf1"), &unit, &specs::attempt(), rows).await?.commit().await
}

/// The whole numbers of a topic's messages, whoever reads it.
fn written(cluster: &Cluster, table: &str) -> Vec<i64> {
    let number = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        json["id"].as_i64().unwrap()
    };
    let mut found: Vec<i64> = cluster.messages(table).iter().map(|(_, _, text)| number(text)).collect();
    found.sort_unstable();
    found
}

/// A column of whole numbers, as rows.
fn rows(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let rows = batch(vec![("id", ints(ids))]);
    assert_eq!(rows.schema().field(0).data_type(), &DataType::Int64);
    rows
}
