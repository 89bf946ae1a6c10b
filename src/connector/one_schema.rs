//! The catalog of a place whose tables are all in one schema.

use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, SchemaProvider};

/// One schema, under its name.
#[derive(Debug)]
pub(crate) struct OneSchema {
    name: &'static str,
    tables: Arc<dyn SchemaProvider>,
}

impl OneSchema {
    /// These tables.
    pub(crate) fn new(name: &'static str, tables: impl SchemaProvider + 'static) -> Self {
        Self { name, tables: Arc::new(tables) }
    }
}

impl CatalogProvider for OneSchema {
    fn schema_names(&self) -> Vec<String> {
        vec![self.name.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == self.name).then(|| Arc::clone(&self.tables))
    }
}
