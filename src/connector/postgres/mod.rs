//! PostgreSQL: tables are read and written by binary COPY, by our own decoder and encoder.

mod sql;

pub mod config;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;

use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::Result,
    pg::{Catalog, Copy, Extras, Server, TableSink, TableSource, check_table, probe, rights},
    rights::{Right, Use},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};

/// Opens the connection. Fails where its certificates cannot be used; the server is not asked for anything.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let server = Server::new(&context.name, config.settings(), &sql::Postgres, &context.root)?;
    Ok(Arc::new(Postgres { server }))
}

struct Postgres {
    server: Arc<Server>,
}

#[async_trait]
impl Connection for Postgres {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        check_table(&spec.table)?;
        Ok(Arc::new(TableSource::new(self.server.clone(), spec.clone(), None)))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        check_table(&spec.table)?;
        let options = spec.options.postgres.clone().unwrap_or_default();
        let extras = Extras {
            load: Arc::new(Copy),
            after_sql: options.after_sql,
            grant: options.grant,
            index: options.index,
            slots: None,
        };
        Ok(Arc::new(TableSink::new(self.server.clone(), spec.clone(), extras)))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(Catalog::new(self.server.clone()))
    }

    fn default_schema(&self) -> String {
        self.server.config.schema.clone()
    }

    async fn key(&self, schema: &str, table: &str) -> Result<Vec<String>> {
        probe::key(&self.server, schema, table).await
    }

    async fn indexed(&self, schema: &str, table: &str) -> Result<Option<Vec<String>>> {
        probe::indexed(&self.server, schema, table).await
    }

    async fn rights(&self, uses: &[Use]) -> Result<Vec<Right>> {
        rights::of(&self.server, uses).await
    }

    async fn probe(&self) -> Result<Health> {
        probe::health(&self.server).await
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        probe::tables(&self.server).await
    }
}
