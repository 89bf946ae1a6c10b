//! Data files read by ourselves: whole files in a table's columns, in the order of their rows. Used where a set of
//! files is meant rather than a snapshot: what a version added, what is staged, what is written anew.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, new_null_array},
    compute::{CastOptions, cast_with_options, take},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    catalog::{TableProvider, streaming::StreamingTable},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask},
    errors::ParquetError,
};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        parquet_file::ParquetFile,
    },
    location::Location,
    table::DataFile,
};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;
/// Batches that are read ahead.
const AHEAD: usize = 2;

/// Does work that reads and decodes by turns where it holds up nobody: on a thread for what blocks.
pub(super) async fn apart<T: Send + 'static>(
    location: &Location,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await;
    done.map_err(|error| location.error(ErrorKind::Internal, "a reader stopped").caused_by(error))?
}

/// The rows of files, in the columns of `schema`: a column that a file lacks is its partition's value, or NULL.
pub(super) fn stream_files(
    location: &Location,
    files: Vec<DataFile>,
    schema: &SchemaRef,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let (send, receive) = mpsc::channel(AHEAD);
    let (location, schema) = (location.clone(), schema.clone());
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        runtime.block_on(async move {
            for file in &files {
                match send_file(&location, file, &schema, &send).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        let _ = send.send(Err(error)).await;
                        return;
                    }
                }
            }
        });
    });
    futures::stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) })
}

/// `false` = nobody listens any more: the reader was dropped.
async fn send_file(
    location: &Location,
    file: &DataFile,
    schema: &SchemaRef,
    send: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<bool> {
    let mut batches = batches_of(location, file, schema, None).await?;
    while let Some(batch) = batches.next().await {
        if send.send(Ok(batch?)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Batches of one file, in the columns of a schema; of its first rows, where a limit is given.
pub(super) async fn batches_of(
    location: &Location,
    file: &DataFile,
    schema: &SchemaRef,
    limit: Option<usize>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    if file.vector || file.path.contains("://") {
        return Err(location
            .error(ErrorKind::Unsupported, "its files have deletion vectors, or lie outside of its folder")
            .hint("have its owner rewrite it (`REORG TABLE … APPLY (PURGE)`), or read it with a cursor"));
    }
    let (path, place) = (location.path(&file.path)?, location.clone());
    let name = file.path.clone();
    let broken = move |error: ParquetError| unreadable(&place, &name, error);
    let reader = ParquetFile { store: location.store.clone(), path, size: file.size };
    let mut builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(&broken)?;
    let present: Vec<usize> =
        schema.fields().iter().filter_map(|field| builder.schema().index_of(field.name()).ok()).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), present);
    if let Some(limit) = limit {
        builder = builder.with_limit(limit);
    }
    let read = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(&broken)?;
    let columns = schema
        .fields()
        .iter()
        .map(|field| match read.schema().index_of(field.name()) {
            Ok(index) => Ok(Column::Read(index)),
            Err(_) => constant(location, file, field.name(), field.data_type()).map(Column::Constant),
        })
        .collect::<Result<_>>()?;
    let path = file.path.clone();
    let shape = Shape { location: location.clone(), path, columns, schema: schema.clone() };
    Ok(read.map(move |batch| shape.of(&batch.map_err(&broken)?)).boxed())
}

/// How batches of a file come into the columns of a schema.
struct Shape {
    location: Location,
    path: String,
    /// For each column of `schema`: where it comes from.
    columns: Vec<Column>,
    schema: SchemaRef,
}

enum Column {
    /// The file's column of this number.
    Read(usize),
    /// One value for all rows.
    Constant(ArrayRef),
}

impl Shape {
    fn of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.columns.iter().zip(self.schema.fields()).map(|(column, field)| match column {
            Column::Read(index) => cast(batch.column(*index), field.data_type()),
            Column::Constant(value) => take(value, &UInt32Array::from(vec![0; rows]), None),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| self.misfit(error))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| self.misfit(error))
    }

    fn misfit(&self, error: arrow::error::ArrowError) -> Error {
        self.location
            .error(ErrorKind::Corrupt, format!("data file `{}` does not fit the table's columns", self.path))
            .caused_by(error)
    }
}

/// A cast that fails instead of making NULLs.
pub(super) fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    if column.data_type() == to {
        return Ok(column.clone());
    }
    cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// A data file that is gone, out of reach, or none.
fn unreadable(location: &Location, path: &str, error: ParquetError) -> Error {
    let error = location.failed(&format!("data file `{path}` cannot be read"), error);
    if error.kind != ErrorKind::NotFound {
        return error;
    }
    error.hint("it was removed by a vacuum, or by hand: restore it, or start again with `position reset`")
}

/// The value of a column that a file does not hold.
pub(super) fn constant(
    location: &Location,
    file: &DataFile,
    column: &str,
    data_type: &DataType,
) -> Result<ArrayRef> {
    // Delta writes NULL and the empty text alike.
    let text = file.partition.get(column).and_then(Option::as_deref).filter(|text| !text.is_empty());
    let Some(text) = text else {
        return Ok(new_null_array(data_type, 1));
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    cast(&text, data_type).map_err(|error| {
        location
            .error(
                ErrorKind::Corrupt,
                format!("partition column `{column}` has a value that is no {data_type}"),
            )
            .caused_by(error)
    })
}

/// Files that are looked into for the size of a row.
const SAMPLES: usize = 4;

/// Bytes of a row as Arrow, by the first rows of some files: how well they compress says nothing of it.
pub(super) async fn row_bytes(location: &Location, files: Vec<DataFile>, schema: &SchemaRef) -> Result<u64> {
    let (inner, schema) = (location.clone(), schema.clone());
    let sampled = async move {
        let (mut bytes, mut rows) = (0, 0);
        for file in files.iter().filter(|file| !file.vector).step_by(files.len().div_ceil(SAMPLES).max(1)) {
            if let Some(batch) = batches_of(&inner, file, &schema, Some(BATCH_ROWS)).await?.next().await {
                let batch = batch?;
                let columns = batch.columns().iter();
                bytes += columns
                    .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
                    .sum::<usize>();
                rows += batch.num_rows();
            }
        }
        Ok((bytes / rows.max(1)).max(1) as u64)
    };
    apart(location, sampled).await
}

/// Files as a table for SQL: what is staged, before a snapshot shows it.
pub(super) fn files_as_table(
    location: &Location,
    files: Vec<DataFile>,
    schema: &SchemaRef,
) -> Result<Arc<dyn TableProvider>> {
    let files = Files { location: location.clone(), files, schema: schema.clone() };
    Ok(Arc::new(StreamingTable::try_new(schema.clone(), vec![Arc::new(files)])?))
}

#[derive(Debug)]
struct Files {
    location: Location,
    files: Vec<DataFile>,
    schema: SchemaRef,
}

impl PartitionStream for Files {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = stream_files(&self.location, self.files.clone(), &self.schema).map_err(Into::into);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows.boxed()))
    }
}
