//! Rows written as text, as typed columns: the same spelling as everywhere.

use arrow::{
    array::new_null_array,
    datatypes::{Field, Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use chrono_tz::Tz;

use super::{Cell, RowDecoder, Rules};
use crate::{
    connector::error::Result,
    model::{column::ColumnType, text_rows::TextRows},
};

/// A cell that does not spell a value of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMisfit {
    /// The row's number.
    pub row: usize,
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// The columns of `schema` from rows that spell them; those that the rows do not name are NULL. `Err` inside = cells at fault, the first of each row.
/// Times without zone are in `zone`. Fails for types that text cannot spell (lists, structs).
pub fn from_text(
    rows: &TextRows,
    schema: &SchemaRef,
    zone: Tz,
) -> Result<std::result::Result<RecordBatch, Vec<TextMisfit>>> {
    let named: Vec<(usize, &Field)> = schema
        .fields()
        .iter()
        .filter_map(|field| Some((rows.position(field.name())?, field.as_ref())))
        .collect();
    let plain = named.iter().map(|(_, field)| {
        let kind = ColumnType::of(field.data_type()).arrow().clone();
        Field::new(field.name(), kind, true)
    });
    let plain = std::sync::Arc::new(Schema::new(plain.collect::<Vec<_>>()));
    let mut decoder = RowDecoder::new(plain, Rules { zone, ..Rules::default() })?;
    for (at, row) in rows.rows.iter().enumerate() {
        decoder.push(at as u64, |index| match &row[named[index].0].text {
            Some(text) => Cell::Text(text),
            None => Cell::Null,
        });
    }
    let chunk = decoder.finish()?;
    if !chunk.bad.is_empty() {
        let misfits = chunk.bad.into_iter().map(|bad| TextMisfit {
            row: bad.ordinal as usize,
            column: bad.column.unwrap_or_default(),
            reason: bad.reason,
        });
        return Ok(Err(misfits.collect()));
    }
    let column = |field: &std::sync::Arc<Field>| match chunk.batch.column_by_name(field.name()) {
        Some(column) => arrow::compute::cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.rows.len())),
    };
    let columns = schema.fields().iter().map(column).collect::<std::result::Result<Vec<_>, _>>()?;
    let fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.rows.len()));
    Ok(Ok(RecordBatch::try_new_with_options(std::sync::Arc::new(Schema::new(fields)), columns, &options)?))
}
