//! Arrow over HTTP, both ways.
//!
//! A stream that ends without its end marker was cut short: the library takes a cut between two messages for an end.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, StringArray, Time64MicrosecondArray},
    buffer::Buffer,
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, Schema, SchemaRef, Time64MicrosecondType, TimeUnit},
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
    /// At most one for each row, by rising rows.
    pub(super) broken: Vec<Broken>,
}

/// A cell that the server keeps and Arrow has no value for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) row: usize,
    pub(super) column: String,
    /// What it is.
    pub(super) what: &'static str,
}

/// A `String` holds any bytes.
const NOT_UTF8: &str = "a text that is not UTF-8";
/// A `Time` has up to 999 hours, and may be negative.
const NOT_OF_DAY: &str = "a time that is none of a day";
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Columns come by their place, under whatever names.
pub(super) fn typed(batch: &RecordBatch, schema: &SchemaRef) -> Result<Typed> {
    let mut broken = vec![];
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        Ok(match (column.data_type(), field.data_type()) {
            (from, to @ DataType::Time64(TimeUnit::Microsecond)) if from == to => {
                times(column.as_primitive(), field.name(), &mut broken);
                column.clone()
            }
            (from, to) if from == to => column.clone(),
            (DataType::Binary, DataType::Utf8) => text(column.as_binary(), field.name(), &mut broken),
            (_, to) => cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })?,
        })
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    broken.sort_by_key(|broken| broken.row);
    broken.dedup_by_key(|broken| broken.row);
    Ok(Typed { batch: RecordBatch::try_new_with_options(schema.clone(), columns, &options)?, broken })
}

fn times(column: &Time64MicrosecondArray, column_name: &str, broken: &mut Vec<Broken>) {
    let strays = |(row, time): (usize, Option<i64>)| {
        let is_none = time.is_some_and(|time| !(0..DAY).contains(&time));
        is_none.then(|| Broken { row, column: column_name.to_owned(), what: NOT_OF_DAY })
    };
    broken.extend(column.iter().enumerate().filter_map(strays));
}

fn text(column: &BinaryArray, name: &str, broken: &mut Vec<Broken>) -> ArrayRef {
    if let Ok(texts) = StringArray::try_from_binary(column.clone()) {
        return Arc::new(texts);
    }
    let lossy = column.iter().enumerate().map(|(row, bytes)| {
        let text = String::from_utf8_lossy(bytes?);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            broken.push(Broken { row, column: name.to_owned(), what: NOT_UTF8 });
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

/// The error of such a cell, where rows have no policy.
pub(super) fn unreadable(shown: &str, Broken { column, what, .. }: &Broken) -> Error {
    let message = format!("{shown} has {what} in column \"{column}\"");
    let error = Error::new(ErrorKind::BadData, message);
    if *what == NOT_UTF8 {
        error.hint("read the table by a pipeline whose contract has the column as bytes, or mend the text")
    } else {
        error.hint("mend it, or leave the column out")
    }
}

/// Broken rows as they are kept: times spelled with all their hours.
pub(super) fn kept(rows: &RecordBatch) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (vec![], vec![]);
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let Some(times) = column.as_primitive_opt::<Time64MicrosecondType>() else {
            fields.push(field.clone());
            columns.push(column.clone());
            continue;
        };
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(Arc::new(times.iter().map(|time| time.map(hours)).collect::<StringArray>()));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// `-25:00:00.000001`.
fn hours(micros: i64) -> String {
    let (sign, rest) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let seconds = rest / 1_000_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{sign}{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, rest % 1_000_000)
}

#[cfg(test)]
mod tests {
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
        let broken = |row| Broken { row, column: "a".to_owned(), what: NOT_UTF8 };
        assert_eq!(typed.broken, [broken(1), broken(3)]);
        assert_eq!(typed.batch.schema(), schema);
        assert_eq!(typed.batch.column(0).null_count(), 1);
    }

    #[test]
    fn times_that_are_none_of_a_day_are_found_and_kept() {
        let times: ArrayRef =
            Arc::new(Time64MicrosecondArray::from(vec![Some(DAY), None, Some(DAY - 1), Some(-1)]));
        let given = RecordBatch::try_from_iter_with_nullable([("x", times, true)]).unwrap();
        let typed = typed(&given, &given.schema()).unwrap();
        let broken = |row| Broken { row, column: "x".to_owned(), what: NOT_OF_DAY };
        assert_eq!(typed.broken, [broken(0), broken(3)]);
        let kept = kept(&given).unwrap();
        let texts: Vec<Option<&str>> = kept.column(0).as_string::<i32>().iter().collect();
        let spelled = [Some("24:00:00.000000"), None, Some("23:59:59.999999"), Some("-00:00:00.000001")];
        assert_eq!(texts, spelled);
    }
}
