//! Delta tables in a folder of the local file system, read and written by the Delta library; `docs/connectors/delta.md`
//! is for users.

use std::{path::PathBuf, sync::Arc, time::Instant};

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;

use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::Result,
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};
use crate::model::column::ColumnType;

mod bounds;
mod catalog;
mod claim;
mod commit;
pub mod config;
mod cursor;
mod digest;
mod durable;
mod erase;
mod failure;
mod files;
mod ledger;
mod maintain;
mod merge;
mod read;
mod sink;
mod source;
mod stage;
mod table;
mod transactions;
mod types;
mod versions;

use catalog::Catalog;
use failure::io_failed;
use table::Location;

/// The one schema of a connection.
const SCHEMA: &str = "public";

/// Opens the connection.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let root = context.root.join(&config.path);
    Ok(Arc::new(DeltaConnection { name: context.name.into(), root, scratch: context.scratch }))
}

/// A folder of Delta tables.
struct DeltaConnection {
    name: Arc<str>,
    root: PathBuf,
    scratch: PathBuf,
}

impl DeltaConnection {
    fn location(&self, table: &str) -> Result<Location> {
        Location::new(&self.name, &self.root, table)
    }
}

#[async_trait]
impl Connection for DeltaConnection {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        source::open(self.location(&spec.table)?, spec).await
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Ok(sink::DeltaSink::new(self.location(&spec.table)?, spec.clone(), self.scratch.clone()))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(Catalog::new(&self.name, &self.root))
    }

    fn default_schema(&self) -> String {
        SCHEMA.to_owned()
    }

    async fn probe(&self) -> Result<Health> {
        let begun = Instant::now();
        let (mut rights, mut notes) = (vec![], vec![]);
        match std::fs::metadata(&self.root) {
            Ok(found) if found.is_dir() => {
                std::fs::read_dir(&self.root).map_err(|error| self.unreadable(error))?;
                rights.push("read".to_owned());
                if writable(&self.root) {
                    rights.push("write".to_owned());
                } else {
                    notes.push(format!("{} cannot be written to", self.root.display()));
                }
            }
            Ok(_) => {
                let error = std::io::Error::from(std::io::ErrorKind::NotADirectory);
                return Err(self.unreadable(error));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                notes.push(format!("{} is made when it is first written to", self.root.display()));
            }
            Err(error) => return Err(self.unreadable(error)),
        }
        let version = format!("delta-rs {}", deltalake::crate_version());
        Ok(Health { version, latency: begun.elapsed(), clock: None, rights, notes })
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let mut tables = vec![];
        for name in catalog::table_names(&self.root) {
            let Some(table) = self.location(&name)?.open().await? else { continue };
            let schema = table.schema()?;
            if schema.fields().is_empty() {
                continue;
            }
            let column = |field: &arrow::datatypes::FieldRef| {
                (field.name().clone(), ColumnType::of(field.data_type()).to_string())
            };
            let rows = table.files()?.iter().map(|file| file.rows.filter(|_| !file.vector)).sum();
            tables.push(TableInfo {
                schema: SCHEMA.to_owned(),
                name,
                rows,
                columns: schema.fields().iter().map(column).collect(),
            });
        }
        Ok(tables)
    }
}

impl DeltaConnection {
    fn unreadable(&self, error: std::io::Error) -> super::error::Error {
        io_failed(format!("connection `{}`: {} cannot be read", self.name, self.root.display()), error)
    }
}

/// Whether a folder may be written to, as far as its own rights and its file system say.
fn writable(folder: &std::path::Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|found| !found.permissions().readonly())
}
