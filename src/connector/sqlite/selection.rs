//! Which columns of a table are read, and as what.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono_tz::Tz;

use super::{database::Database, name::nearest, table::Table};
use crate::{
    connector::{
        cells::Rules,
        error::{Error, ErrorKind, Result},
    },
    model::column::{Contract, Unlisted},
};

/// The columns of a table that are read.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// The columns in order, with the types that they are read as.
    pub(super) schema: SchemaRef,
    /// How their cells are read.
    pub(super) rules: Rules,
    /// Columns that are not read, but belong to the row that a dead letter keeps.
    pub(super) others: Vec<String>,
    /// Whether no row may have them (`unlisted = "bad"`): then every row is bad.
    pub(super) refuses: bool,
}

impl Selection {
    /// What a contract makes of a table; without one, the table's own columns. `hidden` is left out unless the contract lists it.
    pub(super) fn of(
        database: &Database,
        table: &Table,
        contract: Option<&Contract>,
        zone: Tz,
        hidden: Option<&str>,
    ) -> Result<Self> {
        let own = table.schema_without(hidden);
        let Some(contract) = contract else {
            let rules = Rules { zone, ..Rules::default() };
            return Ok(Self { schema: own, rules, others: vec![], refuses: false });
        };
        let mut fields = Vec::with_capacity(contract.columns.len());
        for (name, column) in &contract.columns {
            if table.column(name).is_none() {
                return Err(missing(database, table, name));
            }
            fields.push(Arc::new(Field::new(name, column.kind.arrow().clone(), column.nullable)));
        }
        let listed = |name: &str| contract.columns.keys().any(|listed| listed.as_str() == name);
        let unlisted = own.fields().iter().filter(|field| !listed(field.name()));
        let mut others: Vec<String> = vec![];
        match contract.unlisted {
            Unlisted::Keep => fields.extend(unlisted.cloned()),
            Unlisted::Drop | Unlisted::Bad => others.extend(unlisted.map(|field| field.name().clone())),
        }
        let refuses = contract.unlisted == Unlisted::Bad && !others.is_empty();
        let rules = Rules { null_values: contract.null_values.clone(), zone, epoch: true };
        Ok(Self { schema: Arc::new(Schema::new(fields)), rules, others, refuses })
    }

    /// The same, held to the schema that a unit pinned: columns that were added since are not read.
    pub(super) fn pinned(mut self, pinned: &SchemaRef, shown: &str) -> Result<Self> {
        for field in pinned.fields() {
            let now = self.schema.field_with_name(field.name());
            let changed = match now {
                Ok(now) if now.data_type() == field.data_type() => continue,
                Ok(_) => "has another type now",
                Err(_) => "is gone",
            };
            let message = format!("column \"{}\" of {shown} {changed}", field.name());
            return Err(Error::new(ErrorKind::SchemaChanged, message));
        }
        self.schema = pinned.clone();
        Ok(self)
    }
}

/// The error of a column that is not there, with the nearest that is.
pub(super) fn missing(database: &Database, table: &Table, column: &str) -> Error {
    let message = format!("{} has no column \"{column}\"", database.table_shown(&table.name));
    let error = Error::new(ErrorKind::NotFound, message);
    match nearest(column, table.columns.iter().map(|column| column.name.as_str())) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
