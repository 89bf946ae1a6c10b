//! `row_number() OVER (PARTITION BY …)` over sorted rows, batch by batch.
//!
//! DataFusion's operator keeps a state of its own for every partition and slices the rows by it. Where partitions have a few rows each, as those of the newest row of each key
//! do, that is most of the work; a number needs nothing but the key and the number of the row before.

use std::{fmt, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, UInt64Array},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{ScalarValue, tree_node::TreeNodeRecursion, utils::evaluate_partition_ranges},
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{
        PhysicalExpr, PhysicalSortExpr,
        window::{StandardWindowExpr, WindowExpr},
    },
    physical_expr_common::sort_expr::OrderingRequirements,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, InputOrderMode,
        PlanProperties,
        execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions},
        stream::RecordBatchStreamAdapter,
        windows::{BoundedWindowAggExec, WindowUDFExpr},
    },
};
use futures::StreamExt;

use super::partition_windows::{columns, key};

/// Row numbers within the partitions of one `PARTITION BY`, over rows that are sorted by it.
#[derive(Debug)]
pub(super) struct RowNumbers(BoundedWindowAggExec);

impl RowNumbers {
    /// The same numbers as DataFusion's operator gives; `None` where it computes something else as well, or all rows are one partition.
    pub(super) fn of(functions: &BoundedWindowAggExec) -> Option<Arc<dyn ExecutionPlan>> {
        let is_partitioned = !functions.window_expr().first()?.partition_by().is_empty();
        let is_sorted = functions.input_order_mode == InputOrderMode::Sorted;
        let all = functions.window_expr().iter().all(is_row_number);
        (is_partitioned && is_sorted && all).then(|| Arc::new(Self(functions.clone())) as _)
    }
}

fn is_row_number(function: &Arc<dyn WindowExpr>) -> bool {
    let function = function.as_any().downcast_ref::<StandardWindowExpr>();
    let function =
        function.and_then(|found| found.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>());
    function.is_some_and(|function| function.fun().name() == "row_number")
}

impl DisplayAs for RowNumbers {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowNumbers: ")?;
        self.0.fmt_as(format, f)
    }
}

impl ExecutionPlan for RowNumbers {
    fn name(&self) -> &'static str {
        "RowNumbers"
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
        Ok(functions.downcast_ref::<BoundedWindowAggExec>().and_then(Self::of).unwrap_or(functions))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.0.schema();
        let mut numbering = Numbering {
            keys: self.0.partition_by_sort_keys()?,
            functions: self.0.window_expr().len(),
            schema: Arc::clone(&schema),
            last: None,
        };
        let rows = self.0.input().execute(partition, context)?.map(move |batch| numbering.numbered(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// Numbers rows as they come.
struct Numbering {
    keys: Vec<PhysicalSortExpr>,
    functions: usize,
    schema: SchemaRef,
    /// The key and the number of the row before.
    last: Option<(Vec<ScalarValue>, u64)>,
}

impl Numbering {
    /// These rows, with their numbers as columns behind theirs, one for each function.
    fn numbered(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let keys = columns(&self.keys, batch)?;
        let mut numbers: Vec<u64> = Vec::with_capacity(batch.num_rows());
        for partition in evaluate_partition_ranges(batch.num_rows(), &keys)? {
            let before = match &self.last {
                Some((last, number)) if partition.start == 0 && *last == key(&keys, 0)? => *number,
                _ => 0,
            };
            numbers.extend((1..=partition.len() as u64).map(|number| before + number));
        }
        if let Some(number) = numbers.last() {
            self.last = Some((key(&keys, batch.num_rows() - 1)?, *number));
        }
        let numbers: ArrayRef = Arc::new(UInt64Array::from(numbers));
        let numbers = std::iter::repeat_n(numbers, self.functions);
        Ok(RecordBatch::try_new(
            Arc::clone(&self.schema),
            batch.columns().iter().cloned().chain(numbers).collect(),
        )?)
    }
}
