//! Files as tables for the SQL engine: found when they are asked for, streamed when they are read.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use chrono_tz::Tz;
use datafusion::{
    catalog::{SchemaProvider, TableProvider},
    error::Result as SqlResult,
    physical_plan::ExecutionPlan,
};

use super::{
    super::{
        apart::asked,
        error::Result,
        scan::{self, Scan, Scanned, Wanted},
    },
    config::SourceOptions,
    ledger::{Known, Ledger, Listing},
    place::{Found, Place, Table},
    read::{DataFile, Shape, chunks},
};

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

    async fn table(&self, name: &str) -> SqlResult<Option<Arc<dyn TableProvider>>> {
        let Ok(table) = self.place.table(name) else { return Ok(None) };
        Ok(found(table).await?.map(|scan| Arc::new(Scanned(scan)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        let exists = async |place: &Place| Ok(found(place.table(name)?).await?.is_some());
        asked(&self.place.apart(), exists).unwrap_or_default()
    }
}

/// A table as it is now; `None` = it is not there, or has no columns yet.
pub(super) async fn found(table: Table) -> Result<Option<FilesScan>> {
    let Some(listing) = Ledger::new(table.clone()).look().await? else { return Ok(None) };
    let mut scan = scan_of(&table, &listing, SourceOptions::default()).await?;
    // Nobody says in SQL what stands between fields, so the head does.
    if let Some(delimiter) = scan.as_ref().and_then(|scan| other_delimiter(&scan.schema)) {
        let told = SourceOptions { delimiter: Some(delimiter), ..SourceOptions::default() };
        scan = scan_of(&table, &listing, told).await?;
    }
    Ok(scan.filter(|scan| !scan.schema.fields().is_empty()))
}

async fn scan_of(table: &Table, listing: &Listing, options: SourceOptions) -> Result<Option<FilesScan>> {
    let Listing { files, known } = listing;
    let files = files.iter().map(|found| table.data(found.clone(), known.as_ref(), &options));
    let files: Vec<DataFile> = files.collect::<Result<_>>()?;
    let schema = match (known, files.last()) {
        (Some(known), _) => known.schema.clone(),
        (None, Some(last)) => table.target(last, None, Tz::UTC).await?,
        (None, None) => return Ok(None),
    };
    Ok(Some(FilesScan { table: table.clone(), files, schema }))
}

/// What the one column of a table looks like being parted by.
fn other_delimiter(schema: &Schema) -> Option<char> {
    let [only] = schema.fields().as_ref() else { return None };
    [';', '\t', '|'].into_iter().find(|between| only.name().contains(*between))
}

/// Files that are staged, as a table.
pub(super) fn files_as_table(
    table: &Table,
    files: Vec<Found>,
    known: Known,
) -> Result<Arc<dyn TableProvider>> {
    let options = SourceOptions::default();
    let files = files.into_iter().map(|found| table.data(found, Some(&known), &options));
    let files = files.collect::<Result<_>>()?;
    Ok(Arc::new(Scanned(FilesScan { table: table.clone(), files, schema: known.schema })))
}

/// The files of a table, to be scanned.
#[derive(Debug)]
pub(super) struct FilesScan {
    table: Table,
    files: Vec<DataFile>,
    schema: SchemaRef,
}

impl Scan for FilesScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn plan(&self, wanted: Wanted<'_>) -> SqlResult<Arc<dyn ExecutionPlan>> {
        let (table, files, schema) = (self.table.clone(), self.files.clone(), wanted.schema.clone());
        let sent = match self.files.as_slice() {
            [one] => one.found.path.clone(),
            many => format!("{} files of {}", many.len(), self.table.shown),
        };
        scan::sent_rows(sent, wanted.schema, wanted.limit, move || {
            let rows = chunks(&table, files.clone(), Shape::Plain(schema.clone()));
            scan::chunks(schema.clone(), table.describe(), rows)
        })
    }
}
