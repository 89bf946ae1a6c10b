//! What every command begins with: the project's folder, its files, its lock.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    arguments::Global,
    failure::{Exit, Failure, Result},
    output::{self, Output},
};
use crate::{
    clock::SystemClock,
    config::{self, Sources, TestsOf, draw, lock::Lock, project::Project},
    daemon::client::{self, Client},
    model::{problem::Severity, time::Clock},
    state::lock::ProjectLock,
};

/// The file that makes a folder a project.
pub(super) const PROJECT_FILE: &str = "vitrina.toml";

/// What every command is given.
#[derive(Debug)]
pub(super) struct Context {
    /// Options before or after the command.
    pub global: Global,
    /// Where text goes.
    pub output: Output,
}

impl Context {
    /// The project's folder.
    pub(super) fn root(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.global.project {
            return project_in(folder);
        }
        let here = std::env::current_dir()
            .map_err(|error| Failure::file("cannot find the current folder", Path::new("."), &error))?;
        let found = here.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file());
        found.map(Path::to_owned).ok_or_else(|| {
            Failure::usage(format!("there is no {PROJECT_FILE} here or in a folder above"))
                .hint("`vitrina init DIR` makes a project, `vitrina demo` one with data; or name one with --project")
        })
    }

    /// The checked project; its problems are drawn on stderr, and an error ends the command.
    pub(super) fn project(&self) -> Result<Arc<Project>> {
        self.project_at(&self.root()?)
    }

    /// The checked project of a folder.
    pub(super) fn project_at(&self, root: &Path) -> Result<Arc<Project>> {
        Ok(self.project_and_files(root)?.0)
    }

    /// The checked project of a folder, and the files that it was made of.
    pub(super) fn project_and_files(&self, root: &Path) -> Result<(Arc<Project>, Sources)> {
        let loaded = config::load(root, &self.global.profile, &variable);
        if loaded.project.is_none() || !self.global.quiet {
            for problem in &loaded.problems {
                output::complain(&draw::text(problem, &loaded.sources, self.output.messages.color, width()));
            }
        }
        let project = loaded.project.map(Arc::new).ok_or_else(|| Failure::told(Exit::Problems))?;
        Ok((project, loaded.sources))
    }

    /// The daemon that serves the project, where one does: what changes something goes through it.
    pub(super) async fn daemon(&self, project: &Project) -> Option<Client> {
        client::connect(&project.state, &self.global.profile).await
    }
}

/// The checked project of a command that touches no connection, and what is known of outside tables: variables may be unset.
pub(super) fn offline(context: &Context, tests: TestsOf) -> Result<(Arc<Project>, Option<Lock>)> {
    let loaded = config::load_offline(&context.root()?, &context.global.profile, tests, &variable);
    // What is not known of outside tables matters only to the tests that need it, and they say so.
    let told = loaded.problems.iter().filter(|problem| problem.severity != Severity::Note);
    for problem in told.filter(|_| loaded.project.is_none() || !context.global.quiet) {
        output::complain(&draw::text(problem, &loaded.sources, context.output.messages.color, width()));
    }
    let project = loaded.project.map(Arc::new).ok_or_else(|| Failure::told(Exit::Problems))?;
    Ok((project, loaded.lock))
}

/// A variable of the environment; one that is no Unicode counts as unset.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The project's lock, for commands that change something.
pub(super) fn lock(project: &Project) -> Result<ProjectLock> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    Ok(ProjectLock::acquire(&project.state, &words.join(" "), SystemClock.now())?)
}

/// Columns that messages may take.
pub(super) fn width() -> usize {
    const NARROWEST: u16 = 40;
    const WIDEST: u16 = 110;
    usize::from(output::columns().clamp(NARROWEST, WIDEST))
}

fn project_in(folder: &Path) -> Result<PathBuf> {
    if folder.join(PROJECT_FILE).is_file() {
        return std::path::absolute(folder).map_err(|error| Failure::file("cannot find", folder, &error));
    }
    Err(Failure::usage(format!("{} holds no {PROJECT_FILE}", folder.display()))
        .hint("`vitrina init DIR` makes a project"))
}
