//! Keys and servers that go wrong: each is an error of the right kind that names the connection and says what to do, and tells no secret.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
};

use vitrina::{
    connector::{
        delta::config::Config,
        error::{Error, ErrorKind},
    },
    model::secret::Secret,
};

use super::{by_line, ids, write};
use crate::support::{
    bucket::{Place, Server, open, setting},
    line::Fate,
    rows::people,
};

fn literal(text: &str) -> Option<Secret> {
    Some(Secret::Literal(text.to_owned()))
}

/// What looking there says; it must be an error that tells no key.
async fn refused(config: &Config) -> Error {
    let Err(error) = open(config).probe().await else { panic!("this must be refused") };
    let told = format!("{error} {}", error.advice());
    for secret in ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "READER_SECRET_ACCESS_KEY"] {
        assert!(!told.contains(&setting(secret)), "{told}");
    }
    assert!(told.contains("connection `place`"), "{told}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_are_told() {
    let place = Place::new();
    let unknown = Config { access_key_id: literal("AKIANOBODYKNOWSTHIS1"), ..place.config() };
    let wrong = Config { secret_access_key: literal("wrong"), ..place.config() };
    for config in [unknown, wrong] {
        let error = refused(&config).await;
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(!error.kind.policy().retry);
        assert!(error.advice().contains("keys"), "{}", error.advice());
        let error = write(&open(&config), "t", 1, &people([1])).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.to_string().starts_with("table `t` of connection `place`"), "{error}");
    }
    let unset = Secret::Env { name: "VITRINA_TEST_NEVER_SET".to_owned(), default: None };
    let error = refused(&Config { secret_access_key: Some(unset), ..place.config() }).await;
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("`VITRINA_TEST_NEVER_SET` is not set"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_told() {
    let place = Place::new();
    let config = Config { path: "s3://nobody-made-this/lake".to_owned(), ..place.config() };
    let error = refused(&config).await;
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.advice().contains("make the bucket"), "{}", error.advice());
    let error = write(&open(&config), "t", 1, &people([1])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

/// A key that may only read reads, is told that it does, and hears so when it writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_may_read() {
    let place = Place::new();
    let fresh = place.open().probe().await.unwrap();
    assert_eq!((fresh.rights, fresh.notes.len()), (vec!["read".to_owned()], 1), "nothing shows yet");
    write(&place.open(), "t", 1, &people([1, 2])).await.unwrap();
    assert_eq!(place.open().probe().await.unwrap().rights, ["read", "write"]);
    let reader = open(&place.reader());
    let health = reader.probe().await.unwrap();
    assert_eq!(health.rights, ["read"]);
    assert!(health.notes[0].contains("can only be read"), "{:?}", health.notes);
    assert!(health.version.starts_with("S3 by delta-rs"), "{}", health.version);
    assert_eq!(ids(&reader, "t").await, ["1", "2"]);
    let error = write(&reader, "t", 2, &people([3])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.advice().contains("right to"), "{}", error.advice());
    assert_eq!(ids(&reader, "t").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_or_silent_is_told() {
    let place = Place::new();
    let closed = Config { endpoint: Some("http://127.0.0.1:1".to_owned()), ..place.config() };
    let error = refused(&closed).await;
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.kind.policy().retry && error.advice().contains("tried again"), "{}", error.advice());

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let timeout = Some("300ms".parse().unwrap());
    let error =
        refused(&Config { endpoint: Some(endpoint), request_timeout: timeout, ..place.config() }).await;
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(error.advice().contains("request_timeout"), "{}", error.advice());
}

/// A store that stays busy, fails by itself or answers as none does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_servers_that_fail() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    for (answer, kind) in [
        (
            "HTTP/1.1 503 Slow Down\r\nConnection: close\r\n\r\n<Error><Code>SlowDown</Code></Error>",
            ErrorKind::Busy,
        ),
        (
            "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n<Error><Code>InternalError</Code></Error>",
            ErrorKind::Unreachable,
        ),
        ("HTTP/1.1 301 Moved Permanently\r\nConnection: close\r\n\r\n", ErrorKind::Unsupported),
        (
            "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n\r\n<html>login</html>",
            ErrorKind::Unsupported,
        ),
    ] {
        let (_line, connection) = by_line(&place, move |_| Fate::Answer(answer));
        let error = connection.probe().await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.to_string().contains('<'), "{error}");
        let rows = sql_error(&connection).await;
        assert_eq!(rows.kind, kind, "{rows}");
    }
}

/// What a query says.
async fn sql_error(connection: &std::sync::Arc<dyn vitrina::connector::connection::Connection>) -> Error {
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_catalog("place", connection.catalog());
    engine.sql("SELECT id FROM place.public.t").await.map(drop).expect_err("it cannot be planned").into()
}

/// Data files fail while rows are read: what the store said comes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_out_of_reach_is_told() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let away = |request: &str| {
        let file = request.contains(".parquet") && request.starts_with("GET");
        if file {
            Fate::Answer(
                "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<Error><Code>AccessDenied</Code></Error>",
            )
        } else {
            Fate::Pass
        }
    };
    let (_line, connection) = by_line(&place, away);
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_catalog("place", connection.catalog());
    let rows = engine.sql("SELECT id FROM place.public.t").await.unwrap().collect().await;
    let error: Error = rows.unwrap_err().into();
    assert!(error.to_string().contains("of connection `place` refuses: 403 AccessDenied"), "{error}");
}

/// A store that has too much to do just when a file's footer is read, or its rows: the query is worth another try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_out_of_reach_for_a_moment_is_worth_another_try() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let busy = "HTTP/1.1 503 Slow Down\r\nConnection: close\r\n\r\n<Error><Code>SlowDown</Code></Error>";
    // The footer is fetched first, then the rows.
    for passed in 0..2 {
        let asked = AtomicUsize::new(0);
        let (_line, connection) = by_line(&place, move |request| {
            let file = request.contains(".parquet") && request.starts_with("GET");
            let late = file && asked.fetch_add(1, Ordering::Relaxed) >= passed;
            if late { Fate::Answer(busy) } else { Fate::Pass }
        });
        let engine = datafusion::execution::context::SessionContext::new();
        engine.register_catalog("place", connection.catalog());
        let rows = engine.sql("SELECT id FROM place.public.t").await.unwrap().collect().await;
        let error: Error = rows.unwrap_err().into();
        assert_eq!(error.kind, ErrorKind::Busy, "{passed}: {error}");
        assert!(error.kind.policy().retry && error.to_string().contains("of connection `place`"), "{error}");
    }
}

/// Azure says the same in words of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_is_told_from_its_answers() {
    let place = Place::on(Server::Azure);
    let key = "c29tZWJvZHkgZWxzZSdzIGtleSwgb2YgbGVuZ3RoIDMyIQ==";
    let error = open(&Config { account_key: literal(key), ..place.config() }).probe().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.advice().contains("keys") && !error.to_string().contains(key), "{error}");
    let nowhere = Config { path: "az://nobody-made-this/lake".to_owned(), ..place.config() };
    let error = open(&nowhere).probe().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.advice().contains("make the bucket"), "{}", error.advice());
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    assert_eq!(place.open().probe().await.unwrap().rights, ["read", "write"]);
}
