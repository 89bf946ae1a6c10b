//! A folder of its own in a bucket of the servers that `scripts/services` starts.

use std::{collections::BTreeSet, sync::Arc};

use deltalake::{
    DeltaTable,
    logstore::{StorageConfig, default_logstore},
};
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder, path::Path,
    prefix::PrefixStore,
};
use vitrina::{
    connector::{ConnectionConfig, OpenContext, connection::Connection, delta::config::Config},
    model::secret::Secret,
};

/// Who keeps buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    S3,
    Azure,
}

impl Server {
    /// A setting that `scripts/services up` prints.
    pub(crate) fn setting(self, name: &str) -> String {
        let (prefix, service) = match self {
            Self::S3 => ("VITRINA_S3", "s3"),
            Self::Azure => ("VITRINA_AZURE", "azure"),
        };
        let name = format!("{prefix}_{name}");
        std::env::var(&name).unwrap_or_else(|_| {
            panic!("{name} is not set: these tests need a server: eval \"$(scripts/services up {service})\"")
        })
    }

    fn secret(self, name: &str) -> Option<Secret> {
        Some(Secret::Literal(self.setting(name)))
    }
}

/// A setting of the S3 server.
pub(crate) fn setting(name: &str) -> String {
    Server::S3.setting(name)
}

/// A connection with these settings.
pub(crate) fn open(config: &Config) -> Arc<dyn Connection> {
    open_as("place", config)
}

/// The same, of this name.
pub(crate) fn open_as(name: &str, config: &Config) -> Arc<dyn Connection> {
    let root = std::env::temp_dir();
    let context = OpenContext { name: name.to_owned(), scratch: root.join("scratch"), root };
    vitrina::connector::open(&ConnectionConfig::Delta(config.clone()), context).unwrap()
}

/// A connection to files with these settings.
pub(crate) fn open_files(config: &Config) -> Arc<dyn Connection> {
    let root = std::env::temp_dir();
    let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
    vitrina::connector::open(&ConnectionConfig::Files(config.clone()), context).unwrap()
}

/// A folder in a bucket, of a name that no other test has.
pub(crate) struct Place {
    server: Server,
    folder: String,
}

impl Place {
    /// On S3.
    pub(crate) fn new() -> Self {
        Self::on(Server::S3)
    }

    pub(crate) fn on(server: Server) -> Self {
        Self { server, folder: format!("склад {}", uuid::Uuid::new_v4().simple()) }
    }

    /// The folder, as the key that may do everything.
    pub(crate) fn config(&self) -> Config {
        let server = self.server;
        let common =
            Config { endpoint: Some(server.setting("ENDPOINT")), allow_http: true, ..Config::default() };
        match server {
            Server::S3 => Config {
                path: format!("s3://{}/{}", server.setting("BUCKET"), self.folder),
                access_key_id: server.secret("ACCESS_KEY_ID"),
                secret_access_key: server.secret("SECRET_ACCESS_KEY"),
                ..common
            },
            Server::Azure => Config {
                path: format!("az://{}/{}", server.setting("CONTAINER"), self.folder),
                account: Some(server.setting("ACCOUNT")),
                account_key: server.secret("KEY"),
                ..common
            },
        }
    }

    /// The same as the key of S3 that may only read.
    pub(crate) fn reader(&self) -> Config {
        Config {
            access_key_id: self.server.secret("READER_ACCESS_KEY_ID"),
            secret_access_key: self.server.secret("READER_SECRET_ACCESS_KEY"),
            ..self.config()
        }
    }

    pub(crate) fn open(&self) -> Arc<dyn Connection> {
        open(&self.config())
    }

    /// The same folder, of files.
    pub(crate) fn open_files(&self) -> Arc<dyn Connection> {
        open_files(&self.config())
    }

    /// The folder, as a stranger's program sees it.
    pub(crate) fn store(&self, inside: &str) -> Arc<dyn ObjectStore> {
        let server = self.server;
        let bucket: Arc<dyn ObjectStore> = match server {
            Server::S3 => Arc::new(
                AmazonS3Builder::new()
                    .with_bucket_name(server.setting("BUCKET"))
                    .with_endpoint(server.setting("ENDPOINT"))
                    .with_allow_http(true)
                    .with_access_key_id(server.setting("ACCESS_KEY_ID"))
                    .with_secret_access_key(server.setting("SECRET_ACCESS_KEY"))
                    .build()
                    .unwrap(),
            ),
            Server::Azure => Arc::new(
                MicrosoftAzureBuilder::new()
                    .with_container_name(server.setting("CONTAINER"))
                    // Where it is, its variable AZURITE_BLOB_STORAGE_URL tells.
                    .with_use_emulator(true)
                    .with_account(server.setting("ACCOUNT"))
                    .with_access_key(server.setting("KEY"))
                    .build()
                    .unwrap(),
            ),
        };
        let path = Path::parse(format!("{}/{inside}", self.folder)).unwrap();
        Arc::new(PrefixStore::new(bucket, path))
    }

    /// A table, as a stranger's program opens it, nothing loaded.
    pub(crate) fn stranger(&self, table: &str) -> DeltaTable {
        let store = self.store(table);
        let url = "s3://stranger/".parse().unwrap();
        DeltaTable::new(default_logstore(store.clone(), store, &url, &StorageConfig::default()))
    }

    /// Everything below a folder, sorted.
    pub(crate) async fn objects(&self, inside: &str) -> Vec<String> {
        let found = self.store(inside).list(None).map_ok(|object| object.location.to_string());
        let mut found: Vec<String> = found.try_collect().await.unwrap();
        found.sort();
        found
    }

    /// The tables: folders with a log.
    pub(crate) async fn tables(&self) -> BTreeSet<String> {
        let all = self.objects("").await;
        all.iter()
            .filter_map(|path| path.split_once("/_delta_log/"))
            .map(|(table, _)| table.to_owned())
            .collect()
    }

    /// Removes everything below a folder.
    pub(crate) async fn remove(&self, inside: &str) {
        let store = self.store(inside);
        for object in self.objects(inside).await {
            store.delete(&Path::parse(object).unwrap()).await.unwrap();
        }
    }
}
