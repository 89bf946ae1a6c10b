//! Folders of Parquet, CSV and JSON Lines files, of the local file system or of a bucket; `docs/connectors/files.md` is for users.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;

use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::Result,
    one_schema::OneSchema,
    scan::Scan as _,
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};
use crate::model::column::ColumnType;

mod bytes;
mod catalog;
mod columns;
pub mod config;
mod format;
mod ledger;
mod maintain;
mod manifest;
mod name;
mod parquet;
mod place;
mod read;
mod records;
mod seen;
mod source;
mod stage;
mod text;
mod write;

use catalog::Tables;
use place::Place;

/// The one schema of a connection.
const SCHEMA: &str = "public";

/// Opens the connection.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    Ok(Arc::new(FilesConnection { place: Place::new(config, &context)? }))
}

/// A folder of files.
struct FilesConnection {
    place: Place,
}

#[async_trait]
impl Connection for FilesConnection {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        Ok(source::FilesSource::new(self.place.table(&spec.table)?, spec)?)
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Ok(write::FilesSink::new(self.place.table(&spec.table)?, spec)?)
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
            let found = match catalog::found(self.place.table(&name)?).await {
                Ok(found) => found,
                Err(error) => {
                    // One broken file does not hide the others; whoever asks for it hears why.
                    tracing::warn!("{error}");
                    None
                }
            };
            let Some(scan) = found else { continue };
            let column = |field: &arrow::datatypes::FieldRef| {
                (field.name().clone(), ColumnType::of(field.data_type()).to_string())
            };
            let columns = scan.schema().fields().iter().map(column).collect();
            tables.push(TableInfo { schema: SCHEMA.to_owned(), name, rows: None, columns });
        }
        Ok(tables)
    }
}
