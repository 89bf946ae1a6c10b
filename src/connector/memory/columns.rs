//! Arithmetic of schemas: what a target looks like, what a track fills of it, and how it grows.

use std::sync::Arc;

use arrow::{
    array::new_null_array,
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        sink::{DeleteHow, OnSchemaChange, SinkSpec},
    },
    model::{column::ColumnType, unit::DELETED},
};

/// What a claim finds out about columns.
pub(super) struct Agreed {
    /// The target's columns from now on.
    pub(super) target: SchemaRef,
    /// What staged rows look like.
    pub(super) staged: SchemaRef,
    /// Columns of the rows that the target does not take.
    pub(super) left_out: Vec<String>,
}

/// Settles which columns the target has and which of them these rows fill.
pub(super) fn agree(spec: &SinkSpec, target: Option<&SchemaRef>, rows: &Schema) -> Result<Agreed> {
    let wanted = wanted(spec, rows);
    let mut columns: Vec<Field> = match target {
        Some(target) => target.fields().iter().map(|field| field.as_ref().clone()).collect(),
        None => wanted.clone(),
    };
    check_none_gone(spec, &columns, &wanted)?;
    let mut left_out = vec![];
    for column in &wanted {
        match columns.iter_mut().find(|found| found.name() == column.name()) {
            Some(found) => *found = found.clone().with_data_type(settle_type(spec, found, column)?),
            None if spec.on_schema_change == OnSchemaChange::Evolve => columns.push(column.clone()),
            None if spec.on_schema_change == OnSchemaChange::Ignore => left_out.push(column.name().clone()),
            None => return Err(changed(spec, &format!("column \"{}\" is new", column.name()))),
        }
    }
    let filled = |column: &&Field| wanted.iter().any(|wanted| wanted.name() == column.name());
    let mut staged: Vec<Field> = columns.iter().filter(filled).cloned().collect();
    let deleted = Field::new(DELETED, DataType::Boolean, true);
    if spec.delete == Some(DeleteHow::Soft) && !columns.iter().any(|column| column.name() == DELETED) {
        columns.push(deleted.clone());
    }
    if spec.delete.is_some() {
        staged.push(deleted);
    }
    Ok(Agreed { target: Arc::new(Schema::new(columns)), staged: Arc::new(Schema::new(staged)), left_out })
}

fn check_none_gone(spec: &SinkSpec, columns: &[Field], wanted: &[Field]) -> Result<()> {
    if spec.on_schema_change == OnSchemaChange::Evolve {
        return Ok(());
    }
    let ours = |column: &Field| spec.delete.is_some() && column.name() == DELETED;
    let gone = |column: &&Field| !ours(column) && !wanted.iter().any(|wanted| wanted.name() == column.name());
    match columns.iter().find(gone) {
        Some(gone) => Err(changed(spec, &format!("column \"{}\" is not in the rows", gone.name()))),
        None => Ok(()),
    }
}

/// The type that holds what is there and what comes.
fn settle_type(spec: &SinkSpec, old: &Field, new: &Field) -> Result<DataType> {
    if widens(new.data_type(), old.data_type()) {
        return Ok(old.data_type().clone());
    }
    if spec.on_schema_change == OnSchemaChange::Evolve && widens(old.data_type(), new.data_type()) {
        return Ok(new.data_type().clone());
    }
    let (was, is) = (ColumnType::of(old.data_type()), ColumnType::of(new.data_type()));
    Err(changed(spec, &format!("column \"{}\" is {was}, not {is}", old.name())))
}

/// The rows' columns with the types that the pipeline names.
fn wanted(spec: &SinkSpec, rows: &Schema) -> Vec<Field> {
    let named = |name: &str| spec.columns.get(name).and_then(|column| column.kind.as_ref());
    let field = |field: &Arc<Field>| {
        let kind = named(field.name())
            .map_or_else(|| ColumnType::of(field.data_type()).arrow().clone(), |kind| kind.arrow().clone());
        Field::new(field.name(), kind, true)
    };
    rows.fields().iter().filter(|f| spec.delete.is_none() || f.name() != DELETED).map(field).collect()
}

/// Whether every value of `narrow` is a value of `wide`.
fn widens(narrow: &DataType, wide: &DataType) -> bool {
    use DataType::{Decimal128, Float32, Float64};
    let integer = |kind: &DataType| kind.primitive_width().filter(|_| kind.is_integer());
    match (narrow, wide) {
        (narrow, wide) if narrow == wide => true,
        (Float32, Float64) => true,
        (Decimal128(p, s), Decimal128(q, t)) => {
            s <= t && i16::from(*p) - i16::from(*s) <= i16::from(*q) - i16::from(*t)
        }
        _ => match (integer(narrow), integer(wide)) {
            (Some(a), Some(b)) => a < b && (narrow.is_unsigned_integer() || wide.is_signed_integer()),
            _ => false,
        },
    }
}

fn changed(spec: &SinkSpec, what: &str) -> Error {
    let message = format!("table \"{}\" of connection \"{}\": {what}", spec.table, spec.connection);
    Error::new(ErrorKind::SchemaChanged, message)
}

/// The same columns, each of them nullable: what tables are made of.
pub(super) fn all_nullable(schema: &Schema) -> SchemaRef {
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()))
}

/// `old` and whatever columns of `new` it lacks.
pub(super) fn with_new(old: &Schema, new: &Schema) -> SchemaRef {
    let added = new.fields().iter().filter(|field| old.column_with_name(field.name()).is_none());
    let all = old.fields().iter().chain(added).cloned().collect::<Vec<_>>();
    all_nullable(&Schema::new(all))
}

/// A batch in the shape of `schema`: by name, NULL where it has no such column. A cell that its type cannot hold is an error.
pub(super) fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => Ok(cast(column, field.data_type())?),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
