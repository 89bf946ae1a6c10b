//! Tables as the SQL engine scans them: columns, filters and limits go into SQLite, rows come out in batches.
//!
//! Where the file is in WAL mode a scan sees one state of the table; elsewhere it reads in pages, so that no writer waits for a
//! slow query. A cell that does not fit its column fails the scan: there is no policy for bad rows in a query.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{error::Result as SqlResult, logical_expr::Expr, physical_plan::ExecutionPlan};
use futures::TryStreamExt;
use rusqlite::types::Value as Raw;

use super::{
    database::{Database, blocking},
    error::failed,
    name::{quote, quote_all},
    pages::{self, Held, Lane, Query},
    range::Range,
    selection::Selection,
    sink::Shared,
    table::Table,
};
use crate::connector::{
    cells::Rules,
    error::Result,
    filter::{condition, takes},
    scan::{Scan, Wanted, chunks, sent_rows},
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

impl Scan for LiveTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn takes(&self, filter: &Expr) -> bool {
        takes(filter, &*self.table)
    }

    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let mut parameters = vec![];
        let condition = condition(wanted.filters, &*self.table, |value| {
            parameters.push(value);
            "?".to_owned()
        })?;
        let filter = condition.map(|condition| (condition, parameters));
        plan(Place::Live(self.database.clone(), self.table.clone()), &wanted, filter)
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

impl Scan for StagedTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        plan(Place::Staged(self.stage.clone()), &wanted, None)
    }
}

/// Where scanned rows lie.
#[derive(Clone)]
enum Place {
    Live(Arc<Database>, Arc<Table>),
    Staged(Shared),
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::Live(database, table) => database.table_shown(&table.name),
            Self::Staged(_) => "the staged rows".to_owned(),
        }
    }

    /// Its name in the SQL that people are shown.
    fn named(&self) -> String {
        match self {
            Self::Live(_, table) => quote(&table.name),
            Self::Staged(_) => self.shown(),
        }
    }
}

/// A condition and its parameters.
type Filter = Option<(String, Vec<Raw>)>;

fn plan(place: Place, wanted: &Wanted<'_>, filter: Filter) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let (schema, limit) = (wanted.schema.clone(), wanted.limit);
    let columns = quote_all(schema.fields().iter().map(|field| field.name().as_str()));
    let columns = if columns.is_empty() { "1" } else { &columns };
    let sent =
        wanted.select(columns, &place.named(), filter.as_ref().map(|(condition, _)| condition.as_str()));
    sent_rows(sent, schema.clone(), limit, move || {
        let (place, filter, schema, shown) = (place.clone(), filter.clone(), schema.clone(), place.shown());
        let (columns, named) = (schema.clone(), shown.clone());
        let limit = limit.map(|limit| limit as u64);
        let prepared = blocking(move || prepare(place, columns, filter, limit, named));
        let pages = futures::stream::once(prepared).map_ok(|(query, lane)| pages::read(query, vec![lane]));
        chunks(schema, shown, pages.try_flatten())
    })
}

fn prepare(
    place: Place,
    schema: SchemaRef,
    filter: Filter,
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
