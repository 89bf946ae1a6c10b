//! Files → raw TOML with spans → resolved → checked [`Project`](project::Project), or every problem at once.
//!
//! [`load`] is for running one profile, [`check`] proves all of them. Both read the project's files and nothing else.

pub mod bot;
mod de;
pub mod draw;
pub mod drift;
mod env;
mod files;
mod format;
pub mod lineage;
pub mod live;
pub mod lock;
mod offsets;
pub mod project;
#[allow(dead_code, reason = "names are filled in from the tree; the fields are there for schema and manual")]
mod raw;
mod reference;
mod resolve;
mod schema;
mod secret;
mod shape;
mod template;
#[cfg(test)]
mod tests;
mod toml11;
mod tree;
pub mod unit_test;
mod walk;

use std::path::{Path, PathBuf};

use indexmap::{IndexMap, IndexSet};

use self::{env::Environment, files::Files, live::Live, lock::Lock};
use crate::model::problem::{Problem, Severity};

pub use files::read_lock;
pub use reference::{reference, texts as texts_reference};
pub use resolve::{DEFAULT_PROFILE, DEFAULT_STATE, TestsOf, columns};
pub use schema::schemas;

/// What was read of a project: for drawing problems, whatever became of it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Text of every file that was read, by its path relative to the project's folder.
    pub files: IndexMap<PathBuf, std::sync::Arc<str>>,
}

/// A checked project and its warnings, or every problem at once.
#[derive(Debug)]
pub struct Loaded {
    /// The files' texts.
    pub sources: Sources,
    /// Every problem, in file order; warnings too.
    pub problems: Vec<Problem>,
    /// The project, where no problem is an error.
    pub project: Option<project::Project>,
    /// What is known of outside tables, where it was read.
    pub lock: Option<lock::Lock>,
}

/// Reads the project in `root` and resolves one profile, to run it: every variable that it names must be set or have a default, but for those of other profiles.
/// `env` reads an environment variable.
pub fn load(root: &Path, profile: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let files = files::read(root, &Environment { read: env, runs: Some(profile) });
    let (found, project) = resolve::resolve(&files, profile, TestsOf::NoJob);
    finish(files, found, project)
}

/// Reads the project in `root` and resolves one profile without running it: variables may be unset, and outside tables are what `schemas.lock` says.
pub fn load_offline(
    root: &Path,
    profile: &str,
    tests: TestsOf,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let files = files::read(root, &Environment { read: env, runs: None });
    let (found, project) = resolve::resolve(&files, profile, tests);
    finish(files, found, project)
}

/// Reads the project in `root` and proves every profile, without running anything: variables may be unset.
/// A problem that only some profiles have says which. The project is that of the profile `wanted`, which must be among them.
pub fn check(root: &Path, wanted: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let files = files::read(root, &Environment { read: env, runs: None });
    let profiles = resolve::profiles(&files);
    let mut found: IndexMap<String, (Problem, Vec<&str>)> = IndexMap::new();
    let mut project_wanted = None;
    for profile in &profiles {
        let (problems, project) = resolve::resolve(&files, profile, TestsOf::JobsFirstSeen);
        for problem in problems {
            let key = format!("{problem:?}");
            let (_, seen) = found.entry(key).or_insert_with(|| (problem, vec![]));
            if !seen.contains(&profile.as_str()) {
                seen.push(profile);
            }
        }
        if profile == wanted {
            project_wanted = project;
        }
    }
    let everywhere = profiles.len();
    let problems = found.into_values().map(|(mut problem, seen)| {
        if seen.len() < everywhere {
            let plural = if seen.len() == 1 { "profile" } else { "profiles" };
            problem.message = format!("{} ({plural} {})", problem.message, seen.join(", "));
        }
        problem
    });
    let mut problems: Vec<Problem> = problems.collect();
    if !profiles.iter().any(|profile| profile == wanted) {
        let (found, _) = resolve::resolve(&files, wanted, TestsOf::NoJob);
        // A job that is limited to an unknown one was told of above.
        problems.extend(found.into_iter().filter(|it| it.code == "unknown-profile" && it.span.is_empty()));
    }
    finish(files, problems, project_wanted)
}

/// Reads the project in `root` and proves one profile by what its places answered just now: `lock` = the outside tables as they are.
pub fn check_live(
    root: &Path,
    profile: &str,
    lock: Lock,
    live: Live,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let mut files = files::read(root, &Environment { read: env, runs: Some(profile) });
    let (_, known, _) = files::read_lock(root);
    let stale = known.files.get(Path::new(lock::FILE)).map(|text| lock::stale(text, &lock.tables));
    (files.lock, files.live) = (Some(lock), live);
    let (mut found, project) = resolve::resolve(&files, profile, TestsOf::NoJob);
    found.extend(stale.unwrap_or_default());
    finish(files, found, project)
}

fn finish(files: Files, found: Vec<Problem>, project: Option<project::Project>) -> Loaded {
    let all: IndexSet<String> = IndexSet::new();
    let mut problems: Vec<Problem> = files.problems.into_iter().chain(found).collect();
    let mut seen = all;
    problems.retain(|problem| seen.insert(format!("{problem:?}")));
    // In the order in which files were read, as far as they could be; within a file from top to bottom.
    let order = |problem: &Problem| files.sources.files.get_index_of(&problem.path).unwrap_or(usize::MAX);
    problems.sort_by(|a, b| {
        (order(a), &a.path, a.span.start, a.span.end).cmp(&(order(b), &b.path, b.span.start, b.span.end))
    });
    let good = problems.iter().all(|problem| problem.severity != Severity::Error);
    Loaded { sources: files.sources, problems, project: project.filter(|_| good), lock: files.lock }
}
