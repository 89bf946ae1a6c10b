//! The graph as trees of jobs, for people.

use std::collections::BTreeSet;

use super::{
    super::{
        output::{Stream, Tone},
        selection::Selection,
    },
    Job, input, jobs, target,
};
use crate::{
    config::{lineage::Node, project::Project},
    model::name::JobName,
};

/// Draws trees, from the first sources on.
pub(super) fn text(project: &Project, selection: &Selection, results: Stream) -> String {
    let jobs = jobs(selection);
    let mut tree = Tree { project, results, jobs: &jobs, shown: BTreeSet::new(), lines: vec![] };
    for (name, job) in &jobs {
        if job.upstream.is_empty() {
            tree.root(name);
        }
    }
    tree.lines.join("\n")
}

struct Tree<'a> {
    project: &'a Project,
    results: Stream,
    jobs: &'a [(&'a JobName, Job<'a>)],
    shown: BTreeSet<&'a JobName>,
    lines: Vec<String>,
}

impl<'a> Tree<'a> {
    fn root(&mut self, name: &'a JobName) {
        let sources: BTreeSet<String> = match self.job(name) {
            Some(job) => job.nodes.iter().flat_map(|node| &node.reads).map(input).collect(),
            None => BTreeSet::new(),
        };
        if !sources.is_empty() {
            self.lines.push(self.results.paint(&several(sources), Tone::Dim));
        }
        self.branch(name, "", "");
    }

    fn branch(&mut self, name: &'a JobName, before: &str, below: &str) {
        let Some(job) = self.job(name) else { return };
        let again = !self.shown.insert(name);
        let seen = if again { " (see above)" } else { "" };
        let label = self.results.paint(name.as_str(), Tone::Strong);
        let about = self.results.paint(&format!("{}{seen}", about(self.project, &job.nodes)), Tone::Dim);
        self.lines.push(format!("{before}{label}  {about}"));
        if again {
            return;
        }
        let readers: Vec<&'a JobName> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.upstream.contains(name))
            .map(|(reader, _)| *reader)
            .collect();
        for (i, reader) in readers.iter().enumerate() {
            let (branch, further) =
                if i + 1 == readers.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.branch(reader, &format!("{below}{branch}"), &format!("{below}{further}"));
        }
    }

    fn job(&self, name: &JobName) -> Option<&'a Job<'a>> {
        self.jobs.iter().find(|(known, _)| *known == name).map(|(_, job)| job)
    }
}

/// `pipeline of 3 members → stream.crm.actions.mrf1 and 2 more`
fn about(project: &Project, nodes: &[&Node]) -> String {
    let kind = nodes.first().map_or(String::new(), |node| node.kind.to_string());
    let members = if nodes.len() > 1 { format!(" of {} members", nodes.len()) } else { String::new() };
    let targets: BTreeSet<String> = nodes.iter().filter_map(|node| target(project, node)).collect();
    format!("{kind}{members} → {}", several(targets))
}

fn several(names: BTreeSet<String>) -> String {
    let more = names.len().saturating_sub(1);
    let first = names.into_iter().next().unwrap_or_default();
    if more == 0 { first } else { format!("{first} and {more} more") }
}
