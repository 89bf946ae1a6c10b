//! A scan whose plan says what is sent to the place, with placeholders for values: what `explain --plan` shows.

use std::{any::Any, fmt, sync::Arc};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execution_plan::ReplaceChildrenOptions,
        metrics::MetricsSet,
    },
};

use super::executor::{Executor, Statement};

/// A leaf of a plan: rows that a place gives for what it is sent.
#[derive(Debug)]
pub struct SentScan {
    sent: String,
    statement: Option<(Arc<dyn Executor>, Statement)>,
    rows: Arc<dyn ExecutionPlan>,
}

impl SentScan {
    /// A scan that runs as `rows` does, and is shown as `sent`.
    pub fn new(sent: String, rows: Arc<dyn ExecutionPlan>) -> Self {
        Self { sent, statement: None, rows }
    }

    /// A whole statement of the engine's, which `rows` runs.
    pub fn of_statement(statement: (Arc<dyn Executor>, Statement), rows: Arc<dyn ExecutionPlan>) -> Self {
        Self { sent: statement.1.sql.clone(), statement: Some(statement), rows }
    }

    /// The statements of a plan, with the places that run them.
    pub fn statements(plan: &Arc<dyn ExecutionPlan>) -> Vec<(Arc<dyn Executor>, Statement)> {
        let own = (plan.as_ref() as &dyn Any).downcast_ref::<Self>().and_then(|sent| sent.statement.clone());
        let below = plan.children().into_iter().flat_map(Self::statements);
        own.into_iter().chain(below).collect()
    }
}

impl DisplayAs for SentScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentScan: {}", self.sent)
    }
}

impl ExecutionPlan for SentScan {
    fn name(&self) -> &'static str {
        "SentScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.rows.properties()
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.rows.execute(partition, context)
    }

    fn fetch(&self) -> Option<usize> {
        self.rows.fetch()
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.with_fetch(limit)?;
        Some(Arc::new(Self { sent: self.sent.clone(), statement: self.statement.clone(), rows }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.rows.metrics()
    }
}
