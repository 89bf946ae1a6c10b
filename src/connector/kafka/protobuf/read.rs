//! A message's bytes as fields, by the message's own schema.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value as Held};
use serde_json::{Map, Value as Json};

use super::{
    SECONDS, TIMESTAMP,
    schema::{Field, Message, wrapped},
};
use crate::{
    connector::{
        cells::{Cell, cell_as_json},
        textual::{Fields, Value},
    },
    model::{time::format_ticks, value::Tick},
};

/// Messages in one another, at most: as many as the decoder takes.
const DEPTH: usize = 100;

const BROKEN: &str = "a message that is not of its schema";

/// A message that was understood.
#[derive(Debug)]
pub(in super::super) struct Decoded {
    message: Arc<Message>,
    held: DynamicMessage,
}

impl Decoded {
    /// Fields that the schema has not are left out.
    pub(in super::super) fn new(message: &Arc<Message>, bytes: &[u8]) -> Result<Self, &'static str> {
        let held = DynamicMessage::decode(message.descriptor.clone(), bytes).map_err(|_| BROKEN)?;
        Ok(Self { message: message.clone(), held })
    }

    /// The fields, in the order of their numbers.
    pub(in super::super) fn fields<'a>(&'a self, into: &mut Fields<'a>) -> Result<(), &'static str> {
        for field in &self.message.fields {
            into.push((field.name.as_str().into(), field.value(&self.held).ok_or(BROKEN)?));
        }
        Ok(())
    }
}

impl Field {
    /// Nothing, where a field can tell that from its zero.
    fn value<'a>(&self, message: &'a DynamicMessage) -> Option<Value<'a>> {
        if !message.has_field(&self.descriptor) {
            return Some(absent(&self.descriptor));
        }
        let std::borrow::Cow::Borrowed(held) = message.get_field(&self.descriptor) else {
            return None;
        };
        match (held, &self.wrapped) {
            (Held::Message(around), Some(inner)) if !self.is_many() => {
                let held = around.get_field(inner);
                owned(held.as_ref(), &inner.kind())
            }
            _ => value(held, &self.kind),
        }
    }
}

/// What a field is that no bytes speak of.
fn absent(field: &FieldDescriptor) -> Value<'static> {
    if field.is_list() {
        return Value::Nested("[]".into());
    }
    if field.is_map() {
        return Value::Nested("{}".into());
    }
    if field.supports_presence() {
        return Value::Null;
    }
    owned(&field.default_value(), &field.kind()).unwrap_or(Value::Null)
}

fn value<'a>(held: &'a Held, kind: &Kind) -> Option<Value<'a>> {
    Some(match held {
        Held::String(text) => Value::Text(text.as_str().into()),
        Held::Bytes(bytes) => Value::Cell(Cell::Bytes(bytes)),
        held => return owned(held, kind),
    })
}

/// A value that borrows nothing.
fn owned(held: &Held, kind: &Kind) -> Option<Value<'static>> {
    Some(match held {
        Held::Bool(value) => Value::Bool(*value),
        Held::I32(value) => Value::Cell(Cell::Int((*value).into())),
        Held::U32(value) => Value::Cell(Cell::Int((*value).into())),
        Held::I64(value) => Value::Cell(Cell::Int(*value)),
        Held::U64(value) => Value::Cell(match i64::try_from(*value) {
            Ok(value) => Cell::Int(value),
            Err(_) => Cell::Decimal { unscaled: (*value).into(), scale: 0 },
        }),
        Held::F32(value) => Value::Cell(Cell::Real((*value).into())),
        Held::F64(value) => Value::Cell(Cell::Real(*value)),
        Held::String(text) => Value::Text(text.clone().into()),
        Held::Bytes(bytes) if bytes.is_empty() => Value::Cell(Cell::Bytes(&[])),
        // Base64 is what a column of bytes reads from text.
        Held::Bytes(bytes) => Value::Text(BASE64_STANDARD.encode(bytes).into()),
        Held::EnumNumber(number) => Value::Text(symbol(*number, kind).into()),
        Held::Message(message) if message_is(message, TIMESTAMP) => instant(message)?,
        Held::Message(_) | Held::List(_) | Held::Map(_) => {
            Value::Nested(json(held, kind, 0)?.to_string().into())
        }
    })
}

/// The name of an enum's number; the number itself, where a newer schema has its name.
fn symbol(number: i32, kind: &Kind) -> String {
    let named = kind.as_enum().and_then(|known| known.get_value(number));
    named.map_or_else(|| number.to_string(), |named| named.name().to_owned())
}

fn message_is(message: &DynamicMessage, name: &str) -> bool {
    message.descriptor().full_name() == name
}

/// A moment; one finer than a microsecond is spelled out.
fn instant(message: &DynamicMessage) -> Option<Value<'static>> {
    let seconds = message.get_field_by_number(1)?.as_i64().filter(|seconds| SECONDS.contains(seconds))?;
    let nanos =
        message.get_field_by_number(2)?.as_i32().filter(|nanos| (0..1_000_000_000).contains(nanos))?;
    if nanos % 1_000 == 0 {
        let micros = seconds * 1_000_000 + i64::from(nanos) / 1_000;
        return Some(Value::Cell(Cell::Timestamp { micros, utc: true }));
    }
    let ticks = seconds.checked_mul(1_000_000_000)?.checked_add(nanos.into())?;
    Some(Value::Text(format_ticks(ticks, Tick::Ns, true).into()))
}

/// What is nested, as JSON: numbers keep their digits, bytes are Base64, what is absent is null.
fn json(held: &Held, kind: &Kind, depth: usize) -> Option<Json> {
    if depth > DEPTH {
        return None;
    }
    Some(match held {
        Held::List(items) => {
            Json::Array(items.iter().map(|item| json(item, kind, depth + 1)).collect::<Option<_>>()?)
        }
        Held::Map(entries) => {
            let kind = kind.as_message()?.map_entry_value_field().kind();
            let mut sorted: Vec<(&MapKey, &Held)> = entries.iter().collect();
            // The same message is the same text every time it is read.
            sorted.sort_by_key(|(key, _)| *key);
            let entry = |(key, held): (&MapKey, &Held)| Some((key_text(key), json(held, &kind, depth + 1)?));
            Json::Object(sorted.into_iter().map(entry).collect::<Option<Map<_, _>>>()?)
        }
        Held::Message(message) if !message_is(message, TIMESTAMP) => {
            let descriptor = message.descriptor();
            if let Some(inner) = wrapped(&descriptor) {
                return json(message.get_field(&inner).as_ref(), &inner.kind(), depth + 1);
            }
            let mut object = Map::new();
            for field in descriptor.fields() {
                let inner = if message.has_field(&field) {
                    json(message.get_field(&field).as_ref(), &field.kind(), depth + 1)?
                } else {
                    plain(absent(&field))
                };
                object.insert(field.name().to_owned(), inner);
            }
            Json::Object(object)
        }
        Held::U64(value) => (*value).into(),
        held => plain(owned(held, kind)?),
    })
}

fn plain(value: Value<'_>) -> Json {
    match value {
        Value::Cell(Cell::Real(value)) if !value.is_finite() => format!("{value}").into(),
        Value::Cell(cell) => cell_as_json(cell),
        // Only what is empty comes here.
        Value::Nested(text) if text == "[]" => Json::Array(vec![]),
        Value::Nested(_) => Json::Object(Map::new()),
        value => value.json(),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::connector::kafka::protobuf::Schema;

    const ALL: &str = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
        message All { int32 a = 1; optional All all = 2; repeated All many = 3; map<int32, All> map = 4;
        google.protobuf.Timestamp at = 5; repeated double d = 6; string text = 7; }"#;

    fn read(bytes: &[u8]) -> Option<String> {
        let schema = Schema::parse(ALL, vec![]).unwrap();
        let content = [&[0], bytes].concat();
        let decoded = schema.decode(&content).ok()?;
        let mut found = vec![];
        decoded.fields(&mut found).ok()?;
        Some(found.iter().map(|(_, value)| value.json().to_string()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn moments_lie_within_the_years() {
        let nothing = r#"0 null "[]" "{}""#;
        assert_eq!(read(&[0x2a, 0]).unwrap(), format!(r#"{nothing} "1970-01-01T00:00:00.000000Z" "[]" """#));
        // A second before the year 1, and a negative part of a second.
        assert_eq!(read(&[0x2a, 11, 8, 0xff, 0x91, 0xb8, 0xc3, 0x98, 0xfe, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(read(&[0x2a, 11, 16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
    }

    proptest! {
        /// Whatever the bytes are, reading ends, soon, without a panic.
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
            let _ = Schema::parse(ALL, vec![]).unwrap().decode(&bytes);
        }
    }
}
