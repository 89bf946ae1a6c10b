//! Every row once, whatever becomes of requests and answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arrow::record_batch::RecordBatch;
use vitrina::{
    connector::{
        error::ErrorKind,
        sink::{Committed, Rows, Staging},
    },
    model::delivery::Mode,
};

use super::{by_line, ids, write};
use crate::{
    contract::writing::{claimed_schema, failing_stream, stage},
    support::{
        bucket::Place,
        line::Fate,
        rows::{batch, cast_to, ints, people, texts},
        specs::{self, attempt, track, unit},
    },
};

/// Whether a request puts this version's log entry.
fn puts_entry(request: &str, version: u64) -> bool {
    request.starts_with("PUT ") && request.contains(&format!("/_delta_log/{version:020}.json"))
}

/// Fates in their order, of the requests that are meant; all others pass.
fn in_turn(
    meant: impl Fn(&str) -> bool + Send + Sync + 'static,
    fates: Vec<Fate>,
) -> impl Fn(&str) -> Fate + Send + Sync + 'static {
    let next = AtomicUsize::new(0);
    move |request| {
        if meant(request) {
            fates.get(next.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(Fate::Pass)
        } else {
            Fate::Pass
        }
    }
}

/// The entry is put, its answer lost. The client asks again, and is told that the name is taken: by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_no_lost_race() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let judge = in_turn(|request| puts_entry(request, 2), vec![Fate::LoseAnswer]);
    let (line, connection) = by_line(&place, judge);
    let done = write(&connection, "t", 2, &people([2, 3])).await.unwrap();
    assert!(matches!(done, Committed::Now(_)), "{done:?}");
    assert!(line.seen().iter().filter(|request| puts_entry(request, 2)).count() >= 1);
    assert_eq!(ids(&place.open(), "t").await, ["1", "2", "3"], "the files are there");
    write(&connection, "t", 3, &people([4])).await.unwrap();
    assert_eq!(ids(&place.open(), "t").await, ["1", "2", "3", "4"]);
}

/// The entry is put, and something in between says that the store is busy. The client asks again, is told that the name is taken, and cannot look by whom: the files that the entry names stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_against_oneself_takes_nothing_back() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let puts = in_turn(|request| puts_entry(request, 2), vec![Fate::Instead(SLOW_DOWN)]);
    let looks = in_turn(
        |request| request.starts_with("GET ") && puts_entry(&request.replacen("GET", "PUT", 1), 2),
        vec![Fate::Answer(DENIED)],
    );
    let (line, connection) = by_line(&place, move |request| match puts(request) {
        Fate::Pass => looks(request),
        fate => fate,
    });
    let done = write(&connection, "t", 2, &people([2])).await.unwrap();
    assert!(matches!(done, Committed::Now(_)), "{done:?}");
    assert!(line.seen().iter().filter(|request| puts_entry(request, 2)).count() >= 2);
    // What is taken back goes by requests that nobody waits for.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(ids(&place.open(), "t").await, ["1", "2"]);
}

/// The entry is put, and no answer ever comes: whoever looks sees that it came through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_comes_is_looked_after() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let (_line, connection) =
        by_line(&place, in_turn(|request| puts_entry(request, 2), vec![Fate::HoldAnswer]));
    write(&connection, "t", 2, &people([2])).await.unwrap();
    assert_eq!(ids(&place.open(), "t").await, ["1", "2"]);
}

/// The store is busy for a while: nothing is told, nothing is doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_store_is_waited_for() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let judge =
        in_turn(|request| puts_entry(request, 2), vec![Fate::Answer(SLOW_DOWN), Fate::Answer(SLOW_DOWN)]);
    let (line, connection) = by_line(&place, judge);
    write(&connection, "t", 2, &people([2])).await.unwrap();
    assert_eq!(line.seen().iter().filter(|request| puts_entry(request, 2)).count(), 3);
    assert_eq!(ids(&place.open(), "t").await, ["1", "2"]);
}

/// The entry never arrives: the unit fails, and is written by the next attempt. Data files that an entry may yet name stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_never_arrives_is_no_commit() {
    let place = Place::new();
    write(&place.open(), "t", 1, &people([1])).await.unwrap();
    let denied = |request: &str| if puts_entry(request, 2) { Fate::Answer(DENIED) } else { Fate::Pass };
    let (_line, connection) = by_line(&place, denied);
    let error = write(&connection, "t", 2, &people([2])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert_eq!(ids(&place.open(), "t").await, ["1"]);
    let files = place.objects("t").await.into_iter().filter(|name| !name.starts_with('_')).count();
    assert_eq!(files, 2, "one that the log names, one that it may name yet");
    write(&place.open(), "t", 2, &people([2])).await.unwrap();
    assert_eq!(ids(&place.open(), "t").await, ["1", "2"]);
}

/// A store that takes `If-None-Match` and writes all the same is found out before it holds a commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_writes_over_names_is_refused() {
    let place = Place::new();
    let careless = |request: &str| {
        let taken = request.starts_with("PUT ") && request.contains("/_vitrina/taken");
        if taken { Fate::Answer(DONE) } else { Fate::Pass }
    };
    let (line, connection) = by_line(&place, careless);
    let error = write(&connection, "t", 1, &people([1])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    assert!(!line.seen().iter().any(|request| puts_entry(request, 0)), "nothing was committed");
    assert_eq!(place.objects("t").await, [""; 0]);
}

/// Many writers of one table: each row once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_race_and_lose_nothing() {
    let place = Arc::new(Place::new());
    write(&place.open(), "t", 1, &people([0])).await.unwrap();
    let mut writers = vec![];
    for writer in 1..=4_i64 {
        let place = place.clone();
        writers.push(tokio::spawn(async move {
            let sink = place.open().sink(&specs::sink("t", Mode::Append)).await.unwrap();
            let name = format!("writer{writer}");
            for at in 1..=3 {
                let (rows, unit_of) = (people([writer * 10 + at]), unit(Mode::Append, at, &people([])));
                let staged = stage(sink.as_ref(), &track(&name), &unit_of, &attempt(), &rows).await.unwrap();
                staged.commit().await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(ids(&place.open(), "t").await.len(), 13);
}

/// Rows enough for an upload in parts; their reader breaks off, and the parts are given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_breaks_off_is_aborted() {
    let place = Place::new();
    write(&place.open(), "t", 1, &noise(1)).await.unwrap();
    let (line, connection) = by_line(&place, |_| Fate::Pass);
    let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
    let claim = sink.claim(&track("mrf1"), &claimed_schema(&noise(1))).await.unwrap();
    // More than a row group, which is what is encoded at a time.
    let rows = cast_to(&noise(300), &claim.schema);
    let rows = Rows::Stream(failing_stream(&rows, ErrorKind::Unreachable));
    let unit_of = unit(Mode::Append, 2, &people([]));
    let staging = Staging { track: &track("mrf1"), claim: &claim, unit: &unit_of, attempt: &attempt() };
    let failed = sink.stage(staging, rows).await;
    assert_eq!(failed.err().map(|error| error.kind), Some(ErrorKind::Unreachable));
    let began = || line.seen().iter().filter(|request| request.contains("?uploads")).count();
    let ended = || {
        let seen = line.seen();
        seen.iter().filter(|request| request.starts_with("DELETE") && request.contains("uploadId")).count()
    };
    // The encoder ends what it has at hand before it hears that nobody wants it.
    for _ in 0..600 {
        if began() > 0 && ended() == began() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(began() > 0, "there were rows enough for parts: {:#?}", line.seen());
    assert_eq!(ended(), began());
    write(&connection, "t", 2, &noise(2)).await.unwrap();
    assert_eq!(ids(&place.open(), "t").await.len(), 3000);
}

/// So many thousand rows of text that does not compress well.
fn noise(thousands: usize) -> RecordBatch {
    let rows = thousands * 1000;
    let word = || format!("{:032x}", rand::random::<u128>());
    let text = |_| [word(), word(), word()].concat();
    let names: Vec<String> = (0..rows).map(text).collect();
    let ids = ints(0..i64::try_from(rows).unwrap());
    batch(vec![("id", ids), ("name", texts(names.iter().map(|name| Some(name.as_str()))))])
}

const SLOW_DOWN: &str = "HTTP/1.1 503 Slow Down\r\nConnection: close\r\n\r\n\
<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

const DENIED: &str = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n\
<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

const DONE: &str = "HTTP/1.1 200 OK\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
