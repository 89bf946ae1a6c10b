//! Names of jobs: no two things of one name, no name for nothing.

use indexmap::IndexMap;

use super::{Jobs, job, report::Report};
use crate::{
    config::{files::Files, project::JobInfo, tree::Node},
    model::name::{JobKind, JobName},
};

/// Checks the names of all jobs against each other, and the names that they speak of.
pub fn check(files: &Files, jobs: &Jobs<'_>, report: &mut Report<'_>) {
    let mut known: Vec<&str> = files.pipelines.iter().map(|file| file.name.as_str()).collect();
    known.extend(files.marts.iter().map(|file| file.name.as_str()));
    known.extend(files.unread.iter().map(JobName::as_str));
    let all: Vec<(&JobInfo, &Node, Vec<String>)> = jobs.all().collect();
    let mut seen: IndexMap<String, String> = IndexMap::new();
    for (info, tree, members) in &all {
        let whole = std::iter::once((info.name.to_string(), format!("{} `{}`", info.kind, info.name)));
        let members = members.iter().filter(|key| !key.is_empty()).map(|key| {
            let name = format!("{}/{key}", info.name);
            (name, format!("member `{key}` of {} `{}`", info.kind, info.name))
        });
        for (name, what) in whole.chain(members) {
            if let Some(other) = seen.get(&name) {
                let message = format!("`{name}` is the name of {other} and of {what}");
                report.file(tree.file.to_path_buf(), "duplicate-name", message, "rename one of the files");
            } else {
                seen.insert(name, what);
            }
        }
        job::check_after(info, tree, &known, report);
        check_was(info, tree, &known, report);
    }
}

fn check_was(info: &JobInfo, tree: &Node, known: &[&str], report: &mut Report<'_>) {
    let Some(was) = &info.was else { return };
    if known.contains(&was.as_str()) {
        let kind = if info.kind == JobKind::Pipeline { "pipeline" } else { "mart" };
        let message = format!("`was`: there is still a job `{was}`, so this {kind} cannot go on from it");
        report.value(tree.at(&["was"]), "bad-was", message, "");
    }
}

impl Jobs<'_> {
    /// Every job with its tree and the keys of its members.
    pub(super) fn all(&self) -> impl Iterator<Item = (&JobInfo, &Node, Vec<String>)> {
        let pipelines = self.pipelines.iter().map(|(file, pipeline)| {
            let members = pipeline.members.iter().map(|member| member.member.key()).collect();
            (&pipeline.info, &file.tree, members)
        });
        let marts = self.marts.iter().map(|(file, mart)| {
            let members = mart.members.iter().map(|member| member.member.key()).collect();
            (&mart.info, &file.tree, members)
        });
        pipelines.chain(marts)
    }
}
