//! Manifests in a bucket: answers that get lost, keys without rights.

use std::sync::atomic::{AtomicUsize, Ordering};

use vitrina::{
    connector::{error::ErrorKind, sink::Committed},
    model::delivery::Mode,
};

use crate::{
    contract::writing::stage,
    support::{
        bucket::{Place, open_files, setting},
        line::{Fate, Line},
        rows::{people, sorted_text},
        specs::{self, attempt, track, unit},
        sql,
    },
};

/// Appends rows as a run does.
async fn write(
    connection: &std::sync::Arc<dyn vitrina::connector::connection::Connection>,
    at: i64,
) -> vitrina::connector::error::Result<Committed> {
    let sink = connection.sink(&specs::sink("t", Mode::Append)).await?;
    let rows = people([at]);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, at, &rows), &attempt(), &rows).await?;
    staged.commit().await
}

/// The manifest is put, its answer lost: it is looked for, and found to be our own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_no_lost_race() {
    let place = Place::new();
    write(&place.open_files(), 1).await.unwrap();
    let meant = |request: &str| request.starts_with("PUT ") && request.contains("/_vitrina/0000");
    let met = AtomicUsize::new(0);
    let line = Line::to(&setting("ENDPOINT"), move |request| {
        if meant(request) && met.fetch_add(1, Ordering::SeqCst) == 0 { Fate::LoseAnswer } else { Fate::Pass }
    });
    let config = vitrina::connector::files::config::Config {
        endpoint: Some(line.url.clone()),
        request_timeout: Some("2s".parse().unwrap()),
        ..place.config()
    };
    let connection = open_files(&config);
    for at in 2..=3 {
        let done = write(&connection, at).await.unwrap();
        assert!(matches!(done, Committed::Now(_)), "{done:?}");
    }
    assert!(line.seen().iter().filter(|request| meant(request)).count() >= 2);
    let rows = sql::rows_of(place.open_files().as_ref(), "t").await.unwrap();
    assert_eq!(sorted_text(&rows), sorted_text(&people(1..=3)));
}

/// A key that may only read reads, and is told what it lacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_may_only_read() {
    let place = Place::new();
    write(&place.open_files(), 1).await.unwrap();
    let reader = open_files(&place.reader());
    assert_eq!(sql::rows_of(reader.as_ref(), "t").await.unwrap().num_rows(), 1);
    let refused = write(&reader, 2).await.expect_err("no right to write");
    assert_eq!(refused.kind, ErrorKind::Denied, "{refused}");
    assert!(refused.to_string().contains("files `t` of connection `place`"), "{refused}");
    let health = reader.probe().await.unwrap();
    assert_eq!(health.rights, ["read"], "{health:?}");
}
