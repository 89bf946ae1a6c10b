//! What only buckets do: keys, servers that fail, answers that get lost, uploads in parts.

mod faults;
mod once;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use vitrina::{
    connector::{connection::Connection, error::Result, sink::Committed},
    model::delivery::Mode,
};

use crate::{
    contract::writing::stage,
    support::{
        bucket::{Place, open, open_as, setting},
        line::{Fate, Line},
        specs::{self, attempt, track, unit},
        sql,
    },
};

/// Appends rows as a run does.
async fn write(
    connection: &Arc<dyn Connection>,
    table: &str,
    at: i64,
    rows: &RecordBatch,
) -> Result<Committed> {
    let sink = connection.sink(&specs::sink(table, Mode::Append)).await?;
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, at, rows), &attempt(), rows).await?;
    staged.commit().await
}

/// The ids of a table, sorted.
async fn ids(connection: &Arc<dyn Connection>, table: &str) -> Vec<String> {
    use datafusion::execution::context::SessionContext;
    let engine = SessionContext::new();
    engine.register_catalog("place", connection.catalog());
    let rows = sql::ask(&engine, &format!("SELECT id FROM place.public.\"{table}\" ORDER BY id")).await;
    crate::support::rows::sorted_text(&rows)
}

/// A connection to a place by a line on which requests meet their fates.
fn by_line(
    place: &Place,
    judge: impl Fn(&str) -> Fate + Send + Sync + 'static,
) -> (Line, Arc<dyn Connection>) {
    let line = Line::to(&setting("ENDPOINT"), judge);
    let config = vitrina::connector::delta::config::Config {
        endpoint: Some(line.url.clone()),
        request_timeout: Some("2s".parse().unwrap()),
        ..place.config()
    };
    (line, open(&config))
}

/// Two connections to buckets of one name, read in one query.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_not_taken_for_each_other() {
    use crate::support::rows::people;
    let (one, other) = (Place::new(), Place::new());
    write(&one.open(), "t", 1, &people([1, 2])).await.unwrap();
    write(&other.open(), "t", 1, &people([2, 3])).await.unwrap();
    let engine = datafusion::execution::context::SessionContext::new();
    for (name, place) in [("one", &one), ("other", &other)] {
        engine.register_catalog(name, open_as(name, &place.config()).catalog());
    }
    let rows =
        sql::ask(&engine, "SELECT a.id FROM one.public.t AS a JOIN other.public.t AS b ON a.id = b.id").await;
    assert_eq!(crate::support::rows::sorted_text(&rows), ["2"]);
    let names = one.open().catalog().schema("public").unwrap().table_names();
    assert_eq!(names, ["t"], "where nobody may wait");
}

/// Only files of the partition that is asked for are fetched, and of them only the columns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_columns_are_pushed_into_the_bucket() {
    use crate::support::rows::{batch, ints, texts};
    use vitrina::connector::{delta::config::SinkOptions, sink::SinkSpec};
    let place = Place::new();
    let rows = batch(vec![("id", ints(1..=3)), ("Регион", texts([Some("Волга"), Some("Юг / 100%"), None]))]);
    let options = SinkOptions { partition_by: vec!["Регион".to_owned()] };
    let spec = SinkSpec {
        options: vitrina::connector::sink::SinkOptions { delta: Some(options), ..Default::default() },
        ..specs::sink("части", Mode::Append)
    };
    let sink = place.open().sink(&spec).await.unwrap();
    let staged = stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 1, &rows), &attempt(), &rows).await;
    staged.unwrap().commit().await.unwrap();
    let (line, connection) = by_line(&place, |_| Fate::Pass);
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_catalog("place", connection.catalog());
    let asked = "SELECT id FROM place.public.\"части\" WHERE \"Регион\" = 'Юг / 100%'";
    assert_eq!(crate::support::rows::sorted_text(&sql::ask(&engine, asked).await), ["2"]);
    let seen = line.seen();
    let fetched: std::collections::BTreeSet<&String> =
        seen.iter().filter(|request| request.starts_with("GET") && request.contains(".parquet")).collect();
    assert_eq!(fetched.len(), 1, "{seen:#?}");
}
