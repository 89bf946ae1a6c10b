//! Clients that read, kept from one read to the next: to make one is to connect and to ask for metadata, which takes longer than reading a small slice.
//!
//! Whoever reads takes a client for itself. Only one that came to the end of all its ranges is given back; a read that failed or was broken off leaves its client
//! in a state that nobody knows, so that one is closed. A client that is given back holds no partition and nothing that was fetched ahead.

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

/// Clients that nobody reads with right now, the one that was last used at the end.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<(Arc<Consumer>, Instant)>>);

impl Readers {
    /// A client that reads committed messages, and holds no partition.
    pub(super) fn take(&self, cluster: &Cluster) -> Result<Arc<Consumer>> {
        let (closed, taken) = {
            let mut idle = lock(&self.0);
            let closed = tired(&mut idle);
            (closed, idle.pop())
        };
        drop(closed);
        let Some((consumer, _)) = taken else {
            return cluster.consumer(Isolation::Committed);
        };
        listen(&consumer);
        // What it heard while it waited is no reason for what may fail now.
        consumer.context().forget();
        Ok(consumer)
    }

    /// Takes a client back.
    pub(super) fn give(&self, consumer: Arc<Consumer>) {
        let closed = {
            let mut idle = lock(&self.0);
            let mut closed = tired(&mut idle);
            if idle.len() == IDLE {
                closed.push(idle.remove(0));
            }
            idle.push((consumer, Instant::now()));
            closed
        };
        // To close one takes time, in which others may take theirs.
        drop(closed);
    }
}

/// Those that have waited too long.
fn tired(idle: &mut Vec<(Arc<Consumer>, Instant)>) -> Vec<(Arc<Consumer>, Instant)> {
    let fresh = idle.iter().position(|(_, since)| since.elapsed() < REST).unwrap_or(idle.len());
    idle.drain(..fresh).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{OpenContext, kafka::config::Config};

    #[test]
    fn clients_are_used_again_and_few_wait() {
        let context = OpenContext { name: "place".into(), root: "/".into(), scratch: "/".into() };
        let config = Config { brokers: vec!["localhost:1".to_owned()], ..Config::default() };
        let cluster = Cluster::new(&config, context);
        let take = || cluster.readers.take(&cluster).unwrap();
        let first = take();
        let other = take();
        assert!(!Arc::ptr_eq(&first, &other), "two reads at a time");
        let known = Arc::as_ptr(&first);
        cluster.readers.give(first);
        let again = take();
        assert!(std::ptr::eq(known, Arc::as_ptr(&again)));
        let many: Vec<_> = std::iter::repeat_with(take).take(IDLE).chain([again, other]).collect();
        for client in many {
            cluster.readers.give(client);
        }
        assert_eq!(lock(&cluster.readers.0).len(), IDLE);
        let mut idle = lock(&cluster.readers.0);
        if let Some(past) = Instant::now().checked_sub(REST) {
            idle[1].1 = past;
            idle[0].1 = past;
            assert_eq!((tired(&mut idle).len(), idle.len()), (2, IDLE - 2));
        }
    }
}
