//! Rows against a contract: what decodes, and what becomes a bad row.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array},
    compute::{CastOptions, cast, cast_with_options, filter, filter_record_batch, nullif},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use chrono_tz::Tz;

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{BadRow, Chunk, SourceSpec},
    },
    model::column::{ColumnType, Contract, ContractColumn, Unlisted},
};

/// The schema of decoded rows of a table. Fails where the contract names a column that is not there.
pub(super) fn schema(spec: &SourceSpec, table: &Schema) -> Result<SchemaRef> {
    let Some(contract) = &spec.contract else {
        return Ok(Arc::new(table.clone()));
    };
    if let Some(name) = contract.columns.keys().find(|name| table.column_with_name(name).is_none()) {
        return Err(missing(spec, name));
    }
    let mut fields: Vec<Arc<Field>> = contract.schema().fields().to_vec();
    if contract.unlisted == Unlisted::Keep {
        fields.extend(unlisted(contract, table).cloned());
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn unlisted<'a>(contract: &'a Contract, table: &'a Schema) -> impl Iterator<Item = &'a Arc<Field>> {
    table.fields().iter().filter(|field| !contract.columns.contains_key(field.name()))
}

fn missing(spec: &SourceSpec, column: &str) -> Error {
    let message =
        format!("table \"{}\" of connection \"{}\" has no column \"{column}\"", spec.table, spec.connection);
    Error::new(ErrorKind::NotFound, message)
}

/// Decodes rows into the pinned schema of their unit; `first` is the ordinal of the first of them.
pub(super) fn decode(spec: &SourceSpec, rows: &RecordBatch, pinned: &SchemaRef, first: u64) -> Result<Chunk> {
    let mut faults: Vec<Option<(String, String)>> = vec![None; rows.num_rows()];
    let strict = spec.contract.as_ref().filter(|contract| contract.unlisted == Unlisted::Bad);
    if let Some(extra) = strict.and_then(|contract| unlisted(contract, rows.schema_ref()).next()) {
        faults.fill(Some((extra.name().clone(), "a column that the contract does not name".to_owned())));
    }
    let mut columns: Vec<ArrayRef> = vec![];
    for field in pinned.fields() {
        let column = rows.column_by_name(field.name()).ok_or_else(|| missing(spec, field.name()))?;
        let listed =
            spec.contract.as_ref().and_then(|c| c.columns.get(field.name()).map(|column| (c, column)));
        columns.push(match listed {
            Some((contract, listed)) => {
                let column = nulls_of(column, contract)?;
                decode_column(&column, field, listed, spec.zone, &mut faults)?
            }
            None if column.data_type() == field.data_type() => column.clone(),
            None => {
                let message =
                    format!("column \"{}\" of table \"{}\" has another type now", field.name(), spec.table);
                return Err(Error::new(ErrorKind::SchemaChanged, message));
            }
        });
    }
    chunk(rows, pinned, &columns, &faults, first)
}

/// Texts that stand for NULL, made NULL.
fn nulls_of(column: &ArrayRef, contract: &Contract) -> Result<ArrayRef> {
    if column.data_type() != &DataType::Utf8 || contract.null_values.is_empty() {
        return Ok(column.clone());
    }
    let is_null =
        |text: Option<&str>| text.is_some_and(|text| contract.null_values.iter().any(|null| null == text));
    let mask: BooleanArray = column.as_string::<i32>().iter().map(|text| Some(is_null(text))).collect();
    Ok(nullif(column, &mask)?)
}

fn decode_column(
    column: &ArrayRef,
    field: &Field,
    listed: &ContractColumn,
    zone: Tz,
    faults: &mut [Option<(String, String)>],
) -> Result<ArrayRef> {
    let kind = listed.kind.arrow();
    let column = match (column.data_type(), kind) {
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, Some(_))) => {
            cast(column, &DataType::Timestamp(*unit, Some(zone.name().into())))?
        }
        _ => column.clone(),
    };
    let decoded = cast_with_options(&column, kind, &CastOptions { safe: true, ..Default::default() })?;
    for (row, fault) in faults.iter_mut().enumerate().filter(|(_, fault)| fault.is_none()) {
        let reason = match (column.is_null(row), decoded.is_null(row)) {
            (true, _) if !listed.nullable => "NULL in a column that allows none".to_owned(),
            (false, true) => format!("{} that is no {}", ColumnType::of(column.data_type()), listed.kind),
            _ => continue,
        };
        *fault = Some((field.name().clone(), reason));
    }
    Ok(decoded)
}

fn chunk(
    rows: &RecordBatch,
    pinned: &SchemaRef,
    columns: &[ArrayRef],
    faults: &[Option<(String, String)>],
    first: u64,
) -> Result<Chunk> {
    let good: BooleanArray = faults.iter().map(|fault| Some(fault.is_none())).collect();
    let good_count = good.true_count();
    let ordinals = UInt64Array::from_iter_values((0..rows.num_rows() as u64).map(|row| first + row));
    let columns = columns.iter().map(|column| filter(column, &good)).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(good_count));
    let batch = RecordBatch::try_new_with_options(pinned.clone(), columns, &options)?;
    let ordinals =
        filter_record_batch(&RecordBatch::try_from_iter([("n", Arc::new(ordinals) as ArrayRef)])?, &good)?;
    let mut bad = vec![];
    for (row, fault) in faults.iter().enumerate() {
        if let Some((column, reason)) = fault {
            let (column, reason) = (Some(column.clone()), reason.clone());
            bad.push(BadRow {
                ordinal: first + row as u64,
                column,
                reason,
                row: as_json(&rows.slice(row, 1))?,
            });
        }
    }
    Ok(Chunk { batch, ordinals: ordinals.column(0).as_primitive().clone(), bad })
}

fn as_json(row: &RecordBatch) -> Result<serde_json::Map<String, serde_json::Value>> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(row)?;
    writer.finish()?;
    let text = writer.into_inner();
    serde_json::from_slice(&text)
        .map_err(|error| Error::new(ErrorKind::Internal, "a bad row did not become JSON").caused_by(error))
}
