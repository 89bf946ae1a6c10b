//! ClickHouse: tables are read and written as Arrow over HTTP; a unit is staged in a table of its own and moved in as parts.

mod catalog;
mod client;
mod dialect;
mod error;
mod executor;
mod filter;
mod finish;
mod ipc;
mod key;
mod name;
mod note;
mod plan;
mod record;
mod replacing;
mod replicated;
mod rights;
mod scan;
mod settings;
mod source;
mod stage;
mod table;
mod target;
mod tls;
mod types;
mod window;
mod write;

pub mod config;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::CatalogProvider;

use self::{
    catalog::Catalog,
    client::Server,
    name::check_table,
    source::TableSource,
    table::{Table, text},
    target::is_written,
    write::TableSink,
};
use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::{Error, ErrorKind, Result},
    rights::{Right, Use},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};
use crate::model::column::ColumnType;

/// Opens the connection.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    if let Some(misfit) = config.misfit() {
        let message = format!("connection \"{}\": {}", context.name, misfit.message);
        return Err(Error::new(ErrorKind::Unsupported, message).hint(misfit.hint));
    }
    Ok(Arc::new(ClickHouse { server: Server::new(&context.name, config, &context.root) }))
}

struct ClickHouse {
    server: Arc<Server>,
}

#[async_trait]
impl Connection for ClickHouse {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        check_table(&spec.table)?;
        Ok(Arc::new(TableSource::new(self.server.clone(), spec.clone())))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        check_table(&spec.table)?;
        if let Some((why, hint)) = self.server.config.read_only() {
            let message = format!("{} {why}", self.server.shown());
            return Err(Error::new(ErrorKind::Unsupported, message).hint(hint));
        }
        Ok(Arc::new(TableSink::new(self.server.clone(), spec.clone())))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(Catalog(self.server.clone()))
    }

    fn default_schema(&self) -> String {
        self.server.config.database.clone()
    }

    async fn indexed(&self, schema: &str, table: &str) -> Result<Option<Vec<String>>> {
        let found = Table::find(&self.server, schema, table).await?;
        let Some(table) = found.filter(|table| table.engine.ends_with("MergeTree")) else { return Ok(None) };
        Ok(Some(table.leading_key(&self.server).await?))
    }

    async fn rights(&self, uses: &[Use]) -> Result<Vec<Right>> {
        rights::of(&self.server, uses).await
    }

    async fn probe(&self) -> Result<Health> {
        let (shown, begun) = (self.server.shown(), Instant::now());
        let version = format!("ClickHouse {}", self.server.version().await?);
        let sql =
            "SELECT getSetting('readonly'), engine FROM system.databases WHERE name = currentDatabase()";
        let row = self.server.row(&shown, sql).await?.unwrap_or_default();
        let latency = begun.elapsed();
        let (mut rights, mut notes) = (vec!["read".to_owned()], vec![]);
        match (text(&row, 0), text(&row, 1)) {
            ("0", engine) if is_written(engine) => rights.push("write".to_owned()),
            ("0", engine) => notes.push(format!(
                "the database is of engine {engine}, and can only be read: Atomic or Replicated is needed to write"
            )),
            _ => notes.push("the user may only read (`readonly`)".to_owned()),
        }
        let clock = self.server.cell(&shown, "SELECT toUnixTimestamp64Milli(now64(3))").await?;
        let clock = clock.and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?));
        Ok(Health { version, latency, clock, rights, notes })
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let (server, database) = (&self.server, &self.server.config.database);
        let mut found = vec![];
        for name in Table::names(server, database).await? {
            let Some(table) = Table::find(server, database, &name).await? else { continue };
            let columns = table.arrow();
            let columns = columns.fields().iter();
            let columns =
                columns.map(|field| (field.name().clone(), ColumnType::of(field.data_type()).to_string()));
            found.push(TableInfo {
                schema: database.clone(),
                name,
                rows: table.rows,
                columns: columns.collect(),
            });
        }
        Ok(found)
    }
}
