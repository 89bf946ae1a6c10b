//! SQLite files: tables of others are read while they write, tables of ours are logs, targets and records in one.

mod bind;
mod catalog;
mod commit;
mod cursor;
mod database;
mod dialect;
mod error;
mod executor;
mod filter;
mod name;
mod pages;
mod plan;
mod range;
mod record;
mod scan;
mod selection;
mod sink;
mod source;
mod stage;
mod table;
mod target;
mod types;
mod window;
mod witness;

pub mod config;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;
use indexmap::IndexMap;
use rusqlite::OpenFlags;

use self::{
    catalog::Catalog,
    database::{Database, blocking},
    error::failed,
    name::{OFFSET, check_table, nearest, quote},
    sink::TableSink,
    source::TableSource,
    table::Table,
};
use super::{
    OpenContext,
    connection::{Connection, Health, TableInfo},
    error::{Error, ErrorKind, Result},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};
use crate::model::{column::ColumnType, delivery::Mode};

/// The schema of a connection of one file.
const MAIN: &str = "main";

/// Files up to this size have their rows counted for people.
const COUNTED_BYTES: u64 = 32 << 20;

/// Opens the connection.
pub fn open(config: &config::Config, context: OpenContext) -> Result<Arc<dyn Connection>> {
    let files: Vec<(&str, &String)> = match (&config.path, config.databases.is_empty()) {
        (Some(path), true) => vec![(MAIN, path)],
        (None, false) => config.databases.iter().map(|(schema, path)| (schema.as_str(), path)).collect(),
        _ => {
            let message = format!("connection \"{}\" needs either `path` or `databases`", context.name);
            return Err(Error::new(ErrorKind::Unsupported, message).hint("give exactly one of the two"));
        }
    };
    let database = |(schema, path): (&str, &String)| {
        let database = Database::new(&context.name, schema, path, &context.root, &context.scratch);
        (schema.to_owned(), database)
    };
    let databases = files.into_iter().map(database).collect();
    Ok(Arc::new(Sqlite { name: context.name.clone(), log: config.log, databases }))
}

struct Sqlite {
    name: String,
    log: bool,
    databases: IndexMap<String, Arc<Database>>,
}

impl Sqlite {
    fn database(&self, schema: Option<&str>) -> Result<Arc<Database>> {
        let found = match schema {
            Some(schema) => self.databases.get(schema),
            None => self.databases.values().next(),
        };
        found.cloned().ok_or_else(|| {
            let schema = schema.unwrap_or_default();
            let message = format!("connection \"{}\" has no schema \"{schema}\"", self.name);
            let error = Error::new(ErrorKind::NotFound, message);
            match nearest(schema, self.databases.keys().map(String::as_str)) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }
}

#[async_trait]
impl Connection for Sqlite {
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        check_table(&spec.table)?;
        let database = self.database(spec.schema.as_deref())?;
        if self.log && spec.cursor.is_some() {
            let message = format!("{} is a log: it is read by its offset", database.table_shown(&spec.table));
            return Err(Error::new(ErrorKind::Unsupported, message).hint("take `cursor` off"));
        }
        Ok(Arc::new(TableSource::new(database, spec.clone(), self.log)))
    }

    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>> {
        check_table(&spec.table)?;
        let database = self.database(spec.schema.as_deref())?;
        if self.log && spec.mode != Mode::Append {
            let message = format!("{}: a log is only appended to", database.table_shown(&spec.table));
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(Arc::new(TableSink::new(database, spec.clone(), self.log)))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::new(Catalog::new(self.databases.clone(), self.log))
    }

    fn default_schema(&self) -> String {
        self.databases.keys().next().cloned().unwrap_or_default()
    }

    async fn key(&self, schema: &str, table: &str) -> Result<Vec<String>> {
        let (database, table) = (self.database(Some(schema))?, table.to_owned());
        blocking(move || {
            let lease = database.reader()?;
            let found = Table::find(&lease, &table);
            let found = found.map_err(|error| failed(&database.table_shown(&table), error))?;
            Ok(found.map(|table| table.primary_key()).unwrap_or_default())
        })
        .await
    }

    async fn indexed(&self, schema: &str, table: &str) -> Result<Option<Vec<String>>> {
        let (database, table) = (self.database(Some(schema))?, table.to_owned());
        blocking(move || {
            let lease = database.reader()?;
            let failed = |error| failed(&database.table_shown(&table), error);
            let Some(found) = Table::find(&lease, &table).map_err(failed)? else { return Ok(None) };
            found.indexed(&lease).map_err(failed)
        })
        .await
    }

    async fn probe(&self) -> Result<Health> {
        let databases: Vec<_> = self.databases.values().cloned().collect();
        blocking(move || {
            let begun = Instant::now();
            let mut rights = vec!["read".to_owned(), "write".to_owned()];
            let mut notes = vec![];
            for database in databases {
                if !database.exists() {
                    notes.push(format!(
                        "{} does not exist yet; it is made when first written to",
                        database.shown()
                    ));
                    continue;
                }
                let lease = database.reader()?;
                let look =
                    lease.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
                look.map_err(|error| failed(&database.shown(), error))?;
                if may_only_read(&database) {
                    rights.truncate(1);
                    notes.push(format!("{} may only be read", database.shown()));
                }
            }
            let version = format!("SQLite {}", rusqlite::version());
            Ok(Health { version, latency: begun.elapsed(), clock: None, rights, notes })
        })
        .await
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let databases: Vec<_> = self.databases.values().cloned().collect();
        let hidden = self.log.then_some(OFFSET);
        blocking(move || {
            let mut tables = vec![];
            for database in databases.iter().filter(|database| database.exists()) {
                tables.extend(list(database, hidden)?);
            }
            Ok(tables)
        })
        .await
    }
}

fn list(database: &Arc<Database>, hidden: Option<&str>) -> Result<Vec<TableInfo>> {
    let lease = database.reader()?;
    let small = std::fs::metadata(&database.path).is_ok_and(|metadata| metadata.len() <= COUNTED_BYTES);
    let mut tables = vec![];
    let mut query = || {
        for name in Table::names(&lease)? {
            let Some(table) = Table::find(&lease, &name)? else {
                continue;
            };
            let count = format!("SELECT count(*) FROM {}", quote(&name));
            let rows = small.then(|| lease.query_row(&count, [], |row| row.get::<_, i64>(0))).transpose()?;
            let columns = table.schema_without(hidden);
            let columns = columns
                .fields()
                .iter()
                .map(|field| (field.name().clone(), ColumnType::of(field.data_type()).to_string()));
            tables.push(TableInfo {
                schema: database.schema.clone(),
                rows: rows.map(i64::unsigned_abs),
                columns: columns.collect(),
                name,
            });
        }
        Ok(())
    };
    query().map_err(|error| failed(&database.shown(), error))?;
    Ok(tables)
}

/// Looks without writing: opening for writing falls back to reading where it must.
fn may_only_read(database: &Database) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = rusqlite::Connection::open_with_flags(&database.path, flags);
    opened.and_then(|connection| connection.is_readonly("main")).unwrap_or(true)
}
