//! The tables of a connection for the SQL engine: found when they are asked for, each pinned to its newest snapshot then.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, Session, TableProvider},
    common::Statistics,
    error::Result,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};

use super::{super::apart::asked, location::Location, place::Place, table::Table};

/// The tables of a place, live.
#[derive(Debug)]
pub(super) struct Tables {
    /// Where they lie.
    pub(super) place: Place,
}

#[async_trait]
impl SchemaProvider for Tables {
    /// Empty where the place cannot be asked: whoever asks for a table hears why.
    fn table_names(&self) -> Vec<String> {
        asked(&self.place.apart(), async |place| place.table_names().await).unwrap_or_default()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Ok(location) = self.place.table(name) else { return Ok(None) };
        match location.open().await? {
            Some(table) if !table.schema()?.fields().is_empty() => provider(&table).map(Some),
            _ => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        asked(&self.place.apart(), async |place| place.table(name)?.exists().await).unwrap_or_default()
    }
}

/// A snapshot as a table for SQL, with push-down of filters, columns and limits by the library's own provider.
pub(super) fn provider(table: &Table) -> Result<Arc<dyn TableProvider>> {
    // A row filter inside the Parquet reader leaves out conditions without columns, and so does the scan's choice of
    // files: `n NOT IN (1, NULL)` would find rows. So filters choose files, and are applied once more above the scan.
    let mut config = DeltaScanConfig::new().with_wrap_partition_values(false).with_parquet_pushdown(false);
    // Columns have the plain types that the table was made with.
    config.schema_force_view_types = false;
    let snapshot = table.state()?.snapshot().clone();
    Ok(Arc::new(Checked { scan: DeltaScanNext::new(snapshot, config)?, location: table.location.clone() }))
}

/// The library's provider, whose filters choose what is read, and are never taken for the whole truth.
#[derive(Debug)]
struct Checked {
    scan: DeltaScanNext,
    location: Location,
}

#[async_trait]
impl TableProvider for Checked {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    fn table_type(&self) -> TableType {
        self.scan.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.location.introduce(session);
        self.scan.scan(session, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let said = self.scan.supports_filters_pushdown(filters)?;
        Ok(filters
            .iter()
            .zip(said)
            .map(|(filter, said)| match said {
                _ if filter.column_refs().is_empty() => TableProviderFilterPushDown::Unsupported,
                TableProviderFilterPushDown::Exact => TableProviderFilterPushDown::Inexact,
                other => other,
            })
            .collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        self.scan.statistics()
    }
}
