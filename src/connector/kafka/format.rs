//! How the content of messages is spelled: as the project says, as whoever of ours writes the topic left it, or as JSON.

use std::sync::Arc;

use arrow::datatypes::Schema;

use super::{
    client::Cluster,
    config::{Format, Spelling},
    protobuf::{self, Message},
    registry::{Kind, Registry},
};
use crate::connector::error::{Error, ErrorKind, Result};

/// The column of `raw`, unless told.
const VALUE: &str = "value";

/// How content is read.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// An object a message.
    Json,
    /// A record a message; its columns in their order.
    Csv { delimiter: u8, columns: Arc<[String]> },
    /// The whole message is one column.
    Raw { column: String },
    /// A record a message, of a schema that the message names.
    Framed { registry: Arc<Registry>, kind: Kind },
    /// A Protobuf message a message, of a file of the project.
    Bare(Arc<Message>),
}

impl Body {
    /// `columns` = those of a record, where the spelling does not name them.
    pub(super) fn new(cluster: &Cluster, spelling: &Spelling, columns: &[String]) -> Result<Self> {
        Ok(match spelling.format {
            Format::Json => Self::Json,
            Format::Raw => Self::Raw { column: spelling.column().to_owned() },
            Format::Avro => Self::Framed { registry: registry(cluster, Format::Avro)?, kind: Kind::Avro },
            Format::Protobuf => match message(cluster, spelling)? {
                Some(message) => Self::Bare(Arc::new(message)),
                None => Self::Framed { registry: registry(cluster, Format::Protobuf)?, kind: Kind::Protobuf },
            },
            Format::Csv => Self::Csv { delimiter: spelling.delimiter(cluster)?, columns: columns.into() },
        })
    }
}

/// The connection's registry.
pub(super) fn registry(cluster: &Cluster, wants: Format) -> Result<Arc<Registry>> {
    cluster.registry.clone().ok_or_else(|| {
        let message = format!("{} has no schema registry, which the format {wants} wants", cluster.shown());
        Error::new(ErrorKind::Unsupported, message).hint("set `registry.url` in the connection")
    })
}

/// The message of the project that a spelling names; `None` = messages name their schemas.
pub(super) fn message(cluster: &Cluster, spelling: &Spelling) -> Result<Option<Message>> {
    let Some(proto) = &spelling.proto else {
        return Ok(None);
    };
    let named = protobuf::named(&cluster.root, proto, spelling.message.as_deref());
    named.map(Some).map_err(|wrong| {
        let message = format!("{}: {}", cluster.shown(), wrong.message);
        Error::new(ErrorKind::Unsupported, message).hint(wrong.hint)
    })
}

impl Spelling {
    /// The column of `raw`.
    pub(super) fn column(&self) -> &str {
        self.value.as_deref().unwrap_or(VALUE)
    }

    /// What stands between the fields of `csv`.
    pub(super) fn delimiter(&self, cluster: &Cluster) -> Result<u8> {
        match u8::try_from(self.delimiter.unwrap_or(',')) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
            _ => {
                let message =
                    format!("{}: `delimiter` must be one ASCII character, no quote", cluster.shown());
                Err(Error::new(ErrorKind::Unsupported, message).hint("take `,`, `;`, `|` or a tab"))
            }
        }
    }
}

/// The names of a schema's columns.
pub(super) fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}
