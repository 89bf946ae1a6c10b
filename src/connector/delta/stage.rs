//! Rows put where no reader sees them: data files that no log entry names yet.

use std::path::Path;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use deltalake::kernel::Add;
use futures::StreamExt as _;

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        sink::{Rows, SinkSpec},
    },
    erase::Erase,
    files::FileWriter,
    location::Location,
    merge::Merge,
    table::Table,
};
use crate::model::{
    delivery::Mode,
    unit::{Scope, Unit},
    value::Value,
};

/// Bytes of a unit's rows that stay in memory for its checks; more of them are read back from the files.
const FEW_BYTES: usize = 8 << 20;

/// New data files, and which rows they replace.
pub(super) struct Written {
    /// The files.
    pub(super) adds: Vec<Add>,
    /// Rows that came; a merge keeps the last of each key.
    pub(super) rows: u64,
    /// What goes when they come.
    pub(super) erase: Erase,
    /// The rows as the files show them, where checks are to see them and they are few.
    pub(super) few: Option<Vec<RecordBatch>>,
}

/// Rows that stay in memory as long as they are few.
struct Few {
    batches: Option<Vec<RecordBatch>>,
    bytes: usize,
}

impl Few {
    /// None yet; or nothing is kept. A partition's value of text is read back as the log says it, where the empty text is NULL.
    fn new(kept: bool, schema: &SchemaRef, partition_columns: &[String]) -> Self {
        let is_text = |column: &String| {
            schema.field_with_name(column).is_ok_and(|field| *field.data_type() == DataType::Utf8)
        };
        Self { batches: (kept && !partition_columns.iter().any(is_text)).then(Vec::new), bytes: 0 }
    }

    fn take(&mut self, batch: RecordBatch) {
        if let Some(batches) = &mut self.batches {
            self.bytes += get_record_batch_memory_size(&batch);
            batches.push(batch);
        }
        if self.bytes > FEW_BYTES {
            self.batches = None;
        }
    }
}

/// Writes a unit's rows into data files in the columns of `schema`.
pub(super) async fn write_rows(
    table: &Table,
    schema: &SchemaRef,
    spec: &SinkSpec,
    unit: &Unit,
    scratch: &Path,
    rows: Rows,
) -> Result<Written> {
    let location = &table.location;
    let Rows::Stream(mut rows) = rows else {
        return Err(location.error(ErrorKind::Unsupported, "a Delta table runs no SQL of its own"));
    };
    let partition_columns = table.partition_columns()?;
    let mut few = Few::new(spec.checked && spec.mode != Mode::Merge, schema, &partition_columns);
    let mut writer = FileWriter::start(table, schema, &partition_columns)?;
    let mut written = 0;
    let erase = if spec.mode == Mode::Merge {
        let mut merge = Merge::new(location, &spec.key, spec.delete, schema, scratch.to_owned());
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            written += batch.num_rows() as u64;
            merge.take(batch)?;
        }
        let (erase, survivors) = merge.finish()?;
        for batch in survivors {
            writer.write(&batch?).await?;
        }
        if spec.anew { Erase::Everything } else { erase }
    } else {
        let erase = replaced(location, spec, unit)?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            stays_inside(location, &erase, &batch)?;
            written += batch.num_rows() as u64;
            let batch = writer.widen(&batch)?;
            writer.write(&batch).await?;
            few.take(batch);
        }
        erase
    };
    Ok(Written { adds: writer.finish().await?, rows: written, erase, few: few.batches })
}

/// What goes when a unit comes.
fn replaced(location: &Location, spec: &SinkSpec, unit: &Unit) -> Result<Erase> {
    Ok(match (spec.mode, &unit.scope) {
        (Mode::Append, _) => Erase::Nothing,
        (Mode::Window, Scope::Window { column, from, until }) => {
            Erase::Window { column: column.clone(), from: from.clone(), until: until.clone() }
        }
        (Mode::Replace, Scope::Snapshot) if spec.partition.is_empty() => Erase::Everything,
        (Mode::Replace, Scope::Snapshot) => {
            let value = |(column, value): &(String, String)| (column.clone(), Value::Text(value.clone()));
            Erase::Equal(spec.partition.iter().map(value).collect())
        }
        (mode, _) => {
            return Err(location.error(ErrorKind::Unsupported, format!("{mode} does not take such a unit")));
        }
    })
}

/// A row that does not lie where rows are replaced would be there twice after the next replacement.
fn stays_inside(location: &Location, erase: &Erase, batch: &RecordBatch) -> Result<()> {
    let where_to = match erase {
        Erase::Window { column, .. } => format!("a row lies outside of its window by `{column}`"),
        Erase::Equal(values) => {
            let columns: Vec<_> = values.iter().map(|(column, _)| format!("`{column}`")).collect();
            format!("a row has another {} than its member", columns.join(", "))
        }
        Erase::Nothing | Erase::Everything | Erase::Keys { .. } => return Ok(()),
    };
    if erase.goes(location, batch)?.true_count() == batch.num_rows() {
        return Ok(());
    }
    let error: Error = location.error(ErrorKind::BadData, where_to);
    Err(error.hint("mend the SQL: a build replaces its own rows only"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::UInt8Array,
        datatypes::{Field, Schema},
    };

    use super::*;

    #[test]
    fn rows_stay_in_memory_as_long_as_they_are_few() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::UInt8, false)]));
        let rows = |bytes: usize| {
            let column = UInt8Array::new(vec![0; bytes].into(), None);
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]).unwrap()
        };
        let mut few = Few::new(true, &schema, &[]);
        few.take(rows(FEW_BYTES / 2));
        few.take(rows(FEW_BYTES / 2));
        assert_eq!(few.batches.as_ref().map(Vec::len), Some(2), "just as many as may be");
        few.take(rows(1));
        assert!(few.batches.is_none());
        few.take(rows(1));
        assert!(few.batches.is_none(), "a part of the rows");
        assert!(Few::new(false, &schema, &[]).batches.is_none(), "nobody looks");
        let text: SchemaRef = Arc::new(Schema::new(vec![Field::new("region", DataType::Utf8, true)]));
        assert!(
            Few::new(true, &text, &["region".to_owned()]).batches.is_none(),
            "its empty text is read back as NULL"
        );
    }
}
