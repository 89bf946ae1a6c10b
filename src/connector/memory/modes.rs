//! What a commit makes of a table: pure functions from old rows and staged rows to new rows.

use std::collections::{HashMap, HashSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array},
    compute::{and, cast, concat_batches, filter_record_batch, not, take_record_batch},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
    row::{OwnedRow, RowConverter, SortField},
    util::display::array_value_to_string,
};

use super::{cell, columns, store::Table};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        sink::{DeleteHow, SinkSpec},
    },
    model::{
        delivery::Mode,
        unit::{DELETED, Scope},
        value::Value,
    },
};

/// The table's batches after this unit.
pub(super) fn apply(
    spec: &SinkSpec,
    scope: &Scope,
    table: &Table,
    staged: &[RecordBatch],
) -> Result<Vec<RecordBatch>> {
    let fit = |batch: &RecordBatch| columns::fit(batch, &table.schema);
    let added = || staged.iter().map(fit).collect::<Result<Vec<_>>>();
    let mut batches = match (spec.mode, scope) {
        (Mode::Append, _) => table.batches.clone(),
        (Mode::Merge, _) if spec.anew => {
            return merge(spec, &Table { batches: vec![], ..table.clone() }, staged);
        }
        (Mode::Merge, _) => return merge(spec, table, staged),
        (Mode::Replace, _) if spec.partition.is_empty() => vec![],
        (Mode::Replace, _) => keep(table, |batch| Ok(not(&in_partition(spec, batch)?)?))?,
        (Mode::Window, Scope::Window { column, from, until }) => {
            keep(table, |batch| Ok(not(&in_window(batch, column, from, until)?)?))?
        }
        (Mode::Window, _) => {
            return Err(Error::new(ErrorKind::Unsupported, "mode window takes windows alone"));
        }
    };
    batches.extend(added()?);
    Ok(batches)
}

fn keep(table: &Table, wanted: impl Fn(&RecordBatch) -> Result<BooleanArray>) -> Result<Vec<RecordBatch>> {
    table.batches.iter().map(|batch| Ok(filter_record_batch(batch, &wanted(batch)?)?)).collect()
}

fn in_partition(spec: &SinkSpec, batch: &RecordBatch) -> Result<BooleanArray> {
    let mut inside = BooleanArray::from(vec![true; batch.num_rows()]);
    for (name, value) in &spec.partition {
        let column = column(batch, name)?;
        let equal = |row| Ok(column.is_valid(row) && array_value_to_string(column, row)? == *value);
        let equal = (0..batch.num_rows()).map(equal).collect::<Result<Vec<_>>>()?;
        inside = and(&inside, &BooleanArray::from(equal))?;
    }
    Ok(inside)
}

/// Which rows lie in a window; NULL lies in none.
pub(super) fn in_window(
    batch: &RecordBatch,
    name: &str,
    from: &Value,
    until: &Value,
) -> Result<BooleanArray> {
    let values = cell::values(column(batch, name)?)?;
    let inside = |value: &Value| {
        let after = value.compare(from).is_some_and(std::cmp::Ordering::is_ge);
        after && value.compare(until).is_some_and(std::cmp::Ordering::is_lt)
    };
    Ok(values.iter().map(|value| Some(inside(value))).collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let missing = || Error::new(ErrorKind::NotFound, format!("the target has no column \"{name}\""));
    batch.column_by_name(name).ok_or_else(missing)
}

/// Old rows whose key is not staged, and the last staged row of every key that is not deleted for good.
fn merge(spec: &SinkSpec, table: &Table, staged: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let Some(first) = staged.first() else {
        return Ok(table.batches.clone());
    };
    let staged = concat_batches(first.schema_ref(), staged)?;
    let fitted = columns::fit(&staged, &table.schema)?;
    let keys = keys(spec, &table.schema, &fitted)?;
    let last: HashMap<&OwnedRow, usize> = keys.iter().enumerate().map(|(row, key)| (key, row)).collect();
    let hard = (spec.delete == Some(DeleteHow::Hard)).then(|| staged.column_by_name(DELETED)).flatten();
    let gone = |row: usize| hard.is_some_and(|column| column.is_valid(row) && column.as_boolean().value(row));
    let mut rows: Vec<u64> = last.values().filter(|row| !gone(**row)).map(|row| *row as u64).collect();
    rows.sort_unstable();
    let staged_keys: HashSet<&OwnedRow> = last.keys().copied().collect();
    let mut batches = keep(table, |batch| {
        let old = self::keys(spec, &table.schema, batch)?;
        Ok(old.iter().map(|key| Some(!staged_keys.contains(key))).collect())
    })?;
    batches.push(take_record_batch(&fitted, &UInt64Array::from(rows))?);
    Ok(batches)
}

fn keys(spec: &SinkSpec, schema: &SchemaRef, batch: &RecordBatch) -> Result<Vec<OwnedRow>> {
    let mut columns = vec![];
    for name in &spec.key {
        let kind = schema.field_with_name(name)?.data_type();
        columns.push(cast(column(batch, name)?, kind)?);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let rows = converter.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.owned()).collect())
}
