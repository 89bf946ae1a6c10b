//! Statements of the SQL engine, run by SQLite itself.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use rusqlite::{Connection, types::Value as Raw};

use super::{
    database::{Database, blocking},
    dialect::{MISFIT, SqliteDialect, columns, raw},
    error::failed,
    name::quote,
    pages::{self, Held, Lane, Query},
    range::Range,
    scan::LiveTable,
    selection::Selection,
    table::Table,
    types::suggested,
};
use crate::connector::{
    cells::Rules,
    error::{Error, ErrorKind, Result},
    executor::{Dialect, Executor, RemoteTable, Statement},
    scan::{self, Scanned},
};

/// A database file that runs statements.
pub(super) struct SqliteExecutor {
    database: Arc<Database>,
    place: String,
}

impl fmt::Debug for SqliteExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// A table for the engine: scanned, or a part of a statement.
pub(super) fn remote(database: &Arc<Database>, table: Table, hidden: Option<&str>) -> RemoteTable {
    let place = format!("{}.{}", quote(&database.connection), quote(&database.schema));
    RemoteTable {
        executor: Arc::new(SqliteExecutor { database: database.clone(), place }),
        name: quote(&table.name),
        columns: columns(&table, hidden),
        told: None,
        scan: Arc::new(Scanned(LiveTable::new(database.clone(), table, hidden))),
    }
}

#[async_trait]
impl Executor for SqliteExecutor {
    fn place(&self) -> &str {
        &self.place
    }

    fn dialect(&self) -> &dyn Dialect {
        &SqliteDialect
    }

    fn rows(&self, statement: &Statement, schema: &SchemaRef) -> SendableRecordBatchStream {
        let shown = format!("a query of {}", self.database.shown());
        let (database, statement, columns) = (self.database.clone(), statement.clone(), schema.clone());
        let named = shown.clone();
        let prepared = blocking(move || prepare(&database, &statement, columns, named));
        let chunks = futures::stream::once(prepared)
            .map_ok(|(query, lane)| pages::read(query, vec![lane]))
            .try_flatten()
            .map_err(told);
        scan::chunks(schema.clone(), shown, chunks)
    }

    async fn described(&self, statement: &Statement) -> Result<(Statement, SchemaRef)> {
        let (database, statement) = (self.database.clone(), statement.clone());
        blocking(move || {
            let shown = format!("a query of {}", database.shown());
            let lease = database.reader()?;
            let fields = described(&lease, &statement).map_err(|error| failed(&shown, error))?;
            Ok((statement, Arc::new(Schema::new(fields))))
        })
        .await
    }
}

/// The columns of a query: as a table declares them, and others as their values are.
fn described(connection: &Connection, statement: &Statement) -> rusqlite::Result<Vec<Field>> {
    let prepared = connection.prepare(&statement.sql)?;
    let columns = prepared.columns();
    let declared: Vec<(String, Option<DataType>)> = columns
        .map(|column| {
            let declared = column.decl_type().filter(|declared| !declared.is_empty());
            (column.name().to_owned(), declared.map(suggested))
        })
        .collect();
    let names: Vec<String> = (1..=declared.len()).map(|at| format!("c{at}")).collect();
    let sorts: Vec<String> =
        names.iter().map(|name| format!("group_concat(DISTINCT typeof({name}))")).collect();
    let sql = format!(
        "WITH answer ({}) AS (\n{}\n) SELECT {} FROM answer",
        names.join(", "),
        statement.sql,
        sorts.join(", ")
    );
    let values = statement.values.iter().filter_map(raw);
    let told: Vec<Option<String>> = if declared.iter().all(|(_, kind)| kind.is_some()) {
        vec![None; declared.len()]
    } else {
        connection.query_row(&sql, rusqlite::params_from_iter(values), |row| {
            (0..declared.len()).map(|at| row.get(at)).collect()
        })?
    };
    let field = |((name, declared), told): ((String, Option<DataType>), Option<String>)| {
        Field::new(name, declared.unwrap_or_else(|| held(told.as_deref().unwrap_or_default())), true)
    };
    Ok(declared.into_iter().zip(told).map(field).collect())
}

/// The type of values that SQLite keeps as these sorts.
fn held(sorts: &str) -> DataType {
    let mut sorts: Vec<&str> = sorts.split(',').filter(|sort| *sort != "null").collect();
    sorts.sort_unstable();
    match sorts.as_slice() {
        ["integer"] => DataType::Int64,
        ["real"] | ["integer", "real"] => DataType::Float64,
        ["blob"] => DataType::Binary,
        _ => DataType::Utf8,
    }
}

fn prepare(
    database: &Arc<Database>,
    statement: &Statement,
    schema: SchemaRef,
    shown: String,
) -> Result<(Query, Lane)> {
    let values: Option<Vec<Raw>> = statement.values.iter().map(raw).collect();
    let mut values =
        values.ok_or_else(|| Error::new(ErrorKind::Internal, "a value was sent that cannot be"))?;
    let lease = database.reader()?;
    // The last values may belong to columns that were left out.
    let named = lease.prepare(&statement.sql).map(|prepared| prepared.parameter_count());
    values.truncate(named.map_err(|error| failed(&shown, error))?);
    let query = Query {
        table: String::new(),
        shown,
        selection: Selection { schema, rules: Rules::default(), others: vec![], refuses: false },
        keys: vec![],
        row: vec![],
        pages: false,
        filter: None,
        limit: None,
        whole: Some((statement.sql.clone(), values)),
    };
    let lane = Lane { held: Held::Lease(lease), ranges: vec![Range::ALL] };
    Ok((query, lane))
}

/// A cell that does not fit its column is told so, whatever SQLite calls it.
fn told(error: Error) -> Error {
    let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    let Some((_, column)) = cause.split_once(MISFIT) else { return error };
    // The path is quoted as a text of SQL.
    let column = column.strip_suffix('\'').unwrap_or(column).replace("''", "'");
    let message = format!("a row does not fit: column \"{column}\" holds what is not of its type");
    Error::new(ErrorKind::BadData, message)
        .hint("read the table by a pipeline with a contract, which says what becomes of such rows")
}
