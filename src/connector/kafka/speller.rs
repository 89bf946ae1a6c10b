//! Rows become the content of messages.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Schema,
};
use arrow_avro::writer::EncodedRows;

use super::{
    avro,
    client::Cluster,
    config::{Format, SinkOptions},
    format::{message, registry},
    protobuf,
    registry::Kind,
};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    textual::json::Encoder,
};

/// How the rows of a topic are spelled.
#[derive(Debug, Clone)]
pub(super) enum Speller {
    /// An object each.
    Json,
    /// A record each, with this between its fields.
    Csv(u8),
    /// One column of each.
    Raw(String),
    /// A record each, after the number of its schema.
    Avro(avro::Writer),
    /// A message each.
    Protobuf(Arc<protobuf::Writer>),
}

impl Speller {
    /// Fails where columns have no spelling; tells the registry of them. The rows' columns are among the topic's.
    pub(super) fn new(
        cluster: &Cluster,
        table: &str,
        options: &SinkOptions,
        topic: &Schema,
        columns: &Schema,
    ) -> Result<Self> {
        let spelling = options.spelling();
        let shown = cluster.topic_shown(table);
        Ok(match spelling.format {
            Format::Json => Self::Json,
            Format::Csv => Self::Csv(spelling.delimiter(cluster)?),
            Format::Raw => Self::Raw(spelling.column().to_owned()),
            Format::Avro => {
                let registry = registry(cluster, Format::Avro)?;
                let register = |schema: &str| registry.register(Kind::Avro, &cluster.topic(table), schema);
                Self::Avro(avro::Writer::new(&shown, columns, register)?)
            }
            Format::Protobuf => Self::Protobuf(Arc::new(match message(cluster, &spelling)? {
                Some(message) => {
                    let beside: Vec<&String> = options.beside().collect();
                    protobuf::Writer::named(&shown, &message, columns, &beside)?
                }
                None => {
                    let registry = registry(cluster, Format::Protobuf)?;
                    let register =
                        |schema: &str| registry.register(Kind::Protobuf, &cluster.topic(table), schema);
                    protobuf::Writer::registered(&shown, topic, columns, register)?
                }
            })),
        })
    }

    /// A batch, ready to be spelled row by row.
    pub(super) fn rows<'a>(&'a self, batch: &'a RecordBatch, encoder: &'a Encoder<'a>) -> Result<Rows<'a>> {
        Ok(match self {
            Self::Json => Rows::Json(encoder),
            Self::Csv(delimiter) => Rows::Csv(encoder, *delimiter),
            Self::Avro(writer) => Rows::Avro(writer.encode(batch)?),
            Self::Protobuf(writer) => Rows::Protobuf(writer.rows(batch, encoder)?),
            Self::Raw(column) => match batch.column_by_name(column) {
                Some(column) => Rows::Raw(column.as_ref()),
                None => {
                    let message = format!("the rows have no column \"{column}\", which `raw` writes");
                    return Err(Error::new(ErrorKind::NotFound, message));
                }
            },
        })
    }
}

/// The rows of a batch.
pub(super) enum Rows<'a> {
    Json(&'a Encoder<'a>),
    Csv(&'a Encoder<'a>, u8),
    Raw(&'a dyn Array),
    Avro(EncodedRows),
    Protobuf(protobuf::Rows<'a>),
}

impl Rows<'_> {
    /// Adds a row. False = its message has no content.
    pub(super) fn row(&self, row: usize, into: &mut Vec<u8>) -> Result<bool> {
        match self {
            Self::Json(encoder) => encoder.row(row, into)?,
            Self::Csv(encoder, delimiter) => encoder.record(row, *delimiter, into)?,
            Self::Protobuf(rows) => rows.row(row, into)?,
            Self::Raw(array) if array.is_null(row) => return Ok(false),
            Self::Raw(array) => into.extend_from_slice(match array.as_string_opt::<i32>() {
                Some(texts) => texts.value(row).as_bytes(),
                None => array.as_binary::<i32>().value(row),
            }),
            Self::Avro(rows) => {
                let row = rows.row(row).map_err(|error| {
                    Error::new(ErrorKind::Internal, "rows cannot be written as Avro").caused_by(error)
                })?;
                into.extend_from_slice(&row);
            }
        }
        Ok(true)
    }
}
