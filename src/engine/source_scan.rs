//! The unit at hand as a table of the engine. A plan is compiled once and holds no rows: each run brings its own, in a
//! slot of the run's context, so one plan serves many units, even at once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    compute::SortOptions,
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Result, exec_err, internal_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableType},
    physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;

use crate::model::unit::ORDINAL;

/// The rows of one run: taken once.
pub(super) struct Slot(Mutex<Option<SendableRecordBatchStream>>);

impl Slot {
    pub(super) fn new(rows: SendableRecordBatchStream) -> Self {
        Self(Mutex::new(Some(rows)))
    }

    fn take(&self) -> Option<SendableRecordBatchStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// `source`, its ordinals included.
#[derive(Debug)]
pub(super) struct SourceTable {
    schema: SchemaRef,
}

impl SourceTable {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = (0..self.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or(all);
        let schema = Arc::new(self.schema.project(&columns)?);
        Ok(Arc::new(SourceScan::new(schema, columns)))
    }
}

/// Reads the rows that lie in the run's slot.
#[derive(Debug)]
pub(super) struct SourceScan {
    schema: SchemaRef,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl SourceScan {
    fn new(schema: SchemaRef, columns: Vec<usize>) -> Self {
        // Rows come by rising ordinal: a sort by it is left out wherever the plan keeps that order.
        let rising = schema.index_of(ORDINAL).ok().map(|at| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(ORDINAL, at));
            [PhysicalSortExpr::new(column, SortOptions { descending: false, nulls_first: false })]
        });
        let known = EquivalenceProperties::new_with_orderings(Arc::clone(&schema), rising);
        let properties = PlanProperties::new(
            known,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { schema, columns, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SourceScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "SourceScan: {}", names.join(", "))
    }
}

impl ExecutionPlan for SourceScan {
    fn name(&self) -> &'static str {
        "SourceScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let slot = context.session_config().get_extension::<Slot>();
        let Some(rows) = slot.and_then(|slot| slot.take()) else {
            return internal_err!("a transform was run without rows");
        };
        let (schema, columns) = (Arc::clone(&self.schema), self.columns.clone());
        let chosen = rows.map(move |batch| choose(&batch?, &columns, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), chosen)))
    }
}

/// The columns that the plan reads, with exactly the schema that it was compiled for.
fn choose(batch: &RecordBatch, columns: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    if columns.iter().any(|column| *column >= batch.num_columns()) {
        return exec_err!("the source's rows have other columns than the transform was compiled for");
    }
    let chosen = columns.iter().map(|column| Arc::clone(batch.column(*column))).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), chosen, &options)?)
}
