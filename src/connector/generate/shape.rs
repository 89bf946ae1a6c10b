//! The columns of a generator's rows: names, types, whether NULL may stand there. Pure, from the specification alone.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use indexmap::IndexMap;

use super::config::{Column, Generate, ListedRow, Lookup, Scalar};

/// Precision of every made-up decimal.
pub(super) const PRECISION: u8 = 18;

impl Generate {
    /// The columns of its rows: those taken from its parent, then its own. `parents` = the generators that it comes from, by pipeline name.
    /// What [`problems`](Self::problems) would refuse is nullable text here.
    pub fn schema(&self, parents: &IndexMap<String, Self>) -> SchemaRef {
        Arc::new(Schema::new(fields(self, parents, parents.len())))
    }
}

/// `depth` bounds a chain of parents that bites its own tail.
fn fields(spec: &Generate, parents: &IndexMap<String, Generate>, depth: usize) -> Vec<Field> {
    let mut fields: Vec<Field> = spec.rows.as_deref().map(listed_fields).unwrap_or_default();
    if let Some(parent) = &spec.parent {
        let theirs = match parents.get(&parent.pipeline) {
            Some(spec) if depth > 0 => fields_of_parent(spec, parents, depth),
            _ => vec![],
        };
        for (name, taken) in &parent.columns {
            let found = theirs.iter().find(|field| field.name() == taken);
            let field = found.cloned().unwrap_or_else(|| Field::new(name, DataType::Utf8, true));
            fields.push(field.with_name(name));
        }
    }
    for (name, column) in &spec.columns {
        let field = Field::new(name, data_type(column), nullable(column, &spec.columns, &fields));
        fields.push(field);
    }
    fields
}

/// The columns of rows that are told, in the order in which they first appear.
fn listed_fields(rows: &[ListedRow]) -> Vec<Field> {
    let mut fields: Vec<Field> = vec![];
    for name in rows.iter().flat_map(|row| row.values.keys()) {
        if fields.iter().any(|field| field.name() == name) {
            continue;
        }
        let values: Vec<&Scalar> = rows.iter().filter_map(|row| row.values.get(name)).collect();
        fields.push(Field::new(name, shared_type(values.iter().copied()), values.len() < rows.len()));
    }
    fields
}

fn fields_of_parent(spec: &Generate, parents: &IndexMap<String, Generate>, depth: usize) -> Vec<Field> {
    fields(spec, parents, depth - 1)
}

/// The type that a column's way of making gives.
pub(super) fn data_type(column: &Column) -> DataType {
    let whole =
        [column.sequence.is_some(), column.zipf.is_some(), column.uniform.is_some(), column.nth.is_some()];
    if whole.contains(&true) {
        DataType::Int64
    } else if column.event_time.is_some() {
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
    } else if let Some(normal) = &column.normal {
        number(normal.decimals)
    } else if let Some(constant) = &column.constant {
        scalar_type(constant)
    } else if let Some(lookup) = &column.lookup {
        lookup_type(lookup)
    } else {
        DataType::Utf8
    }
}

fn number(decimals: Option<u8>) -> DataType {
    decimals.map_or(DataType::Float64, |digits| DataType::Decimal128(PRECISION, digits as i8))
}

/// The type of one plain value.
pub(super) fn scalar_type(value: &Scalar) -> DataType {
    match value {
        Scalar::Bool(_) => DataType::Boolean,
        Scalar::Int(_) => DataType::Int64,
        Scalar::Float(_) => DataType::Float64,
        Scalar::Text(_) => DataType::Utf8,
    }
}

/// The type that all values share: whole numbers beside others are `float64`.
fn shared_type<'a>(values: impl Iterator<Item = &'a Scalar>) -> DataType {
    let mut types = values.map(scalar_type);
    let Some(first) = types.next() else {
        return DataType::Utf8;
    };
    types.fold(first, |shared, next| if shared == next { shared } else { DataType::Float64 })
}

/// The type of a lookup's values.
pub(super) fn lookup_type(lookup: &Lookup) -> DataType {
    let shared = shared_type(lookup.values.values());
    if lookup.decimals.is_some() && shared.is_numeric() { number(lookup.decimals) } else { shared }
}

fn nullable(column: &Column, columns: &IndexMap<String, Column>, above: &[Field]) -> bool {
    let by_nullable = |by: &str| above.iter().find(|field| field.name() == by).is_none_or(Field::is_nullable);
    let lookup_is_open = |lookup: &Lookup| match texts(columns, &lookup.by) {
        Some(texts) => texts.iter().any(|text| !lookup.values.contains_key(*text)),
        None => true,
    };
    column.when.is_some()
        || column.missing.is_some_and(|share| share > 0.0)
        || column.pick.as_ref().is_some_and(|pick| by_nullable(&pick.by))
        || column.lookup.as_ref().is_some_and(|lookup| by_nullable(&lookup.by) || lookup_is_open(lookup))
}

/// Every text that a column may hold, where that is known.
pub(super) fn texts<'a>(columns: &'a IndexMap<String, Column>, name: &str) -> Option<Vec<&'a str>> {
    let column = columns.get(name)?;
    if let Some(choice) = &column.choice {
        return Some(choice.keys().map(String::as_str).collect());
    }
    column.step.as_ref().map(|steps| steps.iter().map(String::as_str).collect())
}
