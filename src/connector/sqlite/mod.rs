//! sqlite

use std::sync::Arc;

use super::{OpenContext, connection::Connection, error::Result};

pub mod config;

/// Opens the connection.
pub fn open(_: &config::Config, _: OpenContext) -> Result<Arc<dyn Connection>> {
    todo!()
}
