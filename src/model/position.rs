//! How far a track is.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::value::Value;

/// What a position is a position *in*. Two positions compare only inside one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// The kind of connection: `sqlite`, `delta`, `generate`.
    pub kind: String,
    /// What is read, as its connector names it: database and table, cluster and topic id.
    pub place: String,
    /// What orders it: cursor column and its type, `offset`, `version`; a generator's fingerprint.
    pub order: String,
}

/// A point in one partition: everything up to and including `at` has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Compared left to right: `[cursor, tie]`, `[offset]`, `[version]`.
    pub at: Vec<Value>,
    /// A digest of what lay at this point when it was read, where the source can tell: disagreement later
    /// means that the source was made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<String>,
}

impl Bound {
    /// A bound without witness.
    pub fn at(at: Vec<Value>) -> Self {
        Self { at, witness: None }
    }
}

/// How far a track is in its source: an identity, and a bound per partition. A partition that is
/// missing has not been read at all. Sources of one partition name it `""`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The source it is valid for.
    pub source: SourceIdentity,
    /// Bounds by partition.
    pub partitions: BTreeMap<String, Bound>,
}

impl Position {
    /// A position of a source of one partition; `None` = its very beginning.
    pub fn single(source: SourceIdentity, bound: Option<Bound>) -> Self {
        let partitions = bound.map(|bound| (String::new(), bound)).into_iter().collect();
        Self { source, partitions }
    }

    /// The bound of a source of one partition.
    pub fn bound(&self) -> Option<&Bound> {
        self.partitions.get("")
    }
}

/// Partitions that are told to people; of more, these and how many there are besides.
const TOLD: usize = 12;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.partitions.is_empty() {
            return f.write_str("the beginning");
        }
        for (i, (partition, bound)) in self.partitions.iter().take(TOLD).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let name = if partition.is_empty() { String::new() } else { format!("{partition}: ") };
            let at = bound.at.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / ");
            write!(f, "{separator}{name}{at}")?;
        }
        match self.partitions.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
