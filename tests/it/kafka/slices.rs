//! Slice after slice: clients are kept between them, and nothing of one slice comes into the next.

use futures::StreamExt;
use vitrina::connector::source::Source;

use super::{as_str, everything, messages, source};
use crate::{
    contract::reading::{end_of, most, plan_all, read},
    support::{
        kafka::{Cluster, variable},
        proxy::Proxy,
        rows::ids,
    },
};

const SLICES: i64 = 200;
const PARTITIONS: i64 = 3;
/// Rows of a slice.
const ROWS: i64 = 150;

/// As many messages in each partition as the slices want of it.
fn fill(cluster: &Cluster, table: &str) {
    cluster.create(table, PARTITIONS as i32, &[]);
    let each = SLICES * ROWS / PARTITIONS;
    for partition in 0..PARTITIONS {
        cluster.write(table, partition as i32, &as_str(&messages(partition * each..(partition + 1) * each)));
    }
}

async fn slices(source: &dyn Source) -> Vec<vitrina::model::unit::Unit> {
    let head = source.head().await.unwrap();
    plan_all(source, None, &head, most(ROWS as u64)).await
}

/// Every slice holds its own rows, and few clients read all of them: a client that is made comes by the address that the connection names, and learns the brokers' own there.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_slices_are_read_by_a_few_clients() {
    let network = Proxy::new();
    network.lead_to(&variable("VITRINA_KAFKA_BROKERS"));
    let cluster = Cluster::at(network.address.clone());
    fill(&cluster, "sliced");
    let source = source(&cluster, "sliced").await;
    let units = slices(source.as_ref()).await;
    assert_eq!(units.len() as i64, SLICES);
    let before = network.connections();
    let mut seen = vec![];
    for unit in &units {
        seen.extend(ids(&read(source.as_ref(), unit).await.batch));
    }
    let made = network.connections() - before;
    seen.sort_unstable();
    assert_eq!(seen, (0..SLICES * ROWS).collect::<Vec<_>>());
    assert!(made < 20, "{made} connections for {SLICES} slices");
}

/// A read that is broken off leaves nothing to those after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_broken_off_is_not_met_again() {
    let cluster = Cluster::new();
    fill(&cluster, "broken");
    let source = source(&cluster, "broken").await;
    let units = slices(source.as_ref()).await;
    let whole = plan_all(source.as_ref(), None, &source.head().await.unwrap(), most(1_000_000)).await;
    for (at, unit) in units.iter().enumerate().step_by(20) {
        // The first rows of everything, and no more of it: it is longer than what may wait.
        let mut broken = source.read(&whole[0]).await.unwrap();
        let first = broken.next().await.unwrap().unwrap();
        assert!(first.batch.num_rows() > 0);
        drop(broken);
        let each = SLICES * ROWS / PARTITIONS;
        let share = ROWS / PARTITIONS;
        let from = at as i64 * share;
        let expected: Vec<i64> =
            (0..PARTITIONS).flat_map(|part| part * each + from..part * each + from + share).collect();
        assert_eq!(ids(&read(source.as_ref(), unit).await.batch), expected, "slice {at}");
    }
    let (_, rest) = everything(source.as_ref(), units.get(197).map(end_of).as_ref(), 1_000).await;
    assert_eq!(rest.len() as i64, 2 * ROWS);
}
