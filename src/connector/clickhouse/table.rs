//! What a table is like: its engine and its columns, as the server's system tables have them.

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::{
    client::{Row, Server},
    name::{is_reserved, literal, nearest, qualified},
    types::Kind,
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::column::Contract,
};

/// A table or view as it is now.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) database: String,
    pub(super) name: String,
    pub(super) engine: String,
    /// The engine with what it is told, as the server spells it.
    pub(super) engine_full: String,
    /// The columns or expressions that it is sorted by, as the server spells them.
    pub(super) sorting_key: String,
    /// What is another one for a table that was made again; the same zeros for all tables of an old kind of database.
    pub(super) uuid: String,
    pub(super) comment: String,
    /// Whether materialized views are fed by what is inserted into it.
    pub(super) feeds_views: bool,
    pub(super) rows: Option<u64>,
    pub(super) columns: Vec<TableColumn>,
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its type as the server spells it.
    pub(super) declared: String,
    /// Whether the server fills it by itself when rows do not.
    pub(super) fills_itself: bool,
    /// Computed by the server: cannot be written.
    pub(super) computed: bool,
    /// Whether the table is sorted by it.
    pub(super) sorts: bool,
}

impl Table {
    /// The table of this very name; `None` = there is none.
    pub(super) async fn find(server: &Server, database: &str, name: &str) -> Result<Option<Self>> {
        let shown = server.table_shown(database, name);
        let of_table = format!(
            "SELECT engine, toString(uuid), comment, length(dependencies_table), toString(total_rows), engine_full, sorting_key FROM system.tables \
             WHERE database = {} AND name = {}",
            literal(database),
            literal(name)
        );
        let of_columns = format!(
            "SELECT name, type, default_kind, comment, is_in_sorting_key FROM system.columns \
             WHERE database = {} AND table = {} AND default_kind <> 'EPHEMERAL' ORDER BY position",
            literal(database),
            literal(name)
        );
        let (found, columns) =
            tokio::try_join!(server.row(&shown, &of_table), server.rows(&shown, &of_columns))?;
        let Some(found) = found else { return Ok(None) };
        // Made between the two questions: it is there, and was not yet when its columns were asked for.
        let columns = if columns.is_empty() { server.rows(&shown, &of_columns).await? } else { columns };
        let columns = columns.iter().map(column).collect();
        Ok(Some(Self {
            database: database.to_owned(),
            name: name.to_owned(),
            engine: text(&found, 0).to_owned(),
            engine_full: text(&found, 5).to_owned(),
            sorting_key: text(&found, 6).to_owned(),
            uuid: text(&found, 1).to_owned(),
            comment: text(&found, 2).to_owned(),
            feeds_views: text(&found, 3) != "0",
            rows: text(&found, 4).parse().ok(),
            columns,
        }))
    }

    /// The table of this very name, which must be there.
    pub(super) async fn must(server: &Server, database: &str, name: &str) -> Result<Self> {
        if let Some(found) = Self::find(server, database, name).await? {
            return Ok(found);
        }
        let error =
            Error::new(ErrorKind::NotFound, format!("{} does not exist", server.table_shown(database, name)));
        let names = Self::names(server, database).await.unwrap_or_default();
        Err(match nearest(name, names.iter().map(String::as_str)) {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }

    /// Names of all tables and views of users in a database, in order.
    pub(super) async fn names(server: &Server, database: &str) -> Result<Vec<String>> {
        let sql =
            format!("SELECT name FROM system.tables WHERE database = {} ORDER BY name", literal(database));
        let names = server.rows(&server.shown(), &sql).await?.into_iter().filter_map(first);
        Ok(names.filter(|name| !is_reserved(name)).collect())
    }

    /// Names of all databases of users that may be seen.
    pub(super) async fn databases(server: &Server) -> Result<Vec<String>> {
        let sql = "SELECT name FROM system.databases WHERE lower(name) NOT IN ('system', 'information_schema') ORDER BY name";
        Ok(server.rows(&server.shown(), sql).await?.into_iter().filter_map(first).collect())
    }

    /// A column by its name.
    pub(super) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that its rows are sorted by first; none where that is an expression.
    pub(super) async fn leading_key(&self, server: &Server) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT sorting_key FROM system.tables WHERE database = {} AND name = {}",
            literal(&self.database),
            literal(&self.name)
        );
        let key = server.cell(&server.table_shown(&self.database, &self.name), &sql).await?;
        let key = key.unwrap_or_default();
        let leads = |column: &&TableColumn| {
            let spelled = [column.name.clone(), super::name::quote(&column.name)];
            spelled.iter().any(|name| {
                key.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
            })
        };
        Ok(self.columns.iter().filter(leads).map(|column| column.name.clone()).collect())
    }

    /// Its columns as Arrow fields; what cannot be read is left out.
    pub(super) fn arrow(&self) -> SchemaRef {
        let field =
            |column: &TableColumn| Some(Field::new(&column.name, column.kind.arrow()?, column.kind.nullable));
        Schema::new(self.columns.iter().filter_map(field).collect::<Vec<_>>()).into()
    }

    /// The same as rows are read against a contract: a `String` that this has as bytes need not be UTF-8.
    pub(super) fn read_as(&self, contract: Option<&Contract>) -> SchemaRef {
        let as_bytes = |name: &str| {
            let told = contract.and_then(|contract| contract.columns.get(name));
            told.is_some_and(|told| *told.kind.arrow() == DataType::Binary)
        };
        let field = |field: &FieldRef| {
            let is_text = self.column(field.name()).is_some_and(|column| column.kind.spelled == "String");
            let bytes = is_text && as_bytes(field.name());
            if bytes {
                field.as_ref().clone().with_data_type(DataType::Binary)
            } else {
                field.as_ref().clone()
            }
        };
        Schema::new(self.arrow().fields().iter().map(field).collect::<Vec<_>>()).into()
    }

    /// Its name in SQL.
    pub(super) fn sql(&self) -> String {
        qualified(&self.database, &self.name)
    }

    /// Its name where it is read: engines that replace or add up rows when they merge parts are read as if all were merged.
    pub(super) fn source(&self) -> String {
        let merging = ["Replacing", "Collapsing", "Summing", "Aggregating", "Coalescing"];
        let last = if merging.iter().any(|kind| self.engine.contains(kind)) { " FINAL" } else { "" };
        format!("{}{last}", self.sql())
    }

    /// Whether its data lies in parts of its own, on this one server.
    pub(super) fn has_own_parts(&self) -> bool {
        has_own_parts(&self.engine)
    }

    /// A `SELECT` list of these columns, in the order of a schema.
    pub(super) fn selected(&self, schema: &SchemaRef) -> String {
        let columns = schema.fields().iter().filter_map(|field| self.column(field.name()));
        let selected: Vec<String> = columns.map(|column| column.kind.selected(&column.name)).collect();
        // Rows are counted by a column of nothing.
        if selected.is_empty() { "1".to_owned() } else { selected.join(", ") }
    }
}

/// Whether tables of an engine have parts of their own, on one server. `engine` may have what it is told behind its name.
pub(super) fn has_own_parts(engine: &str) -> bool {
    let name = engine.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    name.ends_with("MergeTree") && !name.starts_with("Replicated") && !name.starts_with("Shared")
}

#[cfg(test)]
impl TableColumn {
    /// A column that is nothing but its type.
    pub(super) fn plain(name: &str, declared: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::of(declared, ""),
            declared: declared.to_owned(),
            fills_itself: false,
            computed: false,
            sorts: false,
        }
    }
}

/// The error of a column that is not there, with the nearest that is.
pub(super) fn missing(shown: &str, table: &Table, column: &str) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("{shown} has no column \"{column}\""));
    match nearest(column, table.columns.iter().map(|column| column.name.as_str())) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn column(row: &Row) -> TableColumn {
    let (declared, default, comment) = (text(row, 1), text(row, 2), text(row, 3));
    TableColumn {
        name: text(row, 0).to_owned(),
        kind: Kind::of(declared, comment),
        declared: declared.to_owned(),
        fills_itself: !default.is_empty(),
        computed: matches!(default, "MATERIALIZED" | "ALIAS"),
        sorts: text(row, 4) == "1",
    }
}

fn first(row: Row) -> Option<String> {
    row.into_iter().next().flatten()
}

/// A cell of a row; empty where it is NULL.
pub(super) fn text(row: &Row, at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}
