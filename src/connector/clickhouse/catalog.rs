//! The tables of a connection for the SQL engine: live, by database.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::Result as SqlResult,
};

use super::{client::Server, executor::remote, name::is_reserved, table::Table};
use crate::connector::apart::asked;

/// The databases of a server.
pub(super) struct Catalog(pub(super) Arc<Server>);

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown())
    }
}

impl CatalogProvider for Catalog {
    /// Only the default one where the server cannot be asked: whoever asks for a table hears why.
    fn schema_names(&self) -> Vec<String> {
        let names = asked(&self.0.apart(), async |server| Table::databases(server).await);
        names.unwrap_or_else(|_| vec![self.0.config.database.clone()])
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Tables { server: self.0.clone(), database: name.to_owned() }))
    }
}

struct Tables {
    server: Arc<Server>,
    database: String,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database \"{}\" of {}", self.database, self.server.shown())
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    /// Empty where the server cannot be asked: whoever asks for a table hears why.
    fn table_names(&self) -> Vec<String> {
        let database = self.database.clone();
        asked(&self.server.apart(), async move |server| Table::names(server, &database).await)
            .unwrap_or_default()
    }

    async fn table(&self, name: &str) -> SqlResult<Option<Arc<dyn TableProvider>>> {
        if is_reserved(name) {
            return Ok(None);
        }
        let found = Table::find(&self.server, &self.database, name).await?;
        Ok(found.map(|table| Arc::new(remote(&self.server, table)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
