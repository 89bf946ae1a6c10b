//! What the daemon hears of its runs: how far they are, and what the board must know of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Daemon, lock};
use crate::{
    model::name::Track,
    run::event::{Event, Observer},
};

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Going {
    /// When it began.
    pub since: DateTime<Utc>,
    /// Rows read so far, bad ones included.
    pub read: u64,
    /// Rows written so far.
    pub written: u64,
    /// Bad rows so far.
    pub bad: u64,
}

/// Runs that go, by the member's name.
pub(super) type AllGoing = BTreeMap<String, Going>;

/// Listens to runs, and passes on what it hears to whoever asked for them.
pub(super) struct Watching {
    daemon: Weak<Daemon>,
    inner: Option<Arc<dyn Observer>>,
}

impl Watching {
    pub(super) fn of(daemon: &Arc<Daemon>, inner: Option<&Arc<dyn Observer>>) -> Arc<dyn Observer> {
        Arc::new(Self { daemon: Arc::downgrade(daemon), inner: inner.cloned() })
    }
}

impl Observer for Watching {
    fn event(&self, track: &Track, event: &Event) {
        if let Some(daemon) = self.daemon.upgrade() {
            // A window that is tried again has its member wait.
            daemon.hear(&track.of_member().name(), event);
        }
        if let Some(inner) = &self.inner {
            inner.event(track, event);
        }
    }
}

impl Daemon {
    fn hear(&self, name: &str, event: &Event) {
        self.count(name, event);
        match event {
            Event::Committed { .. } => {
                let mut board = self.board();
                if let Some(slot) = board.find(name) {
                    board.committed(slot);
                }
                drop(board);
                self.wake.notify_one();
            }
            Event::Retrying { wait, attempt, .. } => {
                // As it is kept.
                let at = (self.clock.now() + TimeDelta::from_std(*wait).unwrap_or_default()).trunc_subsecs(6);
                let mut board = self.board();
                if let Some(slot) = board.find(name) {
                    board.retrying(slot, *attempt, at);
                }
                drop(board);
                self.keep();
            }
            Event::Started
            | Event::Planned { .. }
            | Event::Windows { .. }
            | Event::Read { .. }
            | Event::Note(_)
            | Event::Finished => {}
        }
    }

    fn count(&self, name: &str, event: &Event) {
        let mut all = lock(&self.going);
        match event {
            Event::Started => {
                let going = Going { since: self.clock.now(), read: 0, written: 0, bad: 0 };
                all.insert(name.to_owned(), going);
            }
            Event::Finished => drop(all.remove(name)),
            Event::Read { rows, bad } => {
                if let Some(going) = all.get_mut(name) {
                    going.read += rows + bad;
                    going.bad += bad;
                }
            }
            Event::Committed { rows, .. } => {
                if let Some(going) = all.get_mut(name) {
                    going.written += rows;
                }
            }
            Event::Planned { .. } | Event::Windows { .. } | Event::Retrying { .. } | Event::Note(_) => {}
        }
    }
}
