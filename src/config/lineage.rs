//! Who reads what whom writes: pure over the checked project. Gives the order of runs, cycles and graphs.

use std::collections::BTreeSet;

use datafusion::common::TableReference;

use super::{
    bot::{Report, Show},
    project::{
        JobInfo, MartMember, MartOutput, PipelineMember, Project, Rule, Schedule, SourceKind, Sql, Trigger,
    },
};
use crate::{
    connector::sink::SinkSpec,
    engine::typing::{TableName, native_tables, query_tables},
    model::name::{JobKind, JobName, Member},
};

/// A table of a connection; `schema` is `None` where the connection has only one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// The connection's name.
    pub connection: String,
    /// The schema (database file).
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

/// What a member reads: a table, or the relation of another job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A table of a connection.
    Table(Table),
    /// `pipeline.NAME` or `mart.NAME`.
    Job(JobKind, JobName),
}

/// One member of one job.
#[derive(Debug, Clone)]
pub struct Node {
    /// The pipeline or mart.
    pub job: JobName,
    /// Which of them.
    pub kind: JobKind,
    /// Its matrix values.
    pub member: Member,
    /// The table that it writes; `None` for a workbook.
    pub writes: Option<Table>,
    /// What it reads.
    pub reads: Vec<Input>,
    /// Nodes that it comes after, by index, each once, rising.
    pub upstream: Vec<usize>,
}

/// All members of all jobs and their order.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// Pipelines first, in the project's order.
    pub nodes: Vec<Node>,
}

/// A report of the bot, as a reader.
#[derive(Debug, Clone)]
pub struct ReportNode {
    /// As `bot.toml` names it.
    pub name: String,
    /// What its queries read, and the workbooks that it sends.
    pub reads: Vec<Input>,
}

/// The bot's reports with what they read.
pub fn reports(project: &Project) -> Vec<ReportNode> {
    let reports = project.bot.iter().flat_map(|bot| bot.reports.values());
    let node = |report: &Report| {
        let tables = report.reads.iter().filter_map(|table| named(project, table));
        let books = report.show.iter().filter_map(|show| match show {
            Show::Workbook(mart) => Some(Input::Job(JobKind::Mart, JobName::new(mart))),
            _ => None,
        });
        ReportNode { name: report.name.clone(), reads: unique(tables.chain(books)) }
    };
    reports.map(node).collect()
}

/// Every member of the project with what it reads and whom it comes after.
pub fn lineage(project: &Project) -> Lineage {
    let mut nodes = Vec::new();
    for pipeline in project.pipelines.values() {
        nodes.extend(pipeline.members.iter().map(|member| pipeline_node(project, &pipeline.info, member)));
    }
    for mart in project.marts.values() {
        nodes.extend(mart.members.iter().map(|member| mart_node(project, &mart.info, member)));
    }
    let upstream: Vec<Vec<usize>> =
        (0..nodes.len()).map(|reader| upstream_of(project, &nodes, reader)).collect();
    for (node, upstream) in nodes.iter_mut().zip(upstream) {
        node.upstream = upstream;
    }
    Lineage { nodes }
}

impl Lineage {
    /// The node of a member.
    pub fn find(&self, job: &JobName, member: &Member) -> Option<usize> {
        self.nodes.iter().position(|node| node.job == *job && node.member == *member)
    }

    /// The nodes that write what is read; all members of a job.
    pub fn writers<'a>(&'a self, input: &'a Input) -> impl Iterator<Item = usize> + 'a {
        let writes = move |node: &Node| match input {
            Input::Table(table) => node.writes.as_ref() == Some(table),
            Input::Job(kind, job) => node.kind == *kind && node.job == *job,
        };
        self.nodes.iter().enumerate().filter(move |(_, node)| writes(node)).map(|(index, _)| index)
    }

    /// Every node after those that it comes after; `Err` = the nodes of one cycle, in its order.
    pub fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut walk =
            Walk { lineage: self, done: vec![false; self.nodes.len()], path: vec![], order: vec![] };
        for node in 0..self.nodes.len() {
            walk.visit(node)?;
        }
        Ok(walk.order)
    }

    /// The nodes that must be fresh before this one runs by a schedule of `after`: those that it reads from (`"inputs"`), or those of the jobs that it
    /// names; member by member. None for every other schedule.
    pub fn waits_for(&self, node: usize, schedule: &Schedule) -> Vec<usize> {
        match &schedule.trigger {
            Trigger::AfterInputs => inputs_of(&self.nodes, node),
            Trigger::After(_) => named_by(&self.nodes, node, Some(schedule)),
            Trigger::Every(_) | Trigger::Cron { .. } | Trigger::Continuous => vec![],
        }
    }

    /// All nodes that come after this one, at any distance, without itself.
    pub fn downstream(&self, node: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut left = vec![node];
        while let Some(next) = left.pop() {
            for (reader, candidate) in self.nodes.iter().enumerate() {
                if candidate.upstream.contains(&next) && found.insert(reader) {
                    left.push(reader);
                }
            }
        }
        found.remove(&node);
        found
    }
}

/// What the bot reads: its reports and alerts by name, with the tables and relations of their queries.
pub fn read_by_bot(project: &Project) -> Vec<(String, Vec<Input>)> {
    let Some(bot) = &project.bot else { return vec![] };
    let reports = bot.reports.values().map(|report| {
        let inputs = report.reads.iter().filter_map(|name| named(project, name));
        (format!("report {}", report.name), inputs.collect())
    });
    let alerts =
        bot.alerts.iter().map(|(name, alert)| (format!("alert {name}"), sql_inputs(project, &alert.sql)));
    reports.chain(alerts).collect()
}

struct Walk<'a> {
    lineage: &'a Lineage,
    done: Vec<bool>,
    path: Vec<usize>,
    order: Vec<usize>,
}

impl Walk<'_> {
    fn visit(&mut self, node: usize) -> Result<(), Vec<usize>> {
        if self.done[node] {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|other| *other == node) {
            return Err(self.path[start..].to_vec());
        }
        self.path.push(node);
        for &before in &self.lineage.nodes[node].upstream {
            self.visit(before)?;
        }
        self.path.pop();
        self.done[node] = true;
        self.order.push(node);
        Ok(())
    }
}

fn pipeline_node(project: &Project, info: &JobInfo, member: &PipelineMember) -> Node {
    let mut reads = Vec::new();
    if let SourceKind::Table(spec) = &member.source {
        reads.push(Input::Table(table(project, &spec.connection, spec.schema.as_deref(), &spec.table)));
    }
    if let Some(sql) = &member.transform {
        reads.extend(sql_inputs(project, sql));
    }
    node(info, &member.member, Some(sink_table(project, &member.sink)), reads)
}

fn mart_node(project: &Project, info: &JobInfo, member: &MartMember) -> Node {
    match &member.output {
        MartOutput::Table { sql, sink, checks, .. } => {
            let asked = checks.iter().filter_map(|check| match &check.rule {
                Rule::NoRows { sql, .. } => Some(sql),
                Rule::RowCount { .. } | Rule::Newest { .. } => None,
            });
            let reads = std::iter::once(sql).chain(asked).flat_map(|sql| sql_inputs(project, sql)).collect();
            node(info, &member.member, Some(sink_table(project, sink)), reads)
        }
        MartOutput::Workbook(workbook) => {
            let reads = workbook.sheets.iter().flat_map(|sheet| sql_inputs(project, &sheet.sql));
            node(info, &member.member, None, reads.collect())
        }
    }
}

fn unique(reads: impl IntoIterator<Item = Input>) -> Vec<Input> {
    let mut unique: Vec<Input> = vec![];
    for read in reads {
        if !unique.contains(&read) {
            unique.push(read);
        }
    }
    unique
}

fn node(info: &JobInfo, member: &Member, writes: Option<Table>, reads: Vec<Input>) -> Node {
    Node {
        job: info.name.clone(),
        kind: info.kind,
        member: member.clone(),
        writes,
        reads: unique(reads),
        upstream: vec![],
    }
}

/// Members whose rows one reads: those that write its tables, and those of the relations that it names, member by member.
fn inputs_of(nodes: &[Node], reader: usize) -> Vec<usize> {
    let node = &nodes[reader];
    let gives = |other: &Node| {
        node.reads.iter().any(|input| match input {
            Input::Table(table) => other.writes.as_ref() == Some(table),
            Input::Job(kind, job) => {
                other.kind == *kind && other.job == *job && node.member.agrees_with(&other.member)
            }
        })
    };
    let found = nodes.iter().enumerate().filter(|(_, other)| gives(other));
    found.map(|(index, _)| index).collect()
}

/// Members of the jobs that a schedule names, member by member.
fn named_by(nodes: &[Node], reader: usize, schedule: Option<&Schedule>) -> Vec<usize> {
    let Some(Trigger::After(jobs)) = schedule.map(|schedule| &schedule.trigger) else { return vec![] };
    let member = &nodes[reader].member;
    let named = |other: &Node| jobs.contains(&other.job) && member.agrees_with(&other.member);
    let found = nodes.iter().enumerate().filter(|(_, other)| named(other));
    found.map(|(index, _)| index).collect()
}

fn upstream_of(project: &Project, nodes: &[Node], reader: usize) -> Vec<usize> {
    let info = project.jobs().find(|info| info.name == nodes[reader].job);
    let named = named_by(nodes, reader, info.and_then(|info| info.schedule.as_ref()));
    let all: BTreeSet<usize> = inputs_of(nodes, reader).into_iter().chain(named).collect();
    all.into_iter().collect()
}

/// The table that a sink writes.
pub fn sink_table(project: &Project, sink: &SinkSpec) -> Table {
    table(project, &sink.connection, sink.schema.as_deref(), &sink.table)
}

/// A table by its full name: a schema counts only where the connection has several.
pub fn table(project: &Project, connection: &str, schema: Option<&str>, table: &str) -> Table {
    let schema = project.connections.get(connection).and_then(|config| config.schemas().of(schema));
    Table { connection: connection.to_owned(), schema, table: table.to_owned() }
}

/// What a table's name in SQL stands for; `None` for a name of one part.
pub fn named(project: &Project, name: &TableName) -> Option<Input> {
    input(project, &reference(name)?)
}

/// What a query reads, `source` and `this` left out; nothing where it does not parse.
fn sql_inputs(project: &Project, sql: &Sql) -> Vec<Input> {
    if sql.native {
        let tables = native_tables(&sql.text).into_iter();
        return tables.filter_map(|name| input(project, &reference(&name)?)).collect();
    }
    query_tables(&sql.text).iter().filter_map(|name| input(project, &reference(name)?)).collect()
}

fn reference(name: &TableName) -> Option<TableReference> {
    Some(match name.parts.as_slice() {
        [connection, table] => TableReference::partial(connection.as_str(), table.as_str()),
        [connection, schema, table] => {
            TableReference::full(connection.as_str(), schema.as_str(), table.as_str())
        }
        _ => return None,
    })
}

fn input(project: &Project, reference: &TableReference) -> Option<Input> {
    match reference {
        TableReference::Bare { .. } => None,
        TableReference::Partial { schema, table: name } => match schema.as_ref() {
            "pipeline" => Some(Input::Job(JobKind::Pipeline, JobName::new(name))),
            "mart" => Some(Input::Job(JobKind::Mart, JobName::new(name))),
            connection => Some(Input::Table(table(project, connection, None, name))),
        },
        TableReference::Full { catalog, schema, table: name } => {
            Some(Input::Table(table(project, catalog, Some(schema), name)))
        }
    }
}
