//! `graph`: who reads what whom writes.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    context::Context,
    failure::Result,
    output::{self, Stream, Tone, printable},
    selection::{self, Selection},
};
use crate::{
    config::{
        lineage::{Input, Node, Table},
        project::{MartOutput, Project},
    },
    model::name::JobName,
};

const EXAMPLES: &str = "\
Examples:
  vitrina graph
  vitrina graph crm_actions+                     what depends on it
  vitrina graph --format mermaid > graph.mmd     for Markdown";

/// Options of `graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// Show these only
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// How it is drawn
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// A tree, from the first sources on
    #[default]
    Text,
    /// A flow chart for Markdown
    Mermaid,
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let drawn = match args.format {
        Format::Text => text(&project, &selection, context.output.results),
        Format::Mermaid => mermaid(&project, &selection),
    };
    output::print(&drawn)
}

/// A job of the selection: its members as one.
struct Job<'a> {
    nodes: Vec<&'a Node>,
    upstream: BTreeSet<&'a JobName>,
}

fn jobs<'a>(selection: &'a Selection) -> Vec<(&'a JobName, Job<'a>)> {
    let mut order: Vec<&JobName> = Vec::new();
    let mut found: BTreeMap<&JobName, Job<'a>> = BTreeMap::new();
    for &index in &selection.nodes {
        let node = &selection.lineage.nodes[index];
        let job = found.entry(&node.job).or_insert_with(|| {
            order.push(&node.job);
            Job { nodes: vec![], upstream: BTreeSet::new() }
        });
        job.nodes.push(node);
        let before = node.upstream.iter().filter(|before| selection.nodes.contains(before));
        let before = before.map(|before| &selection.lineage.nodes[*before].job);
        job.upstream.extend(before.filter(|before| **before != node.job));
    }
    order.into_iter().filter_map(|name| Some((name, found.remove(name)?))).collect()
}

fn text(project: &Project, selection: &Selection, results: Stream) -> String {
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

/// Where a member's rows go: a table, or a workbook's file inside the project.
fn target(project: &Project, node: &Node) -> Option<String> {
    if let Some(table) = &node.writes {
        return Some(table_name(table));
    }
    let member = project.marts.get(&node.job)?.members.iter().find(|member| member.member == node.member)?;
    match &member.output {
        MartOutput::Workbook(workbook) => {
            let file = workbook.file.strip_prefix(&project.root).unwrap_or(&workbook.file);
            Some(printable(&file.display().to_string()))
        }
        MartOutput::Table { .. } => None,
    }
}

fn input(input: &Input) -> String {
    match input {
        Input::Table(table) => table_name(table),
        Input::Job(kind, job) => format!("{kind}.{job}"),
    }
}

fn table_name(table: &Table) -> String {
    let schema = table.schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
    printable(&format!("{}.{schema}{}", table.connection, table.table))
}

fn mermaid(project: &Project, selection: &Selection) -> String {
    let mut chart = Chart::default();
    for (name, job) in jobs(selection) {
        let id = chart.node(name.as_str(), "([", "])");
        for node in job.nodes {
            for read in &node.reads {
                let from = match read {
                    Input::Table(table) => chart.node(&table_name(table), "[(", ")]"),
                    Input::Job(_, job) => chart.node(job.as_str(), "([", "])"),
                };
                chart.edges.insert((from, id));
            }
            if let Some(target) = target(project, node) {
                let brackets = if node.writes.is_some() { ("[(", ")]") } else { ("[/", "/]") };
                let to = chart.node(&target, brackets.0, brackets.1);
                chart.edges.insert((id, to));
            }
        }
    }
    chart.drawn()
}

/// A flow chart that grows.
#[derive(Default)]
struct Chart {
    nodes: Vec<(String, String)>,
    edges: BTreeSet<(usize, usize)>,
}

impl Chart {
    fn node(&mut self, label: &str, open: &str, close: &str) -> usize {
        if let Some(known) = self.nodes.iter().position(|(name, _)| name == label) {
            return known;
        }
        // Names may hold what means something in Mermaid: quoted, with its own escapes.
        let quoted = label.replace('#', "#35;").replace('"', "#quot;");
        self.nodes.push((label.to_owned(), format!("{open}\"{quoted}\"{close}")));
        self.nodes.len() - 1
    }

    fn drawn(&self) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        lines.extend(self.nodes.iter().enumerate().map(|(id, (_, shape))| format!("  n{id}{shape}")));
        lines.extend(self.edges.iter().map(|(from, to)| format!("  n{from} --> n{to}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_in_charts() {
        let mut chart = Chart::default();
        let first = chart.node("таблица \"x\" #1", "[(", ")]");
        let second = chart.node("job", "([", "])");
        assert_eq!(chart.node("job", "([", "])"), second, "a name is one node");
        chart.edges.insert((first, second));
        let expected = "flowchart LR\n  n0[(\"таблица #quot;x#quot; #35;1\")]\n  n1([\"job\"])\n  n0 --> n1";
        assert_eq!(chart.drawn(), expected);
    }
}
