//! Claims, staging, commits and records.

use std::time::Duration;

use vitrina::{
    connector::{
        error::ErrorKind,
        sink::{Committed, Rows, SinkSpec, Staging},
    },
    model::{
        delivery::Mode,
        unit::{Progress, Record},
    },
};

use super::{
    Harness,
    reading::kind,
    writing::{
        failing_stream, has, modes_of, open, stage, stage_claimed, target, try_write, usual_mode, write,
    },
};
use crate::support::{
    rows::{cast_to, people, sorted_text},
    specs::{self, attempt, track, unit},
    sql,
};

const MODES: [Mode; 3] = [Mode::Append, Mode::Merge, Mode::Replace];

/// Looking makes no table, no record, and finds none.
pub(crate) async fn peek_makes_nothing(harness: &dyn Harness) {
    let spec = specs::sink("untouched", usual_mode(harness));
    let sink = open(harness, &spec).await;
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap(), None);
    assert_eq!(sink.target().await.unwrap(), None);
    assert_eq!(target(harness, "untouched").await, None);
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// Claiming makes the table, empty, and may be done again.
pub(crate) async fn claim_makes_the_target(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("claimed_{mode}");
        let spec = specs::sink(&table, mode);
        let sink = open(harness, &spec).await;
        let rows = people(1..=3);
        for _ in 0..2 {
            let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
            assert_eq!((claim.record, claim.left_out), (None, vec![]));
            assert!(claim.pending.is_none());
            let names: Vec<&str> = claim.schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(names, ["id", "name"]);
        }
        let made = sink.target().await.unwrap().expect("a target");
        assert!(made.column_with_name("id").is_some() && made.column_with_name("name").is_some());
        assert_eq!(target(harness, &table).await, Some(vec![]));
    }
}

/// What is staged is shown to checks, and to nobody else.
pub(crate) async fn staged_rows_are_seen_by_checks_alone(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("hidden_{mode}");
        let spec = SinkSpec { checked: true, ..specs::sink(&table, mode) };
        write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
        let sink = open(harness, &spec).await;
        let rows = people(1..=9);
        let staged =
            stage(sink.as_ref(), &track("mrf1"), &unit(mode, 2, &rows), &attempt(), &rows).await.unwrap();
        assert_eq!(staged.rows(), 9);
        assert_eq!(staged.table().is_some(), harness.abilities().checks);
        if let Some(provider) = staged.table() {
            let engine = datafusion::execution::context::SessionContext::new();
            engine.register_table("this", provider).unwrap();
            assert_eq!(sorted_text(&sql::ask(&engine, "SELECT * FROM this").await), sorted_text(&rows));
        }
        assert_eq!(target(harness, &table).await, Some(sorted_text(&people([1]))));
        assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 1);
        staged.commit().await.unwrap();
        assert_eq!(target(harness, &table).await.unwrap().len(), if mode == Mode::Append { 10 } else { 9 });
    }
}

/// A commit shows the rows, and a record of what was committed, to whoever looks.
pub(crate) async fn a_commit_shows_rows_and_record(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("shown_{mode}");
        let spec = specs::sink(&table, mode);
        let sink = open(harness, &spec).await;
        let rows = people(1..=5);
        for seq in 1..=3 {
            let (unit, attempt) = (unit(mode, seq * 10, &rows), attempt());
            let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt, &rows).await.unwrap();
            let expected = Record {
                seq: seq as u64,
                progress: unit.after.clone(),
                attempt: attempt.id.clone(),
                at: attempt.at,
                rows: 5,
            };
            assert_eq!(staged.commit().await.unwrap(), Committed::Now(expected.clone()));
            let seen = open(harness, &spec).await.peek(&track("mrf1")).await.unwrap();
            assert_eq!(seen, Some(expected.clone()), "the record, lossless");
            let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
            assert_eq!(claim.record, Some(expected));
        }
        let times = if mode == Mode::Append { 15 } else { 5 };
        assert_eq!(target(harness, &table).await.unwrap().len(), times);
    }
}

/// A stage that is dropped leaves nothing that a reader sees, and nothing at all after maintenance.
pub(crate) async fn a_dropped_stage_is_nothing(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("dropped_{mode}");
        let spec = specs::sink(&table, mode);
        let sink = open(harness, &spec).await;
        let rows = people(1..=500);
        drop(stage(sink.as_ref(), &track("mrf1"), &unit(mode, 1, &rows), &attempt(), &rows).await.unwrap());
        assert_eq!(target(harness, &table).await, Some(vec![]));
        assert_eq!(sink.peek(&track("mrf1")).await.unwrap(), None);
        write(harness, &spec, &track("mrf1"), 1, &people(1..=3)).await;
        open(harness, &spec).await.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
        assert_eq!(target(harness, &table).await, Some(sorted_text(&people(1..=3))));
        assert_eq!(harness.leftovers().await, Vec::<String>::new());
    }
}

/// Rows that break off half-way are an error of the kind that broke them, and leave nothing.
pub(crate) async fn a_failed_stream_is_nothing(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("broken_{mode}");
        let spec = specs::sink(&table, mode);
        write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
        let sink = open(harness, &spec).await;
        let rows = people(1..=400);
        let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
        let stream = failing_stream(&cast_to(&rows, &claim.schema), ErrorKind::Unreachable);
        let unit = unit(mode, 2, &rows);
        let failed = sink
            .stage(
                Staging { track: &track("mrf1"), claim: &claim, unit: &unit, attempt: &attempt() },
                Rows::Stream(stream),
            )
            .await;
        assert_eq!(kind(failed), ErrorKind::Unreachable);
        assert_eq!(target(harness, &table).await, Some(sorted_text(&people([1]))));
        write(harness, &spec, &track("mrf1"), 2, &people([2])).await;
        sink.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
        assert_eq!(harness.leftovers().await, Vec::<String>::new());
    }
}

/// A unit without rows (all of them filtered out) moves the record all the same.
pub(crate) async fn an_empty_unit_moves_the_record(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("empty_unit_{mode}");
        let spec = specs::sink(&table, mode);
        write(harness, &spec, &track("mrf1"), 1, &people(1..=3)).await;
        write(harness, &spec, &track("mrf1"), 2, &people([])).await;
        let record = open(harness, &spec).await.peek(&track("mrf1")).await.unwrap().unwrap();
        assert_eq!((record.seq, record.rows), (2, 0));
        assert_eq!(record.progress, unit(mode, 2, &people([])).after);
        let left = if mode == Mode::Replace { 0 } else { 3 };
        assert_eq!(target(harness, &table).await.unwrap().len(), left);
    }
}

/// Of two who claimed one record, the first to commit wins; the other is told of the conflict and changes nothing.
pub(crate) async fn of_two_claims_one_commits(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        for before in [0, 1] {
            let table = format!("race_{mode}_{before}");
            let spec = specs::sink(&table, mode);
            if before == 1 {
                write(harness, &spec, &track("mrf1"), 1, &people([])).await;
            }
            let (one, two) = (open(harness, &spec).await, open(harness, &spec).await);
            let (mine, theirs) = (people(1..=3), people(4..=9));
            let first =
                stage(one.as_ref(), &track("mrf1"), &unit(mode, 2, &mine), &attempt(), &mine).await.unwrap();
            let second = stage(two.as_ref(), &track("mrf1"), &unit(mode, 3, &theirs), &attempt(), &theirs)
                .await
                .unwrap();
            second.commit().await.unwrap();
            assert_eq!(kind(first.commit().await), ErrorKind::Conflict);
            assert_eq!(target(harness, &table).await, Some(sorted_text(&theirs)));
            let record = one.peek(&track("mrf1")).await.unwrap().unwrap();
            assert_eq!((record.seq, record.rows), (before + 1, 6));
        }
    }
}

/// An attempt whose answer was lost and that is made again finds itself committed.
pub(crate) async fn the_same_attempt_commits_once(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("lost_answer_{mode}");
        let spec = specs::sink(&table, mode);
        let sink = open(harness, &spec).await;
        let rows = people(1..=4);
        let (unit, attempt) = (unit(mode, 1, &rows), attempt());
        let track = track("mrf1");
        let claim = sink.claim(&track, &rows.schema()).await.unwrap();
        let again = || stage_claimed(sink.as_ref(), &track, &claim, &unit, &attempt, &rows);
        let (first, second) = (again().await.unwrap(), again().await.unwrap());
        let record = first.commit().await.unwrap().record().clone();
        assert_eq!(second.commit().await.unwrap(), Committed::Already(record.clone()));
        assert_eq!(again().await.unwrap().commit().await.unwrap(), Committed::Already(record));
        assert_eq!(target(harness, &table).await, Some(sorted_text(&rows)));
    }
}

/// The next unit is staged upon the record that the one before will leave; where that one fails, it is in conflict.
pub(crate) async fn a_unit_is_staged_while_the_one_before_commits(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("ahead_{mode}");
        let spec = specs::sink(&table, mode);
        let (sink, track) = (open(harness, &spec).await, track("mrf1"));
        let units = [people(1..=4), people(3..=6), people(6..=9)];
        let mut claim = sink.claim(&track, &units[0].schema()).await.unwrap();
        let mut before: Option<tokio::task::JoinHandle<_>> = None;
        for (at, rows) in (1..).zip(&units) {
            let (unit, attempt) = (unit(mode, at, rows), attempt());
            let staged = stage_claimed(sink.as_ref(), &track, &claim, &unit, &attempt, rows).await.unwrap();
            claim.record = Some(
                Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt }
                    .record(staged.rows()),
            );
            if let Some(before) = before.take() {
                assert!(matches!(before.await.unwrap(), Ok(Committed::Now(_))));
            }
            before = Some(tokio::spawn(staged.commit()));
        }
        before.unwrap().await.unwrap().unwrap();
        let expected = match mode {
            Mode::Append => people((1..=4).chain(3..=6).chain(6..=9)),
            Mode::Merge => people(1..=9),
            _ => people(6..=9),
        };
        assert_eq!(target(harness, &table).await, Some(sorted_text(&expected)), "{mode}");
        assert_eq!(sink.peek(&track).await.unwrap(), claim.record);

        // The one before is given up: nothing is there that the one behind could follow.
        let (lost, behind) = (unit(mode, 4, &units[0]), unit(mode, 5, &units[1]));
        let (its, own) = (attempt(), attempt());
        drop(stage_claimed(sink.as_ref(), &track, &claim, &lost, &its, &units[0]).await.unwrap());
        claim.record = Some(Staging { track: &track, claim: &claim, unit: &lost, attempt: &its }.record(4));
        let staged = stage_claimed(sink.as_ref(), &track, &claim, &behind, &own, &units[1]).await.unwrap();
        assert_eq!(kind(staged.commit().await), ErrorKind::Conflict, "{mode}");
        assert_eq!(target(harness, &table).await, Some(sorted_text(&expected)), "{mode}");
    }
}

/// Tracks that share a table keep records of their own and do not block each other's staging.
pub(crate) async fn tracks_share_a_table(harness: &dyn Harness) {
    for mode in modes_of(harness, &[Mode::Append, Mode::Merge]) {
        let table = format!("shared_{mode}");
        let spec = specs::sink(&table, mode);
        let (one, two) = (open(harness, &spec).await, open(harness, &spec).await);
        let (mine, theirs) = (people(1..=3), people(4..=9));
        let first =
            stage(one.as_ref(), &track("mrf1"), &unit(mode, 1, &mine), &attempt(), &mine).await.unwrap();
        let second =
            stage(two.as_ref(), &track("mrf2"), &unit(mode, 7, &theirs), &attempt(), &theirs).await.unwrap();
        second.commit().await.unwrap();
        first.commit().await.unwrap();
        assert_eq!(target(harness, &table).await, Some(sorted_text(&people(1..=9))));
        let tracks = [track("mrf1"), track("mrf2")];
        let (first, second) = (one.peek(&tracks[0]).await.unwrap(), one.peek(&tracks[1]).await.unwrap());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.seq, first.rows, second.seq, second.rows), (1, 3, 1, 6));
        assert_eq!(one.peek(&track("mrf3")).await.unwrap(), None);
    }
}

/// A table whose rows nobody answers for is not written to until somebody says what they are.
pub(crate) async fn rows_without_a_record_are_refused(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("foreign_{mode}");
        let reading = harness.abilities().readings[0];
        harness.insert(reading, &table, &people(1..=3)).await;
        let spec = specs::sink(&table, mode);
        let rows = people(4..=6);
        let refused = try_write(harness, &spec, &track("mrf1"), 1, &rows).await;
        assert_eq!(kind(refused), ErrorKind::NoRecord, "{mode}");
        assert_eq!(target(harness, &table).await.unwrap().len(), 3);
        let sink = open(harness, &spec).await;
        let adopted = Record {
            seq: 1,
            progress: Progress::Position(specs::position(3)),
            attempt: attempt().id,
            at: specs::now(),
            rows: 0,
        };
        sink.set_record(&track("mrf1"), None, &adopted).await.unwrap();
        write(harness, &spec, &track("mrf1"), 2, &rows).await;
        assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2);
        let expected = if mode == Mode::Replace { 3 } else { 6 };
        assert_eq!(target(harness, &table).await.unwrap().len(), expected);
    }
}

/// A record is set only over the one that was seen; a stage that was made before is in conflict.
pub(crate) async fn set_record_compares(harness: &dyn Harness) {
    let mode = usual_mode(harness);
    let spec = specs::sink("set", mode);
    let sink = open(harness, &spec).await;
    let record = |seq, progress| Record { seq, progress, attempt: attempt().id, at: specs::now(), rows: 0 };
    let start = record(1, Progress::Start);
    assert_eq!(kind(sink.set_record(&track("mrf1"), Some(4), &start).await), ErrorKind::Conflict);
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap(), None);
    sink.set_record(&track("mrf1"), None, &start).await.unwrap();
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap(), Some(start.clone()));
    assert_eq!(kind(sink.set_record(&track("mrf1"), None, &start).await), ErrorKind::Conflict);

    let rows = people(1..=3);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(mode, 1, &rows), &attempt(), &rows).await.unwrap();
    let moved = record(2, Progress::Position(specs::position(77)));
    sink.set_record(&track("mrf1"), Some(1), &moved).await.unwrap();
    assert_eq!(kind(staged.commit().await), ErrorKind::Conflict);
    assert_eq!(open(harness, &spec).await.peek(&track("mrf1")).await.unwrap(), Some(moved));
    write(harness, &spec, &track("mrf1"), 80, &rows).await;
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 3);
}

/// Records and rows outlive many commits, checkpoints and maintenance.
pub(crate) async fn many_commits_and_maintenance_keep_everything(harness: &dyn Harness) {
    let mode = modes_of(harness, &[Mode::Append, Mode::Merge])[0];
    let spec = specs::sink("long", mode);
    write(harness, &spec, &track("mrf2"), 1, &people([1_000])).await;
    let sink = open(harness, &spec).await;
    for at in 1..=32 {
        let rows = people([at * 2, at * 2 + 1]);
        let staged =
            stage(sink.as_ref(), &track("mrf1"), &unit(mode, at, &rows), &attempt(), &rows).await.unwrap();
        staged.commit().await.unwrap();
        if at % 10 == 0 {
            sink.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
        }
    }
    sink.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
    let sink = open(harness, &spec).await;
    let (long, short) = (sink.peek(&track("mrf1")).await.unwrap(), sink.peek(&track("mrf2")).await.unwrap());
    assert_eq!((long.unwrap().seq, short.unwrap().seq), (32, 1), "a quiet track keeps its record too");
    assert_eq!(target(harness, "long").await, Some(sorted_text(&people((2..=65).chain([1_000])))));
    write(harness, &spec, &track("mrf2"), 2, &people([1_001])).await;
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

/// A process that went away with a stage in hand leaves nothing in the next one's way.
pub(crate) async fn a_new_connection_goes_on(harness: &dyn Harness) {
    for mode in modes_of(harness, &MODES) {
        let table = format!("reopened_{mode}");
        let spec = specs::sink(&table, mode);
        write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
        let dead = open(harness, &spec).await;
        let rows = people(1..=300);
        let staged =
            stage(dead.as_ref(), &track("mrf1"), &unit(mode, 2, &rows), &attempt(), &rows).await.unwrap();
        drop(dead);
        write(harness, &spec, &track("mrf1"), 2, &people([2])).await;
        assert_eq!(kind(staged.commit().await), ErrorKind::Conflict, "its claim is an old one by now");
        let expected = if mode == Mode::Replace { people([2]) } else { people([1, 2]) };
        assert_eq!(target(harness, &table).await, Some(sorted_text(&expected)));
    }
}

/// Tracks that commit into one table at the same time all succeed: what others changed is retried inside.
pub(crate) async fn racing_tracks_lose_nothing(harness: &dyn Harness) {
    if !has(harness, Mode::Append) {
        return;
    }
    let spec = specs::sink("crowded", Mode::Append);
    write(harness, &spec, &track("first"), 1, &people([])).await;
    let writer = |region: i64| {
        let spec = &spec;
        async move {
            let sink = open(harness, spec).await;
            let track = track(&format!("mrf{region}"));
            for at in 0..5 {
                let rows = people([region * 100 + at]);
                let unit = unit(Mode::Append, at, &rows);
                let staged = stage(sink.as_ref(), &track, &unit, &attempt(), &rows).await.unwrap();
                staged.commit().await.unwrap();
            }
            assert_eq!(sink.peek(&track).await.unwrap().unwrap().seq, 5);
        }
    };
    futures::future::join_all((1..=4).map(writer)).await;
    let expected = (1..=4).flat_map(|region| (0..5).map(move |at| region * 100 + at));
    assert_eq!(target(harness, "crowded").await, Some(sorted_text(&people(expected))));
}

/// The records of all tracks that begin alike are listed, each its last one; those of other tracks and of other tables are not.
pub(crate) async fn records_are_listed_by_prefix(harness: &dyn Harness) {
    if !has(harness, Mode::Window) {
        return;
    }
    let (spec, other) = (specs::sink("windowed", Mode::Window), specs::sink("elsewhere", Mode::Window));
    let member = track("mrf'1_%");
    let prefix = member.windows_prefix();
    let listed = async || {
        let sink = harness.open().sink(&spec).await.unwrap();
        let mut found = sink.records(&prefix).await.unwrap();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.into_iter().map(|(key, record)| (key, record.seq, record.rows)).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [], "nothing is there yet");
    let window = |at: i64| member.of_window(&format!("2026-01-{at:02}"));
    for at in [10, 20, 10, 30] {
        write(harness, &spec, &window(at), at, &people(at..at + 3)).await;
    }
    write(harness, &spec, &track("mrf'1_"), 40, &people([40])).await;
    write(harness, &spec, &track("mrf'1_x").of_window("2026-01-50"), 50, &people([50])).await;
    write(harness, &other, &window(60), 60, &people([60])).await;
    let key = |at: i64| window(at).key();
    let expected = [(key(10), 2, 3), (key(20), 1, 3), (key(30), 1, 3)];
    assert_eq!(listed().await, expected);
    let sink = harness.open().sink(&spec).await.unwrap();
    let record = sink.peek(&window(20)).await.unwrap().unwrap();
    sink.set_record(&window(20), Some(1), &Record { seq: 2, rows: 0, ..record }).await.unwrap();
    sink.maintain(std::time::Duration::from_secs(60), chrono::Utc::now()).await.unwrap();
    assert_eq!(listed().await, [(key(10), 2, 3), (key(20), 2, 0), (key(30), 1, 3)]);
}
