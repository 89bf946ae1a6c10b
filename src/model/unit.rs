//! What one commit writes (unit), and what a sink remembers of it (record).

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{name::AttemptId, position::Position, value::Value};

/// Hidden column of a source's rows on their way: the row's number in its unit, in reading order
/// (`UInt64`, not null). It goes through the SQL, so that every result row names the source row it came from, and is taken off before a sink sees the rows.
pub const ORDINAL: &str = "_vitrina_row";

/// Boolean column that a merge with `delete` hands to its sink: true = this key is deleted.
/// With `how = "soft"` it is also a column of the target.
pub const DELETED: &str = "_deleted";

/// How big a slice may be; soft, because equal cursor values are never split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceLimit {
    /// Rows; 200,000 unless the sink or the pipeline says another number.
    pub rows: u64,
    /// Bytes as Arrow, estimated; 64 MiB unless the sink or the pipeline says another number.
    pub bytes: u64,
}

impl SliceLimit {
    /// How many rows fit, of so many bytes each; at least one.
    pub fn rows_of(self, bytes: f64) -> u64 {
        self.rows.min((self.bytes as f64 / bytes.max(1.0)) as u64).max(1)
    }
}

impl Default for SliceLimit {
    fn default() -> Self {
        Self { rows: 200_000, bytes: 64 << 20 }
    }
}

/// What one commit writes, decided before any row is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unit {
    /// What part of source and target it is.
    pub scope: Scope,
    /// How far the track is once it is committed.
    pub after: Progress,
    /// The source rows' schema, without [`ORDINAL`]: pinned here, a change of it ends a slice.
    #[serde(with = "schema_as_ipc")]
    pub schema: SchemaRef,
    /// Rows in the source, where known before reading: what a progress bar ends at.
    pub rows: Option<u64>,
    /// So many, about, as the source's statistics have it, where to know them would take reading them.
    #[serde(default)]
    pub about: Option<u64>,
}

/// Which part a unit is. Slices go with append and merge, snapshots with replace and merge,
/// windows with window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    /// A bounded range of the source: after `from` (`None` = from its beginning) up to and with `Unit::after`.
    Slice {
        /// Where it begins; may be the end of a slice that is not committed yet.
        from: Option<Position>,
    },
    /// The whole table, one generation; never split.
    Snapshot,
    /// Rows of the target whose `column` lies in `from .. until` are replaced.
    Window {
        /// The target's window column.
        column: String,
        /// In.
        from: Value,
        /// Out.
        until: Value,
    },
}

/// How far a track is: in a source, or which build of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// Nothing has been read (a position that was reset).
    Start,
    /// A pipeline's position.
    Position(Position),
    /// That of a pipeline whose source was read again from its beginning: what was made of the rows from before may be wrong.
    Anew {
        /// The sequence number of the first commit of the last such reading.
        since: u64,
        /// The position.
        position: Position,
    },
    /// A mart's build.
    Build(Build),
}

impl Progress {
    /// The position of a pipeline that has read something.
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Position(position) | Self::Anew { position, .. } => Some(position),
            Self::Start | Self::Build(_) => None,
        }
    }

    /// The sequence number of the commit with which a pipeline began to read its source again; `None` = it has read it once.
    pub fn anew(&self) -> Option<u64> {
        match self {
            Self::Anew { since, .. } => Some(*since),
            Self::Start | Self::Position(_) | Self::Build(_) => None,
        }
    }

    /// A pipeline's position, with the commit from which on its source was read again.
    #[must_use]
    pub fn read_anew(self, since: Option<u64>) -> Self {
        match (self, since) {
            (Self::Position(position) | Self::Anew { position, .. }, Some(since)) => {
                Self::Anew { since, position }
            }
            (other, _) => other,
        }
    }
}

/// What a mart's rows were made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Digest of the SQL and its parameters.
    pub fingerprint: String,
    /// Sequence numbers of the tracks that it read, by track key.
    pub inputs: BTreeMap<String, u64>,
}

/// A track's row in its sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Rises by one with every commit, from 1.
    pub seq: u64,
    /// How far the track is.
    pub progress: Progress,
    /// Who wrote it.
    pub attempt: AttemptId,
    /// When it was committed, by the writer's clock.
    pub at: DateTime<Utc>,
    /// Rows that this commit wrote.
    pub rows: u64,
}

impl Record {
    /// The sequence number after `record`; 1 after none.
    pub fn next_seq(record: Option<&Self>) -> u64 {
        record.map_or(1, |record| record.seq + 1)
    }

    /// What [`Progress::anew`] says once a pipeline has written after `record`: after a reset its source is read again from then on.
    pub fn next_anew(record: Option<&Self>) -> Option<u64> {
        let record = record?;
        if record.progress == Progress::Start { Some(record.seq + 1) } else { record.progress.anew() }
    }
}

/// An Arrow schema as the base64-free hexadecimal of its IPC message: lossless for every type.
mod schema_as_ipc {
    use std::{fmt::Write as _, sync::Arc};

    use arrow::{
        datatypes::SchemaRef,
        ipc::{
            convert::{IpcSchemaEncoder, fb_to_schema},
            root_as_schema,
        },
    };
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(schema: &SchemaRef, s: S) -> Result<S::Ok, S::Error> {
        let bytes = IpcSchemaEncoder::new().schema_to_fb(schema);
        let hex = bytes.finished_data().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        s.serialize_str(&hex)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SchemaRef, D::Error> {
        let hex = String::deserialize(d)?;
        let bytes = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16))
            .collect::<Result<Vec<_>, _>>()
            .map_err(D::Error::custom)?;
        let encoded = root_as_schema(&bytes).map_err(D::Error::custom)?;
        Ok(Arc::new(fb_to_schema(encoded)))
    }
}
