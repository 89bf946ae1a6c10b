//! Messages become rows: against the columns that were agreed on, or not at all.

use std::borrow::Cow;

use arrow::datatypes::{DataType, SchemaRef};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rdkafka::Message;
use serde_json::{Map, Value as Json};

use super::{Value, fields};
use crate::connector::{
    cells::{Cell, RowDecoder, Rules, cell_as_json},
    error::Result,
    source::{BadRow, Chunk},
};

/// What to do with fields that are no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Others {
    /// Left out.
    Drop,
    /// The row is bad.
    Refuse,
}

/// What messages are read as.
#[derive(Debug, Clone)]
pub(in super::super) struct Layout {
    pub(in super::super) schema: SchemaRef,
    pub(in super::super) rules: Rules,
    pub(in super::super) others: Others,
}

/// Builds chunks from messages.
pub(in super::super) struct Decoder {
    layout: Layout,
    rows: RowDecoder,
    next: u64,
    /// Where a column's field lay in the last message: most messages have theirs in one order.
    usual: Vec<usize>,
}

impl Decoder {
    pub(in super::super) fn new(layout: &Layout) -> Result<Self> {
        let rows = RowDecoder::new(layout.schema.clone(), layout.rules.clone())?;
        let usual = (0..layout.schema.fields().len()).collect();
        Ok(Self { layout: layout.clone(), rows, next: 0, usual })
    }

    /// Takes a message as the next row, or notes it as bad.
    pub(in super::super) fn push(&mut self, message: &impl Message) {
        let ordinal = self.next;
        self.next += 1;
        let Some(payload) = message.payload() else {
            self.refuse(ordinal, None, "a message without content (a tombstone)", whole(message));
            return;
        };
        let mut found = vec![];
        if let Err(reason) = fields(payload, &mut found) {
            self.refuse(ordinal, None, reason, whole(message));
            return;
        }
        self.push_fields(ordinal, &found);
    }

    /// Rows that wait, bad ones included.
    pub(in super::super) fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// About how many bytes wait.
    pub(in super::super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// What was taken since the last chunk.
    pub(in super::super) fn finish(&mut self) -> Result<Chunk> {
        self.rows.finish()
    }

    fn push_fields(&mut self, ordinal: u64, found: &[(Cow<'_, str>, Value<'_>)]) {
        let schema = self.layout.schema.clone();
        let places: Vec<Option<usize>> = schema
            .fields()
            .iter()
            .zip(&mut self.usual)
            .map(|(field, usual)| place(found, field.name(), usual))
            .collect();
        let other = |index: &usize| !places.contains(&Some(*index)) && is_last(found, *index);
        if self.layout.others == Others::Refuse
            && let Some(index) = (0..found.len()).find(other)
        {
            let name = found[index].0.clone().into_owned();
            let row = found.iter().map(|(name, value)| (name.clone().into_owned(), as_json(value))).collect();
            self.refuse(ordinal, Some(name), "a field that is no column", row);
            return;
        }
        let bytes: Vec<Option<Vec<u8>>> = schema
            .fields()
            .iter()
            .zip(&places)
            .map(|(field, place)| decoded(field.data_type(), place.map(|at| &found[at].1)))
            .collect();
        let cell = |column: usize| match (&bytes[column], places[column]) {
            (Some(bytes), _) => Cell::Bytes(bytes),
            (None, Some(at)) => cell(&found[at].1, schema.field(column).data_type()),
            (None, None) => Cell::Null,
        };
        if !self.rows.push(ordinal, cell) {
            let others = (0..found.len()).filter(other);
            self.rows.complete(
                others.map(|at| (found[at].0.clone().into_owned(), as_json(&found[at].1))).collect(),
            );
        }
    }

    #[cold]
    fn refuse(&mut self, ordinal: u64, column: Option<String>, reason: &str, row: Map<String, Json>) {
        self.rows.refuse(BadRow { ordinal, column, reason: reason.to_owned(), row });
    }
}

/// The field of this name; of several the last.
fn place(found: &[(Cow<'_, str>, Value<'_>)], name: &str, usual: &mut usize) -> Option<usize> {
    if found.get(*usual).is_some_and(|(field, _)| field == name) && is_last(found, *usual) {
        return Some(*usual);
    }
    let at = found.iter().rposition(|(field, _)| field == name)?;
    *usual = at;
    Some(at)
}

fn is_last(found: &[(Cow<'_, str>, Value<'_>)], index: usize) -> bool {
    found[index + 1..].iter().all(|(name, _)| *name != found[index].0)
}

/// Bytes, which JSON has only as Base64.
fn decoded(kind: &DataType, value: Option<&Value<'_>>) -> Option<Vec<u8>> {
    match (kind, value) {
        (DataType::Binary, Some(Value::Text(text))) => BASE64_STANDARD.decode(text.as_bytes()).ok(),
        _ => None,
    }
}

fn cell<'a>(value: &'a Value<'_>, kind: &DataType) -> Cell<'a> {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Text(text) => Cell::Text(text),
        Value::Nested(text) => Cell::Text(text),
        Value::Number(spelled) => number(spelled, kind),
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

fn as_json(value: &Value<'_>) -> Json {
    cell_as_json(cell(value, &DataType::Utf8))
}

/// A message that is no object, as a dead letter keeps it.
fn whole(message: &impl Message) -> Map<String, Json> {
    let part = |bytes: Option<&[u8]>| match bytes.map(std::str::from_utf8) {
        None => Json::Null,
        Some(Ok(text)) => text.into(),
        Some(Err(_)) => cell_as_json(Cell::Bytes(bytes.unwrap_or_default())),
    };
    [("$message", part(message.payload())), ("$key", part(message.key()))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
