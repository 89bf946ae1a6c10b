//! From a resolved job back to the file that it was written in.

use indexmap::IndexMap;

use crate::{
    config::{files::Files, project::JobInfo, tree::Node},
    model::name::{JobKind, JobName},
};

/// The trees of all jobs.
pub(crate) struct Trees<'a>(IndexMap<(JobKind, JobName), &'a Node>);

impl<'a> Trees<'a> {
    /// Of a project's files.
    pub(crate) fn of(files: &'a Files) -> Self {
        let pipelines =
            files.pipelines.iter().map(|file| ((JobKind::Pipeline, file.name.clone()), &file.tree));
        let marts = files.marts.iter().map(|file| ((JobKind::Mart, file.name.clone()), &file.tree));
        Self(pipelines.chain(marts).collect())
    }

    /// The tree of a job that was made of these files.
    pub(crate) fn get(&self, kind: JobKind, name: &JobName) -> &'a Node {
        self.0.get(&(kind, name.clone())).copied().expect("every resolved job comes from a file")
    }

    /// The tree of a job that was made of these files.
    pub(crate) fn of_job(&self, info: &JobInfo) -> &'a Node {
        self.get(info.kind, &info.name)
    }
}
