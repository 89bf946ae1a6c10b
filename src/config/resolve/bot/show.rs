//! The parts of an answer: one thing each, and the names in them.

use super::{Scope, check_report, optional, words_text};
use crate::config::{
    bot::{AskKind, Bot, Chart, ChartKind, Drill, FileKind, Show, Table},
    project::MartOutput,
    raw::bot::{ReportChart, ReportFile, ReportTable, Show as Raw},
    resolve::{matrix::meant, report::Report},
    tree::Node,
};

/// Rows of a table, unless told.
const ROWS: usize = 10;

/// The parts in order; a table and an Excel file where none are written.
pub(super) fn show(raw: &ReportFile, node: &Node, report: &mut Report<'_>) -> Vec<Show> {
    if raw.show.is_empty() {
        let table = Table { rows: ROWS, columns: vec![], total: vec![], drill: None };
        return vec![Show::Table(table), Show::File(FileKind::Excel)];
    }
    let list = node.at(&["show"]);
    let parts = raw.show.iter().enumerate();
    parts.filter_map(|(at, part)| one(part, list.items().get(at).unwrap_or(list), report)).collect()
}

fn one(raw: &Raw, node: &Node, report: &mut Report<'_>) -> Option<Show> {
    let mut parts = vec![];
    if let Some(text) = &raw.text {
        let template = words_text(text, node.at(&["text"]), report);
        parts.push(Show::Text { template, compare: raw.compare });
    } else if raw.compare.is_some() {
        report.key(node.at(&["compare"]), "conflicting-keys", "`compare` goes with `text`", "");
    }
    parts.extend(raw.chart.as_ref().map(|raw| Show::Chart(chart(raw, node.at(&["chart"]), report))));
    parts.extend(raw.table.as_ref().map(|raw| Show::Table(table(raw))));
    parts.extend(raw.file.map(Show::File));
    parts.extend(raw.workbook.clone().map(Show::Workbook));
    if parts.len() != 1 {
        let message = "a [[show]] is one of `text`, `chart`, `table`, `file` and `workbook`";
        report.value(node, "bad-show", message, "write one [[show]] for each");
    }
    parts.into_iter().next()
}

fn chart(raw: &ReportChart, node: &Node, report: &mut Report<'_>) -> Chart {
    let title = optional(raw.title.as_ref(), node.at(&["title"]), report);
    if raw.y.is_empty() {
        report.value(node.at(&["y"]), "empty-chart", "this chart draws nothing", "name columns in `y`");
    }
    let single = matches!(raw.kind, ChartKind::Pie | ChartKind::Funnel | ChartKind::HeatMap);
    if single && raw.y.len() > 1 {
        report.value(node.at(&["y"]), "bad-chart", "this kind of chart draws one column", "");
    }
    match (raw.kind, &raw.series) {
        (ChartKind::HeatMap, None) => {
            let message = "a heat map needs `series`: the column of its rows";
            report.value(node, "missing-key", message, "");
        }
        (ChartKind::Pie | ChartKind::Funnel, Some(_)) => {
            report.key(node.at(&["series"]), "bad-chart", "this kind of chart has no series", "");
        }
        (kind, Some(_)) if kind != ChartKind::HeatMap && raw.y.len() > 1 => {
            let message = "`series` splits one column, and `y` names several";
            report.key(node.at(&["series"]), "bad-chart", message, "");
        }
        _ => {}
    }
    Chart { kind: raw.kind, title, x: raw.x.clone(), y: raw.y.clone(), series: raw.series.clone() }
}

fn table(raw: &ReportTable) -> Table {
    let drill = raw.drill.as_ref().map(|raw| Drill {
        report: raw.report.clone(),
        with: raw.with.clone(),
        label: raw.label.clone().or_else(|| raw.with.values().next().cloned()).unwrap_or_default(),
    });
    Table { rows: raw.rows.unwrap_or(ROWS), columns: raw.columns.clone(), total: raw.total.clone(), drill }
}

/// Checks what parts say of other reports and of marts.
pub(super) fn check(scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) {
    for (name, made) in &bot.reports {
        let written = scope.reports[name];
        let list = written.node.at(&["show"]);
        for (raw, node) in written.raw.show.iter().zip(list.items()) {
            if let Some(workbook) = &raw.workbook {
                check_workbook(workbook, node.at(&["workbook"]), scope, bot, report);
            }
            if let Some(drill) = raw.table.as_ref().and_then(|table| table.drill.as_ref()) {
                let node = node.at(&["table", "drill"]);
                if check_report(&drill.report, node.at(&["report"]), scope, report) {
                    check_drill(&drill.report, drill.with.keys(), node, bot, report);
                }
            }
            let ranged = made.ask.values().any(|ask| matches!(ask.kind, AskKind::DateRange(_)));
            if raw.compare.is_some() && !ranged {
                let message = "there is nothing to compare with: this report asks for no range of days";
                report.key(node.at(&["compare"]), "bad-compare", message, "");
            }
        }
    }
}

fn check_drill<'n>(
    name: &str,
    with: impl Iterator<Item = &'n String>,
    node: &Node,
    bot: &Bot,
    report: &mut Report<'_>,
) {
    let Some(other) = bot.reports.get(name) else { return };
    let with: Vec<&String> = with.collect();
    if with.is_empty() {
        let message = "`with` says nothing of the row";
        report.value(node, "missing-key", message, "write `with = { question = \"column\" }`");
    }
    for key in with {
        let place = node.at(&["with", key]);
        if !other.ask.contains_key(key) {
            let known: Vec<&str> = other.ask.keys().map(String::as_str).collect();
            let message = format!("report `{name}` does not ask for `{key}`");
            report.key(place, "unknown-question", message, meant(key, &known));
        }
    }
}

pub(super) fn check_workbook(name: &str, node: &Node, scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) {
    let marts = &scope.project.marts;
    let workbooks = marts.iter().filter(|(_, mart)| {
        mart.members.iter().any(|member| matches!(member.output, MartOutput::Workbook(_)))
    });
    let known: Vec<&str> = workbooks.map(|(name, _)| name.as_str()).collect();
    if !known.contains(&name) {
        let message = format!("there is no mart `{name}` that makes a workbook");
        return report.value(node, "unknown-workbook", message, meant(name, &known));
    }
    let matrix = marts.iter().find(|(mart, _)| mart.as_str() == name).map(|(_, mart)| &mart.info.matrix);
    for matrix in matrix.into_iter().flatten().filter(|matrix| !bot.attributes.contains_key(*matrix)) {
        let message =
            format!("`{name}` has a workbook for each {matrix}, and users have no attribute `{matrix}`");
        let hint = format!("add [user.{matrix}] with `from = \"matrix.{matrix}\"`");
        report.value(node, "unknown-attribute", message, hint);
    }
}
