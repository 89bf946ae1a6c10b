//! `logs`: what a run told.

use serde_json::{Value, json};

use super::{
    context::Context,
    failure::{Failure, Result},
    output::{self, Tone, printable},
};
use crate::{
    config::project::Project,
    state::{
        history::{History, Run, RunFilter},
        logs::{self, Line},
    },
};

const EXAMPLES: &str = "\
Examples:
  vitrina runs                                   ids of runs
  vitrina logs 019b2f4c                          the beginning of an id is enough
  vitrina logs orders                            the last run of a pipeline or mart
  vitrina logs actions_to_stream/mrf1 --format json

Logs of the last 2,000 runs are kept, of each the last lines, up to 2 MiB.";

/// Options of `logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A run's id, or the beginning of it; or a NAME, of whose last run
    #[arg(value_name = "RUN")]
    run: String,

    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let run = find(&project, &args.run)?;
    let lines = logs::read(&project.state, &run.id)?;
    match args.format {
        super::Format::Json => {
            let all: Vec<Value> = lines.iter().map(|line| json!(line)).collect();
            output::print(&format!("{:#}", Value::Array(all)))
        }
        super::Format::Text => {
            let state = run.state.as_str();
            context.output.say(&format!("run {} of {}, {state}", run.id, run.name()));
            if lines.is_empty() {
                context.output.say("nothing is kept of what it told");
            }
            lines.iter().try_for_each(|line| output::print(&text(line, &project, context)))
        }
    }
}

fn find(project: &Project, wanted: &str) -> Result<Run> {
    let history = History::open(&project.state)?;
    let named = RunFilter { names: Some(vec![wanted.to_owned()]) };
    let last = history.list(&named, 1)?.pop();
    let found = match last {
        Some(run) => Some(run),
        None => history.get(wanted)?,
    };
    found.ok_or_else(|| {
        Failure::usage(format!("there is no run `{wanted}`"))
            .hint("`vitrina runs` shows them, with their ids")
    })
}

fn text(line: &Line, project: &Project, context: &Context) -> String {
    let at = line.at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S%.3f");
    let tone = match line.level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        "info" => Tone::Plain,
        _ => Tone::Dim,
    };
    let results = context.output.results;
    let level = results.paint(&format!("{:<5}", line.level), tone);
    format!("{} {level} {}", results.paint(&at.to_string(), Tone::Dim), printable(&line.message))
}
