//! Writers that go away: what the server does for them ends with them, and so do its locks.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use vitrina::{
    connector::{
        executor::Statement,
        sink::{Rows, Staging},
    },
    model::delivery::Mode,
};

use crate::{
    contract::writing::stage,
    support::{
        postgres::Place,
        rows::people,
        specs::{self, attempt, track, unit},
    },
};

/// Waits until a session works for the place and is in the midst of it, or until none works.
async fn until(place: &Place, watch: &Client, works: bool) {
    let mine = format!("%{}%", place.schema.trim_start_matches("t ").trim_matches('"'));
    let amidst = if works { "wait_event_type IN ('Lock', 'Timeout')" } else { "true" };
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid() AND {amidst}"
    );
    let begun = Instant::now();
    loop {
        let count: i64 = watch.query_one(&sql, &[&mine]).await.unwrap().get(0);
        if (count > 0) == works {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "works = {works} is waited for in vain");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A commit that waits for a lock, and is dropped, waits no longer: the next try would meet its locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_commit_stops_the_server() {
    for kind in ["postgres", "greenplum"] {
        let place = Place::new();
        let connection = if kind == "postgres" { place.open() } else { place.open_greenplum() };
        let sink = connection.sink(&specs::sink("t", Mode::Merge)).await.unwrap();
        let rows = people(1..=3);
        let unit = unit(Mode::Merge, 1, &rows);
        let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), &rows).await.unwrap();
        let (holder, watch) = (place.stranger().await, place.stranger().await);
        holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let commit = tokio::spawn(async move { staged.commit().await.map(|_| ()) });
        until(&place, &watch, true).await;
        commit.abort();
        until(&place, &watch, false).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// So does a query that fills a stage inside the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_stops_the_server() {
    let place = Place::new();
    let sink = place.open().sink(&specs::sink("t", Mode::Replace)).await.unwrap();
    let rows = people(1..=3);
    let (track, attempt, unit) = (track("mrf1"), attempt(), unit(Mode::Replace, 1, &rows));
    let claim = sink.claim(&track, &rows.schema()).await.unwrap();
    let naps = "SELECT g AS id, pg_sleep(0.001)::text AS name FROM generate_series(1, 1000000) AS g";
    let sql = format!("{naps} -- {}", place.schema);
    let staging = async move {
        let staging = Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt };
        sink.stage(staging, Rows::Sql(Statement { sql: format!("{sql}\n"), values: vec![] }))
            .await
            .map(|_| ())
    };
    let staging = tokio::spawn(staging);
    let watch = place.stranger().await;
    until(&place, &watch, true).await;
    staging.abort();
    until(&place, &watch, false).await;
}
