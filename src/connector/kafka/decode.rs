//! Messages become rows: against the columns that were agreed on, or not at all.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use rdkafka::Message;
use serde_json::{Map, Value as Json};

use super::{
    csv,
    envelope::{self, Part},
    format::Body,
    json,
    protobuf::Decoded,
    registry::{self, Framed, Kind, Registry, Schema},
    value::{Fields, of_bytes},
};
use crate::connector::{
    cells::{Cell, RowDecoder, Rules, cell_as_json},
    error::Result,
    source::{BadRow, Chunk},
};

/// Schemas that one decoder keeps at hand.
const SCHEMAS: usize = 256;

/// What to do with fields that are no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Left out.
    Drop,
    /// The row is bad.
    Refuse,
}

/// What messages are read as.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) schema: SchemaRef,
    pub(super) rules: Rules,
    pub(super) others: Others,
    pub(super) body: Body,
    /// Columns that are not in a message's content.
    pub(super) parts: Vec<(String, Part)>,
}

/// Builds chunks from messages.
pub(super) struct Decoder {
    layout: Arc<Layout>,
    rows: RowDecoder,
    next: u64,
    /// Where a column's field lay in the last message: most messages have theirs in one order.
    usual: Vec<usize>,
    /// What is known of schemas by their numbers; also that one is unknown, which may be otherwise when the next unit is read.
    schemas: HashMap<u32, Framed>,
}

/// What the fields of a message borrow from, besides itself.
#[derive(Default)]
struct Held {
    schema: Option<Arc<Schema>>,
    decoded: Option<Decoded>,
}

impl Decoder {
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let rows = RowDecoder::new(layout.schema.clone(), layout.rules.clone())?;
        let usual = (0..layout.schema.fields().len()).collect();
        let layout = Arc::new(layout.clone());
        Ok(Self { layout, rows, next: 0, usual, schemas: HashMap::new() })
    }

    /// Takes a message as the next row, or notes it as bad. Fails where what messages are read by cannot be reached.
    pub(super) fn push(&mut self, message: &impl Message) -> Result<()> {
        let ordinal = self.next;
        self.next += 1;
        let layout = self.layout.clone();
        let mut held = Held::default();
        let mut found: Fields<'_> = vec![];
        let read = self.content(&layout.body, message, &mut held, &mut found)?;
        if let Err(reason) = read {
            self.refuse(ordinal, None, &reason, whole(message));
            return Ok(());
        }
        for (name, part) in &layout.parts {
            found.push((name.into(), envelope::value(*part, message, self.is_bytes(name))));
        }
        self.push_fields(ordinal, &found);
        Ok(())
    }

    /// The fields of a message's content; or why it is none of its format.
    fn content<'a>(
        &mut self,
        body: &'a Body,
        message: &'a impl Message,
        held: &'a mut Held,
        found: &mut Fields<'a>,
    ) -> Result<Result<(), Cow<'static, str>>> {
        let (decoded, schema) = (&mut held.decoded, &mut held.schema);
        Ok(match (body, message.payload()) {
            (Body::Raw { column }, payload) => {
                found.push((column.into(), of_bytes(payload, self.is_bytes(column))));
                Ok(())
            }
            (_, None) => Err("a message without content (a tombstone)".into()),
            (Body::Json, Some(payload)) => json::fields(payload, found).map_err(Cow::from),
            (Body::Csv { delimiter, columns }, Some(payload)) => {
                csv::fields(payload, *delimiter, columns, found)
            }
            (Body::Bare(message), Some(payload)) => match Decoded::new(message, payload) {
                Ok(new) => decoded.insert(new).fields(found).map_err(Cow::from),
                Err(reason) => Err(reason.into()),
            },
            (Body::Framed { registry, kind }, Some(payload)) => {
                let content = registry::unframed(payload);
                match self.schema(registry, *kind, payload)? {
                    Err(reason) => Err(reason.into()),
                    Ok(known) => match &**schema.insert(known) {
                        Schema::Avro(schema) => schema.fields(content, found).map_err(Cow::from),
                        Schema::Protobuf(schema) => match schema.decode(content) {
                            Ok(new) => decoded.insert(new).fields(found).map_err(Cow::from),
                            Err(reason) => Err(reason.into()),
                        },
                    },
                }
            }
        })
    }

    /// Rows that wait, bad ones included.
    pub(super) fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// About how many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// What was taken since the last chunk.
    pub(super) fn finish(&mut self) -> Result<Chunk> {
        self.rows.finish()
    }

    fn is_bytes(&self, column: &str) -> bool {
        let field = self.layout.schema.field_with_name(column);
        field.is_ok_and(|field| *field.data_type() == DataType::Binary)
    }

    /// The schema that a message names; or why it can be none.
    fn schema(&mut self, registry: &Registry, kind: Kind, payload: &[u8]) -> Result<Framed> {
        let id = match registry::id(payload) {
            Ok(id) => id,
            Err(reason) => return Ok(Err(reason.into())),
        };
        if let Some(known) = self.schemas.get(&id) {
            return Ok(known.clone());
        }
        let found = registry.schema(kind, id)?;
        if self.schemas.len() == SCHEMAS {
            self.schemas.clear();
        }
        self.schemas.insert(id, found.clone());
        Ok(found)
    }

    fn push_fields(&mut self, ordinal: u64, found: &Fields<'_>) {
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
            let row = found.iter().map(|(name, value)| (name.clone().into_owned(), value.json())).collect();
            self.refuse(ordinal, Some(name), "a field that is no column", row);
            return;
        }
        let bytes: Vec<Option<Vec<u8>>> = schema
            .fields()
            .iter()
            .zip(&places)
            .map(|(field, place)| place.and_then(|at| found[at].1.decoded(field.data_type())))
            .collect();
        let cell = |column: usize| match (&bytes[column], places[column]) {
            (Some(bytes), _) => Cell::Bytes(bytes),
            (None, Some(at)) => found[at].1.cell(schema.field(column).data_type()),
            (None, None) => Cell::Null,
        };
        if !self.rows.push(ordinal, cell) {
            let others = (0..found.len()).filter(other);
            self.rows
                .complete(others.map(|at| (found[at].0.clone().into_owned(), found[at].1.json())).collect());
        }
    }

    #[cold]
    fn refuse(&mut self, ordinal: u64, column: Option<String>, reason: &str, row: Map<String, Json>) {
        self.rows.refuse(BadRow { ordinal, column, reason: reason.to_owned(), row });
    }
}

/// The field of this name; of several the last.
fn place(found: &Fields<'_>, name: &str, usual: &mut usize) -> Option<usize> {
    if found.get(*usual).is_some_and(|(field, _)| field == name) && is_last(found, *usual) {
        return Some(*usual);
    }
    let at = found.iter().rposition(|(field, _)| field == name)?;
    *usual = at;
    Some(at)
}

fn is_last(found: &Fields<'_>, index: usize) -> bool {
    found[index + 1..].iter().all(|(name, _)| *name != found[index].0)
}

/// A message that is no row, as a dead letter keeps it.
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
