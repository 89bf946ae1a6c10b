//! What users write about connections of every such server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
