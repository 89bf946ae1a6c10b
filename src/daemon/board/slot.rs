//! One member on the board.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{LONGEST_QUEUE, due, rule::Rule};
use crate::{
    config::{
        lineage::Node,
        project::{Concurrency, Retry},
    },
    model::name::{JobName, Member},
    run::event::RunState,
    state::{history::RunStatus, standing::Standing},
};

/// Before a run that never ends begins again after its first failure; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// That is also the longest wait between two tries of any run.
const LONGEST_WAIT: Duration = Retry::LONGEST_WAIT;

/// One member.
#[derive(Debug)]
pub(in crate::daemon) struct Slot {
    pub job: JobName,
    pub member: Member,
    /// As users write it.
    pub name: String,
    pub(super) rule: Rule,
    /// The next instant of its schedule: worked out once each, not at every look.
    pub(super) instant: Option<DateTime<Utc>>,
    /// What survives a restart.
    pub(super) keep: Standing,
    /// It must be written.
    pub(super) changed: bool,
    pub(super) doing: Option<Doing>,
    /// How many want it left alone.
    pub(super) held: u32,
    /// The slots that it reads from, whatever its schedule.
    pub(super) reads: Vec<usize>,
    /// Upstream slots whose runs are waited for.
    pub(super) waits: BTreeSet<usize>,
    /// Upstream slots whose runs at hand were waited for long enough.
    pub(super) passed: BTreeSet<usize>,
    /// Its schedule of time owes it a run, and nobody has looked yet whom that waits for.
    pub(super) unasked: bool,
    pub(super) blocked_by: Option<usize>,
    /// It may have moved something that nobody was told of: before this board was made, or in a run that did not end well.
    pub(super) unsure: bool,
}

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) struct Doing {
    /// Tries that had failed when it began, before a restart.
    pub failed: u32,
    /// It follows its source, and ends when it is told to.
    pub follows: bool,
}

impl Slot {
    pub(super) fn new(
        node: &Node,
        rule: Rule,
        known: impl FnOnce(&str) -> Option<Standing>,
        now: DateTime<Utc>,
    ) -> Self {
        let name = match node.member.key() {
            key if key.is_empty() => node.job.to_string(),
            key => format!("{}/{key}", node.job),
        };
        let text = rule.text();
        let known = known(&name);
        let ended = known.as_ref().and_then(|known| known.ended);
        let same = known.filter(|known| known.rule == text);
        let changed = same.is_none();
        let keep = same.unwrap_or_else(|| Standing {
            name: name.clone(),
            rule: text,
            seen: now,
            owed: 0,
            left_out: 0,
            failed: 0,
            retry_at: None,
            ended,
        });
        Self {
            job: node.job.clone(),
            member: node.member.clone(),
            name,
            instant: rule.next(keep.seen),
            reads: node.upstream.clone(),
            // What the last daemon left owed waits as what becomes due now.
            unasked: matches!(rule, Rule::Timed { .. }) && keep.owed > 0,
            rule,
            keep,
            changed,
            doing: None,
            held: 0,
            waits: BTreeSet::new(),
            passed: BTreeSet::new(),
            blocked_by: None,
            unsure: true,
        }
    }

    /// Its run, while one goes.
    pub(in crate::daemon) fn doing(&self) -> Option<Doing> {
        self.doing
    }

    /// Whether something of it runs or is about to, and will end.
    pub(super) fn is_busy(&self) -> bool {
        !self.rule.is_continuous() && (self.doing.is_some() || self.keep.owed > 0)
    }

    /// Looks at its schedule.
    pub(super) fn look(&mut self, now: DateTime<Utc>) {
        // No wait is longer: one that ends later was begun by a clock that was wrong.
        let longest = now + LONGEST_WAIT;
        if self.keep.retry_at.is_some_and(|at| at > longest) {
            self.keep.retry_at = Some(longest);
            self.changed = true;
        }
        let Rule::Timed { timing, misfire, concurrency } = &self.rule else { return };
        let concurrency = *concurrency;
        let nothing = now >= self.keep.seen && self.instant.is_none_or(|instant| now < instant);
        if nothing {
            return;
        }
        let found = due(timing, *misfire, self.keep.seen, now);
        if found.seen != self.keep.seen {
            self.keep.seen = found.seen;
            self.instant = self.rule.next(found.seen);
        }
        if found.runs == 0 && found.left_out == 0 {
            return;
        }
        let room = match concurrency {
            _ if !self.is_busy() && self.held == 0 => LONGEST_QUEUE,
            Concurrency::Queue => LONGEST_QUEUE.saturating_sub(self.keep.owed),
            Concurrency::Skip => 0,
        };
        let runs = found.runs.min(room);
        if self.keep.owed > 0 && self.doing.is_none() {
            // It has waited since an instant before: not past this one.
            self.passed.append(&mut self.waits);
        } else {
            self.unasked |= runs > 0;
        }
        self.keep.owed += runs;
        self.keep.left_out += u64::from(found.left_out + (found.runs - runs));
        self.changed = true;
    }

    /// Whether it is to begin, as far as it can tell itself.
    pub(super) fn is_free(&self, now: DateTime<Utc>) -> bool {
        let wanted = self.rule.is_continuous() || self.keep.owed > 0;
        let waited = self.keep.retry_at.is_none_or(|at| at <= now);
        wanted && waited && self.doing.is_none() && self.held == 0
    }

    /// When to look at it again.
    pub(super) fn wakes(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let retry = self.keep.retry_at.filter(|at| *at > now && self.doing.is_none());
        let instant = self.instant.filter(|at| *at > now);
        retry.into_iter().chain(instant).min()
    }

    pub(super) fn begin(&mut self) {
        let follows = self.rule.is_continuous();
        self.doing = Some(Doing { failed: if follows { 0 } else { self.keep.failed }, follows });
        self.keep.retry_at = None;
        self.waits.clear();
        if follows {
            self.keep.ended = None;
        }
        self.changed = true;
    }

    pub(super) fn retrying(&mut self, failed: u32, at: DateTime<Utc>) {
        if self.doing.is_some_and(|doing| !doing.follows) {
            (self.keep.failed, self.keep.retry_at) = (failed, Some(at));
            self.changed = true;
        }
    }

    pub(super) fn ended(&mut self, state: RunState, now: DateTime<Utc>) {
        let follows = self.doing.take().is_some_and(|doing| doing.follows);
        self.changed = true;
        match state {
            // Cut short by a stop: it is still owed, and its failures count.
            RunState::Cancelled | RunState::Running => {}
            RunState::Failed if follows => {
                self.keep.failed = self.keep.failed.saturating_add(1);
                let doubled =
                    FIRST_WAIT.saturating_mul(1 << (self.keep.failed - 1).min(20)).min(LONGEST_WAIT);
                self.keep.retry_at = TimeDelta::from_std(doubled).ok().map(|wait| now + wait);
                self.keep.ended = Some(RunStatus::Failed);
            }
            RunState::Done | RunState::Failed | RunState::Blocked => {
                self.keep.owed = self.keep.owed.saturating_sub(1);
                (self.keep.failed, self.keep.retry_at) = (0, None);
                self.keep.ended = Some(status(state));
            }
        }
    }

    pub(super) fn ended_by_hand(&mut self, state: RunState) {
        if matches!(state, RunState::Done | RunState::Failed) {
            self.keep.ended = Some(status(state));
            self.changed = true;
        }
        if state == RunState::Done {
            // What was blocked or waiting for a retry need not wait any longer.
            (self.keep.failed, self.keep.retry_at) = (0, None);
        }
    }

    /// Whether a run that ended has, or may have, moved what others read.
    pub(super) fn has_moved(&mut self, state: RunState, moved: bool) -> bool {
        let unseen = moved || self.unsure;
        let done = state == RunState::Done;
        self.unsure = unseen && !done;
        unseen && done
    }

    /// An upstream ended well. What is owed a run already goes on waiting for whom it waited for, and for nobody else.
    pub(super) fn follow(&mut self, waits: BTreeSet<usize>) {
        let going = u32::from(self.doing.is_some());
        if self.keep.owed <= going {
            self.waits = waits;
        }
        self.keep.owed = going + 1;
        self.changed = true;
    }

    /// A run besides those of its schedule; one at hand may have begun too early to be it.
    pub(super) fn owe(&mut self) -> bool {
        let going = u32::from(self.doing.is_some());
        if matches!(self.rule, Rule::ByHand | Rule::Continuous) || self.keep.owed > going {
            return false;
        }
        self.keep.owed = going + 1;
        self.waits.clear();
        self.changed = true;
        true
    }

    /// It has committed something: tries that failed before that count no longer.
    pub(super) fn works(&mut self) {
        if self.keep.failed > 0 || self.keep.retry_at.is_some() {
            (self.keep.failed, self.keep.retry_at) = (0, None);
            self.changed = true;
        }
    }
}

fn status(state: RunState) -> RunStatus {
    match state {
        RunState::Done => RunStatus::Done,
        RunState::Failed => RunStatus::Failed,
        RunState::Blocked => RunStatus::Blocked,
        RunState::Cancelled => RunStatus::Cancelled,
        RunState::Running => RunStatus::Running,
    }
}
