//! When a member runs by itself, as the board sees it.

use chrono::{DateTime, Utc};

use crate::{
    config::{
        lineage::{Lineage, Node},
        project::{Concurrency, Misfire, Project, Trigger},
    },
    schedule::{self, Timing},
};

/// When a member runs by itself.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Never.
    ByHand,
    /// At instants.
    Timed { timing: Timing, misfire: Misfire, concurrency: Concurrency },
    /// After these slots: each time that one has ended well (`always`), or moved something.
    After { upstream: Vec<usize>, always: bool },
    /// Always.
    Continuous,
}

impl Rule {
    pub(super) fn of(project: &Project, lineage: &Lineage, node: &Node) -> Self {
        let schedule =
            project.jobs().find(|info| info.name == node.job).and_then(|info| info.schedule.as_ref());
        let Some(schedule) = schedule else { return Self::ByHand };
        if let Some(timing) = schedule::timing(&schedule.trigger) {
            return Self::Timed { timing, misfire: schedule.misfire, concurrency: schedule.concurrency };
        }
        match &schedule.trigger {
            Trigger::Continuous => Self::Continuous,
            Trigger::AfterInputs => Self::After { upstream: node.upstream.clone(), always: false },
            Trigger::After(jobs) => {
                let told = |other: &&usize| jobs.contains(&lineage.nodes[**other].job);
                Self::After { upstream: node.upstream.iter().filter(told).copied().collect(), always: true }
            }
            // A checked project names no time that never comes.
            Trigger::Every(_) | Trigger::Cron { .. } => Self::ByHand,
        }
    }

    /// The slots that it runs after.
    pub(super) fn upstream(&self) -> &[usize] {
        match self {
            Self::After { upstream, .. } => upstream,
            Self::ByHand | Self::Timed { .. } | Self::Continuous => &[],
        }
    }

    /// Whether a run of an upstream is followed that found nothing new.
    pub(super) fn follows_always(&self) -> bool {
        matches!(self, Self::After { always: true, .. })
    }

    /// The first instant after one.
    pub(super) fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Timed { timing, .. } => schedule::next(timing, after),
            Self::ByHand | Self::After { .. } | Self::Continuous => None,
        }
    }

    pub(super) fn is_continuous(&self) -> bool {
        matches!(self, Self::Continuous)
    }

    /// What tells this rule from another one: a member whose rule has changed begins anew.
    pub(super) fn text(&self) -> String {
        match self {
            Self::ByHand => "by hand".to_owned(),
            Self::Timed { timing: Timing::Every(span), .. } => format!("every {span}"),
            Self::Timed { timing: Timing::Cron { cron, zone }, .. } => {
                format!("cron {} {zone}", cron.as_str())
            }
            Self::After { .. } => "after".to_owned(),
            Self::Continuous => "continuous".to_owned(),
        }
    }
}
