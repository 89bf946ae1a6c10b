//! Rows put into files that no manifest names yet.

use std::{
    io::{self, Write},
    sync::Arc,
};

use arrow::{
    array::{Array as _, RecordBatch, StringArray},
    compute::{cast, kernels::cmp},
    datatypes::{DataType, Schema, SchemaRef},
};
use flate2::write::GzEncoder;
use object_store::buffered::BufWriter;
use parquet::{
    arrow::AsyncArrowWriter,
    basic::{Compression as Codec, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};
use tokio::{io::AsyncWriteExt as _, runtime::Handle};

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        objects::root::told,
        textual::{csv, json::Encoder},
    },
    config::{Compression, Format},
    format::Spelling,
    manifest::{Named, Part},
    place::Table,
};

/// Bytes after which a file is closed and the next one begun, about.
const FILE_BYTES: u64 = 256 << 20;
/// Rows of a row group: what is held in memory until it is encoded.
const GROUP_ROWS: usize = 128 << 10;
/// Bytes that are sent at once, and how many such pieces are underway.
const PIECE: usize = 8 << 20;
const UNDERWAY: usize = 2;

/// Files that no manifest names yet: removed when dropped, unless they were kept.
#[derive(Debug)]
pub(super) struct Unnamed {
    table: Table,
    /// The files.
    pub(super) files: Vec<Named>,
    kept: bool,
}

impl Unnamed {
    /// None yet.
    pub(super) fn new(table: &Table) -> Self {
        Self { table: table.clone(), files: vec![], kept: false }
    }

    /// From here on a manifest may name them.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// It is sure that no manifest names them.
    pub(super) fn release(&mut self) {
        self.kept = false;
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if self.kept || self.files.is_empty() {
            return;
        }
        self.table.discard(self.files.iter().map(|file| file.name.as_str()));
    }
}

/// What a unit's files are.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Their columns.
    pub(super) schema: SchemaRef,
    /// How they are spelled.
    pub(super) spelling: Spelling,
    /// What the files' names begin with.
    pub(super) name: String,
    /// What of the table they hold; `None` = any rows.
    pub(super) part: Option<Part>,
}

/// Writes batches into files, on a thread for work that blocks.
pub(super) fn write(
    table: &Table,
    plan: &Plan,
    batches: &mut dyn Iterator<Item = RecordBatch>,
) -> Result<Unnamed> {
    let runtime = Handle::current();
    let mut written = Unnamed::new(table);
    let mut open: Option<Open> = None;
    for batch in batches {
        if batch.num_rows() == 0 {
            continue;
        }
        stays_inside(table, plan, &batch)?;
        let file = match &mut open {
            Some(file) => file,
            none => none.insert(Open::new(table, plan, written.files.len())?),
        };
        runtime.block_on(file.write(&batch))?;
        if file.bytes() >= FILE_BYTES {
            close(&mut open, &mut written, &runtime)?;
        }
    }
    close(&mut open, &mut written, &runtime)?;
    Ok(written)
}

fn close(open: &mut Option<Open>, written: &mut Unnamed, runtime: &Handle) -> Result<()> {
    let Some(file) = open.take() else { return Ok(()) };
    let (table, name) = (written.table.clone(), file.named.name.clone());
    let mut named = runtime.block_on(file.finish())?;
    written.files.push(named.clone());
    let there = runtime.block_on(table.now(&table.inside(&name)))?;
    let gone = || table.error(ErrorKind::NotFound, format!("`{name}` is gone after it was written"));
    named.bytes = there.ok_or_else(gone)?.size;
    if let Some(last) = written.files.last_mut() {
        *last = named;
    }
    Ok(())
}

/// A row of another part would be there twice after the next replacement.
fn stays_inside(table: &Table, plan: &Plan, batch: &RecordBatch) -> Result<()> {
    let Some(Part::Of(values)) = &plan.part else { return Ok(()) };
    for (column, value) in values {
        let found = batch.column_by_name(column).ok_or_else(|| {
            table.error(
                ErrorKind::SchemaChanged,
                format!("the rows have no column `{column}`, which tells members apart"),
            )
        })?;
        let texts = cast(found, &DataType::Utf8)?;
        let inside = cmp::eq(&texts, &StringArray::new_scalar(value))?;
        if texts.null_count() > 0 || inside.true_count() < batch.num_rows() {
            let what = format!("a row has another `{column}` than its member");
            return Err(table
                .error(ErrorKind::BadData, what)
                .hint("mend the SQL: a member replaces its own rows only"));
        }
    }
    Ok(())
}

/// A file that is being written.
struct Open {
    table: Table,
    named: Named,
    content: Content,
}

enum Content {
    Parquet(Box<AsyncArrowWriter<BufWriter>>),
    Text { packer: Packer, out: Box<BufWriter>, spelling: Spelling, bytes: u64 },
}

impl Open {
    fn new(table: &Table, plan: &Plan, number: usize) -> Result<Self> {
        let name = format!("{}-{number}.{}", plan.name, plan.spelling.suffix());
        let path = table.path(&table.inside(&name))?;
        let out = BufWriter::with_capacity(table.store.clone(), path, PIECE).with_max_concurrency(UNDERWAY);
        let content = match plan.spelling.format {
            Format::Parquet => {
                let properties = properties().map_err(|error| of_parquet(table, &name, error))?;
                let writer = AsyncArrowWriter::try_new(out, plan.schema.clone(), Some(properties));
                Content::Parquet(Box::new(writer.map_err(|error| of_parquet(table, &name, error))?))
            }
            _ => {
                let packer =
                    Packer::new(plan.spelling.compression).map_err(|error| of_io(table, &name, error))?;
                Content::Text { packer, out: Box::new(out), spelling: plan.spelling, bytes: 0 }
            }
        };
        let named = Named { name, bytes: 0, rows: Some(0), part: plan.part.clone() };
        let mut open = Self { table: table.clone(), named, content };
        open.head(&plan.schema)?;
        Ok(open)
    }

    /// The names of CSV's columns.
    fn head(&mut self, schema: &SchemaRef) -> Result<()> {
        let Content::Text { packer, spelling, .. } = &mut self.content else { return Ok(()) };
        if spelling.format != Format::Csv {
            return Ok(());
        }
        let mut line = vec![];
        for (at, field) in schema.fields().iter().enumerate() {
            if at > 0 {
                line.push(spelling.delimiter());
            }
            csv::write(field.name().as_bytes(), spelling.delimiter(), &mut line);
        }
        line.push(b'\n');
        packer.write(&line).map_err(|error| of_io(&self.table, &self.named.name, error))
    }

    fn bytes(&self) -> u64 {
        match &self.content {
            Content::Parquet(writer) => writer.bytes_written() as u64,
            Content::Text { bytes, .. } => *bytes,
        }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.named.rows = self.named.rows.map(|rows| rows + batch.num_rows() as u64);
        let (table, name) = (&self.table, &self.named.name);
        match &mut self.content {
            Content::Parquet(writer) => {
                writer.write(batch).await.map_err(|error| of_parquet(table, name, error))
            }
            Content::Text { packer, out, spelling, bytes } => {
                let (encoder, mut lines) = (Encoder::new(batch)?, vec![]);
                for row in 0..batch.num_rows() {
                    match spelling.format {
                        Format::Csv => encoder.record(row, spelling.delimiter(), &mut lines)?,
                        _ => encoder.row(row, &mut lines)?,
                    }
                    lines.push(b'\n');
                }
                let packed = packer.write(&lines).map(|()| packer.take());
                let packed = packed.map_err(|error| of_io(table, name, error))?;
                *bytes += packed.len() as u64;
                out.write_all(&packed).await.map_err(|error| of_io(table, name, error))
            }
        }
    }

    /// The whole file, there to stay: its content was synced before its name showed.
    async fn finish(self) -> Result<Named> {
        let Self { table, named, content } = self;
        match content {
            Content::Parquet(writer) => {
                writer.close().await.map_err(|error| of_parquet(&table, &named.name, error))?;
            }
            Content::Text { packer, mut out, .. } => {
                let failed = |error| of_io(&table, &named.name, error);
                out.write_all(&packer.finish().map_err(failed)?).await.map_err(failed)?;
                out.shutdown().await.map_err(failed)?;
            }
        }
        Ok(named)
    }
}

/// Packs text.
enum Packer {
    Plain(Vec<u8>),
    Gz(Box<GzEncoder<Vec<u8>>>),
    Zst(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Packer {
    fn new(how: Option<Compression>) -> io::Result<Self> {
        Ok(match how {
            None => Self::Plain(vec![]),
            Some(Compression::Gz) => {
                Self::Gz(Box::new(GzEncoder::new(vec![], flate2::Compression::default())))
            }
            Some(Compression::Zst) => Self::Zst(Box::new(zstd::Encoder::new(vec![], 1)?)),
        })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => Write::write_all(out, text),
            Self::Gz(out) => Write::write_all(out, text),
            Self::Zst(out) => Write::write_all(out, text),
        }
    }

    /// What was packed so far.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Plain(out) => out,
            Self::Gz(out) => out.get_mut(),
            Self::Zst(out) => out.get_mut(),
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gz(out) => out.finish(),
            Self::Zst(out) => out.finish(),
        }
    }
}

fn properties() -> Result<WriterProperties, ParquetError> {
    Ok(WriterProperties::builder()
        .set_created_by(format!("vitrina {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Codec::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build())
}

fn of_parquet(table: &Table, name: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => of_io(table, name, *error),
            Err(inner) => not_written(table, name, ErrorKind::Io).caused_by(inner),
        },
        error => not_written(table, name, ErrorKind::Io).caused_by(error),
    }
}

fn of_io(table: &Table, name: &str, error: io::Error) -> Error {
    match error.downcast::<object_store::Error>() {
        Ok(error) => told(format!("{}: `{name}` cannot be written", table.describe()), error),
        Err(error) => not_written(table, name, ErrorKind::of_io(&error)).caused_by(error),
    }
}

fn not_written(table: &Table, name: &str, kind: ErrorKind) -> Error {
    table.error(kind, format!("`{name}` cannot be written"))
}

/// The schema of files: every column may be NULL, what may not is judged before rows come here.
pub(super) fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
