//! What a claim finds: a topic's columns, what the rows fill of them, and how they grow.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::config::{Format, SinkOptions};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        sink::{OnSchemaChange, SinkSpec},
        textual::json::can_spell,
    },
    model::column::ColumnType,
};

/// What a claim comes to.
#[derive(Debug)]
pub(super) struct Agreed {
    /// The topic's columns from now on.
    pub(super) target: SchemaRef,
    /// What staged rows look like.
    pub(super) staged: SchemaRef,
    /// Columns of the rows that the topic does not take.
    pub(super) left_out: Vec<String>,
}

/// Settles which columns the topic has and which of them these rows fill. Messages need no common shape, but their readers rely on one.
pub(super) fn agree(
    shown: &str,
    spec: &SinkSpec,
    target: Option<&SchemaRef>,
    rows: &Schema,
) -> Result<Agreed> {
    let wanted = wanted(shown, spec, rows)?;
    let mut columns: Vec<Field> = match target {
        Some(target) => target.fields().iter().map(|field| field.as_ref().clone()).collect(),
        None => wanted.clone(),
    };
    let changed = |what: String| Error::new(ErrorKind::SchemaChanged, format!("{shown}: {what}"));
    let mut left_out = vec![];
    for column in &wanted {
        match columns.iter_mut().find(|found| found.name() == column.name()) {
            Some(found) => *found = settle(spec, found, column).map_err(changed)?,
            None if spec.on_schema_change == OnSchemaChange::Evolve => columns.push(column.clone()),
            None if spec.on_schema_change == OnSchemaChange::Ignore => left_out.push(column.name().clone()),
            None => return Err(changed(format!("column \"{}\" is new", column.name()))),
        }
    }
    let filled = |column: &&Field| wanted.iter().any(|wanted| wanted.name() == column.name());
    let ordered = spec.options.kafka.as_ref().is_some_and(|options| options.format == Format::Csv);
    if (spec.on_schema_change == OnSchemaChange::Fail || ordered)
        && let Some(gone) = columns.iter().find(|column| !filled(column))
    {
        return Err(changed(format!("column \"{}\" is not in the rows", gone.name())));
    }
    let staged: Vec<Field> = columns.iter().filter(filled).cloned().collect();
    check_options(shown, spec, &staged)?;
    Ok(Agreed { target: Arc::new(Schema::new(columns)), staged: Arc::new(Schema::new(staged)), left_out })
}

/// The rows' columns with the types that the pipeline names.
fn wanted(shown: &str, spec: &SinkSpec, rows: &Schema) -> Result<Vec<Field>> {
    let named = |name: &str| spec.columns.get(name).and_then(|column| column.kind.clone());
    let field = |field: &Arc<Field>| {
        let kind = named(field.name()).unwrap_or_else(|| ColumnType::of(field.data_type()));
        if can_spell(kind.arrow()) {
            return Ok(Field::new(field.name(), kind.arrow().clone(), true));
        }
        let message = format!("column \"{}\" of {shown}: JSON has no {kind}", field.name());
        Err(Error::new(ErrorKind::Unsupported, message))
    };
    rows.fields().iter().map(field).collect()
}

fn settle(spec: &SinkSpec, old: &Field, new: &Field) -> Result<Field, String> {
    if widens(new.data_type(), old.data_type()) {
        return Ok(old.clone());
    }
    if spec.on_schema_change == OnSchemaChange::Evolve && widens(old.data_type(), new.data_type()) {
        return Ok(new.clone());
    }
    let (was, is) = (ColumnType::of(old.data_type()), ColumnType::of(new.data_type()));
    Err(format!("column \"{}\" is {was}, not {is}", old.name()))
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

/// A message that is one column: it is there, and no other is lost.
fn check_raw(shown: &str, options: &SinkOptions, staged: &[Field]) -> Result<()> {
    if options.format != Format::Raw {
        return Ok(());
    }
    let (spelling, refused) = (options.spelling(), |what: String| {
        let error = Error::new(ErrorKind::Unsupported, format!("{shown}: {what}"));
        Err(error.hint("`raw` writes one column of text or bytes: name it by `value` in [sink.kafka]"))
    });
    let value = spelling.column();
    match staged.iter().find(|field| field.name() == value).map(Field::data_type) {
        None => return refused(format!("the rows have no column \"{value}\"")),
        Some(DataType::Utf8 | DataType::Binary) => {}
        Some(kind) => return refused(format!("column \"{value}\" is {}", ColumnType::of(kind))),
    }
    let lost = |field: &&Field| field.name() != value && options.beside().all(|name| name != field.name());
    match staged.iter().find(lost) {
        Some(field) => refused(format!("column \"{}\" has no place in a message", field.name())),
        None => Ok(()),
    }
}

/// The columns that `[sink.kafka]` names are among the rows'.
fn check_options(shown: &str, spec: &SinkSpec, staged: &[Field]) -> Result<()> {
    let Some(options) = &spec.options.kafka else {
        return Ok(());
    };
    check_raw(shown, options, staged)?;
    for name in options.beside() {
        if !staged.iter().any(|field| field.name() == name) {
            let message = format!("{shown}: the rows have no column \"{name}\", which `[sink.kafka]` names");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
    }
    let kind = |name: &String| staged.iter().find(|field| field.name() == name).map(Field::data_type);
    match options.timestamp.as_ref().and_then(kind) {
        None | Some(DataType::Timestamp(_, Some(_))) => Ok(()),
        Some(other) => {
            let message =
                format!("{shown}: a message's timestamp is an instant, not {}", ColumnType::of(other));
            Err(Error::new(ErrorKind::Unsupported, message)
                .hint("name a column of the type `timestamp(ms, UTC)`"))
        }
    }
}
