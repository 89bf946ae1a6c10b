//! Files that are missing, locked, damaged, several, replaced.

use indexmap::IndexMap;
use vitrina::{
    connector::{
        error::ErrorKind,
        sink::{Rows, Staging},
        sqlite::config::Config,
    },
    model::delivery::Mode,
};

use super::{Place, WIDE};
use crate::{
    contract::writing::stream_of,
    support::{
        rows::people,
        specs::{attempt, sink, track, undeclared, unit},
        sql,
    },
};

#[tokio::test]
async fn a_missing_file_is_not_found_and_made_when_written() {
    let place = Place::new();
    let config = Config { path: Some("глубоко/внутри/x.db".to_owned()), ..Config::default() };
    let connection = place.open_as(config);
    let source = connection.source(&undeclared("actions")).await.unwrap();
    assert_eq!(source.head().await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(connection.tables().await.unwrap().is_empty());
    assert!(connection.probe().await.unwrap().notes[0].contains("does not exist yet"));
    assert!(!place.root.path().join("глубоко").exists(), "looking makes nothing");
    let sink = connection.sink(&sink("actions", Mode::Append)).await.unwrap();
    sink.claim(&track("mrf1"), &people([]).schema()).await.unwrap();
    assert!(place.root.path().join("глубоко/внутри/x.db").exists());
}

#[tokio::test]
async fn a_damaged_file_says_so() {
    let place = Place::new();
    std::fs::write(place.file(), "это не база данных, хоть и названа так".repeat(100)).unwrap();
    let source = place.open().source(&undeclared("actions")).await.unwrap();
    let error = source.head().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("crm"), "{error}");

    let place = Place::made("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)");
    let mut other = place.other();
    let transaction = other.transaction().unwrap();
    for _ in 0..5_000 {
        transaction.execute("INSERT INTO t (x) VALUES (hex(randomblob(50)))", []).unwrap();
    }
    transaction.commit().unwrap();
    other.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(other);
    let mut bytes = std::fs::read(place.file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40_000].fill(0xa5);
    std::fs::write(place.file(), bytes).unwrap();
    let source = place.open().source(&undeclared("t")).await.unwrap();
    let head = source.head().await.unwrap();
    let failed = async {
        let unit = source.plan(None, &head, WIDE).await?.expect("a snapshot");
        super::chunks(source.as_ref(), &unit).await
    };
    assert_eq!(failed.await.unwrap_err().kind, ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_busy_and_nothing_is_written() {
    let place = Place::made("CREATE TABLE other (x)");
    let sink = place.open().sink(&sink("actions", Mode::Append)).await.unwrap();
    let rows = people(1..=9);
    let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    let stage = || async {
        let rows = Rows::Stream(stream_of(&rows));
        let unit = unit(Mode::Append, 1, &people(1..=9));
        sink.stage(Staging { track: &track("mrf1"), claim: &claim, unit: &unit, attempt: &attempt() }, rows)
            .await
            .unwrap()
    };
    let blocker = place.other();
    blocker.execute_batch("BEGIN IMMEDIATE; INSERT INTO other VALUES (1)").unwrap();
    let error = stage().await.commit().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    assert!(error.kind.policy().retry);
    blocker.execute_batch("COMMIT").unwrap();
    stage().await.commit().await.unwrap();
    let count: i64 = blocker.query_row("SELECT count(*) FROM actions", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 9);
}

#[tokio::test]
async fn a_stage_keeps_nobody_from_writing() {
    let place = Place::made("CREATE TABLE other (x)");
    let sink = place.open().sink(&sink("actions", Mode::Append)).await.unwrap();
    let rows = people(1..=9);
    let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    let rows = Rows::Stream(stream_of(&rows));
    let unit = unit(Mode::Append, 1, &people(1..=9));
    let staged = sink
        .stage(Staging { track: &track("mrf1"), claim: &claim, unit: &unit, attempt: &attempt() }, rows)
        .await
        .unwrap();
    let other = place.other();
    other.busy_timeout(std::time::Duration::ZERO).unwrap();
    other.execute("INSERT INTO other VALUES (1)", []).unwrap();
    staged.commit().await.unwrap();
    other.execute("INSERT INTO other VALUES (2)", []).unwrap();
}

#[tokio::test]
async fn several_files_are_schemas() {
    let place = Place::new();
    let databases = [("Действия", "a.db"), ("nature", "b.db")];
    let databases = databases.map(|(schema, path)| (schema.to_owned(), path.to_owned()));
    let config = Config { databases: IndexMap::from(databases), ..Config::default() };
    for (file, id) in [("a.db", 1), ("b.db", 2)] {
        let other = rusqlite::Connection::open(place.root.path().join(file)).unwrap();
        other.execute_batch(&format!("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES ({id})")).unwrap();
    }
    let connection = place.open_as(config);
    assert_eq!(connection.default_schema(), "Действия");
    let engine = sql::engine(connection.catalog());
    let rows =
        sql::ask(&engine, r#"SELECT a.id, b.id AS b FROM place."Действия".t a CROSS JOIN place.nature.t b"#);
    assert_eq!(crate::support::rows::text(&rows.await), ["1|2"]);
    let spec = vitrina::connector::source::SourceSpec { schema: Some("natur".into()), ..undeclared("t") };
    let error = connection.source(&spec).await.err().unwrap();
    assert_eq!((error.kind, error.advice()), (ErrorKind::NotFound, "did you mean \"nature\"?"));
    assert_eq!(connection.tables().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_that_was_replaced_is_another_file() {
    let place = Place::made("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    let connection = place.open();
    let spec = vitrina::connector::source::SourceSpec {
        cursor: Some(crate::support::specs::cursor("id")),
        ..undeclared("t")
    };
    let source = connection.source(&spec).await.unwrap();
    let at = source.head().await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.root.path().join(format!("данные.db{suffix}")));
    }
    assert_eq!(source.head().await.unwrap_err().kind, ErrorKind::NotFound);
    place.other().execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").unwrap();
    let head = source.head().await.unwrap();
    let error = source.plan(Some(&at), &head, WIDE).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SourceChanged);
}

#[test]
fn a_connection_has_one_file_or_several() {
    let place = Place::new();
    let context =
        vitrina::connector::OpenContext { name: "crm".into(), root: place.file(), scratch: place.scratch() };
    let config = vitrina::connector::ConnectionConfig::Sqlite(Config::default());
    let error = vitrina::connector::open(&config, context).err().unwrap();
    assert!(error.message.contains("`path` or `databases`"));
}
