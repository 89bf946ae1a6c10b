//! Lines to the server that are cut, go silent, or bring other answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use vitrina::{
    connector::{
        connection::Connection,
        error::{Error, ErrorKind},
        postgres::config::Config,
        sink::{Rows, Staging},
    },
    model::delivery::Mode,
};

use crate::{
    contract::{
        reading::kind,
        writing::{stage, target_through},
    },
    support::{
        postgres::{Place, config, open, open_greenplum, setting},
        rows::{batch, ints, people, sorted_text, texts},
        specs::{self, attempt, track, unit},
    },
};

/// What becomes of bytes on their way.
#[derive(Clone, PartialEq, Eq)]
enum Mood {
    Open,
    /// Nothing passes, nothing is read, and nobody hangs up.
    Silent,
    /// Lines are broken, and new ones are not taken.
    Cut,
    /// The server's first answers have these bytes for those.
    Other(&'static [u8], &'static [u8]),
}

/// A line to the server.
struct Line {
    port: u16,
    mood: Arc<Mutex<Mood>>,
}

impl Line {
    async fn new(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, mood) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(mood)));
        let known = mood.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *known.lock().unwrap() == Mood::Cut {
                    continue;
                }
                let server = (setting("HOST"), setting("PORT").parse::<u16>().unwrap());
                let server = TcpStream::connect(server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, known.clone(), false));
                tokio::spawn(pass(from_server, to_client, known.clone(), true));
            }
        });
        Self { port, mood }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn config(&self, place: Config) -> Config {
        Config { host: "127.0.0.1".to_owned(), port: self.port, ..place }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mood: Arc<Mutex<Mood>>, answers: bool) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let now = mood.lock().unwrap().clone();
        match now {
            Mood::Cut => return,
            Mood::Silent => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Mood::Open | Mood::Other(..) => {}
        }
        let Ok(read) = tokio::time::timeout(Duration::from_millis(20), from.read(&mut buffer)).await else {
            continue;
        };
        let Ok(count @ 1..) = read else { return };
        if let (Mood::Other(own, other), true) = (now, answers) {
            let found = buffer[..count].windows(own.len()).position(|part| part == own);
            if let Some(at) = found {
                buffer[at..at + own.len()].copy_from_slice(other);
            }
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn write(
    connection: &Arc<dyn Connection>,
    at: i64,
    ids: std::ops::RangeInclusive<i64>,
) -> Result<(), Error> {
    let sink = connection.sink(&specs::sink("t", Mode::Append)).await?;
    let rows = people(ids);
    stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, at, &rows), &attempt(), &rows)
        .await?
        .commit()
        .await
        .map(|_| ())
}

/// While the network is down everything is an error that is tried again; when it is back, it goes on from what was committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_was_cut_goes_on() {
    for open in [open as fn(Config) -> Arc<dyn Connection>, open_greenplum] {
        let (place, line) = (Place::new(), Line::new(Mood::Open).await);
        let connection = open(line.config(place.config()));
        write(&connection, 1, 1..=3).await.unwrap();
        let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
        let rows = people(4..=6);
        let staged = stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows)
            .await
            .unwrap();
        line.set(Mood::Cut);
        let error = staged.commit().await.unwrap_err();
        assert!(error.kind.policy().retry, "{error}");
        for _ in 0..3 {
            let error = sink.peek(&track("mrf1")).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        }
        assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people(1..=3))));
        line.set(Mood::Open);
        write(&connection, 2, 4..=6).await.unwrap();
        assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people(1..=6))));
    }
}

/// A server that takes nothing more, and does not hang up, is given up after `network_timeout`; one that says nothing, after `connect_timeout`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_went_silent_is_given_up() {
    let (place, line) = (Place::new(), Line::new(Mood::Open).await);
    let (network_timeout, connect_timeout) = ("3s".parse().unwrap(), "1s".parse().unwrap());
    let connection = open(Config { network_timeout, connect_timeout, ..line.config(place.config()) });
    write(&connection, 1, 1..=3).await.unwrap();
    let sink = connection.sink(&specs::sink("t", Mode::Append)).await.unwrap();
    let filler = "x".repeat(1 << 20);
    let rows = batch(vec![("id", ints([7])), ("name", texts([Some(filler.as_str())]))]);
    let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    let mood = line.mood.clone();
    let (schema, parts) = (rows.schema(), vec![rows.clone(); 64]);
    let parts = futures::stream::iter(parts.into_iter().enumerate()).map(move |(at, part)| {
        if at == 2 {
            *mood.lock().unwrap() = Mood::Silent;
        }
        Ok(part)
    });
    let stream = Rows::Stream(Box::pin(RecordBatchStreamAdapter::new(schema, parts)));
    let unit = unit(Mode::Append, 2, &rows);
    let (track, attempt) = (track("mrf1"), attempt());
    let staging =
        sink.stage(Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt }, stream);
    let staged = tokio::time::timeout(Duration::from_mins(1), staging).await.expect("it waits on");
    let given_up = kind(staged);
    assert!(given_up.policy().retry, "{given_up:?}");
    let asked = tokio::time::timeout(Duration::from_mins(1), sink.peek(&track));
    assert_eq!(asked.await.expect("it waits on").unwrap_err().kind, ErrorKind::Timeout);
    line.set(Mood::Open);
    write(&connection, 2, 4..=6).await.unwrap();
    assert_eq!(target_through(place.open().as_ref(), "t").await, Some(sorted_text(&people(1..=6))));
}

/// An old server is told by its version, before anything is asked of it that it has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_server_is_told_by_its_version() {
    let number = crate::support::postgres::session(&setting("USER")).await;
    let number: String =
        number.query_one("SELECT current_setting('server_version_num')", &[]).await.unwrap().get(0);
    let number: &'static [u8] = number.into_bytes().leak();
    for (open, other, told, needed) in [
        (open as fn(Config) -> Arc<dyn Connection>, b"090325", "PostgreSQL 9.3.25", "PostgreSQL 12 or later"),
        (open, b"110022", "PostgreSQL 11.22", "PostgreSQL 12 or later"),
        (open_greenplum, b"080323", "PostgreSQL 8.3.23", "Greenplum 6 or later"),
    ] {
        let line = Line::new(Mood::Other(number, other)).await;
        let error = open(line.config(config())).probe().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        assert!(
            error.to_string().contains(told) && error.advice().contains(needed),
            "{error} | {}",
            error.advice()
        );
    }
}
