//! `[window]` of a mart, as far as it can be judged without its SQL; and with it.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};

use super::{Context, report::Report, typing::Place, typing::column_of, value};
use crate::{
    config::{
        files::JobFile,
        project::Sql,
        raw::mart::{MartFile, MartMode, Window as RawWindow},
        tree::Node,
    },
    engine::{params::WINDOW, typing::Typed},
    model::{
        column::ColumnType,
        time::{Span, date_from_days, day_start},
        value::Value,
        window::{Grain, Window, Windows},
    },
};

/// How a mart is cut into windows; `None` = it does not say where it begins.
pub(crate) fn windows(
    raw: &RawWindow,
    file: &JobFile<MartFile>,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Option<Windows> {
    let node = file.tree.at(&["window"]);
    if file.raw.sink.as_ref().is_some_and(|sink| sink.mode != MartMode::Replace) {
        let message = "[window] replaces windows: there is nothing to merge";
        report.key(file.tree.at(&["sink", "mode"]), "conflicting-keys", message, "leave `mode` out");
    }
    if raw.batch_size.is_some() && file.raw.native {
        let message = "`batch_size` does not go with `native`: the query would have to be sorted, and is sent as it stands";
        report.key(node.at(&["batch_size"]), "conflicting-keys", message, "leave one of them out");
    }
    let start = node.at(&["start"]);
    let instant = match value::value(&raw.start) {
        Value::Date(day) => Some(day_start(context.zone, date_from_days(day))),
        Value::Timestamp { ticks, utc: true, .. } if raw.grain == Grain::Hour => {
            DateTime::<Utc>::from_timestamp_micros(ticks)
        }
        _ => None,
    };
    let Some(instant) = instant else {
        let hint = match raw.grain {
            Grain::Hour => "write a bare date or an instant: `start = 2026-01-01T05:00:00Z`",
            _ => "write a bare date: `start = 2026-01-01`",
        };
        report.value(start, "bad-start", "`window.start` is no day", hint);
        return None;
    };
    let first = Window::at(raw.grain, context.zone, instant);
    if first.from != instant {
        let message = format!("`window.start` lies inside the window {first}, which is built whole");
        report.warning(start, "start-inside-window", message, format!("begin with {}", first.first_day()));
    }
    Some(Windows {
        column: raw.column.clone(),
        grain: raw.grain,
        zone: context.zone,
        start: first.from,
        lookback: raw.lookback.unwrap_or(Span::new(Duration::ZERO)),
        batch_size: raw.batch_size.map_or(1, |size| size.get() as usize),
        current: raw.current.unwrap_or(true),
        on_change: raw.on_change,
    })
}

/// Whether the SQL bounds what it reads.
pub(crate) fn check_sql(sql: &Sql, typed: &Typed, node: &Node, report: &mut Report<'_>) {
    let missing: Vec<String> = ["from", "until"]
        .iter()
        .map(|end| format!("{WINDOW}.{end}"))
        .filter(|name| !typed.parameters.iter().any(|(used, _)| used == name))
        .map(|name| format!("`:{name}`"))
        .collect();
    if !missing.is_empty() && typed.findings.is_empty() {
        let message = format!("the query of a mart with [window] does not use {}", missing.join(" and "));
        let hint = "bound what it reads: `WHERE happened_at >= :window.from AND happened_at < :window.until`";
        report.sql(sql, node, 0..sql.text.len(), "window-not-used", message, hint.to_owned());
    }
}

/// Whether rows lie in windows by the column.
pub(crate) fn check_column(windows: &Windows, target: &SchemaRef, node: &Node, report: &mut Report<'_>) {
    let place = node.at(&["column"]);
    let Some(field) = column_of(&windows.column, target, place, Place::Value, report) else { return };
    let now = windows.at(windows.start);
    if now.bounds(field.data_type()).is_some() {
        return;
    }
    let kind = ColumnType::of(field.data_type());
    let (message, hint) = match windows.grain {
        Grain::Hour => (
            format!("column `{}` is {kind}: rows lie in hours by an instant", windows.column),
            "make it a timestamp with a zone, or choose a longer grain",
        ),
        _ => (
            format!("column `{}` is {kind}: rows lie in windows by a date or a timestamp", windows.column),
            "name another column, or cast it in the SQL",
        ),
    };
    report.value(place, "bad-window-column", message, hint);
}
