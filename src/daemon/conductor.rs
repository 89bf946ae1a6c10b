//! Begins what is due and tells the board what came of it.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use futures::FutureExt;
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    alarm::Alarm,
    board::{Blocked, Doing},
    lock,
};
use crate::{
    model::name::{JobName, Member, Track},
    run::{
        RunOptions,
        event::{Event, Observer, RunState},
    },
};

/// The board is looked at this often, whatever the alarm does: a clock that was set back moves every instant.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A run that is due.
struct Begun {
    name: String,
    job: JobName,
    member: Member,
    doing: Doing,
}

/// Until the daemon stops.
pub(super) async fn conduct(daemon: Arc<Daemon>, stop: CancellationToken) -> Result<(), JobSchedulerError> {
    let alarm = Alarm::start(Arc::clone(&daemon.wake)).await?;
    while !stop.is_cancelled() {
        let now = daemon.clock.now();
        let (begun, next) = daemon.look(now);
        for run in begun {
            daemon.begin(run);
        }
        if let Some(next) = next {
            alarm.set(next, now).await?;
        }
        daemon.looked_at.store(now.timestamp(), Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => {}
            () = daemon.wake.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    alarm.stop().await;
    Ok(())
}

impl Daemon {
    fn look(
        &self,
        now: chrono::DateTime<chrono::Utc>,
    ) -> (Vec<Begun>, Option<chrono::DateTime<chrono::Utc>>) {
        let mut board = self.board();
        let ready = board.tick(now);
        let begun = ready.into_iter().filter_map(|index| {
            let slot = board.slot(index);
            let (name, job, member) = (slot.name.clone(), slot.job.clone(), slot.member.clone());
            slot.doing().map(|doing| Begun { name, job, member, doing })
        });
        let (begun, next) = (begun.collect(), board.next(now));
        drop(board);
        // Before anything is begun: a crash finds it owed.
        self.keep();
        (begun, next)
    }

    fn begin(self: &Arc<Self>, run: Begun) {
        let Begun { name, job, member, doing } = run;
        let cancel = self.stop.child_token();
        if doing.follows {
            lock(&self.following).insert(name.clone(), cancel.clone());
        }
        let (daemon, runtime) = (Arc::clone(self), self.runtime());
        let options = RunOptions {
            follow: doing.follows,
            failed: doing.failed,
            grace: Some(runtime.project().grace),
            ..RunOptions::default()
        };
        let observer: Arc<dyn Observer> = Arc::new(Watching { daemon: Arc::downgrade(self) });
        self.running.spawn(async move {
            let selection = [(job, member)];
            let run = runtime.run(&selection, &options, &observer, &cancel);
            let state = match AssertUnwindSafe(run).catch_unwind().await {
                Ok(outcomes) => outcomes.first().map_or(RunState::Failed, |outcome| outcome.state),
                Err(_) => {
                    tracing::error!(
                        "the run of `{name}` panicked: this is a mistake in Vitrina, please report it"
                    );
                    RunState::Failed
                }
            };
            daemon.ended(&name, state);
        });
    }

    /// A run that the conductor had begun has ended.
    fn ended(&self, name: &str, state: RunState) {
        lock(&self.following).remove(name);
        let blocked = {
            let (mut board, now) = (self.board(), self.clock.now());
            board.find(name).map(|slot| board.ended(slot, state, now)).unwrap_or_default()
        };
        self.keep();
        self.tell(&blocked);
        self.wake.notify_one();
    }

    /// Those who wait for a failure are told once, in log and history.
    pub(super) fn tell(&self, blocked: &[Blocked]) {
        let runtime = self.runtime();
        for Blocked { slot, by } in blocked {
            let named = |index: usize| {
                let board = self.board();
                board
                    .slots()
                    .get(index)
                    .map(|slot| (slot.job.clone(), slot.member.clone(), slot.name.clone()))
            };
            let (Some((job, member, name)), Some((by_job, by_member, by))) = (named(*slot), named(*by))
            else {
                continue;
            };
            tracing::warn!("`{name}` waits: blocked by `{by}`");
            runtime.blocked(&job, &member, &runtime.project().track(&by_job, &by_member));
        }
    }

    /// Writes down what has changed on the board.
    pub(super) fn keep(&self) {
        let _one_at_a_time = lock(&self.keeping);
        let changed = self.board().take_changed();
        if changed.is_empty() {
            return;
        }
        if let Err(error) = self.runtime().history().keep(&changed) {
            tracing::warn!("where schedules stand could not be written, and is tried again: {error}");
            self.board().keep_again(&changed);
        }
    }
}

/// Tells the board what happens in its runs.
struct Watching {
    daemon: Weak<Daemon>,
}

impl Observer for Watching {
    fn event(&self, track: &Track, event: &Event) {
        let Some(daemon) = self.daemon.upgrade() else { return };
        match event {
            Event::Committed { .. } => {
                let mut board = daemon.board();
                if let Some(slot) = board.find(&track.name()) {
                    board.committed(slot);
                    drop(board);
                    daemon.wake.notify_one();
                }
            }
            Event::Retrying { wait, attempt, .. } => {
                let at = daemon.clock.now() + TimeDelta::from_std(*wait).unwrap_or_default();
                let mut board = daemon.board();
                if let Some(slot) = board.find(&track.name()) {
                    board.retrying(slot, *attempt, at);
                    drop(board);
                    daemon.keep();
                }
            }
            Event::Started
            | Event::Planned { .. }
            | Event::Read { .. }
            | Event::Note(_)
            | Event::Finished => {}
        }
    }
}
