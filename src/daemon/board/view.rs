//! What the board tells of a member: for `status`, the health page, a console.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Board, rule::Rule};

/// Where one member's schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// As users write it.
    pub name: String,
    /// What it does.
    pub state: SlotState,
    /// The next instant of its schedule.
    pub next: Option<DateTime<Utc>>,
    /// Instants that got no run of their own, since it has its schedule.
    pub left_out: u64,
}

/// What a member does under the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// A run goes.
    Runs,
    /// A run goes, and follows its source.
    Follows,
    /// A run is due, and waits for its turn, or for runs of those that it reads from.
    Due,
    /// Waits for an instant, or for others.
    Waits,
    /// Failed, and is tried again at an instant.
    Retries(DateTime<Utc>),
    /// The last run of one that it comes after failed.
    BlockedBy(String),
    /// Runs by hand alone.
    ByHand,
}

impl Board {
    /// Where every member stands, in the project's order.
    pub(in crate::daemon) fn view(&self, now: DateTime<Utc>) -> Vec<SlotView> {
        self.slots
            .iter()
            .map(|slot| SlotView {
                name: slot.name.clone(),
                state: self.state(slot, now),
                next: slot.instant,
                left_out: slot.keep.left_out,
            })
            .collect()
    }

    fn state(&self, slot: &super::Slot, now: DateTime<Utc>) -> SlotState {
        if let Some(at) = slot.keep.retry_at.filter(|at| *at > now) {
            return SlotState::Retries(at);
        }
        if let Some(doing) = slot.doing {
            return if doing.follows { SlotState::Follows } else { SlotState::Runs };
        }
        if let Some(by) = slot.blocked_by {
            return SlotState::BlockedBy(self.slots[by].name.clone());
        }
        match slot.rule {
            Rule::ByHand => SlotState::ByHand,
            _ if slot.keep.owed > 0 => SlotState::Due,
            _ => SlotState::Waits,
        }
    }
}
