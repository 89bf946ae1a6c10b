//! What users write about a Greenplum connection.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use super::partition::{Partition, Period};
pub use crate::connector::pg::config::{Grant, SslMode, Url};
use crate::{
    connector::{
        pg::{
            Settings,
            config::{
                connect_timeout, localhost, lock_timeout, network_timeout, parallel, public, usual_port,
            },
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

/// A Greenplum database, version 6 or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it is, as one text, in the place of `host`, `port`, `database` and maybe `user`: `"postgres://vitrina@host:5432/database"`. No password is in
    /// it.
    #[serde(default)]
    pub url: Option<Url>,
    /// The coordinator's name or address; `"localhost"` unless told.
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
    /// The user's password: `password = { env = "GP_PASSWORD" }`.
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
    /// Sinks that write at once, 1 to 32; 4 unless told. Others wait.
    #[serde(default = "parallel")]
    #[schemars(range(min = 1, max = 32))]
    pub parallel: u8,
    /// Where segments fetch rows from and bring them to, for sinks that `load = "gpfdist"` and sources that `unload = "gpfdist"`.
    #[serde(default)]
    pub gpfdist: Option<Gpfdist>,
}

/// Where segments fetch rows from and bring them to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpfdist {
    /// This machine's name or address, as every segment host reaches it.
    pub host: String,
    /// The port that is listened on, open to every segment host.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The address that is listened on; `"0.0.0.0"`, all of this machine, unless told.
    #[serde(default = "everywhere")]
    pub listen: String,
}

/// `[source.greenplum]`: acts where the source's connection is Greenplum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceOptions {
    /// How rows of a whole table come from the segments: through the coordinator by `"copy"`, or by `"gpfdist"`, in no order, for which the connection needs
    /// `gpfdist`.
    #[serde(default)]
    pub unload: Load,
}

/// `[sink.greenplum]`: acts where the sink's connection is Greenplum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// How rows of a table that is made are spread over the segments: `"randomly"`, or columns: `["client_id"]`. Unless told, by the key of a
    /// merge, and otherwise randomly.
    #[serde(default)]
    pub distributed: Option<Distributed>,
    /// Whether a table that is made is append-optimized.
    #[serde(default)]
    pub append_optimized: bool,
    /// Whether an append-optimized table that is made keeps rows or columns together; rows unless told.
    #[serde(default)]
    pub orientation: Option<Orientation>,
    /// How an append-optimized table that is made is compressed: a method and a level, `"zstd:3"`.
    #[serde(default)]
    pub compress: Option<Compress>,
    /// How a table that is made is split into partitions: `{ column = "happened_at", from = "2026-01-01", until = "2027-01-01", every = "month" }`. Not
    /// at all unless told.
    #[serde(default)]
    pub partition: Option<Partition>,
    /// How rows get to the segments: through the coordinator by `"copy"`, or by `"gpfdist"`, for which the connection needs
    /// `gpfdist`.
    #[serde(default)]
    pub load: Load,
    /// Statements that run in the transaction of every commit, after the rows: `["ANALYZE this"]`. `this` is the table; one that fails, fails
    /// the commit.
    #[serde(default)]
    pub after_sql: Vec<String>,
    /// Who may read the table.
    #[serde(default)]
    pub grant: Grant,
}

/// How a table's rows are spread over the segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Distributed {
    /// Evenly.
    Randomly(Randomly),
    /// By the hash of these columns.
    By(Vec<String>),
}

/// Evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Randomly {
    /// Evenly.
    Randomly,
}

/// What an append-optimized table keeps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Rows.
    Row,
    /// Columns.
    Column,
}

/// How rows get to the segments, or from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Through the coordinator, by binary COPY.
    #[default]
    Copy,
    /// Every segment fetches its part from Vitrina, or brings it there.
    Gpfdist,
}

/// A method of compression and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compress {
    pub(super) method: &'static str,
    pub(super) level: Option<u8>,
}

/// Methods, and their highest levels.
const METHODS: &[(&str, u8)] = &[("zstd", 19), ("zlib", 9), ("quicklz", 1), ("rle_type", 4)];

impl FromStr for Compress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected a method and a level: \"zstd:1\" to \"zstd:19\", \"zlib:1\" to \"zlib:9\", \"rle_type:1\" to \"rle_type:4\", \"quicklz\""
                .to_owned()
        };
        let (method, level) =
            text.split_once(':').map_or((text, None), |(method, level)| (method, Some(level)));
        let (method, most) =
            METHODS.iter().find(|(known, _)| *known == method).copied().ok_or_else(expected)?;
        let level = level.map(|level| level.parse::<u8>().map_err(|_| expected())).transpose()?;
        if level.is_some_and(|level| level == 0 || level > most) {
            return Err(expected());
        }
        Ok(Self { method, level })
    }
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method)?;
        self.level.map_or(Ok(()), |level| write!(f, ":{level}"))
    }
}

impl Serialize for Compress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Compress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Compress {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Compress".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "greenplum-compression", "examples": ["zstd:3", "zlib:5"] })
    }
}

fn everywhere() -> String {
    "0.0.0.0".to_owned()
}

impl SinkOptions {
    /// A key that goes with `append_optimized` alone, where that is not told.
    pub fn misplaced(&self) -> Option<&'static str> {
        if self.append_optimized {
            None
        } else if self.orientation == Some(Orientation::Column) {
            Some("orientation")
        } else {
            self.compress.map(|_| "compress")
        }
    }

    /// The columns that rows are spread by.
    pub fn distributed_by(&self) -> &[String] {
        match &self.distributed {
            Some(Distributed::By(columns)) => columns,
            Some(Distributed::Randomly(_)) | None => &[],
        }
    }
}

impl Config {
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
            gpfdist: None,
        }
    }

    /// How the coordinator is reached.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_a_method_and_a_level() {
        for good in ["zstd:3", "zstd", "zlib:9", "rle_type:4", "quicklz"] {
            assert_eq!(good.parse::<Compress>().unwrap().to_string(), good);
        }
        for bad in ["", "zstd:0", "zstd:20", "zlib:x", "lz4", "zstd:3 ", "zstd) --"] {
            assert!(bad.parse::<Compress>().unwrap_err().contains("zstd:19"), "{bad}");
        }
    }
}
