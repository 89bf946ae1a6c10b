//! What a message has beside its content: key, timestamp, headers, and its place in the topic.

use arrow::datatypes::{DataType, Field, TimeUnit};
use rdkafka::{Message, message::Headers as _};
use serde_json::{Map, Value as Json};

use super::config::SourceOptions;
use crate::connector::{
    cells::{Cell, cell_as_json},
    textual::{Value, of_bytes},
};

/// A part of a message that may be a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Timestamp,
    Headers,
    Partition,
    Offset,
}

/// The columns that a source wants, each with what it holds.
pub(super) fn parts(options: &SourceOptions) -> Vec<(String, Part)> {
    let wanted = [
        (&options.message_key, Part::Key),
        (&options.timestamp, Part::Timestamp),
        (&options.headers, Part::Headers),
        (&options.partition, Part::Partition),
        (&options.offset, Part::Offset),
    ];
    wanted.into_iter().filter_map(|(column, part)| Some((column.clone()?, part))).collect()
}

/// The column of a part, where no contract gives it another type.
pub(super) fn field(name: &str, part: Part) -> Field {
    let kind = match part {
        Part::Key | Part::Headers => DataType::Utf8,
        Part::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        Part::Partition => DataType::Int32,
        Part::Offset => DataType::Int64,
    };
    Field::new(name, kind, true)
}

/// A part of a message.
pub(super) fn value<M: Message>(part: Part, message: &M, as_bytes: bool) -> Value<'_> {
    match part {
        Part::Key => of_bytes(message.key(), as_bytes),
        Part::Partition => Value::Cell(Cell::Int(message.partition().into())),
        Part::Offset => Value::Cell(Cell::Int(message.offset())),
        Part::Timestamp => {
            let micros = message.timestamp().to_millis().and_then(|millis| millis.checked_mul(1_000));
            micros.map_or(Value::Null, |micros| Value::Cell(Cell::Timestamp { micros, utc: true }))
        }
        Part::Headers => match message.headers() {
            Some(headers) => Value::Nested(object(headers.iter()).to_string().into()),
            None => Value::Null,
        },
    }
}

/// Headers as an object; of several of one name the last counts.
fn object<'a>(headers: impl Iterator<Item = rdkafka::message::Header<'a, &'a [u8]>>) -> Json {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => cell_as_json(Cell::Bytes(bytes)),
    };
    let entry = |header: rdkafka::message::Header<'a, &'a [u8]>| {
        (header.key.to_owned(), header.value.map_or(Json::Null, text))
    };
    Json::Object(headers.map(entry).collect::<Map<_, _>>())
}
