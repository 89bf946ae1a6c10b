//! What a table of ours is for, written into its comment: the stages of units on their way.
//!
//! | table | |
//! |---|---|
//! | `_vitrina_stage_…` | rows that nobody has decided about |
//! | `_vitrina_keys_…` | beside it, for a merge: the rows as they came, numbered |
//! | `_vitrina_unit_TRACK_SEQ` | a stage that was decided to be the unit of this track and sequence number |
//! | `_vitrina_mix_TARGET_…` | partitions that are to take the place of the target's, made of theirs and of a window (`window.rs`) |

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{
    name::{AttemptId, Track},
    unit::Record,
    value::Value,
};

pub(super) const STAGE: &str = "_vitrina_stage_";
pub(super) const KEYS: &str = "_vitrina_keys_";
pub(super) const UNIT: &str = "_vitrina_unit_";
const MIX: &str = "_vitrina_mix_";

/// What a stage is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The table that the rows are for.
    pub(super) target: String,
    /// The key of the track.
    pub(super) track: String,
    /// What the track's record is once the unit is committed.
    pub(super) record: Record,
    pub(super) way: Way,
    /// Where tables are replicated: the replica that writes the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replica: Option<String>,
}

/// How rows get from the stage into the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// There are none: only the record moves.
    Record,
    /// Parts are moved.
    Move,
    /// Rows of the target go first, then parts are moved.
    ClearAndMove(Clear),
    /// The stage's one partition takes the place of the target's.
    Partition(String),
    /// The stage's rows take the place of the target's rows of this window, partition by partition.
    Window {
        /// The column.
        column: String,
        /// In.
        from: Value,
        /// Out.
        until: Value,
    },
    /// The stage takes the target's place.
    Exchange,
}

impl Way {
    /// Whether the rows take the place of others whole, so that a unit which is given up and built again doubles none.
    pub(super) fn takes_a_place(&self) -> bool {
        matches!(self, Self::Partition(_) | Self::Window { .. } | Self::Exchange)
    }
}

/// The rows of the target that go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Clear {
    /// Those with keys that are in this table.
    Keys {
        /// A table of ours.
        of: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// Those with these values: a member's own ones.
    Equal(Vec<(String, String)>),
}

impl Note {
    pub(super) fn new(target: &str, track: &Track, record: Record, way: Way) -> Self {
        Self { target: target.to_owned(), track: track.key(), record, way, replica: None }
    }

    /// The same, of a unit that this replica writes.
    pub(super) fn by(self, replica: Option<String>) -> Self {
        Self { replica, ..self }
    }

    /// What a comment says; `None` = it is none of ours.
    pub(super) fn parse(comment: &str) -> Option<Self> {
        serde_json::from_str(comment).ok()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The name that the stage takes when it is decided. One table can have it: who is first wins.
    pub(super) fn unit_name(&self) -> String {
        format!("{}{}", units_of(&self.target, &self.track), self.record.seq)
    }
}

/// What the names of a track's decided units begin with.
pub(super) fn units_of(target: &str, track: &str) -> String {
    format!("{UNIT}{}_", digest(&format!("{target}\0{track}")))
}

/// What the names of a target's mixes begin with.
pub(super) fn mixes_of(target: &str) -> String {
    format!("{MIX}{}_", digest(target))
}

fn digest(text: &str) -> String {
    Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name of a stage that nobody else has.
pub(super) fn fresh(kind: &str) -> String {
    format!("{kind}{}", AttemptId::fresh())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unit::Progress;

    #[test]
    fn notes_come_back() {
        let at = chrono::DateTime::from_timestamp_micros(1_767_225_600_123_456).unwrap();
        let record =
            Record { seq: 3, progress: Progress::Start, attempt: AttemptId::parse("a"), at, rows: 7 };
        let way = Way::Window { column: "d'".into(), from: Value::Int(1), until: Value::Date(2) };
        let note = Note { target: "t".into(), track: "p:j/m".into(), record, way, replica: None };
        assert_eq!(Note::parse(&note.text()), Some(note.clone()));
        assert!(!note.text().contains("replica"));
        let note = note.by(Some("0f".into()));
        assert_eq!(Note::parse(&note.text()), Some(note.clone()));
        assert_eq!(Note::parse("orders of the shop"), None);
        assert!(note.unit_name().ends_with("_3"));
        assert_ne!(units_of("t", "x"), units_of("t", "y"));
        assert_ne!(mixes_of("t"), mixes_of("u"));
    }
}
