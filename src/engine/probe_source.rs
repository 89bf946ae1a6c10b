//! In a transform's joins `source` streams past and the other table is the one held in memory: rows keep the source's order, and a
//! big unit needs no big memory.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    physical_plan::{
        ExecutionPlan,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode},
    },
};

use super::source_scan::SourceScan;

/// DataFusion's rules, and this one right behind the choice of joins.
pub(super) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let behind = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |at| at + 1);
    rules.insert(behind, Arc::new(ProbeSource));
    rules
}

#[derive(Debug)]
struct ProbeSource;

impl PhysicalOptimizerRule for ProbeSource {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let built_from_source = plan.children().len() == 2 && reads_source(plan.children()[0]);
            if !built_from_source {
                return Ok(Transformed::no(plan));
            }
            Ok(match swapped(&plan)? {
                Some(swapped) => Transformed::yes(swapped),
                None => Transformed::no(plan),
            })
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "probe_source"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The join with its sides exchanged; `None` where it cannot be (a NOT IN that must notice NULLs).
fn swapped(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let possible = join.join_type().supports_swap() && !join.null_aware;
        return possible.then(|| join.swap_inputs(PartitionMode::CollectLeft)).transpose();
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return join.join_type().supports_swap().then(|| join.swap_inputs()).transpose();
    }
    if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
        return join.swap_inputs().map(Some);
    }
    Ok(None)
}

fn reads_source(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<SourceScan>().is_some() || plan.children().into_iter().any(reads_source)
}
