//! What only Delta tables do: versions, files, maintenance, and logs that are not what they were.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arrow::{
    array::{ArrayRef, Int32Array},
    record_batch::RecordBatch,
};
use futures::TryStreamExt as _;
use vitrina::{
    connector::{
        ConnectionConfig, OpenContext,
        connection::Connection,
        delta::config::{Config, SinkOptions},
        error::{ErrorKind, Result},
        sink::{Committed, OnSchemaChange, Rows, Sink, SinkSpec, Staged, Staging},
        source::SourceSpec,
    },
    model::{
        delivery::Mode,
        unit::{Progress, Record, Scope, SliceLimit},
        value::Value,
    },
};

use crate::{
    contract::writing::{claimed_schema, stream_of},
    support::{
        rows::{batch, cast_to, ids, ints, people, sorted_text, texts},
        specs::{self, attempt, track, unit},
        sql,
    },
};

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Arc<dyn Connection> {
        let root = self.root.path().to_owned();
        let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
        vitrina::connector::open(
            &ConnectionConfig::Delta(Config { path: "lake".to_owned(), ..Config::default() }),
            context,
        )
        .unwrap()
    }

    fn folder(&self, table: &str) -> PathBuf {
        self.root.path().join("lake").join(table)
    }

    async fn stage(
        &self,
        spec: &SinkSpec,
        member: &str,
        at: i64,
        rows: &RecordBatch,
    ) -> Result<Box<dyn Staged>> {
        let sink = self.open().sink(spec).await?;
        let claim = sink.claim(&track(member), &claimed_schema(rows)).await?;
        let stream = Rows::Stream(stream_of(&cast_to(rows, &claim.schema)));
        sink.stage(
            Staging {
                track: &track(member),
                claim: &claim,
                unit: &unit(spec.mode, at, rows),
                attempt: &attempt(),
            },
            stream,
        )
        .await
    }

    async fn write(&self, spec: &SinkSpec, member: &str, at: i64, rows: &RecordBatch) -> Result<()> {
        self.stage(spec, member, at, rows).await?.commit().await.map(drop)
    }

    async fn sink(&self, spec: &SinkSpec) -> Arc<dyn Sink> {
        self.open().sink(spec).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<String> {
        sorted_text(&sql::rows_of(self.open().as_ref(), table).await.expect("the table"))
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("this must be refused").kind
}

fn data_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries
        .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('_'))
        .flat_map(|path| if path.is_dir() { data_files(&path) } else { vec![path] })
        .collect()
}

const WIDE: SliceLimit = SliceLimit { rows: u64::MAX, bytes: u64::MAX };

#[tokio::test(flavor = "multi_thread")]
async fn small_files_are_joined_and_nobody_notices() {
    let place = Place::new();
    let spec = specs::sink("Действия", Mode::Append);
    for at in 0..15 {
        place.write(&spec, "mrf1", at, &people([at])).await.unwrap();
    }
    let source =
        place.open().source(&SourceSpec { contract: None, ..specs::undeclared("Действия") }).await.unwrap();
    let before = source.head().await.unwrap();
    let sink = place.sink(&spec).await;
    sink.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
    assert_eq!(place.rows("Действия").await, sorted_text(&people(0..15)));
    let head = source.head().await.unwrap();
    assert_ne!(before, head, "the files were joined by a commit");
    assert!(source.plan(Some(&before), &head, WIDE).await.unwrap().is_none(), "which brings no row");
    place.write(&spec, "mrf1", 15, &people([15])).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(Some(&before), &head, WIDE).await.unwrap().unwrap();
    let chunks: Vec<_> = source.read(&unit).await.unwrap().try_collect().await.unwrap();
    assert_eq!(ids(&chunks[0].batch), [15]);
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_outlive_checkpoints_and_the_log() {
    let place = Place::new();
    let spec = specs::sink("long", Mode::Append);
    place.write(&spec, "quiet", 0, &people([1])).await.unwrap();
    for at in 0..60 {
        place.write(&spec, "mrf1", at, &people([])).await.unwrap();
    }
    place.sink(&spec).await.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
    let log = place.folder("long").join("_delta_log");
    assert!(log.join("_last_checkpoint").exists());
    for version in 0..30 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let sink = place.sink(&spec).await;
    assert_eq!(sink.peek(&track("quiet")).await.unwrap().unwrap().seq, 1);
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 60);
    let source = place.open().source(&specs::undeclared("long")).await.unwrap();
    let head = source.head().await.unwrap();
    let mut early = head.clone();
    early.partitions.get_mut("").unwrap().at = vec![Value::Int(3)];
    assert_eq!(kind(source.plan(Some(&early), &head, WIDE).await), ErrorKind::SourceChanged, "cleaned up");
    assert_eq!(source.plan(None, &head, WIDE).await.unwrap().unwrap().rows, Some(1), "as it is now");
}

/// A sink that lives on reads on in the log; where the entries that it would go on from are gone, it reads what a checkpoint has.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_lives_on_knows_what_others_committed() {
    let place = Place::new();
    let spec = specs::sink("long", Mode::Append);
    place.write(&spec, "quiet", 0, &people([1])).await.unwrap();
    let lives_on = place.sink(&spec).await;
    let seq = async |name: &str| lives_on.peek(&track(name)).await.unwrap().map(|record| record.seq);
    assert_eq!((seq("quiet").await, seq("mrf1").await), (Some(1), None));
    for at in 0..60 {
        place.write(&spec, "mrf1", at, &people([])).await.unwrap();
        if at == 4 {
            assert_eq!((seq("quiet").await, seq("mrf1").await), (Some(1), Some(5)));
        }
    }
    place.sink(&spec).await.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
    let log = place.folder("long").join("_delta_log");
    for version in 0..40 {
        fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!((seq("quiet").await, seq("mrf1").await), (Some(1), Some(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_left_overs_go_and_young_ones_stay() {
    let place = Place::new();
    let spec = specs::sink("swept", Mode::Append);
    place.write(&spec, "mrf1", 1, &people([1])).await.unwrap();
    let folder = place.folder("swept");
    let (old, young) = (folder.join("part-old.parquet"), folder.join("part-young.parquet"));
    for path in [&old, &young] {
        fs::write(path, b"left over").unwrap();
    }
    let month_ago = SystemTime::now() - Duration::from_hours(30 * 24);
    File::options().write(true).open(&old).unwrap().set_modified(month_ago).unwrap();
    place.sink(&spec).await.maintain(Duration::from_mins(1), chrono::Utc::now()).await.unwrap();
    assert!(!old.exists() && young.exists());
    assert_eq!(place.rows("swept").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_takes_out_what_came_in_between() {
    let place = Place::new();
    let spec = specs::sink("merged", Mode::Merge);
    place.write(&spec, "first", 1, &people([1, 2, 3])).await.unwrap();
    let renamed = |name: &'static str| batch(vec![("id", ints([2])), ("name", texts([Some(name)]))]);
    let mine = place.stage(&spec, "mrf1", 2, &renamed("моё")).await.unwrap();
    place.write(&spec, "mrf2", 3, &renamed("чужое")).await.unwrap();
    mine.commit().await.unwrap();
    let rows = place.rows("merged").await;
    assert_eq!(rows.len(), 3);
    assert!(rows.contains(&"2|моё".to_owned()), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_taken_out_cannot_be_read_on_from_by_version() {
    let place = Place::new();
    let spec = specs::sink("merged", Mode::Merge);
    place.write(&spec, "mrf1", 1, &people([1, 2])).await.unwrap();
    let source = place.open().source(&specs::undeclared("merged")).await.unwrap();
    let at = source.head().await.unwrap();
    place.write(&spec, "mrf1", 2, &people([2, 3])).await.unwrap();
    let head = source.head().await.unwrap();
    let refused = source.plan(Some(&at), &head, WIDE).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::SourceChanged);
    assert!(refused.advice().contains("cursor"));
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let chunks: Vec<_> = source.read(&unit).await.unwrap().try_collect().await.unwrap();
    let mut read: Vec<i64> = chunks.iter().flat_map(|chunk| ids(&chunk.batch)).collect();
    read.sort_unstable();
    assert_eq!(read, [1, 2, 3], "the first slice is the table as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_any_name_are_read_checked_and_replaced() {
    let place = Place::new();
    let regions = [Some("о'Центр / 100%"), Some("Волга"), None, Some("Волга"), Some("")];
    let rows = batch(vec![("id", ints(1..=5)), ("Регион", texts(regions))]);
    let options = SinkOptions { partition_by: vec!["Регион".to_owned()] };
    let spec = |mode| SinkSpec {
        options: vitrina::connector::sink::SinkOptions { delta: Some(options.clone()), ..Default::default() },
        ..specs::sink("parted", mode)
    };
    let staged = place.stage(&spec(Mode::Append), "mrf1", 1, &rows).await.unwrap();
    let engine = datafusion::execution::context::SessionContext::new();
    engine.register_table("this", staged.table().unwrap()).unwrap();
    assert_eq!(sorted_text(&sql::ask(&engine, "SELECT id FROM this").await), ["1", "2", "3", "4", "5"]);
    staged.commit().await.unwrap();
    // Delta has no empty text in a partition column: it is NULL there.
    let expected = ["1|о'Центр / 100%", "2|Волга", "3|∅", "4|Волга", "5|∅"];
    assert_eq!(place.rows("parted").await, expected);
    let source = place.open().source(&specs::undeclared("parted")).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let chunks: Vec<_> = source.read(&unit).await.unwrap().try_collect().await.unwrap();
    let mut read: Vec<String> = chunks.iter().flat_map(|chunk| sorted_text(&chunk.batch)).collect();
    read.sort();
    assert_eq!(read, expected);
    place
        .write(
            &spec(Mode::Window),
            "mrf1",
            3,
            &batch(vec![("id", ints([4])), ("Регион", texts([Some("Юг")]))]),
        )
        .await
        .unwrap();
    assert_eq!(place.rows("parted").await, ["1|о'Центр / 100%", "2|Волга", "4|Юг"]);
    let other = SinkSpec {
        options: vitrina::connector::sink::SinkOptions {
            delta: Some(SinkOptions { partition_by: vec!["id".to_owned()] }),
            ..Default::default()
        },
        ..spec(Mode::Append)
    };
    assert_eq!(kind(place.write(&other, "mrf1", 4, &rows).await), ErrorKind::SchemaChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_outside_of_its_window_is_refused() {
    let place = Place::new();
    let spec = specs::sink("windowed", Mode::Window);
    place.write(&spec, "mrf1", 0, &people([0, 9])).await.unwrap();
    assert_eq!(kind(place.write(&spec, "mrf1", 0, &people([10])).await), ErrorKind::BadData);
    assert_eq!(place.rows("windowed").await.len(), 2);
    let scope = unit(Mode::Window, 0, &people([])).scope;
    assert!(matches!(scope, Scope::Window { .. }));
}

/// The unit is the next of this track, and is staged through this sink.
async fn staged_by(
    sink: &dyn Sink,
    mode: Mode,
    member: &str,
    at: i64,
    rows: &RecordBatch,
) -> Box<dyn Staged> {
    let claim = sink.claim(&track(member), &claimed_schema(rows)).await.unwrap();
    let rows = cast_to(rows, &claim.schema);
    let (track, unit, attempt) = (track(member), unit(mode, at, &rows), attempt());
    let staging = Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt };
    sink.stage(staging, Rows::Stream(stream_of(&rows))).await.unwrap()
}

fn versions(place: &Place, table: &str) -> usize {
    let log = fs::read_dir(place.folder(table).join("_delta_log")).unwrap().flatten();
    log.filter(|entry| entry.file_name().to_string_lossy().ends_with(".json")).count()
}

/// Windows whose commits come together are committed together: few log entries, and each window's rows and record are there.
#[tokio::test(flavor = "multi_thread")]
async fn windows_are_committed_together() {
    let place = Place::new();
    let spec = specs::sink("together", Mode::Window);
    for built in 1..=2 {
        let sink = place.sink(&spec).await;
        let mut staged = vec![];
        for window in 0..70 {
            let rows = people([window * 10, window * 10 + built]);
            let ready =
                staged_by(sink.as_ref(), Mode::Window, &format!("w{window}"), window * 10, &rows).await;
            staged.push(ready);
        }
        let before = versions(&place, "together");
        let done = futures::future::join_all(staged.into_iter().map(Staged::commit)).await;
        assert!(
            done.into_iter()
                .all(|done| matches!(done, Ok(Committed::Now(record)) if record.seq == built as u64))
        );
        let entries = versions(&place, "together") - before;
        assert!((2..=3).contains(&entries), "{entries} log entries: the first alone, then 64 at most");
        let expected = people((0..70).flat_map(|window| [window * 10, window * 10 + built]));
        assert_eq!(place.rows("together").await, sorted_text(&expected), "build {built}");
    }
    for window in 0..70 {
        let record = place.sink(&spec).await.peek(&track(&format!("w{window}"))).await.unwrap().unwrap();
        assert_eq!(record.rows, 2);
    }
}

/// Whoever is in conflict is told so by itself; the others that were taken along are committed. A track is taken along once, and merges, which may bring each other's keys, one by one.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_committed_together_holds_up_nobody() {
    let place = Place::new();
    let spec = specs::sink("mixed", Mode::Append);
    place.write(&spec, "late", 1, &people([1])).await.unwrap();
    let sink = place.sink(&spec).await;
    let mut staged = vec![];
    for (member, id) in [("late", 2), ("a", 3), ("twice", 4), ("twice", 5), ("b", 6)] {
        staged.push(staged_by(sink.as_ref(), Mode::Append, member, id, &people([id])).await);
    }
    place.write(&spec, "late", 7, &people([7])).await.unwrap();
    // Dropped before its turn: nothing happened.
    drop(staged_by(sink.as_ref(), Mode::Append, "gone", 8, &people([8])).await);
    let done = futures::future::join_all(staged.into_iter().map(Staged::commit)).await;
    let kinds: Vec<_> = done.iter().map(|done| done.as_ref().err().map(|error| error.kind)).collect();
    let conflict = Some(ErrorKind::Conflict);
    assert!(
        kinds == [conflict, None, None, conflict, None] || kinds == [conflict, None, conflict, None, None],
        "{kinds:?}"
    );
    let fourth = if kinds[2].is_none() { 4 } else { 5 };
    assert_eq!(place.rows("mixed").await, sorted_text(&people([1, 3, fourth, 6, 7])));

    let spec = specs::sink("merged", Mode::Merge);
    place.write(&spec, "first", 1, &people([1])).await.unwrap();
    let sink = place.sink(&spec).await;
    let mut staged = vec![];
    for member in ["a", "b", "c", "d"] {
        staged.push(staged_by(sink.as_ref(), Mode::Merge, member, 2, &people([1, 2])).await);
    }
    for done in futures::future::join_all(staged.into_iter().map(Staged::commit)).await {
        done.unwrap();
    }
    assert_eq!(place.rows("merged").await, sorted_text(&people([1, 2])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_table_may_take_other_types() {
    let place = Place::new();
    let spec = SinkSpec { on_schema_change: OnSchemaChange::Evolve, ..specs::sink("renewed", Mode::Replace) };
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    place.write(&spec, "mrf1", 1, &batch(vec![("id", narrow)])).await.unwrap();
    place.write(&spec, "mrf1", 2, &people([i64::MAX])).await.unwrap();
    assert_eq!(place.rows("renewed").await, sorted_text(&people([i64::MAX])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_may_be_set_before_there_is_a_table() {
    let place = Place::new();
    let spec = specs::sink("later", Mode::Append);
    let record =
        Record { seq: 1, progress: Progress::Start, attempt: attempt().id, at: specs::now(), rows: 0 };
    let sink = place.sink(&spec).await;
    sink.set_record(&track("mrf1"), None, &record).await.unwrap();
    assert_eq!(sink.target().await.unwrap(), None);
    assert!(place.open().tables().await.unwrap().is_empty(), "no columns, no table");
    place.write(&spec, "mrf1", 1, &people([1])).await.unwrap();
    assert_eq!(place.rows("later").await, sorted_text(&people([1])));
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_told_and_nothing_is_written() {
    let place = Place::new();
    let spec = specs::sink("broken", Mode::Append);
    place.write(&spec, "mrf1", 1, &people([1])).await.unwrap();
    let folder = place.folder("broken");
    for entry in fs::read_dir(folder.join("_vitrina")).unwrap().flatten() {
        fs::remove_dir_all(entry.path()).unwrap();
    }
    assert_eq!(
        kind(place.sink(&spec).await.peek(&track("mrf1")).await),
        ErrorKind::Corrupt,
        "a lost record file"
    );

    let gone = place.stage(&spec, "mrf2", 1, &people([2])).await.unwrap();
    let log = folder.join("_delta_log");
    fs::write(log.join(format!("{:020}.json", 2)), b"{\"add\": nonsense").unwrap();
    assert_eq!(
        kind(place.sink(&spec).await.peek(&track("mrf2")).await),
        ErrorKind::Corrupt,
        "a torn log entry"
    );
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(kind(gone.commit().await), ErrorKind::NotFound, "a table deleted between slices");
    assert!(!folder.exists(), "it is not made again by the way");
    fs::write(place.root.path().join("lake").join("file"), b"").unwrap();
    assert!(place.open().tables().await.unwrap().is_empty());
    assert_eq!(data_files(&place.root.path().join("lake")).len(), 1);
}
