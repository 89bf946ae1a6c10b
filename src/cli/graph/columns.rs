//! One column, followed to what it is made of or to what is made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        context::Context,
        failure::{Failure, Result},
        output::{self, Stream, Tone, printable},
    },
    Format,
    chart::{Chart, Kind},
};
use crate::{
    config::{
        columns::{self, Column, ColumnLineage, How, Place},
        lineage::{self, lineage},
        lock::Lock,
        project::Project,
    },
    engine::typing::TableName,
    model::{
        name::{JobKind, JobName},
        problem::nearest,
    },
};

/// Which way a column is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To what it is made of.
    Upstream,
    /// To what is made of it.
    Downstream,
}

/// Draws a column's lineage.
pub(super) fn run(
    project: &Project,
    lock: Option<&Lock>,
    column: &str,
    direction: Direction,
    format: Format,
    context: &Context,
) -> Result {
    let lineage = lineage(project);
    let known = columns::columns(project, &lineage, lock);
    let start = meant(project, &lineage, &known, column)?;
    for place in &known.unknown {
        let told = format!(
            "the columns of {} cannot be followed: its SQL is native, or reads tables whose columns are not known",
            printable(&place.to_string())
        );
        context.output.say(&told);
    }
    let ways = Ways::of(&known, direction);
    let drawn = match format {
        Format::Text => ways.tree(&start, context.output.results),
        format => ways.chart(&start).drawn(format),
    };
    output::print(&drawn)
}

/// The column that a name means.
fn meant(project: &Project, lineage: &lineage::Lineage, known: &ColumnLineage, name: &str) -> Result<Column> {
    let parsed = TableName::parse(name).map(|name| name.parts).unwrap_or_default();
    let parts: Vec<&str> = parsed.iter().map(String::as_str).collect();
    let column = match parts.as_slice() {
        ["pipeline", job, column] => Some((Place::Job(JobKind::Pipeline, JobName::new(job)), *column)),
        ["mart", job, column] => Some((Place::Job(JobKind::Mart, JobName::new(job)), *column)),
        ["mart", job, sheet, column] => Some((Place::Sheet(JobName::new(job), (*sheet).to_owned()), *column)),
        [connection, table, column] => Some((of_table(project, lineage, connection, None, table), *column)),
        [connection, schema, table, column] => {
            Some((of_table(project, lineage, connection, Some(schema), table), *column))
        }
        _ => None,
    };
    let Some((place, column)) = column else {
        return Err(Failure::usage(format!("`{name}` is no column's name")).hint(
            "mart.NAME.COLUMN, pipeline.NAME.COLUMN, CONNECTION.TABLE.COLUMN or mart.NAME.SHEET.COLUMN",
        ));
    };
    let column = Column { place, name: column.to_owned() };
    if known.columns.contains(&column) {
        return Ok(column);
    }
    let failure = Failure::usage(format!("there is no column `{column}`, or nothing is known of it"));
    let names: Vec<String> = known.columns.iter().map(ToString::to_string).collect();
    match nearest(&column.to_string(), names.iter().map(String::as_str)) {
        Some(near) => Err(failure.hint(format!("did you mean `{near}`?"))),
        None => Err(failure
            .hint("`vitrina graph` shows tables; `vitrina schema pull` asks for columns of outside ones")),
    }
}

/// A table, or the job that writes it.
fn of_table(
    project: &Project,
    lineage: &lineage::Lineage,
    connection: &str,
    schema: Option<&str>,
    table: &str,
) -> Place {
    let table = lineage::table(project, connection, schema, table);
    let writer = lineage.nodes.iter().find(|node| node.writes.as_ref() == Some(&table));
    writer.map_or(Place::Table(table), |node| Place::Job(node.kind, node.job.clone()))
}

/// From each column the next ones in one direction.
struct Ways<'a> {
    next: BTreeMap<&'a Column, Vec<(&'a Column, How)>>,
    direction: Direction,
}

impl<'a> Ways<'a> {
    fn of(known: &'a ColumnLineage, direction: Direction) -> Self {
        let mut ways: BTreeMap<&Column, Vec<(&Column, How)>> = BTreeMap::new();
        for ((from, to), how) in &known.edges {
            let (here, next) = match direction {
                Direction::Upstream => (to, from),
                Direction::Downstream => (from, to),
            };
            ways.entry(here).or_default().push((next, *how));
        }
        Self { next: ways, direction }
    }

    fn next(&self, column: &Column) -> &[(&'a Column, How)] {
        self.next.get(column).map_or(&[], Vec::as_slice)
    }

    fn tree(&self, start: &Column, results: Stream) -> String {
        let mut lines = vec![results.paint(&printable(&start.to_string()), Tone::Strong)];
        self.branches(start, "", results, &mut vec![start], &mut lines);
        lines.join("\n")
    }

    /// Values one by one; what only decides the rows in one line, since it leads elsewhere.
    fn branches<'c>(
        &'c self,
        column: &Column,
        before: &str,
        results: Stream,
        path: &mut Vec<&'c Column>,
        lines: &mut Vec<String>,
    ) where
        'a: 'c,
    {
        let next = self.next(column);
        let values: Vec<&(&Column, How)> = next.iter().filter(|(_, how)| *how != How::Rows).collect();
        let rows = next.iter().filter(|(_, how)| *how == How::Rows);
        let rows: BTreeSet<String> = rows
            .map(|(column, _)| match self.direction {
                Direction::Upstream => column.to_string(),
                // It decides about whole rows there.
                Direction::Downstream => column.place.to_string(),
            })
            .collect();
        let last = values.len() + usize::from(!rows.is_empty());
        for (at, (column, how)) in values.iter().enumerate() {
            let (branch, below) = if at + 1 == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let about =
                if *how == How::Computed { results.paint("  computed", Tone::Dim) } else { String::new() };
            lines.push(format!("{before}{branch}{}{about}", printable(&column.to_string())));
            // A table that is read and written in turn would have no end; `check` refuses it, and drawing it must end.
            if !path.contains(column) {
                path.push(column);
                self.branches(column, &format!("{before}{below}"), results, path, lines);
                path.pop();
            }
        }
        if !rows.is_empty() {
            let rows: Vec<String> = rows.into_iter().collect();
            let line = format!("└─ which rows: {}", printable(&rows.join(", ")));
            lines.push(format!("{before}{}", results.paint(&line, Tone::Dim)));
        }
    }

    /// Everything that values lead to, and what decides their rows.
    fn chart(&self, start: &Column) -> Chart {
        let mut chart = Chart::default();
        chart.node(Kind::Column, &start.to_string());
        let (mut seen, mut left) = (BTreeSet::from([start]), vec![start]);
        while let Some(here) = left.pop() {
            for (next, how) in self.next(here) {
                let (from, to) = match self.direction {
                    Direction::Upstream => (*next, here),
                    Direction::Downstream => (here, *next),
                };
                let ends = [from, to].map(|column| chart.node(Kind::Column, &column.to_string()));
                let how_said = match how {
                    How::Same => "same",
                    How::Computed => "computed",
                    How::Rows => "rows",
                };
                chart.edge(ends[0], ends[1], Some(how_said));
                if *how != How::Rows && seen.insert(next) {
                    left.push(next);
                }
            }
        }
        chart
    }
}
