//! The bot's SQL, judged by the columns of all jobs: parameters and questions, parts of answers, row rules, templates.

use arrow::datatypes::{DataType, Field, SchemaRef};
use indexmap::{IndexMap, IndexSet};

use super::{Written, drilled, template};
use crate::{
    config::{
        bot::{Ask, AskKind, Bot, Chart, ChoiceFrom, Report as BotReport, Show, Table},
        project::Sql,
        resolve::{
            report::Report,
            typing::{Judge, Place, column_of},
        },
        tree::Node,
    },
    engine::{
        params::{period_types, value_type},
        typing::{Known, ParamTypes, TableName, Typed},
    },
    model::column::ColumnType,
};

/// Judges all SQL of the bot, and tells each report what it reads and answers. `tree` is that of `bot.toml`.
pub(in crate::config::resolve) fn check(
    bot: &mut Bot,
    written: &IndexMap<String, Written<'_>>,
    tree: Option<&Node>,
    judge: &Judge<'_>,
    report: &mut Report<'_>,
) {
    let mut reports = std::mem::take(&mut bot.reports);
    for (name, made) in &mut reports {
        one(made, written[name], bot, judge, report);
    }
    bot.reports = reports;
    let Some(tree) = tree else { return };
    for (name, alert) in &bot.alerts {
        let node = tree.at(&["alert", name, "sql"]);
        judge.query(&alert.sql, node, &ParamTypes::new(), report);
    }
    free_tables(bot, tree, judge, report);
    drilled::check(bot, written, report);
}

/// The type by which SQL sees a question's answer: one parameter, or the three of a range.
fn param_types(asks: &IndexMap<String, Ask>) -> ParamTypes {
    let mut types = ParamTypes::new();
    for (name, ask) in asks {
        let one = match &ask.kind {
            AskKind::DateRange(_) => {
                types.extend(period_types(name));
                continue;
            }
            AskKind::Date(_) => DataType::Date32,
            AskKind::Choice(choice) => {
                let value = choice.value_type.clone().unwrap_or(DataType::Utf8);
                if choice.many { DataType::new_list(value, true) } else { value }
            }
            AskKind::Number(number) if number.whole => DataType::Int64,
            AskKind::Number(_) => DataType::Float64,
            AskKind::Text { .. } => DataType::Utf8,
        };
        types.insert(name.clone(), one);
    }
    types
}

/// An SQL text of a report, with what is known of it.
struct Read {
    sql: Sql,
    at: Vec<String>,
    typed: Typed,
}

fn one(made: &mut BotReport, written: Written<'_>, bot: &Bot, judge: &Judge<'_>, report: &mut Report<'_>) {
    let node = written.node;
    let mut reads = vec![];
    for (name, ask) in &mut made.ask {
        let AskKind::Choice(choice) = &mut ask.kind else { continue };
        let ChoiceFrom::Sql(sql) = &choice.from else { continue };
        let place = node.at(&["ask", name, "from"]);
        let typed = judge.query(sql, place, &ParamTypes::new(), report);
        if let Some(schema) = &typed.schema {
            if schema.fields().len() > 2 {
                let message = format!(
                    "a list has one column, or value and title, and this has {}",
                    schema.fields().len()
                );
                report.value(place, "bad-list", message, "");
            }
            choice.value_type = schema.fields().first().map(|field| field.data_type().clone());
        }
        if let (Some(default), Some(kind)) = (&choice.default, &choice.value_type)
            && !arrow::compute::can_cast_types(&value_type(default), kind)
        {
            let message = format!("the values are {}, and the default is not", ColumnType::of(kind));
            report.value(node.at(&["ask", name, "default"]), "wrong-type", message, "");
        }
        let at = ["ask", name, "from"].map(str::to_owned).to_vec();
        reads.push(Read { sql: sql.clone(), at, typed });
    }
    let types = param_types(&made.ask);
    let typed = query(&made.sql, node.at(&["sql"]), &types, judge, report);
    unused(made, node, &typed, report);
    made.output.clone_from(&typed.schema);
    if let Some(schema) = &made.output {
        columns(made, schema, node, report);
    }
    let names: Option<Vec<&str>> = made
        .output
        .as_ref()
        .map(|schema| schema.fields().iter().map(|field| field.name().as_str()).collect());
    let words: Vec<_> = written.raw.show.iter().map(|show| show.text.clone()).collect();
    template::check(&made.show, names.as_deref(), &words, node, report);
    reads.push(Read { sql: made.sql.clone(), at: vec!["sql".to_owned()], typed });
    row_rules(made, &reads, node, bot, judge, report);
    let tables: IndexSet<TableName> =
        reads.iter().flat_map(|read| &read.typed.tables).map(|table| table.name.clone()).collect();
    made.reads = tables.into_iter().collect();
}

/// Judges a report's query. Parameters that nobody asks for are told as such.
fn query(sql: &Sql, node: &Node, types: &ParamTypes, judge: &Judge<'_>, report: &mut Report<'_>) -> Typed {
    let mut typed = judge.typed(sql, types);
    let unknown: Vec<_> =
        typed.findings.extract_if(.., |found| found.code == "sql-unknown-parameter").collect();
    for finding in unknown {
        let at = typed.parameters.iter().find(|(_, span)| *span == finding.span);
        let name = at.map(|(name, _)| name.split('.').next().unwrap_or_default()).unwrap_or_default();
        let hint = if types.contains_key(&format!("{name}.from")) {
            format!("a range of days is `:{name}.from`, `:{name}.until` (out) and `:{name}.last` (in)")
        } else {
            let known: Vec<&str> = types.keys().map(String::as_str).collect();
            match crate::model::problem::nearest(name, known) {
                Some(meant) => format!("did you mean `:{meant}`?"),
                None => format!("ask for it: `{name} = {{ kind = \"…\" }}` under `ask`"),
            }
        };
        let message = format!("nobody asks for `:{}`", at.map_or("", |(name, _)| name));
        report.sql(sql, node, finding.span.clone(), finding.code, message, hint);
    }
    judge.findings(sql, node, &typed, report);
    typed
}

/// Questions whose answers change nothing.
fn unused(made: &BotReport, node: &Node, typed: &Typed, report: &mut Report<'_>) {
    let torn = typed.findings.iter().any(|finding| finding.code == "sql-syntax");
    for name in made.ask.keys().filter(|_| !torn) {
        let named = |used: &str| {
            used == name || used.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        if !typed.parameters.iter().any(|(used, _)| named(used)) {
            let message = format!("the answer to `{name}` changes nothing: the SQL does not name it");
            let hint = match made.ask[name].kind {
                AskKind::DateRange(_) => format!("use `:{name}.from` and `:{name}.until`, or leave it out"),
                _ => format!("use `:{name}`, or leave it out"),
            };
            report.key(node.at(&["ask", name]), "unused-question", message, hint);
        }
    }
}

/// The names of columns in `columns` and `show`.
fn columns(made: &BotReport, schema: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    for name in made.columns.keys() {
        column_of(name, schema, node.at(&["columns", name]), Place::Key, report);
    }
    let list = node.at(&["show"]);
    for (show, node) in made.show.iter().zip(list.items()) {
        match show {
            Show::Chart(chart) => chart_columns(chart, schema, node.at(&["chart"]), report),
            Show::Table(table) => table_columns(table, schema, node.at(&["table"]), report),
            Show::Text { .. } | Show::File(_) | Show::Workbook(_) => {}
        }
    }
}

fn chart_columns(chart: &Chart, schema: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    column_of(&chart.x, schema, node.at(&["x"]), Place::Value, report);
    if let Some(series) = &chart.series {
        column_of(series, schema, node.at(&["series"]), Place::Value, report);
    }
    let y = node.at(&["y"]);
    for (at, name) in chart.y.iter().enumerate() {
        numeric(name, schema, y.items().get(at).unwrap_or(y), "bad-chart", "a chart draws numbers", report);
    }
}

fn table_columns(table: &Table, schema: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    let shown = node.at(&["columns"]);
    for (at, name) in table.columns.iter().enumerate() {
        column_of(name, schema, shown.items().get(at).unwrap_or(shown), Place::Value, report);
    }
    let total = node.at(&["total"]);
    for (at, name) in table.total.iter().enumerate() {
        let place = total.items().get(at).unwrap_or(total);
        numeric(name, schema, place, "bad-total", "a total is of numbers", report);
    }
    let Some(drill) = &table.drill else { return };
    for (question, column) in &drill.with {
        column_of(column, schema, node.at(&["drill", "with", question]), Place::Value, report);
    }
    if let Some(label) = node.at(&["drill"]).get("label") {
        column_of(&drill.label, schema, label, Place::Value, report);
    }
}

fn numeric(
    name: &str,
    schema: &SchemaRef,
    place: &Node,
    code: &'static str,
    why: &str,
    report: &mut Report<'_>,
) {
    let field: Option<&Field> = column_of(name, schema, place, Place::Value, report);
    if let Some(field) = field.filter(|field| !field.data_type().is_numeric()) {
        let message = format!("column `{name}` is {}: {why}", ColumnType::of(field.data_type()));
        report.value(place, code, message, "");
    }
}

/// Every table that a role with row rules would read must have the rules' columns, or be free for it.
fn row_rules(
    made: &BotReport,
    reads: &[Read],
    node: &Node,
    bot: &Bot,
    judge: &Judge<'_>,
    report: &mut Report<'_>,
) {
    for (at, name) in made.roles.iter().enumerate() {
        let Some(role) = bot.roles.get(name).filter(|role| !role.rows.is_empty()) else { continue };
        if made.sql.native {
            let list = node.at(&["roles"]);
            let message =
                format!("role `{name}` sees some rows only, and a native report cannot leave out others");
            let hint = "leave `native` out, or take the role off this report";
            report.value(list.items().get(at).unwrap_or(list), "native-row-rules", message, hint);
            continue;
        }
        for read in reads {
            let path: Vec<&str> = read.at.iter().map(String::as_str).collect();
            let tables = read.typed.tables.iter().filter(|table| !role.free.contains(&table.name));
            for table in tables {
                let Known::Schema(schema) = judge.relations.known(&table.name, None) else { continue };
                for column in role.rows.keys().filter(|column| schema.field_with_name(column).is_err()) {
                    let message = format!(
                        "role `{name}` sees rows by `{column}`, and `{}` has no such column",
                        table.name
                    );
                    let hint = format!(
                        "read a table that has it, add the table to `free` of [roles.{name}], or take the role off this report"
                    );
                    report.sql(
                        &read.sql,
                        node.at(&path),
                        table.span.clone(),
                        "row-rule-column",
                        message,
                        hint,
                    );
                }
            }
        }
    }
}

fn free_tables(bot: &Bot, tree: &Node, judge: &Judge<'_>, report: &mut Report<'_>) {
    for (name, role) in &bot.roles {
        let list = tree.at(&["roles", name, "free"]);
        for (table, node) in role.free.iter().zip(list.items()) {
            if let Known::Missing { hint } = judge.relations.known(table, None) {
                let message = format!("there is no table `{table}`");
                report.value(node, "unknown-table", message, hint.unwrap_or_default());
            }
        }
    }
}
