//! The client of a bucket, made of what users write.

use std::{sync::Arc, time::Duration};

use object_store::{
    Certificate, ClientOptions, ObjectStore, Result, RetryConfig,
    aws::AmazonS3Builder,
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::GoogleCloudStorageBuilder,
    path::Path,
    prefix::PrefixStore,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    super::{
        error::{Error, ErrorKind, Result as OurResult},
        secret,
    },
    Settings,
    address::{Kind, s3_endpoint},
    config::{Addressing, Config},
    said::wrapped,
};
use crate::model::{secret::Secret, time::Span};

/// How long a connection is kept that nobody uses: less than the servers keep theirs, so that no request goes into one that is just being closed. Servers on Node keep 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take unless told.
const REQUEST: Duration = Duration::from_secs(30);
/// A request that failed for a moment is sent again so often by the client itself; what fails longer is for the run to try again.
const RETRIES: usize = 4;
/// No request is sent again after this long.
const RETRYING: Duration = Duration::from_secs(30);

/// Reads the secrets; connects to nothing. The store begins in the connection's folder.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    let parts = Parts::read(settings).await.map_err(wrapped)?;
    let built = match settings.address.kind {
        Kind::S3 => parts.s3(),
        Kind::Gs => parts.gs(),
        Kind::Azure => parts.azure(),
    };
    // What the builder says may quote what it was given.
    let bucket = built.map_err(|_| {
        let message = format!("connection `{}`: no client can be made of its keys", settings.connection);
        wrapped(Error::new(ErrorKind::Denied, message).hint("check the form of its keys and of `endpoint`"))
    })?;
    let prefix = Path::parse(&settings.address.prefix)?;
    Ok(Arc::new(PrefixStore::new(bucket, prefix)))
}

/// What a client is made of.
struct Parts<'a> {
    settings: &'a Settings,
    client: ClientOptions,
    keys: Keys,
}

/// The secrets of a connection.
#[derive(Default)]
struct Keys {
    access_key_id: Option<SecretString>,
    secret_access_key: Option<SecretString>,
    session_token: Option<SecretString>,
    service_account: Option<SecretString>,
    account_key: Option<SecretString>,
    sas: Option<SecretString>,
}

fn exposed(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned())
}

impl<'a> Parts<'a> {
    async fn read(settings: &'a Settings) -> OurResult<Self> {
        let config = &settings.config;
        let read = async |secret: Option<&Secret>, key: &str| -> OurResult<Option<SecretString>> {
            let Some(secret) = secret else { return Ok(None) };
            let what = format!("`{key}` of connection `{}`", settings.connection);
            secret::read(secret, &what, &settings.project).await.map(Some)
        };
        let keys = Keys {
            access_key_id: read(config.access_key_id.as_ref(), "access_key_id").await?,
            secret_access_key: read(config.secret_access_key.as_ref(), "secret_access_key").await?,
            session_token: read(config.session_token.as_ref(), "session_token").await?,
            service_account: read(config.service_account.as_ref(), "service_account").await?,
            account_key: read(config.account_key.as_ref(), "account_key").await?,
            sas: read(config.sas.as_ref(), "sas").await?,
        };
        let client = client(settings, config)?;
        Ok(Self { settings, client, keys })
    }

    fn s3(self) -> Result<Arc<dyn ObjectStore>> {
        let (config, bucket) = (&self.settings.config, &self.settings.address.bucket);
        let addressing = config.addressing.unwrap_or_default();
        let virtual_host = addressing == Addressing::VirtualHost;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(config.region.as_deref().unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(virtual_host)
            .with_client_options(self.client)
            .with_retry(retries());
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(s3_endpoint(endpoint, bucket, addressing));
        }
        if let (Some(id), Some(key)) =
            (exposed(self.keys.access_key_id.as_ref()), exposed(self.keys.secret_access_key.as_ref()))
        {
            builder = builder.with_access_key_id(id).with_secret_access_key(key);
        }
        if let Some(token) = exposed(self.keys.session_token.as_ref()) {
            builder = builder.with_token(token);
        }
        Ok(Arc::new(builder.build()?))
    }

    fn gs(self) -> Result<Arc<dyn ObjectStore>> {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&self.settings.address.bucket)
            .with_client_options(self.client)
            .with_retry(retries());
        if let Some(endpoint) = &self.settings.config.endpoint {
            builder = builder.with_base_url(endpoint.trim_end_matches('/'));
        }
        if let Some(account) = exposed(self.keys.service_account.as_ref()) {
            builder = builder.with_service_account_key(account);
        }
        Ok(Arc::new(builder.build()?))
    }

    fn azure(self) -> Result<Arc<dyn ObjectStore>> {
        let config = &self.settings.config;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_container_name(&self.settings.address.bucket)
            .with_account(config.account.as_deref().unwrap_or_default())
            .with_client_options(self.client)
            .with_retry(retries());
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        if let Some(key) = exposed(self.keys.account_key.as_ref()) {
            builder = builder.with_access_key(key);
        }
        if let Some(sas) = exposed(self.keys.sas.as_ref()) {
            builder = builder.with_config(AzureConfigKey::SasKey, sas.trim_start_matches('?'));
        }
        Ok(Arc::new(builder.build()?))
    }
}

fn client(settings: &Settings, config: &Config) -> OurResult<ClientOptions> {
    let timeout = config.request_timeout.map_or(REQUEST, Span::get);
    let mut client = ClientOptions::new()
        .with_allow_http(config.allow_http)
        .with_pool_idle_timeout(IDLE)
        .with_connect_timeout(CONNECT.min(timeout))
        .with_timeout(timeout);
    let Some(file) = &config.ca_file else { return Ok(client) };
    let what = || format!("connection `{}`: its `ca_file` cannot be read", settings.connection);
    let text = std::fs::read(settings.project.join(file))
        .map_err(|error| Error::new(ErrorKind::of_io(&error), what()).caused_by(error))?;
    let certificates = Certificate::from_pem_bundle(&text)
        .map_err(|_| Error::new(ErrorKind::BadData, what()).hint("write certificates as PEM there"))?;
    for certificate in certificates {
        client = client.with_root_certificate(certificate);
    }
    Ok(client)
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: RETRYING, ..RetryConfig::default() }
}
