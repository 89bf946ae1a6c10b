//! Servers and users that go wrong: each is an error of the right kind with what to do, and leaves nothing half done.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

use arrow::{array::TimestampSecondArray, record_batch::RecordBatch};
use vitrina::{
    connector::{
        clickhouse::config::{Config, SinkOptions as ClickHouse, Urls},
        connection::Connection,
        error::{Error, ErrorKind},
        sink::{Sink, SinkOptions, SinkSpec},
    },
    model::{delivery::Mode, secret::Secret},
};

use super::{read_all, whole};
use crate::{
    contract::writing::{stage, stage_claimed, target_through},
    support::{
        clickhouse::{Place, config, open, setting},
        own::Own,
        proxy::Proxy,
        rows::{batch, cast_to, ints, people, sorted_text},
        specs::{self, attempt, track, unit},
    },
};

async fn write(
    connection: &Arc<dyn Connection>,
    table: &str,
    at: i64,
    rows: &RecordBatch,
) -> Result<(), Error> {
    let sink = connection.sink(&specs::sink(table, Mode::Append)).await?;
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, at, rows), &attempt(), rows).await?;
    staged.commit().await.map(|_| ())
}

async fn refused(config: Config) -> Error {
    let Err(error) = open(config).probe().await else { panic!("this must be refused") };
    assert!(!format!("{error} {}", error.advice()).contains(&setting("PASSWORD")), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_come_in_is_told_so() {
    let wrong = Config { password: Some(Secret::Literal("wrong".to_owned())), ..config() };
    let error = refused(wrong).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.to_string().contains("connection \"place\" refuses the user or the password"), "{error}");
    assert!(error.advice().contains("`user` and `password`"), "{}", error.advice());
    let nowhere = Config { database: "nowhere".to_owned(), ..config() };
    let error = refused(nowhere).await;
    assert_eq!(error.kind, ErrorKind::NotFound);
    let told = error.to_string();
    assert!(told.contains("connection \"place\"") && told.contains("nowhere"), "{told}");
    assert!(error.advice().contains("CREATE DATABASE"), "{}", error.advice());
    let closed = Config { url: Urls::One("http://127.0.0.1:1".to_owned()), ..config() };
    assert_eq!(refused(closed).await.kind, ErrorKind::Unreachable);
    let unknown = Config { url: Urls::One("http://no-such-host.invalid:8123".to_owned()), ..config() };
    let error = refused(unknown).await;
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.advice().contains("nobody knows this name"), "{error}: {}", error.advice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_may_read() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1, 2])).await.unwrap();
    let reader = open(Config { user: "reader".to_owned(), ..place.config.clone() });
    assert_eq!(reader.probe().await.unwrap().rights, ["read"]);
    assert_eq!(target_through(reader.as_ref(), "t").await, Some(sorted_text(&people([1, 2]))));
    let held = read_all(reader.as_ref(), &whole("t")).await.unwrap();
    assert_eq!(sorted_text(&held[0].batch), sorted_text(&people([1, 2])));
    let error = write(&reader, "t", 2, &people([3])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.advice().contains("a profile without `readonly`"), "{error}: {}", error.advice());

    let strict = open(Config { user: "strict".to_owned(), ..place.config.clone() });
    let error = read_all(strict.as_ref(), &whole("t")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.advice().contains("readonly = 2"), "{}", error.advice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_once_is_refused() {
    let place = Place::new();
    let t = |name: &str| place.table(name);
    place.run(&format!("CREATE TABLE {} (id Int64, name Nullable(String)) ENGINE = Log", t("log")));
    place.run(&format!(
        "CREATE TABLE {} (id Int64, name Nullable(String)) ENGINE = MergeTree ORDER BY id",
        t("fed")
    ));
    place.run(&format!("CREATE TABLE {} (id Int64) ENGINE = MergeTree ORDER BY id", t("other")));
    place.run(&format!(
        "CREATE MATERIALIZED VIEW {} TO {} AS SELECT id FROM {}",
        t("view"),
        t("other"),
        t("fed")
    ));
    for (table, told) in [("log", "engine Log"), ("fed", "materialized views")] {
        let error = write(&place.open(), table, 1, &people([1])).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{table}");
        assert!(error.to_string().contains(told), "{error}");
    }
    // Nothing is made of an engine that is refused.
    for engine in ["ReplicatedMergeTree('/t/{uuid}', '{replica}')", "SharedMergeTree", "Memory"] {
        let told = ClickHouse { engine: Some(engine.to_owned()), ..ClickHouse::default() };
        let options = SinkOptions { clickhouse: Some(told), ..SinkOptions::default() };
        let spec = SinkSpec { options, ..specs::sink("never", Mode::Append) };
        let sink = place.open().sink(&spec).await.unwrap();
        let error = sink.claim(&track("mrf1"), &people([1]).schema()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("is of engine {engine}")), "{error}");
        let by_keeper = error.advice().contains("CREATE DATABASE … ENGINE = Replicated");
        assert_eq!(by_keeper, engine.starts_with("Replicated"), "{engine}: {}", error.advice());
    }
    let memory = open(Config { database: "default".to_owned(), ..config() });
    let error = write(&memory, "never", 1, &people([1])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.advice().contains("ENGINE = Atomic"), "{}", error.advice());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_the_server_are_told() {
    let place = Place::new();
    place.run(&format!("CREATE TABLE {} (id Int64) ENGINE = MergeTree ORDER BY id", place.table("big")));
    place.run(&format!("INSERT INTO {} SELECT number FROM numbers(3000000)", place.table("big")));
    let with = |name: &str, value: &str| Config {
        settings: [(name.to_owned(), value.to_owned())].into(),
        ..place.config.clone()
    };
    let by_id = vitrina::connector::source::SourceSpec {
        cursor: Some(specs::cursor("id")),
        ..specs::undeclared("big")
    };
    for (settings, kind, told) in [
        (with("max_memory_usage", "1000"), ErrorKind::Busy, "more memory than the server or the user has"),
        (with("max_rows_to_read", "10"), ErrorKind::Limit, "(code 158)"),
        (with("no_such_setting", "1"), ErrorKind::Unsupported, "no_such_setting"),
    ] {
        let error = read_all(open(settings).as_ref(), &by_id).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        let all = format!("{error} | {}", error.advice());
        assert!(all.contains("table \"big\" of connection \"place\"") && all.contains(told), "{all}");
    }
    // A profile that cuts every answer cuts none of ours.
    for cut in ["limit", "offset"] {
        let held = read_all(open(with(cut, "10")).as_ref(), &by_id).await.unwrap();
        let rows: usize = held.iter().map(|held| held.batch.num_rows()).sum();
        assert_eq!(rows, 3_000_000, "{cut}");
    }
}

/// Limits that would only end an answer, by a profile that says `break`: half an answer is never taken for a whole one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_breaks_off_is_an_error() {
    let place = Place::new();
    let t = place.table("cut");
    place.run(&format!("CREATE TABLE {t} (id Int64) ENGINE = MergeTree ORDER BY id"));
    place.run(&format!("INSERT INTO {t} SELECT number FROM numbers(300000)"));
    let view = format!("CREATE VIEW {} AS SELECT DISTINCT id % 1000 AS id FROM {t}", place.table("few"));
    place.run(&view);
    for (mode, limit, table) in [
        ("read_overflow_mode", ("max_rows_to_read", "1000"), "cut"),
        ("result_overflow_mode", ("max_result_rows", "1000"), "cut"),
        ("distinct_overflow_mode", ("max_rows_in_distinct", "10"), "few"),
    ] {
        let settings = [(mode, "break"), limit, ("max_block_size", "500")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let connection = open(Config { settings, ..place.config.clone() });
        let schema = connection.catalog().schema(&place.config.database).unwrap();
        let found = schema.table(table).await.unwrap().unwrap();
        let engine = datafusion::execution::context::SessionContext::new();
        engine.register_table(table, found).unwrap();
        let rows = engine.sql(&format!("SELECT id FROM {table}")).await.unwrap().collect().await;
        let error = rows.map(|rows| rows.iter().map(RecordBatch::num_rows).sum::<usize>());
        let error = error.expect_err(mode).to_string();
        assert!(
            error.contains("(code 158)") || error.contains("(code 396)") || error.contains("(code 191)"),
            "{mode}: {error}"
        );
    }
}

/// A statement may take so long, on the server; a server that says nothing at all is waited for a little longer than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outs_are_told_and_tried_again() {
    let place = Place::new();
    place.run(&format!(
        "CREATE VIEW {} AS SELECT number AS id, sleepEachRow(0.2) AS nap FROM numbers(1000) SETTINGS max_block_size = 1",
        place.table("slow")
    ));
    let hasty = Config { statement_timeout: Some("1s".parse().unwrap()), ..place.config.clone() };
    let error = read_all(open(hasty).as_ref(), &whole("slow")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.advice().contains("`statement_timeout`"), "{}", error.advice());

    let server = Own::clickhouse();
    let hasty = Config { statement_timeout: Some("1s".parse().unwrap()), ..server.as_clickhouse() };
    let frozen = server.freeze();
    let error = open(hasty.clone()).probe().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("the server said nothing for 31s"), "{error}");
    assert!(error.kind.policy().retry);
    drop(frozen);
    open(hasty.clone()).probe().await.unwrap();

    // In the middle of what is written.
    let place = Place::on(hasty);
    let rows = people([1, 2]);
    let sink = place.open().sink(&specs::sink("t", Mode::Append)).await.unwrap();
    let (track, unit, attempt) = (track("mrf1"), unit(Mode::Append, 1, &rows), attempt());
    let claim = sink.claim(&track, &rows.schema()).await.unwrap();
    let frozen = server.freeze();
    let error =
        stage_claimed(sink.as_ref(), &track, &claim, &unit, &attempt, &rows).await.map(|_| ()).unwrap_err();
    assert!(error.kind == ErrorKind::Timeout && error.kind.policy().retry, "{error}");
    drop(frozen);
    write(&place.open(), "t", 1, &rows).await.unwrap();
}

/// A time that the target's type has no place for stops the slice; the server would take it, and show another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_beyond_the_type_are_bad_data() {
    let place = Place::new();
    let (early, late) = (-1, 4_294_967_296);
    place.run(&format!(
        "CREATE TABLE {} (id Int64, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id",
        place.table("times")
    ));
    for (second, fits) in [(early, false), (late, false), (0, true), (late - 1, true)] {
        let at = TimestampSecondArray::from(vec![second]).with_timezone("UTC");
        let rows = batch(vec![("id", ints([1])), ("at", Arc::new(at))]);
        let spec = specs::sink("times", Mode::Append);
        let sink = place.open().sink(&spec).await.unwrap();
        let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
        let rows = cast_to(&rows, &claim.schema);
        let staged =
            stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, second, &rows), &attempt(), &rows).await;
        match staged {
            Ok(staged) => {
                assert!(fits, "{second} was taken");
                staged.commit().await.unwrap();
            }
            Err(error) => {
                assert!(!fits && error.kind == ErrorKind::BadData, "{second}: {error}");
                let told = format!("{error} {}", error.advice());
                assert!(
                    told.contains("column \"at\" has a date or time") && told.contains("1970 to 2106"),
                    "{told}"
                );
            }
        }
    }
    let found = place.run(&format!("SELECT toUInt32(at) FROM {} ORDER BY at", place.table("times")));
    assert_eq!(found.split_whitespace().collect::<Vec<_>>(), ["0", "4294967295"]);
}

/// A table that somebody alters between two slices: what goes away is told by name, and nothing is written by another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_altered_between_slices_is_told() {
    let place = Place::new();
    let connection = place.open();
    write(&connection, "altered", 1, &people([1, 2])).await.unwrap();
    let sink = connection.sink(&specs::sink("altered", Mode::Append)).await.unwrap();
    let by_id = vitrina::connector::source::SourceSpec {
        cursor: Some(specs::cursor("id")),
        ..specs::source("altered", &people([1]))
    };
    let source = connection.source(&by_id).await.unwrap();
    let head = source.head().await.unwrap();
    let planned = source.plan(None, &head, crate::contract::reading::WIDE).await.unwrap().unwrap();
    let rows = people([3]);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows).await.unwrap();
    place.run(&format!("ALTER TABLE {} RENAME COLUMN name TO title", place.table("altered")));
    let error = crate::contract::reading::try_read(source.as_ref(), &planned).await.map(|_| ()).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::SchemaChanged | ErrorKind::NotFound), "{error}");
    assert!(error.to_string().contains("name"), "{error}");
    // A stage of the old columns does not become rows of the new ones.
    let error = staged.commit().await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("altered"), "{error}");
    let error = write(&connection, "altered", 2, &rows).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaChanged, "{error}");
    assert_eq!(place.run(&format!("SELECT count() FROM {}", place.table("altered"))).trim(), "2");
    place.run(&format!("ALTER TABLE {} RENAME COLUMN title TO name", place.table("altered")));
    let sink = place.open().sink(&specs::sink("altered", Mode::Append)).await.unwrap();
    sink.recover(&track("mrf1")).await.unwrap();
    if sink.peek(&track("mrf1")).await.unwrap().unwrap().seq == 1 {
        write(&place.open(), "altered", 2, &rows).await.unwrap();
    }
    assert_eq!(target_through(place.open().as_ref(), "altered").await, Some(sorted_text(&people(1..=3))));
}

/// A server that is none, in many ways: what it says is no rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_no_answer() {
    for (status, body, kind) in [
        ("200 OK", "<html>sign in</html>", ErrorKind::Unreachable),
        ("502 Bad Gateway", "<html>502</html>", ErrorKind::Unreachable),
    ] {
        let error = refused(Config { url: Urls::One(says(status, body)), ..config() }).await;
        assert_eq!(error.kind, kind, "{status} {body}: {error}");
        assert!(error.to_string().contains("what answers is no ClickHouse: it says a web page"), "{error}");
        assert!(error.advice().contains("a proxy, a load balancer"), "{}", error.advice());
    }
}

/// What the server 18.16 of a Linux distribution answers to the first question, as it was recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_told() {
    for (status, body, kind, told) in [
        ("200 OK", "18.16.1\n", ErrorKind::Unsupported, "ClickHouse 18.16.1 is too old"),
        (
            "404 Not Found",
            "Code: 81, e.displayText() = DB::Exception: Database nowhere doesn't exist, e.what() = DB::Exception\n",
            ErrorKind::NotFound,
            ": Database nowhere doesn't exist (code 81)",
        ),
        (
            "401 Unauthorized",
            "Code: 193, e.displayText() = DB::Exception: Wrong password for user default, e.what() = DB::Exception\n",
            ErrorKind::Denied,
            "refuses the user or the password (code 193)",
        ),
    ] {
        let error = refused(Config { url: Urls::One(says(status, body)), ..config() }).await;
        assert_eq!(error.kind, kind, "{body}: {error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// A server that says the same to everybody.
fn says(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

/// Half an answer is an error, wherever it is cut; so is an exception behind rows that were sent already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_cut_short_is_no_short_answer() {
    let place = Place::new();
    let t = place.table("long");
    place.run(&format!("CREATE TABLE {t} (id Int64, name String) ENGINE = MergeTree ORDER BY id"));
    place.run(&format!("INSERT INTO {t} SELECT number, repeat('я', 200) FROM numbers(400000)"));
    let proxy = Proxy::new();
    proxy.lead_to(setting("URL").trim_start_matches("http://"));
    let through =
        open(Config { url: Urls::One(format!("http://{}", proxy.address)), ..place.config.clone() });
    let source = through.source(&whole("long")).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, crate::contract::reading::WIDE).await.unwrap().unwrap();
    let mut chunks = source.read(&unit).await.unwrap();
    assert!(futures::StreamExt::next(&mut chunks).await.unwrap().is_ok());
    proxy.cut();
    let mut last = Ok(());
    while let Some(chunk) = futures::StreamExt::next(&mut chunks).await {
        last = chunk.map(|_| ());
    }
    let error = last.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("table \"long\" of connection \"place\""), "{error}");
    assert!(error.kind.policy().retry);

    let throwing = format!(
        "CREATE VIEW {} AS SELECT throwIf(number = 3000000, 'stop') AS x FROM numbers(4000000)",
        place.table("thrower")
    );
    place.run(&throwing);
    let error = read_all(place.open().as_ref(), &whole("thrower")).await.unwrap_err();
    assert!(error.to_string().contains("table \"thrower\" of connection \"place\""), "{error}");
    assert!(error.to_string().contains("(code 395)") && !error.kind.policy().retry, "{error}");
}

/// A server that is killed in the middle of writing: what was committed is there once, and it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing() {
    let server = Own::clickhouse();
    let place = Place::on(server.as_clickhouse());
    let connection = place.open();
    write(&connection, "t", 1, &people(1..=100)).await.unwrap();
    let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
    let rows = people(101..=200);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows).await.unwrap();
    server.kill();
    let error = staged.commit().await.unwrap_err();
    assert!(error.kind.policy().retry, "{error}");
    assert!(error.to_string().contains("table \"t\" of connection \"place\""), "{error}");
    server.start();
    let sink: Arc<dyn Sink> = place.open().sink(&specs::sink("t", Mode::Append)).await.unwrap();
    sink.recover(&track("mrf1")).await.unwrap();
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 1);
    write(&place.open(), "t", 2, &rows).await.unwrap();
    server.kill();
    server.start();
    assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people(1..=200))));
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2);
}

/// A reader that is dropped stops its query: the server does not count on for nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_reader_stops_the_server() {
    use futures::StreamExt;
    let place = Place::new();
    let view = place.table("endless");
    place.run(&format!(
        "CREATE VIEW {view} AS SELECT number AS id FROM numbers(1000000000000) WHERE sipHash64(number) = 7"
    ));
    let connection = place.open();
    let schema = connection.catalog().schema(&place.config.database).unwrap();
    let table = schema.table("endless").await.unwrap().unwrap();
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_table("endless", table).unwrap();
    let mut stream = engine.sql("SELECT * FROM endless").await.unwrap().execute_stream().await.unwrap();
    let mine = place.config.database.trim_start_matches("t `");
    let running = format!("SELECT count() FROM system.processes WHERE query LIKE '%{mine}%endless%'");
    let others = || place.run(&format!("{running} AND query NOT LIKE '%system.processes%'"));
    let begun = std::time::Instant::now();
    while others().trim() == "0" {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "the server does not count");
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), stream.next()).await;
    }
    drop(stream);
    while others().trim() != "0" {
        assert!(begun.elapsed() < std::time::Duration::from_mins(2), "the server counts on");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
