//! Rows against a contract, as everywhere that rows are typed batches.

use std::sync::Arc;

use arrow::{
    array::UInt64Array,
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
};

use crate::connector::{
    cells::BatchDecoder,
    error::Result,
    source::{Chunk, SourceSpec},
};

/// The schema of decoded rows of a table. Fails where the contract names a column that is not there.
pub(super) fn schema(spec: &SourceSpec, table: &Schema) -> Result<SchemaRef> {
    let declared = Arc::new(table.clone());
    Ok(BatchDecoder::new(&shown(spec), &declared, spec.contract.as_ref(), spec.zone)?.target)
}

/// Decodes rows into the pinned schema of their unit; `first` is the ordinal of the first of them.
pub(super) fn decode(spec: &SourceSpec, rows: &RecordBatch, pinned: &SchemaRef, first: u64) -> Result<Chunk> {
    let decoder =
        BatchDecoder::of_unit(&shown(spec), rows.schema_ref(), spec.contract.as_ref(), spec.zone, pinned)?;
    let own = decoder.source.fields().iter().map(|field| rows.schema_ref().index_of(field.name()));
    let rows = rows.project(&own.collect::<std::result::Result<Vec<_>, _>>()?)?;
    let ordinals = UInt64Array::from_iter_values((0..rows.num_rows() as u64).map(|row| first + row));
    decoder.decode(&rows, ordinals)
}

fn shown(spec: &SourceSpec) -> String {
    format!("table \"{}\" of connection \"{}\"", spec.table, spec.connection)
}
