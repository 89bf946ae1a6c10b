//! What a server says of itself, for people.

use std::{sync::Arc, time::Instant};

use chrono::DateTime;

use super::{
    client::Server,
    error::failed,
    name::{literal, quote},
    table::Table,
    target::leading,
};
use crate::{
    connector::{
        connection::{Health, TableInfo},
        error::Result,
    },
    model::column::ColumnType,
};

/// How the server is, and which rights are held in the connection's schema.
pub(crate) async fn health(server: &Arc<Server>) -> Result<Health> {
    let failed = |error| failed(&server.shown(), error);
    let lease = server.lease().await?;
    let begun = Instant::now();
    lease.cell("SELECT 1").await.map_err(failed)?;
    let latency = begun.elapsed();
    let schema = &server.config.schema;
    let sql = format!(
        "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false), \
         coalesce(has_schema_privilege(n.oid, 'CREATE'), false), has_database_privilege(current_database(), 'TEMPORARY'), \
         pg_is_in_recovery() FROM (SELECT {}::name AS name) AS wanted LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.name",
        literal(schema)
    );
    let row = lease.row(&sql).await.map_err(failed)?.unwrap_or_default();
    let version = lease.product.to_string();
    let clock =
        lease.cell("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").await.map_err(failed)?;
    let clock = clock.and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?));
    lease.give_back();
    let told = |at: usize| row.get(at).and_then(Option::as_deref) == Some("t");
    let (there, usable, makes, temporary, standby) = (told(0), told(1), told(2), told(3), told(4));
    let (mut rights, mut notes) = (vec![], vec![]);
    let (named, user) = (quote(schema), quote(&server.config.user));
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
        let database = quote(&server.config.database);
        notes.push(format!("to write: GRANT TEMPORARY ON DATABASE {database} TO {user}"));
    }
    if standby {
        notes.push("it is a standby, which may only be read".to_owned());
    }
    Ok(Health { version, latency, clock, rights, notes })
}

/// The columns of a table's primary key.
pub(crate) async fn key(server: &Arc<Server>, schema: &str, table: &str) -> Result<Vec<String>> {
    let lease = server.lease().await?;
    let found = Table::find(&lease, schema, table).await;
    let found = found.map_err(|error| failed(&server.table_shown(schema, table), error))?;
    lease.give_back();
    let columns = found.into_iter().flat_map(|table| table.columns);
    Ok(columns.filter(|column| column.primary).map(|column| column.name).collect())
}

/// The columns that lead an index by which rows are found in the order of cursors: that of bytes, for texts. `None` = it is a view.
pub(crate) async fn indexed(server: &Arc<Server>, schema: &str, table: &str) -> Result<Option<Vec<String>>> {
    let failed = |error| failed(&server.table_shown(schema, table), error);
    let lease = server.lease().await?;
    let found = Table::find(&lease, schema, table).await.map_err(failed)?;
    let Some(table) = found.filter(|table| table.row_place.is_some() || table.takes_copy) else {
        lease.give_back();
        return Ok(None);
    };
    let columns = leading(&lease, &table).await.map_err(failed)?;
    lease.give_back();
    Ok(Some(columns))
}

/// Every table of every schema that may be used.
pub(crate) async fn tables(server: &Arc<Server>) -> Result<Vec<TableInfo>> {
    let failed = |error| failed(&server.shown(), error);
    let lease = server.lease().await?;
    let mut tables = vec![];
    for schema in Table::schemas(&lease).await.map_err(failed)? {
        for name in Table::names(&lease, &schema).await.map_err(failed)? {
            let Some(table) = Table::find(&lease, &schema, &name).await.map_err(failed)? else {
                continue;
            };
            let columns = table.columns.iter();
            let columns =
                columns.map(|column| (column.name.clone(), ColumnType::of(&column.kind.arrow()).to_string()));
            // How many rows there are is not cheap to know, and an estimate is not what people ask for.
            tables.push(TableInfo { schema: schema.clone(), name, rows: None, columns: columns.collect() });
        }
    }
    lease.give_back();
    Ok(tables)
}
