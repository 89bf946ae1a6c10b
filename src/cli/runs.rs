//! `runs`: what happened.

use serde_json::{Value, json};

use super::{
    context::Context,
    failure::Result,
    output::{self, Tone, count, took},
    selection::{self, Selection},
    table::{Cell, Table},
};
use crate::{
    clock::SystemClock,
    config::project::Project,
    model::time::Clock,
    state::history::{History, Run, RunFilter, RunStatus},
};

const EXAMPLES: &str = "\
Examples:
  vitrina runs
  vitrina runs actions_to_stream --limit 100
  vitrina runs --format json | jq '.[] | select(.state == \"failed\") | .error'";

/// Options of `runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// Runs of these only
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Runs at most, the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,

    /// How they are told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let names =
        if args.names.is_empty() { None } else { Some(Selection::named(&project, &args.names)?.names()) };
    let history = History::open(&project.state)?;
    let runs = history.list(&RunFilter { names }, args.limit)?;
    match args.format {
        super::Format::Json => {
            let all = runs.iter().map(|run| as_json(run, &history)).collect::<Result<Vec<Value>>>()?;
            output::print(&format!("{:#}", Value::Array(all)))
        }
        super::Format::Text if runs.is_empty() => {
            context.output.say("nothing has run yet");
            Ok(())
        }
        super::Format::Text => table(&project, &history, &runs)?.print(context.output),
    }
}

fn table(project: &Project, history: &History, runs: &[Run]) -> Result<Table> {
    let mut table =
        Table::new(["started", "name", "state", ">read", ">written", ">bad", ">took", "checks", "error"]);
    for run in runs {
        let started = run.started.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string();
        table.row([
            started.into(),
            run.name().into(),
            status_cell(run.state),
            count(run.counts.read).into(),
            count(run.counts.written).into(),
            count(run.counts.bad).into(),
            lasted(run).into(),
            checks_cell(history, run)?,
            run.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    Ok(table)
}

/// What the checks of a mart said in a run.
fn checks_cell(history: &History, run: &Run) -> Result<Cell> {
    let (held, broken) = history.checks_of_run(&run.id)?;
    Ok(match broken.iter().filter(|result| result.blocks).count() {
        _ if broken.is_empty() && held == 0 => "".into(),
        _ if broken.is_empty() => Cell::new(format!("{} hold", count(held)), Tone::Good),
        0 => Cell::new(format!("{} warn", count(broken.len() as u64)), Tone::Warn),
        blocks => Cell::new(format!("{} block", count(blocks as u64)), Tone::Bad),
    })
}

fn lasted(run: &Run) -> String {
    let end = match (run.finished, run.state) {
        (Some(finished), _) => finished,
        (None, RunStatus::Running) => SystemClock.now(),
        (None, _) => return String::new(),
    };
    took((end - run.started).to_std().unwrap_or_default())
}

/// A run as JSON: what history keeps, and the name that users write.
fn as_json(run: &Run, history: &History) -> Result<Value> {
    let mut value = json!(run);
    value["name"] = json!(run.name());
    let (held, broken) = history.checks_of_run(&run.id)?;
    value["checks"] = json!({ "held": held, "broken": broken });
    Ok(value)
}

/// A state, in its colour.
pub(super) fn status_cell(state: RunStatus) -> Cell {
    let tone = match state {
        RunStatus::Running => Tone::Plain,
        RunStatus::Done => Tone::Good,
        RunStatus::Failed => Tone::Bad,
        RunStatus::Cancelled | RunStatus::Blocked | RunStatus::Interrupted => Tone::Warn,
    };
    Cell::new(state.as_str(), tone)
}
