//! Tables as the SQL engine scans them: columns, filters and limits go into the server, rows come out by COPY.
//!
//! A scan sees one state of the table. A cell that does not fit its column (an infinite date) fails the scan: there is no policy for bad rows in a query.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{error::Result as SqlResult, logical_expr::Expr, physical_plan::ExecutionPlan};
use futures::{TryStreamExt, stream};

use super::{
    client::{Lease, Server},
    dialect::STAGE,
    error::failed,
    name::quote,
    read::{self, Query},
    table::{Table, TableColumn},
    types::Kind,
};
use crate::connector::{
    cells::Rules,
    filter::{Values, condition, takes},
    scan::{Scan, Wanted, chunks, sent_rows},
};

/// A table as it was when it was asked for.
pub(crate) struct LiveTable {
    server: Arc<Server>,
    table: Table,
    schema: SchemaRef,
}

impl LiveTable {
    pub(crate) fn new(server: Arc<Server>, table: Table) -> Self {
        Self { schema: table.arrow(), server, table }
    }

    fn shown(&self) -> String {
        self.server.table_shown(&self.table.schema, &self.table.name)
    }

    fn select(&self, columns: &[&TableColumn], wanted: &Wanted<'_>, values: Values) -> SqlResult<String> {
        let selected: Vec<String> = columns.iter().map(|column| column.selected()).collect();
        let condition = condition(wanted.filters, &self.table, |value| values.spell(value))?;
        Ok(wanted.select(&selected.join(", "), &self.table.sql(), condition.as_deref()))
    }
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
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
        let columns = wanted.schema.fields().iter().filter_map(|field| self.table.column(field.name()));
        let columns: Vec<&TableColumn> = columns.collect();
        let query = Query {
            select: self.select(&columns, &wanted, Values::Literals)?,
            kinds: columns.iter().map(|column| column.kind).collect(),
            ..query(wanted.schema.clone(), self.shown())
        };
        let sent = self.select(&columns, &wanted, Values::Marks)?;
        let server = self.server.clone();
        sent_rows(sent, wanted.schema, wanted.limit, move || {
            let (server, query) = (server.clone(), query.clone());
            let (schema, shown) = (query.schema.clone(), query.shown.clone());
            let begun = async move {
                let lease = server.lease().await?;
                let begun = lease.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
                begun.map_err(|error| failed(&query.shown, error))?;
                read::copy(lease, query).await
            };
            chunks(schema, shown, stream::once(begun).try_flatten())
        })
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

impl Scan for StagedTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let kind = |data_type| Kind::keeping(data_type).unwrap_or(Kind::Text);
        let kinds: Vec<Kind> = wanted.schema.fields().iter().map(|field| kind(field.data_type())).collect();
        let selected = wanted.schema.fields().iter().zip(&kinds);
        let selected: Vec<String> =
            selected.map(|(field, kind)| format!("{}::{}", quote(field.name()), kind.sql())).collect();
        let select = wanted.select(&selected.join(", "), STAGE, None);
        let sent = format!("{select} (the staged rows)");
        let query = Query { select, kinds, ..query(wanted.schema.clone(), self.shown.clone()) };
        let lease = self.lease.clone();
        sent_rows(sent, wanted.schema, wanted.limit, move || {
            let (schema, shown) = (query.schema.clone(), query.shown.clone());
            let begun = read::copy_shared(lease.clone(), query.clone());
            chunks(schema, shown, stream::once(begun).try_flatten())
        })
    }
}

/// A query of nothing yet.
fn query(schema: SchemaRef, shown: String) -> Query {
    let (select, kinds) = (String::new(), vec![]);
    Query { select, kinds, schema, rules: Rules::default(), others: vec![], refuses: false, shown }
}
