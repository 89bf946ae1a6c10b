//! A server over HTTP: statements, rows out as Arrow, rows in as Arrow.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use clickhouse::{Client, query::BytesCursor};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use secrecy::ExposeSecret;
use serde_json::Value as Json;
use tokio::sync::{OnceCell, OwnedMutexGuard};

use super::{
    config::{Compression, Config},
    error::{failed, failed_half_way, is_of_line, never_connected, strange},
    settings::{AS_ARROW, AS_ROWS, LZ4, THROWING, WRITING},
    tls,
};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    secret,
};

/// How long an idle connection is kept: less than servers keep theirs.
const IDLE: Duration = Duration::from_secs(2);
/// How long a server may say nothing, where the statement has no limit of its own.
const SILENCE: Duration = Duration::from_hours(1);
/// What a statement's own limit is given besides for its answer.
const GRACE: Duration = Duration::from_secs(30);
/// The oldest version that has what is sent: major and minor.
const OLDEST: (u32, u32) = (24, 8);

/// Cells of a row as text.
pub(super) type Row = Vec<Option<String>>;

/// A server, or its replicas, as one connection of the project reaches them.
pub(super) struct Server {
    /// The connection's name.
    pub(super) name: String,
    pub(super) config: Config,
    /// The project's folder.
    root: PathBuf,
    reached: OnceCell<Reached>,
    /// Which address is asked first.
    first: AtomicUsize,
    /// Whose turn it is at tables whose windows are replaced, by database and table: as many as the project writes so.
    turns: Mutex<HashMap<(String, String), Turn>>,
}

/// Whoever holds it replaces windows of a table.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// What is known once somebody answered.
struct Reached {
    clients: Vec<Client>,
    version: String,
}

/// An answer that has begun.
pub(super) struct Answer {
    cursor: BytesCursor,
    begun: Option<Bytes>,
    patience: Duration,
    shown: String,
}

impl Answer {
    /// The next bytes; `None` = the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(begun) = self.begun.take() {
            return Ok(Some(begun));
        }
        let next = tokio::time::timeout(self.patience, self.cursor.next()).await;
        next.map_err(|_| silent(&self.shown, self.patience))?.map_err(|error| failed(&self.shown, error))
    }
}

fn silent(shown: &str, patience: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("{shown}: the server said nothing for {patience:?}"))
}

impl Server {
    pub(super) fn new(name: &str, config: &Config, root: &Path) -> Arc<Self> {
        let (reached, first) = (OnceCell::new(), AtomicUsize::new(0));
        Arc::new(Self {
            name: name.to_owned(),
            config: config.clone(),
            root: root.to_owned(),
            reached,
            first,
            turns: Mutex::default(),
        })
    }

    /// Waits until nobody else of this connection replaces a window of a table; the turn ends when it is dropped.
    pub(super) async fn turn(&self, database: &str, table: &str) -> OwnedMutexGuard<()> {
        let of = (database.to_owned(), table.to_owned());
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(of).or_default().clone();
        turn.lock_owned().await
    }

    /// The same, over connections of its own: they live in the runtime that they were begun in.
    pub(super) fn apart(&self) -> Arc<Self> {
        Self::new(&self.name, &self.config, &self.root)
    }

    /// Whether one server may answer for another.
    pub(super) fn has_replicas(&self) -> bool {
        self.config.has_replicas()
    }

    /// How messages name it.
    pub(super) fn shown(&self) -> String {
        format!("connection \"{}\"", self.name)
    }

    /// How messages name a table in it.
    pub(super) fn table_shown(&self, database: &str, table: &str) -> String {
        let database = if database == self.config.database { String::new() } else { format!("{database}.") };
        format!("table \"{database}{table}\" of {}", self.shown())
    }

    /// What answers.
    pub(super) async fn version(&self) -> Result<String> {
        Ok(self.reached().await?.version.clone())
    }

    async fn reached(&self) -> Result<&Reached> {
        self.reached.get_or_try_init(|| self.reach()).await
    }

    async fn reach(&self) -> Result<Reached> {
        let shown = self.shown();
        let password = match &self.config.password {
            Some(password) => {
                let what = format!("the password of connection `{}`", self.name);
                Some(secret::read(password, &what, &self.root).await?)
            }
            None => None,
        };
        let ca_file = self.config.ca_file.as_ref().map(|file| self.root.join(file));
        let tls = tls::client(ca_file.as_deref(), &shown)?;
        let clients: Vec<Client> = self
            .config
            .url
            .all()
            .iter()
            .map(|url| {
                let client = client(&tls, self.config.connect_timeout.get())
                    .with_url(url)
                    .with_database(&self.config.database)
                    .with_user(&self.config.user)
                    .with_product_info("vitrina", env!("CARGO_PKG_VERSION"))
                    .with_compression(match self.config.compressed() {
                        Compression::Lz4 => clickhouse::Compression::Lz4,
                        Compression::Zstd => clickhouse::Compression::zstd(),
                        Compression::None => clickhouse::Compression::None,
                    });
                match &password {
                    Some(password) => client.with_password(password.expose_secret()),
                    None => client,
                }
            })
            .collect();
        // Asked for without settings, of which an old server does not know some.
        let answer = self.begin(&clients, &shown, "SELECT version()", "TSV", &[]).await?;
        let version = String::from_utf8_lossy(&whole(answer).await?).trim().to_owned();
        check_version(&shown, &version)?;
        Ok(Reached { clients, version })
    }

    /// How long a server may say nothing.
    fn patience(&self) -> Duration {
        self.config.statement_timeout.map_or(SILENCE, |limit| limit.get() + GRACE)
    }

    /// Sends a statement to the first address that can be reached.
    async fn begin(
        &self,
        clients: &[Client],
        shown: &str,
        sql: &str,
        format: &str,
        settings: &[(String, String)],
    ) -> Result<Answer> {
        let patience = self.patience();
        let first = self.first.load(Ordering::Relaxed);
        let mut unreachable = None;
        for at in (0..clients.len()).map(|step| (first + step) % clients.len()) {
            let mut query = clients[at].query_raw(sql);
            for (name, value) in settings {
                query = query.with_setting(name, value);
            }
            let mut cursor = query.fetch_bytes(format).map_err(|error| failed(shown, error))?;
            let begun = tokio::time::timeout(patience, cursor.next()).await;
            match begun.map_err(|_| silent(shown, patience))? {
                Ok(begun) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(Answer { cursor, begun, patience, shown: shown.to_owned() });
                }
                // Through several addresses nothing is written: whatever broke there is asked of the next.
                Err(error) if never_connected(&error) || self.has_replicas() && is_of_line(&error) => {
                    unreachable = Some(error);
                }
                Err(error) => return Err(failed(shown, error)),
            }
        }
        Err(match unreachable {
            Some(error) => failed(shown, error),
            None => Error::new(ErrorKind::Unsupported, format!("{shown}: no `url` is given")),
        })
    }

    /// What a statement is sent with besides its values, the last one of a name counting: how answers are compressed, those of the connection, then ours.
    fn settings(&self, ours: &[(&str, &str)], values: &[(String, String)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let limit = self.config.statement_timeout.map(|limit| limit.get().as_secs().max(1).to_string());
        let usual = (self.config.compressed() == Compression::Lz4).then_some(&LZ4).map(owned);
        let told = self.config.settings.iter().map(|(name, value)| (name.clone(), value.clone()));
        let told =
            usual.into_iter().chain(told).chain(limit.map(|limit| ("max_execution_time".to_owned(), limit)));
        let ours = told.chain(ours.iter().chain(&THROWING).map(owned));
        ours.chain(values.iter().cloned()).collect()
    }

    /// A query's rows as Arrow, as they come. `shown` is what messages name.
    pub(super) async fn arrow(&self, shown: &str, sql: &str) -> Result<Answer> {
        self.arrow_with(shown, sql, &[]).await
    }

    /// The same, with values of parameters.
    pub(super) async fn arrow_with(
        &self,
        shown: &str,
        sql: &str,
        values: &[(String, String)],
    ) -> Result<Answer> {
        let reached = self.reached().await?;
        self.begin(&reached.clients, shown, sql, "ArrowStream", &self.settings(&AS_ARROW, values)).await
    }

    /// Runs a statement to its end.
    pub(super) async fn run(&self, shown: &str, sql: &str) -> Result<()> {
        self.run_with(shown, sql, &[]).await
    }

    /// The same, with values of parameters.
    pub(super) async fn run_with(&self, shown: &str, sql: &str, values: &[(String, String)]) -> Result<()> {
        let reached = self.reached().await?;
        let answer =
            self.begin(&reached.clients, shown, sql, "TSV", &self.settings(&WRITING, values)).await?;
        whole(answer).await.map(|_| ())
    }

    /// All rows of a small query.
    pub(super) async fn rows(&self, shown: &str, sql: &str) -> Result<Vec<Row>> {
        self.rows_with(shown, sql, &[]).await
    }

    /// The same, with values of parameters.
    pub(super) async fn rows_with(
        &self,
        shown: &str,
        sql: &str,
        values: &[(String, String)],
    ) -> Result<Vec<Row>> {
        let reached = self.reached().await?;
        let settings = self.settings(&AS_ROWS, values);
        let answer = self.begin(&reached.clients, shown, sql, "JSONCompactEachRow", &settings).await?;
        let bytes = whole(answer).await?;
        let text = String::from_utf8_lossy(&bytes);
        // What is no row is the server's word of what went wrong half-way; rows themselves are not told.
        text.lines().map(|line| row(line).ok_or_else(|| failed_half_way(shown, line))).collect()
    }

    /// The first row of a small query.
    pub(super) async fn row(&self, shown: &str, sql: &str) -> Result<Option<Row>> {
        Ok(self.rows(shown, sql).await?.into_iter().next())
    }

    /// The one cell of a small query.
    pub(super) async fn cell(&self, shown: &str, sql: &str) -> Result<Option<String>> {
        Ok(self.row(shown, sql).await?.and_then(|row| row.into_iter().next().flatten()))
    }

    /// An insert whose rows are sent as they come; nothing is inserted unless it is ended.
    pub(super) async fn insert(&self, sql: &str) -> Result<clickhouse::insert_formatted::InsertFormatted> {
        let reached = self.reached().await?;
        let client = &reached.clients[self.first.load(Ordering::Relaxed) % reached.clients.len()];
        let patience = Some(self.patience());
        let mut insert = client.insert_formatted_with(sql).with_timeouts(patience, patience);
        for (name, value) in self.settings(&WRITING, &[]) {
            insert = insert.with_setting(name, value);
        }
        Ok(insert)
    }
}

fn client(tls: &rustls::ClientConfig, connect_timeout: Duration) -> Client {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_mins(1)));
    connector.set_connect_timeout(Some(connect_timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::with_http_client(
        HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector),
    )
}

async fn whole(mut answer: Answer) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    while let Some(next) = answer.next().await? {
        bytes.extend_from_slice(&next);
    }
    Ok(bytes)
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<Json> = serde_json::from_str(line).ok()?;
    let cell = |cell| match cell {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Some(cells.into_iter().map(cell).collect())
}

fn check_version(shown: &str, version: &str) -> Result<()> {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST => Ok(()),
        (Some(Ok(_)), Some(Ok(_))) => {
            let message = format!("{shown}: ClickHouse {version} is too old");
            Err(Error::new(ErrorKind::Unsupported, message)
                .hint(format!("version {}.{} or later is needed", OLDEST.0, OLDEST.1)))
        }
        _ => Err(strange(shown, version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert!(check_version("x", "26.7.2.1").is_ok());
        assert!(check_version("x", "24.8.1.2684").is_ok());
        assert_eq!(check_version("x", "24.3.1.1").unwrap_err().kind, ErrorKind::Unsupported);
        assert_eq!(check_version("x", "18.16.1").unwrap_err().kind, ErrorKind::Unsupported);
        assert_eq!(check_version("x", "<html>").unwrap_err().kind, ErrorKind::Unreachable);
    }

    #[test]
    fn cells_are_texts() {
        let read = row(r#"["a\"б", null, 18446744073709551615, 0.5, true]"#).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read, [text("a\"б"), None, text("18446744073709551615"), text("0.5"), text("true")]);
    }
}
