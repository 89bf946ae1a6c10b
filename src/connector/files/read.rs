//! Rows of files, one file after another: against a contract, or in columns that are known.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions, UInt64Array, new_null_array},
    datatypes::{Field, FieldRef, Schema, SchemaRef},
};
use chrono_tz::Tz;
use futures::{StreamExt as _, stream, stream::BoxStream};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    super::{
        cells::{BatchDecoder, Rules},
        error::{ErrorKind, Result},
        source::Chunk,
        textual::{FieldRows, Others},
    },
    bytes,
    config::Format,
    format::Spelling,
    parquet::{Opened, cast},
    place::{Found, Table},
    text::Text,
};
use crate::model::column::{Contract, Unlisted};

/// Chunks that are read ahead.
const AHEAD: usize = 2;

/// A data file, and how it is read.
#[derive(Debug, Clone)]
pub(super) struct DataFile {
    /// The file.
    pub(super) found: Found,
    /// How its rows are spelled.
    pub(super) spelling: Spelling,
    /// Its columns, where a manifest knows them; a file that lacks one has NULL there.
    pub(super) known: Option<SchemaRef>,
}

/// What rows are made of files.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A unit's rows, whose schema is pinned; judged by the contract.
    Judged { contract: Option<Contract>, zone: Tz, schema: SchemaRef },
    /// These columns.
    Plain(SchemaRef),
}

impl Shape {
    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Judged { schema, .. } | Self::Plain(schema) => schema,
        }
    }
}

impl Table {
    /// The columns that a file declares.
    pub(super) async fn declared(&self, file: &DataFile, contract: Option<&Contract>) -> Result<SchemaRef> {
        if let Some(known) = &file.known {
            return Ok(known.clone());
        }
        if file.spelling.format == Format::Parquet {
            return Ok(Opened::new(self, &file.found).await?.columns);
        }
        let path = file.found.path.clone();
        let input = bytes::open(self, &path, file.spelling.compression).await?;
        let (table, spelling, columns) = (self.clone(), file.spelling, listed(contract));
        let look = move || Text { table: &table, path: &path, spelling, columns: &columns }.declared(input);
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|error| self.error(ErrorKind::Internal, "a reader stopped").caused_by(error))?
    }

    /// The columns that rows of a file come out in, as a contract has it.
    pub(super) async fn target(
        &self,
        file: &DataFile,
        contract: Option<&Contract>,
        zone: Tz,
    ) -> Result<SchemaRef> {
        let listed = contract.filter(|contract| contract.unlisted != Unlisted::Keep);
        if let Some(contract) = listed {
            return Ok(of_contract(contract));
        }
        let declared = self.declared(file, contract).await?;
        let declared = match contract {
            // What no line shows may be in the next one.
            Some(contract) if file.spelling.format == Format::Jsonl && file.known.is_none() => {
                with_columns(&declared, contract)
            }
            _ => declared,
        };
        let shown = self.shown_file(&file.found.path);
        Ok(BatchDecoder::new(&shown, &declared, contract, zone)?.target)
    }

    fn shown_file(&self, path: &str) -> String {
        format!("{}: `{path}`", self.describe())
    }
}

/// The columns of a contract that names all there are.
pub(super) fn of_contract(contract: &Contract) -> SchemaRef {
    let columns = contract.columns.iter();
    let columns =
        columns.map(|(name, column)| Field::new(name, column.kind.arrow().clone(), column.nullable));
    Arc::new(Schema::new(columns.collect::<Vec<_>>()))
}

fn with_columns(declared: &SchemaRef, contract: &Contract) -> SchemaRef {
    let mut fields: Vec<FieldRef> = declared.fields().to_vec();
    for (name, column) in &contract.columns {
        if declared.column_with_name(name).is_none() {
            fields.push(Arc::new(Field::new(name, column.kind.arrow().clone(), true)));
        }
    }
    Arc::new(Schema::new(fields))
}

fn listed(contract: Option<&Contract>) -> Vec<String> {
    contract.map(|contract| contract.columns.keys().cloned().collect()).unwrap_or_default()
}

/// The rows of files, in order; ordinals go on from file to file. A file that is another one than was listed is an error.
pub(super) fn chunks(table: &Table, files: Vec<DataFile>, shape: Shape) -> BoxStream<'static, Result<Chunk>> {
    let (send, receive) = mpsc::channel(AHEAD);
    let (table, runtime) = (table.clone(), Handle::current());
    tokio::task::spawn_blocking(move || {
        let mut reader = Reader { table, runtime, shape, next: 0, send };
        for file in &files {
            match reader.file(file) {
                Ok(()) if reader.send.is_closed() => return,
                Ok(()) => {}
                Err(error) => {
                    let _ = reader.send.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) }).boxed()
}

struct Reader {
    table: Table,
    runtime: Handle,
    shape: Shape,
    /// The number of the next row.
    next: u64,
    send: mpsc::Sender<Result<Chunk>>,
}

impl Reader {
    fn file(&mut self, file: &DataFile) -> Result<()> {
        self.check(&file.found)?;
        if file.spelling.format == Format::Parquet {
            self.parquet(file)?;
        } else {
            self.text(file)?;
        }
        self.check(&file.found)
    }

    /// Whether the file is still the one that was listed. Whoever is written into a manifest has no tag, and never changes.
    fn check(&self, listed: &Found) -> Result<()> {
        let now = self.runtime.block_on(self.table.now(&listed.path))?;
        let same = now
            .as_ref()
            .is_some_and(|now| now.size == listed.size && (listed.tag.is_empty() || now.tag == listed.tag));
        if same {
            return Ok(());
        }
        let what = if now.is_some() { "is another file" } else { "is gone" };
        let what = format!("`{}` {what} since it was listed", listed.path);
        Err(self.table.error(ErrorKind::SourceChanged, what)
            .hint("let files be whole before their names show, and leave them as they are; the next run lists them anew"))
    }

    fn give(&self, chunk: Chunk) -> bool {
        self.send.blocking_send(Ok(chunk)).is_ok()
    }

    fn text(&mut self, file: &DataFile) -> Result<()> {
        let (schema, contract) = (self.shape.schema().clone(), self.contract().cloned());
        let zone = match &self.shape {
            Shape::Judged { zone, .. } => *zone,
            Shape::Plain(_) => Tz::UTC,
        };
        let null_values = contract.as_ref().map(|contract| contract.null_values.clone()).unwrap_or_default();
        let rules = Rules { null_values, zone, epoch: contract.is_some() };
        let refuses = contract.as_ref().is_some_and(|contract| contract.unlisted == Unlisted::Bad);
        let others = if refuses { Others::Refuse } else { Others::Drop };
        let mut rows = FieldRows::new(schema.clone(), rules, others)?;
        let needed: Vec<String> = match file.known {
            Some(_) => vec![],
            None => schema.fields().iter().map(|field| field.name().clone()).collect(),
        };
        let path = &file.found.path;
        let input = self.runtime.block_on(bytes::open(&self.table, path, file.spelling.compression))?;
        let columns = listed(contract.as_ref());
        let text = Text { table: &self.table, path, spelling: file.spelling, columns: &columns };
        let mut next = self.next;
        text.read(input, &mut rows, &needed, &mut next, &mut |chunk| self.give(chunk))?;
        self.next = next;
        Ok(())
    }

    fn contract(&self) -> Option<&Contract> {
        match &self.shape {
            Shape::Judged { contract, .. } => contract.as_ref(),
            Shape::Plain(_) => None,
        }
    }

    fn parquet(&mut self, file: &DataFile) -> Result<()> {
        let opened = self.runtime.block_on(Opened::new(&self.table, &file.found))?;
        let shown = self.table.shown_file(&file.found.path);
        let columns = file.known.clone().unwrap_or_else(|| opened.columns.clone());
        let decoder = match &self.shape {
            Shape::Judged { contract, zone, schema } => {
                Some(BatchDecoder::of_unit(&shown, &columns, contract.as_ref(), *zone, schema)?)
            }
            Shape::Plain(_) => None,
        };
        let wanted = decoder.as_ref().map_or(self.shape.schema(), |decoder| &decoder.source).clone();
        if file.known.is_none() {
            let lacking = wanted.fields().iter().find(|field| opened.columns.index_of(field.name()).is_err());
            if let Some(field) = lacking {
                let what = format!("`{}` has no column `{}`", file.found.path, field.name());
                return Err(self
                    .table
                    .error(ErrorKind::SchemaChanged, what)
                    .hint("name files of the same columns by a pattern, or their columns by a contract"));
            }
        }
        let names: Vec<&str> = wanted.fields().iter().map(|field| field.name().as_str()).collect();
        let told = opened.rows();
        let (mut batches, mut rows) = (opened.batches(&names)?, 0);
        while let Some(batch) = self.runtime.block_on(batches.next()) {
            let batch = self.shaped(&batch?, &wanted, &file.found.path)?;
            let count = batch.num_rows() as u64;
            rows += count;
            let ordinals = UInt64Array::from_iter_values(self.next..self.next + count);
            self.next += count;
            let chunk = match &decoder {
                Some(decoder) => decoder.decode(&batch, ordinals)?,
                None => Chunk { batch, ordinals, bad: vec![] },
            };
            if !self.give(chunk) {
                return Ok(());
            }
        }
        if rows == told {
            return Ok(());
        }
        let what = format!("`{}` holds {rows} rows and tells of {told}", file.found.path);
        Err(self.table.error(ErrorKind::Corrupt, what))
    }

    /// A batch in these columns; one that it lacks is NULL.
    fn shaped(&self, batch: &RecordBatch, wanted: &SchemaRef, path: &str) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = wanted.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows)),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| {
            let what = format!("`{path}` has values of other types than the table");
            self.table.error(ErrorKind::SchemaChanged, what).caused_by(error)
        })?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(wanted.clone(), columns, &options)?)
    }
}
