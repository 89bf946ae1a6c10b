//! Names of jobs: no two things of one name, no name for nothing.

use indexmap::IndexMap;

use super::{job, report::Report, trees::Trees};
use crate::{
    config::{
        files::Files,
        project::{JobInfo, Project},
        tree::Node,
    },
    model::name::JobName,
};

/// Checks the names of all jobs against each other, and the names that they speak of.
pub(crate) fn check(files: &Files, project: &Project, trees: &Trees<'_>, report: &mut Report<'_>) {
    let mut known: Vec<&str> = files.pipelines.iter().map(|file| file.name.as_str()).collect();
    known.extend(files.marts.iter().map(|file| file.name.as_str()));
    known.extend(files.unread.iter().map(JobName::as_str));
    let mut seen: IndexMap<String, String> = IndexMap::new();
    for (info, members) in members(project) {
        let tree = trees.of_job(info);
        let whole = std::iter::once((info.name.to_string(), format!("{} `{}`", info.kind, info.name)));
        let members = members.into_iter().filter(|key| !key.is_empty()).map(|key| {
            let what = format!("member `{key}` of {} `{}`", info.kind, info.name);
            (format!("{}/{key}", info.name), what)
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

/// Every job with the keys of its members.
fn members(project: &Project) -> Vec<(&JobInfo, Vec<String>)> {
    let pipelines = project.pipelines.values().map(|pipeline| {
        (&pipeline.info, pipeline.members.iter().map(|member| member.member.key()).collect())
    });
    let marts = project
        .marts
        .values()
        .map(|mart| (&mart.info, mart.members.iter().map(|member| member.member.key()).collect()));
    pipelines.chain(marts).collect()
}

fn check_was(info: &JobInfo, tree: &Node, known: &[&str], report: &mut Report<'_>) {
    let Some(was) = &info.was else { return };
    if known.contains(&was.as_str()) {
        let message = format!("there is still a job `{was}`: this {} cannot go on from it", info.kind);
        report.value(tree.at(&["was"]), "bad-was", message, "");
    }
    if tree.find(&["window"]).is_some() && tree.find(&["sink", "table"]).is_none() {
        let message = format!(
            "the table's name changes with the mart's: `{was}`'s windows are built again in a new one"
        );
        report.warning(
            tree.at(&["was"]),
            "renamed-table",
            message,
            "keep it: name the old table in `sink.table`",
        );
    }
}
