//! Window functions over `PARTITION BY`, one partition after another.
//!
//! A function whose frame reaches to its partition's end (`sum(x) OVER (PARTITION BY y)`) has no row to give before the last row of that partition.
//! DataFusion's operator for such functions gives nothing before the last row of all partitions, and counts none that it holds. This one holds one
//! partition, and counts it.

use std::{fmt, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::{SortColumn, concat, concat_batches},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{
        ScalarValue,
        tree_node::TreeNodeRecursion,
        utils::{evaluate_partition_ranges, get_row_at_idx, memory::get_record_batch_memory_size},
    },
    error::{DataFusionError, Result},
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::{PhysicalExpr, PhysicalSortExpr, window::WindowExpr},
    physical_expr_common::sort_expr::OrderingRequirements,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
        execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions},
        stream::RecordBatchStreamAdapter,
        windows::WindowAggExec,
    },
};
use futures::{StreamExt, TryStreamExt, stream};

use super::compact::compact;

/// Window functions of one `PARTITION BY` over rows that are sorted by it.
#[derive(Debug)]
pub(super) struct PartitionWindows(WindowAggExec);

impl PartitionWindows {
    /// The same functions as DataFusion's operator computes; `None` where all rows are one partition.
    pub(super) fn of(functions: &WindowAggExec) -> Option<Arc<dyn ExecutionPlan>> {
        let is_partitioned = !functions.window_expr().first()?.partition_by().is_empty();
        is_partitioned.then(|| Arc::new(Self(functions.clone())) as _)
    }
}

impl DisplayAs for PartitionWindows {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionWindows: ")?;
        self.0.fmt_as(format, f)
    }
}

impl ExecutionPlan for PartitionWindows {
    fn name(&self) -> &'static str {
        "PartitionWindows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.0.children()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(visit)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.0.maintains_input_order()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.0.required_input_ordering()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.0.input_distribution_requirements()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let functions = Arc::new(self.0.clone()).replace_children(children, options)?;
        Ok(functions.downcast_ref().and_then(Self::of).unwrap_or(functions))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.0.schema();
        let consumer = MemoryConsumer::new(format!("PartitionWindows[{partition}]"));
        let partitions = Partitions {
            input: self.0.input().execute(partition, Arc::clone(&context))?,
            functions: self.0.window_expr().to_vec(),
            keys: self.0.partition_by_sort_keys()?,
            schema: Arc::clone(&schema),
            open: vec![],
            held: consumer.register(context.memory_pool()),
        };
        let size = context.session_config().batch_size();
        let rows = stream::try_unfold(partitions, async |mut partitions| {
            let ended = partitions.next().await?;
            Ok::<_, DataFusionError>(ended.map(|batch| (batch, partitions)))
        });
        let rows = rows.map_ok(move |batch| stream::iter(slices(&batch, size)).map(Ok)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// Rows as they come, until their partition has ended.
struct Partitions {
    input: SendableRecordBatchStream,
    functions: Vec<Arc<dyn WindowExpr>>,
    keys: Vec<PhysicalSortExpr>,
    schema: SchemaRef,
    /// The rows so far of one partition, whose end was not seen.
    open: Vec<RecordBatch>,
    /// Memory for `open`, and for its rows as one batch.
    held: MemoryReservation,
}

impl Partitions {
    /// The rows of some more whole partitions; `None` after the last.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(batch) = self.input.next().await {
            let ended = self.take_in(&batch?)?;
            if ended.is_some() {
                return Ok(ended);
            }
        }
        self.computed(None)
    }

    /// The partitions that have ended with these rows.
    fn take_in(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let keys = self.key_columns(batch)?;
        let goes_on = match self.open.last() {
            Some(open) => key(&self.key_columns(open)?, open.num_rows() - 1)? == key(&keys, 0)?,
            None => true,
        };
        let last = evaluate_partition_ranges(batch.num_rows(), &keys)?.last().map_or(0, |last| last.start);
        let ended = match last {
            0 if goes_on => None,
            0 => self.computed(None)?,
            _ => self.computed(Some(batch.slice(0, last)))?,
        };
        let rest = compact(&batch.slice(last, batch.num_rows() - last))?;
        self.held.try_grow(2 * get_record_batch_memory_size(&rest))?;
        self.open.push(rest);
        Ok(ended)
    }

    fn key_columns(&self, batch: &RecordBatch) -> Result<Vec<SortColumn>> {
        self.keys.iter().map(|key| key.evaluate_to_sort_column(batch)).collect()
    }

    /// The rows that were held, and these, which are whole partitions, with the functions' values as columns behind theirs; `None` where there are none.
    fn computed(&mut self, behind: Option<RecordBatch>) -> Result<Option<RecordBatch>> {
        self.open.extend(behind);
        let Some(first) = self.open.first() else { return Ok(None) };
        let rows = concat_batches(&first.schema(), &self.open)?;
        let partitions = evaluate_partition_ranges(rows.num_rows(), &self.key_columns(&rows)?)?;
        let partitions: Vec<_> = partitions.into_iter().map(|at| rows.slice(at.start, at.len())).collect();
        let values = self.functions.iter().map(|function| {
            let values = partitions.iter().map(|rows| function.evaluate(rows)).collect::<Result<Vec<_>>>()?;
            Ok(concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
        });
        let values = values.collect::<Result<Vec<ArrayRef>>>()?;
        let columns = rows.columns().iter().cloned().chain(values).collect();
        self.open.clear();
        self.held.free();
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

fn key(columns: &[SortColumn], row: usize) -> Result<Vec<ScalarValue>> {
    let columns: Vec<_> = columns.iter().map(|column| Arc::clone(&column.values)).collect();
    get_row_at_idx(&columns, row)
}

/// A batch as batches of at most so many rows.
fn slices(batch: &RecordBatch, size: usize) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(size).map(|at| batch.slice(at, size.min(rows - at))).collect()
}
