//! Push-down: the largest parts of a plan that one place computes exactly as the engine does become one statement each, run there.
//!
//! A rule over the optimized plan, right before it becomes a physical one. Whoever writes the SQL decides what goes down: a step without a
//! spelling in the dialect stays here, so nothing is sent that was not thought of. Bare scans keep the push-down that they have.
//!
//! An order that the result must have is kept: a sort goes down, and stands here too, where the engine leaves it out when rows come
//! sorted.

use std::sync::Arc;

use arrow::{
    compute::SortOptions,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::{
        Column, Result, TableReference,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::provider_as_source,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, Sort},
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions},
};

use self::{relation::is_worth_sending, select::Writer};
use crate::connector::executor::{Agreement, Executor, SentTable, Statement, Term};

mod join;
mod relation;
mod scalar;
mod select;

/// Replaces what can be sent.
pub(super) fn push_down(plan: LogicalPlan) -> Result<LogicalPlan> {
    let pushed = plan.transform_down_with_subqueries(|node| {
        if !is_worth_sending(&node) || sorts_above(&node) {
            return Ok(Transformed::no(node));
        }
        Ok(match sent(&node)? {
            Some(sent) => Transformed::new(sent, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(pushed.data)
}

/// The whole plan as one statement, its columns by name; `None` where the engine has a part in it.
pub(super) fn whole(plan: &LogicalPlan) -> Option<(Arc<dyn Executor>, Statement)> {
    let mut writer = Writer::new();
    let select = writer.relation(plan)?;
    // A text of a type of its own would be changed by the one that it is put into.
    let kept = |term: &Term| term.agrees > Agreement::Nothing || term.data_type != DataType::Utf8;
    if !select.outputs.iter().all(|output| kept(&output.term)) {
        return None;
    }
    let (executor, statement) = writer.finish(select, &columns(plan))?;
    let fields = plan.schema().fields();
    let twice =
        fields.iter().enumerate().any(|(at, field)| fields[..at].iter().any(|f| f.name() == field.name()));
    if twice {
        return None;
    }
    let named = fields.iter().enumerate();
    let named =
        named.map(|(at, field)| format!("sent.c{} AS {}", at + 1, executor.dialect().quoted(field.name())));
    let sql = format!("SELECT {} FROM ({}) AS sent", named.collect::<Vec<_>>().join(", "), statement.sql);
    Some((executor, Statement { sql, ..statement }))
}

/// Whether rows come sorted out of a step below the top: the sort itself is sent, and what stands above it is done here.
fn sorts_above(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Filter(_) => {
            plan.inputs().into_iter().any(|input| matches!(input, LogicalPlan::Sort(_)) || sorts_above(input))
        }
        _ => false,
    }
}

/// The plan as rows that a place gives.
fn sent(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut writer = Writer::new();
    let Some(select) = writer.relation(plan) else { return Ok(None) };
    let schema = columns(plan);
    let Some((executor, statement)) = writer.finish(select, &schema) else { return Ok(None) };
    let sorted = match plan {
        LogicalPlan::Sort(sort) => ordering(sort),
        _ => None,
    };
    let table = SentTable::new(executor, statement, schema, sorted);
    let name = TableReference::bare("sent");
    let scan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(table)), None)?.build()?;
    let named = (plan.schema().iter().enumerate()).map(|(at, (qualifier, field))| {
        let column = Expr::Column(Column::new(Some(name.clone()), format!("c{}", at + 1)));
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    let named = LogicalPlan::Projection(Projection::try_new(named.collect(), Arc::new(scan))?);
    if named.schema().as_arrow() != plan.schema().as_arrow() {
        return Ok(None);
    }
    Ok(Some(match plan {
        LogicalPlan::Sort(sort) => LogicalPlan::Sort(Sort { input: Arc::new(named), ..sort.clone() }),
        _ => named,
    }))
}

/// A plan's columns, by place: names may come twice, and be any text.
fn columns(plan: &LogicalPlan) -> SchemaRef {
    let fields = plan.schema().fields().iter().enumerate();
    let fields = fields.map(|(at, field)| {
        Field::new(format!("c{}", at + 1), field.data_type().clone(), field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The order of sorted rows; `None` where it is not one of columns.
fn ordering(sort: &Sort) -> Option<LexOrdering> {
    let keys = sort.expr.iter().map(|key| {
        let Expr::Column(column) = &key.expr else { return None };
        let at = sort.input.schema().maybe_index_of_column(column)?;
        let expr: Arc<dyn PhysicalExpr> = Arc::new(expressions::Column::new(&format!("c{}", at + 1), at));
        let options = SortOptions { descending: !key.asc, nulls_first: key.nulls_first };
        Some(PhysicalSortExpr::new(expr, options))
    });
    LexOrdering::new(keys.collect::<Option<Vec<_>>>()?)
}
