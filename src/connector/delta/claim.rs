//! Makes the target ready: the table where it is missing, its columns as `on_schema_change` says.
//!
//! Changes of the table's own (its making, added columns) are commits before the rows' one: additive, and decided
//! anew on the newest snapshot until they win the race, so many claim at once and do the same thing once.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::{
    kernel::{Action, MetadataExt as _, StructField, StructType, new_metadata},
    protocol::{DeltaOperation, SaveMode},
};

use super::{
    super::{
        error::{Error, ErrorKind, Result},
        sink::{DeleteHow, OnSchemaChange, SinkSpec},
    },
    ledger::{self, Marks},
    location::Location,
    table::Table,
    types,
};
use crate::model::{delivery::Mode, name::Track, unit::DELETED, window::Grain};

/// Races for a version that are run before the table is called busy.
pub(super) const RACES: usize = 100;

/// A target that is ready.
pub(super) struct Ready {
    /// Its newest snapshot.
    pub(super) table: Table,
    /// What staged rows look like.
    pub(super) schema: SchemaRef,
    /// Columns of the rows that it does not take.
    pub(super) left_out: Vec<String>,
}

/// A column as the rows and the specification want it.
struct Wanted {
    name: String,
    data_type: DataType,
    comment: Option<String>,
}

/// Makes the target ready for rows of `schema`. `known` is its newest snapshot, where one was read.
pub(super) async fn make_ready(
    location: &Location,
    spec: &SinkSpec,
    schema: &SchemaRef,
    track: &Track,
    mut known: Option<Table>,
) -> Result<Ready> {
    let wanted = wanted(location, spec, schema)?;
    for _ in 0..RACES {
        let newest = match known.take() {
            Some(table) => Some(table),
            None => location.open().await?,
        };
        let Some(table) = newest else {
            create(location, spec, &wanted).await?;
            continue;
        };
        if table.schema()?.fields().is_empty() {
            fill_in(&table, spec, &wanted).await?;
            continue;
        }
        writable(&table)?;
        let recorded = table.is_empty()?
            || ledger::mark(&table, track).await?.is_some()
            || ledger::has_records(&table).await?;
        if !recorded {
            return Err(
                location.error(ErrorKind::NoRecord, "holds rows, and no record says where they came from")
            );
        }
        let plan = Plan::new(location, spec, &wanted, &table)?;
        if plan.added.is_empty() {
            return Ok(Ready { table, schema: plan.schema, left_out: plan.left_out });
        }
        add_columns(&table, plan.added).await?;
    }
    Err(location.error(ErrorKind::Busy, "others commit to it all the time"))
}

fn wanted(location: &Location, spec: &SinkSpec, schema: &SchemaRef) -> Result<Vec<Wanted>> {
    let mut wanted = vec![];
    for field in schema.fields() {
        if spec.delete.is_some() && field.name() == DELETED {
            continue;
        }
        let asked = spec.columns.get(field.name());
        let data_type = match asked.and_then(|column| column.kind.as_ref()) {
            Some(kind) => types::stored_as_asked(kind.arrow()),
            None => types::stored(field.data_type()),
        };
        let data_type = data_type.ok_or_else(|| no_such_type(location, field))?;
        if field.name() == types::PLACE_HOLDER {
            let what = format!("column `{}` has a name of Vitrina's own", field.name());
            return Err(location.error(ErrorKind::Unsupported, what).hint("rename it in SQL"));
        }
        let comment = asked.and_then(|column| column.description.clone());
        wanted.push(Wanted { name: field.name().clone(), data_type, comment });
    }
    if spec.delete == Some(DeleteHow::Soft) {
        wanted.push(Wanted { name: DELETED.to_owned(), data_type: DataType::Boolean, comment: None });
    }
    for key in &spec.key {
        if !wanted.iter().any(|column| column.name == *key) {
            return Err(location.error(ErrorKind::SchemaChanged, format!("rows have no key column `{key}`")));
        }
    }
    Ok(wanted)
}

fn no_such_type(location: &Location, field: &Field) -> Error {
    let what =
        format!("column `{}` is of type {}, which Delta does not have", field.name(), field.data_type());
    let near = match field.data_type() {
        DataType::Timestamp(_, Some(_)) => "timestamp(us, UTC)",
        DataType::Timestamp(_, None) => "timestamp(us)",
        _ => "text",
    };
    location.error(ErrorKind::Unsupported, what).hint(format!(
        "cast it in SQL, or say what it shall be: `columns.{} = {{ type = \"{near}\" }}`",
        field.name()
    ))
}

/// The columns that part a new table's files: those that are asked for; else those that a member replaces by, or the day that a window is.
fn partition_columns(location: &Location, spec: &SinkSpec, wanted: &[Wanted]) -> Result<Vec<String>> {
    let asked = spec.options.delta.as_ref().map(|options| options.partition_by.clone()).unwrap_or_default();
    let columns = match (spec.mode, &spec.window) {
        _ if !asked.is_empty() => asked,
        (Mode::Replace, _) => spec.partition.iter().map(|(column, _)| column.clone()).collect(),
        (Mode::Window, Some((column, Grain::Day, _))) if is_day(wanted, column) => vec![column.clone()],
        _ => asked,
    };
    for column in &columns {
        let known = wanted.iter().find(|wanted| wanted.name == *column);
        let Some(known) = known else {
            return Err(
                location.error(ErrorKind::SchemaChanged, format!("rows have no partition column `{column}`"))
            );
        };
        if known.data_type.is_nested() || columns.len() == wanted.len() {
            return Err(
                location.error(ErrorKind::Unsupported, format!("cannot be partitioned by `{column}`"))
            );
        }
    }
    Ok(columns)
}

/// Whether rows of a day share one value of a column, and a window's files are a folder: those of other days are never written anew with it.
fn is_day(wanted: &[Wanted], column: &str) -> bool {
    wanted.len() > 1
        && wanted.iter().any(|wanted| wanted.name == column && wanted.data_type == DataType::Date32)
}

fn struct_type(location: &Location, columns: impl IntoIterator<Item = StructField>) -> Result<StructType> {
    StructType::try_new(columns)
        .map_err(|error| location.error(ErrorKind::Unsupported, "cannot have these columns").caused_by(error))
}

fn delta_column(location: &Location, wanted: &Wanted) -> Result<StructField> {
    types::column(&wanted.name, &wanted.data_type, wanted.comment.as_deref())
        .ok_or_else(|| no_such_type(location, &Field::new(&wanted.name, wanted.data_type.clone(), true)))
}

async fn create(location: &Location, spec: &SinkSpec, wanted: &[Wanted]) -> Result<()> {
    let columns = wanted.iter().map(|column| delta_column(location, column)).collect::<Result<Vec<_>>>()?;
    let schema = struct_type(location, columns)?;
    let actions = first_actions(location, &schema, &partition_columns(location, spec, wanted)?)?;
    // Whoever was faster made what we wanted, or something that the next look judges.
    location.create(actions).await.map(drop)
}

/// A table without columns of its own: a place for records that are set before the first row.
pub(super) async fn create_empty(location: &Location) -> Result<()> {
    let name = types::PLACE_HOLDER.to_owned();
    let column = Wanted { name, data_type: DataType::Boolean, comment: None };
    let actions = first_actions(location, &struct_type(location, [delta_column(location, &column)?])?, &[])?;
    location.create(actions).await.map(drop)
}

fn first_actions(location: &Location, schema: &StructType, partition: &[String]) -> Result<Vec<Action>> {
    let broken = |error: serde_json::Error| {
        location.error(ErrorKind::Internal, "its protocol cannot be written down").caused_by(error)
    };
    let metadata = new_metadata(schema, partition, HashMap::<String, String>::new())
        .map_err(|error| location.failed("its columns cannot be written down", deltalake_error(error)))?;
    Ok(vec![Action::Protocol(types::protocol_for(schema).map_err(broken)?), Action::Metadata(metadata)])
}

fn deltalake_error(error: impl Into<deltalake::DeltaTableError>) -> deltalake::DeltaTableError {
    error.into()
}

/// Gives columns to a table that has none.
async fn fill_in(table: &Table, spec: &SinkSpec, wanted: &[Wanted]) -> Result<()> {
    let location = &table.location;
    let columns = wanted.iter().map(|column| delta_column(location, column)).collect::<Result<Vec<_>>>()?;
    let schema = struct_type(location, columns)?;
    let partition = partition_columns(location, spec, wanted)?;
    let id = table.id()?;
    let metadata = new_metadata(&schema, &partition, HashMap::<String, String>::new())
        .and_then(|metadata| metadata.with_table_id(id))
        .map_err(|error| location.failed("its columns cannot be written down", deltalake_error(error)))?;
    commit_metadata(table, Action::Metadata(metadata), &schema).await
}

async fn add_columns(table: &Table, added: Vec<StructField>) -> Result<()> {
    let location = &table.location;
    let state = table.state()?;
    let schema = struct_type(location, state.schema().fields().cloned().chain(added))?;
    let metadata = state
        .metadata()
        .clone()
        .with_schema(&schema)
        .map_err(|error| location.failed("its columns cannot be written down", deltalake_error(error)))?;
    commit_metadata(table, Action::Metadata(metadata), &schema).await
}

/// Commits new columns, and the protocol that they need. Losing the race is fine: the caller looks again.
async fn commit_metadata(table: &Table, metadata: Action, schema: &StructType) -> Result<()> {
    let actions = metadata_actions(table, metadata, schema)?;
    table.commit(actions, change_of_columns(), Marks::default()).await.map(drop)
}

/// A metadata action, and the protocol that its columns need.
fn metadata_actions(table: &Table, metadata: Action, schema: &StructType) -> Result<Vec<Action>> {
    let protocol = types::raised_protocol(table.state()?.protocol(), schema).map_err(|error| {
        table.location.error(ErrorKind::Internal, "its protocol cannot be written down").caused_by(error)
    })?;
    Ok(protocol.map(Action::Protocol).into_iter().chain([metadata]).collect())
}

fn change_of_columns() -> DeltaOperation {
    DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
}

/// The actions by which a table that is replaced as a whole takes other columns: those of `schema`.
pub(super) fn other_columns(table: &Table, spec: &SinkSpec, schema: &SchemaRef) -> Result<Vec<Action>> {
    let location = &table.location;
    let columns = schema.fields().iter().map(|field| {
        let comment = spec.columns.get(field.name()).and_then(|column| column.description.clone());
        let data_type = field.data_type().clone();
        delta_column(location, &Wanted { name: field.name().clone(), data_type, comment })
    });
    let schema = struct_type(location, columns.collect::<Result<Vec<_>>>()?)?;
    let metadata = table
        .state()?
        .metadata()
        .clone()
        .with_schema(&schema)
        .map_err(|error| location.failed("its columns cannot be written down", deltalake_error(error)))?;
    metadata_actions(table, Action::Metadata(metadata), &schema)
}

/// Refuses tables whose features we do not keep.
fn writable(table: &Table) -> Result<()> {
    let state = table.state()?;
    let refused = |what: &str| {
        Err(table
            .location
            .error(ErrorKind::Unsupported, format!("has {what}, which Vitrina does not write"))
            .hint("write into a table of its own"))
    };
    let configuration = state.metadata().configuration();
    let set = |key: &str| configuration.get(key).is_some_and(|value| value != "false" && value != "none");
    if configuration.keys().any(|key| key.starts_with("delta.constraints.")) {
        return refused("CHECK constraints");
    }
    for (key, what) in [
        ("delta.columnMapping.mode", "a column mapping"),
        ("delta.enableDeletionVectors", "deletion vectors"),
        ("delta.enableChangeDataFeed", "a change data feed"),
        ("delta.enableRowTracking", "row tracking"),
    ] {
        if set(key) {
            return refused(what);
        }
    }
    let special = ["delta.generationExpression", "delta.invariants", "delta.identity.start"];
    let metadata = |field: &StructField| special.iter().any(|key| field.metadata().contains_key(*key));
    if state.schema().fields().any(metadata) {
        return refused("generated columns or invariants");
    }
    Ok(())
}

/// How rows and target come together.
struct Plan {
    schema: SchemaRef,
    left_out: Vec<String>,
    added: Vec<StructField>,
}

impl Plan {
    fn new(location: &Location, spec: &SinkSpec, wanted: &[Wanted], table: &Table) -> Result<Self> {
        check_partitioning(location, spec, table)?;
        let target = table.schema()?;
        // Replaced as a whole, a table holds no row that other columns would not fit.
        let whole = spec.mode == Mode::Replace && spec.partition.is_empty();
        let replaced =
            whole && spec.on_schema_change == OnSchemaChange::Evolve && table.partition_columns()?.is_empty();
        if replaced && !fits(wanted, &target) {
            return Ok(Self { schema: staged_schema(spec, wanted, None), left_out: vec![], added: vec![] });
        }
        let (mut added, mut left_out) = (vec![], vec![]);
        for column in wanted {
            match target.field_with_name(&column.name) {
                Ok(field) if types::takes(field.data_type(), &column.data_type) => {}
                Ok(field) => return Err(other_type(location, spec, column, field.data_type())),
                Err(_) => match spec.on_schema_change {
                    OnSchemaChange::Fail => return Err(new_column(location, column, &target)),
                    OnSchemaChange::Ignore if spec.key.contains(&column.name) => {
                        return Err(new_column(location, column, &target));
                    }
                    OnSchemaChange::Ignore => left_out.push(column.name.clone()),
                    OnSchemaChange::Evolve => {
                        refuse_same_name(location, column, &target)?;
                        added.push(delta_column(location, column)?);
                    }
                },
            }
        }
        if spec.on_schema_change == OnSchemaChange::Fail
            && let Some(gone) = target.fields().iter().find(|field| !has(wanted, field.name()))
        {
            return Err(location
                .error(ErrorKind::SchemaChanged, format!("rows have no column `{}` any more", gone.name()))
                .hint("`on_schema_change = \"evolve\"` fills it with NULL"));
        }
        Ok(Self { schema: staged_schema(spec, wanted, Some(&target)), left_out, added })
    }
}

fn has(wanted: &[Wanted], name: &str) -> bool {
    wanted.iter().any(|column| column.name == name)
}

fn fits(wanted: &[Wanted], target: &SchemaRef) -> bool {
    let taken = |column: &Wanted| {
        target
            .field_with_name(&column.name)
            .is_ok_and(|field| types::takes(field.data_type(), &column.data_type))
    };
    wanted.iter().all(taken)
}

/// What staged rows look like: the target's columns that the rows fill, in its order, with its types.
fn staged_schema(spec: &SinkSpec, wanted: &[Wanted], target: Option<&SchemaRef>) -> SchemaRef {
    let field = |name: &str, data_type: &DataType| {
        // Rows are judged against this schema before they come: a key without a value tells nothing apart.
        Field::new(name, data_type.clone(), !spec.key.iter().any(|key| key == name))
    };
    let mut fields: Vec<Field> = match target {
        None => wanted.iter().map(|column| field(&column.name, &column.data_type)).collect(),
        Some(target) => target
            .fields()
            .iter()
            .filter(|column| has(wanted, column.name()))
            .map(|column| field(column.name(), column.data_type()))
            .collect(),
    };
    if spec.delete.is_some() {
        fields.retain(|field| field.name() != DELETED);
        fields.push(Field::new(DELETED, DataType::Boolean, false));
    }
    Arc::new(Schema::new(fields))
}

fn check_partitioning(location: &Location, spec: &SinkSpec, table: &Table) -> Result<()> {
    let asked =
        spec.options.delta.as_ref().map(|options| options.partition_by.as_slice()).unwrap_or_default();
    let found = table.partition_columns()?;
    if asked.is_empty() || asked == found {
        return Ok(());
    }
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    Err(location
        .error(ErrorKind::SchemaChanged, format!("is partitioned by {found}, not by {}", asked.join(", ")))
        .hint("partitioning cannot be changed in place: write into another table"))
}

fn other_type(location: &Location, spec: &SinkSpec, column: &Wanted, target: &DataType) -> Error {
    let what = format!("column `{}` is {target} there, and {} in the rows", column.name, column.data_type);
    let error = location.error(ErrorKind::SchemaChanged, what);
    if spec.on_schema_change == OnSchemaChange::Evolve {
        error.hint(
            "a Delta table's columns are not widened in place: cast in SQL, or write into another table",
        )
    } else {
        error.hint("cast it in SQL")
    }
}

fn new_column(location: &Location, column: &Wanted, target: &SchemaRef) -> Error {
    if let Err(error) = refuse_same_name(location, column, target) {
        return error;
    }
    location
        .error(ErrorKind::SchemaChanged, format!("has no column `{}`", column.name))
        .hint("`on_schema_change = \"evolve\"` adds it, `\"ignore\"` leaves it out")
}

/// Delta does not tell names apart by case.
fn refuse_same_name(location: &Location, column: &Wanted, target: &SchemaRef) -> Result<()> {
    let lower = column.name.to_lowercase();
    match target.fields().iter().find(|field| field.name().to_lowercase() == lower) {
        None => Ok(()),
        Some(field) => Err(location
            .error(
                ErrorKind::SchemaChanged,
                format!("has a column `{}`, and the rows one `{}`", field.name(), column.name),
            )
            .hint("Delta does not tell columns apart by case: rename it in SQL")),
    }
}
