//! `status`: where everything stands.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    context::Context,
    failure::Result,
    interrupt::unless_interrupted,
    output::{self, Tone, count, counted},
    runner,
    runs::status_cell,
    selection::{self, Selection, name_of},
    table::{Cell, Table},
};
use crate::{
    config::{lineage::Node, project::Project},
    connector::error::Error,
    model::{
        name::JobKind,
        time::Span,
        unit::{Progress, Record},
    },
    run::{Runtime, freshness::Freshness, ledger::Ledger},
    state::{
        history::{Run, RunStatus},
        lock,
    },
};

const EXAMPLES: &str = "\
Examples:
  vitrina status
  vitrina status tag:crm
  vitrina status --format json | jq '.[] | select(.error != null)'

Positions are read from the targets themselves: they are what the next run goes on from.";

/// Options of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// These only
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Where one member stands.
struct Row {
    name: String,
    kind: JobKind,
    record: Result<Option<Record>, Error>,
    last: Option<Run>,
    waiting: u64,
    /// Of a mart, how fresh it is, where that could be told.
    freshness: Option<Freshness>,
    /// Of a mart that is built window by window, where it could be read.
    ledger: Option<Ledger>,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let runtime = runner::open(&project)?;
    let rows = unless_interrupted(gather(&runtime, &selection)).await?;
    match args.format {
        super::Format::Json => {
            let all: Vec<Value> = rows.iter().map(as_json).collect();
            output::print(&format!("{:#}", Value::Array(all)))?;
        }
        super::Format::Text => table(&project, &rows).print(context.output)?,
    }
    if let Some(holder) = lock::holder(&project.state) {
        context.output.say(&format!("process {} changes this project now: `{}`", holder.pid, holder.command));
    }
    Ok(())
}

async fn gather(runtime: &Runtime, selection: &Selection) -> Result<Vec<Row>> {
    let letters: BTreeMap<String, u64> =
        runtime.records().count(None)?.into_iter().map(|count| (count.track, count.waiting)).collect();
    let mut rows = Vec::with_capacity(selection.nodes.len());
    for node in selection.iter() {
        rows.push(row(runtime, node, &letters).await?);
    }
    Ok(rows)
}

async fn row(runtime: &Runtime, node: &Node, letters: &BTreeMap<String, u64>) -> Result<Row> {
    let track = runtime.project().track(&node.job, &node.member);
    let is_mart = node.kind == JobKind::Mart;
    Ok(Row {
        // Where the sink does not answer, `record` says so.
        ledger: if is_mart { runtime.ledger(&node.job, &node.member).await.ok().flatten() } else { None },
        freshness: if is_mart { runtime.freshness(&node.job).await.ok().flatten() } else { None },
        name: name_of(node),
        kind: node.kind,
        record: runtime.record_of(&node.job, &node.member).await,
        last: runtime.history().last(&track)?,
        waiting: letters.get(&track.key()).copied().unwrap_or_default(),
    })
}

fn table(project: &Project, rows: &[Row]) -> Table {
    let mut table = Table::new([
        "name",
        "kind",
        "stands at",
        ">commits",
        "last commit",
        "last run",
        ">dead letters",
        "notes",
    ]);
    let local = |at: DateTime<Utc>| at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string();
    for row in rows {
        let (stands, commits, at) = match &row.record {
            Ok(None) => (Cell::new("never ran", Tone::Dim), String::new(), String::new()),
            Ok(Some(record)) => (stands_at(row, record).into(), count(record.seq), local(record.at)),
            Err(error) => (Cell::new(error.to_string(), Tone::Bad), String::new(), String::new()),
        };
        let last = row.last.as_ref().map_or_else(|| "".into(), last_run);
        let tone = if row.waiting > 0 { Tone::Warn } else { Tone::Plain };
        let waiting = Cell::new(count(row.waiting), tone);
        table.row([
            row.name.as_str().into(),
            row.kind.to_string().into(),
            stands,
            commits.into(),
            at.into(),
            last,
            waiting,
            Cell::new(notes(row).join("; "), Tone::Warn),
        ]);
    }
    table
}

/// How far a member is: of a mart with windows, which are built.
fn stands_at(row: &Row, record: &Record) -> String {
    let Some(ledger) = &row.ledger else { return progress(&record.progress) };
    let (built, all) = (ledger.built().count() as u64, ledger.states.len() as u64);
    let newest = ledger.built().last().map_or(String::new(), |state| format!("{}, ", state.window));
    format!("{newest}{} of {}", count(built), counted(all, "window"))
}

/// What somebody should see to.
fn notes(row: &Row) -> Vec<String> {
    let mut notes = vec![];
    if let Some(freshness) = row.freshness.as_ref().filter(|freshness| freshness.is_stale()) {
        notes.push(match freshness.age() {
            Some(age) => format!("not fresh: {} old", coarse(age)),
            None => "not fresh: never complete".to_owned(),
        });
    }
    let Some(ledger) = &row.ledger else { return notes };
    if ledger.vanished {
        notes.push("its table is gone".to_owned());
    }
    let stale = ledger.stale().count() as u64;
    if stale > 0 {
        notes.push(format!("{} stale, see `vitrina plan`", counted(stale, "window")));
    }
    notes
}

/// An age without its smallest parts.
fn coarse(age: Span) -> Span {
    let seconds = age.get().as_secs();
    let whole = [86_400, 3_600, 60].into_iter().find(|unit| seconds >= 2 * unit).unwrap_or(1);
    Span::new(Duration::from_secs(seconds / whole * whole))
}

/// How the last run ended; of a blocked one, what stood in its way.
fn last_run(run: &Run) -> Cell {
    match (run.state, &run.error) {
        (RunStatus::Blocked, Some(by)) => Cell::new(by.as_str(), Tone::Warn),
        (state, _) => status_cell(state),
    }
}

/// How far a track is, for people.
pub(super) fn progress(progress: &Progress) -> String {
    match progress {
        Progress::Start => "the beginning".to_owned(),
        Progress::Position(position) => position.to_string(),
        Progress::Build(_) => "built".to_owned(),
    }
}

fn as_json(row: &Row) -> Value {
    let record = row.record.as_ref().ok().and_then(Option::as_ref);
    json!({
        "name": row.name,
        "kind": row.kind,
        "record": record,
        "stands_at": record.map(|record| progress(&record.progress)),
        "last_run": row.last,
        "dead_letters": row.waiting,
        "freshness": row.freshness.as_ref().map(|freshness| json!({
            "until": freshness.until,
            "warn_after": freshness.warn_after,
            "stale": freshness.is_stale(),
        })),
        "windows": row.ledger.as_ref().map(|ledger| json!({
            "built": ledger.built().count(),
            "all": ledger.states.len(),
            "due": ledger.due().count(),
            "stale": ledger.stale().count(),
        })),
        "error": row.record.as_ref().err().map(ToString::to_string),
    })
}
