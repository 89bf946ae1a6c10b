//! A named place where rows live.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::CatalogProvider;

use super::{
    error::Result,
    rights::{Right, Use},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};

/// A kind of place, opened once per run or daemon: pools, tables for the SQL engine, a probe.
///
/// Opening connects to nothing: a place that is down fails in the call that needs it.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Something to read from. Fails where the specification fits no table of this place.
    async fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>>;

    /// Something to write into. Touches nothing until [`Sink::claim`].
    async fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>>;

    /// The tables of this place for the SQL engine, by schema; live: tables made later are found, schemas are
    /// read when a table is asked for. Tables of our own book-keeping (`_vitrina…`) are not in it.
    fn catalog(&self) -> Arc<dyn CatalogProvider>;

    /// The schema of `catalog()` that `connection.table` means.
    fn default_schema(&self) -> String;

    /// The columns of a table's primary key, where the place has such; none of what is not there.
    async fn key(&self, _schema: &str, _table: &str) -> Result<Vec<String>> {
        Ok(vec![])
    }

    /// The columns by which rows of a table are found without looking through all of them: each leads an index. `None` = the place has no indexes, or
    /// reads its tables well without.
    async fn indexed(&self, _schema: &str, _table: &str) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    /// The rights that these need, held and missing, where they can be found out: by questions that change nothing. None where the place has no rights of
    /// its own.
    async fn rights(&self, _uses: &[Use]) -> Result<Vec<Right>> {
        Ok(vec![])
    }

    /// Looks whether the place is there and what may be done in it. Writes nothing.
    async fn probe(&self) -> Result<Health>;

    /// Every table, for people: name, rows where that is cheap to know, columns.
    async fn tables(&self) -> Result<Vec<TableInfo>>;
}

/// How a place is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// What answers: `SQLite 3.50.2`.
    pub version: String,
    /// How long the answer took.
    pub latency: Duration,
    /// What time it is there, asked for last of all; `None` where the place has no clock of its own or does not tell.
    pub clock: Option<DateTime<Utc>>,
    /// What may be done there at all: `read`, `write`. What the project needs is asked for by [`Connection::rights`].
    pub rights: Vec<String>,
    /// Anything that a user should know: a file that does not exist yet, a missing right and how to mend it.
    pub notes: Vec<String>,
}

/// A table, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableInfo {
    /// The schema it is in.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows, where that is cheap to know.
    pub rows: Option<u64>,
    /// `(name, type)` in order, types as contracts spell them.
    pub columns: Vec<(String, String)>,
}
