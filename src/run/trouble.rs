//! What does not go as it should: members whose last run failed, and what is older than it may be. One answer for the bot's admins and for webhooks.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Runtime, blocking, freshness::Freshness};
use crate::{
    config::project::JobInfo,
    connector::error::Result,
    model::{
        time::Span,
        trouble::{Trouble, TroubleKind},
    },
};

/// How long an answer about freshness stands: it takes reading all windows of a mart.
const STANDS: TimeDelta = TimeDelta::seconds(15);

/// What follows its source has got over its failure once it went on for so long.
const SETTLED: TimeDelta = TimeDelta::minutes(10);

/// What was stale, and when that was asked.
#[derive(Default)]
pub(super) struct Stale(tokio::sync::Mutex<Option<(DateTime<Utc>, Vec<Trouble>)>>);

impl Runtime {
    /// All that is wrong now. What was blocked is not in it, since its upstream is, nor what was never complete: its failures are.
    pub async fn troubles(&self) -> Result<Vec<Trouble>> {
        let nodes = self.lineage.nodes.iter();
        let names: Vec<String> =
            nodes.map(|node| self.project.track(&node.job, &node.member).name()).collect();
        let (history, settled) = (Arc::clone(&self.history), self.clock.now() - SETTLED);
        let mut troubles = blocking(move || history.failing(&names, settled)).await?;
        troubles.extend(self.stale().await);
        Ok(troubles)
    }

    async fn stale(&self) -> Vec<Trouble> {
        let now = self.clock.now();
        let mut kept = self.stale.0.lock().await;
        if let Some((at, found)) = &*kept
            && (*at..*at + STANDS).contains(&now)
        {
            return found.clone();
        }
        let before = kept.take().map(|(_, found)| found).unwrap_or_default();
        let mut found = vec![];
        for info in self.project.jobs() {
            let Some(warn_after) = info.warn_after else { continue };
            match self.freshness(&info.name).await {
                Ok(Some(freshness)) => found.extend(self.is_stale(info, &freshness, warn_after)),
                Ok(None) => {}
                // Its sink does not answer, so it is as it was.
                Err(error) => {
                    tracing::debug!("how fresh `{}` is cannot be told: {error}", info.name);
                    found.extend(before.iter().find(|trouble| trouble.name == info.name.as_str()).cloned());
                }
            }
        }
        *kept = Some((now, found.clone()));
        found
    }

    fn is_stale(&self, info: &JobInfo, freshness: &Freshness, warn_after: Span) -> Option<Trouble> {
        let until = freshness.until.filter(|_| freshness.is_stale())?;
        let at = until.with_timezone(&self.project.zone).format("%Y-%m-%d %H:%M:%S");
        Some(Trouble {
            kind: TroubleKind::Stale,
            name: info.name.to_string(),
            since: TimeDelta::from_std(warn_after.get()).map_or(until, |allowed| until + allowed),
            why: format!("it is complete up to {at}, and may be {warn_after} old"),
            run: None,
        })
    }
}
