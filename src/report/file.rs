//! All rows of a report as a file, written by a thread of its own while they come.
//!
//! A place takes files of 50 MB: a larger CSV is zipped, and what is larger still, or a larger workbook, is refused with the way to a smaller one.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    csv::CsvWriter,
    excel::{self, ExcelMeta},
    format,
    rows::ColumnInfo,
};
use crate::{
    config::bot::FileKind,
    connector::error::{Error, ErrorKind, Result},
    workbook::Error as BookError,
};

/// Bytes that a place takes in one file.
pub const FILE_LIMIT: u64 = 50_000_000;
/// Bytes of CSV that are written before it is given up; zipped, rows come to a tenth or so.
pub const CSV_LIMIT: u64 = 1_000_000_000;
/// Rows of a workbook that are written before it is given up.
pub const EXCEL_ROWS: u64 = 2_000_000;

/// Batches on their way to the writing thread.
const AHEAD: usize = 2;

/// What came of writing a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// It lies here.
    File(PathBuf),
    /// It would be too large: what to say.
    TooLarge(String),
}

/// A file to be written.
#[derive(Debug, Clone)]
pub(super) struct FileJob {
    pub(super) kind: FileKind,
    /// The folder that it is made in.
    pub(super) folder: PathBuf,
    /// Without suffix.
    pub(super) name: String,
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<ColumnInfo>,
    pub(super) meta: ExcelMeta,
    pub(super) limits: Limits,
}

/// How large files may be; tests need less.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that a place takes in one file.
    pub file: u64,
    /// Bytes of CSV before it is zipped.
    pub csv: u64,
    /// Rows of a workbook.
    pub excel_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: FILE_LIMIT, csv: CSV_LIMIT, excel_rows: EXCEL_ROWS }
    }
}

/// What the writing thread is told.
enum Step {
    Rows(RecordBatch),
    /// Nothing was left out.
    Finish,
}

/// A file that is being written. Dropped before `finish`, it leaves nothing.
pub(super) struct Writing {
    steps: mpsc::Sender<Step>,
    thread: JoinHandle<Result<Option<Made>>>,
}

impl Writing {
    /// Begins.
    pub(super) fn begin(job: FileJob) -> Self {
        let (steps, inbox) = mpsc::channel(AHEAD);
        Self { steps, thread: tokio::task::spawn_blocking(move || job.write(inbox)) }
    }

    /// Takes rows; where the thread has ended already, `finish` says why.
    pub(super) async fn rows(&self, batch: &RecordBatch) {
        let _ = self.steps.send(Step::Rows(batch.clone())).await;
    }

    /// All rows were taken.
    pub(super) async fn finish(self) -> Result<Made> {
        let _ = self.steps.send(Step::Finish).await;
        drop(self.steps);
        let done = self
            .thread
            .await
            .map_err(|panic| Error::new(ErrorKind::Internal, "writing a file failed").caused_by(panic))?;
        done?.ok_or_else(|| Error::new(ErrorKind::Internal, "a file was left before its end"))
    }
}

impl FileJob {
    fn write(self, inbox: mpsc::Receiver<Step>) -> Result<Option<Made>> {
        fs::create_dir_all(&self.folder).map_err(|error| self.failed(error))?;
        match self.kind {
            FileKind::Csv => self.csv(inbox),
            FileKind::Excel => self.excel(inbox),
        }
    }

    fn csv(&self, mut inbox: mpsc::Receiver<Step>) -> Result<Option<Made>> {
        let path = self.path("csv");
        let file = tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| self.failed(error))?;
        let counted = Counted { inner: BufWriter::new(file), bytes: 0 };
        let begun = CsvWriter::new(counted, &self.columns, &self.meta.words, self.meta.zone);
        let mut writer = begun.map_err(|error| self.failed(error))?;
        loop {
            match inbox.blocking_recv() {
                None => return Ok(None),
                Some(Step::Rows(batch)) => {
                    writer.write(&batch).map_err(|error| self.failed(error))?;
                    if writer.bytes() > self.limits.csv {
                        return Ok(Some(Made::TooLarge(self.too_large(self.limits.csv, true))));
                    }
                }
                Some(Step::Finish) => break,
            }
        }
        let counted = writer.finish().map_err(|error| self.failed(error))?;
        let size = counted.bytes;
        let file = counted.inner.into_inner().map_err(|error| self.failed(error.into_error()))?;
        if size <= self.limits.file {
            file.persist(&path).map_err(|error| self.failed(error.error))?;
            return Ok(Some(Made::File(path)));
        }
        self.zipped(file.path()).map(Some)
    }

    fn zipped(&self, csv: &Path) -> Result<Made> {
        let path = self.path("csv.zip");
        let written = || -> io::Result<u64> {
            let mut zip = zip::ZipWriter::new(BufWriter::new(File::create(&path)?));
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Deflated)
                .large_file(true);
            zip.start_file(format!("{}.csv", self.name), options).map_err(io::Error::other)?;
            io::copy(&mut File::open(csv)?, &mut zip)?;
            zip.finish().map_err(io::Error::other)?.flush()?;
            Ok(fs::metadata(&path)?.len())
        };
        let size = written().map_err(|error| self.failed(error))?;
        self.within(path, size, true)
    }

    fn excel(&self, mut inbox: mpsc::Receiver<Step>) -> Result<Option<Made>> {
        let path = self.path("xlsx");
        let scratch = self.folder.join("scratch");
        let mut book = excel::begin(&path, &scratch, &self.meta, &self.schema, &self.columns)?;
        let mut rows = 0;
        loop {
            match inbox.blocking_recv() {
                None => return Ok(None),
                Some(Step::Rows(batch)) => {
                    rows += batch.num_rows() as u64;
                    if rows > self.limits.excel_rows {
                        return Ok(Some(Made::TooLarge(self.too_many_rows())));
                    }
                    match excel::write(&mut book, &batch) {
                        Err(BookError::CellTooLong { column, .. }) => {
                            return Ok(Some(Made::TooLarge(self.cell_too_long(&column))));
                        }
                        written => written?,
                    }
                }
                Some(Step::Finish) => break,
            }
        }
        book.finish("{}")?;
        let _ = fs::remove_dir_all(&scratch);
        let size = fs::metadata(&path).map_err(|error| self.failed(error))?.len();
        self.within(path, size, false).map(Some)
    }

    fn within(&self, path: PathBuf, size: u64, csv: bool) -> Result<Made> {
        if size <= self.limits.file {
            return Ok(Made::File(path));
        }
        let _ = fs::remove_file(&path);
        Ok(Made::TooLarge(self.too_large(size, csv)))
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.name))
    }

    fn failed(&self, error: io::Error) -> Error {
        let message = format!("the file `{}` cannot be written", self.name);
        Error::new(ErrorKind::of_io(&error), message).caused_by(error)
    }

    fn too_large(&self, size: u64, csv: bool) -> String {
        let words = &self.meta.words;
        let mega = |bytes: u64| format::whole(bytes.div_ceil(1_000_000), words.language());
        let (size, limit) = (mega(size), mega(self.limits.file));
        if csv { words.csv_large(size, limit) } else { words.excel_large(size, limit) }
    }

    fn cell_too_long(&self, column: &str) -> String {
        let known = self.columns.iter().find(|info| info.name == column);
        let title = known.map_or(column, |info| info.title.as_str());
        self.meta.words.excel_cell_long(title)
    }

    fn too_many_rows(&self) -> String {
        let words = &self.meta.words;
        words.excel_rows(format::whole(self.limits.excel_rows, words.language()))
    }
}

/// Counts what goes by.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> CsvWriter<Counted<W>> {
    fn bytes(&self) -> u64 {
        self.target().bytes
    }
}

/// A file's name without what folders and chats take for something else: `Выручка по дням 2026-01-31`.
pub fn name(title: &str, day: chrono::NaiveDate) -> String {
    let letters = title
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, ' ' | '-' | '(' | ')' | ',') { c } else { ' ' });
    let kept: String = letters.take(80).collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    format!("{} {day}", if words.is_empty() { "report".to_owned() } else { words.join(" ") })
}

/// Removes what was made more than an hour ago and nobody took.
pub(super) fn sweep(folder: &Path, now: std::time::SystemTime) {
    const KEPT: std::time::Duration = std::time::Duration::from_hours(1);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let made = entry.metadata().and_then(|data| data.modified());
        if made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > KEPT)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Where a file lies, as screens have it.
pub(super) fn screen_file(path: PathBuf) -> crate::bot::screen::File {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    crate::bot::screen::File { name, path: Arc::new(path) }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::{super::rows::tests::rows_of, *};
    use crate::{bot::words::Words, config::project::Language};

    fn job(kind: FileKind, folder: &Path, limits: Limits) -> (FileJob, RecordBatch) {
        let texts: Vec<String> =
            (0..5_000).map(|at| format!("строка {at} {}", at * 7_919 % 10_007)).collect();
        let rows = rows_of(vec![
            ("n", Arc::new(Int64Array::from((0..5_000).collect::<Vec<i64>>()))),
            ("t", Arc::new(StringArray::from(texts))),
        ]);
        let info = |name: &str| ColumnInfo {
            name: name.into(),
            title: name.to_uppercase(),
            format: None,
            number: name == "n",
        };
        let report = super::super::run::tests::report(&[]);
        let meta = ExcelMeta::of(
            &report,
            &Words::plain(Language::Ru),
            chrono_tz::UTC,
            None,
            chrono::DateTime::UNIX_EPOCH,
        );
        let job = FileJob {
            kind,
            folder: folder.to_owned(),
            name: "Отчёт".into(),
            schema: rows.schema.clone(),
            columns: vec![info("n"), info("t")],
            meta,
            limits,
        };
        (job, rows.batches[0].clone())
    }

    async fn made(kind: FileKind, folder: &Path, limits: Limits) -> Made {
        let (job, batch) = job(kind, folder, limits);
        let writing = Writing::begin(job);
        writing.rows(&batch).await;
        writing.finish().await.unwrap()
    }

    #[tokio::test]
    async fn files_are_made_zipped_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let limits = |file, csv, excel_rows| Limits { file, csv, excel_rows };
        let csv = |limits| made(FileKind::Csv, folder.path(), limits);
        assert_eq!(csv(Limits::default()).await, Made::File(folder.path().join("Отчёт.csv")));
        assert_eq!(csv(limits(90_000, 1_000_000, 0)).await, Made::File(folder.path().join("Отчёт.csv.zip")));
        let zip = zip::ZipArchive::new(File::open(folder.path().join("Отчёт.csv.zip")).unwrap()).unwrap();
        assert_eq!(
            zip.file_names().map(|name| name.unwrap().into_owned()).collect::<Vec<_>>(),
            ["Отчёт.csv"]
        );
        assert!(
            matches!(csv(limits(90_000, 100_000, 0)).await, Made::TooLarge(text) if text.contains("Сократите период"))
        );
        assert!(matches!(csv(limits(100, 1_000_000, 0)).await, Made::TooLarge(_)));
        let excel = |limits| made(FileKind::Excel, folder.path(), limits);
        assert_eq!(excel(Limits::default()).await, Made::File(folder.path().join("Отчёт.xlsx")));
        assert!(
            matches!(excel(limits(1_000, 0, 10_000)).await, Made::TooLarge(text) if text.contains("Excel"))
        );
        assert!(
            matches!(excel(limits(1_000_000, 0, 4_999)).await, Made::TooLarge(text) if text.contains("4\u{202f}999"))
        );
        assert!(!folder.path().join("Отчёт.xlsx").exists());
    }

    #[tokio::test]
    async fn what_is_left_half_way_leaves_nothing() {
        for kind in [FileKind::Csv, FileKind::Excel] {
            let folder = tempfile::tempdir().unwrap();
            let (job, batch) = job(kind, folder.path(), Limits::default());
            let Writing { steps, thread } = Writing::begin(job);
            steps.send(Step::Rows(batch)).await.unwrap();
            drop(steps);
            assert!(thread.await.unwrap().unwrap().is_none());
            let files =
                fs::read_dir(folder.path()).unwrap().flatten().filter(|entry| entry.path().is_file()).count();
            assert_eq!(files, 0);
        }
    }

    #[test]
    fn names_are_harmless() {
        let day = "2026-01-31".parse().unwrap();
        assert_eq!(name("💳 Выручка: «по дням» / ../x", day), "Выручка по дням x 2026-01-31");
        assert_eq!(name("///", day), "report 2026-01-31");
    }
}
