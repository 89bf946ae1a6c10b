//! What is read of a table that is read in slices, and what wakes those who wait for news: of tables with parts, and of what has none of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use vitrina::connector::{
    clickhouse::config::{Config, Urls},
    source::{CursorSpec, Source, SourceSpec},
};

use super::{read_all, whole};
use crate::{
    contract::reading::{most, plan_all, read},
    support::{
        clickhouse::{Granting, Place, open, send},
        proxy::{Fate, Proxy},
        rows::text,
        specs,
    },
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Rows by their column `at`.
fn by_cursor(table: &str) -> SourceSpec {
    SourceSpec { cursor: Some(specs::cursor("at")), ..specs::undeclared(table) }
}

/// Waits for news that `insert` makes.
async fn hears(source: &dyn Source, insert: impl FnOnce()) {
    source.head().await.unwrap();
    insert();
    tokio::time::timeout(PATIENCE, source.changed()).await.expect("changed() sleeps on");
}

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
        hears(source.as_ref(), || drop(place.inside(&format!("INSERT INTO {into} VALUES (1, 'а')")))).await;
        let held = read_all(connection.as_ref(), &whole(table)).await.unwrap();
        assert_eq!(text(&held[0].batch), ["1|а"], "{table}");
        let cursor = SourceSpec { cursor: Some(specs::cursor("id")), ..specs::undeclared(table) };
        let source = connection.source(&cursor).await.unwrap();
        hears(source.as_ref(), || drop(place.inside(&format!("INSERT INTO {into} VALUES (2, 'б')")))).await;
    }
}

/// What was asked through a proxy so far.
#[derive(Default)]
struct Asked {
    parts: AtomicUsize,
    ends: AtomicUsize,
}

impl Asked {
    async fn parts_again(&self) {
        let before = self.parts.load(Ordering::SeqCst);
        let more = async {
            while self.parts.load(Ordering::SeqCst) < before + 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("nobody looks at the parts");
    }

    fn ends(&self) -> usize {
        self.ends.load(Ordering::SeqCst)
    }
}

/// A run that follows a cursor looks at the table's parts, and asks where the cursor ends only when they have moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_is_asked_for_when_parts_have_moved() {
    let place = Place::new();
    place.inside("CREATE TABLE t (id Int64, at Int64) ENGINE = MergeTree ORDER BY id");
    place.inside("SYSTEM STOP MERGES t");
    place.inside("INSERT INTO t VALUES (1, 1)");
    let (proxy, asked) = (Proxy::new(), Arc::new(Asked::default()));
    let Urls::One(url) = &place.config.url else { panic!("one url") };
    proxy.lead_to(url.trim_start_matches("http://"));
    let counted = Arc::clone(&asked);
    let sees = move |sent: &[u8]| {
        let sent = String::from_utf8_lossy(sent);
        counted.parts.fetch_add(usize::from(sent.contains("system.parts")), Ordering::SeqCst);
        counted.ends.fetch_add(usize::from(sent.contains(" DESC LIMIT 1")), Ordering::SeqCst);
        false
    };
    proxy.trap(sees, || Fate::Passes);
    let url = Urls::One(format!("http://{}", proxy.address));
    let connection = open(Config { url, ..place.config.clone() });
    let source = connection.source(&by_cursor("t")).await.unwrap();
    source.head().await.unwrap();
    let waiting = Arc::clone(&source);
    let waiting = tokio::spawn(async move { waiting.changed().await });
    asked.parts_again().await;
    asked.parts_again().await;
    assert_eq!(asked.ends(), 2, "for the head, and once more with the parts that it ended in");
    // A part that the cursor does not reach: it is asked for, and is no news.
    place.inside("INSERT INTO t VALUES (2, 0)");
    asked.parts_again().await;
    asked.parts_again().await;
    assert_eq!((asked.ends(), waiting.is_finished()), (3, false));
    place.inside("INSERT INTO t VALUES (3, 2)");
    tokio::time::timeout(PATIENCE, waiting).await.expect("changed() sleeps on").unwrap();
    // What came between two waits is heard of, too.
    hears(source.as_ref(), || drop(place.inside("INSERT INTO t VALUES (4, 3)"))).await;
}

/// Rows, and their bytes in the columns that were asked for, that a server has read since it began.
fn read_so_far(place: &Place) -> [u64; 2] {
    ["SelectedRows", "SelectedBytes"].map(|event| {
        let sql = format!("SELECT sum(value) FROM system.events WHERE event = '{event}'");
        place.run(&sql).trim().parse().unwrap()
    })
}

/// Slices are planned by their keys alone, each by its own range of them: whatever else a row has is read once. A server that reads in the order of a table takes blocks of each of its parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_not_scanned_twice() {
    const ROWS: u64 = 400_000;
    const BYTES: u64 = ROWS * 400;
    let own = Granting::start(&[]);
    let place = Place::on(own.config());
    place.inside("CREATE TABLE t (at DateTime64(6, 'UTC'), id Int64, name String) ENGINE = MergeTree ORDER BY (at, id) SETTINGS index_granularity = 512");
    place.inside("SYSTEM STOP MERGES t");
    for part in 0..2 {
        let half = ROWS / 2;
        place.inside(&format!(
            "INSERT INTO t SELECT toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + intDiv(number, 3), number, randomPrintableASCII(400) FROM numbers({}, {half})",
            part * half
        ));
    }
    let cursor = CursorSpec { tie: Some("id".to_owned()), ..specs::cursor("at") };
    let spec = SourceSpec { cursor: Some(cursor), ..specs::undeclared("t") };
    let connection = place.open();
    let source = connection.source(&spec).await.unwrap();
    let begun = read_so_far(&place);
    let head = source.head().await.unwrap();
    let units = plan_all(source.as_ref(), None, &head, most(20_000)).await;
    assert_eq!(units.len(), 20);
    let planned = read_so_far(&place);
    for unit in &units {
        assert_eq!(read(source.as_ref(), unit).await.batch.num_rows(), 20_000);
    }
    let ended = read_so_far(&place);
    let [rows, bytes] = [0, 1].map(|at| planned[at] - begun[at]);
    assert!(rows < 3 * ROWS, "{rows} rows are read for the plans");
    assert!(bytes < BYTES / 3, "{bytes} bytes are read for the plans");
    let [rows, bytes] = [0, 1].map(|at| ended[at] - planned[at]);
    assert!((ROWS..ROWS * 3 / 2).contains(&rows), "{rows} rows are read");
    assert!((BYTES..BYTES * 3 / 2).contains(&bytes), "{bytes} bytes are read");
}

/// Who may not see parts hears of news all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_may_not_be_seen_are_not_needed() {
    let own = Granting::start(&["few:pw:GRANT SELECT ON shop.t"]);
    let admin = own.config();
    let run = |sql: &str| drop(send(&admin, sql).unwrap_or_else(|error| panic!("{sql}: {error}")));
    run("CREATE DATABASE shop ENGINE = Atomic");
    run("CREATE TABLE shop.t (id Int64, at Int64) ENGINE = MergeTree ORDER BY id");
    run("INSERT INTO shop.t VALUES (1, 1)");
    let few = Config {
        user: "few".to_owned(),
        password: Some(vitrina::model::secret::Secret::Literal("pw".to_owned())),
        database: "shop".to_owned(),
        ..admin.clone()
    };
    let connection = open(few);
    for (spec, row) in [(by_cursor("t"), "(2, 2)"), (whole("t"), "(3, 3)")] {
        let source = connection.source(&spec).await.unwrap();
        hears(source.as_ref(), || run(&format!("INSERT INTO shop.t VALUES {row}"))).await;
    }
}
