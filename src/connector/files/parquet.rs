//! Rows of Parquet files, in columns of plain types.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use futures::{StreamExt as _, stream::BoxStream};
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask},
    errors::ParquetError,
};

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        objects::root::told,
        parquet_file::ParquetFile,
    },
    place::{Found, Table},
};
use crate::model::column::ColumnType;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

type Builder = ParquetRecordBatchStreamBuilder<ParquetFile>;

/// A Parquet file whose footer was read.
pub(super) struct Opened {
    builder: Builder,
    table: Table,
    path: Arc<str>,
    /// Its columns, in plain types.
    pub(super) columns: SchemaRef,
}

impl Opened {
    /// Reads the footer.
    pub(super) async fn new(table: &Table, file: &Found) -> Result<Self> {
        let path: Arc<str> = file.path.as_str().into();
        let reader = ParquetFile { store: table.store.clone(), path: table.path(&path)?, size: file.size };
        let builder = Builder::new(reader).await.map_err(|error| unreadable(table, &path, error))?;
        let columns = plain(builder.schema());
        Ok(Self { builder, table: table.clone(), path, columns })
    }

    /// Rows that the footer tells of.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// The rows, in the file's columns of these names, in the file's order.
    pub(super) fn batches(self, names: &[&str]) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let Self { builder, table, path, columns } = self;
        let wanted = columns.fields().iter().enumerate();
        let wanted: Vec<usize> =
            wanted.filter(|(_, field)| names.contains(&field.name().as_str())).map(|(at, _)| at).collect();
        let schema = Arc::new(columns.project(&wanted)?);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let stream = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
        let stream = stream.map_err(|error| unreadable(&table, &path, error))?;
        let batch = move |batch: Result<RecordBatch, ParquetError>| {
            let batch = batch.map_err(|error| unreadable(&table, &path, error))?;
            let columns = batch.columns().iter().zip(schema.fields());
            let columns = columns.map(|(column, field)| cast(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| {
                let what = format!("`{path}` has values that its own types do not hold");
                table.error(ErrorKind::Corrupt, what).caused_by(error)
            })?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
        };
        Ok(stream.map(batch).boxed())
    }
}

/// Columns without views, dictionaries and a file's own metadata.
fn plain(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        Field::new(field.name(), ColumnType::of(field.data_type()).arrow().clone(), field.is_nullable())
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// A cast that fails instead of making NULLs.
pub(super) fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    if column.data_type() == to {
        return Ok(column.clone());
    }
    cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// A file that is gone, out of reach, or no Parquet.
fn unreadable(table: &Table, path: &str, error: ParquetError) -> Error {
    let what = format!("{}: `{path}` cannot be read", table.describe());
    match error {
        ParquetError::External(inner) => match inner.downcast::<object_store::Error>() {
            Ok(error) => told(what, *error),
            Err(inner) => Error::new(ErrorKind::Corrupt, what).caused_by(inner),
        },
        error => Error::new(ErrorKind::Corrupt, format!("{what}: it is no whole Parquet file"))
            .caused_by(error)
            .hint("have it written again, whole; where files are written in place, `files.settle` waits for them"),
    }
}
