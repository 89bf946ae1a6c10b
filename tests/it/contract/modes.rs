//! What each mode makes of the rows that are there.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Int64Array},
    record_batch::RecordBatch,
};
use vitrina::{
    connector::{
        error::ErrorKind,
        sink::{DeleteHow, SinkSpec},
    },
    model::{delivery::Mode, unit::DELETED},
};

use super::{
    Harness,
    reading::kind,
    writing::{has, target, try_write, write},
};
use crate::support::{
    rows::{batch, flags, ids, ints, people, sorted_text, texts},
    specs::{self, track},
    sql,
};

/// A mode that the connector does not have is said to be unsupported, and nothing is made.
pub(crate) async fn modes_that_cannot_be_are_refused(harness: &dyn Harness) {
    for mode in [Mode::Append, Mode::Merge, Mode::Replace, Mode::Window] {
        if !has(harness, mode) {
            let refused =
                try_write(harness, &specs::sink("never", mode), &track("mrf1"), 1, &people([2])).await;
            assert_eq!(kind(refused), ErrorKind::Unsupported, "{mode}");
        }
    }
    assert_eq!(target(harness, "never").await, None);
}

/// Rows `id, name` with these names.
fn named(rows: &[(i64, &str)]) -> RecordBatch {
    let names = rows.iter().map(|(_, name)| Some(*name));
    batch(vec![("id", ints(rows.iter().map(|(id, _)| *id))), ("name", texts(names))])
}

/// Rows `id, name, _deleted`.
fn marked(rows: &[(i64, &str, bool)]) -> RecordBatch {
    let names = rows.iter().map(|(_, name, _)| Some(*name));
    batch(vec![
        ("id", ints(rows.iter().map(|(id, _, _)| *id))),
        ("name", texts(names)),
        (DELETED, flags(rows.iter().map(|(_, _, deleted)| *deleted))),
    ])
}

/// The last row of a key wins: inside a unit, and over what units before it wrote.
pub(crate) async fn merge_keeps_the_last_row(harness: &dyn Harness) {
    if !has(harness, Mode::Merge) {
        return;
    }
    let spec = specs::sink("merged", Mode::Merge);
    let first = [(1, "а"), (2, "б"), (1, "в"), (3, "г"), (1, "д"), (2, "б")];
    write(harness, &spec, &track("mrf1"), 1, &named(&first)).await;
    assert_eq!(target(harness, "merged").await.unwrap(), ["1|д", "2|б", "3|г"]);
    write(harness, &spec, &track("mrf1"), 2, &named(&[(4, "е"), (3, "ж"), (4, "з")])).await;
    assert_eq!(target(harness, "merged").await.unwrap(), ["1|д", "2|б", "3|ж", "4|з"]);
    let nulls = batch(vec![("id", ints([2])), ("name", texts([None]))]);
    write(harness, &spec, &track("mrf1"), 3, &nulls).await;
    assert_eq!(target(harness, "merged").await.unwrap(), ["1|д", "2|∅", "3|ж", "4|з"], "NULL is a value too");
}

/// Deletions for good: the key goes, and comes back if a later row brings it.
pub(crate) async fn merge_deletes_for_good(harness: &dyn Harness) {
    if !has(harness, Mode::Merge) {
        return;
    }
    let spec = SinkSpec { delete: Some(DeleteHow::Hard), ..specs::sink("forgotten", Mode::Merge) };
    write(harness, &spec, &track("mrf1"), 1, &marked(&[(1, "а", false), (2, "б", false), (3, "в", false)]))
        .await;
    let second =
        [(1, "", true), (2, "", true), (2, "снова", false), (4, "", true), (5, "д", false), (5, "", true)];
    write(harness, &spec, &track("mrf1"), 2, &marked(&second)).await;
    assert_eq!(target(harness, "forgotten").await.unwrap(), ["2|снова", "3|в"]);
    write(harness, &spec, &track("mrf1"), 3, &marked(&[(1, "вернулся", false), (3, "", true)])).await;
    assert_eq!(target(harness, "forgotten").await.unwrap(), ["1|вернулся", "2|снова"]);
}

/// Soft deletions: the row stays and says so.
pub(crate) async fn merge_marks_the_deleted(harness: &dyn Harness) {
    if !has(harness, Mode::Merge) {
        return;
    }
    let spec = SinkSpec { delete: Some(DeleteHow::Soft), ..specs::sink("marked", Mode::Merge) };
    write(harness, &spec, &track("mrf1"), 1, &marked(&[(1, "а", false), (2, "б", false)])).await;
    write(harness, &spec, &track("mrf1"), 2, &marked(&[(1, "а", true), (3, "в", true)])).await;
    let through = harness.open();
    let select = format!("SELECT id, name, {DELETED} FROM {}", sql::quoted(through.as_ref(), "marked"));
    let rows = sql::ask(&sql::engine(through.catalog()), &select).await;
    assert_eq!(sorted_text(&rows), ["1|а|true", "2|б|false", "3|в|true"]);
    write(harness, &spec, &track("mrf1"), 3, &marked(&[(1, "снова", false)])).await;
    let rows = sql::ask(&sql::engine(through.catalog()), &select).await;
    assert_eq!(sorted_text(&rows), ["1|снова|false", "2|б|false", "3|в|true"]);
}

/// A key of several columns, of several types.
pub(crate) async fn merge_by_several_columns(harness: &dyn Harness) {
    if !has(harness, Mode::Merge) {
        return;
    }
    let key = vec!["Регион".to_owned(), "id".to_owned()];
    let spec = SinkSpec { key, ..specs::sink("composed", Mode::Merge) };
    let rows = |rows: &[(i64, &str, i64)]| {
        batch(vec![
            ("id", ints(rows.iter().map(|row| row.0))),
            ("Регион", texts(rows.iter().map(|row| Some(row.1)))),
            ("n", ints(rows.iter().map(|row| row.2))),
        ])
    };
    let first = rows(&[(1, "Волга", 1), (1, "Центр", 2), (2, "Волга", 3), (1, "Волга", 4)]);
    write(harness, &spec, &track("mrf1"), 1, &first).await;
    write(harness, &spec, &track("mrf1"), 2, &rows(&[(1, "Центр", 5), (2, "Центр", 6)])).await;
    assert_eq!(
        target(harness, "composed").await.unwrap(),
        ["1|Волга|4", "1|Центр|5", "2|Волга|3", "2|Центр|6"]
    );
}

/// NULL in a key is refused, or is a key like any other: no merge adds such a row once more.
pub(crate) async fn a_null_in_a_key_is_never_doubled(harness: &dyn Harness) {
    if !has(harness, Mode::Merge) {
        return;
    }
    let spec = specs::sink("unkeyed", Mode::Merge);
    write(harness, &spec, &track("mrf1"), 1, &people([1])).await;
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let rows = batch(vec![("id", keys), ("name", texts([Some("а"), Some("б")]))]);
    let sink = harness.open().sink(&spec).await.unwrap();
    let claim = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap();
    if !claim.schema.field_with_name("id").unwrap().is_nullable() {
        // A bad row, before anything is staged.
        return;
    }
    for at in 2..=3 {
        if let Err(error) = try_write(harness, &spec, &track("mrf1"), at, &rows).await {
            assert_eq!(error.kind, ErrorKind::BadData, "{error}");
            assert_eq!(target(harness, "unkeyed").await.unwrap(), sorted_text(&people([1])));
            return;
        }
        assert_eq!(target(harness, "unkeyed").await.unwrap(), ["1|а", "∅|б"]);
    }
}

/// A merge anew (`--full-refresh`) is a merge into an empty table, in one commit; what comes after merges as ever.
pub(crate) async fn merge_anew_leaves_nothing_old(harness: &dyn Harness) {
    if !has(harness, Mode::Merge) || !has(harness, Mode::Replace) {
        return;
    }
    let spec = SinkSpec { delete: Some(DeleteHow::Hard), ..specs::sink("renewed", Mode::Merge) };
    let anew = SinkSpec { anew: true, ..spec.clone() };
    write(harness, &spec, &track("mrf1"), 1, &marked(&[(1, "а", false), (2, "б", false), (9, "я", false)]))
        .await;
    let all = [(1, "в", false), (3, "г", false), (1, "д", false), (4, "е", false), (4, "", true)];
    write(harness, &anew, &track("mrf1"), 2, &marked(&all)).await;
    assert_eq!(target(harness, "renewed").await.unwrap(), ["1|д", "3|г"]);
    write(harness, &spec, &track("mrf1"), 3, &marked(&[(3, "ж", false), (5, "з", false)])).await;
    assert_eq!(target(harness, "renewed").await.unwrap(), ["1|д", "3|ж", "5|з"]);
    write(harness, &anew, &track("mrf1"), 4, &marked(&[])).await;
    assert_eq!(target(harness, "renewed").await.unwrap(), [""; 0], "an empty source empties it");
}

/// Reads a table all the while that it is written, and judges whatever is found.
async fn looked_at(
    harness: &dyn Harness,
    table: &str,
    judge: impl Fn(&RecordBatch),
    writing: impl Future<Output = ()>,
) {
    let done = tokio::sync::watch::channel(false);
    let looking = async {
        let through = harness.open();
        let mut looks = 0;
        while looks < 3 || !*done.1.borrow() {
            judge(&sql::rows_of(through.as_ref(), table).await.unwrap());
            looks += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let writing = async {
        writing.await;
        done.0.send_replace(true);
    };
    futures::future::join(looking, writing).await;
}

/// A replacement leaves nothing of what was there, and a reader sees the one or the other.
pub(crate) async fn replace_is_whole(harness: &dyn Harness) {
    if !has(harness, Mode::Replace) {
        return;
    }
    let spec = specs::sink("renewed", Mode::Replace);
    write(harness, &spec, &track("mrf1"), 1, &people(1..=50)).await;
    let is_whole = |found: &RecordBatch| {
        let found = found.num_rows();
        assert!([50, 20].contains(&found), "{found} rows: neither the old ones nor the new ones");
    };
    let writing = async {
        for at in 0..6 {
            let rows = if at % 2 == 0 { people(101..=120) } else { people(1..=50) };
            write(harness, &spec, &track("mrf1"), at + 2, &rows).await;
        }
        write(harness, &spec, &track("mrf1"), 9, &people(101..=120)).await;
    };
    looked_at(harness, "renewed", is_whole, writing).await;
    assert_eq!(target(harness, "renewed").await, Some(sorted_text(&people(101..=120))));
}

/// Members that share a table replace their own rows alone.
pub(crate) async fn replace_by_partition_spares_the_others(harness: &dyn Harness) {
    if !has(harness, Mode::Replace) {
        return;
    }
    let spec = |region: &str| SinkSpec {
        partition: vec![("Регион".to_owned(), region.to_owned())],
        ..specs::sink("by_region", Mode::Replace)
    };
    let rows = |region: &'static str, ids: std::ops::Range<i64>| {
        let regions = ids.clone().map(move |_| Some(region));
        batch(vec![("id", ints(ids)), ("Регион", texts(regions))])
    };
    write(harness, &spec("о'Центр"), &track("mrf1"), 1, &rows("о'Центр", 1..4)).await;
    write(harness, &spec("Волга"), &track("mrf2"), 1, &rows("Волга", 4..6)).await;
    write(harness, &spec("о'Центр"), &track("mrf1"), 2, &rows("о'Центр", 7..8)).await;
    assert_eq!(target(harness, "by_region").await.unwrap(), ["4|Волга", "5|Волга", "7|о'Центр"]);
    write(harness, &spec("Волга"), &track("mrf2"), 2, &rows("Волга", 0..0)).await;
    assert_eq!(target(harness, "by_region").await.unwrap(), ["7|о'Центр"]);
}

/// A window replaces the rows inside it: its beginning is in, its end is out.
pub(crate) async fn window_replaces_its_range(harness: &dyn Harness) {
    if !has(harness, Mode::Window) {
        return;
    }
    let spec = specs::sink("windowed", Mode::Window);
    write(harness, &spec, &track("mrf1"), 10, &people(10..=19)).await;
    write(harness, &spec, &track("mrf1"), 20, &people(20..=29)).await;
    write(harness, &spec, &track("mrf1"), 0, &people([0, 9])).await;
    write(harness, &spec, &track("mrf1"), 10, &people([10, 15])).await;
    let expected = people([0, 9, 10, 15].into_iter().chain(20..=29));
    assert_eq!(target(harness, "windowed").await, Some(sorted_text(&expected)));
    write(harness, &spec, &track("mrf1"), 20, &people([])).await;
    assert_eq!(target(harness, "windowed").await, Some(sorted_text(&people([0, 9, 10, 15]))));
}

/// Readers see each window as it was or as it is to be, never a part of it, while it and its neighbours are replaced.
pub(crate) async fn windows_are_whole(harness: &dyn Harness) {
    if !has(harness, Mode::Window) {
        return;
    }
    // Of each window, where it begins and the ids of its builds. The first one is left alone.
    let windows: [(i64, [Vec<i64>; 2]); 3] = [
        (0, [vec![0, 9], vec![0, 9]]),
        (10, [(10..=19).collect(), vec![10, 15]]),
        (20, [(20..=29).collect(), vec![24]]),
    ];
    let spec = specs::sink("watched", Mode::Window);
    for (at, [first, _]) in &windows {
        write(harness, &spec, &track("mrf1"), *at, &people(first.clone())).await;
    }
    let is_whole = |found: &RecordBatch| {
        let mut found = ids(found);
        found.sort_unstable();
        for (at, builds) in &windows {
            let inside: Vec<i64> = found.iter().copied().filter(|id| (*at..at + 10).contains(id)).collect();
            assert!(builds.contains(&inside), "the window of {at}: {inside:?} is no build of it");
        }
    };
    let writing = async {
        for round in 1..=6 {
            for (at, builds) in &windows[1..] {
                write(harness, &spec, &track("mrf1"), *at, &people(builds[round % 2].clone())).await;
            }
        }
    };
    looked_at(harness, "watched", is_whole, writing).await;
    let last = people(windows.iter().flat_map(|(_, [first, _])| first.clone()));
    assert_eq!(target(harness, "watched").await, Some(sorted_text(&last)));
}
