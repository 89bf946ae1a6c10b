//! `connections`: are the places there, what may we do, what lies in them.

use std::{sync::Arc, time::Duration};

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
        rights::Right,
    },
    model::{problem::nearest, time::Clock},
    run::{Runtime, rights::Used},
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
    /// Is it reachable, which version, and which of the rights that the project needs are held
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
        found.push((name, Tested::ask(&runtime, name).await));
    }
    let kind = |name: &str| project.connections[name].kind();
    match format {
        super::Format::Json => {
            let all: Vec<Value> =
                found.iter().map(|(name, health)| health_json(name, kind(name), health)).collect();
            output::print(&format!("{:#}", Value::Array(all)))?;
        }
        super::Format::Text => {
            let mut table = Table::new([
                "connection",
                "kind",
                "state",
                "version",
                ">answers in",
                ">clock",
                "rights",
                "notes",
            ]);
            for (name, health) in &found {
                table.row(health_row(name, kind(name), health));
            }
            table.print(context.output)?;
            for (name, tested) in &found {
                for missing in tested.iter().flat_map(|tested| &tested.missing) {
                    output::print(&missing.text(name))?;
                }
            }
        }
    }
    // The table says what failed; the code says that something did.
    if found.iter().any(|(_, tested)| tested.as_ref().is_ok_and(Tested::lacks)) {
        return Err(Failure::told(Exit::Problems));
    }
    if found.iter().any(|(_, tested)| tested.is_err()) { Err(Failure::told(Exit::World)) } else { Ok(()) }
}

/// How a place is, how far its clock is ahead of this machine's, and which rights the project has there.
struct Tested {
    health: Health,
    skew: Option<TimeDelta>,
    held: Vec<String>,
    missing: Vec<Missing>,
}

/// A right that is missing, with all that need it.
#[derive(Debug, serde::Serialize)]
struct Missing {
    right: String,
    mend: String,
    only: Option<&'static str>,
    needed_by: Vec<String>,
}

impl Missing {
    fn text(&self, connection: &str) -> String {
        let only = self.only.map(|only| format!(" ({only})")).unwrap_or_default();
        let (right, by, mend) = (&self.right, self.needed_by.join(", "), &self.mend);
        format!("{connection}: missing {right}{only}\n    for   {by}\n    mend  {mend}")
    }
}

impl Tested {
    async fn ask(runtime: &Runtime, name: &str) -> Result<Self, Error> {
        let health = runtime.connections()[name].probe().await?;
        let mut tested = Self::new(health, SystemClock.now());
        match runtime.rights(name).await {
            Ok(rights) => tested.take(rights),
            // It was there a moment ago: what it does not tell stops nothing.
            Err(error) => {
                let note = format!("rights are not known: {error} ({})", error.advice());
                tested.health.notes.push(note);
            }
        }
        Ok(tested)
    }

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
        Self { health, skew, held: vec![], missing: vec![] }
    }

    /// Each right once, whoever needs it.
    fn take(&mut self, rights: Vec<(Used, Right)>) {
        for (used, right) in rights {
            if right.held {
                if !self.held.contains(&right.what) {
                    self.held.push(right.what);
                }
                continue;
            }
            let known = |missing: &&mut Missing| missing.right == right.what;
            if let Some(known) = self.missing.iter_mut().find(known) {
                let new = used.by.into_iter().filter(|by| !known.needed_by.contains(by)).collect::<Vec<_>>();
                known.needed_by.extend(new);
                continue;
            }
            self.missing.push(Missing {
                right: right.what,
                mend: right.mend,
                only: right.only,
                needed_by: used.by,
            });
        }
    }

    /// Whether something that the project does cannot work.
    fn lacks(&self) -> bool {
        self.missing.iter().any(|missing| missing.only.is_none())
    }

    fn rights(&self) -> String {
        match (self.held.len(), self.missing.len()) {
            (0, 0) => self.health.rights.join(", "),
            (held, 0) => format!("all {held} that are needed"),
            (held, missing) => format!("{missing} of {} are missing", held + missing),
        }
    }
}

fn health_row(name: &str, kind: &str, tested: &Result<Tested, Error>) -> [Cell; 8] {
    match tested {
        Ok(tested) => {
            let state = if tested.lacks() {
                Cell::new("rights are missing", Tone::Warn)
            } else {
                Cell::new("ok", Tone::Good)
            };
            let health = &tested.health;
            [
                name.into(),
                kind.into(),
                state,
                health.version.as_str().into(),
                answered(health.latency).into(),
                tested.skew.map(clock).unwrap_or_default().into(),
                tested.rights().into(),
                health.notes.join("; ").into(),
            ]
        }
        Err(error) => {
            let (none, why) = (|| Cell::from(""), format!("{error} ({})", error.advice()));
            let state = Cell::new("failed", Tone::Bad);
            [name.into(), kind.into(), state, none(), none(), none(), none(), why.into()]
        }
    }
}

/// How long an answer took: `3 ms`, `1.2 s`.
fn answered(latency: Duration) -> String {
    if latency < Duration::from_secs(1) { format!("{} ms", latency.as_millis()) } else { took(latency) }
}

/// How far a clock is ahead: `+0.012 s`.
fn clock(skew: TimeDelta) -> String {
    format!("{:+.3} s", skew.num_milliseconds() as f64 / 1_000.0)
}

fn health_json(name: &str, kind: &str, tested: &Result<Tested, Error>) -> Value {
    match tested {
        Ok(Tested { health, skew, held, missing }) => json!({
            "name": name,
            "kind": kind,
            "ok": true,
            "version": health.version,
            "latency_ms": health.latency.as_secs_f64() * 1_000.0,
            "clock_skew_ms": skew.map(|skew| skew.num_milliseconds()),
            "rights": health.rights,
            "held": held,
            "missing": missing,
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
                latency: Duration::ZERO,
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
