//! Files → raw TOML with spans → resolved → checked [`Project`](project::Project), or every problem at once.

pub mod lineage;
pub mod project;

use std::path::PathBuf;

use crate::model::problem::Problem;

/// What was read of a project: for drawing problems, whatever became of it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Text of every file that was read, by its path relative to the project's folder.
    pub files: indexmap::IndexMap<PathBuf, std::sync::Arc<str>>,
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
}
