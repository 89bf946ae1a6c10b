//! Who is due, who runs, who waits for whom: the daemon's one state, pure. It is told what happened and says what to begin;
//! it reads no clock and starts nothing.
//!
//! - A schedule of time owes a run at its instants ([`due`]). While a run is owed or going, another one is left out and counted, or
//!   queued, as `concurrency` says.
//! - `after`: each upstream run that ends well owes a run; `after = "inputs"` only one that moved something. It begins once no upstream run that was going or owed at that moment
//!   still is, so two that end together are followed once, and a busy upstream starves nobody. What ends well while it runs owes one more.
//! - A run that a schedule of time owes waits for the runs of those that it reads from which are going or owed at its instant, and for the runs that follow from these, but not past
//!   its next instant. It waits neither for what is continuous nor for what is blocked, and no failure holds it up: its instant is what was asked for.
//! - An upstream whose last run failed blocks who comes after it, at any distance, until one of its runs ends well.
//! - `continuous` runs always; one that failed begins again after a wait that doubles.
//! - A member whose windows are stale is owed a run besides, where its mart says so.
//! - A run stays owed until it has ended, so one that a crash or a stop cut short is begun again by the next daemon.

#[cfg(test)]
mod life;
mod rule;
mod slot;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use self::rule::Rule;
pub(super) use self::slot::{Doing, Slot};
pub use self::view::{SlotState, SlotView};
use crate::{
    config::{lineage::Lineage, project::Project},
    run::event::{Outcome, RunState},
    schedule::due::due,
    state::{history::RunStatus, standing::Standing},
};

/// Runs of one member that may wait, one behind the other.
const LONGEST_QUEUE: u32 = 100;

/// All members of a project.
#[derive(Debug, Default)]
pub(super) struct Board {
    slots: Vec<Slot>,
    /// Each slot after those that it comes after.
    order: Vec<usize>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Done, failed, cancelled.
    pub state: RunState,
    /// Whether it committed something.
    pub moved: bool,
}

impl Ended {
    pub(super) fn of(outcome: &Outcome) -> Self {
        Self { state: outcome.state, moved: outcome.units > 0 }
    }
}

/// What somebody must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocked {
    /// Who waits.
    pub slot: usize,
    /// For whom.
    pub by: usize,
}

impl Board {
    /// A project's members, as the last daemon left them.
    pub(super) fn new(
        project: &Project,
        lineage: &Lineage,
        known: Vec<Standing>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut known: HashMap<String, Standing> =
            known.into_iter().map(|standing| (standing.name.clone(), standing)).collect();
        let slots = lineage.nodes.iter().map(|node| {
            let rule = Rule::of(project, lineage, node);
            Slot::new(node, rule, |name| known.remove(name), now)
        });
        let order = lineage.order().unwrap_or_else(|cycle| cycle);
        let mut board = Self { slots: slots.collect(), order };
        board.find_blocked();
        board
    }

    /// The members of an edited project; what runs goes on.
    pub(super) fn reloaded(&self, project: &Project, lineage: &Lineage, now: DateTime<Utc>) -> Self {
        let known = self.slots.iter().map(|slot| slot.keep.clone()).collect();
        let mut board = Self::new(project, lineage, known, now);
        for slot in &mut board.slots {
            if let Some(old) = self.slots.iter().find(|old| old.name == slot.name) {
                (slot.doing, slot.held) = (old.doing, old.held);
            }
        }
        board
    }

    /// A member.
    pub(super) fn slot(&self, slot: usize) -> &Slot {
        &self.slots[slot]
    }

    /// All members, in the project's order.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// A member by the name that users write.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name == name)
    }

    /// What is to begin at `now`, in order of dependency; it counts as begun.
    pub(super) fn tick(&mut self, now: DateTime<Utc>) -> Vec<usize> {
        for slot in &mut self.slots {
            slot.look(now);
        }
        self.find_waits();
        let ready: Vec<usize> = self.order.iter().copied().filter(|slot| self.is_ready(*slot, now)).collect();
        for slot in &ready {
            self.begin(*slot);
        }
        ready
    }

    /// When to look again, unless something happens before.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slots.iter().filter_map(|slot| slot.wakes(now)).min()
    }

    /// A run that this board had begun has ended. Who is blocked by that, and was not before?
    pub(super) fn ended(&mut self, slot: usize, run: Ended, now: DateTime<Utc>) -> Vec<Blocked> {
        self.slots[slot].ended(run.state, now);
        self.told_of(slot, run)
    }

    /// A run that somebody asked for has ended, which counts for those that come after it as any other.
    pub(super) fn ended_by_hand(&mut self, slot: usize, run: Ended) -> Vec<Blocked> {
        self.slots[slot].ended_by_hand(run.state);
        self.told_of(slot, run)
    }

    /// A run has written something; those that come after one that never ends follow at once.
    pub(super) fn committed(&mut self, slot: usize) {
        self.slots[slot].works();
        if self.slots[slot].rule.is_continuous() {
            self.owe_followers(slot, true);
        }
    }

    /// A try of the run at hand failed, and the next one comes at an instant.
    pub(super) fn retrying(&mut self, slot: usize, failed: u32, at: DateTime<Utc>) {
        self.slots[slot].retrying(failed, at);
    }

    /// A member is to run once more than its schedule says; whether that is new. One that runs by hand alone is left to hands.
    pub(super) fn owe(&mut self, slot: usize) -> bool {
        self.slots[slot].owe()
    }

    /// Whether a member's runs are followed by those of another by its schedule.
    pub(super) fn comes_after(&self, slot: usize, upstream: usize) -> bool {
        self.slots[slot].rule.upstream().contains(&upstream)
    }

    /// Nothing is begun of these until they are released as often.
    pub(super) fn hold(&mut self, slot: usize) {
        self.slots[slot].held += 1;
    }

    /// See [`hold`](Self::hold).
    pub(super) fn release(&mut self, slot: usize) {
        self.slots[slot].held = self.slots[slot].held.saturating_sub(1);
    }

    /// What has changed since it was last asked, to be kept.
    pub(super) fn take_changed(&mut self) -> Vec<Standing> {
        let changed = self.slots.iter_mut().filter(|slot| slot.changed);
        changed
            .map(|slot| {
                slot.changed = false;
                slot.keep.clone()
            })
            .collect()
    }

    /// Keeping failed: it is tried again with the next change.
    pub(super) fn keep_again(&mut self, standings: &[Standing]) {
        for standing in standings {
            if let Some(slot) = self.find(&standing.name) {
                self.slots[slot].changed = true;
            }
        }
    }

    fn is_ready(&self, index: usize, now: DateTime<Utc>) -> bool {
        let slot = &self.slots[index];
        let held_up = slot.waits.iter().any(|other| self.will_end(*other));
        slot.is_free(now) && !held_up && slot.blocked_by.is_none()
    }

    /// Whether a run of it goes, or is owed and will begin without one by hand.
    fn will_end(&self, slot: usize) -> bool {
        let slot = &self.slots[slot];
        slot.is_busy() && (slot.doing.is_some() || slot.blocked_by.is_none())
    }

    /// For whom those wait that have become due by their schedule of time.
    fn find_waits(&mut self) {
        for slot in 0..self.slots.len() {
            if std::mem::take(&mut self.slots[slot].unasked) {
                let passed = &self.slots[slot].passed;
                let waited = |other: &usize| self.slots[*other].is_busy() && !passed.contains(other);
                let waits = self.before(slot).into_iter().filter(waited).collect();
                self.slots[slot].waits = waits;
            }
        }
    }

    /// Those that a slot reads from, and those that these come after, at any distance.
    fn before(&self, slot: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut left = self.slots[slot].reads.clone();
        while let Some(next) = left.pop() {
            if found.insert(next) {
                left.extend(self.slots[next].rule.upstream());
            }
        }
        found
    }

    fn begin(&mut self, slot: usize) {
        self.slots[slot].begin();
        if self.slots[slot].rule.is_continuous() {
            self.find_blocked();
        }
    }

    fn told_of(&mut self, slot: usize, run: Ended) -> Vec<Blocked> {
        let mut waited = vec![];
        for (index, other) in self.slots.iter_mut().enumerate() {
            other.passed.remove(&slot);
            if other.waits.remove(&slot) {
                waited.push(index);
            }
        }
        let blocked = self.find_blocked();
        let moved = self.slots[slot].has_moved(run.state, run.moved);
        if run.state == RunState::Done && !self.slots[slot].rule.is_continuous() {
            let owed = self.owe_followers(slot, moved);
            self.wait_on(&waited, &owed);
        }
        blocked
    }

    /// Who waited by time for a run waits for those that follow from it, as far as these lie before it. Each step goes down the lineage, so it comes to an end.
    fn wait_on(&mut self, waited: &[usize], followers: &[usize]) {
        for &slot in waited {
            if matches!(self.slots[slot].rule, Rule::Timed { .. }) {
                let before = self.before(slot);
                let more = followers.iter().filter(|follower| before.contains(follower));
                self.slots[slot].waits.extend(more);
            }
        }
    }

    /// Owes a run to those that come after a slot; gives them.
    fn owe_followers(&mut self, upstream: usize, moved: bool) -> Vec<usize> {
        let mut followers = vec![];
        for follower in 0..self.slots.len() {
            let rule = &self.slots[follower].rule;
            if !rule.upstream().contains(&upstream) || !(moved || rule.follows_always()) {
                continue;
            }
            let waits: BTreeSet<usize> = self.slots[follower]
                .rule
                .upstream()
                .iter()
                .copied()
                .filter(|other| *other != upstream && self.slots[*other].is_busy())
                .collect();
            self.slots[follower].follow(waits);
            followers.push(follower);
        }
        followers
    }

    /// Who stands behind a failure, and did not before.
    fn find_blocked(&mut self) -> Vec<Blocked> {
        let mut newly = vec![];
        for &slot in &self.order {
            let stands = |other: &usize| {
                self.slots[*other].keep.ended == Some(RunStatus::Failed)
                    || self.slots[*other].blocked_by.is_some()
            };
            let by = self.slots[slot].rule.upstream().iter().copied().find(stands);
            if let (None, Some(by)) = (self.slots[slot].blocked_by, by) {
                newly.push(Blocked { slot, by });
            }
            self.slots[slot].blocked_by = by;
        }
        newly
    }
}
