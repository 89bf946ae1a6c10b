//! Begins what is due and tells the board what came of it.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    alarm::Alarm,
    board::{Blocked, Doing, Ended},
    lock,
    watching::Watching,
};
use crate::{
    model::name::{JobName, Member},
    run::{RunOptions, Runtime, event::RunState},
};

/// The board is looked at this often, whatever the alarm does: a clock that was set back moves every instant.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A run of which nobody knows how it ended.
const LOST: Ended = Ended { state: RunState::Failed, moved: true };

/// A run that is due, of the project that the board was looked at with.
struct Begun {
    name: String,
    job: JobName,
    member: Member,
    doing: Doing,
    runtime: Arc<Runtime>,
    cancel: CancellationToken,
}

/// Until the daemon stops.
pub(super) async fn conduct(daemon: Arc<Daemon>, stop: CancellationToken) -> Result<(), JobSchedulerError> {
    let alarm = Alarm::start(Arc::clone(&daemon.wake)).await?;
    while !stop.is_cancelled() {
        if !daemon.held.is_held() {
            tracing::error!(
                "the state folder was deleted or replaced: nothing more is begun, and the daemon stops"
            );
            daemon.lost.cancel();
            stop.cancelled().await;
            break;
        }
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
    fn look(&self, now: DateTime<Utc>) -> (Vec<Begun>, Option<DateTime<Utc>>) {
        let mut board = self.board();
        // Board and project are swapped as one.
        let runtime = self.runtime();
        let ready = board.tick(now);
        let begun = ready.into_iter().filter_map(|index| {
            let slot = board.slot(index);
            let doing = slot.doing()?;
            let (name, job, member) = (slot.name.clone(), slot.job.clone(), slot.member.clone());
            let (runtime, cancel) = (Arc::clone(&runtime), self.stop.child_token());
            if doing.follows {
                // While the board is held: whoever finds it running there can tell it to end.
                lock(&self.following).insert(name.clone(), cancel.clone());
            }
            Some(Begun { name, job, member, doing, runtime, cancel })
        });
        let (begun, next) = (begun.collect(), board.next(now));
        drop(board);
        // Before anything is begun: a crash finds it owed.
        self.keep();
        (begun, next)
    }

    fn begin(self: &Arc<Self>, run: Begun) {
        let Begun { name, job, member, doing, runtime, cancel } = run;
        let daemon = Arc::clone(self);
        let options = RunOptions {
            follow: doing.follows,
            failed: doing.failed,
            grace: Some(runtime.project().grace),
            ..RunOptions::default()
        };
        let observer = Watching::of(self, None);
        self.running.spawn(async move {
            let selection = [(job, member)];
            let [(job, member)] = &selection;
            let run = runtime.run(&selection, &options, &observer, &cancel);
            let mut anew = true;
            let ended = match AssertUnwindSafe(run).catch_unwind().await {
                Ok(outcomes) => outcomes.first().map_or(LOST, |outcome| {
                    anew = outcome.anew;
                    Ended::of(outcome)
                }),
                Err(_) => {
                    tracing::error!(
                        "the run of `{name}` panicked: this is a mistake in Vitrina, please report it"
                    );
                    LOST
                }
            };
            daemon.ended(&name, ended);
            if ended.moved {
                daemon.suspect_readers(job, member, anew);
            }
        });
    }

    /// A run that the conductor had begun has ended.
    fn ended(&self, name: &str, run: Ended) {
        lock(&self.following).remove(name);
        let blocked = {
            let (mut board, now) = (self.board(), self.clock.now());
            board.find(name).map(|slot| board.ended(slot, run, now)).unwrap_or_default()
        };
        self.keep();
        self.tell(&blocked);
        self.news.notify_one();
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
