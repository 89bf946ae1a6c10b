//! One mart of one profile: a table or a workbook, member by member.

use std::path::PathBuf;

use chrono::NaiveDate;
use indexmap::{IndexMap, IndexSet};

use super::{
    Context, checks,
    job::{self, Common},
    matrix::{Filler, How, members, used},
    options::check_sink_options,
    pipeline::{check_key, check_modes, place, sink_columns, unused_matrices},
    report::Report,
    typing::Unmade,
    value, windows,
};
use crate::{
    config::{
        files::JobFile,
        project::{Mart, MartMember, MartOutput, Sheet, Sql, With, Workbook},
        raw::{
            mart::{MartFile, MartMode, Sheet as RawSheet},
            pipeline::Scalar,
        },
        tree::Node,
    },
    connector::sink::{SinkOptions, SinkSpec},
    model::{delivery::Mode, time::Period},
    workbook::spec::{parse_cell, validate_number_format, validate_sheet_name},
};

/// Resolves a mart. Members that cannot be made go to `unmade`.
pub(crate) fn mart(
    file: &JobFile<MartFile>,
    context: &Context<'_>,
    unmade: &mut Vec<Unmade>,
    report: &mut Report<'_>,
) -> Mart {
    let used = used(file.raw.matrix.as_ref(), &file.tree, context.matrices, report);
    let matrix: Vec<String> = used.keys().cloned().collect();
    let info = Common::of_mart(&file.raw).info(&file.name, &file.tree, context.zone, matrix, report);
    let kind = kind(file, report);
    let first = report.problems.len();
    let mut named = IndexSet::new();
    let mut resolved = vec![];
    for (member, facts) in members(&used, context.matrices) {
        report.member(first, |report| {
            let mut filler =
                Filler { facts: &facts, matrices: context.matrices, used: IndexSet::new(), how: How::Job };
            let table = kind.table.then(|| table(file, context, &mut filler, report));
            let workbook = kind.workbook.then(|| workbook(file, context, &mut filler, report));
            named.extend(filler.used);
            let output = match (table, workbook) {
                (Some(Some(output)), None) | (None, Some(output)) => Some(output),
                (None, None) => None,
                // Whatever else it is, its queries are judged.
                (_, workbook) => {
                    let sql = file.raw.sql.as_ref();
                    let sql = sql.and_then(|sql| job::sql(sql, file.tree.at(&["sql"]), report));
                    let sql = sql.map(|sql| Sql { native: file.raw.native, ..sql });
                    unmade.push(Unmade::Mart(file.name.clone(), facts.clone(), sql));
                    workbook
                }
            };
            if let Some(output) = output {
                resolved.push(MartMember { member, facts: facts.clone(), output });
            }
        });
    }
    let texts = file.raw.sql.iter().map(|sql| (sql, file.tree.at(&["sql"])));
    let sheets = file.raw.sheet.iter().zip(file.tree.at(&["sheet"]).items());
    for (raw, node) in texts.chain(sheets.map(|(sheet, node)| (&sheet.sql, node.at(&["sql"])))) {
        if let Some(sql) = job::sql(raw, node, report) {
            named.extend(used.keys().filter(|matrix| job::names_parameter(&sql.text, matrix)).cloned());
        }
    }
    unused_matrices(&file.tree, used.keys(), &named, report);
    Mart { info, members: resolved }
}

/// What a mart says that it is: one of them, where it is right.
#[derive(Clone, Copy)]
struct Kind {
    table: bool,
    workbook: bool,
}

/// Whether a mart is a table or a workbook; reported where it is neither or both.
fn kind(file: &JobFile<MartFile>, report: &mut Report<'_>) -> Kind {
    let raw = &file.raw;
    let tree = &file.tree;
    let table = raw.sql.is_some() || raw.sink.is_some();
    let workbook = raw.excel.is_some() || !raw.sheet.is_empty();
    let need = |missing: bool, key: &str, other: &str, report: &mut Report<'_>| {
        if missing {
            let message = format!("a mart with {other} needs {key}");
            report.file(tree.file.to_path_buf(), "missing-key", message, "");
        }
    };
    match (table, workbook) {
        (false, false) => {
            let hint = "give it `sql` and [sink] for a table, or `excel` and [[sheet]] for a workbook";
            report.file(tree.file.to_path_buf(), "missing-key", "this mart makes nothing", hint);
        }
        (true, true) => {
            let key = if raw.excel.is_some() { tree.at(&["excel"]) } else { tree.at(&["sheet"]) };
            let message = "a mart is a table (`sql`, [sink]) or a workbook (`excel`, [[sheet]]), not both";
            report.key(key, "conflicting-keys", message, "make two marts of it");
        }
        (true, false) => {
            need(raw.sql.is_none(), "`sql`", "[sink]", report);
            need(raw.sink.is_none(), "[sink]", "`sql`", report);
            if !raw.with.is_empty() {
                report.key(tree.at(&["with"]), "conflicting-keys", "[with] goes with a workbook", "");
            }
        }
        (false, true) => {
            need(raw.excel.is_none(), "`excel`: the workbook's file", "[[sheet]]", report);
            need(raw.sheet.is_empty(), "a [[sheet]]", "`excel`", report);
            if raw.native {
                report.key(
                    tree.at(&["native"]),
                    "conflicting-keys",
                    "`native` goes with `sql` and [sink]",
                    "",
                );
            }
            for (key, shown) in [("window", "[window]"), ("check", "[[check]]")] {
                if let Some(node) = tree.find(&[key]) {
                    let message = format!("{shown} goes with `sql` and [sink]");
                    report.key(node, "conflicting-keys", message, "a workbook is written whole");
                }
            }
        }
    }
    Kind { table, workbook }
}

fn table(
    file: &JobFile<MartFile>,
    context: &Context<'_>,
    filler: &mut Filler<'_>,
    report: &mut Report<'_>,
) -> Option<MartOutput> {
    let raw = file.raw.sink.as_ref()?;
    let node = file.tree.at(&["sink"]);
    let sql = file.raw.sql.as_ref().and_then(|sql| job::sql(sql, file.tree.at(&["sql"]), report));
    let sql = sql.map(|sql| Sql { native: file.raw.native, ..sql });
    let windows = file.raw.window.as_ref().and_then(|raw| windows::windows(raw, file, context, report));
    let checks = checks::checks(file, report);
    let place = place(node, Some(file.name.as_str()), filler, context, report);
    let spec = SinkSpec {
        connection: place.connection,
        schema: place.schema,
        table: place.table,
        mode: match raw.mode {
            _ if file.raw.window.is_some() => Mode::Window,
            MartMode::Replace => Mode::Replace,
            MartMode::Merge => Mode::Merge,
        },
        key: raw.key.clone(),
        anew: false,
        delete: None,
        on_schema_change: raw.on_schema_change,
        columns: sink_columns(&raw.columns),
        partition: vec![],
        window: windows.as_ref().map(|windows| (windows.column.clone(), windows.grain, windows.zone)),
        checked: !checks.is_empty(),
        options: SinkOptions {
            sqlite: raw.sqlite.clone(),
            delta: raw.delta.clone(),
            files: raw.files.clone(),
            postgres: raw.postgres.clone(),
            greenplum: raw.greenplum.clone(),
            clickhouse: raw.clickhouse.clone(),
            ..SinkOptions::default()
        },
    };
    check_key(&spec, node, report);
    let config = place.found?.config;
    let mode = if spec.mode == Mode::Window { file.tree.at(&["window"]) } else { node.at(&["mode"]) };
    check_modes(&spec, &config, &config.sink_facts(&spec).modes, mode, report);
    check_sink_options(&spec, Some(&config), context.root, node, report);
    if file.raw.window.is_some() && windows.is_none() {
        return None;
    }
    Some(MartOutput::Table { sql: sql?, windows, checks, sink: Box::new(spec), output: None })
}

fn workbook(
    file: &JobFile<MartFile>,
    context: &Context<'_>,
    filler: &mut Filler<'_>,
    report: &mut Report<'_>,
) -> MartOutput {
    let tree = &file.tree;
    let excel = tree.at(&["excel"]);
    let path = filler.fill_path(excel, report);
    let is_xlsx = PathBuf::from(&path).extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("xlsx"));
    if file.raw.excel.is_some() && (!is_xlsx || path.contains('\0')) {
        report.value(excel, "bad-path", "the workbook's file must end with `.xlsx`", "");
    }
    let mut names: IndexSet<String> = IndexSet::new();
    let nodes = tree.at(&["sheet"]).items();
    let mut sheets = vec![];
    for (raw, node) in file.raw.sheet.iter().zip(nodes) {
        let name_node = node.at(&["name"]);
        let name = filler.fill(name_node, report);
        if let Err(why) = validate_sheet_name(&name) {
            report.value(name_node, "bad-sheet-name", format!("`{name}` is no name of a sheet"), why);
        }
        if !names.insert(name.to_lowercase()) {
            report.value(
                name_node,
                "duplicate-name",
                format!("there are two sheets of the name `{name}`"),
                "",
            );
        }
        sheets.extend(sheet(raw, name, node, filler, report));
    }
    let with = file.raw.with.iter().map(|(name, scalar)| {
        let node = tree.at(&["with", name]);
        (name.clone(), with(name, scalar, node, context, report))
    });
    let with: IndexMap<String, With> = with.collect();
    MartOutput::Workbook(Box::new(Workbook { file: context.root.join(path), with, sheets }))
}

fn with(name: &str, scalar: &Scalar, node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> With {
    if !crate::config::template::is_word(name) {
        report.key(
            node,
            "bad-name",
            format!("a parameter cannot be named `{name}`"),
            "use letters, digits and `_`",
        );
    } else if context.matrices.contains_key(name) {
        report.key(
            node,
            "duplicate-name",
            format!("`:{name}` is the matrix already"),
            "name the parameter differently",
        );
    }
    match scalar {
        Scalar::Text(text) if Period::parse(text, NaiveDate::default()).is_some() => {
            With::Period(text.clone())
        }
        Scalar::Text(text) => {
            if let Some(meant) = Period::meant(text) {
                let message = format!("`{text}` is no range of days");
                report.value(node, "bad-period", message, format!("did you mean `{meant}`?"));
                return With::Period(meant);
            }
            With::Value(value::value(scalar))
        }
        _ => With::Value(value::value(scalar)),
    }
}

fn sheet(
    raw: &RawSheet,
    name: String,
    node: &Node,
    filler: &mut Filler<'_>,
    report: &mut Report<'_>,
) -> Option<Sheet> {
    let mut columns = raw.columns.clone();
    for (name, column) in &mut columns {
        if column.title.is_some() {
            column.title = Some(filler.fill(node.at(&["columns", name, "title"]), report));
        }
        if let Some(Err(why)) = column.format.as_deref().map(validate_number_format) {
            let message = format!("Excel cannot read the number format of `{name}`");
            report.value(node.at(&["columns", name, "format"]), "bad-number-format", message, why);
        }
    }
    let mut charts = raw.chart.clone().map(crate::config::raw::mart::Charts::into_vec).unwrap_or_default();
    let chart_node = node.at(&["chart"]);
    for (at, chart) in charts.iter_mut().enumerate() {
        let place = chart_node.items().get(at).unwrap_or(chart_node);
        if chart.title.is_some() {
            chart.title = Some(filler.fill(place.at(&["title"]), report));
        }
        if let Err(why) = parse_cell(&chart.at) {
            report.value(place.at(&["at"]), "bad-cell", format!("`{}` is no cell", chart.at), why);
        }
        if chart.y.is_empty() {
            report.value(place.at(&["y"]), "empty-chart", "this chart draws nothing", "name columns in `y`");
        }
    }
    let sql = job::sql(&raw.sql, node.at(&["sql"]), report)?;
    Some(Sheet { name, sql, columns, charts })
}
