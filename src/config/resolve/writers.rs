//! Who writes which table: one job only, and its members not over one another. The same for workbooks and database files.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{
    connections::{self, Connections},
    report::Report,
    trees::Trees,
};
use crate::{
    config::{
        lineage::{self, Table},
        project::{JobInfo, MartOutput, Project},
        tree::Node,
    },
    connector::sink::SinkSpec,
    model::{
        delivery::Mode,
        name::{JobName, Member},
    },
};

/// Checks who writes what, and marks the members that replace parts of one table.
pub(crate) fn check(
    project: &mut Project,
    connections: &Connections,
    trees: &Trees<'_>,
    report: &mut Report<'_>,
) {
    let mut written: IndexMap<Table, JobName> = IndexMap::new();
    let mut shared: Vec<(JobName, Vec<Table>)> = vec![];
    let of_pipelines = project.pipelines.values().map(|pipeline| {
        (&pipeline.info, pipeline.members.iter().map(|member| &member.sink).collect::<Vec<_>>())
    });
    let of_marts = project.marts.values().map(|mart| {
        let sinks = mart.members.iter().filter_map(|member| match &member.output {
            MartOutput::Table { sink, .. } => Some(sink.as_ref()),
            MartOutput::Workbook(_) => None,
        });
        (&mart.info, sinks.collect::<Vec<_>>())
    });
    for (info, sinks) in of_pipelines.chain(of_marts) {
        let tables = sinks.iter().map(|sink| lineage::sink_table(project, sink)).collect::<Vec<_>>();
        one_writer(info, trees.of_job(info), &tables, &mut written, report);
        if sinks.iter().any(|sink| sink.mode == Mode::Window) {
            windows_apart(trees.of_job(info), &tables, report);
        }
        shared.push((info.name.clone(), tables));
    }
    for (name, tables) in shared {
        mark_shared(project, &name, &tables);
    }
    workbooks(project, trees, report);
    files(project, connections, report);
}

fn one_writer(
    info: &JobInfo,
    tree: &Node,
    tables: &[Table],
    written: &mut IndexMap<Table, JobName>,
    report: &mut Report<'_>,
) {
    let sink = tree.at(&["sink"]);
    let place = sink.get("table").unwrap_or(sink);
    let first = report.problems.len();
    for table in tables {
        let Some(other) = written.get(table).filter(|other| **other != info.name) else { continue };
        let message =
            format!("table `{}` of `{}` is written by `{other}` already", table.table, table.connection);
        let hint = "one job writes a table: let each write its own, and unite them in SQL";
        report.member(first, |report| report.value(place, "two-writers", message, hint));
    }
    written.extend(tables.iter().map(|table| (table.clone(), info.name.clone())));
}

/// A window is replaced with all rows in it, so that members need a table each.
fn windows_apart(tree: &Node, tables: &[Table], report: &mut Report<'_>) {
    if (1..tables.len()).any(|at| tables[..at].contains(&tables[at])) {
        let sink = tree.at(&["sink"]);
        let message = "members share this table, and a window of one would replace the others' rows";
        let hint =
            "give each member a table of its own: `table = \"daily_{region}\"`; `mart.NAME` unites them";
        report.value(sink.get("table").unwrap_or(sink), "shared-window", message, hint);
    }
}

/// Members that share a table replace only their own rows of it.
fn mark_shared(project: &mut Project, name: &JobName, tables: &[Table]) {
    let shared = |at: usize| tables.iter().filter(|table| **table == tables[at]).count() > 1;
    let mark = |member: &Member, sink: &mut SinkSpec, at: usize| {
        if sink.mode == Mode::Replace && shared(at) {
            sink.partition =
                member.iter().map(|(matrix, value)| (matrix.to_owned(), value.to_owned())).collect();
        }
    };
    if let Some(pipeline) = project.pipelines.get_mut(name) {
        for (at, member) in pipeline.members.iter_mut().enumerate().take(tables.len()) {
            mark(&member.member, &mut member.sink, at);
        }
    } else if let Some(mart) = project.marts.get_mut(name) {
        for (at, member) in mart.members.iter_mut().enumerate().take(tables.len()) {
            if let MartOutput::Table { sink, .. } = &mut member.output {
                mark(&member.member, sink, at);
            }
        }
    }
}

/// No two workbooks are one file.
fn workbooks(project: &Project, trees: &Trees<'_>, report: &mut Report<'_>) {
    let mut seen: IndexMap<PathBuf, &JobName> = IndexMap::new();
    for mart in project.marts.values() {
        for member in &mart.members {
            let MartOutput::Workbook(workbook) = &member.output else { continue };
            if let Some(other) = seen.insert(workbook.file.clone(), &mart.info.name) {
                let node = trees.of_job(&mart.info).at(&["excel"]);
                let (message, hint) = if *other == mart.info.name {
                    ("all members would write the same file".to_owned(), "name the member in it: `{region}`")
                } else {
                    (format!("mart `{other}` writes this file already"), "")
                };
                report.value(node, "two-writers", message, hint);
                break;
            }
        }
    }
}

/// No two connections are one file or folder: each would keep its own count of who writes there.
fn files(project: &Project, connections: &Connections, report: &mut Report<'_>) {
    let mut seen: IndexMap<PathBuf, &str> = IndexMap::new();
    for (name, connection) in connections {
        for (_, path) in connections::paths(&connection.node) {
            let Some(text) = path.text().filter(|_| !path.stand_in) else { continue };
            let full = project.root.join(text);
            if let Some(other) = seen.insert(full, name) {
                let message = format!("connection `{other}` is this file already");
                report.value(path, "duplicate-path", message, "use one connection for both");
            }
        }
    }
}
