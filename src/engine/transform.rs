//! A pipeline's SQL over the unit at hand, compiled once and run per unit.

use std::sync::Arc;

use arrow::{
    array::{AsArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
    record_batch::RecordBatch,
};
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::TableProvider,
    common::tree_node::{TreeNode, TreeNodeRecursion},
    datasource::{empty::EmptyTable, provider_as_source},
    execution::{SendableRecordBatchStream, SessionState, TaskContext},
    logical_expr::{Expr, LogicalPlan, Volatility},
    physical_plan::{ExecutionPlan, displayable, execution_plan::reset_plan_states},
};

use super::{
    carry::with_ordinal,
    params::Params,
    parse,
    reads::{Reads, reads},
    row_wise::{SOURCE, refuse},
    session::{Engine, failed, mistake, state_at},
    source_scan::{Slot, SourceTable},
    typing::TableName,
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::unit::ORDINAL,
};

/// A pipeline's SQL, or none: rows in, rows out, in the source's order, each with the ordinal of the source row
/// that it came from.
pub struct Transform {
    schema: SchemaRef,
    work: Option<Work>,
}

struct Work {
    query: Query,
    /// What serves every unit; `None` where other tables or the time of the unit are in it: then it is planned
    /// anew for each unit, over the tables as they are then.
    fixed: Option<Arc<dyn ExecutionPlan>>,
    /// The plan, for people.
    shown: String,
}

struct Query {
    engine: Arc<Engine>,
    sql: String,
    params: Params,
    source: SchemaRef,
}

struct Compiled {
    plan: Arc<dyn ExecutionPlan>,
    fixed: bool,
}

impl Engine {
    /// Compiles a transform over rows of `source` (without ordinals); `None` = rows pass as they are.
    pub async fn transform(
        self: &Arc<Self>,
        sql: Option<&str>,
        params: &Params,
        source: &SchemaRef,
    ) -> Result<Transform> {
        let Some(sql) = sql else {
            return Ok(Transform { schema: Arc::clone(source), work: None });
        };
        let query = Query {
            engine: Arc::clone(self),
            sql: sql.to_owned(),
            params: params.clone(),
            source: Arc::clone(source),
        };
        let compiled = query.compile(&state_at(self.transforms.clone(), DateTime::UNIX_EPOCH)).await?;
        let schema = without_ordinal(&compiled.plan.schema());
        let shown = displayable(compiled.plan.as_ref()).indent(false).to_string();
        let fixed = compiled.fixed.then_some(compiled.plan);
        Ok(Transform { schema, work: Some(Work { query, fixed, shown }) })
    }
}

impl Transform {
    /// The columns of the result, without ordinals.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How a unit is worked on, for people; `None` where rows pass as they are.
    pub fn explain(&self) -> Option<&str> {
        self.work.as_ref().map(|work| work.shown.as_str())
    }

    /// Runs it over the rows of one unit: batches of the source's columns and, as the last one, [`ORDINAL`], rising. Gives batches of
    /// [`Transform::schema`] and, as the last column, [`ORDINAL`], never falling. `now` is what `now()` says: the unit's time.
    pub async fn run(
        &self,
        rows: SendableRecordBatchStream,
        now: DateTime<Utc>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(Work { query, fixed, .. }) = &self.work else {
            return Ok(rows);
        };
        let engine = &query.engine;
        if let Some(plan) = fixed {
            return start(&reset_plan_states(Arc::clone(plan))?, &engine.transforms, rows);
        }
        let state = state_at(engine.transforms.clone(), now);
        let compiled = query.compile(&state).await?;
        query.unchanged(&without_ordinal(&compiled.plan.schema()), &self.schema)?;
        start(&compiled.plan, &state, rows)
    }
}

fn start(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
    rows: SendableRecordBatchStream,
) -> Result<SendableRecordBatchStream> {
    let context = TaskContext::from(state);
    let config = context.session_config().clone().with_extension(Arc::new(Slot::new(rows)));
    Ok(plan.execute(0, Arc::new(context.with_session_config(config)))?)
}

impl Query {
    async fn compile(&self, state: &SessionState) -> Result<Compiled> {
        let parsed = parse::query(&self.sql).map_err(|finding| mistake(&self.sql, &finding))?;
        let names = reads(&parsed.tree, &self.sql);
        let source: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(Arc::clone(&self.source)));
        let tables = self.engine.lookup.tables(&names, &[(SOURCE, source)]).await?;
        let plan = self.engine.plan(state, &self.sql, parsed, &tables, &self.params)?;
        if let Some(finding) = refuse(&plan, &self.sql).first() {
            return Err(mistake(&self.sql, finding));
        }
        let whole: Arc<dyn TableProvider> = Arc::new(SourceTable::new(with_ordinal_field(&self.source)));
        let alone = names.tables.iter().all(|table| table.name == TableName::new([SOURCE]));
        let simple = is_simple(&plan);
        let carried = with_ordinal(&plan, &provider_as_source(whole), !simple)
            .map_err(|error| failed(error, &self.sql, &names))?;
        let plan = self.physical(state, &carried, &names).await?;
        Ok(Compiled { plan, fixed: alone && simple && !tells_time(&carried) })
    }

    async fn physical(
        &self,
        state: &SessionState,
        plan: &LogicalPlan,
        names: &Reads,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = state.create_physical_plan(plan).await.map_err(|error| failed(error, &self.sql, names))?;
        let partitions = plan.properties().partitioning.partition_count();
        if partitions != 1 {
            let message = format!("a transform's plan has {partitions} partitions and would mix rows up");
            return Err(Error::new(ErrorKind::Internal, message));
        }
        Ok(plan)
    }

    /// Other tables may change between units; the result's columns may not.
    fn unchanged(&self, now: &SchemaRef, before: &SchemaRef) -> Result<()> {
        let shape = |schema: &SchemaRef| -> Vec<(String, DataType)> {
            schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
        };
        if shape(now) == shape(before) {
            return Ok(());
        }
        let others: Vec<String> = super::session::tables_read(&self.sql)
            .iter()
            .filter(|name| **name != TableName::new([SOURCE]))
            .map(ToString::to_string)
            .collect();
        let message = format!(
            "the transform's columns changed, because a table that it joins did: {}",
            others.join(", ")
        );
        Err(Error::new(ErrorKind::SchemaChanged, message).hint("run it again"))
    }
}

/// Whether rows stream through it in order: no joins, no subqueries.
fn is_simple(plan: &LogicalPlan) -> bool {
    let mut simple = true;
    let _ = plan.apply_with_subqueries(|node| {
        simple &= !matches!(node, LogicalPlan::Join(_) | LogicalPlan::Subquery(_));
        node.apply_expressions(|expr| {
            let subquery = expr.exists(|e| {
                Ok(matches!(
                    e,
                    Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
                ))
            });
            simple &= !subquery?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    simple
}

/// Whether the answer depends on when it is asked (`now()`).
fn tells_time(plan: &LogicalPlan) -> bool {
    let mut tells = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            tells |= is_stable(expr);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    tells
}

/// Whether an expression calls a function that holds still during one query only.
pub(super) fn is_stable(expr: &Expr) -> bool {
    let stable = |e: &Expr| matches!(e, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable);
    expr.exists(|e| Ok(stable(e))).unwrap_or(true)
}

/// The schema with [`ORDINAL`] as its last column.
pub fn with_ordinal_field(schema: &SchemaRef) -> SchemaRef {
    let ordinal = Arc::new(Field::new(ORDINAL, DataType::UInt64, false));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([ordinal]).collect();
    Arc::new(Schema::new(fields))
}

fn without_ordinal(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema.fields().iter().filter(|field| field.name() != ORDINAL).cloned().collect();
    Arc::new(Schema::new(fields))
}

/// A source's batch with its ordinals as the last column, as [`Transform::run`] wants it.
pub fn put_ordinals(batch: &RecordBatch, ordinals: &UInt64Array) -> Result<RecordBatch> {
    let schema = with_ordinal_field(&batch.schema());
    let ordinals = Arc::new(ordinals.clone());
    let columns = batch.columns().iter().cloned().chain([ordinals as _]).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The user's columns, and the ordinals that [`Transform::run`] put behind them.
pub fn take_ordinals(batch: &RecordBatch) -> Result<(RecordBatch, UInt64Array)> {
    let Some(last) =
        batch.num_columns().checked_sub(1).filter(|at| batch.schema().field(*at).name() == ORDINAL)
    else {
        return Err(Error::new(ErrorKind::Internal, "rows without ordinals"));
    };
    let ordinals = batch.column(last).as_primitive::<UInt64Type>().clone();
    let columns: Vec<usize> = (0..last).collect();
    Ok((batch.project(&columns)?, ordinals))
}
