//! The tables of a connection for the SQL engine: live, by schema.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, SchemaProvider, TableProvider},
    error::Result as SqlResult,
};

use super::{
    client::{Lease, Server},
    error::failed,
    executor::remote,
    name::is_reserved,
    table::Table,
};
use crate::connector::{apart, error::Result};

/// The schemas of a database.
pub(crate) struct Catalog(Arc<Server>);

impl Catalog {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self(server)
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown())
    }
}

impl CatalogProvider for Catalog {
    /// Only the default one where the server cannot be asked: whoever asks for a table hears why.
    fn schema_names(&self) -> Vec<String> {
        let names = asked(&self.0, async |lease| Table::schemas(lease).await);
        names.unwrap_or_else(|_| vec![self.0.config.schema.clone()])
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Tables { server: self.0.clone(), schema: name.to_owned() }))
    }
}

struct Tables {
    server: Arc<Server>,
    schema: String,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema \"{}\" of {}", self.schema, self.server.shown())
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    /// Empty where the server cannot be asked: whoever asks for a table hears why.
    fn table_names(&self) -> Vec<String> {
        let schema = self.schema.clone();
        asked(&self.server, async move |lease| Table::names(lease, &schema).await).unwrap_or_default()
    }

    async fn table(&self, name: &str) -> SqlResult<Option<Arc<dyn TableProvider>>> {
        if is_reserved(name) {
            return Ok(None);
        }
        let lease = self.server.lease().await?;
        let found = Table::find(&lease, &self.schema, name).await;
        let found = found.map_err(|error| failed(&self.server.table_shown(&self.schema, name), error))?;
        lease.give_back();
        Ok(found.map(|table| Arc::new(remote(&self.server, table)) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

/// Asks the server from where nobody may wait, over a session of its own, since a session lives in the runtime that it was begun in.
fn asked<F>(server: &Arc<Server>, question: F) -> Result<Vec<String>>
where
    F: AsyncFnOnce(&Lease) -> Result<Vec<String>, tokio_postgres::Error> + Send,
{
    apart::asked(server, async |server| {
        let lease = server.fresh().await?;
        question(&lease).await.map_err(|error| failed(&server.shown(), error))
    })
}
