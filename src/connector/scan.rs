//! Tables of a place as the SQL engine scans them: which columns, filters and limits go into the place is each connector's to say; everything around it is
//! the same, and here.

use std::{fmt, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
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
use futures::{Stream, StreamExt, TryStreamExt};

use super::{
    error::{Error, ErrorKind, Result},
    sent::SentScan,
    source::Chunk,
};

/// A table of a place, or rows that are staged for one.
pub(crate) trait Scan: fmt::Debug + Send + Sync + 'static {
    /// Its columns.
    fn schema(&self) -> &SchemaRef;

    /// Whether the place takes a filter, and means by it what the engine does.
    fn takes(&self, _: &Expr) -> bool {
        false
    }

    /// How it is read.
    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>>;
}

/// What a query wants of a table.
pub(crate) struct Wanted<'a> {
    /// These columns.
    pub(crate) schema: SchemaRef,
    /// Rows of which all of these hold; each of them was [taken](Scan::takes).
    pub(crate) filters: &'a [Expr],
    /// So many rows, at most.
    pub(crate) limit: Option<usize>,
}

impl Wanted<'_> {
    /// The statement for it, of columns and a table as the place spells them.
    pub(crate) fn select(&self, columns: &str, table: &str, condition: Option<&str>) -> String {
        let filter = condition.map_or(String::new(), |condition| format!(" WHERE {condition}"));
        let limit = self.limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        format!("SELECT {columns} FROM {table}{filter}{limit}")
    }
}

/// Such a table, as the engine knows tables.
#[derive(Debug)]
pub(crate) struct Scanned<T>(pub(crate) T);

#[async_trait]
impl<T: Scan> TableProvider for Scanned<T> {
    fn schema(&self) -> SchemaRef {
        self.0.schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> SqlResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| {
            if self.0.takes(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
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
        let schema = match projection {
            Some(columns) => Arc::new(self.0.schema().project(columns)?),
            None => self.0.schema().clone(),
        };
        self.0.plan(Wanted { schema, filters, limit })
    }
}

/// Rows of a place: `begin` asks for them anew each time that the plan runs.
pub(crate) fn rows(
    schema: SchemaRef,
    limit: Option<usize>,
    begin: impl Fn() -> SendableRecordBatchStream + Send + Sync + 'static,
) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let partition = Arc::new(Begin { schema: schema.clone(), begin });
    Ok(Arc::new(StreamingTableExec::try_new(schema, vec![partition], None, [], false, limit)?))
}

/// Such rows, whose plan shows what is sent for them.
pub(crate) fn sent_rows(
    sent: String,
    schema: SchemaRef,
    limit: Option<usize>,
    begin: impl Fn() -> SendableRecordBatchStream + Send + Sync + 'static,
) -> SqlResult<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(SentScan::new(sent, rows(schema, limit, begin)?)))
}

struct Begin<B> {
    schema: SchemaRef,
    begin: B,
}

impl<B> fmt::Debug for Begin<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        f.debug_struct("Begin").field("columns", &columns).finish_non_exhaustive()
    }
}

impl<B: Fn() -> SendableRecordBatchStream + Send + Sync> PartitionStream for Begin<B> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        (self.begin)()
    }
}

/// Batches as the engine takes them.
pub(crate) fn batches(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, batches.map_err(DataFusionError::from)))
}

/// Chunks as the engine takes them. A row that does not fit fails the query, in which there is no policy for bad rows; `shown` is how messages name the table.
pub(crate) fn chunks(
    schema: SchemaRef,
    shown: String,
    chunks: impl Stream<Item = Result<Chunk>> + Send + 'static,
) -> SendableRecordBatchStream {
    batches(schema, chunks.map(move |chunk| whole(chunk?, &shown)))
}

fn whole(chunk: Chunk, shown: &str) -> Result<RecordBatch> {
    let Some(bad) = chunk.bad.first() else { return Ok(chunk.batch) };
    let column = bad.column.as_deref().unwrap_or_default();
    let message = format!("{shown} has a row that does not fit: column \"{column}\": {}", bad.reason);
    Err(Error::new(ErrorKind::BadData, message)
        .hint("read the table by a pipeline with a contract, which says what becomes of such rows"))
}
