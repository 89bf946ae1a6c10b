//! Messages become rows: against the columns that were agreed on, or not at all.

use std::{borrow::Cow, collections::HashMap, fmt::Display, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use rdkafka::Message;
use serde_json::{Map, Value as Json};

use super::{
    envelope::{self, Part},
    format::Body,
    protobuf::Decoded,
    registry::{self, Framed, Kind, Registry, Schema},
};
use crate::connector::{
    cells::{Cell, Rules, cell_as_json},
    error::Result,
    source::Chunk,
    textual::{FieldRows, Fields, Others, csv, json, of_bytes},
};

/// Schemas that one decoder keeps at hand.
const SCHEMAS: usize = 256;

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
    rows: FieldRows,
    next: u64,
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
        let rows = FieldRows::new(layout.schema.clone(), layout.rules.clone(), layout.others)?;
        let layout = Arc::new(layout.clone());
        Ok(Self { layout, rows, next: 0, schemas: HashMap::new() })
    }

    /// Takes a message as the next row, or notes it as bad. Fails where what messages are read by cannot be reached.
    pub(super) fn push(&mut self, message: &impl Message) -> Result<()> {
        let ordinal = self.next;
        self.next += 1;
        let layout = self.layout.clone();
        let mut held = Held::default();
        let mut found: Fields<'_> = Vec::with_capacity(layout.schema.fields().len());
        let read = self.content(&layout.body, message, &mut held, &mut found)?;
        if let Err(reason) = read {
            self.rows.refuse(ordinal, &reason, whole(message));
            return Ok(());
        }
        for (name, part) in &layout.parts {
            found.push((name.into(), envelope::value(*part, message, self.is_bytes(name))));
        }
        self.rows.push(ordinal, &found);
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
            (Body::Json, Some(payload)) => json::fields(payload, found).map_err(of_message),
            (Body::Csv { delimiter, columns }, Some(payload)) => {
                csv::fields(payload, *delimiter, columns, found).map_err(of_message)
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
}

/// What is wrong, said of a message.
fn of_message(what: impl Display) -> Cow<'static, str> {
    format!("a message {what}").into()
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
