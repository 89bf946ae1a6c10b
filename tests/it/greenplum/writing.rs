//! Merges that delete and add, records that are added and pruned, what is done besides moving rows.

use arrow::record_batch::RecordBatch;
use vitrina::{
    connector::{
        error::{Error, ErrorKind},
        greenplum::config::{Gpfdist, Load, SinkOptions as GreenplumOptions},
        postgres::config::{Grant, SinkOptions as PostgresOptions},
        sink::{OnSchemaChange, SinkOptions, SinkSpec},
    },
    model::delivery::Mode,
};

use crate::{
    contract::writing::stage,
    support::{
        postgres::{Place, as_greenplum, setting},
        rows::{batch, ints, people, texts},
        specs::{self, attempt, track, unit},
    },
};

async fn write_as(
    member: &str,
    place: &Place,
    spec: &SinkSpec,
    at: i64,
    rows: &RecordBatch,
) -> Result<(), Error> {
    let sink = place.open_greenplum().sink(spec).await?;
    let staged = stage(sink.as_ref(), &track(member), &unit(spec.mode, at, rows), &attempt(), rows).await?;
    staged.commit().await.map(|_| ())
}

async fn write(place: &Place, spec: &SinkSpec, at: i64, rows: &RecordBatch) -> Result<(), Error> {
    write_as("mrf1", place, spec, at, rows).await
}

async fn texts_of(place: &Place, sql: &str) -> Vec<String> {
    place.stranger().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn greenplum(options: GreenplumOptions) -> SinkOptions {
    SinkOptions { greenplum: Some(options), ..SinkOptions::default() }
}

/// A merge deletes rows and adds them again; what others keep in columns of theirs stays, and new rows get its default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_keeps_columns_that_are_not_ours() {
    let place = Place::new();
    place.run("CREATE TABLE t (id bigint, name text, note text DEFAULT 'нет', twice bigint GENERATED ALWAYS AS (id * 2) STORED)").await;
    let spec = SinkSpec { on_schema_change: OnSchemaChange::Ignore, ..specs::sink("t", Mode::Merge) };
    let rows = |ids: std::ops::Range<i64>, name: &'static str| {
        let count = (ids.end - ids.start) as usize;
        batch(vec![("id", ints(ids)), ("name", texts(vec![Some(name); count]))])
    };
    write(&place, &spec, 1, &rows(1..4, "a")).await.unwrap();
    place.run("UPDATE t SET note = 'важно' WHERE id = 2; UPDATE t SET note = NULL WHERE id = 3").await;
    write(&place, &spec, 2, &rows(2..6, "b")).await.unwrap();
    let sql = "SELECT ROW(t.*)::text FROM t ORDER BY id";
    let expected = ["(1,a,нет,2)", "(2,b,важно,4)", "(3,b,,6)", "(4,b,нет,8)", "(5,b,нет,10)"];
    assert_eq!(texts_of(&place, sql).await, expected);
}

/// Keys are compared as the target's type, however they are spelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_the_targets_value() {
    let place = Place::new();
    place.run("CREATE TABLE t (id uuid, name text)").await;
    let spec = specs::sink("t", Mode::Merge);
    let rows = |ids: [&'static str; 2], name: &'static str| {
        batch(vec![("id", texts(ids.map(Some))), ("name", texts([Some(name), Some("last")]))])
    };
    let (small, large) = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11");
    write(&place, &spec, 1, &rows([small, large], "first")).await.unwrap();
    write(&place, &spec, 2, &rows([large, small], "second")).await.unwrap();
    assert_eq!(texts_of(&place, "SELECT id::text || name FROM t").await, [format!("{small}last")]);
}

/// Every commit adds a record; maintenance leaves the newest of each track, and does not wait for those who write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_records_are_pruned_where_nobody_writes() {
    let place = Place::new();
    let spec = specs::sink("t", Mode::Append);
    for at in 1..=3 {
        write(&place, &spec, at, &people([at])).await.unwrap();
        write_as("mrf2", &place, &spec, at, &people([at + 10])).await.unwrap();
    }
    let records = "SELECT seq::text FROM _vitrina_records ORDER BY track, seq";
    assert_eq!(texts_of(&place, records).await, ["1", "2", "3", "1", "2", "3"]);
    let sink = place.open_greenplum().sink(&spec).await.unwrap();
    let writer = place.stranger().await;
    writer.batch_execute("BEGIN; LOCK TABLE _vitrina_records IN ROW EXCLUSIVE MODE").await.unwrap();
    let budget = std::time::Duration::from_secs(5);
    // Whoever waits for a lock does so for 30 s.
    let patience = std::time::Duration::from_secs(25);
    tokio::time::timeout(patience, sink.maintain(budget, chrono::Utc::now()))
        .await
        .expect("it waits for a writer")
        .unwrap();
    assert_eq!(texts_of(&place, records).await.len(), 6);
    writer.batch_execute("ROLLBACK").await.unwrap();
    sink.maintain(budget, chrono::Utc::now()).await.unwrap();
    assert_eq!(texts_of(&place, records).await, ["3", "3"]);
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 3);
    write(&place, &spec, 4, &people([4])).await.unwrap();
}

/// What users want done besides: rights where they are missing, and statements in the commit's own transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_and_statements_go_with_the_commit() {
    for kind in ["greenplum", "postgres"] {
        let place = Place::new();
        place.run("CREATE TABLE journal (line text)").await;
        let schema = place.schema.replace('"', "\"\"");
        let after = vec![
            "ANALYZE this".to_owned(),
            format!("INSERT INTO \"{schema}\".journal SELECT 'this: ' || count(*) FROM this"),
        ];
        let spec = |after_sql: Vec<String>| {
            let grant = Grant { select: vec!["cert".to_owned(), "public".to_owned()] };
            let options = match kind {
                "greenplum" => {
                    greenplum(GreenplumOptions { after_sql, grant, ..GreenplumOptions::default() })
                }
                _ => SinkOptions {
                    postgres: Some(PostgresOptions { after_sql, grant, index: vec![] }),
                    ..SinkOptions::default()
                },
            };
            SinkSpec { options, ..specs::sink("Заказы", Mode::Append) }
        };
        let connection = if kind == "greenplum" { place.open_greenplum() } else { place.open() };
        let write = async |spec: SinkSpec, at: i64| -> Result<(), Error> {
            let (sink, rows) = (connection.sink(&spec).await?, people([at]));
            let unit = unit(spec.mode, at, &rows);
            stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), &rows).await?.commit().await.map(|_| ())
        };
        write(spec(after.clone()), 1).await.unwrap();
        let held = "SELECT (has_table_privilege('cert', '\"Заказы\"', 'SELECT') AND has_table_privilege('public', '\"Заказы\"', 'SELECT'))::text";
        assert_eq!(texts_of(&place, held).await, ["true"], "{kind}");
        place.run("REVOKE SELECT ON \"Заказы\" FROM cert, public").await;
        write(spec(after.clone()), 2).await.unwrap();
        assert_eq!(texts_of(&place, held).await, ["true"], "{kind}: granted again");
        assert_eq!(texts_of(&place, "SELECT line FROM journal").await, ["this: 1", "this: 2"], "{kind}");

        let failing = [after, vec!["SELECT 1 / 0 FROM this".to_owned()]].concat();
        write(spec(failing), 3).await.unwrap_err();
        assert_eq!(
            texts_of(&place, "SELECT line FROM journal").await.len(),
            2,
            "{kind}: all of it or nothing"
        );
        assert_eq!(texts_of(&place, "SELECT id::text FROM \"Заказы\"").await.len(), 2, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_not_there_is_named() {
    let place = Place::new();
    let grant = Grant { select: vec!["нет такой".to_owned()] };
    let options = greenplum(GreenplumOptions { grant, ..GreenplumOptions::default() });
    let spec = SinkSpec { options, ..specs::sink("t", Mode::Append) };
    let error = write(&place, &spec, 1, &people([1])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("нет такой"), "{error}");
}

/// What only a Greenplum can do is refused elsewhere, and the probe says what answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_postgresql_is_told_apart() {
    let place = Place::new();
    let health = place.open_greenplum().probe().await.unwrap();
    assert!(health.version.starts_with("PostgreSQL 1"), "{health:?}");
    assert!(health.notes.iter().any(|note| note.contains("it is no Greenplum")), "{health:?}");
    assert!(place.open().probe().await.unwrap().notes.is_empty());

    let options = GreenplumOptions { load: Load::Gpfdist, ..GreenplumOptions::default() };
    let spec = SinkSpec { options: greenplum(options), ..specs::sink("t", Mode::Append) };
    let error = write(&place, &spec, 1, &people([1])).await.unwrap_err();
    assert!(
        error.to_string().contains("has no `gpfdist`") && error.advice().contains("gpfdist = {"),
        "{error}"
    );

    let gpfdist = Gpfdist { host: "localhost".to_owned(), port: 1, listen: "127.0.0.1".to_owned() };
    let config = vitrina::connector::greenplum::config::Config {
        gpfdist: Some(gpfdist),
        ..as_greenplum(place.config())
    };
    let root = std::env::temp_dir();
    let context =
        vitrina::connector::OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
    let config = vitrina::connector::ConnectionConfig::Greenplum(config);
    let sink = vitrina::connector::open(&config, context).unwrap().sink(&spec).await.unwrap();
    let rows = people([1]);
    let staged = stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 1, &rows), &attempt(), &rows).await;
    let Err(error) = staged else { panic!("{} took an external table", setting("HOST")) };
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
    assert!(error.advice().contains("load = \"copy\""), "{error}");
}
