//! SQLite files: tables of others are read while they write, tables of ours are logs, targets and records in one.

mod bind;
mod commit;
mod cursor;
mod database;
mod error;
mod name;
mod pages;
mod plan;
mod range;
mod record;
mod selection;
mod sink;
mod source;
mod stage;
mod table;
mod target;
mod types;
mod witness;

pub mod config;

use std::sync::Arc;

use super::{OpenContext, connection::Connection, error::Result};

/// Opens the connection.
pub fn open(_: &config::Config, _: OpenContext) -> Result<Arc<dyn Connection>> {
    todo!()
}
