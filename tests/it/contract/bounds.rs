//! Order and bounds: slices, heads, overlaps, starts, snapshots.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::record_batch::RecordBatch;
use proptest::{
    collection::vec,
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};
use vitrina::{
    connector::{
        error::ErrorKind,
        source::{CursorSpec, Overlap, SourceSpec},
    },
    model::{
        unit::{Scope, SliceLimit},
        value::Value,
    },
};

use super::{
    Harness, Reading,
    reading::{WIDE, end_of, ids_after, kind, most, open, open_spec, plan_all, ranges, read, read_all},
};
use crate::support::{
    rows::{batch, ids, int_column, ints, people, text, texts},
    specs,
};

/// Slices, one after another, give every row once and in order; equal cursor values lie in one slice; a slice is
/// no bigger than it must be.
pub(crate) async fn slices_leave_no_gaps_and_split_no_equal_values(harness: &dyn Harness) {
    let tables = AtomicUsize::new(0);
    for reading in ranges(harness) {
        let groups = vec(1_usize..5, 1..12);
        property(&(groups, 1_u64..20), |(groups, limit)| {
            let table = format!("cut_{}", tables.fetch_add(1, Ordering::SeqCst));
            block_in_place(|| {
                Handle::current().block_on(slices_of(harness, reading, &table, &groups, limit));
            });
        });
    }
}

async fn slices_of(harness: &dyn Harness, reading: Reading, table: &str, groups: &[usize], limit: u64) {
    let all = grouped(groups);
    for start in (0..all.num_rows()).step_by(7) {
        harness.insert(reading, table, &all.slice(start, 7.min(all.num_rows() - start))).await;
    }
    let cursor = (reading == Reading::Cursor).then(|| specs::cursor("step"));
    let source = open_spec(harness, reading, SourceSpec { cursor, ..specs::source(table, &all) }).await;
    let head = source.head().await.unwrap();
    let slices = read_all(source.as_ref(), &plan_all(source.as_ref(), None, &head, most(limit)).await).await;
    let steps: Vec<i64> = slices.iter().flat_map(|slice| int_column(&slice.batch, "step")).collect();
    assert_eq!(steps, int_column(&all, "step"), "every row, in order");
    let mut seen: Vec<i64> = slices.iter().flat_map(|slice| ids(&slice.batch)).collect();
    seen.sort_unstable();
    assert_eq!(seen, ids(&all), "every row once");
    if reading == Reading::Log && !harness.abilities().cuts_logs {
        return;
    }
    for slice in &slices {
        let steps = int_column(&slice.batch, "step");
        let needed = match reading {
            Reading::Cursor => steps.iter().filter(|step| Some(*step) != steps.last()).count() + 1,
            _ => steps.len(),
        };
        assert!(needed as u64 <= limit, "{} rows in a slice of {limit}", steps.len());
    }
    if reading == Reading::Cursor {
        let ends: Vec<(i64, i64)> = slices
            .iter()
            .map(|slice| int_column(&slice.batch, "step"))
            .map(|steps| (steps[0], *steps.last().unwrap()))
            .collect();
        assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0), "equal cursor values were split");
    }
}

/// Rows `id, step, name`: groups of equal steps.
fn grouped(groups: &[usize]) -> RecordBatch {
    let steps =
        groups.iter().enumerate().flat_map(|(step, count)| std::iter::repeat_n(step as i64 * 10, *count));
    let steps: Vec<i64> = steps.collect();
    let names: Vec<String> = (0..steps.len()).map(|row| format!("строка {row}")).collect();
    batch(vec![
        ("id", ints(1..=steps.len() as i64)),
        ("step", ints(steps)),
        ("name", texts(names.iter().map(|name| Some(name.as_str())))),
    ])
}

fn property<S: Strategy>(strategy: &S, test: impl Fn(S::Value)) {
    let config = Config { cases: 12, failure_persistence: None, max_shrink_iters: 20, ..Config::default() };
    let result = TestRunner::new(config).run(strategy, |value| {
        test(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// With a tie, a slice may end between equal cursor values, and is never too big.
pub(crate) async fn a_tie_splits_equal_values(harness: &dyn Harness) {
    if !harness.abilities().readings.contains(&Reading::Cursor) {
        return;
    }
    let all = grouped(&[3, 9, 1, 4]);
    harness.insert(Reading::Cursor, "ties", &all).await;
    let cursor = CursorSpec { tie: Some("id".to_owned()), ..specs::cursor("step") };
    let spec = SourceSpec { cursor: Some(cursor), ..specs::source("ties", &all) };
    let source = open_spec(harness, Reading::Cursor, spec).await;
    let head = source.head().await.unwrap();
    for limit in [1, 2, 5, 16, 17, 18] {
        let slices =
            read_all(source.as_ref(), &plan_all(source.as_ref(), None, &head, most(limit)).await).await;
        assert!(slices.iter().all(|slice| slice.batch.num_rows() as u64 <= limit), "limit {limit}");
        let seen: Vec<i64> = slices.iter().flat_map(|slice| ids(&slice.batch)).collect();
        assert_eq!(seen, ids(&all), "limit {limit}");
    }
}

/// A limit of bytes ends slices as a limit of rows does.
pub(crate) async fn bytes_limit_slices(harness: &dyn Harness) {
    for reading in ranges(harness) {
        if reading == Reading::Log && !harness.abilities().cuts_logs {
            continue;
        }
        let long = "ж".repeat(5_000);
        let all = batch(vec![("id", ints(1..=100)), ("name", texts((0..100).map(|_| Some(long.as_str()))))]);
        let table = format!("heavy_{reading:?}");
        harness.insert(reading, &table, &all).await;
        let source = open(harness, reading, &table, &all).await;
        let head = source.head().await.unwrap();
        let limit = SliceLimit { bytes: 100_000, ..WIDE };
        let units = plan_all(source.as_ref(), None, &head, limit).await;
        assert!((5..=100).contains(&units.len()), "1 MB in slices of 100 kB: {} slices", units.len());
        let seen: Vec<i64> =
            read_all(source.as_ref(), &units).await.iter().flat_map(|slice| ids(&slice.batch)).collect();
        assert_eq!(seen, ids(&all));
    }
}

/// What others add after the head was taken comes with the next run, and only then.
pub(crate) async fn a_run_ends_at_its_first_head(harness: &dyn Harness) {
    for reading in ranges(harness) {
        let table = format!("moving_{reading:?}");
        harness.insert(reading, &table, &people(1..=10)).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let (mut seen, mut at, mut next) = (vec![], None, 11);
        while let Some(unit) = source.plan(at.as_ref(), &head, most(3)).await.unwrap() {
            harness.insert(reading, &table, &people(next..next + 4)).await;
            seen.extend(ids(&read(source.as_ref(), &unit).await.batch));
            (at, next) = (Some(end_of(&unit)), next + 4);
        }
        assert_eq!(seen, (1..=10).collect::<Vec<_>>());
        assert_eq!(source.plan(Some(&head), &head, WIDE).await.unwrap().map(|unit| unit.scope), None);
        let (rest, _) = ids_after(source.as_ref(), at.as_ref()).await;
        assert_eq!(rest, (11..next).collect::<Vec<_>>());
    }
}

/// Another writer of the same track may have gone on past the head that a run saw first: up to that head there is nothing more.
pub(crate) async fn a_position_past_the_head_is_no_news(harness: &dyn Harness) {
    for reading in ranges(harness) {
        let table = format!("overtaken_{reading:?}");
        harness.insert(reading, &table, &people(1..=10)).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        harness.insert(reading, &table, &people(11..=14)).await;
        let other = open(harness, reading, &table, &people([])).await;
        let past =
            end_of(plan_all(other.as_ref(), None, &other.head().await.unwrap(), WIDE).await.last().unwrap());
        assert_eq!(source.plan(Some(&past), &head, WIDE).await.unwrap().map(|unit| unit.scope), None);
        harness.insert(reading, &table, &people(15..=16)).await;
        let (rest, _) = ids_after(source.as_ref(), Some(&past)).await;
        assert_eq!(rest, [15, 16]);
    }
}

/// A slice that is read after others wrote holds what it held when it was planned.
pub(crate) async fn a_slice_is_the_same_however_others_write(harness: &dyn Harness) {
    for reading in ranges(harness) {
        let table = format!("busy_{reading:?}");
        harness.insert(reading, &table, &people(1..=20)).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let units = plan_all(source.as_ref(), None, &head, most(8)).await;
        harness.insert(reading, &table, &people(21..=60)).await;
        let held = read_all(source.as_ref(), &units).await;
        let seen: Vec<i64> = held.iter().flat_map(|held| ids(&held.batch)).collect();
        assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    }
}

/// The same unit gives the same rows again, also to a process that was started anew.
pub(crate) async fn a_unit_is_read_again_alike(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("again_{reading:?}");
        harness.insert(reading, &table, &people(1..=50)).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let units = plan_all(source.as_ref(), None, &head, most(20)).await;
        harness.insert(reading, &table, &people(51..=60)).await;
        let fresh = match reading {
            Reading::Whole => source.clone(), // A snapshot is its source's own.
            _ => open(harness, reading, &table, &people([])).await,
        };
        for unit in &units {
            let (first, second) = (read(source.as_ref(), unit).await, read(fresh.as_ref(), unit).await);
            assert_eq!(text(&first.batch), text(&second.batch));
            assert_eq!(first.ordinals, second.ordinals);
        }
    }
}

/// An overlap reads rows that showed up late, and what lies in it again; it ends all the same.
pub(crate) async fn an_overlap_meets_late_rows(harness: &dyn Harness) {
    if !harness.abilities().readings.contains(&Reading::Cursor) {
        return;
    }
    harness.insert(Reading::Cursor, "late", &people([10, 20, 30, 40])).await;
    let cursor = CursorSpec { overlap: Some(Overlap::Steps(15)), ..specs::cursor("id") };
    let spec = SourceSpec { cursor: Some(cursor), ..specs::source("late", &people([])) };
    let source = open_spec(harness, Reading::Cursor, spec).await;
    let (seen, at) = ids_after(source.as_ref(), None).await;
    assert_eq!(seen, [10, 20, 30, 40]);
    harness.insert(Reading::Cursor, "late", &people([5, 33, 50])).await;
    let (seen, at) = ids_after(source.as_ref(), Some(&at)).await;
    assert_eq!(seen, [30, 33, 40, 50], "from 40 - 15 on");
    let head = source.head().await.unwrap();
    assert!(source.plan(Some(&at), &head, WIDE).await.unwrap().is_none(), "an overlap alone is nothing new");
}

/// Rows before `start` are not read.
pub(crate) async fn a_start_leaves_older_rows_out(harness: &dyn Harness) {
    if !harness.abilities().readings.contains(&Reading::Cursor) {
        return;
    }
    harness.insert(Reading::Cursor, "old", &people(1..=9)).await;
    let cursor = CursorSpec { start: Some(Value::Int(4)), ..specs::cursor("id") };
    let spec = SourceSpec { cursor: Some(cursor), ..specs::source("old", &people([])) };
    let source = open_spec(harness, Reading::Cursor, spec).await;
    let head = source.head().await.unwrap();
    let units = plan_all(source.as_ref(), None, &head, most(4)).await;
    let seen: Vec<i64> =
        read_all(source.as_ref(), &units).await.iter().flat_map(|held| ids(&held.batch)).collect();
    assert_eq!(seen, [4, 5, 6, 7, 8, 9]);
}

/// A table without rows has a head and nothing to read; its first rows are read from its beginning.
pub(crate) async fn an_empty_source_is_no_error(harness: &dyn Harness) {
    for reading in ranges(harness) {
        let table = format!("empty_{reading:?}");
        harness.insert(reading, &table, &people([])).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let units = plan_all(source.as_ref(), None, &head, WIDE).await;
        let held = read_all(source.as_ref(), &units).await;
        assert!(held.iter().all(|held| held.batch.num_rows() == 0 && held.bad.is_empty()));
        harness.insert(reading, &table, &people([1, 2])).await;
        let (seen, _) = ids_after(source.as_ref(), units.last().map(end_of).as_ref()).await;
        assert_eq!(seen, [1, 2]);
        let (seen, _) = ids_after(source.as_ref(), Some(&head)).await;
        assert_eq!(seen, [1, 2], "from the head of the empty table");
    }
}

/// What is read by offset or version otherwise comes as one snapshot where the sink replaces; its positions are of another kind.
pub(crate) async fn a_log_is_read_whole_where_it_is_asked_for(harness: &dyn Harness) {
    if !harness.abilities().readings.contains(&Reading::Log) {
        return;
    }
    harness.insert(Reading::Log, "lines", &people(1..=30)).await;
    harness.insert(Reading::Log, "lines", &people(31..=40)).await;
    let spec = SourceSpec { whole: true, ..specs::source("lines", &people([])) };
    let source = harness.open_for(Reading::Log).source(&spec).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, most(7)).await.unwrap().expect("a snapshot");
    assert_eq!(unit.scope, Scope::Snapshot);
    harness.insert(Reading::Log, "lines", &people(41..=45)).await;
    let mut seen = ids(&read(source.as_ref(), &unit).await.batch);
    seen.sort_unstable();
    assert_eq!(seen, (1..=40).collect::<Vec<_>>(), "never split, and as it was");
    let again = source.head().await.unwrap();
    let unit = source.plan(Some(&head), &again, WIDE).await.unwrap().expect("the next generation");
    assert_eq!(read(source.as_ref(), &unit).await.batch.num_rows(), 45, "all of it once more");

    let by_offset = open(harness, Reading::Log, "lines", &people([])).await;
    let now = by_offset.head().await.unwrap();
    let refused = by_offset.plan(Some(&head), &now, WIDE).await;
    assert_eq!(kind(refused), ErrorKind::SourceChanged, "a snapshot is no place to read on from");
}

/// A whole table comes once a run, as it was when the head was taken; an empty one comes too, since it replaces.
pub(crate) async fn a_whole_table_is_one_snapshot_a_run(harness: &dyn Harness) {
    if !harness.abilities().readings.contains(&Reading::Whole) {
        return;
    }
    harness.insert(Reading::Whole, "whole", &people(1..=50)).await;
    let source = open(harness, Reading::Whole, "whole", &people([])).await;
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, most(7)).await.unwrap().expect("a snapshot");
    assert_eq!(unit.scope, Scope::Snapshot);
    harness.insert(Reading::Whole, "whole", &people(51..=60)).await;
    let mut seen = ids(&read(source.as_ref(), &unit).await.batch);
    seen.sort_unstable();
    assert_eq!(seen, (1..=50).collect::<Vec<_>>(), "never split, and as it was");
    assert!(source.plan(Some(&end_of(&unit)), &head, WIDE).await.unwrap().is_none(), "one a run");

    let source = open(harness, Reading::Whole, "whole", &people([])).await;
    let head = source.head().await.unwrap();
    let unit = source.plan(Some(&end_of(&unit)), &head, WIDE).await.unwrap().expect("the next generation");
    assert_eq!(read(source.as_ref(), &unit).await.batch.num_rows(), 60);
    harness.insert(Reading::Whole, "bare", &people([])).await;
    let source = open(harness, Reading::Whole, "bare", &people([])).await;
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().expect("an empty table is a snapshot too");
    assert_eq!(read(source.as_ref(), &unit).await.batch.num_rows(), 0);
}
