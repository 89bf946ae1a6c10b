//! Sources that are not what they were: refused before a row is read, never guessed at.

use std::{sync::Arc, time::Duration};

use vitrina::{
    connector::{
        error::ErrorKind,
        source::{Source, SourceSpec},
    },
    model::{position::Position, unit::SliceLimit},
};

use super::{
    Harness, Reading,
    reading::{
        WIDE, cursor_of, end_of, ids_after, kind, open, plan_all, ranges, read, shape, try_everything,
        try_read,
    },
};
use crate::support::{
    rows::{batch, ids, ints, people, texts},
    specs,
};

/// The kind of error that planning on from a position gives.
async fn refusal(source: &Arc<dyn Source>, from: &Position) -> ErrorKind {
    let head = match source.head().await {
        Ok(head) => head,
        Err(error) => return error.kind,
    };
    kind(source.plan(Some(from), &head, WIDE).await)
}

/// A position of another table, or of the same one read otherwise, is no position here.
pub(crate) async fn another_source_is_refused(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let (one, other) = (format!("one_{reading:?}"), format!("other_{reading:?}"));
        harness.insert(reading, &one, &people(1..=5)).await;
        harness.insert(reading, &other, &people(1..=5)).await;
        let source = open(harness, reading, &one, &people([])).await;
        let at = source.head().await.unwrap();
        let other = open(harness, reading, &other, &people([])).await;
        assert_eq!(refusal(&other, &at).await, ErrorKind::SourceChanged, "{reading:?}");
    }
    let readings = harness.abilities().readings;
    if readings.contains(&Reading::Cursor) && readings.contains(&Reading::Whole) {
        let by_cursor = open(harness, Reading::Cursor, "one_Cursor", &people([])).await;
        let whole = open(harness, Reading::Whole, "one_Cursor", &people([])).await;
        let at = by_cursor.head().await.unwrap();
        assert_eq!(refusal(&whole, &at).await, ErrorKind::SourceChanged);
    }
}

/// A table dropped and made again under the same name is another one.
pub(crate) async fn a_source_made_again_is_refused(harness: &dyn Harness) {
    for reading in noticing(harness) {
        let table = format!("anew_{reading:?}");
        harness.insert(reading, &table, &people(1..=9)).await;
        let (_, at) = ids_after(open(harness, reading, &table, &people([])).await.as_ref(), None).await;
        harness.drop_table(&table).await;
        let names = (1..=9).map(|_| Some("кто-то другой"));
        harness.insert(reading, &table, &batch(vec![("id", ints(1..=9)), ("name", texts(names))])).await;
        let source = open(harness, reading, &table, &people([])).await;
        assert_eq!(refusal(&source, &at).await, ErrorKind::SourceChanged, "{reading:?}, as long");

        harness.drop_table(&table).await;
        harness.insert(reading, &table, &people([])).await;
        let source = open(harness, reading, &table, &people([])).await;
        assert_eq!(refusal(&source, &at).await, ErrorKind::SourceChanged, "{reading:?}, empty");
    }
}

/// A position may lie inside of what is there to be read: a table that was made again since, and reaches beyond it, is another one all the same.
pub(crate) async fn a_source_made_again_behind_the_position_is_refused(harness: &dyn Harness) {
    let cuts = |reading: &Reading| *reading != Reading::Log || harness.abilities().cuts_logs;
    for reading in noticing(harness).into_iter().filter(cuts) {
        let table = format!("backlog_{reading:?}");
        harness.insert(reading, &table, &people(1..=20)).await;
        let source = open(harness, reading, &table, &people([])).await;
        let head = source.head().await.unwrap();
        let limit = SliceLimit { rows: 5, ..WIDE };
        let first = source.plan(None, &head, limit).await.unwrap().expect("a slice");
        let at = end_of(&first);
        assert_ne!(at, head, "{reading:?}: the position is inside");
        harness.drop_table(&table).await;
        let names = (1..=12).map(|_| Some("кто-то другой"));
        harness.insert(reading, &table, &batch(vec![("id", ints(1..=12)), ("name", texts(names))])).await;
        let source = open(harness, reading, &table, &people([])).await;
        assert_eq!(refusal(&source, &at).await, ErrorKind::SourceChanged, "{reading:?}");
    }
}

/// A table whose newest rows went away would hide the next ones of the same numbers.
pub(crate) async fn a_source_that_shrank_is_refused(harness: &dyn Harness) {
    for reading in noticing(harness) {
        let table = format!("shrunk_{reading:?}");
        harness.insert(reading, &table, &people(1..=9)).await;
        let (_, at) = ids_after(open(harness, reading, &table, &people([])).await.as_ref(), None).await;
        harness.delete(&table, &[8, 9]).await;
        let source = open(harness, reading, &table, &people([])).await;
        assert_eq!(refusal(&source, &at).await, ErrorKind::SourceChanged, "{reading:?}");
    }
}

fn noticing(harness: &dyn Harness) -> Vec<Reading> {
    let notices = |reading: &Reading| *reading != Reading::Log || harness.abilities().notices_log_changes;
    ranges(harness).into_iter().filter(notices).collect()
}

/// A unit keeps the schema that it was planned with; what was added since comes with later units.
pub(crate) async fn a_unit_keeps_its_schema(harness: &dyn Harness) {
    for reading in ranges(harness) {
        let table = format!("grown_{reading:?}");
        harness.insert(reading, &table, &people(1..=5)).await;
        let spec = SourceSpec { cursor: cursor_of(reading), ..specs::undeclared(&table) };
        let source = harness.open_for(reading).source(&spec).await.unwrap();
        let head = source.head().await.unwrap();
        let units = plan_all(source.as_ref(), None, &head, WIDE).await;
        let wider = batch(vec![("id", ints([6, 7])), ("name", texts([None, None])), ("score", ints([1, 2]))]);
        harness.insert(reading, &table, &wider).await;

        let mut seen = vec![];
        for unit in &units {
            match try_read(source.as_ref(), unit).await {
                Ok(held) => {
                    assert!(held.batch.column_by_name("score").is_none());
                    seen.extend(ids(&held.batch));
                }
                Err(error) => assert_eq!(error.kind, ErrorKind::SchemaChanged, "{error}"),
            }
        }
        let source = harness.open_for(reading).source(&spec).await.unwrap();
        let head = source.head().await.unwrap();
        let from = (!seen.is_empty()).then(|| end_of(units.last().unwrap()));
        let later = plan_all(source.as_ref(), from.as_ref(), &head, WIDE).await;
        for unit in &later {
            seen.extend(ids(&read(source.as_ref(), unit).await.batch));
        }
        assert_eq!(seen, (1..=7).collect::<Vec<_>>(), "{reading:?}");
        let last = &later.last().unwrap().schema;
        assert!(last.column_with_name("score").is_some(), "the new column came with the new rows");
        assert_eq!(shape(last), shape(&source.schema().await.unwrap()));
    }
}

/// A table, a contract's column and a cursor's column that are not there are named as not found.
pub(crate) async fn what_is_missing_is_not_found(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("there_{reading:?}");
        harness.insert(reading, &table, &people(1..=3)).await;
        let there = SourceSpec { cursor: cursor_of(reading), ..specs::source(&table, &people([])) };
        let no_table = SourceSpec { table: "nowhere".to_owned(), ..there.clone() };
        assert_eq!(
            kind(try_everything(harness, reading, &no_table).await),
            ErrorKind::NotFound,
            "{reading:?}"
        );
        let like = batch(vec![("id", ints([])), ("Name", texts([]))]);
        let no_column = SourceSpec { cursor: cursor_of(reading), ..specs::source(&table, &like) };
        assert_eq!(
            kind(try_everything(harness, reading, &no_column).await),
            ErrorKind::NotFound,
            "{reading:?}"
        );
        if reading == Reading::Cursor {
            let no_cursor = SourceSpec { cursor: Some(specs::cursor("ID_")), ..there };
            assert_eq!(kind(try_everything(harness, reading, &no_cursor).await), ErrorKind::NotFound);
        }
    }
}

/// A way of reading that the connector does not have is said to be unsupported.
pub(crate) async fn a_reading_that_cannot_be_is_refused(harness: &dyn Harness) {
    let readings = harness.abilities().readings;
    let first = readings[0];
    harness.insert(first, "only", &people(1..=3)).await;
    if !readings.contains(&Reading::Cursor) {
        let spec = SourceSpec { cursor: Some(specs::cursor("id")), ..specs::source("only", &people([])) };
        assert_eq!(kind(try_everything(harness, first, &spec).await), ErrorKind::Unsupported);
        return;
    }
    let flags = batch(vec![("id", ints([1])), ("flag", crate::support::rows::flags([true]))]);
    harness.insert(Reading::Cursor, "flagged", &flags).await;
    let spec = SourceSpec { cursor: Some(specs::cursor("flag")), ..specs::source("flagged", &flags) };
    assert_eq!(
        kind(try_everything(harness, Reading::Cursor, &spec).await),
        ErrorKind::Unsupported,
        "a bool orders nothing"
    );
}

/// Tables of our own book-keeping are nobody's source.
pub(crate) async fn names_of_our_own_are_refused(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let spec = SourceSpec { cursor: cursor_of(reading), ..specs::undeclared("_vitrina_records") };
        assert_eq!(kind(try_everything(harness, reading, &spec).await), ErrorKind::Unsupported);
    }
}

/// `changed` resolves soon after somebody added rows, and whatever was added since the last head is not slept over.
pub(crate) async fn changed_wakes(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("watched_{reading:?}");
        harness.insert(reading, &table, &people(1..=3)).await;
        let source = open(harness, reading, &table, &people([])).await;
        source.head().await.unwrap();
        let waiting = source.clone();
        let waiter = tokio::spawn(async move { waiting.changed().await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        harness.insert(reading, &table, &people([4])).await;
        tokio::time::timeout(Duration::from_mins(1), waiter).await.expect("changed() sleeps on").unwrap();

        source.head().await.unwrap();
        harness.insert(reading, &table, &people([5])).await;
        tokio::time::timeout(Duration::from_mins(1), source.changed())
            .await
            .expect("changed() slept over rows");
    }
}

/// Nobody waits for ever for what is gone: `changed` resolves, and the next head says why.
pub(crate) async fn waiting_ends_with_the_table(harness: &dyn Harness) {
    for reading in harness.abilities().readings {
        let table = format!("dropped_{reading:?}");
        harness.insert(reading, &table, &people(1..=3)).await;
        let source = open(harness, reading, &table, &people([])).await;
        source.head().await.unwrap();
        let waiting = source.clone();
        let waiter = tokio::spawn(async move { waiting.changed().await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        harness.drop_table(&table).await;
        tokio::time::timeout(Duration::from_mins(1), waiter).await.expect("changed() sleeps on").unwrap();
        assert_eq!(kind(source.head().await), ErrorKind::NotFound, "{reading:?}");
    }
}
