//! Reading what other programs left in topics.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use vitrina::{
    connector::{error::ErrorKind, source::Chunk},
    model::{
        unit::{Progress, Scope, Unit},
        value::Value,
    },
};

use super::{as_str, everything, messages, source, written};
use crate::{
    contract::reading::{WIDE, end_of, kind, plan_all, read, read_all, try_read},
    support::{
        kafka::Cluster,
        rows::{batch, ids, ints, text},
        specs,
    },
};

/// Transactions that were given up and the marks of all of them are no rows, wherever a slice ends.
#[tokio::test(flavor = "multi_thread")]
async fn marks_and_what_was_given_up_are_nothing() {
    let cluster = Cluster::new();
    cluster.create("marked", 1, &[]);
    let writer = cluster.writer(Some("stranger"));
    writer.init();
    writer.transaction("marked", 0, &as_str(&messages([1, 2])), true);
    writer.transaction("marked", 0, &as_str(&messages([90, 91, 92])), false);
    writer.transaction("marked", 0, &as_str(&messages([3])), true);
    writer.transaction("marked", 0, &as_str(&messages([93])), false);
    let source = source(&cluster, "marked").await;
    for most in [1, 2, 3, 4, 100] {
        let (units, seen) = everything(source.as_ref(), None, most).await;
        assert_eq!(seen, [1, 2, 3], "slices of {most}");
        assert_eq!(units.len() as u64, 11_u64.div_ceil(most), "slices of {most}: 7 messages and 4 marks");
    }
}

/// What an open transaction wrote, and whatever lies behind it, is read once it is decided, and in order.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_holds_the_head_back() {
    let cluster = Cluster::new();
    cluster.create("held", 1, &[]);
    cluster.write("held", 0, &as_str(&messages([1])));
    let writer = cluster.writer(Some("stranger"));
    writer.init();
    rdkafka::producer::Producer::begin_transaction(&writer.producer).unwrap();
    writer.write("held", 0, &as_str(&messages([2])));
    cluster.write("held", 0, &as_str(&messages([3])));
    let source = source(&cluster, "held").await;
    let (units, seen) = everything(source.as_ref(), None, 100).await;
    assert_eq!(seen, [1]);
    rdkafka::producer::Producer::commit_transaction(&writer.producer, Duration::from_mins(1)).unwrap();
    tokio::time::timeout(Duration::from_mins(1), source.changed()).await.unwrap();
    let (_, seen) = everything(source.as_ref(), units.last().map(end_of).as_ref(), 100).await;
    assert_eq!(seen, [2, 3]);
}

/// An end that a broker tells too early, as one that has just become leader may: what is behind it is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_end_is_looked_behind() {
    const MANY: i64 = 30_000;
    let cluster = Cluster::new();
    cluster.create("early", 1, &[]);
    cluster.write("early", 0, &as_str(&messages(0..MANY)));
    let writer = cluster.writer(Some("stranger"));
    writer.init();
    rdkafka::producer::Producer::begin_transaction(&writer.producer).unwrap();
    writer.write("early", 0, &as_str(&messages(MANY..MANY + 5)));
    let source = source(&cluster, "early").await;
    let mut after = source.head().await.unwrap();
    after.partitions.get_mut("0").unwrap().at = vec![Value::Int(MANY + 4)];
    let schema = source.schema().await.unwrap();
    let scope = Scope::Slice { from: None };
    let unit = Unit { scope, after: Progress::Position(after), schema, rows: None, about: None };
    // Nobody takes the rows yet: the end of what is decided is fetched ahead, and waits behind them.
    let chunks = source.read(&unit).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    rdkafka::producer::Producer::commit_transaction(&writer.producer, Duration::from_mins(1)).unwrap();
    let chunks: Vec<Chunk> = chunks.try_collect().await.unwrap();
    let seen: Vec<i64> = chunks.iter().flat_map(|chunk| ids(&chunk.batch)).collect();
    assert_eq!(seen.len() as i64, MANY + 5);
    assert!(seen.into_iter().eq(0..MANY + 5));
}

/// A slice that was planned before compaction removed its messages ends all the same.
#[tokio::test(flavor = "multi_thread")]
async fn compacted_gaps_do_not_hang() {
    let cluster = Cluster::new();
    let settings =
        [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001")];
    cluster.create("compacted", 1, &settings);
    let keyed = |id: i64| {
        let writer = cluster.writer(None);
        let (topic, text) = (cluster.topic("compacted"), format!("{{\"id\":{id}}}"));
        let record = rdkafka::producer::BaseRecord::to(&topic).key("same").payload(text.as_str());
        writer.producer.send(record).map_err(|(error, _)| error).unwrap();
        rdkafka::producer::Producer::flush(&writer.producer, Duration::from_mins(1)).unwrap();
    };
    for id in 1..=6 {
        keyed(id);
    }
    let source = source(&cluster, "compacted").await;
    let head = source.head().await.unwrap();
    let units = plan_all(source.as_ref(), None, &head, crate::contract::reading::most(4)).await;
    assert_eq!(units.len(), 2);
    let begun = Instant::now();
    let mut id = 7;
    while written(&cluster, "compacted")[0] <= 6 {
        assert!(begun.elapsed() < Duration::from_mins(3), "the cluster does not compact");
        tokio::time::sleep(Duration::from_millis(500)).await;
        keyed(id);
        id += 1;
    }
    let held = read_all(source.as_ref(), &units).await;
    let seen: Vec<i64> = held.iter().flat_map(|held| ids(&held.batch)).collect();
    assert!(seen.is_empty(), "the messages of the slices are compacted away: {seen:?}");
    // The message that the position remembers is gone too: nothing can be said against the topic.
    let (_, rest) = everything(source.as_ref(), Some(&head), 100).await;
    assert_eq!(rest.last(), Some(&(id - 1)));
}

/// Messages that were deleted before they were read are told of, not skipped.
#[tokio::test(flavor = "multi_thread")]
async fn retention_that_overtook_the_position_is_told() {
    let cluster = Cluster::new();
    cluster.create("kept", 1, &[]);
    cluster.write("kept", 0, &as_str(&messages(1..=5)));
    let source = source(&cluster, "kept").await;
    let (_, seen) = everything(source.as_ref(), None, 100).await;
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let at = source.head().await.unwrap();
    cluster.write("kept", 0, &as_str(&messages(6..=12)));
    let head = source.head().await.unwrap();
    let late = source.plan(Some(&at), &head, WIDE).await.unwrap().unwrap();

    cluster.forget("kept", 0, 9);
    let error = try_read(source.as_ref(), &late).await.expect_err("a loss");
    assert_eq!(error.kind, ErrorKind::SourceChanged, "{error}");
    let head = source.head().await.unwrap();
    let error = source.plan(Some(&at), &head, WIDE).await.expect_err("a loss");
    assert_eq!(error.kind, ErrorKind::SourceChanged);
    assert!(error.to_string().contains("no longer has offsets 5 to 8 of partition 0"), "{error}");
    assert!(error.advice().contains("position"), "{}", error.advice());
    // From the beginning is from what is there.
    let (_, seen) = everything(source.as_ref(), None, 100).await;
    assert_eq!(seen, [10, 11, 12]);
    // What was read before it was deleted is no loss.
    let at = source.head().await.unwrap();
    cluster.forget("kept", 0, 12);
    let (_, seen) = everything(source.as_ref(), Some(&at), 100).await;
    assert!(seen.is_empty());
}

/// What was deleted before a topic is read for the first time is no loss, in however many slices: neither in a partition that is empty by now, nor in one that the first slice takes nothing of.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_before_the_first_slice_is_no_loss() {
    let cluster = Cluster::new();
    cluster.create("aged", 4, &[]);
    for (partition, before) in [(0, 0), (1, 20), (2, 5), (3, 19)] {
        let first = i64::from(partition) * 1_000;
        cluster.write("aged", partition, &as_str(&messages(first..first + 20)));
        if before > 0 {
            cluster.forget("aged", partition, before);
        }
    }
    let source = source(&cluster, "aged").await;
    let expected: Vec<i64> = (0..20).chain(2_005..2_020).chain([3_019]).collect();
    for most in [1, 2, 7, 100] {
        let (units, mut seen) = everything(source.as_ref(), None, most).await;
        seen.sort_unstable();
        assert_eq!(seen, expected, "slices of {most}");
        assert_eq!(units.len() as u64, 36_u64.div_ceil(most), "slices of {most}");
    }
    // What is deleted behind the first slice is one.
    let head = source.head().await.unwrap();
    let first = source.plan(None, &head, crate::contract::reading::most(2)).await.unwrap().unwrap();
    cluster.forget("aged", 2, 7);
    let head = source.head().await.unwrap();
    let error = source.plan(Some(&end_of(&first)), &head, WIDE).await.expect_err("a loss");
    assert_eq!(error.kind, ErrorKind::SourceChanged, "{error}");
    assert!(error.to_string().contains("of partition 2"), "{error}");
}

/// All partitions are read, in the same order every time, and those that are added later too.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_read_and_new_ones_met() {
    let cluster = Cluster::new();
    cluster.create("parted", 3, &[]);
    for partition in 0..3 {
        let first = i64::from(partition) * 1_000;
        cluster.write("parted", partition, &as_str(&messages(first..first + 300)));
    }
    let source = source(&cluster, "parted").await;
    let (units, seen) = everything(source.as_ref(), None, 250).await;
    let expected: Vec<i64> = (0..300).chain(1_000..1_300).chain(2_000..2_300).collect();
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    for unit in &units {
        let (first, again) = (read(source.as_ref(), unit).await, read(source.as_ref(), unit).await);
        assert!(first.batch.num_rows() <= 250);
        assert_eq!(text(&first.batch), text(&again.batch));
    }
    cluster.grow("parted", 4);
    cluster.write("parted", 3, &as_str(&messages([3_000])));
    let (_, seen) = everything(source.as_ref(), units.last().map(end_of).as_ref(), 100).await;
    assert_eq!(seen, [3_000]);
}

/// What is no row is a bad row, whole, and the others come.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_row_is_kept() {
    let cluster = Cluster::new();
    cluster.create("bad", 1, &[]);
    cluster.write(
        "bad",
        0,
        &[
            "{\"id\":1}",
            "не JSON",
            "[1]",
            "{\"id\":2.5}",
            "{\"id\":2,\"id\":3}",
            "{\"id\":12345678901234567890}",
        ],
    );
    let source = source(&cluster, "bad").await;
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let held = read(source.as_ref(), &unit).await;
    assert_eq!(text(&held.batch), ["1", "3"], "of two fields of one name the last counts");
    let kept: Vec<_> = held.bad.iter().map(|bad| (bad.ordinal, bad.row.clone())).collect();
    assert_eq!(kept[0].1["$message"], "не JSON");
    assert_eq!(kept[1].1["$message"], "[1]");
    assert_eq!(kept[2].1["id"], 2.5);
    assert_eq!(kept[3].1["id"], "12345678901234567890");
    assert_eq!(held.bad.len(), 4);
    assert!(held.bad.iter().all(|bad| !bad.reason.contains("JSON\"") && !bad.reason.contains("не JSON")));
}

/// Nested values are text, numbers keep their digits, and ticks since 1970 are instants where a contract says so.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_nests_are_exact() {
    let cluster = Cluster::new();
    cluster.create("exact", 1, &[]);
    let message = r#"{"id":1,"d":12345678901234567.89,"n":{"a":[1, 2]},"u":18446744073709551615,"t":1767225600123,"f":0.30000000000000004}"#;
    cluster.write("exact", 0, &[message]);
    let mut spec = specs::source("exact", &batch(vec![("id", ints([]))]));
    let columns = &mut spec.contract.as_mut().unwrap().columns;
    for (name, kind) in [
        ("d", "decimal(20,2)"),
        ("n", "text"),
        ("u", "uint64"),
        ("t", "timestamp(ms, UTC)"),
        ("f", "float64"),
    ] {
        let kind = kind.parse().unwrap();
        columns.insert(name.to_owned(), vitrina::model::column::ContractColumn { kind, nullable: true });
    }
    let source = cluster.open().source(&spec).await.unwrap();
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, WIDE).await.unwrap().unwrap();
    let held = read(source.as_ref(), &unit).await;
    let expected = "1|12345678901234567.89|{\"a\":[1, 2]}|18446744073709551615|2026-01-01T00:00:00.123Z|0.30000000000000004";
    assert_eq!(text(&held.batch), [expected]);
}

/// Asking for a topic does not make it, on a cluster that would.
#[tokio::test(flavor = "multi_thread")]
async fn no_topic_is_made_by_asking() {
    let cluster = Cluster::new();
    let source = source(&cluster, "nowhere").await;
    assert_eq!(kind(source.head().await), ErrorKind::NotFound);
    assert_eq!(kind(source.schema().await), ErrorKind::NotFound);
    assert!(cluster.topics().is_empty(), "{:?}", cluster.topics());
}
