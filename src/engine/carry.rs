//! The hidden ordinal goes through the user's SQL by itself: every step between `source` and the result is given the column
//! too, behind the user's own, so each result row names the source row that it came from.

use std::sync::Arc;

use datafusion::{
    common::{Column, Result, internal_err},
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableSource,
    },
};

use super::row_wise::scans;
use crate::model::unit::ORDINAL;

/// The same query with the ordinal as its last column. `source` has it, `plan` was made without; `sorted` asks for rows by
/// rising ordinal where joins might change their order.
pub(super) fn with_ordinal(
    plan: &LogicalPlan,
    source: &Arc<dyn TableSource>,
    sorted: bool,
) -> Result<LogicalPlan> {
    let (carried, ordinal) = carry(plan, source)?;
    let own = plan.schema().columns().into_iter().map(Expr::Column);
    let columns = own.chain([Expr::Column(ordinal.clone())]);
    let builder = LogicalPlanBuilder::from(carried).project(columns)?;
    if sorted {
        return builder.sort([Expr::Column(ordinal).sort(true, false)])?.build();
    }
    builder.build()
}

/// The plan with the ordinal, and the name that the column has there.
fn carry(plan: &LogicalPlan, source: &Arc<dyn TableSource>) -> Result<(LogicalPlan, Column)> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.clone();
            let table = LogicalPlanBuilder::scan(name.clone(), Arc::clone(source), None)?.build()?;
            Ok((table, Column::new(Some(name), ORDINAL)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, _) = carry(&alias.input, source)?;
            let renamed = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok((LogicalPlan::SubqueryAlias(renamed), Column::new(Some(alias.alias.clone()), ORDINAL)))
        }
        LogicalPlan::Filter(filter) => {
            let (input, ordinal) = carry(&filter.input, source)?;
            let filter = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
            Ok((LogicalPlan::Filter(filter), ordinal))
        }
        LogicalPlan::Projection(projection) => {
            let (input, ordinal) = carry(&projection.input, source)?;
            let mut columns = projection.expr.clone();
            columns.push(Expr::Column(ordinal.clone()));
            let projection = Projection::try_new(columns, Arc::new(input))?;
            Ok((LogicalPlan::Projection(projection), ordinal))
        }
        LogicalPlan::Join(join) => carry_join(join, source),
        other => internal_err!("a transform's plan has a step that cannot carry rows: {}", other.display()),
    }
}

fn carry_join(join: &Join, source: &Arc<dyn TableSource>) -> Result<(LogicalPlan, Column)> {
    let (left, right, ordinal) = if scans(&join.left) > 0 {
        let (left, ordinal) = carry(&join.left, source)?;
        (Arc::new(left), Arc::clone(&join.right), ordinal)
    } else {
        let (right, ordinal) = carry(&join.right, source)?;
        (Arc::clone(&join.left), Arc::new(right), ordinal)
    };
    let join = Join::try_new(
        left,
        right,
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok((LogicalPlan::Join(join), ordinal))
}
