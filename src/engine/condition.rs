//! A condition over transformed rows (`delete.when`), compiled once and asked per batch.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, BooleanArray},
    compute::prep_null_mask_filter,
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
};
use chrono::{DateTime, Utc};
use datafusion::{
    common::DFSchema,
    execution::SessionState,
    logical_expr::{Expr, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::PhysicalExpr,
};

use super::{
    params::Params,
    parse, planner,
    reads::{Reads, reads},
    session::{Engine, failed, mistake, state_at},
    transform::is_stable,
    typing::check_condition,
};
use crate::connector::error::Result;

/// A condition over rows of one schema.
pub struct Condition {
    state: SessionState,
    sql: String,
    expr: Expr,
    columns: DFSchema,
    /// What serves every batch; `None` where the time is in it.
    fixed: Option<Arc<dyn PhysicalExpr>>,
}

impl Engine {
    /// Compiles a condition over the columns of `schema`.
    pub fn condition(&self, sql: &str, params: &Params, schema: &SchemaRef) -> Result<Condition> {
        let types = params.types();
        if let Some(finding) = check_condition(sql, Some(schema), &types, self.zone).findings.first() {
            return Err(mistake(sql, finding));
        }
        let parsed = parse::condition(sql).map_err(|finding| mistake(sql, &finding))?;
        let names = reads(&parsed.tree, sql);
        let columns = DFSchema::try_from(Arc::clone(schema))?;
        let state = self.state.clone();
        let expr = planner::condition(&state, self.zone, &columns, parsed.tree, &types, &params.values())
            .map_err(|error| failed(error, sql, &names))?;
        let mut condition = Condition { state, sql: sql.to_owned(), expr, columns, fixed: None };
        if !is_stable(&condition.expr) {
            condition.fixed = Some(condition.compile(DateTime::UNIX_EPOCH)?);
        }
        Ok(condition)
    }
}

impl Condition {
    /// For every row whether the condition holds; NULL counts as no. The batch begins with the columns of the schema that it was
    /// compiled for.
    pub fn holds(&self, batch: &RecordBatch, now: DateTime<Utc>) -> Result<BooleanArray> {
        let compiled = match &self.fixed {
            Some(compiled) => Arc::clone(compiled),
            None => self.compile(now)?,
        };
        let answers = compiled.evaluate(batch)?.into_array(batch.num_rows())?;
        let answers = match answers.data_type() {
            DataType::Null => BooleanArray::from(vec![false; batch.num_rows()]),
            _ => answers.as_boolean().clone(),
        };
        Ok(if answers.null_count() > 0 { prep_null_mask_filter(&answers) } else { answers })
    }

    fn compile(&self, now: DateTime<Utc>) -> Result<Arc<dyn PhysicalExpr>> {
        let state = state_at(self.state.clone(), now);
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(self.columns.clone()))
            .with_config_options(Arc::clone(state.config_options()))
            .with_query_execution_start_time(Some(now))
            .build();
        let simplifier = ExprSimplifier::new(context);
        let simple = simplifier
            .coerce(self.expr.clone(), &self.columns)
            .and_then(|expr| simplifier.simplify(expr))
            .and_then(|expr| state.create_physical_expr(expr, &self.columns));
        simple.map_err(|error| failed(error, &self.sql, &Reads::default()))
    }
}
