//! Clients that read, kept from one read to the next: to make one is to connect and to ask for metadata, which takes longer than reading a small slice.
//!
//! Whoever reads takes a client for itself. Only one that came to the end of all its ranges is given back; a read that failed or was broken off leaves its client
//! in a state that nobody knows, so that one is closed. A client that is given back holds no partition and nothing that was fetched ahead.
//!
//! A client fetches ahead of who takes the messages, from each partition by itself: the more partitions are read at once, the less of each, so that a read stays within `AHEAD`.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rdkafka::consumer::Consumer as _;

use super::client::{Cluster, Consumer, Isolation, listen, lock};
use crate::connector::error::Result;

/// Clients of a connection that wait for the next read, at most.
const IDLE: usize = 4;

/// How long one waits before it is closed, when the next read begins or ends.
const REST: Duration = Duration::from_secs(60);

/// KiB that a read fetches ahead, of all its partitions together, and of one at most and at least.
const AHEAD: usize = 64 << 10;
const MOST: usize = 4 << 10;
const LEAST: usize = 64;

/// KiB that are fetched ahead of each of so many partitions; in few steps, so that clients are used again.
fn ahead(partitions: usize) -> usize {
    let share = (AHEAD / partitions.max(1)).clamp(LEAST, MOST);
    1 << share.ilog2()
}

/// Clients that nobody reads with right now, the one that was last used at the end.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Idle>>);

struct Idle {
    client: Arc<Consumer>,
    /// KiB that it fetches ahead of a partition.
    ahead: usize,
    since: Instant,
}

impl Readers {
    /// A client that reads committed messages of so many partitions, and holds none.
    pub(super) fn take(&self, cluster: &Cluster, partitions: usize) -> Result<Arc<Consumer>> {
        let ahead = ahead(partitions);
        let (closed, taken) = {
            let mut idle = lock(&self.0);
            let closed = tired(&mut idle);
            let fitting = idle.iter().rposition(|idle| idle.ahead == ahead);
            (closed, fitting.map(|at| idle.remove(at)))
        };
        drop(closed);
        let Some(Idle { client, .. }) = taken else {
            return cluster.consumer(Isolation::Committed, ahead);
        };
        listen(&client);
        // What it heard while it waited is no reason for what may fail now.
        client.context().forget();
        Ok(client)
    }

    /// Takes a client back, as it was taken for so many partitions.
    pub(super) fn give(&self, client: Arc<Consumer>, partitions: usize) {
        let closed = {
            let mut idle = lock(&self.0);
            let mut closed = tired(&mut idle);
            if idle.len() == IDLE {
                closed.push(idle.remove(0));
            }
            idle.push(Idle { client, ahead: ahead(partitions), since: Instant::now() });
            closed
        };
        // To close one takes time, in which others may take theirs.
        drop(closed);
    }
}

/// Those that have waited too long.
fn tired(idle: &mut Vec<Idle>) -> Vec<Idle> {
    let fresh = idle.iter().position(|idle| idle.since.elapsed() < REST).unwrap_or(idle.len());
    idle.drain(..fresh).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{OpenContext, kafka::config::Config};

    #[test]
    fn what_is_fetched_ahead_is_shared_out() {
        assert_eq!([1, 10, 16, 17, 200, 1_000, 5_000].map(ahead), [4_096, 4_096, 4_096, 2_048, 256, 64, 64]);
        assert!((1..=1_000).all(|partitions| ahead(partitions) * partitions <= AHEAD));
    }

    #[test]
    fn clients_are_used_again_and_few_wait() {
        let context = OpenContext { name: "place".into(), root: "/".into(), scratch: "/".into() };
        let config = Config { brokers: vec!["localhost:1".to_owned()], ..Config::default() };
        let cluster = Cluster::new(&config, context);
        let take = || cluster.readers.take(&cluster, 1).unwrap();
        let first = take();
        let other = take();
        assert!(!Arc::ptr_eq(&first, &other), "two reads at a time");
        let known = Arc::as_ptr(&first);
        cluster.readers.give(first, 1);
        let wide = cluster.readers.take(&cluster, 200).unwrap();
        assert!(!std::ptr::eq(known, Arc::as_ptr(&wide)), "one that fetches less of each partition");
        let again = take();
        assert!(std::ptr::eq(known, Arc::as_ptr(&again)));
        let many: Vec<_> = std::iter::repeat_with(take).take(IDLE).chain([again, other]).collect();
        for client in many {
            cluster.readers.give(client, 1);
        }
        assert_eq!(lock(&cluster.readers.0).len(), IDLE);
        let mut idle = lock(&cluster.readers.0);
        if let Some(past) = Instant::now().checked_sub(REST) {
            idle[1].since = past;
            idle[0].since = past;
            assert_eq!((tired(&mut idle).len(), idle.len()), (2, IDLE - 2));
        }
    }
}
