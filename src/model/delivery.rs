//! What a pipeline promises about its rows: a pure function of source, mode and sink.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unit::SliceLimit;

/// How a sink takes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Rows are added.
    Append,
    /// Rows replace those of the same key; the last row of a key, by source position, wins.
    Merge,
    /// The whole table (or the member's partition of it) is replaced, at once.
    Replace,
    /// The rows of one time window are replaced, at once.
    Window,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Append => "append",
            Self::Merge => "merge",
            Self::Replace => "replace",
            Self::Window => "window",
        })
    }
}

/// What a source can keep of a promise; derived from its configuration alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// How it is read.
    pub reading: Reading,
    /// Whether the same unit read twice gives the same rows.
    pub replays: bool,
}

/// How a source is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// In ranges, by a cursor or as a log.
    Ranges(Order),
    /// Whole, one consistent generation at a time.
    Whole,
}

/// Whether new rows always lie behind old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Always.
    Sure,
    /// As long as this holds.
    Assuming(String),
    /// Rows may be passed over, because of this.
    MayMiss(String),
    /// Rows that show up late are met by reading an overlap again; only a merge takes it without doubling.
    Overlap,
    /// Rows are read again, because of this; only a merge takes them without doubling.
    Again(String),
}

/// What a sink can keep of a promise; derived from its configuration alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkFacts {
    /// `None` = rows and record become visible at the same instant, or every row is there once after
    /// recovery; otherwise why not.
    pub weak: Option<String>,
    /// What the promise rests on (one daemon per table, a dedup window …).
    pub assuming: Vec<String>,
    /// Modes that it can do.
    pub modes: Vec<Mode>,
    /// How big a slice is unless the pipeline says: small where others wait for a commit.
    pub slice: SliceLimit,
    /// The least time between two rounds of a run that follows its source: news gather meanwhile.
    pub linger: Duration,
}

/// [`SinkFacts::linger`] of places where a commit costs little.
pub const LINGER: Duration = Duration::from_millis(50);

/// What reaches the sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Delivery {
    /// Every row once.
    ExactlyOnce {
        /// What it rests on; empty = on nothing but the places' own durability.
        assuming: Vec<String>,
    },
    /// Every row, some of them perhaps again.
    AtLeastOnce {
        /// Why not better.
        why: String,
    },
    /// Some rows may never come.
    MayMiss {
        /// Why not better.
        why: String,
    },
}

/// A promise that a pipeline may write down, when it wants less than exactly once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryLevel {
    /// Some rows may never come.
    MayMiss,
    /// Every row, some of them perhaps again.
    AtLeastOnce,
    /// Every row once.
    #[default]
    ExactlyOnce,
}

impl Delivery {
    /// The level alone.
    pub fn level(&self) -> DeliveryLevel {
        match self {
            Self::ExactlyOnce { .. } => DeliveryLevel::ExactlyOnce,
            Self::AtLeastOnce { .. } => DeliveryLevel::AtLeastOnce,
            Self::MayMiss { .. } => DeliveryLevel::MayMiss,
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExactlyOnce { assuming } if assuming.is_empty() => f.write_str("exactly once"),
            Self::ExactlyOnce { assuming } => write!(f, "exactly once, assuming {}", assuming.join("; ")),
            Self::AtLeastOnce { why } => write!(f, "at least once: {why}"),
            Self::MayMiss { why } => write!(f, "may miss rows: {why}"),
        }
    }
}

/// The promise of a pipeline.
pub fn delivery(source: &SourceFacts, mode: Mode, sink: &SinkFacts) -> Delivery {
    let mut assuming = sink.assuming.clone();
    match &source.reading {
        Reading::Whole | Reading::Ranges(Order::Sure) => {}
        Reading::Ranges(Order::Assuming(what)) => assuming.insert(0, what.clone()),
        Reading::Ranges(Order::MayMiss(why)) => return Delivery::MayMiss { why: why.clone() },
        Reading::Ranges(Order::Again(_)) if mode == Mode::Merge => {}
        Reading::Ranges(Order::Again(why)) => {
            return Delivery::AtLeastOnce { why: format!("{why}, and {mode} cannot tell its rows apart") };
        }
        Reading::Ranges(Order::Overlap) if mode == Mode::Merge => {
            assuming.insert(0, "no row shows up later than the overlap".to_owned());
        }
        Reading::Ranges(Order::Overlap) => {
            return Delivery::AtLeastOnce {
                why: format!("an overlap is read again and {mode} cannot tell its rows apart"),
            };
        }
    }
    match &sink.weak {
        Some(why) if mode == Mode::Append => Delivery::AtLeastOnce { why: why.clone() },
        _ => Delivery::ExactlyOnce { assuming },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(weak: Option<&str>) -> SinkFacts {
        SinkFacts {
            weak: weak.map(str::to_owned),
            assuming: vec![],
            modes: vec![],
            slice: SliceLimit::default(),
            linger: LINGER,
        }
    }

    fn source(order: Order) -> SourceFacts {
        SourceFacts { reading: Reading::Ranges(order), replays: true }
    }

    #[test]
    fn levels() {
        let level = |order, mode, weak| delivery(&source(order), mode, &sink(weak)).level();
        assert_eq!(level(Order::Sure, Mode::Append, None), DeliveryLevel::ExactlyOnce);
        assert_eq!(level(Order::Sure, Mode::Append, Some("no transactions")), DeliveryLevel::AtLeastOnce);
        assert_eq!(level(Order::Sure, Mode::Merge, Some("no transactions")), DeliveryLevel::ExactlyOnce);
        assert_eq!(level(Order::Overlap, Mode::Append, None), DeliveryLevel::AtLeastOnce);
        assert_eq!(level(Order::Overlap, Mode::Merge, None), DeliveryLevel::ExactlyOnce);
        assert_eq!(level(Order::Again("changed".into()), Mode::Append, None), DeliveryLevel::AtLeastOnce);
        assert_eq!(level(Order::Again("changed".into()), Mode::Merge, None), DeliveryLevel::ExactlyOnce);
        assert_eq!(level(Order::MayMiss("VACUUM".into()), Mode::Merge, None), DeliveryLevel::MayMiss);
    }
}
