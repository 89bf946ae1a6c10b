//! A Protobuf schema: its messages, by their places in it or by their names.

use std::{collections::HashMap, path::Path, sync::Arc};

use arrow::datatypes::{DataType, TimeUnit};
use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use super::{TIMESTAMP, read::Decoded};
use crate::connector::kafka::{config::Misnamed, registry::Others};

/// What a schema without a file of its own is called, as no other is.
const TEXT: &str = "_vitrina.proto";

/// Messages in one another, at most: a message's place is which one of the file, which one within that, and so on.
const DEPTH: usize = 16;

/// Messages around a single value, which older schemas have where it may be absent: `google.protobuf.Int64Value` and others.
const WRAPPERS: &str = "google.protobuf.";

/// A schema of a registry.
#[derive(Debug)]
pub(in super::super) struct Schema {
    messages: HashMap<Vec<usize>, Arc<Message>>,
}

/// A message, as far as reading and writing want it.
#[derive(Debug)]
pub(in super::super) struct Message {
    pub(super) descriptor: MessageDescriptor,
    pub(super) fields: Vec<Field>,
}

/// A field, with what is asked for time and again.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) descriptor: FieldDescriptor,
    pub(super) kind: Kind,
    /// A message around a single value, which tells zero from nothing.
    pub(super) wrapped: Option<FieldDescriptor>,
}

impl Schema {
    /// `others` = the schemas that it may import, by the names that it imports them by. Fails with what is wrong: `is no …`.
    pub(in super::super) fn parse(text: &str, others: Others) -> Result<Self, &'static str> {
        let file = compiled(text, others).map_err(|_| "is no Protobuf schema that can be read")?;
        let mut messages = HashMap::new();
        for (at, message) in file.messages().enumerate() {
            collect(message, vec![at], &mut messages);
        }
        Ok(Self { messages })
    }

    /// A message's content.
    pub(in super::super) fn decode(&self, content: &[u8]) -> Result<Decoded, &'static str> {
        let (message, bytes) = self.message(content).ok_or("a message that its schema does not have")?;
        Decoded::new(message, bytes)
    }

    /// The message that a content says it is, and its bytes.
    pub(in super::super) fn message<'a>(&self, content: &'a [u8]) -> Option<(&Arc<Message>, &'a [u8])> {
        let mut rest = content;
        let count = usize::try_from(zigzag(&mut rest)?).ok().filter(|count| *count <= DEPTH)?;
        // The first message of a file is none but a zero.
        let mut places = if count == 0 { vec![0] } else { vec![] };
        for _ in 0..count {
            places.push(usize::try_from(zigzag(&mut rest)?).ok()?);
        }
        Some((self.messages.get(&places)?, rest))
    }
}

impl Message {
    fn new(descriptor: MessageDescriptor) -> Self {
        let fields = descriptor.fields().map(|descriptor| Field {
            name: descriptor.name().to_owned(),
            kind: descriptor.kind(),
            wrapped: descriptor.kind().as_message().and_then(wrapped),
            descriptor,
        });
        Self { fields: fields.collect(), descriptor }
    }

    /// The first message of a schema.
    pub(super) fn first(text: &str) -> Result<Self, protox::Error> {
        let first = compiled(text, vec![])?.messages().next();
        let none = || protox::Error::new("there is no message");
        Ok(Self::new(first.ok_or_else(none)?))
    }

    /// Names of the fields, each with the type that a column of it has.
    pub(in super::super) fn columns(&self) -> impl Iterator<Item = (&str, DataType)> {
        self.fields.iter().map(|field| (field.name.as_str(), field.column()))
    }

    /// Its whole name.
    pub(in super::super) fn name(&self) -> &str {
        self.descriptor.full_name()
    }
}

impl Field {
    pub(super) fn is_many(&self) -> bool {
        self.descriptor.is_list() || self.descriptor.is_map()
    }

    fn column(&self) -> DataType {
        if self.is_many() {
            return DataType::Utf8;
        }
        match &self.wrapped {
            Some(inner) => column(&inner.kind()),
            None => column(&self.kind),
        }
    }
}

fn column(kind: &Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => DataType::Int64,
        Kind::Uint32 | Kind::Fixed32 => DataType::UInt32,
        Kind::Uint64 | Kind::Fixed64 => DataType::UInt64,
        Kind::Float => DataType::Float32,
        Kind::Double => DataType::Float64,
        Kind::Bytes => DataType::Binary,
        Kind::Message(message) if message.full_name() == TIMESTAMP => {
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
        }
        Kind::String | Kind::Enum(_) | Kind::Message(_) => DataType::Utf8,
    }
}

/// The single value of a message such as `google.protobuf.Int64Value`.
pub(super) fn wrapped(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    let name = message.full_name().strip_prefix(WRAPPERS)?.strip_suffix("Value")?;
    let scalar = ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"];
    if scalar.contains(&name) { message.get_field(1) } else { None }
}

fn collect(message: MessageDescriptor, places: Vec<usize>, into: &mut HashMap<Vec<usize>, Arc<Message>>) {
    if places.len() < DEPTH {
        let inner = message.child_messages().filter(|inner| !inner.is_map_entry()).enumerate();
        for (at, inner) in inner {
            collect(inner, [&places[..], &[at]].concat(), into);
        }
    }
    into.insert(places, Arc::new(Message::new(message)));
}

/// A zigzag number of seven bits a byte.
fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

/// Files that are texts, by their names.
struct Texts(Others);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A text, which may import others and what comes with Protobuf itself.
fn compiled(text: &str, others: Others) -> Result<FileDescriptor, protox::Error> {
    let mut resolver = ChainFileResolver::new();
    let own = (TEXT.to_owned(), text.to_owned());
    resolver.add(Texts(std::iter::once(own).chain(others).collect()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.open_file(TEXT)?;
    let file = compiler.descriptor_pool().get_file_by_name(TEXT);
    file.ok_or_else(|| protox::Error::file_not_found(TEXT))
}

/// A message of a file of the project; its imports lie beside it, or are named from the project's folder on.
pub(in super::super) fn named(root: &Path, proto: &str, message: Option<&str>) -> Result<Message, Misnamed> {
    let wrong = |key, message: String, hint: &str| Misnamed { key, message, hint: hint.to_owned() };
    let path = root.join(proto);
    if !path.is_file() {
        let hint = "the path is relative to the project's folder";
        return Err(wrong("proto", format!("there is no file `{proto}`"), hint));
    }
    let unreadable = |error: protox::Error| {
        let place = error.file().filter(|file| !proto.ends_with(file)).map(|file| format!(" ({file})"));
        let message = format!("`{proto}` cannot be read: {error}{}", place.unwrap_or_default());
        wrong("proto", message, "it must be a .proto file with all that it imports")
    };
    let beside = path.parent().unwrap_or(root);
    let mut compiler = Compiler::new([beside, root]).map_err(unreadable)?;
    compiler.open_file(&path).map_err(unreadable)?;
    let pool = compiler.descriptor_pool();
    let own = compiler.files().find(|file| !file.is_import()).map(|file| file.name().to_owned());
    let file = own.and_then(|name| pool.get_file_by_name(&name));
    let names: Vec<String> =
        file.iter().flat_map(FileDescriptor::messages).map(|found| found.full_name().to_owned()).collect();
    let found = match (message, names.as_slice()) {
        (Some(name), _) => pool.get_message_by_name(name),
        (None, [only]) => pool.get_message_by_name(only),
        (None, _) => {
            let message = format!("`{proto}` has {} messages, and none is named", names.len());
            return Err(wrong("proto", message, &format!("add `message`: {}", listed(&names))));
        }
    };
    let missing = || {
        let message = format!("`{proto}` has no message `{}`", message.unwrap_or_default());
        wrong("message", message, &format!("it has {}", listed(&names)))
    };
    found.map(Message::new).ok_or_else(missing)
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}
