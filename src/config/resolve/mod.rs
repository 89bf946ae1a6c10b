//! Raw files → one profile's [`Project`], every name resolved, everything proved that needs no I/O.

mod bot;
mod check_typing;
mod checks;
pub mod columns;
mod connections;
mod generators;
mod graph;
mod job;
mod live;
mod mart;
mod matrix;
mod names;
mod options;
mod pipeline;
mod relations;
mod report;
mod targets;
mod trees;
mod typing;
mod unit_tests;
mod value;
mod windows;
mod writers;

use std::{path::Path, time::Duration};

use chrono_tz::Tz;
use indexmap::IndexSet;

use self::{
    connections::Connections, job::Common, matrix::Matrices, report::Report, trees::Trees, typing::Unmade,
};
use super::{
    files::Files,
    format,
    lineage::lineage,
    project::{Mart, Notify, Pipeline, Project},
    raw::project::ProjectFile,
    tree::Node,
};
use crate::model::{
    name::JobName,
    problem::{Problem, Severity, nearest},
    time::Span,
    trouble::TroubleKind,
};

/// The profile without a name.
pub const DEFAULT_PROFILE: &str = "default";

/// How long runs may go on after the daemon was told to stop, unless told.
const GRACE: Duration = Duration::from_secs(30);

/// Where the state files lie, unless told.
pub const DEFAULT_STATE: &str = "data/state";

/// Whose unit tests are resolved with a profile. Tests are the same in every profile, so that one is enough to prove them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestsOf {
    /// Nobody's: it is resolved to be run.
    NoJob,
    /// Those of jobs that no earlier profile has.
    JobsFirstSeen,
    /// Everybody's.
    EveryJob,
}

/// What jobs are resolved against.
pub(super) struct Context<'a> {
    root: &'a Path,
    matrices: &'a Matrices,
    connections: &'a Connections,
    zone: Tz,
}

/// Names of every profile that a project has.
pub(crate) fn profiles(files: &Files) -> Vec<String> {
    let named = files.project.iter().flat_map(|file| file.raw.profile.keys().cloned());
    let all: IndexSet<String> = std::iter::once(DEFAULT_PROFILE.to_owned()).chain(named).collect();
    all.into_iter().collect()
}

/// Resolves and proves one profile. Where there are errors, the project is what could be made of it.
pub(crate) fn resolve(files: &Files, profile: &str, tests: TestsOf) -> (Vec<Problem>, Option<Project>) {
    let Some(project) = &files.project else { return (vec![], None) };
    let mut report = Report::new(&files.sources);
    let zone: Tz =
        project.raw.project.time_zone.as_deref().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC);
    check_project(&project.raw, &project.tree, &mut report);
    let profiles = profiles(files);
    let known: Vec<&str> = profiles.iter().map(String::as_str).collect();
    check_profile(profile, &known, &project.tree, &mut report);
    let matrices = matrix::matrices(&project.raw.matrix, &project.tree, &mut report);
    let mut used = IndexSet::new();
    let connections = connections::connections(&project.tree, profile, &matrices, &mut used, &mut report);
    for failed in files.live.failed.iter().filter(|failed| failed.whole) {
        if let Some(connection) = connections.get(&failed.table.connection) {
            report.key(&connection.node, "live-connection", failed.message.clone(), failed.hint.clone());
        }
    }
    let context = Context { root: &files.root, matrices: &matrices, connections: &connections, zone };
    let (pipelines, marts, unmade) = jobs(files, profile, &known, &context, &mut report);
    unused(&project.tree, &matrices, &used, files, &mut report);
    let settings = Settings { files, file: project, profile, zone };
    let mut project = assemble(&settings, &matrices, &connections, pipelines, marts);
    let trees = Trees::of(files);
    names::check(files, &project, &trees, &mut report);
    let wrong: IndexSet<JobName> =
        unmade.iter().map(|unmade| unmade.job().clone()).chain(files.unread.clone()).collect();
    generators::check(&mut project, &wrong, &trees, &mut report);
    writers::check(&mut project, &connections, &trees, &mut report);
    let lineage = lineage(&project);
    graph::check(&lineage, &project, &wrong, &trees, &mut report);
    let known = typing::KnownBefore { unmade: &unmade, wrong, lock: files.lock.as_ref(), live: &files.live };
    let mut made = bot::bot(files, &project, &mut report);
    let of_bot = bot::BotFiles {
        bot: made.as_mut(),
        written: bot::written(files),
        tree: files.bot.as_ref().map(|file| &file.tree),
    };
    typing::check(&mut project, &lineage, &known, &trees, of_bot, &mut report);
    targets::check(&project, &files.live, &trees, &mut report);
    if tests != TestsOf::NoJob {
        let earlier: &[String] =
            if tests == TestsOf::JobsFirstSeen { before(&profiles, profile) } else { &[] };
        let found = unit_tests::resolve(files, &project, &lineage, &known, (earlier, &profiles), &mut report);
        project.tests = found;
    }
    project.bot = made;
    (report.problems, Some(project))
}

/// The profiles that come before one.
fn before<'p>(profiles: &'p [String], profile: &str) -> &'p [String] {
    let at = profiles.iter().position(|known| known == profile).unwrap_or(0);
    &profiles[..at]
}

struct Settings<'a> {
    files: &'a Files,
    file: &'a super::files::File<ProjectFile>,
    profile: &'a str,
    zone: Tz,
}

fn assemble(
    settings: &Settings<'_>,
    matrices: &Matrices,
    connections: &Connections,
    mut pipelines: Vec<Pipeline>,
    mut marts: Vec<Mart>,
) -> Project {
    let Settings { files, file, profile, zone } = settings;
    let raw = &file.raw;
    let state = raw.daemon.state.as_deref().unwrap_or(DEFAULT_STATE);
    let memory = raw.daemon.memory.as_deref().and_then(format::size);
    pipelines.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    marts.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    Project {
        root: files.root.clone(),
        name: raw.project.name.clone(),
        zone: *zone,
        language: raw.project.language,
        profile: (*profile).to_owned(),
        state: files.root.join(state),
        memory: memory.unwrap_or(256 << 20),
        parallel: raw.daemon.parallel.unwrap_or(4),
        grace: raw.daemon.grace.map_or(GRACE, Span::get),
        listen: raw.daemon.listen.as_deref().and_then(|listen| listen.parse().ok()),
        notify: raw.notify.iter().map(|(name, notify)| (name.clone(), notified(notify))).collect(),
        matrix: matrices.clone(),
        connections: connections
            .iter()
            .map(|(name, connection)| (name.clone(), connection.config.clone()))
            .collect(),
        pipelines: pipelines.into_iter().map(|pipeline| (pipeline.info.name.clone(), pipeline)).collect(),
        marts: marts.into_iter().map(|mart| (mart.info.name.clone(), mart)).collect(),
        tests: vec![],
        bot: None,
    }
}

fn notified(raw: &super::raw::project::Notify) -> Notify {
    Notify { on: raw.on.clone().unwrap_or_else(|| TroubleKind::ALL.to_vec()), webhook: raw.webhook.clone() }
}

fn jobs(
    files: &Files,
    profile: &str,
    profiles: &[&str],
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> (Vec<Pipeline>, Vec<Mart>, Vec<Unmade>) {
    let (mut pipelines, mut marts, mut unmade) = (vec![], vec![], vec![]);
    for file in &files.pipelines {
        let common = Common::of_pipeline(&file.raw);
        common.check_profiles(&file.tree, profiles, report);
        if common.is_in(profile, profiles) {
            pipelines.push(pipeline::pipeline(file, context, &mut unmade, report));
        }
    }
    for file in &files.marts {
        let common = Common::of_mart(&file.raw);
        common.check_profiles(&file.tree, profiles, report);
        if common.is_in(profile, profiles) {
            marts.push(mart::mart(file, context, &mut unmade, report));
        }
    }
    (pipelines, marts, unmade)
}

fn check_project(raw: &ProjectFile, tree: &Node, report: &mut Report<'_>) {
    let name = &raw.project.name;
    let good = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if name.is_empty() || !good {
        let message = format!("a project cannot be named `{name}`");
        report.value(
            tree.at(&["project", "name"]),
            "bad-name",
            message,
            "use letters, digits, `_`, `-` and `.`",
        );
    }
    if raw.daemon.state.as_deref().is_some_and(|state| state.is_empty() || state.contains('\0')) {
        report.value(tree.at(&["daemon", "state"]), "bad-path", "`daemon.state` names no folder", "");
    }
    for (name, _) in raw.notify.iter().filter(|(_, notify)| notify.on.as_ref().is_some_and(Vec::is_empty)) {
        let message = format!("`notify.{name}` is told of nothing");
        let hint = "name what, or leave `on` out: all of it is told then";
        report.value(tree.at(&["notify", name, "on"]), "empty-notify", message, hint);
    }
    if let Some(node) = tree.find(&["profile", DEFAULT_PROFILE]) {
        let message =
            format!("a profile cannot be named `{DEFAULT_PROFILE}`: it is the one without a profile");
        report.key(node, "reserved-name", message, "write its connections under [connections]");
    }
}

fn check_profile(profile: &str, known: &[&str], tree: &Node, report: &mut Report<'_>) {
    if !known.contains(&profile) {
        let hint = match nearest(profile, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("expected {}", super::walk::list(known)),
        };
        report.file(
            tree.file.to_path_buf(),
            "unknown-profile",
            format!("there is no profile `{profile}`"),
            hint,
        );
    }
}

/// Matrices that no connection, no job and nothing of the bot names.
fn unused(
    tree: &Node,
    matrices: &Matrices,
    by_connections: &IndexSet<String>,
    files: &Files,
    report: &mut Report<'_>,
) {
    use super::raw::MatrixUse;
    let names = |used: &Option<MatrixUse>| match used {
        None => vec![],
        Some(MatrixUse::All(names)) => names.clone(),
        Some(MatrixUse::Some(some)) => some.keys().cloned().collect(),
    };
    let in_pipelines = files.pipelines.iter().flat_map(|file| names(&file.raw.matrix));
    let in_marts = files.marts.iter().flat_map(|file| names(&file.raw.matrix));
    let by_bot = bot::matrices(files);
    let used: IndexSet<String> =
        in_pipelines.chain(in_marts).chain(by_bot).chain(by_connections.iter().cloned()).collect();
    for name in matrices.keys().filter(|name| !used.contains(*name) && files.unread.is_empty()) {
        let node = tree.at(&["matrix", name]);
        let before = report.problems.len();
        report.key(node, "unused-matrix", format!("nothing fans out over matrix `{name}`"), "");
        report.problems[before..].iter_mut().for_each(|problem| problem.severity = Severity::Warning);
    }
}
