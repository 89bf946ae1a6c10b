//! How fresh a mart is: told from the history's copies, which runs keep, and by the sinks where there is none.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Runtime, blocking};
use crate::{
    config::project::MartMember,
    connector::error::Result,
    model::{
        name::JobName,
        time::Span,
        unit::{Progress, Record},
        window::Windows,
    },
};

/// How fresh a mart is, over all its members: as the one that is furthest behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// Up to when it is complete: the end of its newest window that was built after it had ended; without windows, its last build. `None` = never.
    pub until: Option<DateTime<Utc>>,
    /// The age past which it is stale, where the mart says one.
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
    /// How fresh a mart is; `None` = there is no mart of this name.
    pub async fn freshness(&self, mart: &JobName) -> Result<Option<Freshness>> {
        let Some(found) = self.project.marts.get(mart) else { return Ok(None) };
        let mut until: Option<Option<DateTime<Utc>>> = None;
        for member in &found.members {
            let own = self.complete_until(mart, member).await?;
            until = Some(match until {
                None => own,
                Some(before) => before.zip(own).map(|(before, own)| before.min(own)),
            });
        }
        Ok(Some(Freshness { until: until.flatten(), warn_after: found.warn_after, now: self.clock.now() }))
    }

    async fn complete_until(&self, mart: &JobName, member: &MartMember) -> Result<Option<DateTime<Utc>>> {
        let (history, name) = (Arc::clone(&self.history), self.project.track(mart, &member.member).name());
        let copies = blocking(move || history.builds(&name)).await?;
        match member.windows() {
            Some(windows) if !copies.is_empty() => Ok(newest_complete(windows, &copies)),
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

fn newest_complete(windows: &Windows, records: &[(String, Record)]) -> Option<DateTime<Utc>> {
    let complete = records.iter().filter(|(_, record)| record.progress != Progress::Start);
    let complete = complete.filter_map(|(key, record)| Some((windows.parse(key)?.until, record.at)));
    complete.filter(|(until, at)| at >= until).map(|(until, _)| until).max()
}

#[cfg(test)]
mod tests {
    use super::*;

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
