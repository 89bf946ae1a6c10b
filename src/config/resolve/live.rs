//! What places answered, told at the places in the files that use their tables.

use std::ops::Range;

use super::{relations::Relations, report::Report};
use crate::{
    config::{
        lineage::Table,
        live::{Failed, Live, Told},
        project::{Project, Sql},
        tree::Node,
    },
    connector::source::SourceSpec,
    engine::typing::Typed,
    model::problem::Severity,
};

/// Says that nothing is said about a table's columns, or why its place did not tell them.
pub(super) fn unknown(
    table: &Table,
    failed: Option<&Failed>,
    node: &Node,
    sql: Option<(&Sql, Range<usize>)>,
    report: &mut Report<'_>,
) {
    if let Some(failed) = failed {
        let (message, hint) = (failed.message.clone(), failed.hint.clone());
        match sql {
            // A place that gave no answer is told at its connection.
            _ if failed.whole => {}
            Some((sql, bytes)) => report.sql(sql, node, bytes, "live-table", message, hint),
            None => report.value(node, "live-table", message, hint),
        }
        return;
    }
    let message = format!(
        "nothing is known of the columns of `{}.{}`: they are not checked",
        table.connection, table.table
    );
    let hint = "`vitrina schema pull` asks for them".to_owned();
    report.graded(Severity::Note, node, sql, "unknown-columns", message, hint);
}

/// Of the tables that a query names, and of the query itself.
pub(super) fn query(
    relations: &Relations<'_>,
    sql: &Sql,
    node: &Node,
    typed: &Typed,
    report: &mut Report<'_>,
) {
    for used in &typed.tables {
        if let Some(table) = relations.place(&used.name) {
            table_told(relations.live(), &table, false, node, Some((sql, used.span.clone())), report);
        }
    }
    for estimate in relations.live().estimates.iter().filter(|estimate| estimate.sql == *sql) {
        report.graded(Severity::Note, node, None, "live-estimate", estimate.message.clone(), String::new());
    }
}

/// Of a table that is read or written at this place.
pub(super) fn table_told(
    live: &Live,
    table: &Table,
    writing: bool,
    node: &Node,
    sql: Option<(&Sql, Range<usize>)>,
    report: &mut Report<'_>,
) {
    for Told { code, severity, message, hint, .. } in
        live.told.iter().filter(|told| told.writing == writing && told.table == *table)
    {
        report.graded(*severity, node, sql.clone(), code, message.clone(), hint.clone());
    }
}

/// A cursor that its place has no index for: each slice would look through the whole table.
pub(super) fn cursor(
    project: &Project,
    relations: &Relations<'_>,
    spec: &SourceSpec,
    table: &Table,
    node: &Node,
    report: &mut Report<'_>,
) {
    let (Some(cursor), Some(config)) = (&spec.cursor, project.connections.get(&spec.connection)) else {
        return;
    };
    let Some(indexed) = relations.indexed(table).filter(|indexed| !indexed.contains(&cursor.column)) else {
        return;
    };
    let of = if indexed.is_empty() {
        "it has none".to_owned()
    } else {
        format!("there are: {}", indexed.join(", "))
    };
    let message = format!(
        "no index of table `{}` of connection `{}` begins with `{}` ({of}): each slice looks through all of it",
        spec.table, spec.connection, cursor.column
    );
    let text = relations.columns(table).is_some_and(|columns| {
        columns.field_with_name(&cursor.column).is_ok_and(|field| field.data_type().is_string())
    });
    let hint = config.create_index(table.schema.as_deref(), &spec.table, &cursor.column, text);
    report.warning(node.at(&["cursor", "column"]), "cursor-index", message, hint.unwrap_or_default());
}
