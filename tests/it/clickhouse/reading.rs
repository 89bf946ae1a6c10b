//! Reading what has no parts of its own.

use std::time::Duration;

use super::{read_all, whole};
use crate::support::{clickhouse::Place, rows::text};

/// Nothing tells of news in a view, or in a table of an engine without parts: they are read anew all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_parts_is_not_slept_over() {
    let place = Place::new();
    place.inside("CREATE TABLE t (id Int64, name Nullable(String)) ENGINE = MergeTree ORDER BY id");
    place.inside("CREATE VIEW seen AS SELECT id, name FROM t");
    place.inside("CREATE TABLE log (id Int64, name Nullable(String)) ENGINE = Log");
    for (table, into) in [("seen", "t"), ("log", "log")] {
        let connection = place.open();
        let source = connection.source(&whole(table)).await.unwrap();
        source.head().await.unwrap();
        place.inside(&format!("INSERT INTO {into} VALUES (1, 'а')"));
        tokio::time::timeout(Duration::from_mins(1), source.changed()).await.expect("changed() sleeps on");
        let held = read_all(connection.as_ref(), &whole(table)).await.unwrap();
        assert_eq!(text(&held[0].batch), ["1|а"], "{table}");
    }
}
