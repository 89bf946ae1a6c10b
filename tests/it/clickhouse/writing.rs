//! Tables as `[sink.clickhouse]` says, and units that span partitions.

use std::{sync::Arc, time::Duration};

use arrow::record_batch::RecordBatch;
use datafusion::{execution::context::SessionContext, physical_plan::stream::RecordBatchStreamAdapter};
use futures::stream;
use vitrina::{
    connector::{
        clickhouse::config::{Config, Merge, SinkOptions, Urls},
        connection::Connection,
        error::{Error, ErrorKind},
        sink::{DeleteHow, Rows, Sink, SinkOptions as Options, SinkSpec, Staging},
    },
    model::{delivery::Mode, unit::Record},
};

use super::whole;
use crate::{
    contract::{
        reading::{WIDE, try_read},
        writing::{stage, stage_claimed, target_through},
    },
    support::{
        clickhouse::{Place, open, setting},
        proxy::{Fate, Proxy},
        rows::{batch, cast_to, ints, people, sorted_text, texts},
        specs::{self, attempt, track, unit},
    },
};

fn spec(table: &str, mode: Mode, options: SinkOptions) -> SinkSpec {
    SinkSpec {
        options: Options { clickhouse: Some(options), ..Options::default() },
        ..specs::sink(table, mode)
    }
}

async fn write(connection: &Arc<dyn Connection>, spec: &SinkSpec, at: i64, rows: &RecordBatch) -> Record {
    let sink = connection.sink(spec).await.unwrap();
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(spec.mode, at, rows), &attempt(), rows).await.unwrap();
    staged.commit().await.unwrap().record().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_as_it_is_told() {
    let place = Place::new();
    let options = SinkOptions {
        order_by: vec!["id".to_owned()],
        partition_by: Some("id % 10".to_owned()),
        engine: Some("ReplacingMergeTree(id)".to_owned()),
        ttl: Some("toDate('2100-01-01') + toIntervalDay(id)".to_owned()),
        settings: [("index_granularity".to_owned(), "1024".to_owned())].into(),
        codec: [("name".to_owned(), "ZSTD(3)".to_owned())].into(),
        ..SinkOptions::default()
    };
    write(&place.open(), &spec("told", Mode::Append, options), 1, &people(1..=3)).await;
    let made = place.run(&format!("SHOW CREATE TABLE {} FORMAT TSVRaw", place.table("told")));
    for part in [
        "`id` Int64",
        "`name` Nullable(String) CODEC(ZSTD(3))",
        "PARTITION BY id % 10",
        "ORDER BY (id)",
        "ENGINE = ReplacingMergeTree(id)",
        "TTL toDate('2100-01-01') + toIntervalDay(id)",
        "index_granularity = 1024",
        "fsync_after_insert = 1",
    ] {
        assert!(made.contains(part), "{part}: {made}");
    }
}

/// Rows of many partitions and blocks come in whole, in every mode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_spans_partitions() {
    let place = Place::new();
    let connection = place.open();
    for mode in [Mode::Append, Mode::Merge, Mode::Replace] {
        let table = format!("wide_{mode}");
        let options = SinkOptions {
            order_by: vec!["id".to_owned()],
            partition_by: Some("id % 150".to_owned()),
            ..SinkOptions::default()
        };
        let spec = spec(&table, mode, options);
        write(&connection, &spec, 1, &people(1..=300)).await;
        let second = if mode == Mode::Append { people(301..=600) } else { people(1..=600) };
        assert_eq!(write(&connection, &spec, 2, &second).await.seq, 2);
        assert_eq!(
            target_through(connection.as_ref(), &table).await,
            Some(sorted_text(&people(1..=600))),
            "{mode}"
        );
    }
}

/// A unit of rows 4 to 6 that was decided and not moved: the target was away just then.
async fn left_behind(place: &Place) -> Arc<dyn Sink> {
    let connection = place.open();
    let spec = specs::sink("left", Mode::Append);
    write(&connection, &spec, 1, &people(1..=3)).await;
    let sink = connection.sink(&spec).await.unwrap();
    let rows = people(4..=6);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows).await.unwrap();
    place.run(&format!("RENAME TABLE {} TO {}", place.table("left"), place.table("hidden")));
    assert!(staged.commit().await.is_err());
    place.run(&format!("RENAME TABLE {} TO {}", place.table("hidden"), place.table("left")));
    sink
}

/// The answer that says who has a unit's name gets lost: the unit is decided all the same, and finished by the next claim, which needs its keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_is_finished_though_its_decision_was_not_heard() {
    let place = Place::new();
    let spec = specs::sink("unheard", Mode::Merge);
    write(&place.open(), &spec, 1, &people(1..=3)).await;
    let proxy = Proxy::new();
    proxy.lead_to(setting("URL").trim_start_matches("http://"));
    let through =
        open(Config { url: Urls::One(format!("http://{}", proxy.address)), ..place.config.clone() });
    let sink = through.sink(&spec).await.unwrap();
    let rows = people(2..=4);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Merge, 2, &rows), &attempt(), &rows).await.unwrap();
    let renames = |bytes: &[u8]| bytes.windows(12).any(|part| part == b"RENAME TABLE");
    proxy.trap(renames, || Fate::AnswerLost);
    let error = staged.commit().await.err().unwrap();
    assert!(error.kind.policy().retry && !proxy.untrap(), "{error}");
    // What is dropped with a stage is dropped behind its back.
    tokio::time::sleep(Duration::from_millis(500)).await;
    write(&place.open(), &spec, 3, &people(4..=5)).await;
    let there = target_through(place.open().as_ref(), "unheard").await;
    assert_eq!(there, Some(sorted_text(&people(1..=5))));
    let left = place.run(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%vitrina_keys%'",
    );
    assert_eq!(left.trim(), "0", "keys that nobody needs are gone");
}

/// A later claim of the track takes away what is staged: whoever staged it is in conflict, wherever that shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_a_later_claim_took_is_a_conflict() {
    let place = Place::new();
    let connection = place.open();
    let spec = specs::sink("taken", Mode::Append);
    write(&connection, &spec, 1, &people(1..=3)).await;
    let sink = connection.sink(&spec).await.unwrap();
    let (track, attempt) = (track("mrf1"), attempt());
    let claim = sink.claim(&track, &people(4..=6).schema()).await.unwrap();
    let rows = cast_to(&people(4..=6), &claim.schema);
    let unit = unit(Mode::Append, 2, &rows);
    let staging = || Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt };
    // While it is filled.
    let (theirs, taking, of) = (place.open().sink(&spec).await.unwrap(), track.clone(), rows.clone());
    let taken = async move {
        theirs.claim(&taking, &of.schema()).await.unwrap();
        Ok(of)
    };
    let late = RecordBatchStreamAdapter::new(rows.schema(), stream::once(taken));
    let error = sink.stage(staging(), Rows::Stream(Box::pin(late))).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    // While it is checked, and when it is to be committed.
    let staged = stage_claimed(sink.as_ref(), &track, &claim, &unit, &attempt, &rows).await.unwrap();
    place.open().sink(&spec).await.unwrap().claim(&track, &rows.schema()).await.unwrap();
    let engine = SessionContext::new();
    let error = engine.read_table(staged.table().unwrap()).unwrap().collect().await.unwrap_err();
    assert_eq!(Error::from(error).kind, ErrorKind::Conflict);
    assert_eq!(staged.commit().await.err().unwrap().kind, ErrorKind::Conflict);
    assert_eq!(place.run(&format!("SELECT count() FROM {}", place.table("taken"))).trim(), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_is_finished_by_the_next_writer() {
    let place = Place::new();
    let sink = left_behind(&place).await;
    let connection = place.open();
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 1, "looking finishes nothing");
    assert_eq!(target_through(connection.as_ref(), "left").await, Some(sorted_text(&people(1..=3))));
    sink.recover(&track("mrf1")).await.unwrap();
    let record = sink.peek(&track("mrf1")).await.unwrap().unwrap();
    assert_eq!((record.seq, record.rows), (2, 3));
    assert_eq!(target_through(connection.as_ref(), "left").await, Some(sorted_text(&people(1..=6))));
    sink.recover(&track("mrf1")).await.unwrap();
    assert_eq!(target_through(connection.as_ref(), "left").await, Some(sorted_text(&people(1..=6))));
}

/// A server that died in a move may have the parts in both tables: they are known by their numbers, and not moved again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_in_both_tables_are_there_once() {
    let place = Place::new();
    let sink = left_behind(&place).await;
    let database = &place.config.database;
    let unit = place.run(&format!(
        "SELECT name FROM system.tables WHERE database = '{database}' AND startsWith(name, '_vitrina_unit_')"
    ));
    let unit = unit.trim();
    place.run(&format!(
        "ALTER TABLE {} ATTACH PARTITION ALL FROM {}",
        place.table("left"),
        place.table(unit)
    ));
    sink.recover(&track("mrf1")).await.unwrap();
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2);
    assert_eq!(target_through(place.open().as_ref(), "left").await, Some(sorted_text(&people(1..=6))));
}

fn versions(rows: &[(i64, &str, i64)]) -> RecordBatch {
    batch(vec![
        ("id", ints(rows.iter().map(|row| row.0))),
        ("name", texts(rows.iter().map(|row| Some(row.1)))),
        ("at", ints(rows.iter().map(|row| row.2))),
    ])
}

fn replacing(table: &str, version: Option<&str>) -> SinkSpec {
    let version = version.map(str::to_owned);
    spec(table, Mode::Merge, SinkOptions { merge: Merge::Replacing, version, ..SinkOptions::default() })
}

/// A merge by ReplacingMergeTree only adds rows: of a key the newest version stays, whenever it came; without a version the row that came last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacing_merge_keeps_one_row_of_a_key() {
    let place = Place::new();
    let connection = place.open();
    let first = versions(&[(1, "first", 5), (1, "newest", 7), (1, "between", 6), (2, "other", 1)]);
    let second = versions(&[(1, "late", 6), (2, "changed", 2), (3, "new", 1)]);
    for (table, version, kept) in [
        ("by_version", Some("at"), versions(&[(1, "newest", 7), (2, "changed", 2), (3, "new", 1)])),
        ("by_order", None, versions(&[(1, "late", 6), (2, "changed", 2), (3, "new", 1)])),
    ] {
        let spec = replacing(table, version);
        // Parts stay apart, so that readers see what was not merged yet.
        write(&connection, &spec, 1, &first).await;
        place.run(&format!("SYSTEM STOP MERGES {}", place.table(table)));
        write(&connection, &spec, 2, &second).await;
        assert_eq!(target_through(connection.as_ref(), table).await, Some(sorted_text(&kept)), "{table}");
        let all = place.run(&format!("SELECT count() FROM {}", place.table(table)));
        assert_eq!(all.trim(), "5", "{table}: rows were taken away, or both of the first unit's are there");
        place.run(&format!("SYSTEM START MERGES {}", place.table(table)));
        place.run(&format!("OPTIMIZE TABLE {} FINAL", place.table(table)));
        assert_eq!(target_through(connection.as_ref(), table).await, Some(sorted_text(&kept)), "{table}");
    }
    let made = place.run(&format!("SHOW CREATE TABLE {} FORMAT TSVRaw", place.table("by_version")));
    for part in ["ENGINE = ReplacingMergeTree(at)", "`at` Int64", "ORDER BY (id)"] {
        assert!(made.contains(part), "{part}: {made}");
    }
    let left = format!(
        "SELECT name FROM system.tables WHERE database = '{}' AND startsWith(name, '_vitrina') ORDER BY name",
        place.config.database
    );
    assert_eq!(place.run(&left).trim(), "_vitrina_records");
}

/// A replacing merge that would keep other rows than it says is refused before anything is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacing_merge_needs_a_table_that_replaces() {
    let place = Place::new();
    let rows = versions(&[(1, "a", 1)]);
    let columns = "(id Int64, name Nullable(String), at Int64)";
    for (table, engine) in [
        ("plain", "MergeTree ORDER BY id"),
        ("sorted", "ReplacingMergeTree(at) ORDER BY (id, at)"),
        ("other", "ReplacingMergeTree ORDER BY id"),
    ] {
        place.run(&format!("CREATE TABLE {} {columns} ENGINE = {engine}", place.table(table)));
    }
    let told = |change: &dyn Fn(&mut SinkSpec)| {
        let mut spec = replacing("never", Some("at"));
        change(&mut spec);
        spec
    };
    let options = |spec: &mut SinkSpec, change: fn(&mut SinkOptions)| {
        change(spec.options.clickhouse.as_mut().unwrap());
    };
    for (spec, says) in [
        (replacing("plain", Some("at")), "is of engine MergeTree"),
        (replacing("sorted", Some("at")), "sorted by other columns than the key"),
        (replacing("other", Some("at")), "has the version none, and the sink says `at`"),
        (told(&|spec| spec.delete = Some(DeleteHow::Hard)), "takes none away"),
        (told(&|spec| options(spec, |told| told.engine = Some("MergeTree".to_owned()))), "needs the engine"),
        (
            told(&|spec| options(spec, |told| told.order_by = vec!["at".to_owned()])),
            "`order_by` is not the key",
        ),
        (replacing("never", Some("nowhere")), "no column \"nowhere\", which is in `version`"),
    ] {
        let sink = place.open().sink(&spec).await.unwrap();
        let error = sink.claim(&track("mrf1"), &rows.schema()).await.unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(!error.kind.policy().retry, "{error}");
    }
    let never = format!(
        "SELECT count() FROM system.tables WHERE database = '{}' AND name = 'never'",
        place.config.database
    );
    assert_eq!(place.run(&never).trim(), "0", "a refused table was made");
}

/// A target with too many parts is waited for until the server has merged some, and is not failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_parts_are_waited_for() {
    let place = Place::new();
    let connection = place.open();
    let table = place.table("parts");
    let settings = [
        ("parts_to_delay_insert", "100000"),
        ("parts_to_throw_insert", "100000"),
        ("max_avg_part_size_for_too_many_parts", "0"),
    ];
    let options = SinkOptions {
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..SinkOptions::default()
    };
    let spec = spec("parts", Mode::Append, options);
    write(&connection, &spec, 1, &people([0])).await;
    place.run(&format!("ALTER TABLE {table} RESET SETTING fsync_after_insert, fsync_part_directory"));
    place.run(&format!("SYSTEM STOP MERGES {table}"));
    place.run(&format!(
        "INSERT INTO {table} (id) SELECT number + 100 FROM numbers(1000) \
         SETTINGS max_block_size = 1, min_insert_block_size_rows = 1, min_insert_block_size_bytes = 1, max_insert_threads = 1"
    ));
    let parts = format!(
        "SELECT count() FROM system.parts WHERE active AND database = '{}' AND table = 'parts'",
        place.config.database
    );
    assert!(place.run(&parts).trim().parse::<u32>().unwrap() > 1_000, "{}", place.run(&parts));
    let sink = connection.sink(&spec).await.unwrap();
    let rows = people([1]);
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows), &attempt(), &rows).await.unwrap();
    let mut commit = tokio::spawn(async move { staged.commit().await.map(|_| ()) });
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut commit).await.is_err(), "it did not wait");
    place.run(&format!("SYSTEM START MERGES {table}"));
    place.run(&format!("OPTIMIZE TABLE {table} FINAL"));
    tokio::time::timeout(Duration::from_mins(2), commit).await.expect("it goes on").unwrap().unwrap();
    assert_eq!(place.run(&format!("SELECT count() FROM {table}")).trim(), "1002");
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 2);
}

/// A stage has whatever its target has: rows are moved in as parts, and a whole one takes the target's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_is_as_its_target_is() {
    let place = Place::new();
    place.inside(
        "CREATE TABLE whole (id Int64, name Nullable(String) CODEC(ZSTD(3)), INDEX by_name name TYPE minmax, \
         PROJECTION ids (SELECT count() GROUP BY id), CONSTRAINT positive CHECK id > 0) ENGINE = MergeTree PARTITION BY id % 2 PRIMARY KEY id \
         ORDER BY (id, id % 3) TTL toDate('2100-01-01') + toIntervalDay(id) SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10 \
         COMMENT 'kept by hand'",
    );
    let append = spec("whole", Mode::Append, SinkOptions::default());
    let replace = spec("whole", Mode::Replace, SinkOptions::default());
    let made = || {
        place.inside("SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'whole' FORMAT TSVRaw")
    };
    let before = made();
    write(&place.open(), &append, 1, &people(1..=9)).await;
    assert_eq!(made(), before);
    for (at, ids) in [(2, 1..=5), (3, 2..=7)] {
        write(&place.open(), &replace, at, &people(ids.clone())).await;
        assert_eq!(target_through(place.open().as_ref(), "whole").await, Some(sorted_text(&people(ids))));
        assert_eq!(made().trim_end(), format!("{}, assign_part_uuids = 1", before.trim_end()));
    }
    let columns = place.inside("SHOW CREATE TABLE whole FORMAT TSVRaw");
    for part in ["CODEC(ZSTD(3))", "INDEX by_name", "PROJECTION ids", "CONSTRAINT positive"] {
        assert!(columns.contains(part), "{part}: {columns}");
    }
}

/// Two units of the same rows are two, also where the server takes equal blocks for one that was sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_units_are_several() {
    let place = Place::new();
    let settings = [("non_replicated_deduplication_window".to_owned(), "100".to_owned())].into();
    let spec = spec("equal", Mode::Append, SinkOptions { settings, ..SinkOptions::default() });
    for at in 1..=3 {
        write(&place.open(), &spec, at, &people(1..=5)).await;
    }
    let made = place.inside("SHOW CREATE TABLE equal FORMAT TSVRaw");
    assert!(made.contains("non_replicated_deduplication_window = 100"), "{made}");
    assert_eq!(place.inside("SELECT count(), uniqExact(id) FROM equal").trim(), "15\t5");
    // The window acts: what a stranger sends twice is there once.
    for _ in 0..2 {
        place.inside("INSERT INTO equal VALUES (100, 'чужой')");
    }
    assert_eq!(place.inside("SELECT count() FROM equal WHERE id = 100").trim(), "1");
}

/// Maintenance leaves of each track the last record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_records_are_taken_away() {
    let place = Place::new();
    let spec = spec("t", Mode::Append, SinkOptions::default());
    for at in 1..=4 {
        write(&place.open(), &spec, at, &people([at])).await;
    }
    let sink = place.open().sink(&spec).await.unwrap();
    let before = sink.peek(&track("mrf1")).await.unwrap();
    for _ in 0..2 {
        sink.maintain(Duration::from_secs(10), chrono::Utc::now()).await.unwrap();
        let left = place.inside("SELECT track, seq FROM _vitrina_records FORMAT TSVRaw");
        assert_eq!(left.lines().count(), 1, "{left}");
    }
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap(), before);
}

/// A whole table is read as it was when the run began, whatever is inserted, deleted and merged meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_table_is_held_while_others_write_it() {
    let place = Place::new();
    let connection = place.open();
    let append =
        spec("held", Mode::Append, SinkOptions { order_by: vec!["id".to_owned()], ..SinkOptions::default() });
    for at in 1..=3 {
        write(&connection, &append, at, &people(at * 10..(at + 1) * 10)).await;
    }
    let source = connection.source(&whole("held")).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    place.inside("OPTIMIZE TABLE held FINAL");
    place.inside("DELETE FROM held WHERE id < 20");
    place.inside("INSERT INTO held VALUES (99, 'late')");
    place.inside("OPTIMIZE TABLE held FINAL");
    let read = try_read(source.as_ref(), &unit).await.unwrap();
    assert_eq!(sorted_text(&read.batch), sorted_text(&people(10..40)));
    assert_eq!(place.inside("SELECT count() FROM held").trim(), "21");
}
