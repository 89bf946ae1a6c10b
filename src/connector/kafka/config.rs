//! What users write about a Kafka cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Where the schemas of Avro messages are, for `format = "avro"`.
    pub registry: Option<Registry>,
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
}

/// How messages are spelled, as a source, a sink or the writer of the topic says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spelling {
    pub(super) format: Format,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delimiter: Option<char>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
}

impl SourceOptions {
    /// How messages are spelled, where that is said.
    pub(super) fn spelling(&self) -> Option<Spelling> {
        let format = self.format?;
        Some(Spelling { format, delimiter: self.delimiter, value: self.value.clone() })
    }
}

impl SinkOptions {
    /// How messages are spelled.
    pub(super) fn spelling(&self) -> Spelling {
        Spelling { format: self.format, delimiter: self.delimiter, value: self.value.clone() }
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
        })
    }
}

impl Config {
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
        }
    }
}
