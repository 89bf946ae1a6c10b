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
        let Some((last, _)) = self.partitions.last_key_value() else {
            return f.write_str("the beginning");
        };
        // Files, each a partition by its path: they are read in the order of their paths, so the last says it.
        if !last.is_empty() && last.parse::<u32>().is_err() {
            return match self.partitions.len() - 1 {
                0 => f.write_str(last),
                before => write!(f, "{last} and {before} before"),
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(partitions: &[(&str, Value)]) -> String {
        let source = SourceIdentity { kind: "x".to_owned(), place: "x".to_owned(), order: "x".to_owned() };
        let bound = |(name, at): &(&str, Value)| ((*name).to_owned(), Bound::at(vec![at.clone()]));
        Position { source, partitions: partitions.iter().map(bound).collect() }.to_string()
    }

    #[test]
    fn positions_are_told_in_a_line() {
        assert_eq!(told(&[]), "the beginning");
        assert_eq!(told(&[("", Value::Int(7))]), "7");
        assert_eq!(told(&[("0", Value::Int(7)), ("1", Value::Int(8))]), "0: 7, 1: 8");
        assert_eq!(told(&[("в/a.csv", Value::Int(7))]), "в/a.csv");
        assert_eq!(told(&[("a.csv", Value::Int(7)), ("b.csv", Value::Int(8))]), "b.csv and 1 before");
        let names: Vec<String> = (10..25).map(|n| n.to_string()).collect();
        let many: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), Value::Int(1))).collect();
        assert!(told(&many).ends_with("21: 1 and 3 more"), "{}", told(&many));
    }
}
