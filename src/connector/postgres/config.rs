//! What users write about a PostgreSQL connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::connector::pg::config::{Grant, SslMode, Url};
use crate::{
    connector::{
        pg::{
            Settings,
            config::{
                connect_timeout, localhost, lock_timeout, network_timeout, parallel, public, usual_port,
            },
            qualified, quote,
        },
        sink::SinkSpec,
        source::SourceSpec,
    },
    model::{
        delivery::{LINGER, Mode, Order, Reading, SinkFacts, SourceFacts},
        secret::Secret,
        time::Span,
        unit::SliceLimit,
    },
};

/// A PostgreSQL database, version 12 or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it is, as one text, in the place of `host`, `port`, `database` and maybe `user`: `"postgres://vitrina@host:5432/database"`. No password is in
    /// it.
    #[serde(default)]
    pub url: Option<Url>,
    /// The server's name or address; `"localhost"` unless told.
    #[serde(default = "localhost")]
    pub host: String,
    /// Its port; 5432 unless told.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// The database. Needed, unless `url` names it.
    #[serde(default)]
    pub database: String,
    /// Who Vitrina is there. Needed, unless `url` names it.
    #[serde(default)]
    pub user: String,
    /// The user's password: `password = { env = "PGPASSWORD" }`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The schema of tables that are named without one; `"public"` unless told.
    #[serde(default = "public")]
    pub schema: String,
    /// How the connection is protected, as in libpq, which has `allow` besides; `"prefer"` unless told.
    #[serde(default)]
    pub sslmode: SslMode,
    /// Certificates that vouch for the server (PEM), relative to the project's folder; those of the system unless told.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// The client's own certificate (PEM).
    #[serde(default)]
    pub cert_file: Option<String>,
    /// The key of `cert_file` (PEM).
    #[serde(default)]
    pub key_file: Option<String>,
    /// How long connecting may take; `"10s"` unless told.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Span,
    /// How long a line may be silent before it counts as cut, here and at the server, at least 3 seconds; `"90s"` unless told.
    #[serde(default = "network_timeout")]
    pub network_timeout: Span,
    /// How long to wait for a lock that somebody else holds; `"30s"` unless told.
    #[serde(default = "lock_timeout")]
    pub lock_timeout: Span,
    /// How long one statement may take; without a limit unless told.
    #[serde(default)]
    pub statement_timeout: Option<Span>,
    /// Connections that read one whole table at once, 1 to 32; 4 unless told.
    #[serde(default = "parallel")]
    #[schemars(range(min = 1, max = 32))]
    pub parallel: u8,
}

/// `[sink.postgres]`: acts where the sink's connection is PostgreSQL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// Statements that run in the transaction of every commit, after the rows: `["ANALYZE this"]`. `this` is the table; one that fails, fails
    /// the commit.
    #[serde(default)]
    pub after_sql: Vec<String>,
    /// Who may read the table.
    #[serde(default)]
    pub grant: Grant,
    /// Columns that get an index each, where none begins with them: a pipeline that reads the table by such a cursor then looks at nothing but
    /// the rows that are new. One that the table lacks is made before rows are written, which keeps other writers waiting (a big table is given
    /// its index by hand, `CONCURRENTLY`); none is taken away.
    #[serde(default)]
    pub index: Vec<String>,
}

impl Config {
    /// What makes an index that begins with a column: texts are read in the order of their bytes.
    pub(crate) fn create_index(&self, schema: Option<&str>, table: &str, column: &str, text: bool) -> String {
        let collate = if text { " COLLATE \"C\"" } else { "" };
        let table = qualified(schema.unwrap_or(&self.schema), table);
        format!("CREATE INDEX CONCURRENTLY ON {table} ({}{collate})", quote(column))
    }

    /// The settings that a file which names only these two has.
    pub fn new(database: &str, user: &str) -> Self {
        Self {
            url: None,
            host: localhost(),
            port: usual_port(),
            database: database.to_owned(),
            user: user.to_owned(),
            password: None,
            schema: public(),
            sslmode: SslMode::default(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            connect_timeout: connect_timeout(),
            network_timeout: network_timeout(),
            lock_timeout: lock_timeout(),
            statement_timeout: None,
            parallel: parallel(),
        }
    }

    /// How the server is reached.
    pub(super) fn settings(&self) -> Settings {
        let url = self.url.as_ref();
        Settings {
            host: url.map_or(&self.host, |url| &url.host).clone(),
            port: url.map_or(self.port, |url| url.port),
            database: url.and_then(|url| url.database.as_ref()).unwrap_or(&self.database).clone(),
            user: url.and_then(|url| url.user.as_ref()).unwrap_or(&self.user).clone(),
            password: self.password.clone(),
            schema: self.schema.clone(),
            sslmode: self.sslmode,
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            connect_timeout: self.connect_timeout,
            network_timeout: self.network_timeout,
            lock_timeout: self.lock_timeout,
            statement_timeout: self.statement_timeout,
            parallel: self.parallel,
        }
    }

    /// What a table of this connection can promise as a source.
    pub fn source_facts(&self, spec: &SourceSpec) -> SourceFacts {
        let Some(cursor) = spec.cursor.as_ref().filter(|_| !spec.whole) else {
            return SourceFacts { reading: Reading::Whole, replays: false };
        };
        let order = if cursor.overlap.is_some() {
            Order::Overlap
        } else {
            Order::Assuming(format!(
                "rows become visible with rising `{}` (transactions that overlap may commit in another order: then set `overlap`), \
                 and the newest rows are not deleted",
                cursor.column
            ))
        };
        SourceFacts { reading: Reading::Ranges(order), replays: true }
    }

    /// What a table of this connection can promise as a sink.
    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        let modes = vec![Mode::Append, Mode::Merge, Mode::Replace, Mode::Window];
        SinkFacts { weak: None, assuming: vec![], modes, slice: SliceLimit::default(), linger: LINGER }
    }
}
