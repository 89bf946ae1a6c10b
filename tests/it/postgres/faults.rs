//! Servers and rows that go wrong: each is an error of the right kind, says nothing of cells, and leaves nothing half done.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use arrow::record_batch::RecordBatch;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use vitrina::{
    connector::{
        connection::Connection,
        error::{Error, ErrorKind},
        postgres::config::Config,
        sink::{OnSchemaChange, Sink, SinkSpec},
    },
    model::{delivery::Mode, unit::Record},
};

use super::{read_all, whole};
use crate::{
    contract::writing::{stage, target_through},
    support::{
        postgres::{Place, open, open_greenplum, quote, session, setting},
        rows::{batch, ints, people, sorted_text, texts},
        specs::{self, attempt, track, unit},
    },
};

async fn write(
    connection: &Arc<dyn Connection>,
    spec: &SinkSpec,
    at: i64,
    rows: &RecordBatch,
) -> Result<(), Error> {
    let sink = connection.sink(spec).await?;
    let staged = stage(sink.as_ref(), &track("mrf1"), &unit(spec.mode, at, rows), &attempt(), rows).await?;
    staged.commit().await.map(|_| ())
}

fn named(name: &'static str) -> RecordBatch {
    batch(vec![("id", ints([1])), ("name", texts([Some(name)]))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_do_not_fit_are_bad_data_and_not_shown() {
    let place = Place::new();
    place.run("CREATE TABLE narrow (id bigint, name varchar(3)); CREATE TABLE keyed (id bigint PRIMARY KEY, name text); \
               CREATE TABLE checked (id bigint, name text CONSTRAINT positive CHECK (name <> 'secret-cell-42'))").await;
    let ignoring =
        |table| SinkSpec { on_schema_change: OnSchemaChange::Ignore, ..specs::sink(table, Mode::Append) };
    for (table, cell, told) in [
        ("narrow", "secret-cell-42", "too narrow for a text"),
        ("narrow", "a\0b", "\"name\" holds a text with a NUL"),
        ("checked", "secret-cell-42", "\"positive\""),
    ] {
        let error = write(&place.open(), &ignoring(table), 1, &named(cell)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadData, "{table}: {error}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(!error.to_string().contains("secret-cell"), "{error}");
        assert_eq!(target_through(place.open().as_ref(), table).await, Some(vec![]));
    }
    let twice = batch(vec![("id", ints([7_654_321, 7_654_321])), ("name", texts([None, None]))]);
    let error = write(&place.open(), &ignoring("keyed"), 1, &twice).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadData);
    assert!(error.to_string().contains("keyed_pkey") && !error.to_string().contains("7654321"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_names_the_grant() {
    let place = Place::new();
    let user = setting("USER");
    place.run(&format!("CREATE TABLE t (id bigint); REVOKE ALL ON t FROM {user}")).await;
    let error = read_all(&place, &whole("t")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.advice().contains("GRANT SELECT ON t"), "{error} | {}", error.advice());

    let admin = session("postgres").await;
    let closed = format!("closed {}", uuid::Uuid::new_v4().simple());
    admin
        .batch_execute(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.t (id bigint)", quote(&closed)))
        .await
        .unwrap();
    let connection = open(Config { schema: closed.clone(), ..place.config() });
    let source = connection.source(&whole("t")).await.unwrap();
    let head = source.head().await.unwrap();
    let error = source.plan(None, &head, crate::contract::reading::WIDE).await.unwrap_err();
    let health = connection.probe().await.unwrap();
    admin.batch_execute(&format!("DROP SCHEMA {} CASCADE", quote(&closed))).await.unwrap();
    assert!(matches!(error.kind, ErrorKind::Denied), "{error}");
    assert!(health.notes[0].contains("GRANT USAGE ON SCHEMA"), "{health:?}");
}

/// What the server says of itself, by its SQLSTATE: whether trying again helps, and what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_fails_is_told_by_its_kind() {
    for (code, kind, retry, advice) in [
        ("53100", ErrorKind::Full, true, "free some space on the server"),
        ("40001", ErrorKind::Busy, true, "tried again"),
        ("40P01", ErrorKind::Busy, true, "tried again"),
        ("53300", ErrorKind::Busy, true, "max_connections"),
        ("53400", ErrorKind::Limit, false, "slices smaller"),
        ("57P01", ErrorKind::Unreachable, true, "reachable"),
        ("57P03", ErrorKind::Unreachable, true, "reachable"),
        ("25006", ErrorKind::Denied, false, "primary"),
        ("P0001", ErrorKind::BadData, false, "mend the data"),
    ] {
        let place = Place::new();
        place
            .run(&format!(
                "CREATE TABLE t (id bigint, name text); \
                 CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'it fails'; END $$; \
                 CREATE TRIGGER fails BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fails()"
            ))
            .await;
        for mode in [Mode::Append, Mode::Replace] {
            let error = write(&place.open(), &specs::sink("t", mode), 1, &people([1])).await.unwrap_err();
            assert_eq!((error.kind, error.kind.policy().retry), (kind, retry), "{error}");
            assert!(
                error.to_string().contains(code) && error.advice().contains(advice),
                "{error} | {}",
                error.advice()
            );
        }
        place.run("DROP TRIGGER fails ON t").await;
        write(&place.open(), &specs::sink("t", Mode::Append), 1, &people([1])).await.unwrap();
        assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people([1]))));
    }
}

/// Two writers that wait for each other: the server ends one of them, which is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again() {
    let place = Place::new();
    place.run("CREATE TABLE t (id bigint, name text)").await;
    let connection = open(Config { lock_timeout: "20s".parse().unwrap(), ..place.config() });
    write(&connection, &specs::sink("t", Mode::Append), 1, &people([1])).await.unwrap();
    let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
    let rows = people([2]);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows).await.unwrap();
    // The server ends whoever finds out first: that must not be the other one.
    let other = session("postgres").await;
    let begun = format!(
        "SET search_path = {}; BEGIN; SET deadlock_timeout = '1h'; UPDATE _vitrina_records SET rows = rows",
        quote(&place.schema)
    );
    other.batch_execute(&begun).await.unwrap();
    let waits = tokio::spawn(async move { other.batch_execute("LOCK TABLE t; COMMIT").await });
    let error = staged.commit().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    assert!(error.to_string().contains("40P01") && error.kind.policy().retry, "{error}");
    waits.await.unwrap().unwrap();
    write(&connection, &specs::sink("t", Mode::Append), 2, &rows).await.unwrap();
    assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people([1, 2]))));
}

/// Without the right to write nothing is written, and the GRANT is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_to_write_names_the_grant() {
    let place = Place::new();
    let user = setting("USER");
    write(&place.open(), &specs::sink("t", Mode::Append), 1, &people([1])).await.unwrap();
    for (table, right) in [("t", "INSERT"), ("_vitrina_records", "UPDATE")] {
        place.run(&format!("REVOKE {right} ON {table} FROM {user}")).await;
        let error = write(&place.open(), &specs::sink("t", Mode::Append), 2, &people([2])).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(
            error.advice().contains(&format!("UPDATE, DELETE ON {table}")),
            "{error} | {}",
            error.advice()
        );
        place.run(&format!("GRANT {right} ON {table} TO {user}")).await;
    }
    assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people([1]))));
}

/// A lock that somebody holds on is told as one, and tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_waited_for_so_long() {
    let place = Place::new();
    let connection = open(Config { lock_timeout: "200ms".parse().unwrap(), ..place.config() });
    write(&connection, &specs::sink("t", Mode::Append), 1, &people([1])).await.unwrap();
    let other = place.stranger().await;
    other.batch_execute("BEGIN; LOCK TABLE t IN SHARE MODE").await.unwrap();
    for mode in [Mode::Append, Mode::Replace] {
        let error = write(&connection, &specs::sink("t", mode), 2, &people([2])).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy, "{error}");
        assert!(error.advice().contains("pg_locks"), "{error} | {}", error.advice());
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    write(&connection, &specs::sink("t", Mode::Append), 2, &people([2])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table_is_waited_for_so_long() {
    let place = Place::new();
    place.run("CREATE TABLE t (id bigint)").await;
    let other = place.stranger().await;
    other.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    let connection = open(Config { statement_timeout: Some("300ms".parse().unwrap()), ..place.config() });
    let source = connection.source(&whole("t")).await.unwrap();
    let head = source.head().await.unwrap();
    let error = source.plan(None, &head, crate::contract::reading::WIDE).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("table \"t\" of connection"), "{error}");
    assert!(error.advice().contains("`statement_timeout`"), "{}", error.advice());
    other.batch_execute("ROLLBACK").await.unwrap();
    assert!(source.plan(None, &head, crate::contract::reading::WIDE).await.unwrap().is_some());
}

/// The server ends the session that holds a stage: nothing is there, and the next attempt does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_takes_its_stage_with_it() {
    let place = Place::new();
    let spec = specs::sink("t", Mode::Merge);
    let cutter = Cutter::new(true).await;
    let connection = cutter.open(&place);
    write(&connection, &spec, 1, &people([1])).await.unwrap();
    let sink = connection.sink(&spec).await.unwrap();
    let rows = people(1..=5);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Merge, 2, &rows), &attempt(), &rows).await.unwrap();
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE client_port = ANY ($1)";
    let ports: Vec<i32> = cutter.ports.lock().unwrap().clone();
    let count: i64 = session("postgres").await.query_one(ended, &[&ports]).await.unwrap().get(0);
    assert!(count > 0);
    let error = staged.commit().await.unwrap_err();
    assert!(error.kind.policy().retry, "{error}");
    assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people([1]))));
    write(&connection, &spec, 2, &rows).await.unwrap();
    assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&rows)));
}

/// What a connection that is cut does to a commit: its answer is lost, not the commit.
struct Cutter {
    port: u16,
    armed: Arc<AtomicBool>,
    /// Ports that the server sees.
    ports: Arc<Mutex<Vec<i32>>>,
}

impl Cutter {
    /// Stands before the server, and hangs up right behind a COMMIT once it is armed. With `forward` the server hears the COMMIT.
    async fn new(forward: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let (watched, ports) = (armed.clone(), Arc::new(Mutex::default()));
        let known: Arc<Mutex<Vec<i32>>> = ports.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = (setting("HOST"), setting("PORT").parse::<u16>().unwrap());
                let server = TcpStream::connect(server).await.unwrap();
                known.lock().unwrap().push(server.local_addr().unwrap().port().into());
                tokio::spawn(Self::pass(client, server, watched.clone(), forward));
            }
        });
        Self { port, armed, ports }
    }

    async fn pass(client: TcpStream, server: TcpStream, armed: Arc<AtomicBool>, forward: bool) {
        let (mut from_server, mut to_server) = server.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        let lost = Arc::new(AtomicBool::new(false));
        let (losing, (answered, answer)) = (lost.clone(), oneshot::channel());
        let back = tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                if losing.load(Ordering::SeqCst) {
                    let _ = answered.send(());
                    return;
                }
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        });
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            let sent = &buffer[..count];
            let commits = sent.windows(7).any(|part| part == b"COMMIT\0");
            if commits && armed.swap(false, Ordering::SeqCst) {
                lost.store(true, Ordering::SeqCst);
                if forward {
                    to_server.write_all(sent).await.unwrap();
                    answer.await.expect("the server answers a COMMIT");
                }
                back.abort();
                return;
            }
            if to_server.write_all(sent).await.is_err() {
                return;
            }
        }
    }

    fn open(&self, place: &Place) -> Arc<dyn Connection> {
        open(self.config(place))
    }

    fn config(&self, place: &Place) -> Config {
        Config { host: "127.0.0.1".to_owned(), port: self.port, ..place.config() }
    }
}

async fn record(sink: &dyn Sink) -> Option<Record> {
    sink.peek(&track("mrf1")).await.unwrap()
}

/// The connection is cut after COMMIT was sent and before its answer: the record says what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_found_in_the_record() {
    let cases = [(true, Mode::Append), (false, Mode::Append), (true, Mode::Merge), (true, Mode::Replace)];
    let kinds = [open as fn(Config) -> Arc<dyn Connection>, open_greenplum];
    for ((forward, mode), open) in cases.iter().flat_map(|case| kinds.map(|open| (*case, open))) {
        let place = Place::new();
        let cutter = Cutter::new(forward).await;
        let connection = open(cutter.config(&place));
        let spec = specs::sink("t", mode);
        let sink = connection.sink(&spec).await.unwrap();
        let rows = people(1..=5);
        let mine = attempt();
        let staged = stage(sink.as_ref(), &track("mrf1"), &unit(mode, 1, &rows), &mine, &rows).await.unwrap();
        cutter.armed.store(true, Ordering::SeqCst);
        let error = staged.commit().await.unwrap_err();
        assert!(error.kind.policy().retry, "{error}");
        let found = record(sink.as_ref()).await;
        assert_eq!(
            found.as_ref().map(|record| record.attempt == mine.id),
            forward.then_some(true),
            "{mode} {forward}"
        );
        if !forward {
            write(&connection, &spec, 1, &rows).await.unwrap();
        }
        assert_eq!(
            target_through(place.open().as_ref(), "t").await,
            Some(sorted_text(&rows)),
            "{mode} {forward}"
        );
    }
}

/// A reader that is dropped asks the server to stop: nobody sorts on for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_reader_stops_the_server() {
    use futures::StreamExt;
    let place = Place::new();
    place.run("CREATE VIEW endless AS SELECT g AS id, pg_sleep(0.001)::text AS nap FROM generate_series(1, 100000000) AS g").await;
    let connection = place.open();
    let schema = connection.catalog().schema(&place.schema).unwrap();
    let table = schema.table("endless").await.unwrap().unwrap();
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_table("endless", table).unwrap();
    let mut stream = engine.sql("SELECT * FROM endless").await.unwrap().execute_stream().await.unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%endless%' AND query LIKE $1";
    let mine = format!("%{}%", place.schema.trim_start_matches("t ").trim_matches('"'));
    let watch = place.stranger().await;
    let count = async || -> i64 { watch.query_one(running, &[&mine]).await.unwrap().get(0) };
    let begun = std::time::Instant::now();
    while count().await == 0 {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "the server does not read");
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), stream.next()).await;
    }
    drop(stream);
    while count().await > 0 {
        assert!(begun.elapsed() < std::time::Duration::from_mins(2), "the server reads on");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
