//! What a project does not do as it should, as it is told to people and programs.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// The last run failed.
    RunFailed,
    /// The last run failed because a check blocks its rows; the table keeps its old ones.
    CheckBlocked,
    /// A pipeline or mart is older than its `[freshness]` allows.
    Stale,
}

impl TroubleKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RunFailed, Self::CheckBlocked, Self::Stale];

    /// As it is written and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::CheckBlocked => "check_blocked",
            Self::Stale => "stale",
        }
    }

    /// The other way round.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether two are one trouble as long as it lasts: a run that fails is no other trouble when it fails in another way.
    pub fn is_like(self, other: Self) -> bool {
        (self == Self::Stale) == (other == Self::Stale)
    }
}

/// One thing that is wrong, and stays the same one until it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub kind: TroubleKind,
    /// With whom: a member as users name it, of what is stale the pipeline or mart.
    pub name: String,
    /// Since when it is known.
    pub since: DateTime<Utc>,
    /// Why, for people. No cell value and no secret is in it.
    pub why: String,
    /// The run that failed.
    pub run: Option<String>,
}
