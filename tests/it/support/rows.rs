//! Making batches, and telling what is in them.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray},
    compute::{cast_with_options, concat_batches},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    util::display::{ArrayFormatter, FormatOptions},
};

/// A batch of nullable columns.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// A column of whole numbers.
pub(crate) fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// A column of texts.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// A column of flags.
pub(crate) fn flags(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(BooleanArray::from(values.into_iter().collect::<Vec<_>>()))
}

/// Rows `id, name`: every third name is NULL, the others are Russian.
pub(crate) fn people(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.into_iter().collect();
    let names: Vec<Option<String>> =
        ids.iter().map(|id| (id % 3 != 0).then(|| format!("Имя «{id}» O'Brien"))).collect();
    batch(vec![("id", ints(ids)), ("name", texts(names.iter().map(Option::as_deref)))])
}

/// A batch without rows.
pub(crate) fn none_of(schema: &SchemaRef) -> RecordBatch {
    RecordBatch::new_empty(schema.clone())
}

/// One batch of several; they have one schema.
pub(crate) fn joined(batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(batches[0].schema_ref(), batches).unwrap()
}

/// A batch cast to a schema, column by column by name, as a run does before it stages; no cell may be lost.
pub(crate) fn cast_to(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let strict = arrow::compute::CastOptions { safe: false, ..Default::default() };
    let column = |field: &Arc<Field>| {
        let column = batch.column_by_name(field.name());
        let column = column.unwrap_or_else(|| panic!("the rows have no column \"{}\"", field.name()));
        cast_with_options(column, field.data_type(), &strict).unwrap()
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect()).unwrap()
}

/// The values of an integer column, in order.
pub(crate) fn int_column(batch: &RecordBatch, name: &str) -> Vec<i64> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    let column = arrow::compute::cast(column, &DataType::Int64).unwrap();
    assert_eq!(column.null_count(), 0, "NULL in {name}");
    column.as_primitive::<Int64Type>().values().to_vec()
}

/// The `id` column, in order.
pub(crate) fn ids(batch: &RecordBatch) -> Vec<i64> {
    int_column(batch, "id")
}

/// The rows as text, sorted: `1|Имя|∅`.
pub(crate) fn sorted_text(batch: &RecordBatch) -> Vec<String> {
    let mut rows = text(batch);
    rows.sort();
    rows
}

/// The rows as text, in order.
pub(crate) fn text(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("∅");
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}
