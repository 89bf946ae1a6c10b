//! PostgreSQL: tables are read and written by binary COPY, by our own decoder and encoder.

pub mod config;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;

use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::Result,
    pg::{Catalog, Server, Table, TableSink, TableSource, check_table, failed, literal, quote},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};
use crate::model::column::ColumnType;

/// Opens the connection. Fails where its certificates cannot be used; the server is not asked for anything.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let server = Server::new(&context.name, config.settings(), &context.root)?;
    Ok(Arc::new(Postgres { server }))
}

struct Postgres {
    server: Arc<Server>,
}

#[async_trait]
impl Connection for Postgres {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        check_table(&spec.table)?;
        Ok(Arc::new(TableSource::new(self.server.clone(), spec.clone())))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        check_table(&spec.table)?;
        Ok(Arc::new(TableSink::new(self.server.clone(), spec.clone())))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(Catalog::new(self.server.clone()))
    }

    fn default_schema(&self) -> String {
        self.server.config.schema.clone()
    }

    async fn probe(&self) -> Result<Health> {
        let failed = |error| failed(&self.server.shown(), error);
        let lease = self.server.lease().await?;
        let begun = Instant::now();
        let version = lease.cell("SHOW server_version").await.map_err(failed)?.unwrap_or_default();
        let latency = begun.elapsed();
        let schema = &self.server.config.schema;
        let sql = format!(
            "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false), \
             coalesce(has_schema_privilege(n.oid, 'CREATE'), false), has_database_privilege(current_database(), 'TEMPORARY'), \
             pg_is_in_recovery() FROM (SELECT {} AS name) AS wanted LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.name",
            literal(schema)
        );
        let row = lease.row(&sql).await.map_err(failed)?.unwrap_or_default();
        lease.give_back();
        let told = |at: usize| row.get(at).and_then(Option::as_deref) == Some("t");
        let (there, usable, makes, temporary, standby) = (told(0), told(1), told(2), told(3), told(4));
        let (mut rights, mut notes) = (vec![], vec![]);
        let (named, user) = (quote(schema), quote(&self.server.config.user));
        match (there, usable) {
            (false, _) => notes.push(format!("there is no schema \"{schema}\": CREATE SCHEMA {named}")),
            (true, false) => notes.push(format!("to read: GRANT USAGE ON SCHEMA {named} TO {user}")),
            (true, true) => rights.push("read".to_owned()),
        }
        if usable && temporary && !standby {
            rights.push("write".to_owned());
        }
        if usable && !makes {
            notes.push(format!("to make tables: GRANT CREATE ON SCHEMA {named} TO {user}"));
        }
        if !temporary {
            let database = quote(&self.server.config.database);
            notes.push(format!("to write: GRANT TEMPORARY ON DATABASE {database} TO {user}"));
        }
        if standby {
            notes.push("it is a standby, which may only be read".to_owned());
        }
        Ok(Health { version: format!("PostgreSQL {version}"), latency, rights, notes })
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let failed = |error| failed(&self.server.shown(), error);
        let lease = self.server.lease().await?;
        let mut tables = vec![];
        for schema in Table::schemas(&lease).await.map_err(failed)? {
            for name in Table::names(&lease, &schema).await.map_err(failed)? {
                let Some(table) = Table::find(&lease, &schema, &name).await.map_err(failed)? else {
                    continue;
                };
                let columns = table.columns.iter();
                let columns = columns
                    .map(|column| (column.name.clone(), ColumnType::of(&column.kind.arrow()).to_string()));
                // How many rows there are is not cheap to know, and an estimate is not what people ask for.
                tables.push(TableInfo {
                    schema: schema.clone(),
                    name,
                    rows: None,
                    columns: columns.collect(),
                });
            }
        }
        lease.give_back();
        Ok(tables)
    }
}
