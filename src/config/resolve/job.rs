//! What pipelines and marts have in common: names, schedule, retry.

use std::time::Duration;

use chrono_tz::Tz;

use super::{matrix::meant, report::Report};
use crate::{
    config::{
        files::beside,
        project::Sql,
        project::{JobInfo, Retry, Schedule, Trigger},
        raw::{self, After, SqlText, mart::MartFile, pipeline::PipelineFile},
        tree::Node,
    },
    model::{
        name::{JobKind, JobName},
        time::Span,
    },
};

/// The keys that both kinds of files have.
pub(crate) struct Common<'a> {
    kind: JobKind,
    description: Option<&'a String>,
    owner: Option<&'a String>,
    tags: &'a [String],
    profiles: Option<&'a Vec<String>>,
    schedule: Option<&'a raw::Schedule>,
    was: Option<&'a String>,
    retry: Option<&'a raw::Retry>,
    freshness: Option<&'a raw::Freshness>,
}

impl<'a> Common<'a> {
    /// Of a pipeline.
    pub(crate) fn of_pipeline(file: &'a PipelineFile) -> Self {
        Self {
            kind: JobKind::Pipeline,
            description: file.description.as_ref(),
            owner: file.owner.as_ref(),
            tags: &file.tags,
            profiles: file.profiles.as_ref(),
            schedule: file.schedule.as_ref(),
            was: file.was.as_ref(),
            retry: file.retry.as_ref(),
            freshness: file.freshness.as_ref(),
        }
    }

    /// Of a mart.
    pub(crate) fn of_mart(file: &'a MartFile) -> Self {
        Self {
            kind: JobKind::Mart,
            description: file.description.as_ref(),
            owner: file.owner.as_ref(),
            tags: &file.tags,
            profiles: file.profiles.as_ref(),
            schedule: file.schedule.as_ref(),
            was: file.was.as_ref(),
            retry: file.retry.as_ref(),
            freshness: file.freshness.as_ref(),
        }
    }

    /// Whether it exists in a profile. One whose profiles are all misspelled is judged as if it were in the default one.
    pub(crate) fn is_in(&self, profile: &str, known: &[&str]) -> bool {
        let Some(profiles) = self.profiles else { return true };
        let lost = !profiles.iter().any(|name| known.contains(&name.as_str()));
        profiles.iter().any(|name| name == profile) || lost && profile == super::DEFAULT_PROFILE
    }

    /// Checks the names of its profiles.
    pub(crate) fn check_profiles(&self, tree: &Node, known: &[&str], report: &mut Report<'_>) {
        let node = tree.at(&["profiles"]);
        for (at, name) in self.profiles.into_iter().flatten().enumerate() {
            if !known.contains(&name.as_str()) {
                let place = node.items().get(at).unwrap_or(node);
                let message = format!("there is no profile `{name}`");
                report.value(place, "unknown-profile", message, meant(name, known));
            }
        }
    }

    /// Everything but the matrix, which members bring.
    pub(crate) fn info(
        &self,
        name: &JobName,
        tree: &Node,
        zone: Tz,
        matrix: Vec<String>,
        report: &mut Report<'_>,
    ) -> JobInfo {
        JobInfo {
            name: name.clone(),
            kind: self.kind,
            path: tree.file.to_path_buf(),
            description: self.description.cloned(),
            owner: self.owner.cloned(),
            tags: self.tags.to_vec(),
            was: self.was.map(JobName::new),
            schedule: self
                .schedule
                .and_then(|raw| schedule(raw, self.kind, tree.at(&["schedule"]), zone, report)),
            retry: retry(self.retry, tree.at(&["retry"]), report),
            warn_after: self.freshness.map(|freshness| freshness.warn_after),
            matrix,
        }
    }
}

fn retry(raw: Option<&raw::Retry>, node: &Node, report: &mut Report<'_>) -> Retry {
    let span = |seconds| Span::new(Duration::from_secs(seconds));
    if raw.and_then(|raw| raw.wait).is_some_and(|wait| wait.get() > Retry::LONGEST_WAIT) {
        report.value(
            node.at(&["wait"]),
            "out-of-range",
            "no wait between two tries is longer than 10m",
            "write `\"10m\"` or less; `retry.attempts` says how long it is tried",
        );
    }
    Retry {
        attempts: raw.and_then(|raw| raw.attempts).unwrap_or(5),
        wait: raw.and_then(|raw| raw.wait).unwrap_or(span(10)),
        timeout: raw.and_then(|raw| raw.timeout).unwrap_or(span(3600)),
    }
}

fn schedule(
    raw: &raw::Schedule,
    kind: JobKind,
    node: &Node,
    zone: Tz,
    report: &mut Report<'_>,
) -> Option<Schedule> {
    let mut triggers = vec![];
    if let Some(every) = raw.every {
        if every.get() < Duration::from_secs(1) {
            report.value(
                node.at(&["every"]),
                "out-of-range",
                "`schedule.every` is less than a second",
                "use `continuous = true`",
            );
        }
        triggers.push(Trigger::Every(every));
    }
    if let Some(expression) = &raw.cron {
        let zone = raw.time_zone.as_ref().and_then(|name| name.parse().ok()).unwrap_or(zone);
        triggers.push(Trigger::Cron { expression: expression.clone(), zone });
    } else if raw.time_zone.is_some() {
        report.key(node.at(&["time_zone"]), "conflicting-keys", "`time_zone` goes with `cron`", "");
    }
    match &raw.after {
        Some(After::Inputs(_)) => triggers.push(Trigger::AfterInputs),
        Some(After::Jobs(names)) => {
            if names.is_empty() {
                report.value(
                    node.at(&["after"]),
                    "bad-schedule",
                    "`schedule.after` names no job",
                    "name some, or write `after = \"inputs\"`",
                );
            }
            triggers.push(Trigger::After(names.iter().map(JobName::new).collect()));
        }
        None => {}
    }
    if raw.continuous == Some(true) {
        if kind == JobKind::Mart {
            let hint = "write `after = \"inputs\"`: it is built as soon as what it reads was written";
            report.key(node.at(&["continuous"]), "bad-schedule", "only pipelines are continuous", hint);
        }
        triggers.push(Trigger::Continuous);
    }
    if triggers.len() != 1 {
        let what = if triggers.is_empty() {
            "says nothing about when"
        } else {
            "says more than one thing about when"
        };
        let message = format!("the schedule {what}");
        report.value(
            node,
            "bad-schedule",
            message,
            "expected one of `every`, `cron`, `after` or `continuous = true`",
        );
    }
    let trigger = triggers.into_iter().next()?;
    Some(Schedule { trigger, misfire: raw.misfire, concurrency: raw.concurrency })
}

/// Checks the names that a schedule waits for.
pub(crate) fn check_after(info: &JobInfo, tree: &Node, known: &[&str], report: &mut Report<'_>) {
    let Some(Schedule { trigger: Trigger::After(names), .. }) = &info.schedule else { return };
    let node = tree.at(&["schedule", "after"]);
    for (at, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let place = node.items().get(at).unwrap_or(node);
            let message = format!("there is no pipeline or mart `{name}`");
            report.value(place, "unknown-job", message, meant(name.as_str(), known));
        }
    }
}

/// SQL with the file that it stands in; `None` where that file could not be read, which was reported.
pub(crate) fn sql(raw: &SqlText, node: &Node, report: &Report<'_>) -> Option<Sql> {
    match raw {
        SqlText::Text(text) => Some(Sql { text: text.clone(), path: node.file.to_path_buf(), native: false }),
        SqlText::File(file) => {
            let path = beside(&node.file, &file.file)?;
            let text = report.sources().files.get(&path)?;
            Some(Sql { text: text.to_string(), path, native: false })
        }
    }
}

/// Whether SQL names a parameter of a matrix: `:region` or `:region.title`.
pub(crate) fn names_parameter(sql: &str, matrix: &str) -> bool {
    sql.match_indices(':').any(|(at, _)| {
        let word: String = sql[at + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        word == matrix
    })
}
