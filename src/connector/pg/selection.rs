//! Which columns of a table are read, and as what.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{
    client::Server,
    name::nearest,
    read::Query,
    table::{Table, TableColumn},
};
use crate::{
    connector::{
        cells::Rules,
        error::{Error, ErrorKind, Result},
        source::SourceSpec,
    },
    model::column::Unlisted,
};

/// The columns of a table that are read.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// The columns in order, with the types that they are read as.
    pub(crate) schema: SchemaRef,
    rules: Rules,
    /// Columns that belong to the row that a dead letter keeps, and to nothing else.
    others: Vec<String>,
    refuses: bool,
    shown: String,
}

impl Selection {
    /// What a specification makes of a table; without a contract, the table's own columns.
    pub(crate) fn of(server: &Server, table: &Table, spec: &SourceSpec) -> Result<Self> {
        let shown = server.table_shown(&table.schema, &table.name);
        let own = table.arrow();
        let Some(contract) = &spec.contract else {
            let rules = Rules { zone: spec.zone, ..Rules::default() };
            return Ok(Self { schema: own, rules, others: vec![], refuses: false, shown });
        };
        let mut fields = Vec::with_capacity(contract.columns.len());
        for (name, column) in &contract.columns {
            if table.column(name).is_none() {
                return Err(missing(&shown, table, name));
            }
            fields.push(Arc::new(Field::new(name, column.kind.arrow().clone(), column.nullable)));
        }
        let unlisted = own.fields().iter().filter(|field| !contract.columns.contains_key(field.name()));
        let mut others = vec![];
        match contract.unlisted {
            Unlisted::Keep => fields.extend(unlisted.cloned()),
            Unlisted::Drop | Unlisted::Bad => others.extend(unlisted.map(|field| field.name().clone())),
        }
        let refuses = contract.unlisted == Unlisted::Bad && !others.is_empty();
        let rules = Rules { null_values: contract.null_values.clone(), zone: spec.zone, epoch: true };
        Ok(Self { schema: Arc::new(Schema::new(fields)), rules, others, refuses, shown })
    }

    /// The same, held to the schema that a unit pinned: columns that were added since are not read.
    pub(crate) fn pinned(mut self, pinned: &SchemaRef) -> Result<Self> {
        for field in pinned.fields() {
            let changed = match self.schema.field_with_name(field.name()) {
                Ok(now) if now.data_type() == field.data_type() => continue,
                Ok(_) => "has another type now",
                Err(_) => "is gone",
            };
            let message = format!("column \"{}\" of {} {changed}", field.name(), self.shown);
            return Err(Error::new(ErrorKind::SchemaChanged, message));
        }
        self.schema = pinned.clone();
        Ok(self)
    }

    /// The query that reads these columns, with what follows the table's name in it.
    pub(crate) fn query(&self, table: &Table, tail: &str) -> Query {
        let own = self.schema.fields().iter().map(|field| field.name());
        let columns: Vec<&TableColumn> =
            own.chain(&self.others).filter_map(|name| table.column(name)).collect();
        let selected: Vec<String> = columns.iter().map(|column| column.selected()).collect();
        Query {
            select: format!("SELECT {} FROM {}{tail}", selected.join(", "), table.sql()),
            kinds: columns.iter().map(|column| column.kind).collect(),
            schema: self.schema.clone(),
            rules: self.rules.clone(),
            others: self.others.clone(),
            refuses: self.refuses,
            shown: self.shown.clone(),
        }
    }
}

/// The error of a column that is not there, with the nearest that is.
pub(crate) fn missing(shown: &str, table: &Table, column: &str) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("{shown} has no column \"{column}\""));
    match nearest(column, table.columns.iter().map(|column| column.name.as_str())) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
