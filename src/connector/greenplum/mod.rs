//! Greenplum: tables are read and written as PostgreSQL's are, with statements that version 6 has; segments may fetch rows by gpfdist.

mod gpfdist;
mod partition;
mod rights;
mod sql;
#[cfg(test)]
mod version6;

pub mod config;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;
use tokio::sync::Semaphore;

use self::{
    config::Load,
    gpfdist::{Brought, Fetched, Service},
};
use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::{Error, ErrorKind, Result},
    pg::{
        Bulk, Catalog, Copy, Extras, Server, TableSink, TableSource, check_table, probe, rights as of_tables,
    },
    rights::{Right, Use},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};

/// Opens the connection. Fails where its certificates cannot be used; the server is not asked for anything.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let server = Server::new(&context.name, config.settings(), &sql::Greenplum, &context.root)?;
    let service =
        config.gpfdist.clone().map(|gpfdist| Arc::new(Service::new(gpfdist, &server.config, server.shown())));
    let slots = Arc::new(Semaphore::new(usize::from(config.parallel.max(1))));
    Ok(Arc::new(Greenplum { server, service, slots }))
}

struct Greenplum {
    server: Arc<Server>,
    /// What segments fetch rows from and bring them to: one for all sinks and sources.
    service: Option<Arc<Service>>,
    /// Sinks that write at once.
    slots: Arc<Semaphore>,
}

#[async_trait]
impl Connection for Greenplum {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        check_table(&spec.table)?;
        let unload = spec.options.greenplum.as_ref().map(|options| options.unload).unwrap_or_default();
        let bulk = match (unload, &self.service) {
            (Load::Copy, _) => None,
            (Load::Gpfdist, Some(service)) => Some(Arc::new(Brought::new(service.clone())) as Arc<dyn Bulk>),
            (Load::Gpfdist, None) => return Err(self.unserved("a source unloads by it")),
        };
        Ok(Arc::new(TableSource::new(self.server.clone(), spec.clone(), bulk)))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        check_table(&spec.table)?;
        let options = spec.options.greenplum.clone().unwrap_or_default();
        let extras = Extras {
            load: match (options.load, &self.service) {
                (Load::Copy, _) => Arc::new(Copy),
                (Load::Gpfdist, Some(service)) => Arc::new(Fetched::new(service.clone())),
                (Load::Gpfdist, None) => return Err(self.unserved("a sink loads by it")),
            },
            after_sql: options.after_sql,
            grant: options.grant,
            index: vec![],
            slots: Some(self.slots.clone()),
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

    async fn rights(&self, uses: &[Use]) -> Result<Vec<Right>> {
        let mut found = of_tables::of(&self.server, uses).await?;
        found.extend(rights::of(&self.server, uses).await?);
        Ok(found)
    }

    async fn probe(&self) -> Result<Health> {
        let mut health = probe::health(&self.server).await?;
        let lease = self.server.lease().await?;
        if lease.product.greenplum.is_none() {
            health
                .notes
                .push("it is no Greenplum: storage and distribution are left out of its tables".to_owned());
        }
        lease.give_back();
        Ok(health)
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        probe::tables(&self.server).await
    }
}

impl Greenplum {
    fn unserved(&self, who: &str) -> Error {
        let message = format!("{} has no `gpfdist`, and {who}", self.server.shown());
        Error::new(ErrorKind::Unsupported, message)
            .hint("say where segments reach this machine: gpfdist = { host = \"…\", port = 8080 }")
    }
}
