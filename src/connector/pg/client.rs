//! Sessions with a server: how they begin, and a pool of idle ones.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio_postgres::{CancelToken, Client, Config as Login, SimpleQueryMessage};

use super::{
    config::SslMode,
    dialect::{Dialect, Product},
    error::failed,
    settings::Settings,
    tls::Tls,
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        secret,
    },
    model::time::Span,
};

/// Idle sessions that are kept.
const KEPT: usize = 8;

/// What every session is set to: values are spelled in one way, whatever the server's or the user's own settings are, and a commit is on the disk
/// when it is answered. A lock that nobody lets go of is an error, and not a silence; a session may wait inside its transaction, but one whose line was
/// cut is ended by the server. The last row tells who answers.
fn set_up(config: &Settings) -> String {
    let millis = |span: Span| span.get().as_millis();
    let statement = config.statement_timeout.map_or(0, millis);
    let (lock, silence) = (millis(config.lock_timeout), Silence::of(config));
    format!(
        "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'; \
         SET extra_float_digits = 3; SET standard_conforming_strings = on; SET synchronize_seqscans = off; \
         SET statement_timeout = {statement}; SET lock_timeout = {lock}; \
         SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = {}; SET tcp_keepalives_count = {PROBES}; \
         SELECT set_config(name, CASE name WHEN 'tcp_user_timeout' THEN '{}' ELSE '0' END, false) FROM pg_catalog.pg_settings \
           WHERE name IN ('tcp_user_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'); \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
         SELECT current_setting('server_version_num'), version()",
        silence.idle.as_secs(),
        silence.interval.as_secs(),
        silence.whole.as_millis(),
    )
}

/// Probes that stay without an answer before a line counts as cut.
const PROBES: u32 = 6;

/// How long a line may be silent: a third of the time goes by before the first probe. Probes are whole seconds apart.
struct Silence {
    whole: Duration,
    idle: Duration,
    interval: Duration,
}

impl Silence {
    fn of(config: &Settings) -> Self {
        let whole = config.network_timeout.get().max(Duration::from_secs(3));
        let seconds = |part: Duration| Duration::from_secs(part.as_secs().max(1));
        Self { whole, idle: seconds(whole / 3), interval: seconds(whole * 2 / 3 / PROBES) }
    }
}

/// Cells of a row as text.
pub(crate) type Row = Vec<Option<String>>;

/// A server's database, as one connection of the project reaches it.
pub(crate) struct Server {
    /// The connection's name.
    pub(crate) name: String,
    pub(crate) config: Settings,
    pub(crate) dialect: &'static dyn Dialect,
    /// Without the password.
    login: Login,
    /// The project's folder.
    root: PathBuf,
    tls: Option<Tls>,
    idle: Mutex<Vec<Session>>,
}

/// One session. Dropped while the server works for it, it asks the server to stop: otherwise the statement would live on with its locks, and meet the next try.
pub(crate) struct Session {
    client: Client,
    pub(crate) product: Product,
    /// Questions that nobody heard the end of.
    underway: AtomicUsize,
    tls: Option<Tls>,
}

impl Server {
    pub(crate) fn new(
        name: &str,
        config: Settings,
        dialect: &'static dyn Dialect,
        root: &Path,
    ) -> Result<Arc<Self>> {
        let silence = Silence::of(&config);
        let mut login = Login::new();
        login
            .host(&config.host)
            .port(config.port)
            .user(&config.user)
            .dbname(&config.database)
            .application_name("vitrina")
            .connect_timeout(config.connect_timeout.get())
            // A line that was cut is noticed, whoever is to speak next.
            .keepalives_idle(silence.idle)
            .keepalives_interval(silence.interval)
            .keepalives_retries(PROBES)
            .tcp_user_timeout(silence.whole)
            .ssl_mode(match config.sslmode {
                SslMode::Disable => tokio_postgres::config::SslMode::Disable,
                SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                    tokio_postgres::config::SslMode::Require
                }
            });
        let shown = format!("connection \"{name}\"");
        let tls = match config.sslmode {
            SslMode::Disable => None,
            _ => Some(Tls::new(&config, root, &shown)?),
        };
        let idle = Mutex::default();
        Ok(Arc::new(Self { name: name.to_owned(), config, dialect, login, root: root.to_owned(), tls, idle }))
    }

    /// How messages name it.
    pub(crate) fn shown(&self) -> String {
        format!("connection \"{}\"", self.name)
    }

    /// How messages name a table in it.
    pub(crate) fn table_shown(&self, schema: &str, table: &str) -> String {
        let schema = if schema == self.config.schema { String::new() } else { format!("{schema}.") };
        format!("table \"{schema}{table}\" of {}", self.shown())
    }

    /// A session of one's own, an idle one or a new one.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let session = match idle {
                Some(session) if !self.is_there(&session).await => continue,
                Some(session) => session,
                None => self.connect().await?,
            };
            return Ok(Lease { session: Box::new(session), server: self.clone() });
        }
    }

    /// Whether a session that was idle is still there: it may be gone without our having heard of it, or say nothing.
    pub(crate) async fn is_there(&self, session: &Session) -> bool {
        let asked = session.client.check_connection();
        tokio::time::timeout(self.config.connect_timeout.get(), asked).await.is_ok_and(|there| there.is_ok())
    }

    /// A new session of one's own.
    pub(crate) async fn fresh(self: &Arc<Self>) -> Result<Lease> {
        Ok(Lease { session: Box::new(self.connect().await?), server: self.clone() })
    }

    async fn connect(&self) -> Result<Session> {
        // The library's own limit ends when the line is open: a server that says nothing would be waited for.
        let limit = self.config.connect_timeout.get();
        tokio::time::timeout(limit, self.begin()).await.unwrap_or_else(|_| {
            let message = format!("{}: the server did not answer within {limit:?}", self.shown());
            Err(Error::new(ErrorKind::Timeout, message)
                .hint("check `host` and `port`, or raise `connect_timeout`"))
        })
    }

    async fn begin(&self) -> Result<Session> {
        let shown = self.shown();
        let failed = |error| failed(&shown, error);
        let mut login = self.login.clone();
        if let Some(password) = &self.config.password {
            let what = format!("the password of {shown}");
            login.password(secret::read(password, &what, &self.root).await?.expose_secret());
        }
        let client = match &self.tls {
            None => {
                let (client, connection) = login.connect(tokio_postgres::NoTls).await.map_err(failed)?;
                // Ends with the client.
                tokio::spawn(connection);
                client
            }
            Some(tls) => {
                let (client, connection) = login.connect(tls.clone()).await.map_err(failed)?;
                tokio::spawn(connection);
                client
            }
        };
        let (underway, tls) = (AtomicUsize::new(0), self.tls.clone());
        let mut session = Session { client, product: Product::default(), underway, tls };
        let told = session.rows(&set_up(&self.config)).await.map_err(failed)?.pop().unwrap_or_default();
        let told = |at: usize| told.get(at).and_then(Option::as_deref).unwrap_or_default();
        session.product = Product::told(told(0), told(1));
        self.dialect.accepts(&session.product).map_err(|needed| {
            let message = format!("{shown}: the server is {}", session.product);
            Error::new(ErrorKind::Unsupported, message).hint(needed)
        })?;
        Ok(session)
    }

    /// Asks the server to end what a session does, over a connection of its own.
    pub(crate) async fn cancel(&self, token: CancelToken) {
        cancel(token, self.tls.clone()).await;
    }
}

async fn cancel(token: CancelToken, tls: Option<Tls>) {
    // Nothing to do about a server that does not listen: the session is closed in any case.
    let _ = match tls {
        None => token.cancel_query(tokio_postgres::NoTls).await,
        Some(tls) => token.cancel_query(tls).await,
    };
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_underway() {
            return;
        }
        // Without a runtime to ask through, the server notices when it next writes.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel(self.client.cancel_token(), self.tls.take()));
        }
    }
}

impl Session {
    /// Waits for an answer of the server. Where nobody does so to its end, the session asks the server to stop once it is dropped.
    pub(crate) async fn heard<T>(&self, answer: impl Future<Output = T>) -> T {
        self.underway.fetch_add(1, Ordering::Relaxed);
        let answer = answer.await;
        self.underway.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    fn is_underway(&self) -> bool {
        self.underway.load(Ordering::Relaxed) > 0
    }

    /// Runs statements and gives the rows of them all, as text.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
        let messages = self.heard(self.client.simple_query(sql)).await?;
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The first row of a query.
    pub(crate) async fn row(&self, sql: &str) -> Result<Option<Row>, tokio_postgres::Error> {
        Ok(self.rows(sql).await?.into_iter().next())
    }

    /// The one cell of a query.
    pub(crate) async fn cell(&self, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
        Ok(self.row(sql).await?.and_then(|row| row.into_iter().next().flatten()))
    }

    /// Runs statements; how many rows the last one wrote.
    pub(crate) async fn run(&self, sql: &str) -> Result<u64, tokio_postgres::Error> {
        let messages = self.heard(self.client.simple_query(sql)).await?;
        let count = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        };
        Ok(messages.iter().rev().find_map(count).unwrap_or_default())
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A session of one's own. Closed when dropped, and with it whatever was begun in it; kept for others when it is given back.
pub(crate) struct Lease {
    session: Box<Session>,
    pub(crate) server: Arc<Server>,
}

impl Lease {
    /// Keeps the session for others. Not inside a transaction, and not with temporary tables.
    pub(crate) fn give_back(self) {
        let Self { session, server } = self;
        let mut idle = server.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !session.client.is_closed() && !session.is_underway() {
            idle.push(*session);
        }
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
