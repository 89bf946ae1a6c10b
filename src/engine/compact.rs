//! Rows that keep no more memory alive than they fill.
//!
//! A group-by gives its answer as slices of a few large arrays, and each slice keeps the whole of them alive. A sort, which counts what its rows keep
//! alive, finds no memory for a few slices of a large answer, though it could spill them. So what sorts take in is copied where it is a small part of
//! what it was cut from.

use std::{fmt, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, MutableArrayData, RecordBatch, StringViewArray, make_array,
    },
    datatypes::DataType,
};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;

/// Bytes that a column may keep alive for nothing.
const SMALL: usize = 64 << 10;

/// The rows of its input, each batch in memory of its own.
#[derive(Debug)]
pub(super) struct Compact(Arc<dyn ExecutionPlan>);

impl Compact {
    /// Over these rows.
    pub(super) fn over(rows: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self(Arc::clone(rows)))
    }
}

impl DisplayAs for Compact {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compact")
    }
}

impl ExecutionPlan for Compact {
    fn name(&self) -> &'static str {
        "Compact"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.0]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self(children.swap_remove(0))))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.0.execute(partition, context)?;
        let schema = rows.schema();
        let rows = rows.map(|batch| compact(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// The same rows; columns that keep far more alive than they show are copied. What lists are made of is taken as it is.
pub(super) fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(compact_column).collect::<Result<_>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

fn compact_column(column: &ArrayRef) -> Result<ArrayRef> {
    let (data, views) = (column.to_data(), seen_by_views(column));
    let shown = data.get_slice_memory_size()? + views.unwrap_or_default();
    if data.get_buffer_memory_size() <= 2 * shown + SMALL {
        return Ok(Arc::clone(column));
    }
    Ok(match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => {
            let mut copy = MutableArrayData::new(vec![&data], false, data.len());
            copy.try_extend(0, 0, data.len())?;
            make_array(copy.freeze())
        }
    })
}

/// Bytes of text that a column of views points at.
fn seen_by_views(column: &ArrayRef) -> Option<usize> {
    let column = column.as_any();
    let texts = column.downcast_ref::<StringViewArray>().map(StringViewArray::total_buffer_bytes_used);
    texts.or_else(|| column.downcast_ref::<BinaryViewArray>().map(BinaryViewArray::total_buffer_bytes_used))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, StringArray, types::Int32Type};
    use datafusion::common::utils::memory::get_record_batch_memory_size;

    use super::*;

    fn columns() -> RecordBatch {
        let numbers = 0..100_000_i64;
        let texts = || numbers.clone().map(|n| (n % 7 != 0).then(|| format!("a text of number {n}")));
        RecordBatch::try_from_iter([
            ("number", Arc::new(Int64Array::from_iter_values(numbers.clone())) as ArrayRef),
            ("text", Arc::new(texts().collect::<StringArray>())),
            ("view", Arc::new(texts().collect::<StringViewArray>())),
            (
                "bytes",
                Arc::new(texts().map(|text| text.map(String::into_bytes)).collect::<BinaryViewArray>()),
            ),
            (
                "kind",
                Arc::new(
                    numbers
                        .clone()
                        .map(|n| ["a", "b"][(n % 2) as usize])
                        .collect::<DictionaryArray<Int32Type>>(),
                ),
            ),
        ])
        .unwrap()
    }

    #[test]
    fn a_slice_lets_go_of_what_it_was_cut_from() {
        let all = columns();
        let slice = all.slice(50_001, 100);
        let own = compact(&slice).unwrap();
        assert_eq!(own, slice);
        let whole = get_record_batch_memory_size(&slice);
        assert_eq!(whole, get_record_batch_memory_size(&all));
        assert!(whole > 10 << 20);
        let held = get_record_batch_memory_size(&own);
        assert!(held < 1 << 20, "{held}");
    }

    #[test]
    fn whole_batches_are_not_copied() {
        let all = columns();
        let same = compact(&all).unwrap();
        for (column, before) in same.columns().iter().zip(all.columns()) {
            assert!(Arc::ptr_eq(column, before), "{}", column.data_type());
        }
    }
}
