//! Tables as the SQL engine scans them: columns, filters and limits go into the server, rows come out as Arrow.
//!
//! A scan sees one state of the table. A text that is not UTF-8, or a time that is none, fails it: there is no policy for bad rows in a query.

use std::{fmt, sync::Arc};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    error::Result as SqlResult, execution::SendableRecordBatchStream, logical_expr::Expr,
    physical_plan::ExecutionPlan,
};
use futures::{Stream, TryStreamExt, stream};

use super::{
    client::{Answer, Server},
    ipc::{Batches, typed, unreadable},
    stage::failure,
    table::Table,
};
use crate::{
    connector::{
        error::{Error, Result},
        filter::{Values, condition, takes},
        scan::{Scan, Wanted, batches, sent_rows},
    },
    model::name::Track,
};

/// A table as it was when it was asked for.
pub(super) struct LiveTable {
    server: Arc<Server>,
    table: Table,
    schema: SchemaRef,
    /// How messages name it.
    shown: String,
    /// Whose rows are staged here; none = it is a table of users.
    staged_for: Option<Track>,
}

impl LiveTable {
    pub(super) fn new(server: Arc<Server>, table: Table) -> Self {
        let shown = server.table_shown(&table.database, &table.name);
        Self { schema: table.arrow(), shown, server, table, staged_for: None }
    }

    /// Rows that are staged for a table: what checks read as `this`.
    pub(super) fn staged(server: Arc<Server>, table: Table, track: Track, shown: String) -> Self {
        Self { schema: table.arrow(), shown, server, table, staged_for: Some(track) }
    }

    fn select(&self, wanted: &Wanted<'_>, values: Values) -> SqlResult<String> {
        let condition = condition(wanted.filters, &self.table, |value| values.spell(value))?;
        let columns = self.table.selected(&wanted.schema);
        Ok(wanted.select(&columns, &self.table.source(), condition.as_deref()))
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Scan for LiveTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn takes(&self, filter: &Expr) -> bool {
        takes(filter, &self.table)
    }

    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let (server, shown) = (self.server.clone(), self.shown.clone());
        let sql = self.select(&wanted, Values::Literals)?;
        let sent = self.select(&wanted, Values::Marks)?;
        let schema = wanted.schema.clone();
        let staged = self.staged_for.clone().map(|track| (track, self.table.clone()));
        sent_rows(sent, wanted.schema, wanted.limit, move || {
            let (asked, sql, shown) = (server.clone(), sql.clone(), shown.clone());
            let named = shown.clone();
            let rows = answered(schema.clone(), shown, async move { asked.arrow(&named, &sql).await });
            let Some(staged) = staged.clone() else { return batches(schema.clone(), rows) };
            let server = server.clone();
            let told = move |error| {
                let ((track, table), server) = (staged.clone(), server.clone());
                async move { Err(failure(&table, &server, &track, error).await) }
            };
            batches(schema.clone(), rows.or_else(told))
        })
    }
}

/// The rows of an answer as the engine takes them, with the types of `schema`; `shown` is how messages name what was asked.
pub(super) fn rows(
    schema: SchemaRef,
    shown: String,
    answer: impl Future<Output = Result<Answer>> + Send + 'static,
) -> SendableRecordBatchStream {
    batches(schema.clone(), answered(schema, shown, answer))
}

fn answered(
    columns: SchemaRef,
    shown: String,
    answer: impl Future<Output = Result<Answer>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let begun = async move {
        let state = (Batches::new(answer.await?, &shown), columns, shown);
        Ok::<_, Error>(stream::try_unfold(state, |(mut batches, columns, shown)| async move {
            let Some(batch) = batches.next().await? else { return Ok(None) };
            let typed = typed(&batch, &columns)?;
            if let Some(broken) = typed.broken.first() {
                return Err(unreadable(&shown, broken));
            }
            Ok(Some((typed.batch, (batches, columns, shown))))
        }))
    };
    stream::once(begun).try_flatten()
}
