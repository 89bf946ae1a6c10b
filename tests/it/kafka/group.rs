//! Positions as lag tools see them.

use std::time::Duration;

use vitrina::connector::{
    error::ErrorKind,
    kafka::config::{Group, SourceOptions},
};

use super::{as_str, everything, messages, source};
use crate::{
    contract::reading::end_of,
    support::{
        kafka::Cluster,
        rows::{batch, ints},
        specs::{self, track},
    },
};

/// What a sink committed is what tools read from the group, partition by partition; an empty partition has no offset.
#[tokio::test(flavor = "multi_thread")]
async fn positions_are_reported() {
    let cluster = Cluster::new();
    cluster.create("seen", 3, &[]);
    cluster.write("seen", 0, &as_str(&messages(0..7)));
    cluster.write("seen", 2, &as_str(&messages(10..12)));
    let source = source(&cluster, "seen").await;
    let (units, _) = everything(source.as_ref(), None, 3).await;
    let group = format!("{}vitrina-{}", cluster.prefix, track("mrf1").key());
    assert_eq!(cluster.group_offsets(&group, "seen", 3), [None, None, None]);
    for unit in &units {
        let position = end_of(unit);
        source.committed(&track("mrf1"), &position).await.unwrap();
        let offset = |partition: usize| {
            let bound = position.partitions.get(&partition.to_string());
            bound.map(|bound| match bound.at[0] {
                vitrina::model::value::Value::Int(at) => at + 1,
                ref other => panic!("{other:?}"),
            })
        };
        assert_eq!(cluster.group_offsets(&group, "seen", 3), [offset(0), offset(1), offset(2)]);
    }
    assert_eq!(cluster.group_offsets(&group, "seen", 3), [Some(7), None, Some(2)]);
}

/// A group may be named, or none; one that others read with is told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_others_is_told() {
    use rdkafka::consumer::Consumer as _;
    let cluster = Cluster::new();
    cluster.create("shared", 1, &[]);
    cluster.write("shared", 0, &as_str(&messages(0..5)));
    let named = cluster.topic("readers");
    let with = async |group: Group| {
        let mut spec = specs::source("shared", &batch(vec![("id", ints([]))]));
        spec.options.kafka = Some(SourceOptions { group, ..SourceOptions::default() });
        cluster.open().source(&spec).await.unwrap()
    };
    let silent = with(Group::Reported(false)).await;
    let head = silent.head().await.unwrap();
    silent.committed(&track("mrf1"), &head).await.unwrap();
    let usual = format!("{}vitrina-{}", cluster.prefix, track("mrf1").key());
    assert_eq!(cluster.group_offsets(&usual, "shared", 1), [None]);

    let source = with(Group::Named(named.clone())).await;
    source.head().await.unwrap();
    source.committed(&track("mrf1"), &head).await.unwrap();
    assert_eq!(cluster.group_offsets(&named, "shared", 1), [Some(5)]);

    let stranger = cluster.member(&named, "shared");
    let joined = || !stranger.assignment().unwrap().elements().is_empty();
    for _ in 0..1_200 {
        let _ = stranger.poll(Duration::from_millis(50));
        if joined() {
            break;
        }
    }
    assert!(joined(), "the stranger does not get into the group");
    let error = source.committed(&track("mrf1"), &head).await.expect_err("a group of others");
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    assert!(
        error.to_string().contains("others read with it") && error.to_string().contains(&named),
        "{error}"
    );
    assert!(error.advice().contains("[source.kafka]"), "{}", error.advice());
    source.committed(&track("mrf1"), &head).await.expect("told once, and then silence");
}
