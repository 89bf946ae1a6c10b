//! What columns a topic has: those that its writer left in the ledger, or what its messages look like.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rdkafka::Message as _;

use super::{
    client::Cluster,
    config::Spelling,
    format::{Body, names},
    ledger,
    protobuf::Message,
    range::{Range, glance},
    registry,
    topic::AllEnds,
};
use crate::connector::{error::Result, textual::Guess};

/// Messages that are looked at, over all partitions.
const SAMPLE: usize = 256;

/// What a topic holds.
pub(super) struct Columns {
    pub(super) schema: SchemaRef,
    /// How its messages are read.
    pub(super) body: Body,
    /// Messages that were looked at.
    pub(super) sampled: usize,
    /// About how many bytes a message is.
    pub(super) row_bytes: u64,
}

/// Looks at a topic: its first and its last messages, so that fields which came or went are met. `listed` = the columns of records that do not name them, in order,
/// where the topic's writer left none.
pub(super) fn look(
    cluster: &Cluster,
    table: &str,
    ends: &AllEnds,
    given: Option<Spelling>,
    listed: Option<&Schema>,
) -> Result<Columns> {
    let described = ledger::described(cluster, table)?;
    let spelling = given.or_else(|| Some(described.as_ref()?.spelling.clone())).unwrap_or_default();
    let described = described.map(|described| described.schema);
    let ordered = described.as_deref().or(listed);
    let body = Body::new(cluster, &spelling, &ordered.map(names).unwrap_or_default())?;
    let most = (SAMPLE / (2 * ends.len().max(1))).max(2) as i64;
    let mut guess = Guess::default();
    let (mut sampled, mut bytes) = (0, 0);
    let topic = cluster.topic(table);
    let mut take = |ranges: &[Range]| {
        glance(cluster, &topic, ranges, |message| {
            let payload = message.payload().unwrap_or_default();
            sampled += 1;
            bytes += payload.len();
            if described.is_none() {
                add(&mut guess, &body, payload)?;
            }
            Ok(true)
        })
    };
    let last: Vec<Range> =
        ends.iter().map(|(partition, ends)| Range::last(*partition, *ends, most)).collect();
    let first = ends.iter().zip(&last).map(|((partition, ends), last)| Range {
        until: last.from.min(ends.low + most),
        ..Range::all(*partition, *ends)
    });
    take(&first.collect::<Vec<_>>())?;
    take(&last)?;
    let schema = match (&body, described) {
        (Body::Raw { column }, described) => whole(column, described.as_ref()),
        (Body::Bare(message), described) => fields_of(message, described.as_ref()),
        (_, Some(schema)) => schema,
        (Body::Csv { .. }, None) => Arc::new(listed.cloned().unwrap_or_else(Schema::empty)),
        (Body::Json | Body::Framed { .. }, None) => guess.schema(),
    };
    Ok(Columns { schema, body, sampled, row_bytes: (bytes / sampled.max(1)).max(1) as u64 })
}

/// The one column of messages that are taken as they are.
fn whole(column: &str, described: Option<&SchemaRef>) -> SchemaRef {
    let known = described.and_then(|schema| schema.field_with_name(column).ok().cloned());
    Arc::new(Schema::new(vec![known.unwrap_or_else(|| Field::new(column, DataType::Binary, true))]))
}

/// The columns that the writer named, and behind them the message's other fields.
fn fields_of(message: &Message, described: Option<&SchemaRef>) -> SchemaRef {
    let mut fields: Vec<Field> = described
        .iter()
        .flat_map(|schema| schema.fields().iter())
        .map(|field| field.as_ref().clone())
        .collect();
    for (name, kind) in message.columns() {
        if fields.iter().all(|known| known.name() != name) {
            fields.push(Field::new(name, kind, true));
        }
    }
    Arc::new(Schema::new(fields))
}

/// What a message shows; nothing where it is none of its format.
fn add(guess: &mut Guess, body: &Body, payload: &[u8]) -> Result<()> {
    match body {
        Body::Json => guess.add_object(payload),
        Body::Csv { .. } | Body::Raw { .. } | Body::Bare(_) => {}
        Body::Framed { registry, kind } => {
            if let Ok(id) = registry::id(payload)
                && let Ok(schema) = registry.schema(*kind, id)?
            {
                for (name, kind) in schema.columns(registry::unframed(payload)) {
                    guess.field(&name, Some(kind));
                }
            }
        }
    }
    Ok(())
}
