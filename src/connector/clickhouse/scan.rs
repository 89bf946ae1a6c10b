//! Tables as the SQL engine scans them: columns, filters and limits go into the server, rows come out as Arrow.
//!
//! A scan sees one state of the table. A text that is not UTF-8 fails it: there is no policy for bad rows in a query.

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
use futures::TryStreamExt;

use super::{
    client::Server,
    filter::{Values, translated},
    ipc::{Batches, not_utf8, typed},
    table::Table,
};
use crate::connector::{error::Error, sent::SentScan};

/// A table as it was when it was asked for.
pub(super) struct LiveTable {
    server: Arc<Server>,
    table: Table,
    schema: SchemaRef,
    /// How messages name it.
    shown: String,
}

impl LiveTable {
    pub(super) fn new(server: Arc<Server>, table: Table) -> Self {
        let shown = server.table_shown(&table.database, &table.name);
        Self { schema: table.arrow(), shown, server, table }
    }

    /// Rows that are staged for a table: what checks read as `this`.
    pub(super) fn staged(server: Arc<Server>, table: Table, schema: SchemaRef, shown: String) -> Self {
        Self { server, table, schema, shown }
    }

    fn select(
        &self,
        columns: &SchemaRef,
        filters: &[Expr],
        limit: Option<usize>,
        values: Values,
    ) -> SqlResult<String> {
        let conditions: Option<Vec<String>> =
            filters.iter().map(|filter| translated(filter, &self.table, values)).collect();
        let conditions = conditions.ok_or_else(|| {
            DataFusionError::Internal("a filter was pushed that was not accepted".to_owned())
        })?;
        let filter =
            if filters.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let limit = limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        Ok(format!("SELECT {} FROM {}{filter}{limit}", self.table.selected(columns), self.table.source()))
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
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
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let scan = Scan {
            server: self.server.clone(),
            sql: self.select(&schema, filters, limit, Values::Literals)?,
            schema: schema.clone(),
            shown: self.shown.clone(),
        };
        let sent = self.select(&schema, filters, limit, Values::Marks)?;
        let rows = StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?;
        Ok(Arc::new(SentScan::new(sent, Arc::new(rows))))
    }
}

struct Scan {
    server: Arc<Server>,
    sql: String,
    schema: SchemaRef,
    shown: String,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        f.debug_struct("Scan").field("columns", &columns).finish_non_exhaustive()
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (server, sql, shown) = (self.server.clone(), self.sql.clone(), self.shown.clone());
        let schema = self.schema.clone();
        let begun = async move {
            let answer = server.arrow(&shown, &sql).await?;
            let state = (Batches::new(answer, &shown), schema, shown);
            Ok::<_, Error>(futures::stream::try_unfold(state, |(mut batches, schema, shown)| async move {
                let Some(batch) = batches.next().await? else { return Ok(None) };
                let typed = typed(&batch, &schema)?;
                if let Some((_, column)) = typed.broken.first() {
                    return Err(not_utf8(&shown, column));
                }
                Ok::<_, Error>(Some((typed.batch, (batches, schema, shown))))
            }))
        };
        let batches = futures::stream::once(begun).try_flatten().map_err(DataFusionError::from);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}
