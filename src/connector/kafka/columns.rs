//! What columns a topic has: those that its writer left in the ledger, or what its messages look like.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use indexmap::IndexMap;
use rdkafka::Message as _;

use super::{
    client::Cluster,
    config::Spelling,
    format::{Body, names},
    json::fields,
    ledger,
    protobuf::Message,
    range::{Range, read},
    registry,
    topic::AllEnds,
    value::Value,
};
use crate::connector::error::Result;

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
        read(cluster, &topic, ranges, |message| {
            let payload = message.payload().unwrap_or_default();
            sampled += 1;
            bytes += payload.len();
            if described.is_none() {
                guess.add(&body, payload)?;
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

/// The narrowest type that holds what was seen of each field.
#[derive(Default)]
struct Guess {
    fields: IndexMap<String, Option<DataType>>,
}

impl Guess {
    /// What a message shows; nothing where it is none of its format.
    fn add(&mut self, body: &Body, payload: &[u8]) -> Result<()> {
        match body {
            Body::Json => self.add_object(payload),
            Body::Csv { .. } | Body::Raw { .. } | Body::Bare(_) => {}
            Body::Framed { registry, kind } => {
                if let Ok(id) = registry::id(payload)
                    && let Ok(schema) = registry.schema(*kind, id)?
                {
                    for (name, kind) in schema.columns(registry::unframed(payload)) {
                        self.field(&name, Some(kind));
                    }
                }
            }
        }
        Ok(())
    }

    fn add_object(&mut self, payload: &[u8]) {
        let mut found = vec![];
        if fields(payload, &mut found).is_ok() {
            for (name, value) in found {
                self.field(&name, kind(&value));
            }
        }
    }

    fn field(&mut self, name: &str, kind: Option<DataType>) {
        let seen = self.fields.entry(name.to_owned()).or_default();
        let Some(kind) = kind else { return };
        *seen = Some(match seen.take() {
            None => kind,
            Some(seen) if seen == kind => kind,
            Some(seen) if seen.is_integer() && kind.is_integer() => DataType::Int64,
            Some(DataType::Int64 | DataType::Float64) if kind.is_numeric() => DataType::Float64,
            Some(_) => DataType::Utf8,
        });
    }

    fn schema(self) -> SchemaRef {
        let field =
            |(name, kind): (String, Option<DataType>)| Field::new(name, kind.unwrap_or(DataType::Utf8), true);
        Arc::new(Schema::new(self.fields.into_iter().map(field).collect::<Vec<_>>()))
    }
}

fn kind(value: &Value<'_>) -> Option<DataType> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => DataType::Boolean,
        Value::Number(spelled) if spelled.parse::<i64>().is_ok() => DataType::Int64,
        // Doubles would round them.
        Value::Number(spelled) if !spelled.contains(['.', 'e', 'E']) => DataType::Utf8,
        Value::Number(_) => DataType::Float64,
        Value::Text(_) | Value::Nested(_) | Value::Cell(_) => DataType::Utf8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_get_the_narrowest_type_that_holds_them() {
        let mut guess = Guess::default();
        for message in [
            r#"{"a":1,"b":null,"c":true,"d":{"x":1},"e":1}"#,
            r#"{"a":2.5,"b":7,"c":"да","e":99999999999999999999}"#,
            "no JSON",
        ] {
            guess.add_object(message.as_bytes());
        }
        let kinds: Vec<(String, DataType)> = guess
            .schema()
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        let expected = [
            ("a", DataType::Float64),
            ("b", DataType::Int64),
            ("c", DataType::Utf8),
            ("d", DataType::Utf8),
            ("e", DataType::Utf8),
        ];
        assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }
}
