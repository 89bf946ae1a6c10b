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

use super::{config::SinkOptions, json::Encoder};
use crate::connector::error::{Error, ErrorKind, Result};

/// Bytes that are kept in memory.
const IN_MEMORY: usize = 8 << 20;

/// Stands for a message without key, and for one without a timestamp of its own.
const NONE: u32 = u32::MAX;
const NOW: i64 = i64::MIN;

/// Messages, in order.
pub(super) struct Spool {
    file: SpooledTempFile,
    rows: u64,
    row: Vec<u8>,
    key: Vec<u8>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Spooled {
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Vec<u8>,
    pub(super) timestamp: Option<i64>,
}

impl Spool {
    pub(super) fn new(scratch: &Path) -> Result<Self> {
        fs::create_dir_all(scratch).map_err(failed)?;
        let file = tempfile::spooled_tempfile_in(IN_MEMORY, scratch);
        Ok(Self { file, rows: 0, row: vec![], key: vec![] })
    }

    /// Messages that wait.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch, options: &SinkOptions) -> Result<()> {
        let encoder = Encoder::new(batch)?;
        let at = |name: &String| batch.schema_ref().index_of(name);
        let keys = options.message_key.iter().map(at).collect::<Result<Vec<_>, _>>()?;
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        let times =
            options.timestamp.as_ref().map(|name| Ok::<_, Error>(cast(batch.column(at(name)?), &millis)?));
        let times = times.transpose()?;
        let times = times.as_ref().map(AsArray::as_primitive::<TimestampMillisecondType>);
        for row in 0..batch.num_rows() {
            self.row.clear();
            self.key.clear();
            encoder.row(row, &mut self.row)?;
            let keyed = !keys.is_empty() && encoder.key(&keys, row, &mut self.key)?;
            let time = times.filter(|times| !times.is_null(row)).map_or(NOW, |times| times.value(row));
            self.write(keyed, time).map_err(failed)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn write(&mut self, keyed: bool, time: i64) -> std::io::Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Io::FileTooLarge);
        let key = if keyed { length(&self.key)? } else { NONE };
        let mut head = [0; 16];
        head[..4].copy_from_slice(&key.to_le_bytes());
        head[4..8].copy_from_slice(&length(&self.row)?.to_le_bytes());
        head[8..].copy_from_slice(&time.to_le_bytes());
        self.file.write_all(&head)?;
        self.file.write_all(&self.key)?;
        self.file.write_all(&self.row)
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

impl Spooled {
    fn read(&mut self, from: &mut impl Read) -> std::io::Result<()> {
        let mut head = [0; 16];
        from.read_exact(&mut head)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let time = i64::from(number(12)) << 32 | i64::from(number(8));
        self.timestamp = (time != NOW).then_some(time);
        self.key = match number(0) {
            NONE => None,
            length => {
                let mut key = self.key.take().unwrap_or_default();
                key.resize(length as usize, 0);
                from.read_exact(&mut key)?;
                Some(key)
            }
        };
        self.payload.resize(number(4) as usize, 0);
        from.read_exact(&mut self.payload)
    }
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
            ..SinkOptions::default()
        };
        let mut spool = Spool::new(folder.path()).unwrap();
        spool.add(&batch, &keyed(&["имя"])).unwrap();
        spool.add(&batch, &keyed(&["id", "имя"])).unwrap();
        let mut found = vec![];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        spool
            .each(|message| {
                found.push((message.key.as_deref().map(text), text(&message.payload), message.timestamp));
                Ok(())
            })
            .unwrap();
        let first = r#"{"id":7,"имя":"\"Ж\"\n","at":"1969-12-31T23:59:59.999Z"}"#.to_owned();
        let second = r#"{"id":null,"имя":null,"at":null}"#.to_owned();
        let expected = [
            (Some("\"Ж\"\n".to_owned()), first.clone(), Some(-1)),
            (None, second.clone(), None),
            (Some(r#"[7,"\"Ж\"\n"]"#.to_owned()), first, Some(-1)),
            (Some("[null,null]".to_owned()), second, None),
        ];
        assert_eq!(found, expected);
        assert_eq!(spool.rows(), 4);
    }
}
