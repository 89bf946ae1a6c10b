//! Builds stale windows again where a mart says `on_change = "rebuild"`: soon after the daemon starts, after an edit is taken over, after windows or
//! tables that they were built from are built again, and after a pipeline has read its source again.
//!
//! Who may have some is a suspect; its ledger says whether it has, and the board then owes it a run like any other. A run that fails makes
//! no suspect of its own member, so it is not begun again and again, but by its schedule, the next edit, or the next change of what it reads.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Daemon, lock};
use crate::{
    model::name::{JobName, Member},
    run::Runtime,
};

/// Before a ledger is asked for again that could not be read.
const AGAIN: Duration = Duration::from_mins(1);

/// Members of marts that may have stale windows.
#[derive(Default)]
pub(super) struct Suspects {
    found: Mutex<Found>,
    some: Notify,
}

#[derive(Default)]
struct Found {
    all: bool,
    these: HashSet<(JobName, Member)>,
}

impl Suspects {
    /// Everybody is: the project or this process is new.
    pub(super) fn all(&self) {
        lock(&self.found).all = true;
        self.some.notify_one();
    }

    fn these(&self, suspects: impl IntoIterator<Item = (JobName, Member)>) {
        lock(&self.found).these.extend(suspects);
        self.some.notify_one();
    }

    fn take(&self, runtime: &Runtime) -> Vec<(JobName, Member)> {
        let Found { all, these } = std::mem::take(&mut *lock(&self.found));
        if all { runtime.rebuilders() } else { these.into_iter().collect() }
    }
}

/// Until the daemon stops.
pub(super) async fn rebuild(daemon: Arc<Daemon>, stop: CancellationToken) -> Result<(), Infallible> {
    daemon.suspects.all();
    let mut unread: Vec<(JobName, Member)> = vec![];
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = daemon.suspects.some.notified() => {}
            () = tokio::time::sleep(AGAIN), if !unread.is_empty() => {}
        }
        let runtime = daemon.runtime();
        let mut suspects = daemon.suspects.take(&runtime);
        suspects.extend(std::mem::take(&mut unread));
        for (job, member) in suspects {
            if stop.is_cancelled() {
                return Ok(());
            }
            let name = runtime.project().track(&job, &member).name();
            match runtime.has_stale_windows(&job, &member).await {
                Ok(true) => daemon.owe(&name),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        "which windows of `{name}` are stale cannot be told, and is asked again: {error}"
                    );
                    unread.push((job, member));
                }
            }
        }
    }
}

impl Daemon {
    fn owe(&self, name: &str) {
        let owed = {
            let mut board = self.board();
            board.find(name).is_some_and(|slot| board.owe(slot))
        };
        if owed {
            tracing::info!("`{name}` has stale windows: they are built again");
            self.keep();
            self.wake.notify_one();
        }
    }

    /// A member has moved something, as a pipeline perhaps by reading its source again (`anew`): who is built from that may have stale windows. Those that come
    /// after it by their schedule run anyway.
    pub(super) fn suspect_readers(&self, job: &JobName, member: &Member, anew: bool) {
        let runtime = self.runtime();
        let mut readers = runtime.rebuilders_after(job, member, anew);
        if readers.is_empty() {
            return;
        }
        let name = |(job, member): &(JobName, Member)| runtime.project().track(job, member).name();
        let board = self.board();
        let upstream = board.find(&runtime.project().track(job, member).name());
        readers.retain(|reader| {
            let reader = board.find(&name(reader));
            !reader.zip(upstream).is_some_and(|(reader, upstream)| board.comes_after(reader, upstream))
        });
        drop(board);
        self.suspects.these(readers);
    }
}
