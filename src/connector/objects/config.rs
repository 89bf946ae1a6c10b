//! What users write about a folder that may be one of an object store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address;
use crate::{
    connector::misfit::Misfit,
    model::{secret::Secret, time::Span},
};

/// A folder, on the local file system or in an object store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder, relative to the project's, or a place in an object store: `"s3://bucket/prefix"`, `"gs://bucket/prefix"` or
    /// `"az://container/prefix"`. What lies in it is the kind's own. Made when first written to; a bucket must be there.
    pub path: String,
    /// Object stores: the address of the server; the provider's own unless told. `"https://minio.example.internal:9000"`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Object stores: whether an `endpoint` may be spoken to without TLS (`http://`).
    #[serde(default)]
    pub allow_http: bool,
    /// Object stores: certificates that vouch for the server (PEM), relative to the project's folder; those of the system unless told.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// Object stores: how long one request may take; `"30s"` unless told.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// S3: the bucket's region; `"us-east-1"` unless told.
    #[serde(default)]
    pub region: Option<String>,
    /// S3: how a request names the bucket; `"path"` unless told.
    #[serde(default)]
    pub addressing: Option<Addressing>,
    /// S3: the key's name: `access_key_id = { env = "AWS_ACCESS_KEY_ID" }`. Without one the role of the machine or container is used.
    #[serde(default)]
    pub access_key_id: Option<Secret>,
    /// S3: the key: `secret_access_key = { env = "AWS_SECRET_ACCESS_KEY" }`.
    #[serde(default)]
    pub secret_access_key: Option<Secret>,
    /// S3: the token that goes with a key for a limited time.
    #[serde(default)]
    pub session_token: Option<Secret>,
    /// Google Cloud Storage: a service account's key as JSON: `service_account = { file = "key.json" }`. Without one the account of the machine
    /// is used.
    #[serde(default)]
    pub service_account: Option<Secret>,
    /// Azure: the storage account.
    #[serde(default)]
    pub account: Option<String>,
    /// Azure: a key of the account. Without `account_key` and `sas` the identity of the machine is used.
    #[serde(default)]
    pub account_key: Option<Secret>,
    /// Azure: a shared access signature in place of a key.
    #[serde(default)]
    pub sas: Option<Secret>,
}

/// How a request names the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// In the path: `https://host/bucket/…`. Every server knows it.
    #[default]
    Path,
    /// In the host: `https://bucket.host/…`.
    VirtualHost,
}

impl Config {
    /// What of it cannot be.
    pub fn misfits(&self) -> Vec<Misfit> {
        address::misfits(self)
    }
}
