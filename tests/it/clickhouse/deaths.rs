//! A server that is killed, and a line that is cut, in the very statements that show a unit: what was decided is there once, what was not is written again.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use arrow::record_batch::RecordBatch;
use vitrina::{
    connector::{
        clickhouse::config::SinkOptions,
        sink::{SinkOptions as Options, SinkSpec},
    },
    model::delivery::Mode,
};

use crate::{
    contract::writing::{stage, target_through},
    support::{
        clickhouse::Place,
        own::Own,
        proxy::Fate,
        rows::{people, sorted_text},
        specs::{self, attempt, track, unit},
    },
};

/// Units of several partitions, so that there is a middle to die in.
fn spec(mode: Mode) -> SinkSpec {
    let clickhouse = SinkOptions {
        order_by: vec!["id".to_owned()],
        partition_by: Some("id % 7".to_owned()),
        ..SinkOptions::default()
    };
    let table = format!("t_{mode}");
    SinkSpec {
        options: Options { clickhouse: Some(clickhouse), ..Options::default() },
        ..specs::sink(&table, mode)
    }
}

/// What is there after the first unit and the second one.
fn both(mode: Mode) -> RecordBatch {
    match mode {
        Mode::Append => people(1..=200),
        // A window of ten: those behind its seven new rows are gone.
        Mode::Window => people((1..=100).filter(|id| !(9..12).contains(id))),
        Mode::Merge | Mode::Replace => second(mode),
    }
}

fn second(mode: Mode) -> RecordBatch {
    match mode {
        Mode::Append => people(101..=200),
        Mode::Window => people(2..=8),
        Mode::Merge | Mode::Replace => people(1..=150),
    }
}

/// The statements that show a unit's rows, by mode.
const STATEMENTS: [(Mode, &str); 8] = [
    (Mode::Append, "RENAME TABLE"),
    (Mode::Append, "MOVE PARTITION"),
    (Mode::Merge, "DELETE FROM"),
    (Mode::Merge, "MOVE PARTITION"),
    (Mode::Replace, "EXCHANGE TABLES"),
    (Mode::Window, "DELETE FROM"),
    (Mode::Window, "ATTACH PARTITION"),
    (Mode::Window, "`t_window` REPLACE PARTITION"),
];

/// Commits a second unit while `happens` is done to its server at one of these statements; then mends and goes on as the next run would.
async fn goes_on(
    server: &Own,
    mode: Mode,
    words: &'static str,
    happens: impl FnOnce() -> Fate + Send + 'static,
    mend: impl FnOnce(),
) {
    let place = Place::on(server.as_clickhouse());
    let (connection, spec) = (place.open(), spec(mode));
    let sink = connection.sink(&spec).await.unwrap();
    let write = async |at: i64, rows: &RecordBatch| {
        let staged =
            stage(sink.as_ref(), &track("mrf1"), &unit(mode, at, rows), &attempt(), rows).await.unwrap();
        staged.commit().await
    };
    write(1, &people(1..=100)).await.unwrap();
    let rows = second(mode);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(mode, 2, &rows), &attempt(), &rows).await.unwrap();
    let words_of = words.as_bytes();
    server.network.trap(move |sent| sent.windows(words_of.len()).any(|part| part == words_of), happens);
    let committed = staged.commit().await;
    assert!(!server.network.untrap(), "{mode}: no statement had {words}");
    if let Err(error) = &committed {
        assert!(error.kind.policy().retry, "{mode}, {words}: {error}");
    }
    mend();
    let sink = place.open().sink(&spec).await.unwrap();
    sink.recover(&track("mrf1")).await.unwrap();
    if sink.peek(&track("mrf1")).await.unwrap().unwrap().seq == 1 {
        assert!(committed.is_err(), "{mode}, {words}: it was told to be there");
        let again =
            stage(sink.as_ref(), &track("mrf1"), &unit(mode, 2, &rows), &attempt(), &rows).await.unwrap();
        again.commit().await.unwrap();
    }
    let found = target_through(place.open().as_ref(), &spec.table).await;
    assert_eq!(found, Some(sorted_text(&both(mode))), "{mode}, {words}");
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2, "{mode}, {words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_inside_a_statement_loses_and_doubles_nothing() {
    let server = Arc::new(Own::clickhouse());
    for (mode, words) in STATEMENTS {
        for millis in [0, 2, 6, 15] {
            let (dying, death) = (server.clone(), Arc::new(Mutex::new(None)));
            let begun = death.clone();
            let happens = move || {
                // The statement is on its way by then; how far it gets is the server's.
                let death = thread::spawn(move || {
                    thread::sleep(Duration::from_millis(millis));
                    dying.kill();
                });
                *begun.lock().unwrap() = Some(death);
                Fate::Passes
            };
            let mend = || {
                death.lock().unwrap().take().expect("it died").join().unwrap();
                server.start();
            };
            goes_on(&server, mode, words, happens, mend).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_cut_behind_a_statement_loses_and_doubles_nothing() {
    let server = Own::clickhouse();
    for (mode, words) in STATEMENTS {
        for fate in [Fate::AnswerLost, Fate::Lost] {
            goes_on(&server, mode, words, move || fate, || {}).await;
        }
    }
}

/// A server killed while rows are on their way into a stage: nothing is there, and they are written again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_inside_an_insert_has_nothing_of_it() {
    let server = Arc::new(Own::clickhouse());
    let place = Place::on(server.as_clickhouse());
    let spec = spec(Mode::Append);
    let rows = people(1..=300_000);
    let sink = place.open().sink(&spec).await.unwrap();
    let dying = server.clone();
    let mut inserts = false;
    let mut passed = 0;
    let in_the_middle = move |sent: &[u8]| {
        inserts |=
            sent.windows(18).any(|part| part == b"FORMAT+ArrowStream" || part == b"FORMAT ArrowStream")
                || sent.windows(20).any(|part| part == b"FORMAT%20ArrowStream");
        passed += if inserts { sent.len() } else { 0 };
        passed > 200_000
    };
    server.network.trap(in_the_middle, move || {
        dying.kill();
        Fate::Passes
    });
    let staged = stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 1, &rows), &attempt(), &rows).await;
    assert!(!server.network.untrap(), "no rows were on their way");
    let Err(error) = staged.map(|_| ()) else { panic!("half an insert was taken for a whole one") };
    assert!(error.kind.policy().retry, "{error}");
    server.start();
    let sink = place.open().sink(&spec).await.unwrap();
    sink.recover(&track("mrf1")).await.unwrap();
    assert!(sink.peek(&track("mrf1")).await.unwrap().is_none());
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 1, &rows), &attempt(), &rows).await.unwrap();
    staged.commit().await.unwrap();
    assert_eq!(
        place.run(&format!("SELECT count(), uniqExact(id) FROM {}", place.table(&spec.table))).trim(),
        "300000\t300000"
    );
    let left = format!(
        "SELECT count() FROM system.tables WHERE database = '{}' AND startsWith(name, '_vitrina_stage')",
        place.config.database
    );
    assert_eq!(place.run(&left).trim(), "0", "a dead attempt's stage is left");
}
