//! The tables of a folder for the SQL engine: found when they are asked for, each pinned to its newest snapshot then.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::Result,
};
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};

use super::{
    super::error::Error,
    SCHEMA,
    table::{Location, Table},
};

/// One schema of live tables.
#[derive(Debug)]
pub(super) struct Catalog {
    tables: Arc<Tables>,
}

impl Catalog {
    /// The tables of a folder.
    pub(super) fn new(connection: &str, root: &Path) -> Self {
        Self { tables: Arc::new(Tables { connection: connection.into(), root: root.to_owned() }) }
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| self.tables.clone() as _)
    }
}

#[derive(Debug)]
struct Tables {
    connection: Arc<str>,
    root: PathBuf,
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        table_names(&self.root)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Ok(location) = Location::new(&self.connection, &self.root, name) else { return Ok(None) };
        match location.open().await? {
            Some(table) if !table.schema()?.fields().is_empty() => provider(&table).map(Some),
            _ => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        Location::new(&self.connection, &self.root, name)
            .is_ok_and(|location| location.exists().unwrap_or_default())
    }
}

/// A snapshot as a table for SQL, with push-down of filters, columns and limits by the library's own provider.
pub(super) fn provider(table: &Table) -> Result<Arc<dyn TableProvider>> {
    // Filters choose files and row groups, and are applied once more above the scan: a row filter inside the
    // Parquet reader leaves out conditions without columns, so that `n NOT IN (1, NULL)` found rows.
    let mut config = DeltaScanConfig::new().with_wrap_partition_values(false).with_parquet_pushdown(false);
    // Columns have the plain types that the table was made with.
    config.schema_force_view_types = false;
    let snapshot = table.state().map_err(Error::from)?.snapshot().clone();
    Ok(Arc::new(DeltaScanNext::new(snapshot, config)?))
}

/// Names of folders that are Delta tables, sorted.
pub(super) fn table_names(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else { return vec![] };
    let is_table = |entry: &fs::DirEntry| entry.path().join("_delta_log").is_dir();
    let mut names: Vec<String> = entries
        .flatten()
        .filter(is_table)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with("_vitrina"))
        .collect();
    names.sort();
    names
}
