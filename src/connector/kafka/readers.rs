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
    /// The topic that it read last.
    topic: String,
    /// KiB that it fetches ahead of a partition.
    ahead: usize,
    since: Instant,
}

impl Readers {
    /// A client that reads committed messages of so many partitions, and holds none; and whether it knows this topic, having read it last.
    pub(super) fn take(
        &self,
        cluster: &Cluster,
        topic: &str,
        partitions: usize,
    ) -> Result<(Arc<Consumer>, bool)> {
        let ahead = ahead(partitions);
        let (closed, taken) = {
            let mut idle = lock(&self.0);
            let closed = tired(&mut idle);
            let knowing = idle.iter().rposition(|idle| idle.ahead == ahead && idle.topic == topic);
            let fitting = knowing.or_else(|| idle.iter().rposition(|idle| idle.ahead == ahead));
            (closed, fitting.map(|at| idle.remove(at)))
        };
        drop(closed);
        let Some(idle) = taken else {
            return Ok((cluster.consumer(Isolation::Committed, ahead)?, false));
        };
        listen(&idle.client);
        // What it heard while it waited is no reason for what may fail now.
        idle.client.context().forget();
        Ok((idle.client, idle.topic == topic))
    }

    /// Those that wait, no longer waiting.
    pub(super) fn leave(&self) -> Vec<Arc<Consumer>> {
        lock(&self.0).drain(..).map(|idle| idle.client).collect()
    }

    /// Takes a client back, as it was taken for so many partitions of this topic.
    pub(super) fn give(&self, client: Arc<Consumer>, topic: &str, partitions: usize) {
        let closed = {
            let mut idle = lock(&self.0);
            let mut closed = tired(&mut idle);
            if idle.len() == IDLE {
                closed.push(idle.remove(0));
            }
            let (topic, ahead) = (topic.to_owned(), ahead(partitions));
            idle.push(Idle { client, topic, ahead, since: Instant::now() });
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
        let take = || cluster.readers.take(&cluster, "a", 1).unwrap();
        let ((first, knows), (other, _)) = (take(), take());
        assert!(!knows, "a new one knows nothing");
        assert!(!Arc::ptr_eq(&first, &other), "two reads at a time");
        let known = Arc::as_ptr(&first);
        cluster.readers.give(first, "a", 1);
        let (wide, _) = cluster.readers.take(&cluster, "a", 200).unwrap();
        assert!(!std::ptr::eq(known, Arc::as_ptr(&wide)), "one that fetches less of each partition");
        cluster.readers.give(other, "b", 1);
        let (again, knows) = take();
        assert!(
            std::ptr::eq(known, Arc::as_ptr(&again)) && knows,
            "not the one that read another topic since"
        );
        let (other, knows) = take();
        assert!(!knows, "it read another topic last");
        let many: Vec<_> =
            std::iter::repeat_with(take).take(IDLE).chain([(again, true), (other, true)]).collect();
        for (client, _) in many {
            cluster.readers.give(client, "a", 1);
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
