//! Arrow over HTTP, both ways.
//!
//! A stream that ends without its end marker was cut short: the library takes a cut between two messages for an end.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, StringArray},
    buffer::Buffer,
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, SchemaRef},
    ipc::{reader::StreamDecoder, writer::StreamWriter},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use bytes::Bytes;

use super::{
    client::Answer,
    error::{broken_off, strange},
};
use crate::connector::error::{Error, ErrorKind, Result};

/// What an Arrow stream ends with.
const END: [u8; 8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];

/// The batches of an answer.
pub(super) struct Batches {
    answer: Answer,
    decoder: StreamDecoder,
    rest: Buffer,
    /// The last bytes that came.
    tail: Vec<u8>,
    shown: String,
}

impl Batches {
    pub(super) fn new(answer: Answer, shown: &str) -> Self {
        Self {
            answer,
            decoder: StreamDecoder::new(),
            rest: Buffer::default(),
            tail: vec![],
            shown: shown.to_owned(),
        }
    }

    /// The next batch, as the server has its types.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while !self.rest.is_empty() {
                match self.decoder.decode(&mut self.rest) {
                    Ok(Some(batch)) => return Ok(Some(batch)),
                    Ok(None) => {}
                    // What follows a whole stream, or is none: an exception in the middle that came in two pieces.
                    Err(error) => return Err(broken_off(&self.shown).caused_by(error)),
                }
            }
            let Some(bytes) = self.answer.next().await? else {
                return if self.tail == END { Ok(None) } else { Err(broken_off(&self.shown)) };
            };
            if self.tail.is_empty() && bytes.first().is_some_and(|first| *first != 0xFF) {
                return Err(strange(&self.shown, &String::from_utf8_lossy(&bytes)));
            }
            self.remember(&bytes);
            self.rest = Buffer::from(bytes);
        }
    }

    fn remember(&mut self, bytes: &Bytes) {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(END.len())..]);
        let more = self.tail.len().saturating_sub(END.len());
        self.tail.drain(..more);
    }
}

/// A batch whose columns have the types of `schema`.
pub(super) struct Typed {
    pub(super) batch: RecordBatch,
    /// Rows with a text that is not UTF-8, and its column; rising.
    pub(super) broken: Vec<(usize, String)>,
}

/// Columns come by their place, under whatever names.
pub(super) fn typed(batch: &RecordBatch, schema: &SchemaRef) -> Result<Typed> {
    let mut broken = vec![];
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        Ok(match (column.data_type(), field.data_type()) {
            (from, to) if from == to => column.clone(),
            (DataType::Binary, DataType::Utf8) => text(column.as_binary(), field.name(), &mut broken),
            (_, to) => cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })?,
        })
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    broken.sort_by_key(|(row, _)| *row);
    broken.dedup_by_key(|(row, _)| *row);
    Ok(Typed { batch: RecordBatch::try_new_with_options(schema.clone(), columns, &options)?, broken })
}

fn text(column: &BinaryArray, name: &str, broken: &mut Vec<(usize, String)>) -> ArrayRef {
    if let Ok(texts) = StringArray::try_from_binary(column.clone()) {
        return Arc::new(texts);
    }
    let lossy = column.iter().enumerate().map(|(row, bytes)| {
        let text = String::from_utf8_lossy(bytes?);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            broken.push((row, name.to_owned()));
        }
        Some(text)
    });
    Arc::new(lossy.collect::<StringArray>())
}

/// Rows as a stream of Arrow, piece by piece.
pub(super) struct Encoder(StreamWriter<Vec<u8>>);

impl Encoder {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        Ok(Self(StreamWriter::try_new(vec![], schema)?))
    }

    /// What has to be sent for this batch.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<Bytes> {
        self.0.write(batch)?;
        Ok(Bytes::from(std::mem::take(self.0.get_mut())))
    }

    /// What has to be sent at the end.
    pub(super) fn finish(mut self) -> Result<Bytes> {
        self.0.finish()?;
        Ok(Bytes::from(std::mem::take(self.0.get_mut())))
    }
}

/// The error of a text that is none, where rows have no policy.
pub(super) fn not_utf8(shown: &str, column: &str) -> Error {
    let message = format!("{shown} has a text that is not UTF-8 in column \"{column}\"");
    Error::new(ErrorKind::BadData, message)
        .hint("read the table by a pipeline whose contract has the column as bytes, or mend the text")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn texts_that_are_none_are_found_by_row() {
        let binary: ArrayRef =
            Arc::new(BinaryArray::from(vec![Some(b"a".as_slice()), Some(b"\xff"), None, Some(b"\xc3")]));
        let given =
            RecordBatch::try_from_iter_with_nullable([("x", binary.clone(), true), ("y", binary, true)])
                .unwrap();
        let field = |name| Field::new(name, DataType::Utf8, true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![field("a"), field("b")]));
        let typed = typed(&given, &schema).unwrap();
        assert_eq!(typed.broken, [(1, "a".to_owned()), (3, "a".to_owned())]);
        assert_eq!(typed.batch.schema(), schema);
        assert_eq!(typed.batch.column(0).null_count(), 1);
    }
}
