//! Values with a grammar of their own (`"5m"`, `"512 MiB"`, `"decimal(12,2)"`, cron, zones), by the `format` of their schema.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::Value as Json;

use super::tree::{Node, Value};
use crate::{
    connector::{greenplum::config::Compress, postgres::config::Url},
    model::{
        column::ColumnType,
        problem::{Problem, nearest},
        time::Span,
    },
    schedule::cron::parse_cron,
};

/// What is wrong with a single value: its format or its range.
pub(crate) fn check(node: &Node, schema: &Json, name: &str) -> Option<Problem> {
    match &node.value {
        Value::Integer(number) => out_of_range(node, *number as f64, schema, name),
        Value::Float(number) => out_of_range(node, *number, schema, name),
        Value::String(text) => text_problem(node, text, schema, name),
        _ => None,
    }
}

fn text_problem(node: &Node, text: &str, schema: &Json, name: &str) -> Option<Problem> {
    let problem = |code, message: String, hint: String| Some(node.error(code, message).hint(hint));
    match format_of(schema)? {
        "span" => {
            let error = text.parse::<Span>().err()?;
            problem("bad-duration", format!("{name}: `{text}` is no length of time"), error.to_string())
        }
        "column-type" => {
            text.parse::<ColumnType>().err()?;
            problem("unknown-type", format!("{name}: unknown type `{text}`"), type_hint(text))
        }
        "cron" => {
            let error = parse_cron(text).err()?;
            problem("bad-cron", format!("{name}: {}", error.message), error.hint.unwrap_or_default())
        }
        "time-zone" => {
            text.parse::<Tz>().err()?;
            let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            let hint = match nearest(text, zones) {
                Some(zone) => format!("did you mean `{zone}`?"),
                None => "expected a name of the time zone database, such as `Europe/Moscow`".to_owned(),
            };
            problem("unknown-time-zone", format!("{name}: unknown time zone `{text}`"), hint)
        }
        "size" => {
            if size(text).is_some() {
                return None;
            }
            let hint = "expected a number with a unit: \"512 KiB\", \"256 MiB\", \"2 GiB\"".to_owned();
            problem("bad-size", format!("{name}: `{text}` is no size"), hint)
        }
        "percent" => {
            if percent(text).is_some() {
                return None;
            }
            let hint = "expected a share between \"0%\" and \"100%\", such as \"0.1%\"".to_owned();
            problem("bad-percent", format!("{name}: `{text}` is no share"), hint)
        }
        "greenplum-compression" => {
            let hint = text.parse::<Compress>().err()?;
            problem("bad-compression", format!("{name}: `{text}` is no compression of Greenplum"), hint)
        }
        "postgres-url" => {
            // The text is not told: there may be a password in it.
            let hint = text.parse::<Url>().err()?;
            problem("bad-url", format!("{name} is no address of a server that Vitrina takes"), hint)
        }
        "listen" => {
            text.parse::<std::net::SocketAddr>().err()?;
            let hint = "expected an address and a port: \"127.0.0.1:8090\"".to_owned();
            problem("bad-address", format!("{name}: `{text}` is no address to listen on"), hint)
        }
        "date" => {
            text.parse::<NaiveDate>().err()?;
            problem(
                "bad-date",
                format!("{name}: `{text}` is no date"),
                "write it bare: 2026-01-31".to_owned(),
            )
        }
        _ => None,
    }
}

fn out_of_range(node: &Node, number: f64, schema: &Json, name: &str) -> Option<Problem> {
    let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
    let (least, most) = (bound("minimum"), bound("maximum"));
    if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
        return None;
    }
    let hint = match (least, most) {
        (Some(least), Some(most)) => format!("expected {least} to {most}"),
        (Some(least), None) => format!("expected {least} or more"),
        (None, Some(most)) => format!("expected {most} or less"),
        (None, None) => return None,
    };
    Some(node.error("out-of-range", format!("{name} is out of range")).hint(hint))
}

/// `"256 MiB"` as bytes; a unit is a must.
pub(crate) fn size(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    if unit.is_empty() {
        return None;
    }
    text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()).filter(|bytes| *bytes > 0)
}

/// `"0.1%"` as a share of one.
pub(crate) fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}

fn type_hint(text: &str) -> String {
    let common = [
        ("string", "text"),
        ("varchar", "text"),
        ("str", "text"),
        ("int", "int64"),
        ("integer", "int64"),
        ("bigint", "int64"),
        ("float", "float64"),
        ("double", "float64"),
        ("boolean", "bool"),
        ("datetime", "timestamp"),
        ("numeric", "decimal(12,2)"),
        ("decimal", "decimal(12,2)"),
        ("blob", "bytes"),
        ("binary", "bytes"),
    ];
    let bare = text.trim().to_lowercase();
    let known = common.iter().find(|(other, _)| *other == bare).map(|(_, ours)| *ours);
    let meant = known.or_else(|| nearest(&bare, ColumnType::NAMES.iter().map(|(name, _)| *name)));
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "expected int64, float64, bool, text, bytes, date, time, timestamp, timestamp(ms, UTC), decimal(12,2) …".to_owned(),
    }
}

/// Whether a bare date or time may stand here.
pub(crate) fn takes_datetime(schema: &Json) -> bool {
    matches!(
        format_of(schema),
        Some("date" | "date-time" | "partial-date-time" | "scalar" | "time" | "date-or-time")
    )
}

/// What a formatted string is, in words.
pub(crate) fn describe(schema: &Json) -> Option<&'static str> {
    Some(match format_of(schema)? {
        "span" => "a length of time such as \"5m\"",
        "column-type" => "a type such as \"int64\"",
        "cron" => "a cron expression",
        "time-zone" => "a time zone",
        "size" => "a size such as \"64 MiB\"",
        "percent" => "a share such as \"0.1%\"",
        "date" => "a date",
        "listen" => "an address such as \"127.0.0.1:8090\"",
        "greenplum-compression" => "a compression such as \"zstd:3\"",
        "postgres-url" => "an address such as \"postgres://user@host/database\"",
        _ => return None,
    })
}

/// A value that fits a format.
pub(crate) fn stand_in(schema: &Json, name: &str) -> String {
    match format_of(schema) {
        Some("span") => "1s".to_owned(),
        Some("column-type") => "text".to_owned(),
        Some("cron") => "0 0 * * *".to_owned(),
        Some("time-zone") => "UTC".to_owned(),
        Some("size") => "1 MiB".to_owned(),
        Some("percent") => "0%".to_owned(),
        Some("listen") => "127.0.0.1:0".to_owned(),
        Some("greenplum-compression") => "zstd:3".to_owned(),
        Some("postgres-url") => "postgres://user@host/database".to_owned(),
        Some("date" | "date-or-time") => "2026-01-01".to_owned(),
        Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
        _ => name.to_owned(),
    }
}

fn format_of(schema: &Json) -> Option<&str> {
    schema.get("format").and_then(Json::as_str)
}
