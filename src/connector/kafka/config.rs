//! What users write about a Kafka cluster.

use std::{path::Path, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::protobuf;
use crate::{
    connector::{sink::SinkSpec, source::SourceSpec},
    model::{
        delivery::{LINGER, Mode, Order, Reading, SinkFacts, SourceFacts},
        secret::Secret,
        time::Span,
        unit::SliceLimit,
    },
};

/// An Apache Kafka cluster: its topics are logs, appended to and read by offset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Brokers that are asked first, as `host:port`; they name the others.
    pub brokers: Vec<String>,
    /// How to get in.
    #[serde(default)]
    pub security: Security,
    /// What the names of all topics, of the topic of records and of transactions begin with, for clusters that give rights by prefix. SQL
    /// and pipelines name topics without it.
    #[serde(default)]
    pub prefix: String,
    /// Where the schemas of messages are, for `format = "avro"` and `format = "protobuf"`.
    pub registry: Option<Registry>,
    /// How long the cluster lets one of our transactions stand open, at least a second; `"60s"` unless told. A slice must be there within two thirds of it. Brokers refuse
    /// more than their `transaction.max.timeout.ms`.
    pub transaction_timeout: Option<Span>,
}

/// A schema registry that answers as Confluent's does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Where it answers: `https://registry.example.internal:8081`.
    pub url: String,
    /// Who asks, where it wants to know.
    pub user: Option<Secret>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Certificates (PEM) of the authority that signed its one, relative to the project's folder; the system's authorities unless told.
    pub ca_file: Option<String>,
}

/// How to get into a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Whether connections are encrypted, and whether clients say who they are.
    #[serde(default)]
    pub protocol: Protocol,
    /// How clients say who they are; `SCRAM-SHA-512` unless told.
    pub mechanism: Option<Mechanism>,
    /// Who.
    pub user: Option<Secret>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Certificates (PEM) of the authority that signed the brokers' ones, relative to the project's folder; the system's authorities unless told.
    pub ca_file: Option<String>,
    /// Who, for `GSSAPI`, in the place of user and password.
    pub kerberos: Option<Kerberos>,
}

/// A user of Kerberos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kerberos {
    /// The first part of the brokers' principals; `kafka` unless told.
    pub service: Option<String>,
    /// Who: `vitrina@EXAMPLE.INTERNAL`.
    pub principal: String,
    /// The file with the principal's keys, relative to the project's folder.
    pub keytab: String,
}

/// Who can listen, and who can get in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither encrypted nor with users.
    #[default]
    Plaintext,
    /// Encrypted.
    Ssl,
    /// With users, not encrypted.
    SaslPlaintext,
    /// Encrypted, with users.
    SaslSsl,
}

/// How clients say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// User and password as they are: only over an encrypted connection.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Proof of the password, without sending it.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Proof of the password, without sending it.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A ticket of Kerberos: in programs that were built with the feature `gssapi`.
    #[serde(rename = "GSSAPI")]
    Gssapi,
}

/// `[source.kafka]`: acts where the source's connection is Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceOptions {
    /// The consumer group that positions are reported to, so that tools show the lag: a name, or `false` for none; `vitrina-PROJECT:PIPELINE/MEMBER`, after
    /// the prefix, unless told. Nothing is ever read from it: the record in the sink says where to go on.
    #[serde(default)]
    pub group: Group,
    /// How messages are spelled; as the pipeline that writes the topic says, any other topic as JSON unless told.
    pub format: Option<Format>,
    /// What stands between the fields of `csv`; a comma unless told.
    pub delimiter: Option<char>,
    /// The column that takes the whole message where the format is `raw`; `value` unless told.
    pub value: Option<String>,
    /// The `.proto` file that says what `protobuf` messages are, relative to the project's folder. Without it each names its schema in the registry.
    pub proto: Option<String>,
    /// The message of that file, by its whole name: `shop.Order`; its only one unless told.
    pub message: Option<String>,
    /// The column that takes the message's key.
    pub message_key: Option<String>,
    /// The column that takes the message's timestamp.
    pub timestamp: Option<String>,
    /// The column that takes the message's headers, as a JSON object of texts.
    pub headers: Option<String>,
    /// The column that takes the number of the message's partition.
    pub partition: Option<String>,
    /// The column that takes the message's offset.
    pub offset: Option<String>,
}

/// The consumer group that positions are reported to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Group {
    /// Whether they are reported at all.
    Reported(bool),
    /// To this one.
    Named(String),
}

impl Default for Group {
    fn default() -> Self {
        Self::Reported(true)
    }
}

/// `[sink.kafka]`: acts where the sink's connection is Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// Columns that make the message's key: rows of one key stay in order, in one partition. One column is its text (bytes are as they are), several are a
    /// JSON array. Without it messages have no key.
    #[serde(default)]
    pub message_key: Vec<String>,
    /// The column of instants that becomes the message's timestamp; the moment of writing unless told.
    pub timestamp: Option<String>,
    /// Columns that become headers too, each as its text under its own name; NULL becomes none.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Partitions of a topic that is made; as the cluster does by default unless told.
    pub partitions: Option<u16>,
    /// Replicas of a topic that is made; as the cluster does by default unless told.
    pub replication: Option<u16>,
    /// How long messages of a topic that is made are kept; as the cluster does by default unless told.
    pub retention: Option<Span>,
    /// How rows are spelled.
    #[serde(default)]
    pub format: Format,
    /// What stands between the fields of `csv`; a comma unless told.
    pub delimiter: Option<char>,
    /// The column that is the whole message where the format is `raw`; `value` unless told. The others may only be key, timestamp or headers.
    pub value: Option<String>,
    /// The `.proto` file that says what `protobuf` messages are, relative to the project's folder. Without it a schema of the columns is registered, which each
    /// message names.
    pub proto: Option<String>,
    /// The message of that file, by its whole name: `shop.Order`; its only one unless told.
    pub message: Option<String>,
}

/// How rows are spelled in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON object a message.
    #[default]
    Json,
    /// A record of CSV a message, without a head: fields in the columns' order.
    Csv,
    /// A column is the message, as it is: text or bytes.
    Raw,
    /// An Avro record a message, with a schema of the connection's registry.
    Avro,
    /// A Protobuf message a message: with a schema of the connection's registry, or, where `proto` is given, of that file.
    Protobuf,
}

/// How messages are spelled, as a source, a sink or the writer of the topic says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spelling {
    pub(super) format: Format,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delimiter: Option<char>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proto: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

impl Spelling {
    /// Whether what is written in one way is read in the other; where a file lies says nothing.
    pub(super) fn reads(&self, other: &Self) -> bool {
        let elsewhere = |spelling: &Self| Self { proto: None, ..spelling.clone() };
        self.is_framed() == other.is_framed() && elsewhere(self) == elsewhere(other)
    }

    /// Whether messages name their schemas.
    fn is_framed(&self) -> bool {
        match self.format {
            Format::Avro => true,
            Format::Protobuf => self.proto.is_none(),
            Format::Json | Format::Csv | Format::Raw => false,
        }
    }
}

/// A key of `[source.kafka]` or `[sink.kafka]` that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misnamed {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The fields of the message that is named; `None` = none is.
fn named_fields(root: &Path, spelling: &Spelling) -> Result<Option<Vec<String>>, Misnamed> {
    let misplaced = |key, why: &str| {
        let message = format!("`{key}` goes with {why}");
        Err(Misnamed { key, message, hint: format!("add it, or leave `{key}` out") })
    };
    match (&spelling.proto, &spelling.message) {
        (Some(_), _) if spelling.format != Format::Protobuf => misplaced("proto", "`format = \"protobuf\"`"),
        (None, Some(_)) => misplaced("message", "`proto`, the file that has it"),
        (None, None) => Ok(None),
        (Some(proto), message) => {
            let message = protobuf::named(root, proto, message.as_deref())?;
            Ok(Some(message.columns().map(|(name, _)| name.to_owned()).collect()))
        }
    }
}

impl SourceOptions {
    /// The fields of the message that is named; `None` = none is. Fails where the file or the message is not there.
    pub fn fields(&self, root: &Path) -> Result<Option<Vec<String>>, Misnamed> {
        let Self { delimiter, value, proto, message, .. } = self.clone();
        let format = self.format.unwrap_or_default();
        named_fields(root, &Spelling { format, delimiter, value, proto, message })
    }

    /// Whether a schema registry says what messages are.
    pub fn wants_registry(&self) -> bool {
        self.spelling().is_some_and(|spelling| spelling.is_framed())
    }

    /// The columns that take what is beside a message's content.
    pub fn beside(&self) -> impl Iterator<Item = &String> {
        [&self.message_key, &self.timestamp, &self.headers, &self.partition, &self.offset]
            .into_iter()
            .flatten()
    }

    /// How messages are spelled, where that is said.
    pub(super) fn spelling(&self) -> Option<Spelling> {
        let format = self.format?;
        let Self { delimiter, value, proto, message, .. } = self.clone();
        Some(Spelling { format, delimiter, value, proto, message })
    }
}

impl SinkOptions {
    /// As [`SourceOptions::fields`].
    pub fn fields(&self, root: &Path) -> Result<Option<Vec<String>>, Misnamed> {
        named_fields(root, &self.spelling())
    }

    /// Whether a schema registry says what messages are.
    pub fn wants_registry(&self) -> bool {
        self.spelling().is_framed()
    }

    /// How messages are spelled.
    pub(super) fn spelling(&self) -> Spelling {
        let Self { format, delimiter, value, proto, message, .. } = self.clone();
        Spelling { format, delimiter, value, proto, message }
    }

    /// The columns that become parts of a message beside its content.
    pub(super) fn beside(&self) -> impl Iterator<Item = &String> {
        self.message_key.iter().chain(&self.timestamp).chain(&self.headers)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Raw => "raw",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        })
    }
}

/// What `transaction_timeout` is unless told, and at least.
const TRANSACTION: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(1));

impl Config {
    /// How long a transaction may be open before the cluster ends it.
    pub(super) fn transaction(&self) -> Duration {
        let (usual, least) = TRANSACTION;
        self.transaction_timeout.map_or(usual, Span::get).max(least)
    }

    /// What a topic can promise as a source.
    pub fn source_facts(&self, spec: &SourceSpec) -> SourceFacts {
        if spec.whole {
            return SourceFacts { reading: Reading::Whole, replays: false };
        }
        let held =
            "topics are read before their retention deletes messages; what was deleted unread is an error";
        SourceFacts { reading: Reading::Ranges(Order::Assuming(held.to_owned())), replays: true }
    }

    /// What a topic can promise as a sink.
    pub fn sink_facts(&self, _: &SinkSpec) -> SinkFacts {
        let committed =
            "readers of the topic take committed messages only (`isolation.level=read_committed`)";
        SinkFacts {
            weak: None,
            assuming: vec![committed.to_owned()],
            modes: vec![Mode::Append],
            slice: SliceLimit::default(),
            linger: LINGER,
        }
    }
}

impl Security {
    /// What of it does not go together, and what to do.
    pub(super) fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let (users, kerberos) = (self.protocol.has_users(), self.mechanism == Some(Mechanism::Gssapi));
        let named = self.user.is_some() || self.password.is_some();
        if !users && (named || self.mechanism.is_some() || self.kerberos.is_some()) {
            let hint = "set `security.protocol` to \"sasl_ssl\", or take the user off";
            return Some(("its protocol has no users", hint));
        }
        if kerberos != self.kerberos.is_some() {
            let hint = "set `security.kerberos` and `security.mechanism = \"GSSAPI\"`, or neither";
            return Some(("Kerberos goes with the mechanism GSSAPI", hint));
        }
        if kerberos && named {
            return Some(("GSSAPI has no password", "take `security.user` and `security.password` off"));
        }
        if self.kerberos.as_ref().is_some_and(|kerberos| !kerberos.is_plain()) {
            let hint =
                "a principal has letters, digits and `.` `_` `-` `/` `@`, and a keytab's path no quotes";
            return Some(("its principal or keytab cannot be used", hint));
        }
        if kerberos && !cfg!(feature = "gssapi") {
            return Some(("this program was built without GSSAPI", "build it with `--features gssapi`"));
        }
        if users && !kerberos && (self.user.is_none() || self.password.is_none()) {
            return Some(("its protocol wants a user", "set `security.user` and `security.password`"));
        }
        None
    }
}

impl Kerberos {
    /// The client library hands these to a shell, for `kinit`.
    fn is_plain(&self) -> bool {
        let name = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/@".contains(&byte))
                && !text.starts_with('-')
                && !text.is_empty()
        };
        name(&self.principal)
            && self.service.as_deref().is_none_or(name)
            && !self.keytab.contains(['"', '\'', '\\', '$', '`', '\n', '%'])
    }
}

impl Protocol {
    /// As clients of Kafka spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether clients say who they are.
    pub(super) fn has_users(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Mechanism {
    /// As clients of Kafka spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Gssapi => "GSSAPI",
        }
    }
}
