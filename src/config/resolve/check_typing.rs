//! `[[check]]` of a mart judged by the columns of its rows: `this` is what the mart writes.

use arrow::datatypes::{DataType, SchemaRef};

use super::{
    report::Report,
    typing::{Judge, Place, column_of},
};
use crate::{
    config::{
        project::{Check, Rule, Sql},
        tree::{Node, Value},
    },
    engine::{
        params::value_type,
        typing::{Known, ParamTypes, TableName, check_sql},
    },
    model::column::ColumnType,
};

impl Judge<'_> {
    /// Judges checks over rows of `target`; where that is not known, nothing is said about columns.
    pub(super) fn checks(
        &self,
        checks: &[Check],
        target: Option<&SchemaRef>,
        params: &ParamTypes,
        node: &Node,
        report: &mut Report<'_>,
    ) {
        // Those that could not be made were reported, and the others are not by their places any more.
        if checks.len() != node.items().len() {
            return;
        }
        for (check, node) in checks.iter().zip(node.items()) {
            match &check.rule {
                Rule::RowCount { .. } => {}
                Rule::Newest { column, .. } => {
                    if let Some(target) = target {
                        newest(column, target, node.at(&["freshness", column]), report);
                    }
                }
                Rule::NoRows { sql, values } => {
                    let mut params = params.clone();
                    params.extend(values.iter().map(|(name, value)| (name.clone(), value_type(value))));
                    self.no_rows(sql, target, &params, node, report);
                }
            }
        }
    }

    fn no_rows(
        &self,
        sql: &Sql,
        target: Option<&SchemaRef>,
        params: &ParamTypes,
        node: &Node,
        report: &mut Report<'_>,
    ) {
        let this = target.map_or(Known::Unknown, |target| Known::Schema(target.clone()));
        let tables = |name: &TableName| match name.parts.as_slice() {
            [part] if part == "this" => this.clone(),
            _ => self.relations.known(name, None),
        };
        let typed = check_sql(&sql.text, &tables, params, self.project.zone);
        if let Some(place) = node.get("sql") {
            self.findings(sql, place, &typed, report);
            if typed.findings.is_empty() && !typed.tables.iter().any(|table| table.name.parts == ["this"]) {
                let message = "this check does not look at `this`, the new rows".to_owned();
                let hint = "SELECT … FROM this WHERE …".to_owned();
                report.sql(sql, place, 0..sql.text.len(), "bad-check", message, hint);
            }
            return;
        }
        // The query is ours: what is wrong is what it was made of.
        let rules = ["unique", "not_null", "accepted", "range", "relationship"];
        let rule = rules.iter().find_map(|key| node.get(key)).unwrap_or(node);
        if let Some(finding) = typed.findings.first() {
            let hint = finding.hint.clone().unwrap_or_default();
            report.value(rule, "bad-check", finding.message.clone(), hint);
        } else if let Some(target) = target {
            let accepted =
                node.entries_of("accepted").map(|(name, values)| (name, values.items().iter().collect()));
            let range = node
                .entries_of("range")
                .map(|(name, ends)| (name, ends.entries().map(|(_, end)| end).collect()));
            accepted.chain(range).for_each(|(name, values)| values_fit(name, values, target, report));
        }
    }
}

/// Values are of their column's sort. Of others the engine would make one by a cast, which fails at the first cell that is none.
fn values_fit(column: &str, values: Vec<&Node>, target: &SchemaRef, report: &mut Report<'_>) {
    let Ok(field) = target.field_with_name(column) else { return };
    let fits = |value: &Value| match (field.data_type(), value) {
        (DataType::Utf8, value) => matches!(value, Value::String(_)),
        (DataType::Boolean, value) => matches!(value, Value::Boolean(_)),
        (number, Value::String(text)) if number.is_numeric() => text.parse::<f64>().is_ok(),
        (number, Value::Boolean(_) | Value::Datetime(_)) => !number.is_numeric(),
        _ => true,
    };
    for wrong in values.into_iter().filter(|node| !fits(&node.value)) {
        let kind = ColumnType::of(field.data_type());
        let message = format!("column `{column}` is {kind}, and this is none");
        report.value(wrong, "bad-check", message, "write a value of the column's type");
    }
}

fn newest(column: &str, target: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    let Some(field) = column_of(column, target, node, Place::Key, report) else { return };
    if !matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(_, Some(_))) {
        let kind = ColumnType::of(field.data_type());
        let message = format!("column `{column}` is {kind}: only dates and instants have an age");
        report.key(node, "bad-check", message, "name a date or a timestamp with a zone");
    }
}
