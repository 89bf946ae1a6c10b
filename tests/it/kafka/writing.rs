//! Writing: owners, partitions, what topics are made with.

use std::time::Duration;

use rdkafka::producer::Producer as _;
use vitrina::{
    connector::{
        error::ErrorKind,
        kafka::config::SinkOptions as KafkaOptions,
        sink::{SinkOptions, SinkSpec},
    },
    model::delivery::Mode,
};

use super::{rows, write, written};
use crate::{
    contract::{
        reading::kind,
        writing::{claimed_schema, stage},
    },
    support::{
        kafka::{Cluster, open},
        rows::{batch, ints, texts},
        specs::{self, attempt, track, unit},
    },
};

fn spec(table: &str, options: KafkaOptions) -> SinkSpec {
    SinkSpec {
        options: SinkOptions { kafka: Some(options), ..SinkOptions::default() },
        ..specs::sink(table, Mode::Append)
    }
}

/// The transactional id of the contract's track.
fn slot() -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(track("mrf1").key().as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % 8;
    format!("vitrina-contract-{number}")
}

/// A second owner of a slot shuts the first one out: what it staged is a conflict and leaves nothing; it may claim anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_shut_out_writes_nothing() {
    let cluster = Cluster::new();
    let spec = specs::sink("fenced", Mode::Append);
    write(&cluster, &spec, 1, &rows([1])).await.unwrap();
    let sink = cluster.open().sink(&spec).await.unwrap();
    let staged =
        stage(sink.as_ref(), &track("mrf1"), &unit(Mode::Append, 2, &rows([2])), &attempt(), &rows([2]))
            .await
            .unwrap();
    cluster.writer(Some(&slot())).init();
    assert_eq!(kind(staged.commit().await), ErrorKind::Conflict);
    assert_eq!(written(&cluster, "fenced"), [1]);
    assert_eq!(sink.peek(&track("mrf1")).await.unwrap().unwrap().seq, 1);
    write(&cluster, &spec, 2, &rows([2])).await.unwrap();
    assert_eq!(written(&cluster, "fenced"), [1, 2]);
}

/// An edit of a connection does not shut out who still writes by the old one in this process: they take turns.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_by_a_connection_as_it_was_is_not_shut_out() {
    let cluster = Cluster::new();
    let spec = specs::sink("edited", Mode::Append);
    write(&cluster, &spec, 1, &rows([1])).await.unwrap();
    let (old, same) = (cluster.open(), cluster.open());
    let mut edited = cluster.config();
    // The same node, by a list that is another text.
    edited.brokers.push(edited.brokers[0].clone());
    let edited = open(edited, cluster.root.path().to_owned()).unwrap();
    let mut at = 1;
    for newer in [same, edited] {
        let sinks = [old.sink(&spec).await.unwrap(), newer.sink(&spec).await.unwrap()];
        for sink in &sinks {
            at += 1;
            let (next, unit) = (rows([at]), unit(Mode::Append, at, &rows([at])));
            let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), &next).await.unwrap();
            // Meanwhile both have claimed what they write.
            for other in &sinks {
                let claim = other.claim(&track("mrf1"), &claimed_schema(&next)).await.unwrap();
                assert_eq!(claim.record.unwrap().seq, u64::try_from(at).unwrap() - 1);
            }
            assert_eq!(staged.commit().await.unwrap().record().seq, u64::try_from(at).unwrap());
        }
    }
    assert_eq!(written(&cluster, "edited"), [1, 2, 3, 4, 5]);
}

/// A claim ends what an older owner left open: it can never commit that.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_ends_what_was_left_open() {
    let cluster = Cluster::new();
    cluster.create("zombie", 1, &[]);
    let old = cluster.writer(Some(&slot()));
    old.init();
    old.producer.begin_transaction().unwrap();
    old.write("zombie", 0, &["{\"id\":90}"]);
    let spec = specs::sink("zombie", Mode::Append);
    write(&cluster, &spec, 1, &rows([1])).await.unwrap();
    assert!(
        old.producer.commit_transaction(Duration::from_secs(10)).is_err(),
        "the old owner must be fenced"
    );
    assert_eq!(written(&cluster, "zombie"), [1]);
}

/// Keys choose partitions as Java's clients do, messages have the timestamp that they are given, and the topic is as declared.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_as_declared() {
    let cluster = Cluster::new();
    let options = KafkaOptions {
        message_key: vec!["name".to_owned()],
        partitions: Some(5),
        replication: Some(1),
        retention: Some("10d".parse().unwrap()),
        ..KafkaOptions::default()
    };
    let rows = batch(vec![("id", ints([1, 2])), ("name", texts([Some("foobar"), Some("21")]))]);
    write(&cluster, &spec("made", options), 1, &rows).await.unwrap();
    let found: Vec<(i32, Option<String>)> =
        cluster.messages("made").into_iter().map(|(partition, key, _)| (partition, key)).collect();
    // What Java's client computes, by its own tests: murmur2("foobar") = -790332482, murmur2("21") = -973932308; without their signs, modulo 5.
    assert_eq!(found, [(0, Some("21".to_owned())), (1, Some("foobar".to_owned()))]);
    assert_eq!(cluster.setting("made", "retention.ms"), "864000000");
    assert_eq!(cluster.setting("_vitrina_records", "cleanup.policy"), "compact");
}

/// Keys lie where Java's clients put them: hashes that its own tests name, without their signs, by the number of partitions.
#[tokio::test(flavor = "multi_thread")]
async fn keys_lie_where_java_puts_them() {
    let hashes = [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    let cluster = Cluster::new();
    let options = KafkaOptions {
        message_key: vec!["name".to_owned()],
        partitions: Some(50),
        ..KafkaOptions::default()
    };
    let rows = batch(vec![
        ("id", ints(0..hashes.len() as i64)),
        ("name", texts(hashes.iter().map(|(key, _)| Some(*key)))),
    ]);
    write(&cluster, &spec("hashed", options), 1, &rows).await.unwrap();
    let found: Vec<(i32, String)> =
        cluster.messages("hashed").into_iter().map(|(partition, key, _)| (partition, key.unwrap())).collect();
    let mut expected = hashes.map(|(key, hash)| ((hash & i32::MAX) % 50, key.to_owned()));
    expected.sort();
    assert_eq!(found, expected);
}

/// Columns that `[sink.kafka]` names must be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_column_is_refused() {
    let cluster = Cluster::new();
    let options = KafkaOptions { message_key: vec!["manager".to_owned()], ..KafkaOptions::default() };
    let refused = write(&cluster, &spec("keyed", options), 1, &rows([1])).await;
    assert_eq!(kind(refused), ErrorKind::NotFound);
    assert!(cluster.topics().is_empty(), "{:?}", cluster.topics());
}

/// A row that is larger than the topic takes fails the unit, whole; the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_too_large_fails_its_unit() {
    let cluster = Cluster::new();
    cluster.create("small", 1, &[("max.message.bytes", "2000")]);
    let spec = specs::sink("small", Mode::Append);
    // Noise, so that compression does not make it small.
    let noise: String = (0..20_000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    let large = batch(vec![("id", ints([1, 2])), ("name", texts([None, Some(noise.as_str())]))]);
    let error = write(&cluster, &spec, 1, &large).await.expect_err("a message that is too large");
    assert_eq!(error.kind, ErrorKind::Limit, "{error}");
    assert!(cluster.messages("small").is_empty());
    let fine = batch(vec![("id", ints([1])), ("name", texts([None]))]);
    write(&cluster, &spec, 1, &fine).await.unwrap();
    assert_eq!(written(&cluster, "small"), [1]);
}

/// A unit of more messages than the client's queue holds, over what is kept in memory, comes whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_unit_comes_whole() {
    let cluster = Cluster::new();
    let spec = specs::sink("large", Mode::Append);
    let text = "ж".repeat(40);
    let all =
        batch(vec![("id", ints(0..150_000)), ("name", texts((0..150_000).map(|_| Some(text.as_str()))))]);
    write(&cluster, &spec, 1, &all).await.unwrap();
    assert_eq!(written(&cluster, "large"), (0..150_000).collect::<Vec<_>>());
}
