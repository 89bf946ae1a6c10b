//! A workbook from its first sheet to its place in the folder.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use rust_xlsxwriter::{DocProperties, Workbook};

use super::{
    error::{Error, Result},
    guard::guarded,
    labels::Labels,
    record,
    sheet::{OVERHEAD, Sheet},
    spec::{Chart, SheetColumn},
    target::Target,
};
use crate::model::time::Period;

/// Rows of an Excel sheet.
pub const ROW_LIMIT: u32 = 1_048_576;

/// A third faster than the usual 6, and 6 % larger.
const COMPRESSION: u8 = 3;

/// Past this much XML the file needs the large variant of zip.
const LARGE: u64 = 3 << 30;

/// What stands above every table, and what the file carries.
#[derive(Debug, Clone)]
pub struct BookMeta {
    /// Above every table, and in the document's properties.
    pub title: String,
    /// The workbook's own words.
    pub labels: Labels,
    /// When it is made.
    pub generated_at: DateTime<Utc>,
    /// Whose clocks timestamps with a zone are shown by.
    pub zone: Tz,
    /// The days that it speaks of.
    pub period: Option<Period>,
    /// Where rows of large sheets wait until the file is written.
    pub scratch: PathBuf,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Sheets in order, each with its rows (header and totals not counted).
    pub sheets: Vec<(String, u64)>,
    /// What a user should know: sheets that go on in others, values that are written as text.
    pub notes: Vec<String>,
}

/// A workbook that is being written. Dropped before `finish`, or after an error, it leaves the old file as it was.
pub struct Book {
    frame: Frame,
    sheet: Option<Sheet>,
    target: Target,
    /// Rows were lost to an error: what is left must not be published.
    broken: bool,
}

/// What the sheets of a book share.
pub(super) struct Frame {
    pub(super) workbook: Workbook,
    pub(super) meta: BookMeta,
    pub(super) limit: u32,
    pub(super) notes: Vec<String>,
    pub(super) written: Vec<(String, u64)>,
    names: HashSet<String>,
    volume: u64,
}

impl Book {
    /// Begins a workbook that will be `file`. Folders are made; what cannot be written is known here.
    pub fn create(file: &Path, meta: BookMeta) -> Result<Self> {
        if meta.title.encode_utf16().count() > 255 {
            return Err(Error::Internal("a workbook's title has at most 255 characters".into()));
        }
        let target = Target::create(file)?;
        let failed =
            |source| Error::Io { what: "making the scratch folder", path: meta.scratch.clone(), source };
        std::fs::create_dir_all(&meta.scratch).map_err(failed)?;
        let mut workbook = Workbook::new();
        workbook.set_tempdir(&meta.scratch)?;
        workbook.set_zip_compression_level(COMPRESSION);
        let (notes, written, names) = (Vec::new(), Vec::new(), HashSet::new());
        let frame = Frame { workbook, meta, limit: ROW_LIMIT, notes, written, names, volume: 0 };
        Ok(Self { frame, sheet: None, target, broken: false })
    }

    /// Ends sheets at another row than Excel does, so that tests need not write a million.
    #[must_use]
    pub fn with_row_limit(mut self, rows: u32) -> Self {
        self.frame.limit = rows.clamp(OVERHEAD + 1, ROW_LIMIT);
        self
    }

    /// Begins a sheet: its tab, the columns of its rows, how they look, charts. Ends the one before.
    pub fn sheet(
        &mut self,
        name: &str,
        schema: &SchemaRef,
        columns: &IndexMap<String, SheetColumn>,
        charts: &[Chart],
    ) -> Result<()> {
        self.finish_sheet()?;
        self.sheet = Some(Sheet::new(&self.frame, name, schema, columns, charts)?);
        Ok(())
    }

    /// Takes rows of the sheet that was begun last.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { frame, sheet, .. } = self;
        let sheet = sheet.as_mut().ok_or_else(|| Error::Internal("rows before a sheet".into()))?;
        let scratch = frame.meta.scratch.clone();
        let done = guarded(&scratch, || sheet.write(frame, batch));
        self.broken |= done.is_err();
        done
    }

    /// Ends the sheet: totals, charts, widths.
    pub fn finish_sheet(&mut self) -> Result<()> {
        let Some(sheet) = self.sheet.take() else { return Ok(()) };
        let scratch = self.frame.meta.scratch.clone();
        let done = guarded(&scratch, || sheet.finish(&mut self.frame));
        self.broken |= done.is_err();
        done
    }

    /// Writes the file and puts it in place, durably. The record is what [`read_record`](super::read_record) gives back: JSON in one line.
    pub fn finish(mut self, record: &str) -> Result<Written> {
        self.finish_sheet()?;
        if record.contains(char::is_control) {
            return Err(Error::Internal("a workbook's record is one line".into()));
        }
        let Self { mut frame, target, broken, .. } = self;
        if broken {
            return Err(Error::Internal("a sheet failed before".into()));
        }
        if frame.written.is_empty() {
            return Err(Error::Internal("a workbook needs a sheet".into()));
        }
        let properties = DocProperties::new()
            .set_title(&frame.meta.title)
            .set_author("Vitrina")
            .set_creation_datetime(&frame.meta.generated_at);
        frame.workbook.set_properties(&record::keep(properties, record));
        frame.workbook.use_zip_large_file(frame.volume > LARGE);
        let place = target.path().to_owned();
        let scratch = frame.meta.scratch.clone();
        let path = target.publish(|file| {
            guarded(&scratch, || {
                frame.workbook.save_to_writer(file).map_err(|error| named(error.into(), &place))
            })
        })?;
        Ok(Written { path, sheets: frame.written, notes: frame.notes })
    }
}

impl Frame {
    /// Whether a sheet has this name; Excel does not tell cases apart.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.names.contains(&name.to_lowercase())
    }

    /// Notes that a sheet has this name.
    pub(super) fn take(&mut self, name: &str) {
        self.names.insert(name.to_lowercase());
    }

    /// A free name for the `number`th part of a sheet: `По дням (2)`, cut to Excel's 31 characters.
    pub(super) fn further_name(&self, name: &str, number: usize) -> String {
        (number..number + 10_000)
            .map(|number| {
                let ending = format!(" ({number})");
                let mut room = 31 - ending.len();
                let fits = |character: &char| {
                    let units = character.len_utf16();
                    let fits = units <= room;
                    room = if fits { room - units } else { 0 };
                    fits
                };
                let kept: String = name.chars().take_while(fits).collect();
                kept + &ending
            })
            .find(|name| !self.is_taken(name))
            .unwrap_or_default()
    }

    /// Keeps count of how much XML there will be.
    pub(super) fn count(&mut self, batch: &RecordBatch) {
        let cells = batch.num_rows() as u64 * batch.num_columns() as u64;
        self.volume += cells * 64 + batch.get_array_memory_size() as u64 * 2;
    }

    /// The line under the title.
    pub(super) fn remark(&self) -> String {
        let BookMeta { labels, generated_at, zone, period, .. } = &self.meta;
        let day = |day: NaiveDate| day.format(labels.date_pattern).to_string();
        let moment = generated_at.with_timezone(zone);
        let generated =
            format!("{}: {} {} ({zone})", labels.generated, day(moment.date_naive()), moment.format("%H:%M"));
        match period {
            None => generated,
            Some(period) if period.from == period.last() => {
                format!("{}: {} · {generated}", labels.period, day(period.from))
            }
            Some(period) => {
                let (from, last) = (day(period.from), day(period.last()));
                format!("{}: {from} – {last} · {generated}", labels.period)
            }
        }
    }
}

/// The library does not say which file failed.
fn named(error: Error, place: &Path) -> Error {
    match error {
        Error::Io { what, path, source } if path.as_os_str().is_empty() => {
            Error::Io { what, path: place.to_owned(), source }
        }
        other => other,
    }
}
