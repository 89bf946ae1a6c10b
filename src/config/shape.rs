//! Questions to a JSON Schema as schemars makes it.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::{
    format,
    tree::{Node, Value},
};
use crate::model::{problem::nearest, secret::SECRET_FORMAT};

/// The sorts of TOML values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Kind {
    String,
    Integer,
    Float,
    Boolean,
    Datetime,
    Array,
    Table,
}

/// The sort of a node.
pub(crate) fn kind(node: &Node) -> Kind {
    match &node.value {
        Value::String(_) => Kind::String,
        Value::Integer(_) => Kind::Integer,
        Value::Float(_) => Kind::Float,
        Value::Boolean(_) => Kind::Boolean,
        Value::Datetime(_) => Kind::Datetime,
        Value::Array(_) => Kind::Array,
        Value::Table(_) => Kind::Table,
    }
}

/// The alternatives of a schema.
pub(crate) fn branches(schema: &Json) -> Option<&[Json]> {
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    branches.as_array().map(Vec::as_slice)
}

/// Whether a table has a key that a schema knows.
pub(crate) fn shares_key(schema: &Json, node: &Node) -> bool {
    node.entries().any(|(key, _)| schema.get("properties").is_some_and(|known| known.get(key).is_some()))
}

/// Whether a table has a key that was probably meant to be one that a schema knows.
pub(crate) fn nears_key(schema: &Json, node: &Node) -> bool {
    let known = schema.get("properties").and_then(Json::as_object);
    let near = |key| known.is_some_and(|known| nearest(key, known.keys().map(String::as_str)).is_some());
    node.entries().any(|(key, _)| near(key))
}

/// Whether a place takes a secret, or a reference to one.
pub(crate) fn is_secret(schema: &Json) -> bool {
    schema.get("format").and_then(Json::as_str) == Some(SECRET_FORMAT)
}

/// The strings that a schema allows, where it is a choice of strings and nothing else.
pub(crate) fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(text) = schema.get("const").and_then(Json::as_str) {
        return Some(vec![text]);
    }
    if let Some(texts) = schema.get("enum").and_then(Json::as_array) {
        return texts.iter().map(Json::as_str).collect();
    }
    let branches = branches(schema)?;
    let all: Option<Vec<Vec<&str>>> = branches.iter().map(choices).collect();
    all.map(|all| all.concat())
}

/// The key by whose constant value tables tell which alternative they are.
pub(crate) fn tag(branches: &[Json]) -> Option<String> {
    let properties = branches.first()?.get("properties")?.as_object()?;
    let mut candidates = properties.iter().filter(|(_, schema)| schema.get("const").is_some());
    let (tag, _) = candidates.next()?;
    branches.iter().all(|branch| tag_value(branch, tag).is_some()).then(|| tag.clone())
}

/// The constant value of a tag in one alternative.
pub(crate) fn tag_value<'a>(branch: &'a Json, tag: &str) -> Option<&'a str> {
    branch.get("properties")?.get(tag)?.get("const")?.as_str()
}

/// Whether a sort of value can fit a schema at all.
pub(crate) fn accepts(schema: &Json, kind: Kind) -> bool {
    if schema.as_bool() == Some(true) {
        return true;
    }
    if let Some(branches) = branches(schema)
        && schema.get("type").is_none()
    {
        return branches.iter().any(|branch| accepts(branch, kind));
    }
    let name = match kind {
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Float => "number",
        Kind::Boolean => "boolean",
        Kind::Datetime => return format::takes_datetime(schema),
        Kind::Array => "array",
        Kind::Table => "object",
    };
    let types = types(schema);
    types.is_empty() && choices(schema).is_none()
        || types.contains(&name)
        || name == "integer" && types.contains(&"number")
        || name == "string" && choices(schema).is_some()
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => vec![],
    }
}

/// Whether a place takes single values and no tables: where `{ env = "NAME" }` can stand.
pub(crate) fn allows_scalar(schema: &Json) -> bool {
    let scalar = [Kind::String, Kind::Integer, Kind::Float, Kind::Boolean, Kind::Datetime];
    scalar.into_iter().any(|kind| accepts(schema, kind)) && !accepts(schema, Kind::Table)
}

/// What a schema wants, in words.
pub(crate) fn expected(schema: &Json) -> String {
    let scalar = format::describe(schema);
    let mut words: Vec<&str> = vec![];
    for (kind, accepted) in
        [Kind::String, Kind::Integer, Kind::Float, Kind::Boolean, Kind::Array, Kind::Table]
            .map(|kind| (kind, accepts(schema, kind)))
    {
        let number = kind == Kind::Integer && accepts(schema, Kind::Float);
        if accepted && !number {
            words.push(match (kind, scalar) {
                (Kind::String, Some(text)) => text,
                _ => kind.article(),
            });
        }
    }
    words.join(" or ")
}

/// A chosen alternative with the keys that stand beside the alternatives.
pub(crate) fn with_outer_properties(schema: &Json, branch: &Json) -> Json {
    let Some(outer) = schema.get("properties").and_then(Json::as_object) else { return branch.clone() };
    let mut merged = branch.clone();
    let Some(object) = merged.as_object_mut() else { return branch.clone() };
    let properties = object.entry("properties").or_insert_with(|| Json::Object(Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        for (key, schema) in outer {
            properties.entry(key.clone()).or_insert_with(|| schema.clone());
        }
    }
    let required = schema.get("required").and_then(Json::as_array).cloned().unwrap_or_default();
    let all = object.entry("required").or_insert_with(|| Json::Array(vec![]));
    if let Some(all) = all.as_array_mut() {
        all.extend(required);
    }
    merged
}

/// A value that fits a schema, for a place whose own value is missing or wrong.
pub(crate) fn stand_in(schema: &Json, name: &str, place: &Node) -> Value {
    if let Some(first) = choices(schema).and_then(|choices| choices.first().copied()) {
        return Value::String(first.to_owned());
    }
    if let Some(branches) = branches(schema) {
        let first = branches.first().unwrap_or(&Json::Null);
        return stand_in(&with_outer_properties(schema, first), name, place);
    }
    match types(schema).first() {
        Some(&"string") | None => Value::String(format::stand_in(schema, name)),
        Some(&"integer") => {
            let least = schema.get("minimum").and_then(Json::as_f64).unwrap_or(0.0);
            Value::Integer(1.max(least as i64))
        }
        Some(&"number") => Value::Float(1.0),
        Some(&"boolean") => Value::Boolean(false),
        Some(&"array") => Value::Array(vec![]),
        Some(_) => {
            let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
            let mut entries = IndexMap::new();
            for key in required.filter_map(Json::as_str) {
                let child = schema.get("properties").and_then(|known| known.get(key)).unwrap_or(&Json::Null);
                let mut node = place.clone();
                node.value = stand_in(child, key, place);
                node.stand_in = true;
                entries.insert(key.to_owned(), node);
            }
            Value::Table(entries)
        }
    }
}
