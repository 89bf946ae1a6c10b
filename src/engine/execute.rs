//! Queries as streams of rows, within the engine's memory.
//!
//! Hash joins are the fastest, and hold one of their sides in memory: they cannot spill. A query that finds no room for them is computed again with sort-merge joins,
//! which spill. Nobody has seen a row of it by then: an answer that has begun is never begun anew.

use std::{future::Future, num::NonZeroUsize, sync::Arc};

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    error::{DataFusionError, Result as SqlResult},
    execution::{
        SendableRecordBatchStream, SessionState,
        memory_pool::{MemoryPool, TrackConsumersPool},
    },
    logical_expr::{Expr, LogicalPlan},
    physical_plan::{
        ExecutionPlan, execute_stream,
        execution_plan::replace_children_if_necessary,
        joins::HashJoinExec,
        sorts::sort::SortExec,
        stream::RecordBatchStreamAdapter,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    compact::Compact,
    partition_windows::PartitionWindows,
    pool::SharedPool,
    reads::Reads,
    row_numbers::RowNumbers,
    session::{Engine, failed},
};
use crate::connector::error::Result;

/// Operators that an error names which finds no memory: those that hold most.
const NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("it is not zero");

/// Rows of a batch where joins spill.
const MERGED_ROWS: usize = 1024;

/// So many bytes for all queries together; an error names who holds most of them.
pub(super) fn pool(bytes: usize) -> Arc<dyn MemoryPool> {
    Arc::new(TrackConsumersPool::new(SharedPool::new(bytes), NAMED))
}

impl Engine {
    /// The rows of a plan that is not optimized yet.
    pub(super) async fn rows_of(
        &self,
        state: SessionState,
        plan: LogicalPlan,
        sql: &str,
        names: &Reads,
    ) -> Result<SendableRecordBatchStream> {
        let plan = self.lowered(&state, plan).map_err(|error| failed(error, sql, names))?;
        let hashed = physical(&state, &plan).await.map_err(|error| failed(error, sql, names))?;
        let rows = execute_stream(Arc::clone(&hashed), state.task_ctx())?;
        if !has_hash_join(&hashed) {
            return Ok(rows);
        }
        Ok(or_again(rows, async move || {
            tracing::info!(
                "there is no memory for hash joins: the query is computed again with sort-merge joins"
            );
            let state = with_merge_joins(state);
            execute_stream(physical(&state, &plan).await?, state.task_ctx())
        }))
    }
}

/// How an optimized plan is run.
pub(super) async fn physical(state: &SessionState, plan: &LogicalPlan) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let filtered = has_expression(plan, is_filtered_window)?;
    bounded(state.query_planner().create_physical_plan(plan, state).await?, filtered)
}

/// Whether an expression of this kind is anywhere in a plan.
pub(super) fn has_expression(plan: &LogicalPlan, is: impl Fn(&Expr) -> bool) -> SqlResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            found |= expression.exists(|expression| Ok(is(expression)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

fn is_filtered_window(expression: &Expr) -> bool {
    matches!(expression, Expr::WindowFunction(function) if function.params.filter.is_some())
}

/// The same plan, with what its operators hold counted, and no larger than it must be. `filtered` = window functions may have a FILTER.
fn bounded(plan: Arc<dyn ExecutionPlan>, filtered: bool) -> SqlResult<Arc<dyn ExecutionPlan>> {
    let bounded = plan.transform_up(|node| {
        let own = match (node.downcast_ref::<WindowAggExec>(), node.downcast_ref::<BoundedWindowAggExec>()) {
            (Some(functions), _) => PartitionWindows::of(functions, filtered),
            (_, Some(functions)) => RowNumbers::of(functions),
            (None, None) => None,
        };
        if let Some(own) = own {
            return Ok(Transformed::yes(own));
        }
        // A sort for the first rows of all holds just those.
        match node.downcast_ref::<SortExec>() {
            Some(sort) if sort.fetch().is_none() => {
                let rows = vec![Compact::over(sort.input())];
                replace_children_if_necessary(node, rows).map(Transformed::yes)
            }
            _ => Ok(Transformed::no(node)),
        }
    });
    bounded.map(|plan| plan.data)
}

/// Whether a plan joins by hashes.
pub(super) fn has_hash_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.exists(|node| Ok(node.is::<HashJoinExec>())).unwrap_or_default()
}

fn with_merge_joins(mut state: SessionState) -> SessionState {
    let config = state.config_mut();
    // A sort merges what it spilled by holding a batch of each file.
    *config = std::mem::take(config).with_batch_size(MERGED_ROWS);
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    // With one partition there would be no choice.
    options.execution.target_partitions = options.execution.target_partitions.max(2);
    state
}

/// The rows of the first stream, or, where that ends without memory before it has given any, those of the second.
fn or_again<F>(
    first: SendableRecordBatchStream,
    again: impl FnOnce() -> F + Send + 'static,
) -> SendableRecordBatchStream
where
    F: Future<Output = SqlResult<SendableRecordBatchStream>> + Send + 'static,
{
    let schema = first.schema();
    let rows = async move {
        let mut first = first;
        match first.next().await {
            Some(Err(error)) if is_out_of_memory(&error) => {
                drop(first);
                again().await
            }
            Some(batch) => {
                let schema = first.schema();
                let rows = stream::iter([batch]).chain(first);
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)) as _)
            }
            None => Ok(first),
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(rows).try_flatten()))
}

fn is_out_of_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Int32Array, RecordBatch},
        datatypes::{DataType, Field, Schema},
    };

    use super::*;

    /// A stream of these batches of one row, and of no memory at its end.
    fn exhausted(rows: &[i32]) -> SendableRecordBatchStream {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let batch = |n: &i32| {
            Ok(RecordBatch::try_new(schema.clone(), vec![Arc::new(Int32Array::from(vec![*n]))]).unwrap())
        };
        let end = DataFusionError::ResourcesExhausted("no memory".to_owned());
        let end = Err(DataFusionError::Shared(Arc::new(DataFusionError::Context(
            "a join".to_owned(),
            Box::new(end),
        ))));
        let rows: Vec<_> = rows.iter().map(batch).chain([end]).collect();
        Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(rows)))
    }

    #[tokio::test]
    async fn only_an_answer_that_has_not_begun_is_begun_anew() {
        let again = async || Ok(exhausted(&[7]));
        let rows: Vec<_> = or_again(exhausted(&[]), again).collect().await;
        assert_eq!(rows.len(), 2, "those of the second, and its end");
        let rows: Vec<_> = or_again(exhausted(&[1, 2]), again).collect().await;
        assert_eq!(rows.len(), 3);
        assert!(is_out_of_memory(rows[2].as_ref().unwrap_err()));
        let error = crate::connector::error::Error::from(rows.into_iter().next_back().unwrap().unwrap_err());
        assert_eq!(error.kind, crate::connector::error::ErrorKind::Limit);
    }
}
