//! Replicas: one stands in for another, also between planning and reading, and one that is behind ends no run short.

use std::sync::Arc;

use vitrina::{
    connector::{
        clickhouse::config::{Config, Urls},
        error::ErrorKind,
        source::{Source, SourceSpec},
    },
    model::{position::Position, unit::Unit},
};

use crate::{
    contract::{
        reading::{most, try_read},
        writing::target_through,
    },
    support::{
        clickhouse::{Place, open, quote, setting},
        own::Own,
        rows::text,
        specs,
    },
};

const TABLE: &str = "CREATE TABLE t (id Int64, name Nullable(String)) ENGINE = MergeTree ORDER BY id";

/// Two servers that made the same table, each for itself; the first can be killed.
struct Pair {
    first: Place,
    second: Place,
    server: Own,
}

impl Pair {
    fn new() -> Self {
        let (server, second) = (Own::clickhouse(), Place::new());
        let first = Place { config: Config { url: server.as_clickhouse().url, ..second.config.clone() } };
        first.run(&format!("CREATE DATABASE {} ENGINE = Atomic", quote(&first.config.database)));
        for place in [&first, &second] {
            place.inside(TABLE);
        }
        Self { first, second, server }
    }

    /// Both as one connection, and its table by its cursor.
    async fn source(&self) -> Arc<dyn Source> {
        let url = |place: &Place| match &place.config.url {
            Urls::One(url) => url.clone(),
            Urls::Several(_) => panic!("one url"),
        };
        let several = Urls::Several(vec![url(&self.first), url(&self.second)]);
        let connection = open(Config { url: several, ..self.second.config.clone() });
        let spec = SourceSpec { cursor: Some(specs::cursor("id")), ..specs::undeclared("t") };
        connection.source(&spec).await.unwrap()
    }
}

fn fill(place: &Place, from: u64, count: u64) {
    place.inside(&format!("INSERT INTO t SELECT number, toString(number) FROM numbers({from}, {count})"));
}

async fn plan(source: &dyn Source, from: Option<&Position>, head: &Position) -> Option<Unit> {
    source.plan(from, head, most(4)).await.unwrap()
}

async fn read(source: &dyn Source, unit: &Unit) -> Vec<String> {
    text(&try_read(source, unit).await.unwrap().batch)
}

/// The next address is asked where one cannot be reached; such a connection is read only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_address_is_asked() {
    let place = Place::new();
    place.inside(TABLE);
    place.inside("INSERT INTO t SELECT 1, 'а'");
    let urls = vec!["http://127.0.0.1:1".to_owned(), setting("URL")];
    let several = open(Config { url: Urls::Several(urls), ..place.config.clone() });
    assert_eq!(target_through(several.as_ref(), "t").await, Some(vec!["1|а".to_owned()]));
    let sink = specs::sink("t", vitrina::model::delivery::Mode::Append);
    let Err(error) = several.sink(&sink).await else { panic!("it is read only") };
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

/// A replica that dies behind a plan, or between two runs, is stood in for, though the other's table has another number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_by_another_replica() {
    let pair = Pair::new();
    for place in [&pair.first, &pair.second] {
        fill(place, 1, 6);
    }
    let source = pair.source().await;
    let head = source.head().await.unwrap();
    let first = plan(source.as_ref(), None, &head).await.unwrap();
    pair.server.kill();
    assert_eq!(read(source.as_ref(), &first).await, ["1|1", "2|2", "3|3", "4|4"]);
    let second = plan(source.as_ref(), first.after.position(), &head).await.unwrap();
    assert_eq!(read(source.as_ref(), &second).await, ["5|5", "6|6"]);
    assert!(plan(source.as_ref(), second.after.position(), &head).await.is_none());
    fill(&pair.second, 7, 1);
    let source = pair.source().await;
    let head = source.head().await.unwrap();
    let third = plan(source.as_ref(), second.after.position(), &head).await.unwrap();
    assert_eq!(read(source.as_ref(), &third).await, ["7|7"]);
}

/// What a replica lacks is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_behind_ends_no_run_short() {
    let pair = Pair::new();
    fill(&pair.first, 1, 4);
    fill(&pair.second, 1, 3);
    let source = pair.source().await;
    let head = source.head().await.unwrap();
    let unit = plan(source.as_ref(), None, &head).await.unwrap();
    pair.server.kill();
    let behind = |error: vitrina::connector::error::Error, told: &str| {
        assert!(error.kind == ErrorKind::Busy && error.kind.policy().retry, "{error}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.advice().contains("how far its replicas are behind"), "{}", error.advice());
    };
    let error = try_read(source.as_ref(), &unit).await.map(|_| ()).unwrap_err();
    behind(error, "table \"t\" of connection \"place\": a replica gave 3 rows of 4");
    let error = source.plan(unit.after.position(), &head, most(4)).await.unwrap_err();
    behind(error, "ends before the position on the replica that answers");
    fill(&pair.second, 4, 1);
    assert_eq!(read(source.as_ref(), &unit).await.len(), 4);
}
