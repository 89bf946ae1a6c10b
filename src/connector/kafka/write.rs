//! A topic as a sink. Why every unit is there once, wholly, for readers of committed messages:
//!
//! Rows are spelled into a spool of this process, which nobody else sees and which is gone with it. `commit` is one Kafka transaction: the unit's
//! messages, and the track's record into the compacted topic `_vitrina_records`. Kafka shows both or neither to whoever reads committed messages.
//!
//! The record is compared before it is written, and nobody can change it in between: a track always writes through the transactional id of its slot. Claiming the
//! slot (`init_transactions`) ends what an older owner left open and fences that owner for good; then the record's partition is read, committed messages only,
//! up to the high watermark of a moment *after* the fencing, waiting until the last stable offset has passed it. So the record that is read is the last one that any
//! owner committed, and from then on only we can write another, until somebody fences us: every call hears of that as a conflict and writes nothing.
//!
//! A crash before the commit was decided leaves a transaction that the next claim, or the cluster by its time-out, ends without a trace; one behind it leaves rows and
//! record. A commit whose answer was lost, or that took too long, gives the producer up: the next claim makes a new one, and the record it finds names the
//! attempt or not. Transactions hold only what is in the spool already, and sending it is cut off well under `transaction.timeout.ms`.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};
use tokio::sync::OwnedMutexGuard;

use super::{
    client::{Cluster, blocking, lock},
    columns,
    config::{Format, SinkOptions},
    ledger::{self, Described, Entry},
    range::{Range, read},
    slot::{Slot, Slots, slots},
    speller::Speller,
    spool::{Spool, Spooled},
    target::{Agreed, agree},
    topic::{self, Making},
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        feed::feed,
        records::conflict,
        sink::{Claim, Committed, Rows, Sink, SinkSpec, Staged, Staging},
    },
    failpoint,
    model::{
        name::Track,
        unit::{Progress, Record},
    },
};

/// A topic that is written.
pub(super) struct TopicSink {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Arc<Cluster>,
    spec: SinkSpec,
    topic: String,
    options: SinkOptions,
    /// Of the last project that was written for: clients live as long as this.
    slots: std::sync::Mutex<Option<(String, Arc<Slots>)>>,
    /// How rows of the columns that were last claimed are spelled.
    speller: std::sync::Mutex<Option<(SchemaRef, Speller)>>,
}

impl TopicSink {
    pub(super) fn new(cluster: Arc<Cluster>, spec: SinkSpec) -> Self {
        let topic = cluster.topic(&spec.table);
        let options = spec.options.kafka.clone().unwrap_or_default();
        let (slots, speller) = (std::sync::Mutex::default(), std::sync::Mutex::default());
        Self { inner: Arc::new(Inner { cluster, spec, topic, options, slots, speller }) }
    }
}

impl Inner {
    fn shown(&self) -> String {
        self.cluster.topic_shown(&self.spec.table)
    }

    /// How rows of these columns are spelled, which are among the topic's; asks the registry about them once.
    fn speller(&self, topic: Option<&SchemaRef>, columns: &SchemaRef) -> Result<Speller> {
        let mut known = lock(&self.speller);
        if let Some((_, speller)) = known.as_ref().filter(|(known, _)| known == columns) {
            return Ok(speller.clone());
        }
        let declared = match topic {
            Some(_) => None,
            None => ledger::described(&self.cluster, &self.spec.table)?.map(|declared| declared.schema),
        };
        let topic = topic.or(declared.as_ref()).unwrap_or(columns);
        let speller = Speller::new(&self.cluster, &self.spec.table, &self.options, topic, columns)?;
        *known = Some((columns.clone(), speller.clone()));
        Ok(speller)
    }

    /// The turn to write for a track.
    async fn turn(self: &Arc<Self>, track: &Track) -> Result<OwnedMutexGuard<Slot>> {
        let (inner, project) = (self.clone(), track.project.clone());
        let slots = blocking(move || inner.slots(project)).await?;
        Ok(slots[ledger::slot_of(&track.key()) as usize].clone().lock_owned().await)
    }

    fn slots(&self, project: String) -> Result<Arc<Slots>> {
        let mut held = lock(&self.slots);
        if let Some((_, slots)) = held.as_ref().filter(|(known, _)| *known == project) {
            return Ok(slots.clone());
        }
        let slots = slots(&self.cluster, &project)?;
        *held = Some((project, slots.clone()));
        Ok(slots)
    }

    /// The record of a track whose slot is ours.
    fn record(&self, slot: &mut Slot, track: &Track) -> Result<Option<Record>> {
        let entries = slot.claim(&self.cluster)?;
        ledger::record(&self.cluster, entries, &ledger::record_key(&self.spec.table, track))
    }

    fn claim(&self, slot: &mut Slot, track: &Track, rows: &SchemaRef) -> Result<Claim> {
        // Columns that cannot be spelled are refused before anything is made.
        let fresh = agree(&self.shown(), &self.spec, None, rows)?;
        ledger::ensure(&self.cluster)?;
        let record = self.record(slot, track)?;
        let declared = self.declared()?;
        let target = match topic::ends(&self.cluster, &self.topic)? {
            None => {
                if record.as_ref().is_some_and(|record| record.progress != Progress::Start) {
                    return Err(self.vanished(track));
                }
                self.speller(Some(&fresh.target), &fresh.staged)?;
                topic::create(&self.cluster, &self.topic, &self.making())?;
                None
            }
            Some(ends) => {
                if record.is_none() && !ledger::is_recorded(&self.cluster, &self.spec.table)? {
                    self.check_empty(&ends)?;
                }
                match &declared {
                    Some(declared) => Some(declared.schema.clone()),
                    None => self.shown_columns(&ends)?,
                }
            }
        };
        let Agreed { target, staged, left_out } = agree(&self.shown(), &self.spec, target.as_ref(), rows)?;
        self.speller(Some(&target), &staged)?;
        let described = Some(Described { spelling: self.options.spelling(), schema: target });
        if let Some(fresh) = described.filter(|fresh| declared.as_ref() != Some(fresh)) {
            slot.transact(&self.cluster, Entry::topic(&self.spec.table, &fresh)?, |_| Ok(()))?;
        }
        Ok(Claim { record, pending: None, schema: staged, left_out, narrow: vec![] })
    }

    /// What the topic's messages are, as its writers said; they stay as they are spelled.
    fn declared(&self) -> Result<Option<Described>> {
        let declared = ledger::described(&self.cluster, &self.spec.table)?;
        let other = declared.as_ref().filter(|declared| !declared.spelling.reads(&self.options.spelling()));
        let Some(other) = other else { return Ok(declared) };
        let (was, is) = (other.spelling.format, self.options.format);
        let message = format!("{} holds messages that are spelled otherwise ({was}, not {is})", self.shown());
        Err(Error::new(ErrorKind::SchemaChanged, message).hint(
            "keep `format`, `delimiter`, `value` and `message` of [sink.kafka] as they were, or write another topic",
        ))
    }

    fn making(&self) -> Making {
        let kept = self.options.retention.map(|span| ("retention.ms", span.get().as_millis().to_string()));
        Making {
            partitions: self.options.partitions,
            replication: self.options.replication,
            settings: kept.into_iter().collect(),
        }
    }

    /// The columns of a topic, where its writer or its messages tell them.
    fn shown_columns(&self, ends: &topic::AllEnds) -> Result<Option<SchemaRef>> {
        let look = |given| columns::look(&self.cluster, &self.spec.table, ends, given, None);
        let found = match ledger::described(&self.cluster, &self.spec.table)? {
            Some(described) => described.schema,
            None if self.options.format == Format::Raw || self.options.proto.is_some() => return Ok(None),
            None => match look(Some(self.options.spelling()))? {
                found if found.sampled > 0 && self.options.format == Format::Protobuf => {
                    return Err(self.numbered());
                }
                found => found.schema,
            },
        };
        Ok((!found.fields().is_empty()).then_some(found))
    }

    /// Fields have numbers, and those of others are not ours to guess.
    fn numbered(&self) -> Error {
        let message = format!("{} holds messages of a schema that Vitrina did not make", self.shown());
        Error::new(ErrorKind::Unsupported, message)
            .hint("write another topic, or messages of a file: `proto` in [sink.kafka]")
    }

    fn vanished(&self, track: &Track) -> Error {
        let message = format!("{} is gone, though {} was written into it", self.shown(), track.name());
        Error::new(ErrorKind::NotFound, message)
            .hint("make it again as it was, or fill it again from the beginning: `vitrina position reset`")
    }

    /// Messages that no record explains could be doubled: their owner has to say what they are. Marks of transactions that were given up are nothing.
    fn check_empty(&self, ends: &topic::AllEnds) -> Result<()> {
        let ranges: Vec<Range> = ends.iter().map(|(partition, ends)| Range::all(*partition, *ends)).collect();
        let mut filled = false;
        read(&self.cluster, &self.topic, &ranges, |_| {
            filled = true;
            Ok(false)
        })?;
        if filled {
            let message = format!("{} holds messages, and no record says where they came from", self.shown());
            return Err(Error::new(ErrorKind::NoRecord, message));
        }
        Ok(())
    }

    fn set_record(
        &self,
        slot: &mut Slot,
        track: &Track,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<()> {
        ledger::ensure(&self.cluster)?;
        if self.record(slot, track)?.map(|record| record.seq) != expected {
            return Err(conflict(track));
        }
        slot.transact(&self.cluster, Entry::record(&self.spec.table, track, record)?, |_| Ok(()))
    }
}

/// The headers of a message; each by its column's name.
fn headers(names: &[String], spooled: &Spooled<'_>) -> OwnedHeaders {
    spooled.headers().fold(OwnedHeaders::new_with_capacity(names.len()), |headers, (at, text)| {
        headers.insert(Header { key: &names[at], value: Some(text) })
    })
}

#[async_trait]
impl Sink for TopicSink {
    async fn peek(&self, track: &Track) -> Result<Option<Record>> {
        let (inner, track) = (self.inner.clone(), track.clone());
        blocking(move || ledger::peek(&inner.cluster, &inner.spec.table, &track)).await
    }

    async fn claim(&self, track: &Track, schema: &SchemaRef) -> Result<Claim> {
        let mut slot = self.inner.turn(track).await?;
        let (inner, track, schema) = (self.inner.clone(), track.clone(), schema.clone());
        blocking(move || inner.claim(&mut slot, &track, &schema)).await
    }

    async fn stage(&self, staging: Staging<'_>, rows: Rows) -> Result<Box<dyn Staged>> {
        let Rows::Stream(rows) = rows else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{}: Kafka runs no SQL", self.inner.shown()),
            ));
        };
        let inner = self.inner.clone();
        let columns = staging.claim.schema.clone();
        let spool = feed(rows, move |batches| {
            let mut spool = Spool::new(&inner.cluster.scratch)?;
            let speller = inner.speller(None, &columns)?;
            for batch in batches {
                spool.add(&batch, &inner.options, &speller)?;
            }
            Ok(spool)
        });
        let spool = spool.await?;
        failpoint::pass("kafka.stage.after");
        Ok(Box::new(StagedRows {
            inner: self.inner.clone(),
            track: staging.track.clone(),
            expected: staging.expected(),
            record: staging.record(spool.rows()),
            spool,
        }))
    }

    async fn set_record(&self, track: &Track, expected: Option<u64>, record: &Record) -> Result<()> {
        let mut slot = self.inner.turn(track).await?;
        let (inner, track, record) = (self.inner.clone(), track.clone(), record.clone());
        blocking(move || inner.set_record(&mut slot, &track, expected, &record)).await
    }

    async fn target(&self) -> Result<Option<SchemaRef>> {
        let inner = self.inner.clone();
        blocking(move || match topic::ends(&inner.cluster, &inner.topic)? {
            Some(ends) => inner.shown_columns(&ends),
            None => Ok(None),
        })
        .await
    }

    /// Nothing is left over from dead attempts, and the cluster compacts records by itself.
    async fn maintain(&self, _: std::time::Duration, _: DateTime<Utc>) -> Result<()> {
        Ok(())
    }
}

struct StagedRows {
    inner: Arc<Inner>,
    track: Track,
    expected: Option<u64>,
    record: Record,
    spool: Spool,
}

impl StagedRows {
    fn write(&mut self, slot: &mut Slot) -> Result<Committed> {
        let found = self.inner.record(slot, &self.track)?;
        if let Some(found) = &found
            && found.attempt == self.record.attempt
        {
            return Ok(Committed::Already(found.clone()));
        }
        if found.map(|record| record.seq) != self.expected {
            return Err(conflict(&self.track));
        }
        let entry = Entry::record(&self.inner.spec.table, &self.track, &self.record)?;
        let (spool, topic, names) = (&mut self.spool, &self.inner.topic, &self.inner.options.headers);
        slot.transact(&self.inner.cluster, entry, |sender| {
            let mut sent = 0_u64;
            spool.each(|spooled| {
                let mut message = BaseRecord::to(topic);
                if let Some(payload) = spooled.payload {
                    message = message.payload(payload);
                }
                if !names.is_empty() {
                    message = message.headers(headers(names, spooled));
                }
                if let Some(key) = spooled.key {
                    message = message.key(key);
                }
                if let Some(timestamp) = spooled.timestamp {
                    message = message.timestamp(timestamp);
                }
                sender.send(message)?;
                sent += 1;
                if sent.is_multiple_of(1_024) {
                    sender.poll();
                }
                Ok(())
            })
        })?;
        Ok(Committed::Now(self.record.clone()))
    }
}

#[async_trait]
impl Staged for StagedRows {
    fn rows(&self) -> u64 {
        self.record.rows
    }

    /// A topic has no place where rows can be looked at before they are committed.
    fn table(&self) -> Option<Arc<dyn TableProvider>> {
        None
    }

    async fn commit(mut self: Box<Self>) -> Result<Committed> {
        let mut slot = self.inner.turn(&self.track).await?;
        blocking(move || self.write(&mut slot)).await
    }
}
