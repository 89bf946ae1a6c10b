//! Tables as targets: those of others, big units, what SQLite would bend.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, StringArray},
    record_batch::RecordBatch,
};
use datafusion::scalar::ScalarValue;
use vitrina::{
    connector::{
        error::{ErrorKind, Result},
        executor::Statement,
        sink::{Committed, OnSchemaChange, Rows, SinkOptions, SinkSpec, Staging},
        sqlite::config::SinkOptions as SqliteOptions,
    },
    model::{
        delivery::Mode,
        unit::{Progress, Record},
    },
};

use super::Place;
use crate::{
    contract::writing::{claimed_schema, stage},
    support::{
        rows::{batch, ints, people, text, texts},
        specs::{attempt, now, sink, track, unit},
        sql,
    },
};

async fn write(place: &Place, spec: &SinkSpec, at: i64, rows: &RecordBatch) -> Result<Committed> {
    let sink = place.open().sink(spec).await?;
    let unit = unit(spec.mode, at, rows);
    stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), rows).await?.commit().await
}

/// What another program reads.
fn seen(place: &Place, sql: &str) -> Vec<String> {
    let other = place.other();
    let mut statement = other.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// Says that the rows that are there are known.
async fn adopt(place: &Place, spec: &SinkSpec) {
    let sink = place.open().sink(spec).await.unwrap();
    let record = Record { seq: 1, progress: Progress::Start, attempt: attempt().id, at: now(), rows: 0 };
    sink.set_record(&track("mrf1"), None, &record).await.unwrap();
}

#[tokio::test]
async fn a_merge_spares_the_columns_of_others() {
    let place = Place::made(
        "CREATE TABLE \"Клиенты\" (id INTEGER, name TEXT, note TEXT DEFAULT 'сам', UNIQUE (id));
         INSERT INTO \"Клиенты\" VALUES (1, 'а', 'важный'), (2, 'б', 'тоже')",
    );
    let spec = sink("Клиенты", Mode::Merge);
    adopt(&place, &spec).await;
    write(&place, &spec, 1, &people([2, 3])).await.unwrap();
    assert_eq!(
        seen(&place, "SELECT id || '|' || coalesce(name, '∅') || '|' || note FROM \"Клиенты\" ORDER BY id"),
        ["1|а|важный", "2|Имя «2» O'Brien|тоже", "3|∅|сам"]
    );
    assert_eq!(
        seen(&place, "SELECT name FROM sqlite_schema WHERE name LIKE '\\_vitrina\\_key%' ESCAPE '\\'"),
        [""; 0]
    );
}

fn indexed(columns: &[&str]) -> SinkSpec {
    let index = columns.iter().map(|column| (*column).to_owned()).collect();
    let options = SinkOptions { sqlite: Some(SqliteOptions { index }), ..SinkOptions::default() };
    SinkSpec { options, ..sink("Клиенты", Mode::Append) }
}

fn indexes(place: &Place) -> Vec<String> {
    seen(place, "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'Клиенты' ORDER BY name")
}

/// One for each column that none of others begins with, whenever it is asked for; cursors find their rows by it.
#[tokio::test]
async fn indexes_that_are_told_are_made_once() {
    let place = Place::new();
    write(&place, &indexed(&["id"]), 1, &people([1, 2])).await.unwrap();
    write(&place, &indexed(&["id"]), 2, &people([3])).await.unwrap();
    assert_eq!(indexes(&place), ["_vitrina_index Клиенты id"]);
    let plan: String = place
        .other()
        .query_row("EXPLAIN QUERY PLAN SELECT * FROM \"Клиенты\" WHERE id > 2 ORDER BY id", [], |row| {
            row.get(3)
        })
        .unwrap();
    assert!(plan.contains("SEARCH Клиенты USING INDEX"), "{plan}");

    let place = Place::made(
        "CREATE TABLE \"Клиенты\" (id INTEGER, name TEXT); CREATE INDEX theirs ON \"Клиенты\" (ID, name)",
    );
    write(&place, &indexed(&["id", "name"]), 1, &people([1])).await.unwrap();
    assert_eq!(indexes(&place), ["_vitrina_index Клиенты name", "theirs"]);
    let error = write(&place, &indexed(&["нет"]), 2, &people([2])).await.unwrap_err();
    assert!(error.to_string().contains("no column \"нет\", which is in an index"), "{error}");
}

#[tokio::test]
async fn a_constraint_of_others_refuses_a_whole_unit() {
    let place = Place::made("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)");
    let spec = sink("t", Mode::Append);
    write(&place, &spec, 1, &people([1])).await.unwrap();
    let error = write(&place, &spec, 2, &people([2, 1])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadData, "{error}");
    assert_eq!(seen(&place, "SELECT count(*) || '' FROM t"), ["1"]);
}

#[tokio::test]
async fn a_unit_past_the_memory_goes_through_a_file_without_a_name() {
    let place = Place::new();
    let long = "ж".repeat(2_000);
    let part = |from: i64| {
        let names = (0..1_000).map(|_| Some(long.as_str()));
        batch(vec![("id", ints(from..from + 1_000)), ("name", texts(names))])
    };
    let spec = sink("big", Mode::Merge);
    let sink = place.open().sink(&spec).await.unwrap();
    let claim = sink.claim(&track("mrf1"), &claimed_schema(&part(0))).await.unwrap();
    // 40 MB of text twice over: the second half has the keys of the first.
    let parts: Vec<_> = (0..40).map(|i| Ok(part(i % 20 * 1_000))).collect();
    let stream = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
        claim.schema.clone(),
        futures::stream::iter(parts),
    );
    let unit = unit(Mode::Merge, 1, &part(0));
    let rows = Rows::Stream(Box::pin(stream));
    let staged = sink
        .stage(Staging { track: &track("mrf1"), claim: &claim, unit: &unit, attempt: &attempt() }, rows)
        .await
        .unwrap();
    assert_eq!(std::fs::read_dir(place.scratch()).unwrap().count(), 0, "the file has no name");
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_table("this", staged.table().unwrap()).unwrap();
    assert_eq!(text(&sql::ask(&engine, "SELECT count(*) FROM this").await), ["20000"]);
    staged.commit().await.unwrap();
    assert_eq!(seen(&place, "SELECT count(*) || ' ' || count(DISTINCT id) FROM big"), ["20000 20000"]);
    write(&place, &spec, 2, &people([1])).await.unwrap();
}

#[tokio::test]
async fn sqlite_fills_the_stage_by_itself() {
    let place =
        Place::made("CREATE TABLE src (id INTEGER, name TEXT); INSERT INTO src VALUES (1, 'а'), (2, 'б')");
    let spec = sink("made", Mode::Append);
    let sink = place.open().sink(&spec).await.unwrap();
    let claim = sink.claim(&track("mrf1"), &people([]).schema()).await.unwrap();
    let sql = "SELECT name, id * 10 AS id FROM src WHERE id > ?1".to_owned();
    let query = Rows::Sql(Statement { sql, values: vec![ScalarValue::Int64(Some(1))] });
    let unit = unit(Mode::Append, 1, &people([]));
    let staged = sink
        .stage(Staging { track: &track("mrf1"), claim: &claim, unit: &unit, attempt: &attempt() }, query)
        .await
        .unwrap();
    assert_eq!(staged.rows(), 1);
    staged.commit().await.unwrap();
    assert_eq!(seen(&place, "SELECT id || name FROM made"), ["20б"]);
}

#[tokio::test]
async fn what_sqlite_would_bend_is_kept_or_refused() {
    let place = Place::new();
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), None]));
    let rows = batch(vec![("id", ints([1, 2, 3])), ("x", floats)]);
    write(&place, &sink("t", Mode::Append), 1, &rows).await.unwrap();
    assert_eq!(seen(&place, "SELECT typeof(x) FROM t ORDER BY id"), ["text", "real", "null"]);
    let connection = place.open();
    let back = sql::ask(&sql::engine(connection.catalog()), "SELECT * FROM place.main.t ORDER BY id").await;
    assert_eq!(text(&back), ["1|NaN", "2|inf", "3|∅"]);

    let twins = batch(vec![("Name", texts([None])), ("name", texts([None]))]);
    let error = write(&place, &sink("twins", Mode::Append), 1, &twins).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "SQLite ignores case in names: {error}");
}

#[tokio::test]
async fn a_target_that_is_gone_is_not_filled_from_the_middle() {
    let place = Place::new();
    let spec = sink("t", Mode::Append);
    write(&place, &spec, 1, &people([1])).await.unwrap();
    place.other().execute("DROP TABLE t", []).unwrap();
    let error = write(&place, &spec, 2, &people([2])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.advice().contains("position reset"));
    let replaced = SinkSpec { mode: Mode::Replace, ..spec };
    write(&place, &replaced, 3, &people([3])).await.unwrap();
    assert_eq!(seen(&place, "SELECT id || '' FROM t"), ["3"]);
}

#[tokio::test]
async fn a_column_of_others_takes_what_it_keeps() {
    let place =
        Place::made("CREATE TABLE t (id INTEGER PRIMARY KEY, amount TEXT, flag BOOLEAN, x REAL NOT NULL)");
    let amounts: ArrayRef = Arc::new(StringArray::from(vec!["1.50"]));
    let amounts = arrow::compute::cast(
        &amounts,
        &"decimal(12,2)".parse::<vitrina::model::column::ColumnType>().unwrap().arrow().clone(),
    )
    .unwrap();
    let rows = batch(vec![("amount", amounts), ("x", ints([7]))]);
    let spec = SinkSpec { on_schema_change: OnSchemaChange::Ignore, ..sink("t", Mode::Append) };
    write(&place, &spec, 1, &rows).await.unwrap();
    assert_eq!(seen(&place, "SELECT id || ' ' || amount || ' ' || typeof(x) FROM t"), ["1 1.50 real"]);
    let none = batch(vec![("amount", texts([Some("x")]))]);
    let error = write(&place, &spec, 2, &none).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaChanged, "NOT NULL: {error}");
}
