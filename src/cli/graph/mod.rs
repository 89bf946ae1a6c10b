//! `graph`: who reads what whom writes, of tables and of columns; the sheets and reports at its end.

mod chart;
mod columns;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    context::{self, Context},
    failure::Result,
    output::{self, printable},
    selection::{self, Selection},
};
use crate::{
    config::{
        TestsOf,
        lineage::{self, Input, Node, Table},
        project::{MartOutput, Project, Workbook},
    },
    model::name::JobName,
};

const EXAMPLES: &str = "\
Examples:
  vitrina graph
  vitrina graph crm_actions+                     what depends on it
  vitrina graph --format mermaid > graph.mmd     for Markdown
  vitrina graph --column mart.revenue.money      what a column is made of
  vitrina graph --column warehouse.orders.amount --downstream
  vitrina graph --column 'mart.sales.\"By day\".amount'   a column of a workbook's sheet";

/// Options of `graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// Show these only
    #[arg(value_name = "NAME", conflicts_with = "column")]
    names: Vec<String>,

    /// Follow one column: mart.NAME.COLUMN, pipeline.NAME.COLUMN, CONNECTION.TABLE.COLUMN, mart.NAME.SHEET.COLUMN
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,

    /// What the column is made of; it is what `--column` shows unless told
    #[arg(long, requires = "column", conflicts_with = "downstream")]
    upstream: bool,

    /// What is made of the column
    #[arg(long, requires = "column")]
    downstream: bool,

    /// How it is drawn
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A tree
    #[default]
    Text,
    /// A flow chart for Markdown
    Mermaid,
    /// A graph for Graphviz
    Dot,
    /// nodes and edges
    Json,
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result {
    let (project, lock) = context::offline(context, TestsOf::NoJob)?;
    if let Some(column) = &args.column {
        let upstream = args.upstream || !args.downstream;
        let direction = if upstream { columns::Direction::Upstream } else { columns::Direction::Downstream };
        return columns::run(&project, lock.as_ref(), column, direction, args.format, context);
    }
    let selection = Selection::named(&project, &args.names)?;
    let drawn = match args.format {
        Format::Text => text::text(&project, &selection, context.output.results),
        format => chart::of_jobs(&project, &selection).drawn(format),
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

/// A report of the bot that reads something of the selection, or everything there is.
struct Report {
    name: String,
    /// What it reads of it.
    reads: Vec<Input>,
    /// Who of the selection writes that.
    writers: BTreeSet<usize>,
}

/// Reports that read what is selected; those that read tables of others alone too, where everything is.
fn reports(project: &Project, selection: &Selection) -> Vec<Report> {
    let lineage = &selection.lineage;
    let everything = selection.nodes.len() == lineage.nodes.len();
    let selected = |input: &Input| -> BTreeSet<usize> {
        lineage.writers(input).filter(|writer| selection.nodes.contains(writer)).collect()
    };
    let report = |report: lineage::ReportNode| {
        let reads = report.reads.into_iter().filter(|input| everything || !selected(input).is_empty());
        let reads: Vec<Input> = reads.collect();
        let writers = reads.iter().flat_map(selected).collect();
        Report { name: printable(&report.name), reads, writers }
    };
    lineage::reports(project).into_iter().map(report).filter(|report| !report.reads.is_empty()).collect()
}

/// The workbook of a member.
fn workbook<'p>(project: &'p Project, node: &Node) -> Option<&'p Workbook> {
    let member = project.marts.get(&node.job)?.members.iter().find(|member| member.member == node.member)?;
    match &member.output {
        MartOutput::Workbook(workbook) => Some(workbook),
        MartOutput::Table { .. } => None,
    }
}

/// Where a member's rows go: a table, or a workbook's file inside the project.
fn target(project: &Project, node: &Node) -> Option<String> {
    if let Some(table) = &node.writes {
        return Some(table_name(table));
    }
    let workbook = workbook(project, node)?;
    let file = workbook.file.strip_prefix(&project.root).unwrap_or(&workbook.file);
    Some(printable(&file.display().to_string()))
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
