//! The topic `_vitrina_records`: records of tracks and columns of topics, compacted, so that the last message of a key is what holds.
//!
//! Its partitions are the slots of writers (`slot.rs`): a track's record lies in its slot's partition, so that a slot that is claimed need only wait for
//! transactions of that partition. Keys are JSON arrays, `["record","crm.actions","shop:copy/mrf1"]` and `["topic","crm.actions"]`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow::datatypes::{Field, Schema, SchemaRef};
use rdkafka::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    client::{Cluster, Isolation},
    config::Spelling,
    range::{Range, read},
    topic::{Ends, Making, create, partition_ends, partitions, settled_end},
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{column::ColumnType, name::Track, unit::Record},
};

/// The topic's name, after the prefix.
pub(super) const RECORDS: &str = "_vitrina_records";

/// Partitions of the topic, and writers of one project. Never another number: a track would find another writer, and not its record.
pub(super) const SLOTS: i32 = 8;

/// The last message of every key of one partition.
pub(super) type Entries = HashMap<String, String>;

/// A message to be written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) partition: i32,
    pub(super) key: String,
    pub(super) text: String,
}

impl Entry {
    /// A track's record.
    pub(super) fn record(table: &str, track: &Track, record: &Record) -> Result<Self> {
        Ok(Self { partition: slot_of(&track.key()), key: record_key(table, track), text: json(record)? })
    }

    /// What a topic's messages are.
    pub(super) fn topic(table: &str, described: &Described) -> Result<Self> {
        let entry = |field: &Arc<Field>| ColumnEntry {
            name: field.name().clone(),
            kind: ColumnType::of(field.data_type()),
        };
        let columns = described.schema.fields().iter().map(entry).collect();
        let entry = TopicEntry { spelling: described.spelling.clone(), columns };
        let key = topic_key(table);
        Ok(Self { partition: slot_of(&key), key, text: json(&entry)? })
    }
}

/// What a topic's messages are, as its writers say it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) spelling: Spelling,
    pub(super) schema: SchemaRef,
}

#[derive(Debug, Serialize, Deserialize)]
struct TopicEntry {
    #[serde(flatten)]
    spelling: Spelling,
    columns: Vec<ColumnEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ColumnEntry {
    name: String,
    #[serde(rename = "type")]
    kind: ColumnType,
}

/// The slot of a name: the same for ever.
pub(super) fn slot_of(name: &str) -> i32 {
    let digest = Sha256::digest(name.as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    (number % SLOTS.unsigned_abs()).cast_signed()
}

/// The key of a track's record.
pub(super) fn record_key(table: &str, track: &Track) -> String {
    serde_json::json!(["record", table, track.key()]).to_string()
}

fn topic_key(table: &str) -> String {
    serde_json::json!(["topic", table]).to_string()
}

/// Makes the topic where it is missing.
pub(super) fn ensure(cluster: &Cluster) -> Result<()> {
    let topic = cluster.records();
    let found = match partitions(cluster, &topic)? {
        Some(partitions) => partitions.len(),
        None => {
            let settings = vec![
                ("cleanup.policy", "compact".to_owned()),
                // Small segments are compacted soon: whoever claims a slot reads its partition from the beginning.
                ("segment.bytes", (4 << 20).to_string()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            ];
            let making = Making { partitions: Some(SLOTS as u16), replication: None, settings };
            create(cluster, &topic, &making)?;
            SLOTS as usize
        }
    };
    if found < SLOTS as usize {
        let message = format!("topic \"{topic}\" of {} has {found} partitions, not {SLOTS}", cluster.shown());
        return Err(Error::new(ErrorKind::Unsupported, message)
            .hint("give it as many: it holds how far every pipeline is, so it must not be made again"));
    }
    Ok(())
}

/// What holds in a slot, once every transaction before this moment has ended.
pub(super) fn settled(cluster: &Cluster, slot: i32, wait: Duration) -> Result<Entries> {
    entries(cluster, slot, settled_end(cluster, &cluster.records(), slot, wait)?)
}

/// What readers see of a slot.
fn seen(cluster: &Cluster, slot: i32) -> Result<Entries> {
    if partitions(cluster, &cluster.records())?.is_none_or(|partitions| !partitions.contains(&slot)) {
        return Ok(Entries::default());
    }
    entries(cluster, slot, partition_ends(cluster, &cluster.records(), slot, Isolation::Committed)?)
}

fn entries(cluster: &Cluster, slot: i32, ends: Ends) -> Result<Entries> {
    let mut entries = Entries::default();
    read(cluster, &cluster.records(), &[Range::all(slot, ends)], |message| {
        let text =
            |bytes: Option<&[u8]>| bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned);
        if let Some(key) = text(message.key()) {
            match text(message.payload()) {
                Some(entry) => entries.insert(key, entry),
                None => entries.remove(&key),
            };
        }
        Ok(true)
    })?;
    Ok(entries)
}

/// A record out of what a slot holds.
pub(super) fn record(cluster: &Cluster, entries: &Entries, key: &str) -> Result<Option<Record>> {
    entries.get(key).map(|entry| parse(cluster, entry)).transpose()
}

/// A track's record, for looking only.
pub(super) fn peek(cluster: &Cluster, table: &str, track: &Track) -> Result<Option<Record>> {
    record(cluster, &seen(cluster, slot_of(&track.key()))?, &record_key(table, track))
}

/// Whether any track has a record for a topic.
pub(super) fn is_recorded(cluster: &Cluster, table: &str) -> Result<bool> {
    let start = serde_json::json!(["record", table]).to_string();
    let start = format!("{},", start.trim_end_matches(']'));
    for slot in 0..SLOTS {
        if seen(cluster, slot)?.keys().any(|key| key.starts_with(&start)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a topic's messages are, where its writer left that.
pub(super) fn described(cluster: &Cluster, table: &str) -> Result<Option<Described>> {
    let key = topic_key(table);
    let entries = seen(cluster, slot_of(&key))?;
    let Some(entry) = entries.get(&key) else {
        return Ok(None);
    };
    let TopicEntry { spelling, columns } = parse(cluster, entry)?;
    let fields = columns.into_iter().map(|column| Field::new(column.name, column.kind.arrow().clone(), true));
    Ok(Some(Described { spelling, schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }))
}

fn json(entry: &impl Serialize) -> Result<String> {
    serde_json::to_string(entry)
        .map_err(|error| Error::new(ErrorKind::Internal, "an entry cannot be written").caused_by(error))
}

fn parse<T: for<'de> Deserialize<'de>>(cluster: &Cluster, entry: &str) -> Result<T> {
    serde_json::from_str(entry).map_err(|error| {
        let message = format!(
            "topic \"{}\" of {} holds an entry that cannot be read",
            cluster.records(),
            cluster.shown()
        );
        Error::new(ErrorKind::Corrupt, message).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track that found another slot would not find its record: these numbers stay.
    #[test]
    fn slots_stay() {
        let slots = ["shop:copy", "shop:copy/mrf1", "shop:copy/mrf2", "[\"topic\",\"a\"]"].map(slot_of);
        assert!(slots.iter().all(|slot| (0..SLOTS).contains(slot)));
        assert_eq!(slot_of("shop:copy/mrf1"), slots[1]);
    }
}
