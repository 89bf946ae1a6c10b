//! How a server is reached, whatever its kind.

use super::config::SslMode;
use crate::model::{secret::Secret, time::Span};

/// A connection's settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    /// The schema of tables that are named without one.
    pub(crate) schema: String,
    pub(crate) sslmode: SslMode,
    pub(crate) ca_file: Option<String>,
    pub(crate) cert_file: Option<String>,
    pub(crate) key_file: Option<String>,
    pub(crate) connect_timeout: Span,
    /// How long a line may be silent before it counts as cut.
    pub(crate) network_timeout: Span,
    pub(crate) lock_timeout: Span,
    pub(crate) statement_timeout: Option<Span>,
    /// Sessions that read one whole table at once.
    pub(crate) parallel: u8,
}
