//! Cells as JSON and back: how the rows of dead letters are kept, and read again.
//!
//! Lossless: integers stay integers, doubles that JSON would not give back bit for bit are `{"$real": "…"}`, bytes are `{"$bytes": "hex"}`,
//! text that is not UTF-8 is `{"$text": "hex"}`.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::{Cell, spelling::spelled};

/// A cell that owns what it holds.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedCell {
    /// Nothing.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A double.
    Real(f64),
    /// Unicode text; also whole numbers past `i64`, and nested JSON.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// What calls itself text and is not UTF-8.
    NotUtf8(Vec<u8>),
}

impl OwnedCell {
    /// The cell.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(*value),
            Self::Int(value) => Cell::Int(*value),
            Self::Real(value) => Cell::Real(*value),
            Self::Text(text) => Cell::Text(text),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
            Self::NotUtf8(bytes) => Cell::NotUtf8(bytes),
        }
    }

    /// The cell that [`cell_as_json`] wrote, or that a JSON document holds.
    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::String(text) => Self::Text(text.clone()),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) if !number.is_u64() => Self::Real(value),
                _ => Self::Text(number.to_string()),
            },
            Json::Object(map) => tagged(map).unwrap_or_else(|| Self::Text(json.to_string())),
            Json::Array(_) => Self::Text(json.to_string()),
        }
    }
}

/// The cells of a row that was kept as JSON, in the order of `columns`; a column that it has not is NULL.
pub fn cells_from_json<'a>(
    row: &Map<String, Json>,
    columns: impl IntoIterator<Item = &'a str>,
) -> Vec<OwnedCell> {
    columns.into_iter().map(|name| row.get(name).map_or(OwnedCell::Null, OwnedCell::from_json)).collect()
}

/// A cell as JSON, lossless.
pub fn cell_as_json(cell: Cell<'_>) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Bool(value) => Json::Bool(value),
        Cell::Int(value) => value.into(),
        Cell::Real(value) => real_as_json(value),
        Cell::Text(text) => text.into(),
        Cell::Bytes(bytes) => json!({ "$bytes": hex(bytes) }),
        Cell::Decimal { .. } | Cell::Date(_) | Cell::Time(_) | Cell::Timestamp { .. } => spelled(cell).into(),
        Cell::NotUtf8(bytes) => json!({ "$text": hex(bytes) }),
    }
}

fn real_as_json(value: f64) -> Json {
    let plain = Json::from(value);
    let back = serde_json::from_str::<f64>(&plain.to_string()).ok();
    if back.is_some_and(|back| back.to_bits() == value.to_bits()) {
        return plain;
    }
    json!({ "$real": format!("{value:?}") })
}

fn tagged(map: &Map<String, Json>) -> Option<OwnedCell> {
    let (tag, Json::String(text)) = map.iter().next().filter(|_| map.len() == 1)? else {
        return None;
    };
    match tag.as_str() {
        "$bytes" => unhex(text).map(OwnedCell::Bytes),
        "$text" => unhex(text).map(OwnedCell::NotUtf8),
        "$real" => text.parse().ok().map(OwnedCell::Real),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
