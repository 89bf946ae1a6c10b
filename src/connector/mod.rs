//! Places where rows come from and go to: the three traits, and the one registry of connectors.
//!
//! Invariant: only the `match` in [`open`] and in [`ConnectionConfig`] list the connectors.
//! Invariant: a connector imports only `model`, `failpoint`, the traits and what it shares with others (`cells`, `cursor`, `feed`, `filter`, `fitting`, `pg`,
//! `objects`, `one_schema`, `parquet_file`, `durable`, `records`, `scan`, `sent`, `store_said`, `textual`); never another connector.

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod apart;
mod cellless;
pub mod cells;
pub mod clickhouse;
pub mod connection;
pub mod cursor;
pub mod delta;
mod durable;
pub mod error;
pub mod executor;
pub mod feed;
pub mod files;
pub mod filter;
pub mod fitting;
pub mod generate;
pub mod greenplum;
pub mod kafka;
pub mod memory;
pub mod misfit;
pub mod objects;
mod one_schema;
mod parquet_file;
pub mod pg;
pub mod postgres;
pub mod records;
pub mod rights;
pub mod scan;
pub mod secret;
pub mod sent;
pub mod sink;
pub mod source;
pub mod sqlite;
mod store_said;
mod textual;

use connection::Connection;
use error::Result;

/// A named place where rows live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ConnectionConfig {
    /// SQLite database files.
    Sqlite(sqlite::config::Config),
    /// A folder of Delta tables.
    Delta(delta::config::Config),
    /// Folders of Parquet, CSV and JSON Lines files.
    Files(files::config::Config),
    /// An Apache Kafka cluster: its topics are logs, appended to and read by offset.
    Kafka(kafka::config::Config),
    /// A PostgreSQL database.
    Postgres(postgres::config::Config),
    /// A Greenplum database.
    Greenplum(greenplum::config::Config),
    /// A ClickHouse server.
    Clickhouse(clickhouse::config::Config),
    /// Tables in memory, gone with the process: for tests.
    #[schemars(skip)]
    Memory(memory::Config),
}

/// What every connection is opened with.
#[derive(Debug, Clone)]
pub struct OpenContext {
    /// The connection's name, for messages.
    pub name: String,
    /// The project's folder: relative paths begin here.
    pub root: PathBuf,
    /// Where temporary data may lie.
    pub scratch: PathBuf,
}

/// Opens a connection. Cheap: nothing is connected to before it is needed.
pub fn open(config: &ConnectionConfig, context: OpenContext) -> Result<Arc<dyn Connection>> {
    Ok(match config {
        ConnectionConfig::Sqlite(config) => sqlite::open(config, context)?,
        ConnectionConfig::Delta(config) => delta::open(config, context)?,
        ConnectionConfig::Files(config) => files::open(config, context)?,
        ConnectionConfig::Kafka(config) => kafka::open(config, context)?,
        ConnectionConfig::Postgres(config) => postgres::open(config, context)?,
        ConnectionConfig::Greenplum(config) => greenplum::open(config, context)?,
        ConnectionConfig::Clickhouse(config) => clickhouse::open(config, context)?,
        ConnectionConfig::Memory(config) => memory::open(config, context),
    })
}

impl ConnectionConfig {
    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Delta(_) => "delta",
            Self::Files(_) => "files",
            Self::Kafka(_) => "kafka",
            Self::Postgres(_) => "postgres",
            Self::Greenplum(_) => "greenplum",
            Self::Clickhouse(_) => "clickhouse",
            Self::Memory(_) => "memory",
        }
    }

    /// What a source on it can promise.
    pub fn source_facts(&self, spec: &source::SourceSpec) -> crate::model::delivery::SourceFacts {
        match self {
            Self::Sqlite(config) => config.source_facts(spec),
            Self::Delta(_) => delta::config::source_facts(spec),
            Self::Files(_) => files::config::source_facts(spec),
            Self::Kafka(config) => config.source_facts(spec),
            Self::Postgres(config) => config.source_facts(spec),
            Self::Greenplum(config) => config.source_facts(spec),
            Self::Clickhouse(config) => config.source_facts(spec),
            Self::Memory(config) => config.source_facts(spec),
        }
    }

    /// What a sink on it can promise.
    pub fn sink_facts(&self, spec: &sink::SinkSpec) -> crate::model::delivery::SinkFacts {
        match self {
            Self::Sqlite(config) => config.sink_facts(spec),
            Self::Delta(_) => delta::config::sink_facts(spec),
            Self::Files(_) => files::config::sink_facts(spec),
            Self::Kafka(config) => config.sink_facts(spec),
            Self::Postgres(config) => config.sink_facts(spec),
            Self::Greenplum(config) => config.sink_facts(spec),
            Self::Clickhouse(config) => config.sink_facts(spec),
            Self::Memory(config) => config.sink_facts(spec),
        }
    }

    /// The schemas (database files, folders) that tables may be in.
    pub fn schemas(&self) -> Schemas {
        match self {
            Self::Sqlite(config) => Schemas::Known(config.schemas()),
            Self::Delta(_) | Self::Files(_) | Self::Kafka(_) | Self::Memory(_) => Schemas::Known(vec![]),
            Self::Postgres(config) => Schemas::Any { default: config.schema.clone() },
            Self::Greenplum(config) => Schemas::Any { default: config.schema.clone() },
            Self::Clickhouse(config) => Schemas::Any { default: config.database.clone() },
        }
    }

    /// What makes an index that begins with a column, where the place has such; `text` = the column is one.
    pub fn create_index(
        &self,
        schema: Option<&str>,
        table: &str,
        column: &str,
        text: bool,
    ) -> Option<String> {
        match self {
            Self::Sqlite(config) => Some(config.create_index(table, column)),
            Self::Postgres(config) => Some(config.create_index(schema, table, column, text)),
            Self::Clickhouse(config) => Some(config.create_index(schema, table, column)),
            Self::Delta(_) | Self::Files(_) | Self::Kafka(_) | Self::Greenplum(_) | Self::Memory(_) => None,
        }
    }

    /// Whether it runs SQL of its own.
    pub fn runs_sql(&self) -> bool {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) | Self::Greenplum(_) | Self::Clickhouse(_) => true,
            Self::Delta(_) | Self::Files(_) | Self::Kafka(_) | Self::Memory(_) => false,
        }
    }

    /// Whether its tables are logs: appended only, read by offset.
    pub fn is_log(&self) -> bool {
        match self {
            Self::Sqlite(config) => config.log,
            Self::Memory(config) => config.log,
            Self::Kafka(_) => true,
            Self::Delta(_)
            | Self::Files(_)
            | Self::Postgres(_)
            | Self::Greenplum(_)
            | Self::Clickhouse(_) => false,
        }
    }
}

/// The schemas of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schemas {
    /// These; empty where there is only one, which has no name.
    Known(Vec<String>),
    /// Any: only the place knows.
    Any {
        /// The one that a table is in when none is named.
        default: String,
    },
}

impl Schemas {
    /// The names, where they are known.
    pub fn known(self) -> Option<Vec<String>> {
        match self {
            Self::Known(names) => Some(names),
            Self::Any { .. } => None,
        }
    }

    /// The schema that a table is in; `None` where there is only one.
    pub fn of(self, named: Option<&str>) -> Option<String> {
        let default = match self {
            Self::Known(names) => names.into_iter().next()?,
            Self::Any { default } => default,
        };
        Some(named.map_or(default, str::to_owned))
    }
}
