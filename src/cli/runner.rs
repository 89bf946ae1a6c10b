//! Running members from a command: lock, progress, Ctrl-C, and the table of what came of it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    Format,
    context::{self, Context},
    failure::{Exit, Failure, Result, exit_of},
    interrupt,
    output::{self, Output, Tone, count, took},
    progress::Progress,
    table::{Cell, Table},
};
use crate::{
    clock::SystemClock,
    config::project::Project,
    model::name::{JobName, Member},
    run::{
        RunOptions, Runtime,
        event::{Observer, Outcome, RunState},
    },
};

/// Opens a project's runtime.
pub(super) fn open(project: &Arc<Project>) -> Result<Arc<Runtime>> {
    Ok(Runtime::open(Arc::clone(project), Arc::new(SystemClock))?)
}

/// Runs members under the project's lock, or in the daemon that holds it, with progress; Ctrl-C stops at a slice's edge.
pub(super) async fn run_members(
    context: &Context,
    project: &Arc<Project>,
    members: &[(JobName, Member)],
    options: &RunOptions,
) -> Result<Vec<Outcome>> {
    let observer: Arc<dyn Observer> = Arc::new(Progress::new(context.output));
    if let Some(daemon) = context.daemon(project).await {
        let cancel = interrupt::listen();
        return Ok(daemon.run(members, options, &observer, &cancel).await?);
    }
    let _lock = context::lock(project)?;
    let runtime = open(project)?;
    let cancel = interrupt::listen();
    Ok(runtime.run(members, options, &observer, &cancel).await)
}

/// Tells why runs failed, and turns outcomes into the command's end.
pub(super) fn conclude(outcomes: &[Outcome], output: Output) -> Result {
    let mut exit = None;
    for outcome in outcomes {
        let Some(error) = &outcome.error else { continue };
        if outcome.state == RunState::Cancelled {
            continue;
        }
        let failure = Failure {
            exit: exit_of(error.kind),
            message: format!("{}: {error}", outcome.track.name()),
            hint: Some(error.advice().to_owned()),
        };
        failure.tell(output);
        // Problems need somebody; what the world did may pass by itself.
        exit = Some(if exit == Some(Exit::Problems) { Exit::Problems } else { failure.exit });
    }
    if outcomes.iter().any(|outcome| outcome.state == RunState::Cancelled) {
        return Err(
            Failure::interrupted().hint("what was committed stays; run it again: it goes on from there")
        );
    }
    exit.map_or(Ok(()), |exit| Err(Failure::told(exit)))
}

/// Tells how runs ended, and fails where one did.
pub(super) fn tell(outcomes: &[Outcome], format: Format, output: Output) -> Result {
    match format {
        Format::Text => print_table(outcomes, output)?,
        Format::Json => print_json(outcomes)?,
    }
    conclude(outcomes, output)
}

/// The table of outcomes.
pub(super) fn print_table(outcomes: &[Outcome], output: Output) -> Result {
    let mut table = Table::new(["name", "state", ">read", ">written", ">bad", ">took", "rows lie in"]);
    for outcome in outcomes {
        table.row([
            outcome.track.name().into(),
            state_cell(outcome.state),
            count(outcome.read).into(),
            count(outcome.written).into(),
            Cell::new(count(outcome.bad), if outcome.bad > 0 { Tone::Warn } else { Tone::Plain }),
            took(lasted(outcome)).into(),
            outcome.target.as_str().into(),
        ]);
    }
    table.print(output)
}

/// Outcomes as JSON.
fn print_json(outcomes: &[Outcome]) -> Result {
    let all: Vec<Value> = outcomes.iter().map(as_json).collect();
    output::print(&format!("{:#}", Value::Array(all)))
}

fn as_json(outcome: &Outcome) -> Value {
    let error = outcome.error.as_ref();
    json!({
        "run": outcome.run,
        "name": outcome.track.name(),
        "state": outcome.state,
        "units": outcome.units,
        "read": outcome.read,
        "written": outcome.written,
        "bad": outcome.bad,
        "started": outcome.started,
        "finished": outcome.finished,
        "target": outcome.target,
        "error": error.map(ToString::to_string),
        "hint": error.map(|error| error.advice().to_owned()),
        "notes": outcome.notes,
    })
}

fn lasted(outcome: &Outcome) -> Duration {
    (outcome.finished - outcome.started).to_std().unwrap_or_default()
}

fn state_cell(state: RunState) -> Cell {
    match state {
        RunState::Running => Cell::new("running", Tone::Plain),
        RunState::Done => Cell::new("done", Tone::Good),
        RunState::Failed => Cell::new("failed", Tone::Bad),
        RunState::Cancelled => Cell::new("cancelled", Tone::Warn),
        RunState::Blocked => Cell::new("blocked", Tone::Warn),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        cli::output::ColorWhen,
        connector::error::{Error, ErrorKind},
        model::name::Track,
    };

    fn outcome(state: RunState, error: Option<ErrorKind>) -> Outcome {
        Outcome {
            run: "r".to_owned(),
            track: Track::new("p", &JobName::new("job"), &Member::default()),
            state,
            units: 1,
            read: 2,
            written: 2,
            bad: 0,
            anew: false,
            started: DateTime::UNIX_EPOCH,
            finished: DateTime::UNIX_EPOCH,
            target: "warehouse.t (delta)".to_owned(),
            error: error.map(|kind| Error::new(kind, "x")),
            notes: vec![],
        }
    }

    fn exit(outcomes: &[Outcome]) -> Option<Exit> {
        conclude(outcomes, Output::new(ColorWhen::Never, true)).err().map(|failure| failure.exit)
    }

    #[test]
    fn the_worst_outcome_is_the_exit_code() {
        let done = || outcome(RunState::Done, None);
        let problem = || outcome(RunState::Failed, Some(ErrorKind::BadData));
        let world = || outcome(RunState::Failed, Some(ErrorKind::Unreachable));
        assert_eq!(exit(&[done(), done()]), None);
        assert_eq!(exit(&[done(), world()]), Some(Exit::World));
        assert_eq!(exit(&[problem(), world()]), Some(Exit::Problems));
        assert_eq!(exit(&[world(), problem()]), Some(Exit::Problems));
        assert_eq!(exit(&[problem(), outcome(RunState::Cancelled, None)]), Some(Exit::Interrupted));
    }

    #[test]
    fn json_names_everything() {
        let value = as_json(&outcome(RunState::Failed, Some(ErrorKind::BadData)));
        assert_eq!((&value["name"], &value["state"]), (&json!("job"), &json!("failed")));
        assert!(value["hint"].as_str().is_some_and(|hint| hint.contains("bad_rows")));
    }
}
