//! How fresh a pipeline or mart is: told from the history, which runs keep, and by the sinks where it knows nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Runtime, blocking, member::Found};
use crate::{
    config::project::MartMember,
    connector::error::Result,
    model::{
        name::{JobName, Member},
        time::Span,
        unit::{Progress, Record},
        window::Windows,
    },
};

/// How fresh a pipeline or mart is, over all its members: as the one that is furthest behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// Up to when it is complete: the end of its newest window that was built after it had ended; without windows, its last build; of a pipeline, when it last began
    /// to look at its source and ended well, or committed. `None` = never.
    pub until: Option<DateTime<Utc>>,
    /// The age past which it is stale, where its file says one.
    pub warn_after: Option<Span>,
    /// When this was asked.
    pub now: DateTime<Utc>,
}

impl Freshness {
    /// How long ago it was complete.
    pub fn age(&self) -> Option<Span> {
        let age = self.now.signed_duration_since(self.until?);
        // A window may end a moment from now by another clock.
        Some(Span::new(age.to_std().unwrap_or_default()))
    }

    /// Whether it is older than it may be.
    pub fn is_stale(&self) -> bool {
        let Some(warn_after) = self.warn_after else { return false };
        self.age().is_none_or(|age| age > warn_after)
    }
}

impl Runtime {
    /// How fresh a pipeline or mart is; `None` = there is none of this name.
    pub async fn freshness(&self, job: &JobName) -> Result<Option<Freshness>> {
        let Some(info) = self.project.jobs().find(|info| info.name == *job) else { return Ok(None) };
        let mut until: Option<Option<DateTime<Utc>>> = None;
        let members = self.lineage.nodes.iter().filter(|node| node.job == *job);
        for member in members.map(|node| &node.member) {
            let own = match self.find(job, member)? {
                Found::Pipeline(..) => self.looked_at(job, member, info.warn_after).await?,
                Found::Mart(_, found) => self.complete_until(job, found).await?,
            };
            until = Some(match until {
                None => own,
                Some(before) => before.zip(own).map(|(before, own)| before.min(own)),
            });
        }
        Ok(Some(Freshness { until: until.flatten(), warn_after: info.warn_after, now: self.clock.now() }))
    }

    /// When a pipeline last began a run that ended well, or committed: one that follows its source never ends.
    async fn looked_at(
        &self,
        job: &JobName,
        member: &Member,
        warn_after: Option<Span>,
    ) -> Result<Option<DateTime<Utc>>> {
        let (history, name) = (Arc::clone(&self.history), self.project.track(job, member).name());
        let ended = blocking(move || history.last_done(&name)).await?;
        // The sink is not asked where it could change nothing.
        let told = Freshness { until: ended, warn_after, now: self.clock.now() };
        if ended.is_some() && !told.is_stale() {
            return Ok(ended);
        }
        let record = self.record_of(job, member).await?;
        let committed = record.filter(|record| record.progress != Progress::Start).map(|record| record.at);
        Ok(ended.max(committed))
    }

    async fn complete_until(&self, mart: &JobName, member: &MartMember) -> Result<Option<DateTime<Utc>>> {
        let (history, name) = (Arc::clone(&self.history), self.project.track(mart, &member.member).name());
        let copies = blocking(move || history.builds(&name)).await?;
        match member.windows() {
            Some(windows) if !copies.is_empty() => Ok(newest_complete(windows, &copies, self.clock.now())),
            Some(_) => {
                let ledger = self.ledger(mart, &member.member).await?;
                Ok(ledger.and_then(|ledger| ledger.complete_until()))
            }
            None => {
                let record = match copies.into_iter().next() {
                    Some((_, record)) => Some(record),
                    None => self.record_of(mart, &member.member).await?,
                };
                Ok(record.filter(|record| record.progress != Progress::Start).map(|record| record.at))
            }
        }
    }
}

fn newest_complete(
    windows: &Windows,
    records: &[(String, Record)],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let complete = records.iter().filter(|(_, record)| record.progress != Progress::Start);
    let complete = complete.filter_map(|(key, record)| Some((windows.parse(key)?.until, record.at)));
    // What a clock that was ahead has built is not there yet.
    complete.filter(|(until, at)| at >= until && *until <= now).map(|(until, _)| until).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_the_future_is_not_complete() {
        let windows = Windows {
            column: "dt".into(),
            grain: crate::model::window::Grain::Day,
            zone: chrono_tz::UTC,
            start: "2026-01-01T00:00:00Z".parse().unwrap(),
            lookback: "0s".parse().unwrap(),
            batch_size: 1,
            current: true,
            on_change: crate::model::window::OnChange::Mark,
        };
        let record = |day: u32| {
            let progress = Progress::Build(crate::model::unit::Build {
                fingerprint: "f".into(),
                inputs: std::collections::BTreeMap::new(),
            });
            let at = format!("2026-01-{:02}T01:00:00Z", day + 1).parse().unwrap();
            let attempt = crate::model::name::AttemptId::parse("a");
            (format!("2026-01-{day:02}"), Record { seq: 1, progress, attempt, at, rows: 1 })
        };
        let records = [record(1), record(2), record(3)];
        let now = |text: &str| newest_complete(&windows, &records, text.parse().unwrap());
        assert_eq!(now("2026-01-03T02:00:00Z"), Some("2026-01-03T00:00:00Z".parse().unwrap()));
        assert_eq!(now("2026-01-09T00:00:00Z"), Some("2026-01-04T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn age_and_what_it_may_be() {
        let at = |hour: i64| DateTime::from_timestamp(1_790_000_000 + hour * 3600, 0).unwrap();
        let told = |until: Option<i64>, warn_after: Option<&str>| Freshness {
            until: until.map(at),
            warn_after: warn_after.map(|text| text.parse().unwrap()),
            now: at(30),
        };
        assert_eq!(told(Some(2), None).age().unwrap().to_string(), "1d 4h");
        assert!(told(Some(2), Some("26h")).is_stale());
        assert!(!told(Some(4), Some("26h")).is_stale());
        assert!(!told(None, None).is_stale());
        assert!(told(None, Some("26h")).is_stale());
        assert_eq!(told(Some(31), Some("1h")).age().unwrap().to_string(), "0s");
    }
}
