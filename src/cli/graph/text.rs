//! The graph as trees of jobs, for people.

use std::collections::BTreeSet;

use super::{
    super::{
        output::{Stream, Tone, printable},
        selection::Selection,
    },
    Job, Report, input, jobs, reports, target, workbook,
};
use crate::{
    config::{
        lineage::{Lineage, Node},
        project::Project,
    },
    model::name::JobName,
};

/// Draws trees, from the first sources on.
pub(super) fn text(project: &Project, selection: &Selection, results: Stream) -> String {
    let jobs = jobs(selection);
    let reports = reports(project, selection);
    let lineage = &selection.lineage;
    let mut tree = Tree {
        project,
        lineage,
        results,
        jobs: &jobs,
        reports: &reports,
        shown: BTreeSet::new(),
        lines: vec![],
    };
    for (name, job) in &jobs {
        if job.upstream.is_empty() {
            tree.root(name);
        }
    }
    for report in reports.iter().filter(|report| report.writers.is_empty()) {
        tree.sources(report.reads.iter().map(input).collect());
        tree.leaf(&report.name, "report", "");
    }
    tree.lines.join("\n")
}

struct Tree<'a> {
    project: &'a Project,
    results: Stream,
    lineage: &'a Lineage,
    jobs: &'a [(&'a JobName, Job<'a>)],
    reports: &'a [Report],
    shown: BTreeSet<&'a JobName>,
    lines: Vec<String>,
}

impl<'a> Tree<'a> {
    fn root(&mut self, name: &'a JobName) {
        let sources: BTreeSet<String> = match self.job(name) {
            Some(job) => job.nodes.iter().flat_map(|node| &node.reads).map(input).collect(),
            None => BTreeSet::new(),
        };
        self.sources(sources);
        self.branch(name, "", "");
    }

    fn sources(&mut self, sources: BTreeSet<String>) {
        if !sources.is_empty() {
            self.lines.push(self.results.paint(&several(sources), Tone::Dim));
        }
    }

    /// What nothing comes after.
    fn leaf(&mut self, name: &str, kind: &str, before: &str) {
        let (name, kind) = (self.results.paint(name, Tone::Strong), self.results.paint(kind, Tone::Dim));
        self.lines.push(format!("{before}{name}  {kind}"));
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
        let leaves = self.leaves(name, job);
        let last = readers.len() + leaves.len();
        let ways = |at: usize| if at + 1 == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        for (at, reader) in readers.iter().enumerate() {
            let (branch, further) = ways(at);
            self.branch(reader, &format!("{below}{branch}"), &format!("{below}{further}"));
        }
        for (at, (leaf, kind)) in leaves.iter().enumerate() {
            self.leaf(leaf, kind, &format!("{below}{}", ways(readers.len() + at).0));
        }
    }

    /// The sheets of a job's workbooks, and the reports that read what it writes.
    fn leaves(&self, name: &JobName, job: &Job<'_>) -> Vec<(String, &'static str)> {
        let books = job.nodes.iter().filter_map(|node| workbook(self.project, node));
        let mut sheets: Vec<String> = vec![];
        for sheet in books.flat_map(|book| &book.sheets) {
            let sheet = printable(&sheet.name);
            if !sheets.contains(&sheet) {
                sheets.push(sheet);
            }
        }
        let reads =
            |report: &&Report| report.writers.iter().any(|writer| self.lineage.nodes[*writer].job == *name);
        let reports = self.reports.iter().filter(reads).map(|report| (report.name.clone(), "report"));
        sheets.into_iter().map(|sheet| (sheet, "sheet")).chain(reports).collect()
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
