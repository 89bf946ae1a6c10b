//! The graph as nodes and edges: Mermaid, Graphviz, JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::{output::printable, selection::Selection},
    Format, jobs, reports, table_name, target, workbook,
};
use crate::{
    config::{lineage::Input, project::Project},
    model::name::JobKind,
};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Pipeline,
    Mart,
    Table,
    Workbook,
    Sheet,
    Report,
    Column,
}

/// A graph that grows.
#[derive(Default)]
pub(super) struct Chart {
    nodes: Vec<(Kind, String)>,
    /// From one node to another, and what may be said of it.
    edges: BTreeSet<(usize, usize, Option<&'static str>)>,
}

/// Jobs, what they read and what they write, sheets and reports.
pub(super) fn of_jobs(project: &Project, selection: &Selection) -> Chart {
    let mut chart = Chart::default();
    for (name, job) in jobs(selection) {
        for node in job.nodes {
            let id = chart.node(kind_of(node.kind), name.as_str());
            for read in &node.reads {
                let from = chart.input(read);
                chart.edge(from, id, None);
            }
            let Some(target) = target(project, node) else { continue };
            let to = chart.node(if node.writes.is_some() { Kind::Table } else { Kind::Workbook }, &target);
            chart.edge(id, to, None);
            for sheet in workbook(project, node).iter().flat_map(|workbook| &workbook.sheets) {
                let sheet = chart.node(Kind::Sheet, &format!("{target}: {}", printable(&sheet.name)));
                chart.edge(to, sheet, None);
            }
        }
    }
    for report in reports(project, selection) {
        let id = chart.node(Kind::Report, &report.name);
        for read in &report.reads {
            let from = chart.input(read);
            chart.edge(from, id, None);
        }
    }
    chart
}

fn kind_of(kind: JobKind) -> Kind {
    match kind {
        JobKind::Pipeline => Kind::Pipeline,
        JobKind::Mart => Kind::Mart,
    }
}

impl Chart {
    /// The number of a node; made where it is new.
    pub(super) fn node(&mut self, kind: Kind, name: &str) -> usize {
        let node = (kind, name.to_owned());
        if let Some(known) = self.nodes.iter().position(|known| *known == node) {
            return known;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn input(&mut self, input: &Input) -> usize {
        match input {
            Input::Table(table) => self.node(Kind::Table, &table_name(table)),
            Input::Job(kind, job) => self.node(kind_of(*kind), job.as_str()),
        }
    }

    /// Adds an edge.
    pub(super) fn edge(&mut self, from: usize, to: usize, how: Option<&'static str>) {
        self.edges.insert((from, to, how));
    }

    /// As a format wants it.
    pub(super) fn drawn(&self, format: Format) -> String {
        match format {
            Format::Dot => self.dot(),
            Format::Json => format!("{:#}", self.json()),
            Format::Mermaid | Format::Text => self.mermaid(),
        }
    }

    fn mermaid(&self) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        for (id, (kind, name)) in self.nodes.iter().enumerate() {
            let (open, close) = match kind {
                Kind::Pipeline | Kind::Mart => ("([", "])"),
                Kind::Table => ("[(", ")]"),
                Kind::Workbook => ("[/", "/]"),
                Kind::Report => ("{{", "}}"),
                Kind::Sheet | Kind::Column => ("[", "]"),
            };
            // Names may hold what means something in Mermaid: quoted, with its own escapes.
            let quoted = name.replace('#', "#35;").replace('"', "#quot;");
            lines.push(format!("  n{id}{open}\"{quoted}\"{close}"));
        }
        lines.extend(self.edges.iter().map(|(from, to, how)| match how {
            Some("rows") => format!("  n{from} -.-> n{to}"),
            _ => format!("  n{from} --> n{to}"),
        }));
        lines.join("\n")
    }

    fn dot(&self) -> String {
        let mut lines = vec!["digraph vitrina {".to_owned(), "  rankdir=LR;".to_owned()];
        for (id, (kind, name)) in self.nodes.iter().enumerate() {
            let shape = match kind {
                Kind::Pipeline | Kind::Mart => "box, style=rounded",
                Kind::Table => "cylinder",
                Kind::Workbook => "folder",
                Kind::Sheet => "note",
                Kind::Report => "hexagon",
                Kind::Column => "plain",
            };
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            lines.push(format!("  n{id} [label=\"{quoted}\", shape={shape}];"));
        }
        lines.extend(self.edges.iter().map(|(from, to, how)| match how {
            Some("rows") => format!("  n{from} -> n{to} [style=dotted];"),
            _ => format!("  n{from} -> n{to};"),
        }));
        lines.push("}".to_owned());
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let nodes = self.nodes.iter().enumerate();
        let nodes = nodes.map(|(id, (kind, name))| json!({ "id": id, "kind": kind, "name": name }));
        let edges = self.edges.iter().map(|(from, to, how)| {
            let mut edge = json!({ "from": from, "to": to });
            if let Some(how) = how {
                edge["how"] = json!(how);
            }
            edge
        });
        json!({ "nodes": nodes.collect::<Value>(), "edges": edges.collect::<Value>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let mut chart = Chart::default();
        let first = chart.node(Kind::Table, "таблица \"x\" #1");
        let second = chart.node(Kind::Pipeline, "job");
        assert_eq!(chart.node(Kind::Pipeline, "job"), second, "a name is one node");
        chart.edge(first, second, None);
        chart.edge(second, first, Some("rows"));
        chart
    }

    #[test]
    fn names_are_quoted_in_charts() {
        let expected = "flowchart LR\n  n0[(\"таблица #quot;x#quot; #35;1\")]\n  n1([\"job\"])\n  n0 --> n1\n  n1 -.-> n0";
        assert_eq!(chart().drawn(Format::Mermaid), expected);
        let dot = chart().drawn(Format::Dot);
        assert!(dot.contains("n0 [label=\"таблица \\\"x\\\" #1\", shape=cylinder];"), "{dot}");
        assert!(dot.contains("n1 -> n0 [style=dotted];"), "{dot}");
    }

    #[test]
    fn programs_get_nodes_and_edges() {
        let told = chart().json();
        assert_eq!(told["nodes"][1], json!({ "id": 1, "kind": "pipeline", "name": "job" }));
        assert_eq!(told["edges"][1], json!({ "from": 1, "to": 0, "how": "rows" }));
    }
}
