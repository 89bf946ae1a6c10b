//! What users write about connections of every such server.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Span;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Not at all.
    Disable,
    /// By TLS if the server has it; the server may be anybody.
    #[default]
    Prefer,
    /// By TLS; the server may be anybody, unless `ca_file` is given.
    Require,
    /// By TLS, to a server whose certificate is vouched for.
    VerifyCa,
    /// By TLS, to a server whose certificate is vouched for and names `host`.
    VerifyFull,
}

/// Who may use a table that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Roles that may read it: `grant.select = ["bi"]`. A right that is missing is granted before rows are written; none is taken away.
    #[serde(default)]
    pub select: Vec<String>,
}

pub(crate) fn localhost() -> String {
    "localhost".to_owned()
}

pub(crate) fn usual_port() -> u16 {
    5432
}

pub(crate) fn public() -> String {
    "public".to_owned()
}

pub(crate) fn connect_timeout() -> Span {
    Span::new(Duration::from_secs(10))
}

pub(crate) fn network_timeout() -> Span {
    Span::new(Duration::from_secs(90))
}

pub(crate) fn lock_timeout() -> Span {
    Span::new(Duration::from_secs(30))
}

pub(crate) fn parallel() -> u8 {
    4
}
