//! The tables of a connection for the SQL engine: live, by database.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::Result as SqlResult,
};

use super::{client::Server, executor::remote, name::is_reserved, table::Table};
use crate::connector::error::{Error, ErrorKind, Result};

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
        let names = asked(&self.0, async |server| Table::databases(server).await);
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
        asked(&self.server, async move |server| Table::names(server, &database).await).unwrap_or_default()
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

/// Asks the server from where nobody may wait: on a thread with a runtime of its own, over connections of its own, since a connection lives in
/// the runtime that it was begun in.
fn asked<F>(server: &Arc<Server>, question: F) -> Result<Vec<String>>
where
    F: AsyncFnOnce(&Server) -> Result<Vec<String>> + Send,
{
    let apart = server.apart();
    let ask = || -> Result<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Error::new(ErrorKind::Internal, "no runtime can be made").caused_by(error))?;
        runtime.block_on(question(&apart))
    };
    std::thread::scope(|scope| scope.spawn(ask).join())
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "asking for names failed")))
}
