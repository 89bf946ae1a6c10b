//! The columns of a target: what rows bring, what it keeps, and how it grows. Pure.

use arrow::datatypes::{DataType, Field, SchemaRef};

use super::{
    super::{
        cells::takes,
        error::Result,
        fitting::{Fitting, Has, Place, Wanted},
        sink::OnSchemaChange,
        textual::json::can_spell,
    },
    config::Format,
    format::Spelling,
    manifest::Column,
};
use crate::model::column::ColumnType;

/// What a claim comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The target's columns from now on.
    pub(super) columns: Vec<Column>,
    /// What staged rows look like.
    pub(super) schema: SchemaRef,
    /// Columns of the rows that the target does not take.
    pub(super) left_out: Vec<String>,
}

/// Settles which columns a target has, which has `columns` now, and which of them rows fill.
pub(super) fn agree(
    fitting: Fitting<'_>,
    spelling: Spelling,
    columns: &[Column],
    rows: &SchemaRef,
) -> Result<Agreed> {
    let wanted = fitting.wanted(rows);
    if let Some(strange) = wanted.iter().find(|wanted| !keeps(spelling, &wanted.data_type)) {
        return Err(fitting.not_kept(strange, &format!("a file of {}", spelling.shown())));
    }
    let mut columns = columns.to_vec();
    let places = if columns.is_empty() {
        vec![Place::Added; wanted.len()]
    } else {
        let has = |column| Has { name: name(column), not_null: false, fills_itself: false };
        let has: Vec<Has<'_>> = columns.iter().map(has).collect();
        fitting.places(&has, &wanted, |a, b| a == b)?
    };
    let (mut filled, mut left_out) = (vec![], vec![]);
    for (Wanted { name, data_type }, place) in wanted.into_iter().zip(places) {
        let kind = match place {
            Place::LeftOut => {
                left_out.push(name);
                continue;
            }
            Place::At(at) => settle(fitting, &mut columns[at], &data_type)?,
            Place::Added => {
                let description = fitting.spec.columns.get(&name).and_then(|told| told.description.clone());
                columns.push(Column { name: name.clone(), r#type: ColumnType::of(&data_type), description });
                data_type
            }
        };
        filled.push((place, Field::new(name, kind, true)));
    }
    Ok(Agreed { columns, schema: fitting.claimed(filled), left_out })
}

fn name(column: &Column) -> &str {
    &column.name
}

/// The type that holds what is there and what comes.
fn settle(fitting: Fitting<'_>, column: &mut Column, comes: &DataType) -> Result<DataType> {
    if !takes(column.r#type.arrow(), comes) {
        let widens =
            fitting.spec.on_schema_change == OnSchemaChange::Evolve && takes(comes, column.r#type.arrow());
        if !widens {
            return Err(fitting.differs(&column.name, &column.r#type.to_string(), comes));
        }
        column.r#type = ColumnType::of(comes);
    }
    Ok(column.r#type.arrow().clone())
}

/// Whether files keep every value of a type: it must have a name, by which manifests know it again.
pub(super) fn keeps(spelling: Spelling, kind: &DataType) -> bool {
    let named = ColumnType::of(kind).to_string().parse::<ColumnType>().is_ok();
    named && (spelling.format == Format::Parquet || can_spell(kind))
}
