//! Tables as the SQL engine scans them: columns, filters and limits go into the server, rows come out by COPY.
//!
//! A scan sees one state of the table. A cell that does not fit its column (an infinite date) fails the scan: there is no policy for bad rows in a query.

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

use super::{
    client::{Lease, Server},
    dialect::STAGE,
    error::failed,
    filter::{Values, translated},
    name::quote,
    read::{self, Query},
    table::{Table, TableColumn},
    types::Kind,
};
use crate::connector::{
    cells::Rules,
    error::{Error, ErrorKind, Result},
    sent::SentScan,
    source::Chunk,
};

/// A table as it was when it was asked for.
pub(crate) struct LiveTable {
    server: Arc<Server>,
    table: Arc<Table>,
    schema: SchemaRef,
}

impl LiveTable {
    pub(crate) fn new(server: Arc<Server>, table: Table) -> Self {
        Self { schema: table.arrow(), server, table: Arc::new(table) }
    }

    fn shown(&self) -> String {
        self.server.table_shown(&self.table.schema, &self.table.name)
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
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
        let support = |filter: &&Expr| match translated(filter, &self.table, Values::Marks) {
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
        let schema = projected(&self.schema, projection)?;
        let columns: Vec<&TableColumn> =
            schema.fields().iter().filter_map(|field| self.table.column(field.name())).collect();
        let select = |values| self.select(&columns, filters, limit, values);
        let query = Query {
            select: select(Values::Literals)?,
            kinds: columns.iter().map(|column| column.kind).collect(),
            ..query(schema, self.shown())
        };
        let sent = select(Values::Marks)?;
        plan(Scan { place: Place::Server(self.server.clone()), query }, sent, limit)
    }
}

impl LiveTable {
    fn select(
        &self,
        columns: &[&TableColumn],
        filters: &[Expr],
        limit: Option<usize>,
        values: Values,
    ) -> SqlResult<String> {
        let selected: Vec<String> = columns.iter().map(|column| column.selected()).collect();
        let conditions: Option<Vec<String>> =
            filters.iter().map(|filter| translated(filter, &self.table, values)).collect();
        let conditions = conditions.ok_or_else(|| {
            DataFusionError::Internal("a filter was pushed that was not accepted".to_owned())
        })?;
        let filter =
            if filters.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let limit = limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        Ok(format!("SELECT {} FROM {}{filter}{limit}", selected.join(", "), self.table.sql()))
    }
}

/// Rows that are staged and not committed: what checks read as `this`.
pub(crate) struct StagedTable {
    lease: Arc<Lease>,
    schema: SchemaRef,
    shown: String,
}

impl StagedTable {
    pub(crate) fn new(lease: Arc<Lease>, schema: SchemaRef, shown: String) -> Self {
        Self { lease, schema, shown }
    }
}

impl fmt::Debug for StagedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows staged for {}", self.shown)
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
        let schema = projected(&self.schema, projection)?;
        let kind = |data_type| Kind::keeping(data_type).unwrap_or(Kind::Text);
        let kinds: Vec<Kind> = schema.fields().iter().map(|field| kind(field.data_type())).collect();
        let selected = schema.fields().iter().zip(&kinds);
        let selected: Vec<String> =
            selected.map(|(field, kind)| format!("{}::{}", quote(field.name()), kind.sql())).collect();
        let limited = limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        let select = format!("SELECT {} FROM {STAGE}{limited}", selected.join(", "));
        let sent = format!("{select} (the staged rows)");
        let query = Query { select, kinds, ..query(schema, self.shown.clone()) };
        plan(Scan { place: Place::Stage(self.lease.clone()), query }, sent, limit)
    }
}

/// Where scanned rows lie.
enum Place {
    Server(Arc<Server>),
    Stage(Arc<Lease>),
}

fn projected(schema: &SchemaRef, projection: Option<&Vec<usize>>) -> SqlResult<SchemaRef> {
    Ok(match projection {
        Some(columns) => Arc::new(schema.project(columns)?),
        None => schema.clone(),
    })
}

/// A query of nothing yet.
fn query(schema: SchemaRef, shown: String) -> Query {
    let (select, kinds) = (String::new(), vec![]);
    Query { select, kinds, schema, rules: Rules::default(), others: vec![], refuses: false, shown }
}

fn plan(scan: Scan, sent: String, limit: Option<usize>) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let schema = scan.query.schema.clone();
    let rows = StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?;
    Ok(Arc::new(SentScan::new(sent, Arc::new(rows))))
}

struct Scan {
    place: Place,
    query: Query,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> =
            self.query.schema.fields().iter().map(|field| field.name().as_str()).collect();
        f.debug_struct("Scan").field("columns", &columns).finish_non_exhaustive()
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.query.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (query, shown) = (self.query.clone(), self.query.shown.clone());
        let chunks = match &self.place {
            Place::Server(server) => {
                let server = server.clone();
                futures::stream::once(async move {
                    let lease = server.lease().await?;
                    let begun = lease.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
                    begun.map_err(|error| failed(&query.shown, error))?;
                    read::copy(lease, query).await
                })
                .boxed()
            }
            Place::Stage(lease) => {
                let lease = lease.clone();
                futures::stream::once(async move { read::copy_shared(lease, query).await }).boxed()
            }
        };
        let batches =
            chunks.try_flatten().map(move |chunk| Ok(chunk.and_then(|chunk| whole(chunk, &shown))?.batch));
        Box::pin(RecordBatchStreamAdapter::new(self.query.schema.clone(), batches))
    }
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
