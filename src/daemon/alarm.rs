//! Wakes the daemon at an instant of wall time: one-shot jobs of tokio-cron-scheduler, which looks at the clock twice a second.
//!
//! Instants are ours ([`crate::schedule`]): that library keeps a zone as a fixed offset, an hour off after clocks change. Only
//! the nearest instant is handed to it, since its channels lose jobs where hundreds are due at once.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Rings at the nearest of the instants that it was given.
pub(super) struct Alarm {
    scheduler: JobScheduler,
    rings: Arc<Notify>,
    nearest: Arc<Mutex<Option<DateTime<Utc>>>>,
}

impl Alarm {
    /// Rings by waking whoever waits on `rings`.
    pub(super) async fn start(rings: Arc<Notify>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        Ok(Self { scheduler, rings, nearest: Arc::default() })
    }

    /// Rings at this instant too. One that lies behind a nearer one is forgotten: whoever is woken asks again.
    pub(super) async fn set(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), JobSchedulerError> {
        {
            let mut nearest = self.nearest.lock().unwrap_or_else(PoisonError::into_inner);
            if nearest.is_some_and(|nearest| nearest <= at && nearest > now) {
                return Ok(());
            }
            *nearest = Some(at);
        }
        let (rings, nearest) = (Arc::clone(&self.rings), Arc::clone(&self.nearest));
        let mut job = Job::new_one_shot(std::time::Duration::ZERO, move |_, _| {
            let mut nearest = nearest.lock().unwrap_or_else(PoisonError::into_inner);
            if *nearest == Some(at) {
                *nearest = None;
            }
            rings.notify_one();
        })?;
        let mut data = job.job_data()?;
        data.next_tick = u64::try_from(whole_second(at).timestamp()).unwrap_or(1);
        job.set_job_data(data)?;
        self.scheduler.add(job).await?;
        Ok(())
    }

    /// Rings no more.
    pub(super) async fn stop(mut self) {
        // The process ends: nothing depends on it.
        let _ = self.scheduler.shutdown().await;
    }
}

/// The first whole second that is not before an instant: all that the scheduler knows.
fn whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    let whole = at.trunc_subsecs(0);
    if whole < at { whole + TimeDelta::seconds(1) } else { whole }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn it_rings_at_the_nearest_instant() {
        let rings = Arc::new(Notify::new());
        let alarm = Alarm::start(Arc::clone(&rings)).await.unwrap();
        let (begun, now) = (Instant::now(), Utc::now());
        alarm.set(now + TimeDelta::hours(1), now).await.unwrap();
        alarm.set(now + TimeDelta::milliseconds(1200), now).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), rings.notified()).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(1100), "{:?}", begun.elapsed());
        alarm.stop().await;
    }
}
