//! How a topic that was made again is noticed, without asking for its id, which the client library gives to unsafe code alone.
//!
//! A position keeps, for each partition, one of its newest messages: offset, timestamp and a digest; one inside a backlog that of the backlog's end. Later the message at that offset must
//! be the same one, and a topic that ends before it is another one. Where the message is gone from the beginning of the topic, or from its middle (retention, compaction), nothing can be said,
//! and nothing is. What cannot be noticed: a topic made again whose message at that offset has the same content and the same millisecond.

use std::collections::BTreeMap;

use rdkafka::{Message, message::BorrowedMessage};
use sha2::{Digest, Sha256};

use super::{
    client::Cluster,
    plan::number,
    range::{Range, glance, read},
    topic::AllEnds,
};
use crate::{
    connector::error::Result,
    model::position::{Bound, Position},
};

/// Offsets from the end that are looked through for a message: behind the last one may lie a transaction's mark.
const NEAR: i64 = 4;
/// Where those are none.
const FAR: i64 = 256;

/// A witness of each partition that has one.
pub(super) fn newest(cluster: &Cluster, topic: &str, ends: &AllEnds) -> Result<BTreeMap<i32, String>> {
    let mut found = BTreeMap::new();
    for most in [NEAR, FAR] {
        let open = ends.iter().filter(|(partition, _)| !found.contains_key(*partition));
        let ranges: Vec<Range> = open.map(|(partition, ends)| Range::last(*partition, *ends, most)).collect();
        glance(cluster, topic, &ranges, |message| {
            found.insert(message.partition(), of(message));
            Ok(true)
        })?;
    }
    Ok(found)
}

/// Whether the topic still holds the messages that a position remembers, as far as they are there.
pub(super) fn check(cluster: &Cluster, topic: &str, from: &Position, ends: &AllEnds) -> Result<bool> {
    let mut remembered = BTreeMap::new();
    for (name, bound) in &from.partitions {
        let partition = number(name)?;
        let witness = bound.witness.as_deref().unwrap_or_default();
        let (Some(offset), Some(ends)) = (offset(bound), ends.get(&partition)) else { continue };
        if offset >= ends.high {
            return Ok(false);
        }
        if offset >= ends.low {
            remembered.insert(partition, (offset, witness));
        }
    }
    let one = |(partition, (offset, _)): (&i32, &(i64, &str))| Range {
        partition: *partition,
        from: *offset,
        until: offset + 1,
    };
    let ranges: Vec<Range> = remembered.iter().map(one).collect();
    let mut same = true;
    read(cluster, topic, &ranges, |message| {
        same &= remembered.get(&message.partition()).is_none_or(|(_, witness)| of(message) == *witness);
        Ok(same)
    })?;
    Ok(same)
}

/// The offset of the message that a bound remembers.
pub(super) fn offset(bound: &Bound) -> Option<i64> {
    bound.witness.as_deref()?.split(' ').next()?.parse().ok()
}

fn of(message: &BorrowedMessage<'_>) -> String {
    let mut digest = Sha256::new();
    for part in [message.key(), message.payload()] {
        digest.update([u8::from(part.is_some())]);
        digest.update(part.unwrap_or_default().len().to_le_bytes());
        digest.update(part.unwrap_or_default());
    }
    let digest = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let timestamp = message.timestamp().to_millis().unwrap_or_default();
    format!("{} {timestamp} {digest}", message.offset())
}
