//! Appended rows go straight into the target, and stages stay with their session.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use vitrina::{
    connector::{
        connection::Connection,
        error::ErrorKind,
        sink::{OnSchemaChange, Sink, SinkSpec, Staged},
    },
    model::delivery::Mode,
};

use crate::{
    contract::{
        reading::kind,
        writing::{stage, stage_claimed, target_through},
    },
    support::{
        postgres::Place,
        rows::{batch, ints, people, sorted_text, texts},
        specs::{self, attempt, track, unit},
    },
};

fn both(place: &Place) -> [Arc<dyn Connection>; 2] {
    [place.open(), place.open_greenplum()]
}

async fn staged(sink: &dyn Sink, member: &str, mode: Mode, at: i64, rows: &RecordBatch) -> Box<dyn Staged> {
    stage(sink, &track(member), &unit(mode, at, rows), &attempt(), rows).await.unwrap()
}

/// Locks that other sessions hold on table `t`.
async fn locks(place: &Place) -> Vec<String> {
    let sql =
        "SELECT mode FROM pg_locks WHERE relation = 't'::regclass AND pid <> pg_backend_pid() ORDER BY mode";
    place.stranger().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The rows wait in the target, under no stronger lock than an INSERT takes: other tracks stage and commit meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appended_rows_wait_in_the_target() {
    for greenplum in [false, true] {
        let place = Place::new();
        let connection = &both(&place)[usize::from(greenplum)];
        let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
        let first = staged(sink.as_ref(), "mrf1", Mode::Append, 1, &people(1..=3)).await;
        assert_eq!(locks(&place).await, ["RowExclusiveLock"]);
        assert!(first.table().is_none(), "nobody asked to see them");
        let second = staged(sink.as_ref(), "mrf2", Mode::Append, 1, &people(4..=9)).await;
        assert_eq!(target_through(connection.as_ref(), "t").await, Some(vec![]));
        second.commit().await.unwrap();
        assert_eq!(target_through(connection.as_ref(), "t").await, Some(sorted_text(&people(4..=9))));
        first.commit().await.unwrap();
        assert_eq!(target_through(connection.as_ref(), "t").await, Some(sorted_text(&people(1..=9))));
        assert_eq!(locks(&place).await, Vec::<String>::new());
    }
}

/// What INSERT does and COPY does not (rules, views, row policies) is done: such targets get their rows by INSERT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_copy_does_not_fit_gets_its_rows_by_insert() {
    let place = Place::new();
    place
        .run(
            "CREATE TABLE ruled (id bigint, name text); CREATE TABLE journal (id bigint); \
             CREATE RULE copied AS ON INSERT TO ruled DO ALSO INSERT INTO journal VALUES (new.id); \
             CREATE TABLE below (id bigint, name text); CREATE VIEW view AS SELECT * FROM below; \
             CREATE TABLE watched (id bigint, name text); ALTER TABLE watched ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
             CREATE POLICY all_of_them ON watched USING (true)",
        )
        .await;
    for table in ["ruled", "view", "watched"] {
        let sink = place.open().sink(&specs::sink(table, Mode::Append)).await.unwrap();
        staged(sink.as_ref(), "mrf1", Mode::Append, 1, &people(1..=3)).await.commit().await.unwrap();
        assert_eq!(
            target_through(place.open().as_ref(), table).await,
            Some(sorted_text(&people(1..=3))),
            "{table}"
        );
    }
    let logged = place.stranger().await.query_one("SELECT count(*) FROM journal", &[]).await.unwrap();
    assert_eq!(logged.get::<_, i64>(0), 3);
}

/// A unique index refuses rows that another session of the track has committed: that is a conflict, and no bad data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_committed_meanwhile_are_a_conflict() {
    let place = Place::new();
    place.run("CREATE TABLE t (id bigint PRIMARY KEY, name text)").await;
    for connection in both(&place) {
        place.run("TRUNCATE t; DROP TABLE IF EXISTS _vitrina_records").await;
        let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
        let (track, rows) = (track("mrf1"), people(1..=3));
        let claim = sink.claim(&track, &rows.schema()).await.unwrap();
        let again = || async {
            stage_claimed(sink.as_ref(), &track, &claim, &unit(Mode::Append, 1, &rows), &attempt(), &rows)
                .await
        };
        again().await.unwrap().commit().await.unwrap();
        assert_eq!(kind(again().await), ErrorKind::Conflict);
        // Bad they are where the record is the one that was claimed.
        let known = stage(sink.as_ref(), &track, &unit(Mode::Append, 2, &rows), &attempt(), &rows).await;
        assert_eq!(kind(known), ErrorKind::BadData);
    }
}

/// A sink's slices share one session and its temporary table, until the columns are others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_share_one_stage() {
    let place = Place::new();
    for (at, connection) in both(&place).into_iter().enumerate() {
        let (table, column) = (format!("t{at}"), format!("c{}", uuid::Uuid::new_v4().simple()));
        place.run("DROP TABLE IF EXISTS _vitrina_records").await;
        let rows = |ids: std::ops::Range<i64>, more: bool| {
            let count = (ids.end - ids.start) as usize;
            let mut columns = vec![("id", ints(ids)), (column.as_str(), texts(vec![Some("x"); count]))];
            if more {
                columns.push(("more", texts(vec![None; count])));
            }
            batch(columns)
        };
        // Stages are told from those of others by a column's name.
        let find = "SELECT c.oid::bigint FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                    WHERE c.relname = '_vitrina_stage' AND a.attname = $1";
        let watch = place.stranger().await;
        let stages = async || -> Vec<i64> {
            watch.query(find, &[&column]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        let evolving =
            SinkSpec { on_schema_change: OnSchemaChange::Evolve, ..specs::sink(&table, Mode::Merge) };
        let sink = connection.sink(&evolving).await.unwrap();
        let mut seen = vec![];
        for slice in 0..3 {
            let rows = rows(slice..slice + 5, false);
            staged(sink.as_ref(), "mrf1", Mode::Merge, slice, &rows).await.commit().await.unwrap();
            seen.extend(stages().await);
        }
        assert_eq!(seen.len(), 3, "one at a time");
        assert!(seen.iter().all(|stage| *stage == seen[0]), "made once: {seen:?}");
        staged(sink.as_ref(), "mrf1", Mode::Merge, 9, &rows(4..9, true)).await.commit().await.unwrap();
        let last = stages().await;
        assert!(last.len() == 1 && last[0] != seen[0], "made anew: {last:?}");
        let count = watch.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap();
        assert_eq!(count.get::<_, i64>(0), 9, "no row of an older slice was merged again");
    }
}

/// Both kinds keep records of their own form: they cannot share a schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_kinds_do_not_share_a_schema() {
    let place = Place::new();
    let [postgres, greenplum] = both(&place);
    let spec = specs::sink("t", Mode::Append);
    let sink = postgres.sink(&spec).await.unwrap();
    staged(sink.as_ref(), "mrf1", Mode::Append, 1, &people([1])).await.commit().await.unwrap();
    let error = greenplum.sink(&spec).await.unwrap().peek(&track("mrf1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
    assert!(
        error.to_string().contains("_vitrina_records") && error.advice().contains("different schemas"),
        "{error}"
    );
}
