//! Exact ranges of offsets, read to their ends and no further.
//!
//! The end of a range may be no message: a transaction's marker, a message of a transaction that was given up, one that compaction removed. So a range ends with the
//! first message at or behind its end, or where the client says that nothing more is there. A broker that has just become leader may say so too early: that word counts once the
//! cluster has said that the partition reaches the end of the range, and what is behind the last message was fetched again since: of all such partitions at once, behind the others.
//! Partitions are read one after another, though fetched ahead all at once, so that the same ranges come in the same order every time; what a broker told too late comes last.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer as _, base_consumer::PartitionQueue},
    error::KafkaError,
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};

use super::{
    client::{Cluster, Consumer, Context, Isolation},
    topic::{Ends, believed, partition_ends},
};
use crate::connector::error::{Error, ErrorKind, Result};

/// How long a read waits for the next message of a range before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a client may ask for a topic that it does not know, before it is left to itself.
const CONNECT: Duration = Duration::from_secs(1);

/// How long one look into a queue waits.
const LOOK: Duration = Duration::from_millis(200);

/// Messages between two looks at other events.
const LISTEN_EVERY: u64 = 1_024;

/// Offsets `from .. until` of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) partition: i32,
    /// In.
    pub(super) from: i64,
    /// Out.
    pub(super) until: i64,
}

impl Range {
    /// All of a partition.
    pub(super) fn all(partition: i32, ends: Ends) -> Self {
        Self { partition, from: ends.low, until: ends.high }
    }

    /// The last offsets of a partition, `most` of them.
    pub(super) fn last(partition: i32, ends: Ends, most: i64) -> Self {
        Self { partition, from: ends.low.max(ends.high - most), until: ends.high }
    }
}

/// Gives every committed message of the ranges, in their order; `each` says whether to go on.
pub(super) fn read(
    cluster: &Cluster,
    topic: &str,
    ranges: &[Range],
    each: impl FnMut(&BorrowedMessage<'_>) -> Result<bool>,
) -> Result<()> {
    go_through(cluster, topic, ranges, true, each)
}

/// The same, where the last messages may be missing: for those who only want some.
pub(super) fn glance(
    cluster: &Cluster,
    topic: &str,
    ranges: &[Range],
    each: impl FnMut(&BorrowedMessage<'_>) -> Result<bool>,
) -> Result<()> {
    go_through(cluster, topic, ranges, false, each)
}

fn go_through(
    cluster: &Cluster,
    topic: &str,
    ranges: &[Range],
    all: bool,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<bool>,
) -> Result<()> {
    let ranges: Vec<Range> = ranges.iter().copied().filter(|range| range.from < range.until).collect();
    if ranges.is_empty() {
        return Ok(());
    }
    let (consumer, knows) = cluster.readers.take(cluster, topic, ranges.len())?;
    if !knows {
        // A client that knows who leads the partitions fetches at once; one that does not finds out up to a second later.
        let _ = consumer.fetch_metadata(Some(topic), CONNECT);
    }
    let reading = Reading { cluster, topic, consumer: &consumer };
    let queues = reading.assign(&ranges)?;
    let mut early = vec![];
    for (range, queue) in ranges.iter().zip(&queues) {
        match reading.drain(*range, queue, &mut each)? {
            Drained::Stopped => return Ok(()),
            Drained::Whole => {}
            Drained::Until(next) => early.push((Range { from: next, ..*range }, queue)),
        }
    }
    if all {
        for (range, _) in &early {
            reading.check_end(*range)?;
            reading.fetch_again(*range)?;
        }
        for (range, queue) in early {
            if matches!(reading.drain(range, queue, &mut each)?, Drained::Stopped) {
                return Ok(());
            }
        }
    }
    if reading.release(queues) {
        cluster.readers.give(consumer, topic, ranges.len());
    }
    Ok(())
}

/// How a range ended.
enum Drained {
    /// No more is wanted.
    Stopped,
    /// By a message at or behind its end.
    Whole,
    /// By the broker's word that nothing more is there; the first offset that nothing is known of.
    Until(i64),
}

struct Reading<'a> {
    cluster: &'a Cluster,
    topic: &'a str,
    consumer: &'a Arc<Consumer>,
}

impl Reading<'_> {
    fn assign(&self, ranges: &[Range]) -> Result<Vec<PartitionQueue<Context>>> {
        let queue = |range: &Range| {
            let queue = self.consumer.split_partition_queue(self.topic, range.partition);
            queue.ok_or_else(|| Error::new(ErrorKind::Internal, "a partition has no queue"))
        };
        // Before the assignment: what is fetched between the two would lie in the consumer's own queue, and the partition's would end without it.
        let queues = ranges.iter().map(queue).collect::<Result<_>>()?;
        let mut list = TopicPartitionList::new();
        for range in ranges {
            let added = list.add_partition_offset(self.topic, range.partition, Offset::Offset(range.from));
            added.map_err(|error| self.failed(&error))?;
        }
        self.consumer.assign(&list).map_err(|error| self.failed(&error))?;
        Ok(queues)
    }

    /// Leaves the client as it was taken; false = it is none to read with again.
    fn release(&self, queues: Vec<PartitionQueue<Context>>) -> bool {
        if self.consumer.unassign().is_err() {
            return false;
        }
        // What was fetched ahead belongs to an assignment that is over: a look into its queue throws it away, and finds nothing.
        queues.iter().all(|queue| queue.poll(Duration::ZERO).is_none())
    }

    fn drain(
        &self,
        range: Range,
        queue: &PartitionQueue<Context>,
        each: &mut impl FnMut(&BorrowedMessage<'_>) -> Result<bool>,
    ) -> Result<Drained> {
        let mut silent = None;
        let mut taken = 0_u64;
        let mut next = range.from;
        loop {
            match queue.poll(LOOK) {
                Some(Ok(message)) => {
                    let offset = message.offset();
                    if offset >= range.until {
                        return Ok(Drained::Whole);
                    }
                    if !each(&message)? {
                        return Ok(Drained::Stopped);
                    }
                    silent = None;
                    next = offset + 1;
                    if next == range.until {
                        return Ok(Drained::Whole);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.listen(range)?;
                    return Ok(Drained::Until(next));
                }
                Some(Err(error)) => self.weigh(range, &error)?,
                None => {
                    // From the first look in vain: whoever takes the messages may have taken long before it.
                    if silent.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(self.failed(&KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)));
                    }
                    // Whoever waits listens at once.
                    self.listen(range)?;
                }
            }
            taken += 1;
            if taken.is_multiple_of(LISTEN_EVERY) {
                self.listen(range)?;
            }
        }
    }

    /// Begins a range anew; what was fetched before is thrown away.
    fn fetch_again(&self, range: Range) -> Result<()> {
        let from = Offset::Offset(range.from);
        let sought = self.consumer.seek(self.topic, range.partition, from, Duration::ZERO);
        sought.map_err(|error| self.failed(&error))
    }

    /// Takes in events that are no partition's own: connections lost, brokers down, lines of the log.
    fn listen(&self, range: Range) -> Result<()> {
        match self.consumer.poll(Duration::ZERO) {
            None => Ok(()),
            Some(Err(error)) => self.weigh(range, &error),
            Some(Ok(_)) => {
                Err(Error::new(ErrorKind::Internal, "a message came beside its partition's queue"))
            }
        }
    }

    /// An end that stays before the range's own is that of a topic that was cut off meanwhile.
    fn check_end(&self, range: Range) -> Result<()> {
        let ends = believed(
            || partition_ends(self.cluster, self.topic, range.partition, Isolation::Committed),
            |ends| Ok(ends.high >= range.until),
        )?;
        if ends.high >= range.until {
            return Ok(());
        }
        let message = format!(
            "partition {} of topic \"{}\" of {} ends at offset {} now, before {}: the topic was made again or cut off",
            range.partition,
            self.topic,
            self.cluster.shown(),
            ends.high,
            range.until,
        );
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// Errors that pass are waited out; others end the read.
    fn weigh(&self, range: Range, error: &KafkaError) -> Result<()> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                let ends = partition_ends(self.cluster, self.topic, range.partition, Isolation::Committed)?;
                if ends.low > range.from {
                    let shown = format!("topic \"{}\" of {}", self.topic, self.cluster.shown());
                    return Err(lost(&shown, range, ends));
                }
                self.check_end(range)?;
                // A broker that was behind.
                Err(self.failed(error))
            }
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve,
            ) => Ok(()),
            _ => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: &KafkaError) -> Error {
        let what = format!("cannot read topic \"{}\" of {}", self.topic, self.cluster.shown());
        self.cluster.failed(&what, self.consumer.context(), error)
    }
}

/// Messages were deleted before they were read: what is lost, and how to go on.
pub(super) fn lost(shown: &str, range: Range, ends: Ends) -> Error {
    let message = format!(
        "{shown} no longer has offsets {} to {} of partition {}: they were deleted before they were read",
        range.from,
        ends.low - 1,
        range.partition,
    );
    Error::new(ErrorKind::SourceChanged, message).hint(format!(
        "raise the topic's retention; to go on without them, say so: `vitrina position set` with {} for partition {}",
        ends.low - 1,
        range.partition,
    ))
}
