//! An Avro schema, as far as reading wants it.

use std::collections::HashMap;

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::{Map, Value as Json};

use crate::model::value::Tick;

/// Types in one another, at most.
const DEPTH: usize = 64;

/// A schema whose root is a record.
#[derive(Debug)]
pub(in super::super) struct Schema {
    /// Records, enums and fixed ones, which may be named before they end.
    pub(super) named: Vec<Type>,
    pub(super) root: Vec<(String, Type)>,
}

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Null,
    Bool,
    /// Both `int` and `long`.
    Int {
        wide: bool,
    },
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    /// `fixed` = how long, where its length is given.
    Decimal {
        precision: u8,
        scale: u8,
        fixed: Option<usize>,
    },
    Date,
    /// Of a day; how many a second.
    Time {
        per_second: i64,
    },
    Timestamp {
        tick: Tick,
        utc: bool,
    },
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    Record(Vec<(String, Type)>),
    /// One of the schema's named types.
    Named(usize),
}

impl Schema {
    /// `others` = the schemas whose types it may name, each behind those whose types it names itself. Fails with what is wrong: `is no …`.
    pub(in super::super) fn parse(text: &str, others: &[(String, String)]) -> Result<Self, &'static str> {
        let read = |text: &str| serde_json::from_str::<Json>(text).map_err(|_| "is not JSON");
        let mut parser = Parser { named: vec![], names: HashMap::new() };
        for (_, text) in others {
            parser.parse(&read(text)?, "", 0).ok_or("refers to what is no Avro schema that can be read")?;
        }
        let json = read(text)?;
        let root = parser.parse(&json, "", 0).ok_or("is no Avro schema that can be read")?;
        let root = match root {
            Type::Named(at) => parser.named.get(at),
            _ => None,
        };
        match root.cloned() {
            Some(Type::Record(root)) => Ok(Self { named: parser.named, root }),
            _ => Err("is no record"),
        }
    }

    /// Names of the fields, each with the type that a column of it has.
    pub(in super::super) fn columns(&self) -> impl Iterator<Item = (&str, DataType)> {
        self.root.iter().map(|(name, kind)| (name.as_str(), self.column(kind)))
    }

    fn column(&self, kind: &Type) -> DataType {
        match kind {
            Type::Bool => DataType::Boolean,
            Type::Int { wide: false } => DataType::Int32,
            Type::Int { wide: true } => DataType::Int64,
            Type::Float => DataType::Float32,
            Type::Double => DataType::Float64,
            Type::Bytes | Type::Fixed(_) => DataType::Binary,
            Type::Decimal { precision, scale, .. } => DataType::Decimal128(*precision, scale.cast_signed()),
            Type::Date => DataType::Date32,
            Type::Time { .. } => DataType::Time64(TimeUnit::Microsecond),
            Type::Timestamp { tick, utc } => {
                let unit = match tick {
                    Tick::S => TimeUnit::Second,
                    Tick::Ms => TimeUnit::Millisecond,
                    Tick::Us => TimeUnit::Microsecond,
                    Tick::Ns => TimeUnit::Nanosecond,
                };
                DataType::Timestamp(unit, utc.then(|| "UTC".into()))
            }
            Type::Union(types) => {
                let mut some = types.iter().filter(|kind| **kind != Type::Null);
                match (some.next(), some.next()) {
                    (Some(one), None) => self.column(one),
                    _ => DataType::Utf8,
                }
            }
            Type::Named(at) => match self.named.get(*at) {
                Some(kind) => self.column(kind),
                None => DataType::Utf8,
            },
            Type::Null | Type::Text | Type::Enum(_) | Type::Array(_) | Type::Map(_) | Type::Record(_) => {
                DataType::Utf8
            }
        }
    }
}

struct Parser {
    named: Vec<Type>,
    names: HashMap<String, usize>,
}

impl Parser {
    fn parse(&mut self, json: &Json, space: &str, depth: usize) -> Option<Type> {
        if depth > DEPTH {
            return None;
        }
        match json {
            Json::String(name) => self.by_name(name, space),
            Json::Array(types) => {
                let types = types.iter().map(|json| self.parse(json, space, depth + 1));
                Some(Type::Union(types.collect::<Option<_>>()?))
            }
            Json::Object(object) => self.object(object, space, depth),
            _ => None,
        }
    }

    fn by_name(&self, name: &str, space: &str) -> Option<Type> {
        Some(match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "int" => Type::Int { wide: false },
            "long" => Type::Int { wide: true },
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::Text,
            name => {
                let known = self.names.get(&full(name, space)).or_else(|| self.names.get(name));
                Type::Named(*known?)
            }
        })
    }

    fn object(&mut self, object: &Map<String, Json>, space: &str, depth: usize) -> Option<Type> {
        let kind = match object.get("type")? {
            Json::String(kind) => kind.as_str(),
            nested => return self.parse(nested, space, depth + 1),
        };
        match kind {
            "array" => Some(Type::Array(Box::new(self.parse(object.get("items")?, space, depth + 1)?))),
            "map" => Some(Type::Map(Box::new(self.parse(object.get("values")?, space, depth + 1)?))),
            "record" | "error" | "enum" | "fixed" => self.define(kind, object, space, depth),
            plain => Some(logical(self.by_name(plain, space)?, object)),
        }
    }

    /// A type that may be named from now on, by itself too.
    fn define(&mut self, kind: &str, object: &Map<String, Json>, space: &str, depth: usize) -> Option<Type> {
        let space = object.get("namespace").and_then(Json::as_str).unwrap_or(space);
        let name = full(object.get("name")?.as_str()?, space);
        let space = name.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        let at = self.named.len();
        self.named.push(Type::Null);
        self.names.insert(name, at);
        self.named[at] = match kind {
            "enum" => {
                let symbols = object.get("symbols")?.as_array()?.iter();
                Type::Enum(symbols.map(|symbol| symbol.as_str().map(str::to_owned)).collect::<Option<_>>()?)
            }
            "fixed" => logical(Type::Fixed(usize::try_from(object.get("size")?.as_u64()?).ok()?), object),
            _ => {
                let mut fields = vec![];
                for field in object.get("fields")?.as_array()? {
                    let kind = self.parse(field.get("type")?, &space, depth + 1)?;
                    fields.push((field.get("name")?.as_str()?.to_owned(), kind));
                }
                Type::Record(fields)
            }
        };
        Some(Type::Named(at))
    }
}

fn full(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

/// What a type stands for; as it is where that is unknown, as Avro has it.
fn logical(kind: Type, object: &Map<String, Json>) -> Type {
    let number =
        |key: &str| object.get(key).map_or(Some(0), |n| n.as_u64().and_then(|n| u8::try_from(n).ok()));
    let name = object.get("logicalType").and_then(Json::as_str).unwrap_or_default();
    match (name, &kind) {
        ("decimal", Type::Bytes | Type::Fixed(_)) => match (number("precision"), number("scale")) {
            (Some(precision @ 1..=38), Some(scale)) if scale <= precision => {
                let fixed = match kind {
                    Type::Fixed(length) => Some(length),
                    _ => None,
                };
                Type::Decimal { precision, scale, fixed }
            }
            _ => kind,
        },
        ("date", Type::Int { wide: false }) => Type::Date,
        ("time-millis", Type::Int { wide: false }) => Type::Time { per_second: 1_000 },
        ("time-micros", Type::Int { wide: true }) => Type::Time { per_second: 1_000_000 },
        (name, Type::Int { wide: true }) => {
            let (utc, unit) = match name.strip_prefix("local-timestamp-") {
                Some(unit) => (false, unit),
                None => (true, name.strip_prefix("timestamp-").unwrap_or_default()),
            };
            match unit {
                "millis" => Type::Timestamp { tick: Tick::Ms, utc },
                "micros" => Type::Timestamp { tick: Tick::Us, utc },
                "nanos" => Type::Timestamp { tick: Tick::Ns, utc },
                _ => kind,
            }
        }
        _ => kind,
    }
}
