//! `status`: where everything stands.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{
    context::{Context, PROJECT_FILE},
    failure::Result,
    interrupt::unless_interrupted,
    output::{self, Tone, count, counted, printable},
    runner,
    runs::status_cell,
    selection::{self, Selection, name_of},
    table::{Cell, Table},
};
use crate::{
    config::{DEFAULT_STATE, lineage::Node, project::Project},
    connector::error::Error,
    daemon::{SlotState, SlotView, TaskState, client, protocol::Status},
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
    schedule: Option<SlotView>,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = match context.project() {
        Ok(project) => project,
        Err(failure) => {
            tell_of_old(context).await;
            return Err(failure);
        }
    };
    let selection = Selection::named(&project, &args.names)?;
    let runtime = runner::open(&project)?;
    let daemon = daemon_of(&project, context).await;
    let rows = unless_interrupted(gather(&runtime, &selection, daemon.as_ref())).await?;
    match args.format {
        super::Format::Json => {
            let all: Vec<Value> = rows.iter().map(as_json).collect();
            output::print(&format!("{:#}", Value::Array(all)))?;
        }
        super::Format::Text => table(&project, &rows).print(context.output)?,
    }
    match (daemon, lock::holder(&project.state)) {
        (Some(daemon), _) => tell_of(&daemon, project.zone, context),
        (None, Some(holder)) => {
            context
                .output
                .say(&format!("process {} changes this project now: `{}`", holder.pid, holder.command));
        }
        (None, None) => {}
    }
    Ok(())
}

/// How the daemon stands, where one serves the project.
async fn daemon_of(project: &Project, context: &Context) -> Option<Status> {
    match context.daemon(project).await?.status().await {
        Ok(status) => Some(status),
        Err(error) => {
            context.output.say(&format!("the daemon does not say how it stands: {error}"));
            None
        }
    }
}

/// The files have problems, and a daemon may go on with what they were: it is found where the project's state would be.
async fn tell_of_old(context: &Context) {
    let Ok(root) = context.root() else { return };
    let text = std::fs::read_to_string(root.join(PROJECT_FILE)).unwrap_or_default();
    let file: toml::Table = text.parse().unwrap_or_default();
    let state = file.get("daemon").and_then(|daemon| daemon.get("state")).and_then(toml::Value::as_str);
    let state = root.join(state.unwrap_or(DEFAULT_STATE));
    if let Some(daemon) = client::connect(&state, &context.global.profile).await
        && let Ok(status) = daemon.status().await
    {
        tell_of(&status, Tz::UTC, context);
    }
}

/// The daemon in a line, and what is wrong with it, also with `--quiet`.
pub(super) fn tell_of(daemon: &Status, zone: Tz, context: &Context) {
    // The project's own zone is not known where its files cannot be read.
    let form = if zone == Tz::UTC { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S" };
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).format(form).to_string();
    let stops = if daemon.stopping { ", stopping" } else { "" };
    context.output.say(&format!(
        "the daemon (process {}, profile {}) serves this project since {}{stops}",
        daemon.pid,
        daemon.profile,
        local(daemon.since)
    ));
    let bad = |text: &str| output::complain(&context.output.messages.paint(text, Tone::Bad));
    if !daemon.healthy {
        bad("it hangs: it did not look at its schedules for more than a minute");
    }
    for (name, state) in &daemon.tasks {
        if let TaskState::Failed(why) = state {
            bad(&format!("its task `{name}` failed: {why}"));
        }
    }
    if let Some(stale) = &daemon.stale {
        let since = local(stale.since);
        bad(&format!("it serves the project as it was before {since}: what was edited since has problems"));
        stale.problems.iter().for_each(|problem| output::complain(&format!("  {}", printable(problem))));
    }
}

async fn gather(runtime: &Runtime, selection: &Selection, daemon: Option<&Status>) -> Result<Vec<Row>> {
    let letters: BTreeMap<String, u64> =
        runtime.records().count(None)?.into_iter().map(|count| (count.track, count.waiting)).collect();
    let mut rows = Vec::with_capacity(selection.nodes.len());
    for node in selection.iter() {
        let name = name_of(node);
        let schedule = daemon.and_then(|daemon| daemon.members.iter().find(|member| member.name == name));
        rows.push(Row { schedule: schedule.cloned(), ..row(runtime, node, &letters).await? });
    }
    Ok(rows)
}

async fn row(runtime: &Runtime, node: &Node, letters: &BTreeMap<String, u64>) -> Result<Row> {
    let track = runtime.project().track(&node.job, &node.member);
    let is_mart = node.kind == JobKind::Mart;
    Ok(Row {
        // Where the sink does not answer, `record` says so.
        ledger: if is_mart { runtime.ledger(&node.job, &node.member).await.ok().flatten() } else { None },
        freshness: runtime.freshness(&node.job).await.ok().flatten(),
        name: name_of(node),
        kind: node.kind,
        record: runtime.record_of(&node.job, &node.member).await,
        last: runtime.history().last(&track)?,
        waiting: letters.get(&track.key()).copied().unwrap_or_default(),
        schedule: None,
    })
}

fn table(project: &Project, rows: &[Row]) -> Table {
    let served = rows.iter().any(|row| row.schedule.is_some());
    let columns = ["name", "kind", "stands at", ">commits", "last commit", "last run", ">dead letters"];
    let more = [Some("notes"), served.then_some("next run")];
    let mut table = Table::new(columns.into_iter().chain(more.into_iter().flatten()));
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
        let next = row.schedule.as_ref().map(|schedule| next_run(schedule, &local));
        let cells: [Cell; 8] = [
            row.name.as_str().into(),
            row.kind.to_string().into(),
            stands,
            commits.into(),
            at.into(),
            last,
            waiting,
            Cell::new(notes(row).join("; "), Tone::Warn),
        ];
        table.row(cells.into_iter().chain(served.then(|| next.unwrap_or_else(|| "".into()))));
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

/// What the daemon does with it next.
pub(super) fn next_run(schedule: &SlotView, local: &dyn Fn(DateTime<Utc>) -> String) -> Cell {
    let left_out = match schedule.left_out {
        0 => String::new(),
        left_out => format!(" ({} left out)", count(left_out)),
    };
    match &schedule.state {
        SlotState::Runs => Cell::new(format!("runs now{left_out}"), Tone::Good),
        SlotState::Follows => Cell::new("follows its source", Tone::Good),
        SlotState::Due => format!("due{left_out}").into(),
        SlotState::Retries(at) => Cell::new(format!("failed; again {}", local(*at)), Tone::Warn),
        SlotState::BlockedBy(by) => Cell::new(format!("blocked by `{by}`"), Tone::Warn),
        SlotState::ByHand => Cell::new("by hand", Tone::Dim),
        SlotState::Waits => match schedule.next {
            Some(at) => format!("{}{left_out}", local(at)).into(),
            None => "after others".into(),
        },
    }
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
        Progress::Position(position) | Progress::Anew { position, .. } => position.to_string(),
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
        "schedule": row.schedule,
        "error": row.record.as_ref().err().map(ToString::to_string),
    })
}
