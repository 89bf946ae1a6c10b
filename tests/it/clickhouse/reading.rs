//! What wakes those who wait for news: of tables with parts, and of what has none of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use vitrina::connector::{
    clickhouse::config::{Config, Urls},
    source::{Source, SourceSpec},
};

use super::{read_all, whole};
use crate::support::{
    clickhouse::{Granting, Place, open, send},
    proxy::{Fate, Proxy},
    rows::text,
    specs,
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
