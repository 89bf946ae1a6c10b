//! Who writes which table: one job only, and its members not over one another. The same for workbooks and database files.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{Context, Jobs, Table, Written, connections, report::Report};
use crate::{
    config::{
        project::{JobInfo, MartOutput},
        tree::Node,
    },
    connector::sink::SinkSpec,
    model::{
        delivery::Mode,
        name::{JobName, Member},
    },
};

/// The table that a sink writes.
pub fn table_of(sink: &SinkSpec) -> Table {
    (sink.connection.clone(), sink.schema.clone(), sink.table.clone())
}

/// Gathers who writes which table, checks it, and marks the members that share one.
pub fn writers(jobs: &mut Jobs<'_>, context: &Context<'_>, report: &mut Report<'_>) -> Written {
    let mut written = Written::new();
    for (file, pipeline) in &mut jobs.pipelines {
        let sinks: Vec<(&Member, &mut SinkSpec)> =
            pipeline.members.iter_mut().map(|member| (&member.member, &mut member.sink)).collect();
        job(&pipeline.info, &file.tree, sinks, &mut written, report);
    }
    for (file, mart) in &mut jobs.marts {
        let sinks: Vec<(&Member, &mut SinkSpec)> = mart
            .members
            .iter_mut()
            .filter_map(|member| match &mut member.output {
                MartOutput::Table { sink, .. } => Some((&member.member, sink.as_mut())),
                MartOutput::Workbook(_) => None,
            })
            .collect();
        job(&mart.info, &file.tree, sinks, &mut written, report);
    }
    workbooks(jobs, report);
    files(context, report);
    written
}

fn job(
    info: &JobInfo,
    tree: &Node,
    sinks: Vec<(&Member, &mut SinkSpec)>,
    written: &mut Written,
    report: &mut Report<'_>,
) {
    let mut counts: IndexMap<Table, usize> = IndexMap::new();
    for (_, sink) in &sinks {
        *counts.entry(table_of(sink)).or_default() += 1;
    }
    let sink_node = tree.at(&["sink"]);
    let place = if sink_node.get("table").is_some() { sink_node.at(&["table"]) } else { sink_node };
    for (table, _) in &counts {
        let others = written.get(table).into_iter().flatten();
        if let Some((other, _)) = others.clone().next() {
            let message = format!("table `{}` of `{}` is written by `{other}` already", table.2, table.0);
            report.value(place, "two-writers", message, "one job writes a table; let each write its own and unite them in SQL");
        }
    }
    for (at, (member, sink)) in sinks.into_iter().enumerate() {
        let table = table_of(sink);
        if counts.get(&table).is_some_and(|count| *count > 1) && sink.mode == Mode::Replace {
            sink.partition = member.iter().map(|(matrix, value)| (matrix.to_owned(), value.to_owned())).collect();
        }
        written.entry(table).or_default().push((info.name.clone(), at));
    }
}

/// No two workbooks are one file.
fn workbooks(jobs: &Jobs<'_>, report: &mut Report<'_>) {
    let mut seen: IndexMap<PathBuf, JobName> = IndexMap::new();
    for (file, mart) in &jobs.marts {
        for member in &mart.members {
            let MartOutput::Workbook(workbook) = &member.output else { continue };
            if let Some(other) = seen.insert(workbook.file.clone(), mart.info.name.clone()) {
                let node = file.tree.at(&["excel"]);
                let (message, hint) = if other == mart.info.name {
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

/// No two connections are one database file: each would keep its own count of who writes it.
fn files(context: &Context<'_>, report: &mut Report<'_>) {
    let mut seen: IndexMap<PathBuf, &str> = IndexMap::new();
    for (name, connection) in context.connections {
        for (_, path) in connections::paths(&connection.node) {
            let Some(text) = path.text().filter(|_| !path.stand_in) else { continue };
            let full = context.root.join(text);
            if let Some(other) = seen.insert(full, name) {
                let message = format!("connection `{other}` is this file already");
                report.value(path, "duplicate-path", message, "use one connection for both");
            }
        }
    }
}
