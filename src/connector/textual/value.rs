//! A field of a row before it is a cell: what formats have in common.

use std::borrow::Cow;

use arrow::datatypes::DataType;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value as Json;

use crate::connector::cells::{Cell, cell_as_json};

/// Names and values of a row, in its order. Of several of one name the last counts.
pub(crate) type Fields<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is spelled.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or array of JSON.
    Nested(Cow<'a, str>),
    /// A value whose type the row itself tells.
    Cell(Cell<'a>),
}

impl Value<'_> {
    /// What a column of this type is given.
    pub(crate) fn cell(&self, kind: &DataType) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(*value),
            Self::Text(text) | Self::Nested(text) => Cell::Text(text),
            Self::Number(spelled) => number(spelled, kind),
            Self::Cell(cell) => *cell,
        }
    }

    /// As a dead letter keeps it.
    pub(crate) fn json(&self) -> Json {
        cell_as_json(self.cell(&DataType::Utf8))
    }

    /// Bytes for a column of them, where they are spelled as Base64.
    pub(crate) fn decoded(&self, kind: &DataType) -> Option<Vec<u8>> {
        match (kind, self) {
            (DataType::Binary, Self::Text(text)) => BASE64_STANDARD.decode(text.as_bytes()).ok(),
            _ => None,
        }
    }
}

/// Bytes that have no spelling: as they are for a column of bytes, as text for any other.
pub(crate) fn of_bytes(bytes: Option<&[u8]>, as_bytes: bool) -> Value<'_> {
    match (bytes, bytes.map(std::str::from_utf8)) {
        (None, _) => Value::Null,
        (Some(bytes), _) if as_bytes => Value::Cell(Cell::Bytes(bytes)),
        (_, Some(Ok(text))) => Value::Cell(Cell::Text(text)),
        (Some(bytes), _) => Value::Cell(Cell::NotUtf8(bytes)),
    }
}

fn number<'a>(spelled: &'a str, kind: &DataType) -> Cell<'a> {
    if let Ok(value) = spelled.parse::<i64>() {
        return Cell::Int(value);
    }
    let exponent = spelled.contains(['e', 'E']);
    let exact = matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..)) && !exponent;
    let whole = !exponent && !spelled.contains('.');
    if exact || whole || *kind == DataType::Utf8 {
        return Cell::Text(spelled);
    }
    spelled.parse().map_or(Cell::Text(spelled), Cell::Real)
}
