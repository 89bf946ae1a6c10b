//! What somebody asks of the daemon: its members are left alone meanwhile, and runs that follow their sources make room.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Daemon, board::Ended, lock, watching::Watching};
use crate::{
    connector::error::Result,
    model::{
        name::{JobName, Member},
        unit::Record,
    },
    run::{
        RunOptions,
        event::{Observer, Outcome},
        position::Change,
    },
};

impl Daemon {
    /// Runs members now, as `vitrina run` does: each in its turn, those that come after them hear of it.
    pub async fn run_by_hand(
        self: &Arc<Self>,
        members: &[(JobName, Member)],
        options: &RunOptions,
        observer: &Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Vec<Outcome> {
        let runtime = self.runtime();
        let _hold =
            self.hold(members.iter().map(|(job, member)| runtime.project().track(job, member).name()));
        let watching = Watching::of(self, Some(observer));
        let outcomes = runtime.run(members, options, &watching, cancel).await;
        let mut blocked = vec![];
        {
            let mut board = self.board();
            for outcome in &outcomes {
                if let Some(slot) = board.find(&outcome.track.name()) {
                    blocked.extend(board.ended_by_hand(slot, Ended::of(outcome)));
                }
            }
        }
        self.keep();
        self.tell(&blocked);
        self.news.notify_one();
        for (job, member) in members {
            let track = runtime.project().track(job, member);
            let moved = outcomes.iter().find(|outcome| outcome.track == track && outcome.units > 0);
            if let Some(outcome) = moved {
                self.suspect_readers(job, member, outcome.anew);
            }
        }
        outcomes
    }

    /// Changes how far a member is, between two runs.
    pub(super) async fn change_position(
        self: &Arc<Self>,
        job: &JobName,
        member: &Member,
        change: &Change,
    ) -> Result<Record> {
        let runtime = self.runtime();
        let track = runtime.project().track(job, member);
        let _hold = self.hold(std::iter::once(track.name()));
        let _turn = self.gate.alone(&track).await;
        runtime.change_position(job, member, change).await
    }

    /// Begins none of these until the hold is dropped; those that follow their sources are told to end.
    fn hold(self: &Arc<Self>, names: impl Iterator<Item = String>) -> Hold {
        let names: Vec<String> = names.collect();
        {
            let mut board = self.board();
            for name in &names {
                if let Some(slot) = board.find(name) {
                    board.hold(slot);
                }
            }
        }
        let following = lock(&self.following);
        for name in &names {
            if let Some(cancel) = following.get(name) {
                cancel.cancel();
            }
        }
        drop(following);
        Hold { daemon: Arc::clone(self), names }
    }
}

/// Members that are left alone.
struct Hold {
    daemon: Arc<Daemon>,
    names: Vec<String>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut board = self.daemon.board();
        for name in &self.names {
            if let Some(slot) = board.find(name) {
                board.release(slot);
            }
        }
        drop(board);
        self.daemon.wake.notify_one();
    }
}
