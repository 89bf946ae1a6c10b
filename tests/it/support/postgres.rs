//! A schema of its own on the server that `scripts/services` starts, or on one of a test's own.

use std::{path::PathBuf, sync::Arc};

use tokio_postgres::{Client, NoTls};
use vitrina::{
    connector::{
        ConnectionConfig, OpenContext,
        connection::Connection,
        greenplum,
        postgres::config::{Config, SslMode},
    },
    model::secret::Secret,
};

/// A setting that `scripts/services up` prints.
pub(crate) fn setting(name: &str) -> String {
    let name = format!("VITRINA_POSTGRES_{name}");
    std::env::var(&name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need a server: eval \"$(scripts/services up postgres)\"")
    })
}

/// A file of the server's certificates.
pub(crate) fn certificate(name: &str) -> String {
    PathBuf::from(setting("TLS")).join(name).to_str().unwrap().to_owned()
}

/// The server, as its own user, without TLS.
pub(crate) fn config() -> Config {
    Config {
        host: setting("HOST"),
        port: setting("PORT").parse().unwrap(),
        password: Some(Secret::Literal(setting("PASSWORD"))),
        sslmode: SslMode::Disable,
        ..Config::new(&setting("DATABASE"), &setting("USER"))
    }
}

/// A connection with these settings.
pub(crate) fn open(config: Config) -> Arc<dyn Connection> {
    try_open(config).unwrap()
}

/// The same server behind a connection of kind `greenplum`.
pub(crate) fn open_greenplum(config: Config) -> Arc<dyn Connection> {
    try_open_kind(ConnectionConfig::Greenplum(as_greenplum(config))).unwrap()
}

/// The same settings of a connection of kind `greenplum`.
pub(crate) fn as_greenplum(config: Config) -> greenplum::config::Config {
    greenplum::config::Config {
        host: config.host,
        port: config.port,
        password: config.password,
        schema: config.schema,
        sslmode: config.sslmode,
        ..greenplum::config::Config::new(&config.database, &config.user)
    }
}

/// A connection with settings that may be refused.
pub(crate) fn try_open(config: Config) -> vitrina::connector::error::Result<Arc<dyn Connection>> {
    try_open_kind(ConnectionConfig::Postgres(config))
}

fn try_open_kind(config: ConnectionConfig) -> vitrina::connector::error::Result<Arc<dyn Connection>> {
    let root = std::env::temp_dir();
    let context = OpenContext { name: "place".to_owned(), scratch: root.join("scratch"), root };
    vitrina::connector::open(&config, context)
}

/// Another program's session on the server of scripts/services.
pub(crate) async fn session(user: &str) -> Client {
    session_on(&config(), user).await
}

async fn session_on(server: &Config, user: &str) -> Client {
    let mut settings = tokio_postgres::Config::new();
    settings.host(&server.host).port(server.port).user(user).dbname(&server.database);
    if let Some(Secret::Literal(password)) = &server.password {
        settings.password(password);
    }
    let (client, connection) = settings.connect(NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

/// A schema of its own, gone when it is dropped.
pub(crate) struct Place {
    pub(crate) schema: String,
    server: Box<Config>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::on(config())
    }

    /// A schema on another server.
    pub(crate) fn on(server: Config) -> Self {
        let schema = format!("t \"{}\"", uuid::Uuid::new_v4().simple());
        let place = Self { schema, server: Box::new(server) };
        place.apart(format!("CREATE SCHEMA {}", quote(&place.schema)));
        place
    }

    pub(crate) fn config(&self) -> Config {
        Config { schema: self.schema.clone(), ..Config::clone(&self.server) }
    }

    pub(crate) fn open(&self) -> Arc<dyn Connection> {
        open(self.config())
    }

    /// The same place behind a connection of kind `greenplum`.
    pub(crate) fn open_greenplum(&self) -> Arc<dyn Connection> {
        open_greenplum(self.config())
    }

    /// Another program's session, whose tables are those of this schema.
    pub(crate) async fn stranger(&self) -> Client {
        let client = session_on(&self.server, &self.server.user).await;
        client
            .batch_execute(&format!("SET search_path = {}; SET TimeZone = 'UTC'", quote(&self.schema)))
            .await
            .unwrap();
        client
    }

    /// Runs statements as another program.
    pub(crate) async fn run(&self, sql: &str) {
        self.stranger().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Where nobody may wait: on a thread of its own.
    fn apart(&self, sql: String) {
        let server = self.server.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                session_on(&server, &server.user).await.batch_execute(&sql).await.unwrap();
            });
        };
        let done = std::thread::spawn(run).join();
        assert!(done.is_ok() || std::thread::panicking(), "the server does not answer");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.apart(format!("DROP SCHEMA {} CASCADE", quote(&self.schema)));
    }
}

/// A name as SQL spells it.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
