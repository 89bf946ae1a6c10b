//! Tables as the SQL engine scans them: columns, filters and limits go into SQLite, rows come out in batches.
//!
//! Where the file is in WAL mode a scan sees one state of the table; elsewhere it reads in pages, so that no writer waits for a
//! slow query. A cell that does not fit its column fails the scan: there is no policy for bad rows in a query.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    datasource::TableType,
    error::{DataFusionError, Result as SqlResult},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::{StreamExt, TryStreamExt};
use rusqlite::types::Value as Raw;

use super::{
    database::{Database, blocking},
    error::failed,
    filter::translated,
    name::{quote, quote_all},
    pages::{self, Held, Lane, Query},
    range::Range,
    selection::Selection,
    sink::Shared,
    table::Table,
};
use crate::connector::{
    cells::Rules,
    error::{Error, ErrorKind, Result},
    sent::SentScan,
    source::Chunk,
};

/// A table as it was when it was asked for.
pub(super) struct LiveTable {
    database: Arc<Database>,
    table: Arc<Table>,
    schema: SchemaRef,
}

impl LiveTable {
    pub(super) fn new(database: Arc<Database>, table: Table, hidden: Option<&str>) -> Self {
        Self { schema: table.schema_without(hidden), database, table: Arc::new(table) }
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.database.table_shown(&self.table.name))
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> SqlResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match translated(filter, &self.table) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let mut conditions = vec![];
        let mut parameters = vec![];
        for filter in filters {
            let (condition, more) = translated(filter, &self.table).ok_or_else(|| {
                DataFusionError::Internal("a filter was pushed that was not accepted".to_owned())
            })?;
            conditions.push(condition);
            parameters.extend(more);
        }
        let filter = (!conditions.is_empty()).then(|| (conditions.join(" AND "), parameters));
        let place = Place::Live(self.database.clone(), self.table.clone());
        plan(place, &self.schema, projection, filter, limit)
    }
}

/// Rows that are staged and not committed: what checks read as `this`.
pub(super) struct StagedTable {
    stage: Shared,
    schema: SchemaRef,
}

impl StagedTable {
    pub(super) fn new(stage: Shared) -> Self {
        let schema = stage.lock().schema().clone();
        Self { stage, schema }
    }
}

impl fmt::Debug for StagedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("staged rows")
    }
}

#[async_trait]
impl TableProvider for StagedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> SqlResult<Arc<dyn ExecutionPlan>> {
        plan(Place::Staged(self.stage.clone()), &self.schema, projection, None, limit)
    }
}

/// Where scanned rows lie.
#[derive(Clone)]
enum Place {
    Live(Arc<Database>, Arc<Table>),
    Staged(Shared),
}

fn plan(
    place: Place,
    schema: &SchemaRef,
    projection: Option<&Vec<usize>>,
    filter: Option<(String, Vec<Raw>)>,
    limit: Option<usize>,
) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let schema: SchemaRef = match projection {
        Some(columns) => Arc::new(schema.project(columns)?),
        None => schema.clone(),
    };
    let scan = Scan { place, schema: schema.clone(), filter, limit };
    let sent = scan.sent();
    let rows = StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?;
    Ok(Arc::new(SentScan::new(sent, Arc::new(rows))))
}

struct Scan {
    place: Place,
    schema: SchemaRef,
    filter: Option<(String, Vec<Raw>)>,
    limit: Option<usize>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        f.debug_struct("Scan")
            .field("columns", &columns)
            .field("filter", &self.filter.as_ref().map(|(sql, _)| sql))
            .finish_non_exhaustive()
    }
}

impl Scan {
    /// The SQL of the scan, for people.
    fn sent(&self) -> String {
        let table = match &self.place {
            Place::Live(_, table) => quote(&table.name),
            Place::Staged(_) => "the staged rows".to_owned(),
        };
        let columns = quote_all(self.schema.fields().iter().map(|field| field.name().as_str()));
        let columns = if columns.is_empty() { "1".to_owned() } else { columns };
        let filter = self.filter.as_ref().map(|(filter, _)| format!(" WHERE {filter}")).unwrap_or_default();
        let limit = self.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        format!("SELECT {columns} FROM {table}{filter}{limit}")
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (place, schema) = (self.place.clone(), self.schema.clone());
        let (filter, limit) = (self.filter.clone(), self.limit.map(|limit| limit as u64));
        let shown = match &place {
            Place::Live(database, table) => database.table_shown(&table.name),
            Place::Staged(_) => "the staged rows".to_owned(),
        };
        let named = shown.clone();
        let prepared = blocking(move || prepare(place, schema, filter, limit, named));
        let batches = futures::stream::once(prepared)
            .map_ok(|(query, lane)| pages::read(query, vec![lane]))
            .try_flatten()
            .map(move |chunk| Ok(chunk.and_then(|chunk| whole(chunk, &shown))?.batch));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

fn prepare(
    place: Place,
    schema: SchemaRef,
    filter: Option<(String, Vec<Raw>)>,
    limit: Option<u64>,
    shown: String,
) -> Result<(Query, Lane)> {
    let filtered = filter.is_some();
    let selection = Selection { schema, rules: Rules::default(), others: vec![], refuses: false };
    let mut query = Query {
        table: String::new(),
        shown,
        selection,
        keys: vec![],
        row: vec![],
        pages: false,
        filter,
        limit,
        whole: None,
    };
    let held = match place {
        Place::Staged(stage) => {
            stage.lock().table().clone_into(&mut query.table);
            Held::Stage(stage)
        }
        Place::Live(database, table) => {
            query.table = quote(&table.name);
            let lease = database.reader()?;
            let failed = |error| failed(&query.shown, error);
            let journal: String =
                lease.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
            // With a filter SQLite chooses the way; without one row ids are the way through the table.
            if !filtered && let Some(rowid) = &table.rowid {
                query.keys = vec![rowid.clone()];
                query.pages = true;
            }
            if journal == "wal" {
                lease.execute_batch("BEGIN").map_err(failed)?;
            }
            Held::Lease(lease)
        }
    };
    Ok((query, Lane { held, ranges: vec![Range::ALL] }))
}

pub(super) fn whole(chunk: Chunk, shown: &str) -> Result<Chunk> {
    let Some(bad) = chunk.bad.first() else {
        return Ok(chunk);
    };
    let column = bad.column.as_deref().unwrap_or_default();
    let message = format!("{shown} has a row that does not fit: column \"{column}\": {}", bad.reason);
    Err(Error::new(ErrorKind::BadData, message)
        .hint("read the table by a pipeline with a contract, which says what becomes of such rows"))
}
