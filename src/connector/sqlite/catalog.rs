//! The tables of a connection for the SQL engine: live, a schema per file.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::Result as SqlResult,
};
use indexmap::IndexMap;

use super::{
    database::{Database, blocking},
    error::failed,
    executor::remote,
    name::{OFFSET, is_reserved},
    table::Table,
};

/// The files of a connection.
pub(super) struct Catalog {
    databases: IndexMap<String, Arc<Database>>,
    log: bool,
}

impl Catalog {
    pub(super) fn new(databases: IndexMap<String, Arc<Database>>, log: bool) -> Self {
        Self { databases, log }
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.databases.keys()).finish()
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let database = self.databases.get(name)?.clone();
        Some(Arc::new(Tables { database, log: self.log }))
    }
}

struct Tables {
    database: Arc<Database>,
    log: bool,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.database.shown())
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    /// Empty where the file is not there or cannot be read: whoever asks for a table hears why.
    fn table_names(&self) -> Vec<String> {
        let names = self.database.reader().ok().and_then(|lease| Table::names(&lease).ok());
        names.unwrap_or_default()
    }

    async fn table(&self, name: &str) -> SqlResult<Option<Arc<dyn TableProvider>>> {
        if is_reserved(name) || !self.database.exists() {
            return Ok(None);
        }
        let (database, name, hidden) = (self.database.clone(), name.to_owned(), self.log.then_some(OFFSET));
        let table = blocking(move || {
            let lease = database.reader()?;
            let found = Table::find(&lease, &name);
            let found = found.map_err(|error| failed(&database.table_shown(&name), error))?;
            // SQL keeps case, so a name of another case is another table.
            let found = found.filter(|table| table.name == name);
            Ok(found.map(|table| remote(&database, table, hidden)))
        })
        .await?;
        Ok(table.map(|table| Arc::new(table) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
