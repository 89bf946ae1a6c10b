//! Window functions over `PARTITION BY`, one partition after another.
//!
//! A function whose frame reaches to its partition's end (`sum(x) OVER (PARTITION BY y)`) has no row to give before the last row of that partition.
//! DataFusion's operator for such functions gives nothing before the last row of all partitions, and counts none that it holds. This one holds one
//! partition, and counts it. An aggregate of whole partitions (`sum(x) OVER (PARTITION BY y)`) is computed of many of them at once, as a GROUP BY is.

use std::{fmt, iter::repeat_n, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, UInt64Array},
    compute::{SortColumn, concat, concat_batches, take},
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
    logical_expr::EmitTo,
    physical_expr::{
        PhysicalExpr, PhysicalSortExpr,
        aggregate::AggregateFunctionExpr,
        window::{PlainAggregateWindowExpr, WindowExpr},
    },
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
pub(super) struct PartitionWindows {
    functions: WindowAggExec,
    filtered: bool,
}

impl PartitionWindows {
    /// The same functions as DataFusion's operator computes; `None` where all rows are one partition. `filtered` = one of them may have a FILTER, which they do not
    /// tell.
    pub(super) fn of(functions: &WindowAggExec, filtered: bool) -> Option<Arc<dyn ExecutionPlan>> {
        let is_partitioned = !functions.window_expr().first()?.partition_by().is_empty();
        is_partitioned.then(|| Arc::new(Self { functions: functions.clone(), filtered }) as _)
    }
}

impl DisplayAs for PartitionWindows {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionWindows: ")?;
        self.functions.fmt_as(format, f)
    }
}

impl ExecutionPlan for PartitionWindows {
    fn name(&self) -> &'static str {
        "PartitionWindows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.functions.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.functions.children()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.functions.apply_expressions(visit)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.functions.maintains_input_order()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.functions.required_input_ordering()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.functions.input_distribution_requirements()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let functions = Arc::new(self.functions.clone()).replace_children(children, options)?;
        Ok(functions
            .downcast_ref::<WindowAggExec>()
            .and_then(|own| Self::of(own, self.filtered))
            .unwrap_or(functions))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.functions.schema();
        let consumer = MemoryConsumer::new(format!("PartitionWindows[{partition}]"));
        let partitions = Partitions {
            input: self.functions.input().execute(partition, Arc::clone(&context))?,
            functions: self.functions.window_expr().to_vec(),
            filtered: self.filtered,
            keys: self.functions.partition_by_sort_keys()?,
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
    filtered: bool,
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
        let keys = columns(&self.keys, batch)?;
        let goes_on = match self.open.last() {
            Some(open) => key(&columns(&self.keys, open)?, open.num_rows() - 1)? == key(&keys, 0)?,
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

    /// The rows that were held, and these, which are whole partitions, with the functions' values as columns behind theirs; `None` where there are none.
    fn computed(&mut self, behind: Option<RecordBatch>) -> Result<Option<RecordBatch>> {
        self.open.extend(behind);
        let Some(first) = self.open.first() else { return Ok(None) };
        let rows = concat_batches(&first.schema(), &self.open)?;
        let partitions = evaluate_partition_ranges(rows.num_rows(), &columns(&self.keys, &rows)?)?;
        let values = self.functions.iter().map(|function| self.values(function, &rows, &partitions));
        let values = values.collect::<Result<Vec<ArrayRef>>>()?;
        let columns = rows.columns().iter().cloned().chain(values).collect();
        self.open.clear();
        self.held.free();
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }

    /// A function's values for the rows of whole partitions.
    fn values(
        &self,
        function: &Arc<dyn WindowExpr>,
        rows: &RecordBatch,
        partitions: &[Range<usize>],
    ) -> Result<ArrayRef> {
        if let Some(aggregate) = whole(function).filter(|_| !self.filtered) {
            return grouped(aggregate, &function.evaluate_args(rows)?, partitions);
        }
        let values = partitions.iter().map(|at| function.evaluate(&rows.slice(at.start, at.len())));
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
    }
}

/// The aggregate that a function is, where it takes in all rows of a partition in whatever order.
fn whole(function: &Arc<dyn WindowExpr>) -> Option<&AggregateFunctionExpr> {
    let aggregate = function.as_any().downcast_ref::<PlainAggregateWindowExpr>()?.get_aggregate_expr();
    let frame = function.get_window_frame();
    let is_whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
    (is_whole && function.order_by().is_empty() && aggregate.groups_accumulator_supported())
        .then_some(aggregate)
}

/// An aggregate of each partition, for each of its rows.
fn grouped(
    aggregate: &AggregateFunctionExpr,
    arguments: &[ArrayRef],
    partitions: &[Range<usize>],
) -> Result<ArrayRef> {
    let groups: Vec<usize> =
        partitions.iter().enumerate().flat_map(|(group, rows)| repeat_n(group, rows.len())).collect();
    let mut accumulator = aggregate.create_groups_accumulator()?;
    accumulator.update_batch(arguments, &groups, None, partitions.len())?;
    let values = accumulator.evaluate(EmitTo::All)?;
    let rows = UInt64Array::from_iter_values(groups.into_iter().map(|group| group as u64));
    Ok(take(&values, &rows, None)?)
}

/// The columns that rows are sorted by.
pub(super) fn columns(keys: &[PhysicalSortExpr], batch: &RecordBatch) -> Result<Vec<SortColumn>> {
    keys.iter().map(|key| key.evaluate_to_sort_column(batch)).collect()
}

/// A row's values of such columns.
pub(super) fn key(columns: &[SortColumn], row: usize) -> Result<Vec<ScalarValue>> {
    let columns: Vec<_> = columns.iter().map(|column| Arc::clone(&column.values)).collect();
    get_row_at_idx(&columns, row)
}

/// A batch as batches of at most so many rows.
fn slices(batch: &RecordBatch, size: usize) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(size).map(|at| batch.slice(at, size.min(rows - at))).collect()
}
