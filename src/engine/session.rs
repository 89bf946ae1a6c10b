//! The engine: one DataFusion session over all connections, with a memory limit past which it spills to disk.
//!
//! Tables are looked up when a query is planned, so that tables made later are found and every query sees a table as it is
//! now. Nothing but queries is ever run.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use datafusion::{
    catalog::TableProvider,
    common::{Column, DataFusionError},
    datasource::provider_as_source,
    error::Result as SqlResult,
    execution::{SendableRecordBatchStream, SessionState, runtime_env::RuntimeEnvBuilder},
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder},
    physical_plan::{ExecutionPlan, displayable},
    sql::sqlparser::ast,
};
use indexmap::IndexMap;

use super::{
    blame::blame,
    execute::{physical, pool},
    params::Params,
    parse::{self, Parsed},
    planner::{self, Tables},
    probe_source,
    push_down::{push_down, whole},
    reads::{Reads, reads},
    relations::Relations,
    resolve::Lookup,
    state,
    typing::{Finding, Known, TableName, Typed, check_sql},
};
use crate::connector::{
    connection::Connection,
    error::{Error, ErrorKind, Result},
    executor::{Estimate, Statement},
    sent::SentScan,
};

/// One part in so many of the memory is for queries that others wait for with full hands, as a mart's query waits for the checks of its rows.
const ASIDE: usize = 4;

/// What an engine is built with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes that all queries together may hold before they spill.
    pub memory: u64,
    /// The folder that they spill into; made where it is missing.
    pub spill: PathBuf,
    /// Whose days dates are.
    pub zone: Tz,
    /// Threads of one query.
    pub threads: usize,
    /// Whether places compute what they can; scans take filters and columns in any case.
    pub push_down: bool,
}

/// SQL over everything that a project knows.
pub struct Engine {
    pub(super) zone: Tz,
    pub(super) state: SessionState,
    /// The same, with memory of its own.
    pub(super) aside: SessionState,
    /// One thread, rows in order.
    pub(super) transforms: SessionState,
    pub(super) lookup: Lookup,
    push_down: bool,
}

/// A table that only one query knows, by the name it has there: `this`.
pub type Extra<'a> = (&'a str, Arc<dyn TableProvider>);

impl Engine {
    /// An engine that knows no connections yet.
    pub fn new(settings: &Settings) -> Result<Self> {
        std::fs::create_dir_all(&settings.spill).map_err(|e| {
            let message = format!("spill folder {} cannot be made", settings.spill.display());
            Error::new(ErrorKind::Io, message).caused_by(e)
        })?;
        let memory = usize::try_from(settings.memory).unwrap_or(usize::MAX);
        let of = |bytes: usize| {
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool(bytes));
            runtime.with_temp_file_path(&settings.spill).build_arc()
        };
        let aside = memory / ASIDE;
        let runtime = of(memory - aside)?;
        let zone = settings.zone;
        let config = state::config(settings.threads.max(1), memory);
        let aside = state::builder(zone, config.clone(), of(aside)?).build();
        let state = state::builder(zone, config, Arc::clone(&runtime)).build();
        let transforms = state::builder(zone, state::config(1, memory), runtime)
            .with_physical_optimizer_rules(probe_source::rules())
            .build();
        Ok(Self { zone, state, aside, transforms, lookup: Lookup::default(), push_down: settings.push_down })
    }

    /// Makes a connection's tables known as `name.table` and `name.schema.table`.
    pub fn register_connection(&mut self, name: impl Into<String>, connection: Arc<dyn Connection>) {
        self.lookup.connections.insert(name.into(), connection);
    }

    /// Makes relations known as `kind.name`; kinds are `mart` and `pipeline`.
    pub fn register_relations(&mut self, kind: impl Into<String>, relations: Arc<dyn Relations>) {
        self.lookup.relations.insert(kind.into(), relations);
    }

    /// Runs a query. `now` is what `now()` says.
    pub async fn query(
        &self,
        sql: &str,
        params: &Params,
        now: DateTime<Utc>,
    ) -> Result<SendableRecordBatchStream> {
        self.rows(self.state_at(now), sql, params, &[]).await
    }

    /// Runs a query that also knows these tables, while another query may hold its memory until this one has ended: it has a share of its own.
    pub async fn query_over(
        &self,
        sql: &str,
        params: &Params,
        now: DateTime<Utc>,
        extra: &[Extra<'_>],
    ) -> Result<SendableRecordBatchStream> {
        self.rows(state_at(self.aside.clone(), now), sql, params, extra).await
    }

    async fn rows(
        &self,
        state: SessionState,
        sql: &str,
        params: &Params,
        extra: &[Extra<'_>],
    ) -> Result<SendableRecordBatchStream> {
        let (plan, names) = self.planned(&state, sql, params, extra).await?;
        self.rows_of(state, plan, sql, &names).await
    }

    /// Runs a query and gives its rows sorted by one of its columns, NULL last.
    pub async fn query_sorted(
        &self,
        sql: &str,
        params: &Params,
        now: DateTime<Utc>,
        column: &str,
    ) -> Result<SendableRecordBatchStream> {
        let state = self.state_at(now);
        let (plan, names) = self.planned(&state, sql, params, &[]).await?;
        let by = Expr::Column(Column::from_name(column)).sort(true, false);
        let sorted = LogicalPlanBuilder::from(plan).sort([by]).and_then(LogicalPlanBuilder::build);
        let plan = sorted.map_err(|error| failed(error, sql, &names))?;
        self.rows_of(state, plan, sql, &names).await
    }

    /// The query as one statement of the connection `place`, where that computes it whole.
    pub async fn whole(
        &self,
        sql: &str,
        params: &Params,
        now: DateTime<Utc>,
        place: &str,
    ) -> Result<Option<(Statement, SchemaRef)>> {
        let state = self.state_at(now);
        let (plan, _) = self.optimized(&state, sql, params).await?;
        let found = whole(&plan).filter(|(executor, _)| self.push_down && executor.place() == place);
        Ok(found.map(|(_, statement)| (statement, Arc::new(plan.schema().as_arrow().clone()))))
    }

    /// The columns of a table, as it is now.
    pub async fn columns(&self, table: &TableName) -> Result<SchemaRef> {
        Ok(self.lookup.table(table, &[]).await?.schema())
    }

    /// The columns that a query gives, as tables are now.
    pub async fn schema(&self, sql: &str, params: &Params, now: DateTime<Utc>) -> Result<SchemaRef> {
        let state = self.state_at(now);
        Ok(self.physical(&state, sql, params).await?.schema())
    }

    /// How a query would be run, for people.
    pub async fn explain(&self, sql: &str, params: &Params, now: DateTime<Utc>) -> Result<String> {
        let state = self.state_at(now);
        let plan = self.physical(&state, sql, params).await?;
        Ok(displayable(plan.as_ref()).indent(false).to_string())
    }

    /// What the statements that a query sends would read, as far as their places tell.
    pub async fn estimate(&self, sql: &str, params: &Params, now: DateTime<Utc>) -> Result<Vec<Estimate>> {
        let state = self.state_at(now);
        let plan = self.physical(&state, sql, params).await?;
        let mut found = vec![];
        for (executor, statement) in SentScan::statements(&plan) {
            found.extend(executor.estimate(&statement).await?);
        }
        Ok(found)
    }

    /// Every mistake in a query, as tables are now.
    pub async fn check(&self, sql: &str, params: &Params) -> Result<Typed> {
        let parsed = match parse::query(sql) {
            Ok(parsed) => parsed,
            Err(finding) => return Ok(Typed { findings: vec![finding], ..Typed::default() }),
        };
        let mut known: IndexMap<TableName, Known> = IndexMap::new();
        for table in reads(&parsed.tree, sql).tables {
            let found = match self.lookup.table(&table.name, &[]).await {
                Ok(provider) => Known::Schema(provider.schema()),
                Err(error) if error.kind == ErrorKind::NotFound => Known::Missing { hint: error.hint },
                Err(error) => return Err(error),
            };
            known.insert(table.name, found);
        }
        let look = |name: &TableName| known.get(name).cloned().unwrap_or(Known::Unknown);
        Ok(check_sql(sql, &look, &params.types(), self.zone))
    }

    async fn physical(
        &self,
        state: &SessionState,
        sql: &str,
        params: &Params,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (plan, names) = self.planned(state, sql, params, &[]).await?;
        self.physical_of(state, plan, sql, &names).await
    }

    /// How a logical plan is run.
    pub(super) async fn physical_of(
        &self,
        state: &SessionState,
        plan: LogicalPlan,
        sql: &str,
        names: &Reads,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.lowered(state, plan).map_err(|error| failed(error, sql, names))?;
        physical(state, &plan).await.map_err(|error| failed(error, sql, names))
    }

    /// Optimized, and what places compute pushed down into them.
    pub(super) fn lowered(&self, state: &SessionState, plan: LogicalPlan) -> SqlResult<LogicalPlan> {
        let plan = state.optimize(&plan)?;
        if self.push_down { push_down(plan) } else { Ok(plan) }
    }

    async fn optimized(
        &self,
        state: &SessionState,
        sql: &str,
        params: &Params,
    ) -> Result<(LogicalPlan, Reads)> {
        let (plan, names) = self.planned(state, sql, params, &[]).await?;
        let plan = state.optimize(&plan).map_err(|error| failed(error, sql, &names))?;
        Ok((plan, names))
    }

    /// A logical plan, and what its SQL names.
    pub(super) async fn planned(
        &self,
        state: &SessionState,
        sql: &str,
        params: &Params,
        extra: &[Extra<'_>],
    ) -> Result<(LogicalPlan, Reads)> {
        let parsed = parse::query(sql).map_err(|finding| mistake(sql, &finding))?;
        let names = reads(&parsed.tree, sql);
        let tables = self.lookup.tables(&names, extra).await?;
        let plan = self.plan(state, sql, parsed, &tables, params)?;
        Ok((plan, names))
    }

    /// A logical plan, its parameters bound.
    pub(super) fn plan(
        &self,
        state: &SessionState,
        sql: &str,
        parsed: Parsed<ast::Query>,
        tables: &Tables,
        params: &Params,
    ) -> Result<LogicalPlan> {
        let types = params.types();
        if let Some((name, place)) = parsed.parameters.iter().find(|(name, _)| !types.contains_key(name)) {
            let message = format!("there is no parameter `:{name}`");
            return Err(mistake(sql, &Finding::new(place.clone(), "sql-unknown-parameter", message)));
        }
        let names = reads(&parsed.tree, sql);
        planner::query(state, self.zone, tables, parsed.tree, &types, &params.values())
            .map_err(|error| failed(error, sql, &names))
    }

    /// A session whose `now()` is this instant.
    pub(super) fn state_at(&self, now: DateTime<Utc>) -> SessionState {
        state_at(self.state.clone(), now)
    }
}

/// The tables that a query names, in the order they stand, each once; empty where it does not parse.
pub fn tables_read(sql: &str) -> Vec<TableName> {
    let Ok(parsed) = parse::query(sql) else {
        return vec![];
    };
    let mut names: Vec<TableName> = vec![];
    for table in reads(&parsed.tree, sql).tables {
        if !names.contains(&table.name) {
            names.push(table.name);
        }
    }
    names
}

/// The SQL without what changes nothing in it, for digests.
pub fn normal(sql: &str) -> String {
    parse::normal(sql)
}

pub(super) fn state_at(mut state: SessionState, now: DateTime<Utc>) -> SessionState {
    let options = Arc::clone(state.config_options());
    let properties = state.execution_props_mut();
    properties.mark_start_execution(options);
    properties.query_execution_start_time = Some(now);
    state
}

/// A mistake in SQL as an error: where it stands, what it is.
pub(super) fn mistake(sql: &str, finding: &Finding) -> Error {
    let before = &sql[..finding.span.start.min(sql.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let kind = match finding.code {
        "sql-unknown-table" | "sql-unknown-column" => ErrorKind::NotFound,
        _ => ErrorKind::BadData,
    };
    let error = Error::new(kind, format!("SQL, line {line}, column {column}: {}", finding.message));
    error.hint(finding.hint.as_deref().unwrap_or("mend the SQL"))
}

/// An error while planning: a connector's own, or a mistake in the SQL.
pub(super) fn failed(error: DataFusionError, sql: &str, names: &Reads) -> Error {
    let ours = |error: &DataFusionError| {
        matches!(error, DataFusionError::ResourcesExhausted(_) | DataFusionError::IoError(_))
            || matches!(error, DataFusionError::External(inner) if inner.is::<Error>())
    };
    if ours(error.find_root()) || ours(&error) {
        Error::from(error)
    } else {
        mistake(sql, &blame(&error, sql, names))
    }
}

impl Lookup {
    /// Sources of every table that a query names.
    pub(super) async fn tables(&self, names: &Reads, extra: &[Extra<'_>]) -> Result<Tables> {
        let mut tables = Tables::new();
        for table in &names.tables {
            if !tables.contains_key(&table.name) {
                let provider = self.table(&table.name, extra).await?;
                tables.insert(table.name.clone(), provider_as_source(provider));
            }
        }
        Ok(tables)
    }
}
