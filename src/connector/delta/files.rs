//! Data files written where no reader sees them: no log entry names them yet.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    panic,
    sync::{Arc, Once},
};

use arrow::{
    array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::SchemaRef,
};
use datafusion::common::{
    HashSet,
    hash_utils::{RandomState, create_hashes},
};
use deltalake::{
    datafile::writer::{DeltaWriter, WriterConfig},
    kernel::Add,
    operations::get_num_idx_cols_and_stats_columns,
};
use parquet::{
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    super::error::{ErrorKind, Result},
    location::Location,
    read::cast,
    table::Table,
};

/// Bytes of a data file, about.
pub(super) const TARGET_BYTES: u64 = 128 << 20;
/// Rows of a row group: what is held in memory until it is encoded.
const GROUP_ROWS: usize = 256 << 10;
/// Rows that are encoded at a time.
const WRITE_ROWS: usize = 8192;
/// Rows that are looked at to guess which columns repeat themselves; of less than half as many values nothing is guessed.
const SAMPLE: usize = 8192;
/// Batches that wait to be encoded while the next ones are read.
const AHEAD: usize = 4;

/// Encodes batches into data files on a thread of its own, so that reading and encoding overlap. Dropped before
/// [`finish`](Self::finish), it removes what it began.
pub(super) struct FileWriter {
    location: Location,
    schema: SchemaRef,
    send: mpsc::Sender<Message>,
    task: JoinHandle<Result<Vec<Add>>>,
}

enum Message {
    Batch(RecordBatch),
    Finish,
}

impl FileWriter {
    /// Begins files of a table in the columns of `schema`.
    pub(super) fn start(table: &Table, schema: &SchemaRef, partition_columns: &[String]) -> Result<Self> {
        hush_second_aborts();
        let (indexed, statistics) =
            get_num_idx_cols_and_stats_columns(Some(table.state()?.table_config()), HashMap::new());
        let config = WriterConfig::new(
            schema.clone(),
            partition_columns.to_vec(),
            None,
            NonZeroU64::new(TARGET_BYTES),
            Some(WRITE_ROWS),
            indexed,
            statistics,
        );
        let writer = DeltaWriter::new(Arc::clone(&table.location.loose), config);
        let (send, receive) = mpsc::channel(AHEAD);
        let (location, runtime) = (table.location.clone(), tokio::runtime::Handle::current());
        let task = tokio::task::spawn_blocking(move || runtime.block_on(encode(location, writer, receive)));
        Ok(Self { location: table.location.clone(), schema: schema.clone(), send, task })
    }

    /// Takes rows; columns that they lack are NULL.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.widen(batch)?;
        if self.send.send(Message::Batch(batch)).await.is_err() {
            // The encoder stopped early: it says why.
            (&mut self.task).await.map_err(|error| self.stopped(error))??;
        }
        Ok(())
    }

    /// The files. They stay once a log entry names them.
    pub(super) async fn finish(self) -> Result<Vec<Add>> {
        let _ = self.send.send(Message::Finish).await;
        match self.task.await {
            Ok(adds) => adds,
            Err(error) => {
                Err(self.location.error(ErrorKind::Internal, "the encoder stopped").caused_by(error))
            }
        }
    }

    fn stopped(&self, error: tokio::task::JoinError) -> super::super::error::Error {
        self.location.error(ErrorKind::Internal, "the encoder stopped").caused_by(error)
    }

    /// Rows in the columns of its files, as [`write`](Self::write) has them.
    pub(super) fn widen(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch.clone());
        }
        let rows = batch.num_rows();
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows)),
        });
        let misfit = |error: arrow::error::ArrowError| {
            self.location.error(ErrorKind::BadData, "rows do not fit its columns").caused_by(error)
        };
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(misfit)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(misfit)
    }
}

/// How files are encoded is decided by the first rows.
async fn encode(
    location: Location,
    mut writer: DeltaWriter,
    mut receive: mpsc::Receiver<Message>,
) -> Result<Vec<Add>> {
    let mut begun = false;
    loop {
        match receive.recv().await {
            Some(Message::Batch(batch)) => {
                if !begun {
                    writer = writer.with_writer_properties(properties(&location, &batch)?);
                    begun = true;
                }
                if let Err(error) = writer.write(&batch).await {
                    abandon(writer).await;
                    return Err(location.failed("its data files cannot be written", error));
                }
            }
            Some(Message::Finish) => {
                let adds = writer.close().await;
                let adds =
                    adds.map_err(|error| location.failed("its data files cannot be written", error))?;
                return Ok(adds.into_iter().map(without_empty_texts).collect());
            }
            None => {
                abandon(writer).await;
                return Ok(vec![]);
            }
        }
    }
}

/// Delta has no empty text in a partition column: readers take it for NULL, so it is written as what it will be.
fn without_empty_texts(mut add: Add) -> Add {
    for value in add.partition_values.values_mut() {
        value.take_if(|text| text.is_empty());
    }
    add
}

async fn abandon(writer: DeltaWriter) {
    if let Err(error) = writer.abort().await {
        // Vacuum removes what is left.
        tracing::debug!(%error, "unfinished data files could not be removed");
    }
}

/// The library aborts an upload that failed twice, and catches the panic that comes of it; the failure itself is told as an
/// error, so the panic's message would only mislead.
fn hush_second_aborts() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            let there = what.location().is_some_and(|place| place.file().ends_with("src/buffered.rs"));
            let text = what.payload().downcast_ref::<&str>();
            if !(there && text == Some(&"Already shut down")) {
                usual(what);
            }
        }));
    });
}

fn properties(location: &Location, first: &RecordBatch) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|error| {
        location.error(ErrorKind::Internal, "its files cannot be compressed").caused_by(error)
    })?;
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("vitrina {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for (field, column) in first.schema_ref().fields().iter().zip(first.columns()) {
        if never_repeats(column) {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_dictionary_enabled(path, false);
        }
    }
    Ok(properties.build())
}

/// Whether a column's first values are all different, but for one in a hundred: so many different ones would overflow a row group's dictionary, and be written twice over. A column that repeats
/// itself later on is only larger for it.
fn never_repeats(column: &ArrayRef) -> bool {
    let sample = column.slice(0, column.len().min(SAMPLE));
    let values = sample.len() - sample.null_count();
    if values < SAMPLE / 2 || sample.data_type().is_nested() {
        return false;
    }
    let mut hashes = vec![0; sample.len()];
    if create_hashes([&sample], &RandomState::default(), &mut hashes).is_err() {
        return false;
    }
    let (mut seen, mut again) = (HashSet::with_capacity(values), 0);
    (0..sample.len()).filter(|at| sample.is_valid(*at)).all(|at| {
        again += usize::from(!seen.insert(hashes[at]));
        again <= values / 100
    })
}

/// Files that no log entry names yet: removed when dropped, unless they were kept.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    files: Vec<String>,
    location: Option<Location>,
    kept: bool,
}

impl Unnamed {
    /// Watches over more files.
    pub(super) fn add(&mut self, table: &Table, adds: &[Add]) {
        self.location = Some(table.location.clone());
        self.files.extend(adds.iter().map(|add| add.path.clone()));
    }

    /// From here on a log entry may name them.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// It is sure that no log entry names them.
    pub(super) fn release(&mut self) {
        self.kept = false;
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let (false, Some(location)) = (self.kept, &self.location) {
            location.discard(std::mem::take(&mut self.files));
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn columns_that_never_repeat_are_told_by_their_first_values() {
        let never = |values: Vec<Option<i64>>| never_repeats(&(Arc::new(Int64Array::from(values)) as _));
        let distinct = |count: usize| (0..count as i64).map(Some).collect::<Vec<_>>();
        assert!(never(distinct(SAMPLE / 2)) && !never(distinct(SAMPLE / 2 - 1)), "too few to tell");
        let one_in_a_hundred = SAMPLE / 100;
        let again = |count: usize| [distinct(SAMPLE - count), vec![Some(0); count]].concat();
        assert!(never(again(one_in_a_hundred)) && !never(again(one_in_a_hundred + 1)));
        assert!(
            never([distinct(SAMPLE), vec![Some(0); SAMPLE]].concat()),
            "what comes later is not looked at"
        );
        assert!(!never([distinct(SAMPLE / 2 - 1), vec![None; SAMPLE]].concat()), "NULLs are no values");
        let texts: StringArray = (0..SAMPLE).map(|at| Some(format!("{}", at % 7))).collect();
        assert!(!never_repeats(&(Arc::new(texts) as _)));
    }
}
