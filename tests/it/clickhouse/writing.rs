//! Tables as `[sink.clickhouse]` says, and units that span partitions.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use vitrina::{
    connector::{
        clickhouse::config::SinkOptions,
        connection::Connection,
        sink::{Sink, SinkOptions as Options, SinkSpec},
    },
    model::{delivery::Mode, unit::Record},
};

use crate::{
    contract::writing::{stage, target_through},
    support::{
        clickhouse::Place,
        rows::{people, sorted_text},
        specs::{self, attempt, track, unit},
    },
};

fn spec(table: &str, mode: Mode, options: SinkOptions) -> SinkSpec {
    SinkSpec {
        options: Options { clickhouse: Some(options), ..Options::default() },
        ..specs::sink(table, mode)
    }
}

async fn write(connection: &Arc<dyn Connection>, spec: &SinkSpec, at: i64, rows: &RecordBatch) -> Record {
    let sink = connection.sink(spec).await.unwrap();
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(spec.mode, at, rows), &attempt(), rows).await.unwrap();
    staged.commit().await.unwrap().record().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_as_it_is_told() {
    let place = Place::new();
    let options = SinkOptions {
        engine: None,
        order_by: vec!["id".to_owned()],
        partition_by: Some("id % 10".to_owned()),
        ttl: None,
        settings: [("index_granularity".to_owned(), "1024".to_owned())].into(),
        codec: [("name".to_owned(), "ZSTD(3)".to_owned())].into(),
    };
    write(&place.open(), &spec("told", Mode::Append, options), 1, &people(1..=3)).await;
    let made = place.run(&format!("SHOW CREATE TABLE {} FORMAT TSVRaw", place.table("told")));
    for part in [
        "`id` Int64",
        "`name` Nullable(String) CODEC(ZSTD(3))",
        "PARTITION BY id % 10",
        "ORDER BY (id)",
        "index_granularity = 1024",
        "fsync_after_insert = 1",
    ] {
        assert!(made.contains(part), "{part}: {made}");
    }
}

/// Rows of many partitions and blocks come in whole, in every mode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_spans_partitions() {
    let place = Place::new();
    let connection = place.open();
    for mode in [Mode::Append, Mode::Merge, Mode::Replace] {
        let table = format!("wide_{mode}");
        let options = SinkOptions {
            order_by: vec!["id".to_owned()],
            partition_by: Some("id % 150".to_owned()),
            ..SinkOptions::default()
        };
        let spec = spec(&table, mode, options);
        write(&connection, &spec, 1, &people(1..=300)).await;
        let second = if mode == Mode::Append { people(301..=600) } else { people(1..=600) };
        assert_eq!(write(&connection, &spec, 2, &second).await.seq, 2);
        assert_eq!(
            target_through(connection.as_ref(), &table).await,
            Some(sorted_text(&people(1..=600))),
            "{mode}"
        );
    }
}

/// A unit of rows 4 to 6 that was decided and not moved: the target was away just then.
async fn left_behind(place: &Place) -> Arc<dyn Sink> {
    let connection = place.open();
    let spec = specs::sink("left", Mode::Append);
    write(&connection, &spec, 1, &people(1..=3)).await;
    let sink = connection.sink(&spec).await.unwrap();
    let rows = people(4..=6);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows).await.unwrap();
    place.run(&format!("RENAME TABLE {} TO {}", place.table("left"), place.table("hidden")));
    assert!(staged.commit().await.is_err());
    place.run(&format!("RENAME TABLE {} TO {}", place.table("hidden"), place.table("left")));
    sink
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_is_finished_by_the_next_writer() {
    let place = Place::new();
    let sink = left_behind(&place).await;
    let connection = place.open();
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 1, "looking finishes nothing");
    assert_eq!(target_through(connection.as_ref(), "left").await, Some(sorted_text(&people(1..=3))));
    sink.recover(&track("mrf1")).await.unwrap();
    let record = sink.peek(&track("mrf1")).await.unwrap().unwrap();
    assert_eq!((record.seq, record.rows), (2, 3));
    assert_eq!(target_through(connection.as_ref(), "left").await, Some(sorted_text(&people(1..=6))));
    sink.recover(&track("mrf1")).await.unwrap();
    assert_eq!(target_through(connection.as_ref(), "left").await, Some(sorted_text(&people(1..=6))));
}

/// A server that died in a move may have the parts in both tables: they are known by their numbers, and not moved again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_in_both_tables_are_there_once() {
    let place = Place::new();
    let sink = left_behind(&place).await;
    let database = &place.config.database;
    let unit = place.run(&format!(
        "SELECT name FROM system.tables WHERE database = '{database}' AND startsWith(name, '_vitrina_unit_')"
    ));
    let unit = unit.trim();
    place.run(&format!(
        "ALTER TABLE {} ATTACH PARTITION ALL FROM {}",
        place.table("left"),
        place.table(unit)
    ));
    sink.recover(&track("mrf1")).await.unwrap();
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2);
    assert_eq!(target_through(place.open().as_ref(), "left").await, Some(sorted_text(&people(1..=6))));
}
