//! Statements of the SQL engine, run by SQLite itself.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::TableProvider, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, TryStreamExt};
use rusqlite::types::Value as Raw;

use super::{
    database::{Database, blocking},
    dialect::{MISFIT, SqliteDialect, columns, raw},
    name::quote,
    pages::{self, Held, Lane, Query},
    range::Range,
    scan::{LiveTable, whole},
    selection::Selection,
    table::Table,
};
use crate::connector::{
    cells::Rules,
    error::{Error, ErrorKind, Result},
    executor::{Dialect, Executor, RemoteTable, Statement},
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
        scan: Arc::new(LiveTable::new(database.clone(), table, hidden)) as Arc<dyn TableProvider>,
    }
}

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
        let batches = futures::stream::once(prepared)
            .map_ok(|(query, lane)| pages::read(query, vec![lane]))
            .try_flatten()
            .map_err(told)
            .map(move |chunk| Ok(chunk.and_then(|chunk| whole(chunk, &shown))?.batch));
        Box::pin(RecordBatchStreamAdapter::new(schema.clone(), batches))
    }
}

fn prepare(
    database: &Arc<Database>,
    statement: &Statement,
    schema: SchemaRef,
    shown: String,
) -> Result<(Query, Lane)> {
    let values: Option<Vec<Raw>> = statement.values.iter().map(raw).collect();
    let values = values.ok_or_else(|| Error::new(ErrorKind::Internal, "a value was sent that cannot be"))?;
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
    let lane = Lane { held: Held::Lease(database.reader()?), ranges: vec![Range::ALL] };
    Ok((query, lane))
}

/// A cell that does not fit its column is told so, whatever SQLite calls it.
fn told(error: Error) -> Error {
    let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    let Some((_, column)) = cause.split_once(MISFIT) else { return error };
    let column = column.split("' in ").next().unwrap_or_default().trim_end_matches('\'');
    let message = format!("a row does not fit: column \"{column}\" holds what is not of its type");
    Error::new(ErrorKind::BadData, message)
        .hint("read the table by a pipeline with a contract, which says what becomes of such rows")
}
