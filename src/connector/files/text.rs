//! Rows of text files.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Map, Value as Json};

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        source::Chunk,
        textual::{FieldRows, Fields, Guess, csv, json},
    },
    bytes::Input,
    config::Format,
    format::Spelling,
    place::Table,
    records::{Broken, LONGEST, Record, Records},
};
use crate::connector::cells::{Cell, cell_as_json};

/// Rows of a chunk, and about how many bytes end it sooner.
const CHUNK_ROWS: usize = 8_192;
const CHUNK_BYTES: usize = 4 << 20;
/// Lines that are looked at, where nothing declares what they hold.
const SAMPLE: usize = 256;

/// A text file on its way to be read.
pub(super) struct Text<'a> {
    /// Whose file it is, for messages.
    pub(super) table: &'a Table,
    /// Its path.
    pub(super) path: &'a str,
    /// How it is spelled.
    pub(super) spelling: Spelling,
    /// The columns of CSV without a head, in their order.
    pub(super) columns: &'a [String],
}

impl Text<'_> {
    /// The columns that the file shows: CSV by its head, all of text; JSON Lines by what its first lines look like.
    pub(super) fn declared(&self, input: Input) -> Result<SchemaRef> {
        let mut records = self.records(input);
        if self.spelling.format == Format::Jsonl {
            let mut guess = Guess::default();
            for _ in 0..SAMPLE {
                let Some(record) = records.next().map_err(|broken| self.broken(broken))? else { break };
                guess.add_object(record.bytes);
            }
            return Ok(guess.schema());
        }
        let columns = self.head(&mut records)?.unwrap_or_default();
        let field = |name: &String| Field::new(name, DataType::Utf8, true);
        Ok(Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())))
    }

    /// Reads all rows; `needed` are columns that CSV must have. `give` takes chunks, and says whether somebody wants more.
    pub(super) fn read(
        &self,
        input: Input,
        rows: &mut FieldRows,
        needed: &[String],
        next: &mut u64,
        give: &mut dyn FnMut(Chunk) -> bool,
    ) -> Result<()> {
        let mut records = self.records(input);
        let columns = match self.spelling.format {
            Format::Jsonl => None,
            _ => Some(self.head(&mut records)?.unwrap_or_default()),
        };
        if let Some(columns) = &columns {
            self.check(columns, needed)?;
        }
        while let Some(record) = records.next().map_err(|broken| self.broken(broken))? {
            let one = columns.as_ref().is_some_and(|columns| columns.len() == 1);
            if record.bytes.iter().all(u8::is_ascii_whitespace) && !one {
                continue; // A line of nothing is no row, but for a NULL in the only column.
            }
            self.row(&record, columns.as_deref(), rows, *next)?;
            *next += 1;
            if (rows.rows() >= CHUNK_ROWS || rows.bytes() >= CHUNK_BYTES) && !give(rows.finish()?) {
                return Ok(());
            }
        }
        if rows.rows() > 0 {
            give(rows.finish()?);
        }
        Ok(())
    }

    fn records(&self, input: Input) -> Records<Input> {
        let delimiter = (self.spelling.format == Format::Csv).then(|| self.spelling.delimiter());
        Records::new(input, delimiter)
    }

    /// The columns' names; `None` = the file is empty, without even them.
    fn head(&self, records: &mut Records<Input>) -> Result<Option<Vec<String>>> {
        if !self.spelling.header {
            return Ok(Some(self.columns.to_vec()));
        }
        let Some(record) = records.next().map_err(|broken| self.broken(broken))? else { return Ok(None) };
        let names = csv::head(record.bytes, self.spelling.delimiter())
            .map_err(|what| self.bad_head(&format!("begins with a line {what}")))?;
        let mut seen = HashSet::new();
        if let Some(again) = names.iter().find(|name| !seen.insert(*name)) {
            let what = match again.as_str() {
                "" => "has two columns without a name".to_owned(),
                name => format!("has two columns `{name}`"),
            };
            return Err(self.bad_head(&what));
        }
        Ok(Some(names))
    }

    fn bad_head(&self, what: &str) -> Error {
        self.error(ErrorKind::BadData, what)
            .hint("its first line must name its columns; where it has no such line: `files.header = false`")
    }

    fn check(&self, columns: &[String], needed: &[String]) -> Result<()> {
        let Some(missing) = needed.iter().find(|name| !columns.contains(name)) else { return Ok(()) };
        let what = format!("has no column `{missing}`");
        let error = self.error(ErrorKind::NotFound, &what);
        let other = |only: &String| [';', '\t', '|', ','].into_iter().find(|between| only.contains(*between));
        Err(match columns {
            [] => error.hint("the file is empty: it has not even a line of names"),
            [only] if other(only).is_some() => {
                let between = other(only).unwrap_or_default();
                error.hint(format!("its fields look parted by {between:?}: set `files.delimiter`"))
            }
            _ => error.hint(format!("it has {}", columns.join(", "))),
        })
    }

    fn row(
        &self,
        record: &Record<'_>,
        columns: Option<&[String]>,
        rows: &mut FieldRows,
        ordinal: u64,
    ) -> Result<()> {
        let mut found: Fields<'_> = vec![];
        let read = match columns {
            Some(columns) => {
                csv::fields(record.bytes, self.spelling.delimiter(), columns, &mut found).map_err(Into::into)
            }
            None => json::fields(record.bytes, &mut found).map_err(str::to_owned),
        };
        let Err(what) = read else {
            rows.push(ordinal, &found);
            return Ok(());
        };
        // With too many fields it is whole, only wrong.
        let short = columns.is_none_or(|columns| found.len() < columns.len());
        if !record.ended && short {
            return Err(self.cut_short(record.line));
        }
        rows.refuse(ordinal, &format!("a row {what}"), self.kept(record));
        Ok(())
    }

    /// What a dead letter keeps of a record that is no row.
    fn kept(&self, record: &Record<'_>) -> Map<String, Json> {
        let text = match std::str::from_utf8(record.bytes) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).into(),
            Err(_) => cell_as_json(Cell::Bytes(record.bytes)),
        };
        let parts = [("$file", Json::from(self.path)), ("$line", Json::from(record.line)), ("$row", text)];
        parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn cut_short(&self, line: u64) -> Error {
        self.error(
            ErrorKind::Corrupt,
            &format!("ends within the row that begins on line {line}: it was cut short"),
        )
        .hint("have it written again, whole; where files are written in place, `files.settle` waits for them")
    }

    fn broken(&self, broken: Broken) -> Error {
        match broken {
            Broken::Open(line) => self.cut_short(line),
            Broken::TooLong(line) => {
                let what = format!("has a row of more than {} MiB, on line {line}", LONGEST >> 20);
                self.error(ErrorKind::Limit, &what).hint("a quote that is never closed makes such rows")
            }
            Broken::Io(error) => self.unread(error),
        }
    }

    /// A file whose bytes do not come, or do not unpack.
    fn unread(&self, error: std::io::Error) -> Error {
        let packed = self.spelling.compression.is_some();
        let inner = error.get_ref().is_some();
        match error.downcast::<object_store::Error>() {
            Ok(error) => self.table.failed(format!("`{}` cannot be read", self.path), error),
            Err(error) if packed && (inner || ErrorKind::of_io(&error) == ErrorKind::Io) => self
                .error(ErrorKind::Corrupt, "cannot be unpacked: it is broken, or was cut short")
                .caused_by(error)
                .hint("have it written again, whole"),
            Err(error) => self.error(ErrorKind::of_io(&error), "cannot be read").caused_by(error),
        }
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        self.table.error(kind, format!("`{}` {what}", self.path))
    }
}
