//! A connection to a store, and its tables for the SQL engine.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    datasource::MemTable,
    error::Result as SqlResult,
};

use super::{Config, Store, TableName, read::MemorySource, write::MemorySink};
use crate::{
    connector::{
        connection::{Connection, Health, TableInfo},
        error::{Error, ErrorKind, Result},
        sink::{Sink, SinkSpec},
        source::{Source, SourceSpec},
    },
    model::column::ColumnType,
};

/// A connection to one store.
#[derive(Debug)]
pub(super) struct MemoryConnection {
    store: Arc<Store>,
    name: String,
    log: bool,
    schema: String,
}

impl MemoryConnection {
    pub(super) fn new(store: Arc<Store>, name: String, config: &Config) -> Self {
        let schema = config.schema.clone().unwrap_or_else(|| TableName::DEFAULT_SCHEMA.to_owned());
        Self { store, name, log: config.log, schema }
    }

    fn table(&self, schema: Option<&str>, table: &str) -> Result<TableName> {
        if table.starts_with("_vitrina") {
            let message =
                format!("table \"{table}\" of connection \"{}\": such names are Vitrina's own", self.name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(TableName::new(Some(schema.unwrap_or(&self.schema)), table))
    }
}

#[async_trait]
impl Connection for MemoryConnection {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        let table = self.table(spec.schema.as_deref(), &spec.table)?;
        Ok(Arc::new(MemorySource::new(self.store.clone(), table, spec.clone(), self.log)?))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        let table = self.table(spec.schema.as_deref(), &spec.table)?;
        Ok(Arc::new(MemorySink::new(self.store.clone(), table, spec.clone())))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(Catalog { store: self.store.clone(), schema: self.schema.clone() })
    }

    fn default_schema(&self) -> String {
        self.schema.clone()
    }

    async fn probe(&self) -> Result<Health> {
        Ok(Health {
            version: "memory".to_owned(),
            latency: Duration::ZERO,
            clock: None,
            rights: vec!["read".to_owned(), "write".to_owned()],
            notes: vec![],
        })
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let state = self.store.lock();
        let info = |(name, table): (&TableName, &super::store::Table)| TableInfo {
            schema: name.schema.clone(),
            name: name.table.clone(),
            rows: Some(table.rows() as u64),
            columns: (table.schema.fields().iter())
                .map(|field| (field.name().clone(), ColumnType::of(field.data_type()).to_string()))
                .collect(),
        };
        Ok(state.tables.iter().map(info).collect())
    }
}

#[derive(Debug)]
struct Catalog {
    store: Arc<Store>,
    schema: String,
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = vec![self.schema.clone()];
        names.extend(self.store.lock().tables.keys().map(|name| name.schema.clone()));
        names.sort();
        names.dedup();
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let known = self.schema_names().iter().any(|known| known == name);
        known.then(|| Arc::new(Tables { store: self.store.clone(), schema: name.to_owned() }) as _)
    }
}

#[derive(Debug)]
struct Tables {
    store: Arc<Store>,
    schema: String,
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let state = self.store.lock();
        state.tables.keys().filter(|name| name.schema == self.schema).map(|name| name.table.clone()).collect()
    }

    async fn table(&self, name: &str) -> SqlResult<Option<Arc<dyn TableProvider>>> {
        let found = self.store.lock().tables.get(&TableName::new(Some(&self.schema), name)).cloned();
        let Some(table) = found else {
            return Ok(None);
        };
        Ok(Some(Arc::new(MemTable::try_new(table.schema, vec![table.batches])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.store.lock().tables.contains_key(&TableName::new(Some(&self.schema), name))
    }
}
