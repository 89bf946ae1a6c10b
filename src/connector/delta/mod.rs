//! Delta tables in a folder of the local file system or of a bucket, read and written by the Delta library; `docs/connectors/delta.md`
//! is for users.

use std::{path::PathBuf, sync::Arc, time::Instant};

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;

use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::Result,
    one_schema::OneSchema,
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
mod erase;
mod failure;
mod files;
mod group;
mod ledger;
mod listing;
mod location;
mod maintain;
mod merge;
mod newest;
mod place;
mod read;
mod sink;
mod source;
mod stage;
mod table;
mod transactions;
mod types;
mod versions;

use catalog::Tables;
use place::Place;

/// The one schema of a connection.
const SCHEMA: &str = "public";

/// Opens the connection.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let scratch = context.scratch.clone();
    Ok(Arc::new(DeltaConnection { place: Place::new(config, context)?, scratch }))
}

/// A folder of Delta tables.
struct DeltaConnection {
    place: Place,
    scratch: PathBuf,
}

#[async_trait]
impl Connection for DeltaConnection {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        source::open(self.place.table(&spec.table)?, spec).await
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Ok(sink::DeltaSink::new(self.place.table(&spec.table)?, spec.clone(), self.scratch.clone()))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(OneSchema::new(SCHEMA, Tables { place: self.place.clone() }))
    }

    fn default_schema(&self) -> String {
        SCHEMA.to_owned()
    }

    async fn probe(&self) -> Result<Health> {
        let begun = Instant::now();
        let (rights, notes) = self.place.rights().await?;
        Ok(Health { version: self.place.version(), latency: begun.elapsed(), clock: None, rights, notes })
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let mut tables = vec![];
        for name in self.place.table_names().await? {
            let Some(table) = self.place.table(&name)?.open().await? else { continue };
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
