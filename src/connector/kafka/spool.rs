//! Messages of a unit that wait for their commit: in memory while they are few, then in a file without a name.

use std::{
    fs,
    io::{BufReader, ErrorKind as Io, Read, Seek, SeekFrom, Write},
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

/// Bytes that tell the lengths of a message's parts.
const HEAD: usize = 20;

/// Messages, in order.
pub(super) struct Spool {
    file: SpooledTempFile,
    rows: u64,
    next: Spooled,
    /// The messages of a batch, on their way into the file together.
    bytes: Vec<u8>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Spooled {
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) timestamp: Option<i64>,
    /// Each as its number among the options' headers, its length and its text.
    headers: Vec<u8>,
}

impl Spool {
    pub(super) fn new(scratch: &Path) -> Result<Self> {
        fs::create_dir_all(scratch).map_err(failed)?;
        let file = tempfile::spooled_tempfile_in(IN_MEMORY, scratch);
        Ok(Self { file, rows: 0, next: Spooled::default(), bytes: vec![] })
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
        for row in 0..batch.num_rows() {
            let next = &mut self.next;
            fill(&mut next.payload, |payload| content.row(row, payload))?;
            fill(&mut next.key, |key| Ok(!keys.is_empty() && encoder.key(&keys, row, key)?))?;
            next.timestamp = times.filter(|times| !times.is_null(row)).map(|times| times.value(row));
            next.headers.clear();
            for (number, column) in headers.iter().enumerate() {
                next.add_header(number, |text| encoder.bare(*column, row, text))?;
            }
            self.next.write(&mut self.bytes).map_err(failed)?;
        }
        self.file.write_all(&self.bytes).map_err(failed)?;
        self.bytes.clear();
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Gives every message, in order.
    pub(super) fn each(&mut self, mut take: impl FnMut(&Spooled) -> Result<()>) -> Result<()> {
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(1 << 20, &mut self.file);
        let mut message = Spooled::default();
        for _ in 0..self.rows {
            message.read(&mut reader).map_err(failed)?;
            take(&message)?;
        }
        Ok(())
    }
}

/// Fills a part anew; `with` says whether there is one.
fn fill(part: &mut Option<Vec<u8>>, with: impl FnOnce(&mut Vec<u8>) -> Result<bool>) -> Result<()> {
    let mut bytes = part.take().unwrap_or_default();
    bytes.clear();
    *part = with(&mut bytes)?.then_some(bytes);
    Ok(())
}

impl Spooled {
    /// Headers, each as its number among the options' ones and its text.
    pub(super) fn headers(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut rest = self.headers.as_slice();
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(8)?;
            let (text, behind) = behind.split_at_checked(number(head, 4) as usize)?;
            rest = behind;
            Some((number(head, 0) as usize, text))
        })
    }

    fn add_header(&mut self, number: usize, with: impl FnOnce(&mut Vec<u8>) -> Result<bool>) -> Result<()> {
        let begun = self.headers.len();
        self.headers.extend_from_slice(&(number as u32).to_le_bytes());
        self.headers.extend_from_slice(&[0; 4]);
        if with(&mut self.headers)? {
            let length = (self.headers.len() - begun - 8) as u32;
            self.headers[begun + 4..begun + 8].copy_from_slice(&length.to_le_bytes());
        } else {
            self.headers.truncate(begun);
        }
        Ok(())
    }

    fn write(&self, to: &mut Vec<u8>) -> std::io::Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Io::FileTooLarge);
        let of = |part: &Option<Vec<u8>>| part.as_deref().map_or(Ok(NONE), length);
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&of(&self.key)?.to_le_bytes());
        head[4..8].copy_from_slice(&of(&self.payload)?.to_le_bytes());
        head[8..12].copy_from_slice(&length(&self.headers)?.to_le_bytes());
        head[12..].copy_from_slice(&self.timestamp.unwrap_or(NOW).to_le_bytes());
        to.extend_from_slice(&head);
        for part in [&self.key, &self.payload].into_iter().flatten() {
            to.extend_from_slice(part);
        }
        to.extend_from_slice(&self.headers);
        Ok(())
    }

    fn read(&mut self, from: &mut impl Read) -> std::io::Result<()> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        let time = i64::from(number(&head, 16)) << 32 | i64::from(number(&head, 12));
        self.timestamp = (time != NOW).then_some(time);
        for (part, length) in [(&mut self.key, number(&head, 0)), (&mut self.payload, number(&head, 4))] {
            *part = match length {
                NONE => None,
                length => {
                    let mut bytes = part.take().unwrap_or_default();
                    bytes.resize(length as usize, 0);
                    from.read_exact(&mut bytes)?;
                    Some(bytes)
                }
            };
        }
        self.headers.resize(number(&head, 8) as usize, 0);
        from.read_exact(&mut self.headers)
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
                let parts = [&message.key, &message.payload].map(|part| part.as_deref().map(text));
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
