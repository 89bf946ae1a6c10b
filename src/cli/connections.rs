//! `connections`: are the places there, what may we do, what lies in them.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    context::Context,
    failure::{Exit, Failure, Result},
    interrupt::unless_interrupted,
    output::{self, Tone, count, took},
    runner,
    table::{Cell, Table},
};
use crate::{
    clock::SystemClock,
    config::project::Project,
    connector::{
        connection::{Connection, Health, TableInfo},
        error::Error,
    },
    model::{problem::nearest, time::Clock},
};

/// How far a server's clock may be from this machine's: less is common between machines that keep their time.
const MOST_SKEW: TimeDelta = TimeDelta::seconds(5);

const EXAMPLES: &str = "\
Examples:
  vitrina connections test
  vitrina connections test warehouse --profile production
  vitrina connections tables crm_mrf1
  vitrina connections tables --format json | jq '.[] | .name'";

/// Options of `connections`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Is it reachable, which version, which rights
    Test {
        /// These only
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// How it is told
        #[arg(long, value_enum, default_value_t)]
        format: super::Format,
    },
    /// What lies there
    Tables {
        /// These only
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// How it is told
        #[arg(long, value_enum, default_value_t)]
        format: super::Format,
    },
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    match &args.action {
        Action::Test { names, format } => {
            let names = chosen(&project, names)?;
            unless_interrupted(test(&project, &names, *format, context)).await
        }
        Action::Tables { names, format } => {
            let names = chosen(&project, names)?;
            unless_interrupted(tables(&project, &names, *format, context)).await
        }
    }
}

fn chosen(project: &Project, names: &[String]) -> Result<Vec<String>> {
    known(project, names)?;
    Ok(if names.is_empty() { project.connections.keys().cloned().collect() } else { names.to_vec() })
}

/// Whether there are connections of these names.
pub(super) fn known(project: &Project, names: &[String]) -> Result {
    let known = || project.connections.keys().map(String::as_str);
    for name in names {
        if !project.connections.contains_key(name) {
            let failure = Failure::usage(format!("there is no connection `{name}`"));
            return Err(match nearest(name, known()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!("there are {}", known().collect::<Vec<_>>().join(", "))),
            });
        }
    }
    Ok(())
}

async fn test(project: &Arc<Project>, names: &[String], format: super::Format, context: &Context) -> Result {
    let runtime = runner::open(project)?;
    let mut found: Vec<(&str, Result<Tested, Error>)> = Vec::with_capacity(names.len());
    for name in names {
        let health = runtime.connections()[name.as_str()].probe().await;
        found.push((name, health.map(|health| Tested::new(health, SystemClock.now()))));
    }
    let kind = |name: &str| project.connections[name].kind();
    match format {
        super::Format::Json => {
            let all: Vec<Value> =
                found.iter().map(|(name, health)| health_json(name, kind(name), health)).collect();
            output::print(&format!("{:#}", Value::Array(all)))?;
        }
        super::Format::Text => {
            let mut table =
                Table::new(["connection", "kind", "state", "version", ">answers in", "rights", "notes"]);
            for (name, health) in &found {
                table.row(health_row(name, kind(name), health));
            }
            table.print(context.output)?;
        }
    }
    // The table says what failed; the code says that something did.
    if found.iter().any(|(_, health)| health.is_err()) { Err(Failure::told(Exit::World)) } else { Ok(()) }
}

/// How a place is, and how far its clock is ahead of this machine's.
struct Tested {
    health: Health,
    skew: Option<TimeDelta>,
}

impl Tested {
    /// With the time here at the moment of the answer.
    fn new(mut health: Health, now: DateTime<Utc>) -> Self {
        let skew = health.clock.map(|clock| clock - now);
        if let Some(skew) = skew.filter(|skew| skew.abs() > MOST_SKEW) {
            let direction = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
            health.notes.push(format!(
                "its clock is {} {direction} this machine's: `now()` and days that are computed there are others than here; \
                 keep both by NTP",
                took(skew.abs().to_std().unwrap_or_default())
            ));
        }
        Self { health, skew }
    }
}

fn health_row(name: &str, kind: &str, tested: &Result<Tested, Error>) -> [Cell; 7] {
    match tested {
        Ok(Tested { health, .. }) => [
            name.into(),
            kind.into(),
            Cell::new("ok", Tone::Good),
            health.version.as_str().into(),
            took(health.latency).into(),
            health.rights.join(", ").into(),
            health.notes.join("; ").into(),
        ],
        Err(error) => {
            let why = format!("{error} ({})", error.advice());
            [
                name.into(),
                kind.into(),
                Cell::new("failed", Tone::Bad),
                "".into(),
                "".into(),
                "".into(),
                why.into(),
            ]
        }
    }
}

fn health_json(name: &str, kind: &str, tested: &Result<Tested, Error>) -> Value {
    match tested {
        Ok(Tested { health, skew }) => json!({
            "name": name,
            "kind": kind,
            "ok": true,
            "version": health.version,
            "latency_ms": health.latency.as_secs_f64() * 1_000.0,
            "clock_skew_ms": skew.map(|skew| skew.num_milliseconds()),
            "rights": health.rights,
            "notes": health.notes,
        }),
        Err(error) => json!({
            "name": name,
            "kind": kind,
            "ok": false,
            "error": error.to_string(),
            "hint": error.advice(),
        }),
    }
}

async fn tables(
    project: &Arc<Project>,
    names: &[String],
    format: super::Format,
    context: &Context,
) -> Result {
    let runtime = runner::open(project)?;
    let mut found: Vec<(String, TableInfo)> = Vec::new();
    for name in names {
        let connection: &Arc<dyn Connection> = &runtime.connections()[name.as_str()];
        let tables = connection.tables().await?;
        let default = connection.default_schema();
        found.extend(tables.into_iter().map(|table| (in_sql(name, &default, &table), table)));
    }
    if matches!(format, super::Format::Json) {
        let all: Vec<Value> = found.iter().map(|(name, table)| table_json(name, table)).collect();
        return output::print(&format!("{:#}", Value::Array(all)));
    }
    let mut shown = Table::new(["table", ">rows", "columns"]);
    for (name, table) in &found {
        let columns: Vec<String> =
            table.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let rows = table.rows.map_or_else(String::new, count);
        shown.row([name.as_str().into(), rows.into(), columns.join(", ").into()]);
    }
    if shown.is_empty() {
        context.output.say("there are no tables yet");
        return Ok(());
    }
    shown.print(context.output)
}

/// A table's name as a query takes it.
fn in_sql(connection: &str, default: &str, table: &TableInfo) -> String {
    let schema = if table.schema == default { String::new() } else { quoted(&table.schema) + "." };
    format!("{}.{schema}{}", quoted(connection), quoted(&table.name))
}

/// A name that SQL takes as it is, or in quotes.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn table_json(name: &str, table: &TableInfo) -> Value {
    let mut value = json!(table);
    value["in_sql"] = json!(name);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let tested = |clock: Option<TimeDelta>| {
            let health = Health {
                version: "x".to_owned(),
                latency: std::time::Duration::ZERO,
                clock: clock.map(|skew| now + skew),
                rights: vec![],
                notes: vec![],
            };
            Tested::new(health, now)
        };
        assert_eq!(tested(None).health.notes, Vec::<String>::new());
        assert_eq!(tested(Some(TimeDelta::seconds(-5))).health.notes, Vec::<String>::new());
        let told = tested(Some(TimeDelta::seconds(90)));
        assert!(
            told.health.notes[0].starts_with("its clock is 1 min 30 s ahead of"),
            "{:?}",
            told.health.notes
        );
        let json = health_json("db", "postgres", &Ok(tested(Some(TimeDelta::milliseconds(-5_001)))));
        assert_eq!(json["clock_skew_ms"], -5_001);
        assert!(json["notes"][0].as_str().unwrap().contains("5.0 s behind"), "{json}");
    }

    #[test]
    fn names_are_as_a_query_takes_them() {
        let table = |schema: &str, name: &str| TableInfo {
            schema: schema.to_owned(),
            name: name.to_owned(),
            rows: None,
            columns: vec![],
        };
        assert_eq!(
            in_sql("stream", "main", &table("main", "crm.actions.mrf1")),
            "stream.\"crm.actions.mrf1\""
        );
        assert_eq!(in_sql("crm_mrf1", "actions", &table("nature", "Имя\"x")), "crm_mrf1.nature.\"Имя\"\"x\"");
    }
}
