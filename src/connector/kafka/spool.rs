//! Messages of a unit that wait for their commit: in memory while they are few, then in a file without a name.

use std::{
    fs,
    io::{ErrorKind as Io, Read, Seek, SeekFrom, Write},
    path::Path,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, TimeUnit, TimestampMillisecondType},
};
use tempfile::SpooledTempFile;

use super::{config::SinkOptions, speller::Speller};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    textual::json::Encoder,
};

/// Bytes that are kept in memory.
const IN_MEMORY: usize = 8 << 20;

/// Stands for a message without key or content, and for one without a timestamp of its own.
const NONE: u32 = u32::MAX;
const NOW: i64 = i64::MIN;

/// Bytes that tell the lengths of a message's parts, before them.
const HEAD: usize = 20;

/// Messages, in order.
pub(super) struct Spool {
    file: SpooledTempFile,
    rows: u64,
    /// Bytes of each batch's messages.
    blocks: Vec<usize>,
    /// The messages of a batch, on their way into the file or out of it.
    bytes: Vec<u8>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Spooled<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    pub(super) timestamp: Option<i64>,
    /// Each as its number among the options' headers, its length and its text.
    headers: &'a [u8],
}

impl Spool {
    pub(super) fn new(scratch: &Path) -> Result<Self> {
        fs::create_dir_all(scratch).map_err(failed)?;
        let file = tempfile::spooled_tempfile_in(IN_MEMORY, scratch);
        Ok(Self { file, rows: 0, blocks: vec![], bytes: vec![] })
    }

    /// Messages that wait.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of a batch.
    pub(super) fn add(
        &mut self,
        batch: &RecordBatch,
        options: &SinkOptions,
        speller: &Speller,
    ) -> Result<()> {
        let encoder = Encoder::new(batch)?;
        let content = speller.rows(batch, &encoder)?;
        let at = |name: &String| batch.schema_ref().index_of(name);
        let keys = options.message_key.iter().map(at).collect::<Result<Vec<_>, _>>()?;
        let headers = options.headers.iter().map(at).collect::<Result<Vec<_>, _>>()?;
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        let times =
            options.timestamp.as_ref().map(|name| Ok::<_, Error>(cast(batch.column(at(name)?), &millis)?));
        let times = times.transpose()?;
        let times = times.as_ref().map(AsArray::as_primitive::<TimestampMillisecondType>);
        let bytes = &mut self.bytes;
        bytes.clear();
        for row in 0..batch.num_rows() {
            let begun = bytes.len();
            bytes.extend_from_slice(&[0; HEAD]);
            let head = Head {
                key: part(bytes, |into| Ok(!keys.is_empty() && encoder.key(&keys, row, into)?))?,
                payload: part(bytes, |into| content.row(row, into))?,
                headers: part(bytes, |into| {
                    let cell = |(number, column): (usize, &usize)| {
                        add_header(into, number, |text| encoder.bare(*column, row, text))
                    };
                    headers.iter().enumerate().try_for_each(cell).map(|()| true)
                })?,
                time: times.filter(|times| !times.is_null(row)).map_or(NOW, |times| times.value(row)),
            };
            head.write(&mut bytes[begun..begun + HEAD]);
        }
        self.file.write_all(bytes).map_err(failed)?;
        self.blocks.push(bytes.len());
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Gives every message, in order.
    pub(super) fn each(&mut self, mut take: impl FnMut(&Spooled<'_>) -> Result<()>) -> Result<()> {
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        for block in &self.blocks {
            self.bytes.resize(*block, 0);
            self.file.read_exact(&mut self.bytes).map_err(failed)?;
            let mut rest = self.bytes.as_slice();
            while !rest.is_empty() {
                take(&Spooled::first(&mut rest).ok_or_else(|| failed(Io::InvalidData))?)?;
            }
        }
        Ok(())
    }
}

/// Adds a part; `with` says whether there is one. Gives its length.
fn part(bytes: &mut Vec<u8>, with: impl FnOnce(&mut Vec<u8>) -> Result<bool>) -> Result<u32> {
    let begun = bytes.len();
    if !with(bytes)? {
        bytes.truncate(begun);
        return Ok(NONE);
    }
    let length = u32::try_from(bytes.len() - begun).ok().filter(|length| *length != NONE);
    length.ok_or_else(|| failed(Io::FileTooLarge))
}

fn add_header(
    bytes: &mut Vec<u8>,
    number: usize,
    with: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
) -> Result<()> {
    let begun = bytes.len();
    bytes.extend_from_slice(&(number as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    match part(bytes, with)? {
        NONE => bytes.truncate(begun),
        length => bytes[begun + 4..begun + 8].copy_from_slice(&length.to_le_bytes()),
    }
    Ok(())
}

/// The lengths of a message's parts, and its time.
struct Head {
    key: u32,
    payload: u32,
    headers: u32,
    time: i64,
}

impl Head {
    fn write(&self, to: &mut [u8]) {
        for (at, length) in [self.key, self.payload, self.headers].into_iter().enumerate() {
            to[at * 4..at * 4 + 4].copy_from_slice(&length.to_le_bytes());
        }
        to[12..].copy_from_slice(&self.time.to_le_bytes());
    }
}

impl<'a> Spooled<'a> {
    /// Takes the first message off those that are left.
    fn first(rest: &mut &'a [u8]) -> Option<Self> {
        let head = rest.split_off(..HEAD)?;
        let mut part = |length| match length {
            NONE => Some(None),
            length => rest.split_off(..length as usize).map(Some),
        };
        let (key, payload) = (part(number(head, 0))?, part(number(head, 4))?);
        let headers = part(number(head, 8))?.unwrap_or_default();
        let time = i64::from(number(head, 16)) << 32 | i64::from(number(head, 12));
        Some(Self { key, payload, timestamp: (time != NOW).then_some(time), headers })
    }

    /// Headers, each as its number among the options' ones and its text.
    pub(super) fn headers(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let mut rest = self.headers;
        std::iter::from_fn(move || {
            let head = rest.split_off(..8)?;
            Some((number(head, 0) as usize, rest.split_off(..number(head, 4) as usize)?))
        })
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn failed(error: impl Into<std::io::Error>) -> Error {
    let error = error.into();
    Error::new(ErrorKind::of_io(&error), "rows cannot be put aside in the scratch folder").caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, Int64Array, StringArray},
        datatypes::{Field, Schema},
    };

    use super::*;

    #[test]
    fn messages_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("имя", DataType::Utf8, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        ]);
        let at = cast(&Int64Array::from(vec![Some(-1), None]), schema.field(2).data_type()).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(7), None])),
            Arc::new(StringArray::from(vec![Some("\"Ж\"\n"), None])),
            at,
        ];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let keyed = |names: &[&str]| SinkOptions {
            message_key: names.iter().map(|name| (*name).to_owned()).collect(),
            timestamp: Some("at".to_owned()),
            headers: vec!["имя".to_owned(), "id".to_owned()],
            ..SinkOptions::default()
        };
        let mut spool = Spool::new(folder.path()).unwrap();
        spool.add(&batch, &keyed(&["имя"]), &Speller::Json).unwrap();
        spool.add(&batch, &keyed(&["id", "имя"]), &Speller::Csv(b';')).unwrap();
        let mut found = vec![];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        spool
            .each(|message| {
                let headers: Vec<_> = message.headers().map(|(at, bytes)| (at, text(bytes))).collect();
                let parts = [message.key, message.payload].map(|part| part.map(text));
                found.push((parts, message.timestamp, headers));
                Ok(())
            })
            .unwrap();
        let some = |text: &str| Some(text.to_owned());
        let headers = vec![(0, "\"Ж\"\n".to_owned()), (1, "7".to_owned())];
        let expected = [
            (
                [some("\"Ж\"\n"), some(r#"{"id":7,"имя":"\"Ж\"\n","at":"1969-12-31T23:59:59.999Z"}"#)],
                Some(-1),
                headers.clone(),
            ),
            ([None, some(r#"{"id":null,"имя":null,"at":null}"#)], None, vec![]),
            (
                [some(r#"[7,"\"Ж\"\n"]"#), some("7;\"\"\"Ж\"\"\n\";1969-12-31T23:59:59.999Z")],
                Some(-1),
                headers,
            ),
            ([some("[null,null]"), some(";;")], None, vec![]),
        ];
        assert_eq!(found, expected);
        assert_eq!(spool.rows(), 4);
    }
}
