//! Segments, played by raw sockets: what they are given, byte for byte, and what becomes of a load when one side goes away.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{error::DataFusionError, physical_plan::stream::RecordBatchStreamAdapter};
use futures::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{server::Desk, *};

/// Rows of a load that has more blocks than segments.
const ROWS: i64 = 40_000;

/// A service on a port of its own.
async fn service() -> (server::Loads, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let desk = Desk::default();
    tokio::spawn(desk.clone().serve(listener));
    (desk.loads, port)
}

/// Batches of a thousand rows; `broken` = the last ones never come.
fn rows(count: i64, broken: bool) -> SendableRecordBatchStream {
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    let own = schema.clone();
    let batch = move |from: i64| {
        let ids: Vec<i64> = (from..(from + 1_000).min(count)).collect();
        let texts: Vec<String> = ids.iter().map(|id| format!("{id}\n{}", "x".repeat(60))).collect();
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(Int64Array::from(ids)), Arc::new(StringArray::from(texts))];
        RecordBatch::try_new(own.clone(), columns).map_err(DataFusionError::from)
    };
    let mut parts: Vec<_> = (0..count).step_by(1_000).map(batch).collect();
    if broken {
        parts.push(Err(Error::new(ErrorKind::Unreachable, "the source went away").into()));
    }
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(parts)))
}

fn head(path: &str, scan: u32, segment: usize) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nX-GP-XID: 1700000000-0000000042\r\nX-GP-CID: 0\r\nX-GP-SN: {scan}\r\n\
         X-GP-SEGMENT-ID: {segment}\r\nX-GP-SEGMENT-COUNT: 4\r\nX-GP-LINE-DELIM-LENGTH: -1\r\nX-GP-PROTO: 1\r\n\r\n"
    )
}

async fn ask(port: u16, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// All that is answered.
async fn answer(port: u16, head: &str) -> Vec<u8> {
    let (mut stream, mut bytes) = (ask(port, head).await, vec![]);
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// By the last frame.
    Whole,
    /// By an error's.
    Error(String),
    /// Without one.
    Cut,
}

/// The blocks of an answer, as a segment takes it apart.
fn frames(answer: &[u8]) -> (Vec<String>, End) {
    if answer == protocol::NOTHING {
        return (vec![], End::Whole);
    }
    let mut rest = answer.strip_prefix(protocol::ROWS).expect("the head of an answer with rows");
    let mut blocks = vec![];
    while let [kind, a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if tail.len() < length {
            return (blocks, End::Cut);
        }
        let (payload, tail) = tail.split_at(length);
        match (kind, length) {
            (b'D', 0) => {
                assert!(tail.is_empty(), "something follows the end");
                return (blocks, End::Whole);
            }
            (b'D', _) => blocks.push(String::from_utf8(payload.to_vec()).unwrap()),
            (b'E', _) => return (blocks, End::Error(String::from_utf8(payload.to_vec()).unwrap())),
            _ => panic!("a frame of type {kind}"),
        }
        rest = tail;
    }
    (blocks, End::Cut)
}

/// The numbers of rows in these blocks, each a whole line of three cells.
fn numbers(blocks: &[String]) -> Vec<u64> {
    let mut found = vec![];
    for line in blocks.iter().flat_map(|block| block.strip_suffix('\n').expect("whole rows").split('\n')) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), 3, "{line}");
        assert!(cells[1].starts_with(&format!("{}\\n", cells[0])), "{line}");
        found.push(cells[2].parse().unwrap());
    }
    found
}

/// Several segments of one scan, as one statement: the rows that it took, by segment.
async fn statement(port: u16, segments: usize) -> Vec<(Vec<u64>, End)> {
    let mut all = JoinSet::new();
    for segment in 0..segments {
        all.spawn(async move {
            let (blocks, end) = frames(&answer(port, &head("/rows", 7, segment)).await);
            (numbers(&blocks), end)
        });
    }
    all.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_share_the_rows_each_once() {
    let (loads, port) = service().await;
    for _ in 0..3 {
        let taken = std::sync::Mutex::new(vec![]);
        let insert = async {
            let parts = statement(port, 4).await;
            let count = parts.iter().map(|(numbers, _)| numbers.len() as u64).sum();
            *taken.lock().unwrap() = parts;
            Ok(count)
        };
        let feed = loads.open("/rows").unwrap();
        assert_eq!(exchange(feed, rows(ROWS, false), insert, "table").await.unwrap(), ROWS as u64);
        let taken = taken.into_inner().unwrap();
        assert!(taken.iter().all(|(_, end)| *end == End::Whole));
        assert!(taken.iter().filter(|(numbers, _)| !numbers.is_empty()).count() > 1, "one segment took all");
        let numbers: Vec<u64> = taken.into_iter().flat_map(|(numbers, _)| numbers).collect();
        assert_eq!(numbers.len() as i64, ROWS);
        assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>().len() as i64, ROWS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_segment_gets_nothing() {
    let (loads, port) = service().await;
    for count in [0, 10] {
        let insert = async {
            let (blocks, end) = frames(&answer(port, &head("/rows", 7, 0)).await);
            assert_eq!(end, End::Whole);
            assert_eq!(answer(port, &head("/rows", 7, 1)).await, protocol::NOTHING);
            Ok(numbers(&blocks).len() as u64)
        };
        let feed = loads.open("/rows").unwrap();
        assert_eq!(exchange(feed, rows(count, false), insert, "table").await.unwrap(), count as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_break_off_are_an_error_of_every_segment() {
    let (loads, port) = service().await;
    let ends = std::sync::Mutex::new(vec![]);
    let insert = async {
        *ends.lock().unwrap() = statement(port, 3).await.into_iter().map(|(_, end)| end).collect();
        Err(Error::new(ErrorKind::Unreachable, "the statement failed"))
    };
    let feed = loads.open("/rows").unwrap();
    let error = exchange(feed, rows(ROWS, true), insert, "table").await.unwrap_err();
    assert!(error.to_string().contains("the source went away"), "{error}");
    let ends = ends.into_inner().unwrap();
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|end| *end == End::Error("the rows broke off".to_owned())), "{ends:?}");
    assert!(loads.open("/rows").is_some(), "the next load may begin");
}

/// Whoever waits for the load goes away: no segment may take what it got for the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_given_up_has_no_end() {
    let (loads, port) = service().await;
    let feed = loads.open("/rows").unwrap();
    let segment = tokio::spawn(async move { frames(&answer(port, &head("/rows", 7, 0)).await) });
    let endless = futures::StreamExt::chain(rows(5_000, false), stream::pending());
    let schema = rows(0, false).schema();
    let endless = Box::pin(RecordBatchStreamAdapter::new(schema, endless));
    let load = exchange(feed, endless, std::future::pending(), "table");
    assert!(tokio::time::timeout(Duration::from_millis(300), load).await.is_err());
    let (_, end) = segment.await.unwrap();
    assert_eq!(end, End::Error("the load was given up".to_owned()));
}

/// A segment that breaks in the middle has taken rows that nobody else gets: the load must fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_goes_away_fails_the_load() {
    let (loads, port) = service().await;
    let insert = async {
        let mut broken = ask(port, &head("/rows", 7, 0)).await;
        broken.read_exact(&mut [0; 1_000]).await.unwrap();
        drop(broken);
        let (_, end) = frames(&answer(port, &head("/rows", 7, 1)).await);
        assert_eq!(end, End::Error("a segment went away".to_owned()));
        Err(Error::new(ErrorKind::Unreachable, "the statement failed"))
    };
    let feed = loads.open("/rows").unwrap();
    // More than waits in sockets.
    let error = exchange(feed, rows(ROWS * 8, false), insert, "table").await.unwrap_err();
    assert!(error.to_string().contains("the statement failed"), "{error}");
}

/// A statement that fails, or that took another number of rows, is an error that is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statement_has_the_last_word() {
    let (loads, port) = service().await;
    let insert = async { Err(Error::new(ErrorKind::Denied, "no right to do so")) };
    let error = exchange(loads.open("/rows").unwrap(), rows(ROWS, false), insert, "table").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    let fewer = async {
        statement(port, 2).await;
        Ok(9)
    };
    let error = exchange(loads.open("/rows").unwrap(), rows(10, false), fewer, "table").await.unwrap_err();
    assert!(error.kind.policy().retry && error.to_string().contains("took 9 rows, and 10"), "{error}");
    let unasked = async { Ok(0) };
    let error =
        exchange(loads.open("/rows").unwrap(), rows(ROWS, false), unasked, "table").await.unwrap_err();
    assert!(error.kind.policy().retry, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_refused() {
    let (loads, port) = service().await;
    let status = async |head: &str| String::from_utf8(answer(port, head).await).unwrap()[9..12].to_owned();
    assert_eq!(status(&head("/rows", 7, 0)).await, "404");
    let mut feed = loads.open("/rows").unwrap();
    assert!(loads.open("/rows").is_none(), "one load at a path");
    assert_eq!(status("POST /rows HTTP/1.1\r\n\r\n").await, "400");
    assert_eq!(status("GET /rows HTTP/1.1\r\nHost: browser\r\n\r\n").await, "400");
    assert_eq!(status(&head("/rows", 7, 0).replace("PROTO: 1", "PROTO: 0")).await, "400");
    let first = tokio::spawn(async move { frames(&answer(port, &head("/rows", 7, 0)).await).1 });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(status(&head("/rows", 8, 0)).await, "409", "another scan");
    feed.finish();
    assert_eq!(first.await.unwrap(), End::Whole);
    // Without an end, or too long: nobody is told anything.
    let mut endless = ask(port, "GET / HTTP/1.1\r\n").await;
    endless.write_all(&vec![b'x'; 32 << 10]).await.unwrap();
    let mut bytes = vec![];
    let _ = endless.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty());
}
