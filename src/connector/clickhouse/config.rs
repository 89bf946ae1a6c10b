//! What users write about a ClickHouse connection.

use std::time::Duration;

use indexmap::IndexMap;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    name::{qualified, quote},
    replacing, settings,
};
use crate::{
    connector::{misfit::Misfit, sink::SinkSpec, source::SourceSpec},
    model::{
        delivery::{Mode, Order, Reading, SinkFacts, SourceFacts},
        secret::Secret,
        time::Span,
        unit::SliceLimit,
    },
};

/// Each commit leaves parts behind that the server has to merge: what follows a source lets some more news gather.
const LINGER: Duration = Duration::from_secs(1);

/// A ClickHouse server, version 24.8 or later, over its HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it answers: `"https://ch.example.internal:8443"`. Several replicas that hold the same tables are asked in order, the next where one
    /// cannot be reached; they are read only.
    pub url: Urls,
    /// The database of tables that are named without one; `"default"` unless told.
    #[serde(default = "default_database")]
    pub database: String,
    /// Who Vitrina is there; `"default"` unless told.
    #[serde(default = "default_user")]
    pub user: String,
    /// The user's password: `password = { env = "CLICKHOUSE_PASSWORD" }`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Certificates that vouch for the server (PEM), relative to the project's folder; those of the system unless told.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// How rows are compressed on the way; unless told `"lz4"`, and not at all to a server on this machine (`localhost`, `127.0.0.1`, `[::1]`).
    #[serde(default)]
    pub compression: Option<Compression>,
    /// Settings of the server for every statement: `settings = { max_threads = "4" }`. Those that what is promised rests on (`async_insert`, `mutations_sync`,
    /// `read_overflow_mode`, …) are Vitrina's own, and refused.
    #[serde(default)]
    pub settings: IndexMap<String, String>,
    /// How long connecting may take; `"10s"` unless told.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Span,
    /// How long one statement may take on the server; as the server's own settings say unless told.
    #[serde(default)]
    pub statement_timeout: Option<Span>,
}

/// One address, or those of several replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Urls {
    /// The one.
    One(String),
    /// The first is asked first.
    Several(Vec<String>),
}

impl Urls {
    /// All of them.
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Several(urls) => urls,
        }
    }
}

/// How rows are compressed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Fast.
    Lz4,
    /// Smaller: for slow lines.
    Zstd,
    /// Not at all.
    None,
}

/// `[sink.clickhouse]`: acts where the sink's connection is ClickHouse, when the table is made; one that is there stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// The table's engine, one of the MergeTree family; `"MergeTree"` unless told, or what `merge` needs. In a database of the engine Replicated one of the replicated family,
    /// `"ReplicatedMergeTree"` unless told.
    #[serde(default)]
    pub engine: Option<String>,
    /// How a merge puts rows in the place of those of the same key; `"delete"` unless told.
    #[serde(default)]
    pub merge: Merge,
    /// With `merge = "replacing"`: of the rows of a key the one with the greatest value in this column stays, a number, date or time that is never NULL. The row that came last unless
    /// told.
    #[serde(default)]
    pub version: Option<String>,
    /// Columns that the table is sorted by, its primary key: `order_by = ["dt", "passport_id"]`. The key of a merge unless told, otherwise none.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// What the table is partitioned by, an expression: `partition_by = "toYYYYMM(dt)"`.
    #[serde(default)]
    pub partition_by: Option<String>,
    /// When rows go, an expression: `ttl = "dt + INTERVAL 2 YEAR"`.
    #[serde(default)]
    pub ttl: Option<String>,
    /// Settings of the table: `settings = { index_granularity = "4096" }`.
    #[serde(default)]
    pub settings: IndexMap<String, String>,
    /// How columns are compressed in the table: `codec = { payload = "ZSTD(3)" }`.
    #[serde(default)]
    pub codec: IndexMap<String, String>,
}

/// How a merge puts rows in the place of those of the same key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// The old rows are deleted, then the new ones are moved in; in between, readers see neither.
    #[default]
    Delete,
    /// The new rows are moved into a table of the engine ReplacingMergeTree that is sorted by the key: readers who ask with `FINAL`, as Vitrina does, see the old row or the new one;
    /// others may see both until the server has merged parts.
    Replacing,
}

fn default_database() -> String {
    "default".to_owned()
}

fn default_user() -> String {
    "default".to_owned()
}

fn connect_timeout() -> Span {
    Span::new(Duration::from_secs(10))
}

impl Config {
    /// What makes rows be found by a column that does not lead the table's order.
    pub(crate) fn create_index(&self, schema: Option<&str>, table: &str, column: &str) -> String {
        let (table, column) = (qualified(schema.unwrap_or(&self.database), table), quote(column));
        format!(
            "let ORDER BY begin with it where the table is made, or: ALTER TABLE {table} ADD INDEX {column} {column} TYPE minmax, \
             MATERIALIZE INDEX {column}"
        )
    }

    /// The settings of the server that no connection may change, as far as this one does.
    pub fn misplaced_settings(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str).filter(|name| settings::is_own(name))
    }

    /// What of it cannot be.
    pub fn misfit(&self) -> Option<Misfit> {
        let urls = self.url.all();
        let hint = "write it as `https://host:8443` or `http://host:8123`, without user and database";
        let known = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        // An address may have a password in it: it is not repeated.
        let message = match urls {
            [] => "its `url` names no server",
            urls if urls.iter().all(known) => return None,
            _ => "its `url` is no address of a ClickHouse's HTTP interface",
        };
        Some(Misfit::of("url", "bad-address", message, hint))
    }

    /// Whether one server may answer for another.
    pub(super) fn has_replicas(&self) -> bool {
        self.url.all().len() > 1
    }

    /// Why nothing is written through it; `None` = that can be.
    pub fn read_only(&self) -> Option<(&'static str, &'static str)> {
        let hint = "a unit is staged and moved on one server: write through a connection of one `url`";
        self.has_replicas().then_some(("has several urls, and is read only", hint))
    }

    /// The settings that a file which names only this has.
    pub fn new(url: &str) -> Self {
        Self {
            url: Urls::One(url.to_owned()),
            database: default_database(),
            user: default_user(),
            password: None,
            ca_file: None,
            compression: None,
            settings: IndexMap::new(),
            connect_timeout: connect_timeout(),
            statement_timeout: None,
        }
    }

    /// How rows are compressed on the way.
    pub(super) fn compressed(&self) -> Compression {
        let near = || self.url.all().iter().all(|url| is_here(url));
        self.compression.unwrap_or_else(|| if near() { Compression::None } else { Compression::Lz4 })
    }

    /// What a table of this connection can promise as a source.
    pub fn source_facts(&self, spec: &SourceSpec) -> SourceFacts {
        let Some(cursor) = spec.cursor.as_ref().filter(|_| !spec.whole) else {
            return SourceFacts { reading: Reading::Whole, replays: false };
        };
        let order = if cursor.overlap.is_some() {
            Order::Overlap
        } else {
            let replicas = if self.has_replicas() {
                ", on each replica; a replica that is behind others lacks its newest rows and no others"
            } else {
                ""
            };
            Order::Assuming(format!(
                "rows become visible with rising `{}` (inserts that overlap may end in another order: then set `overlap`), and the newest \
                 rows are not deleted{replicas}",
                cursor.column
            ))
        };
        SourceFacts { reading: Reading::Ranges(order), replays: true }
    }

    /// What a table of this connection can promise as a sink.
    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        let modes = vec![Mode::Append, Mode::Merge, Mode::Replace, Mode::Window];
        let assuming = vec!["one daemon writes the table, through one server".to_owned()];
        SinkFacts { weak: None, assuming, modes, slice: SliceLimit::default(), linger: LINGER }
    }
}

/// What a sink says that cannot be.
pub fn sink_misfits(spec: &SinkSpec) -> Vec<Misfit> {
    let Some(options) = &spec.options.clickhouse else { return vec![] };
    let replaces = options.merge == Merge::Replacing;
    let mut found = vec![];
    if replaces && spec.mode != Mode::Merge {
        let message = format!("`merge` goes with the mode merge, and the mode is `{}`", spec.mode);
        found.push(Misfit::of(
            "merge",
            "conflicting-keys",
            message,
            "leave it out, or use `mode = \"merge\"`",
        ));
    } else if replaces {
        found.extend(replacing::misfit(spec, options));
    } else if options.version.is_some() {
        let message = "`version` goes with `merge = \"replacing\"`";
        found.push(Misfit::of("version", "conflicting-keys", message, "leave it out, or add that"));
    }
    found
}

/// Whether an address is this machine's own, as far as it says so.
fn is_here(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str);
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compressed_on_their_way_to_other_machines() {
        let of = |url: &str| Config::new(url).compressed();
        for url in ["http://127.0.0.1:8123", "https://localhost", "http://[::1]:8123/", "http://[::1]"] {
            assert_eq!(of(url), Compression::None, "{url}");
        }
        for url in ["https://ch.example.internal:8443", "http://localhost.example:8123", "http://10.0.0.1"] {
            assert_eq!(of(url), Compression::Lz4, "{url}");
        }
        let several = ["http://localhost:8123", "http://other:8123"].map(str::to_owned).to_vec();
        let several = Config { url: Urls::Several(several), ..Config::new("") };
        assert_eq!(several.compressed(), Compression::Lz4);
        let told = Config { compression: Some(Compression::Zstd), ..Config::new("http://localhost:8123") };
        assert_eq!(told.compressed(), Compression::Zstd);
    }
}
