//! A merge's rows: the last one of each key, in the order they came.
//!
//! Which row is a key's last is known only at the end. So rows are spooled (in memory, past a limit in a temporary
//! file), while a map from key digest to row number is kept; then the rows that are named by it are written.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufReader, Seek as _, SeekFrom},
    path::PathBuf,
    sync::Arc,
};

use arrow::{
    array::{AsArray as _, BooleanArray, RecordBatch},
    compute::{and, filter_record_batch, not},
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
};

use super::{
    super::error::{ErrorKind, Result},
    bounds::{Bounds, bounds_of, joined},
    digest::{KeyDigest, digests},
    erase::Erase,
    failure::io_failed,
    location::Location,
    read::cast,
};
use crate::{connector::sink::DeleteHow, model::unit::DELETED};

/// Bytes of rows that are kept in memory; past it they wait in a temporary file.
const SPOOL_BYTES: usize = 64 << 20;

/// Takes a merge's rows in, gives the surviving ones out.
pub(super) struct Merge {
    location: Location,
    key: Vec<String>,
    delete: Option<DeleteHow>,
    /// The table's columns: digests are of its types.
    schema: SchemaRef,
    last: HashMap<KeyDigest, u64>,
    bounds: Option<Vec<Option<Bounds>>>,
    rows: u64,
    spool: Spool,
}

impl Merge {
    /// Before the first row. `scratch` is where a spool may lie.
    pub(super) fn new(
        location: &Location,
        key: &[String],
        delete: Option<DeleteHow>,
        schema: &SchemaRef,
        scratch: PathBuf,
    ) -> Self {
        Self {
            location: location.clone(),
            key: key.to_vec(),
            delete,
            schema: schema.clone(),
            last: HashMap::new(),
            bounds: None,
            rows: 0,
            spool: Spool { scratch, memory: vec![], bytes: 0, file: None },
        }
    }

    /// Takes rows, in arrival order.
    pub(super) fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let columns = self
            .key
            .iter()
            .map(|name| {
                let column = batch.column_by_name(name).ok_or_else(|| {
                    self.location.error(ErrorKind::SchemaChanged, format!("rows have no key column `{name}`"))
                })?;
                if column.null_count() > 0 {
                    return Err(self.location.error(
                        ErrorKind::BadData,
                        format!("a row has no value in its key column `{name}`"),
                    ));
                }
                let field = self.schema.field_with_name(name).map_err(super::super::error::Error::from)?;
                Ok(cast(column, field.data_type())?)
            })
            .collect::<Result<Vec<_>>>()?;
        for digest in digests(&columns)? {
            self.last.insert(digest, self.rows);
            self.rows += 1;
        }
        let found: Vec<_> = columns.iter().map(bounds_of).collect();
        if batch.num_rows() > 0 {
            self.bounds = Some(match self.bounds.take() {
                None => found,
                Some(known) => known.into_iter().zip(found).map(|(a, b)| joined(a, b)).collect(),
            });
        }
        self.spool.push(&self.location, batch)
    }

    /// What the rows replace, and those of them that survive, in arrival order.
    pub(super) fn finish(self) -> Result<(Erase, impl Iterator<Item = Result<RecordBatch>> + Send + use<>)> {
        let mut survives = vec![false; usize::try_from(self.rows).unwrap_or(usize::MAX)];
        for number in self.last.values() {
            survives[usize::try_from(*number).unwrap_or(usize::MAX)] = true;
        }
        let delete = self.delete;
        let mut offset = 0;
        let rows = self.spool.read(&self.location)?.map(move |batch| {
            let batch = batch?;
            let end = offset + batch.num_rows();
            let survivors = BooleanArray::from(survives[offset..end].to_vec());
            offset = end;
            let survivors = match (delete, batch.column_by_name(DELETED)) {
                (Some(DeleteHow::Hard), Some(deleted)) => and(&survivors, &not(deleted.as_boolean())?)?,
                _ => survivors,
            };
            Ok(filter_record_batch(&batch, &survivors)?)
        });
        let keys: HashSet<KeyDigest> = self.last.into_keys().collect();
        let bounds = self.bounds.unwrap_or_default();
        Ok((Erase::Keys { columns: self.key, keys: Arc::new(keys), bounds }, rows))
    }
}

struct Spool {
    scratch: PathBuf,
    memory: Vec<RecordBatch>,
    bytes: usize,
    file: Option<StreamWriter<File>>,
}

impl Spool {
    fn push(&mut self, location: &Location, batch: RecordBatch) -> Result<()> {
        if self.file.is_none() {
            self.bytes += batch.get_array_memory_size();
            if self.bytes <= SPOOL_BYTES {
                self.memory.push(batch);
                return Ok(());
            }
            let failed = |error| io_failed(format!("{}: cannot spill", location.describe()), error);
            std::fs::create_dir_all(&self.scratch).map_err(failed)?;
            // Without a name from the beginning: gone with the process.
            let file = tempfile::tempfile_in(&self.scratch).map_err(failed)?;
            self.file = Some(StreamWriter::try_new(file, &batch.schema())?);
        }
        if let Some(file) = &mut self.file {
            file.write(&batch).map_err(|error| spill_failed(location, error))?;
        }
        Ok(())
    }

    fn read(self, location: &Location) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let spilled = match self.file {
            None => None,
            Some(writer) => {
                let mut file = writer.into_inner().map_err(|error| spill_failed(location, error))?;
                file.seek(SeekFrom::Start(0))
                    .map_err(|error| io_failed(format!("{}: cannot spill", location.describe()), error))?;
                Some(StreamReader::try_new(BufReader::new(file), None)?)
            }
        };
        let spilled = spilled.into_iter().flatten().map(|batch| Ok(batch?));
        Ok(self.memory.into_iter().map(Ok).chain(spilled))
    }
}

fn spill_failed(location: &Location, error: arrow::error::ArrowError) -> super::super::error::Error {
    match error {
        arrow::error::ArrowError::IoError(_, error) => {
            io_failed(format!("{}: cannot spill", location.describe()), error)
        }
        other => other.into(),
    }
}
