//! `backfill`: builds windows of marts that are there already, or were never built.

use chrono::NaiveDate;

use super::{
    context::Context,
    failure::{Failure, Result},
    runner,
    selection::{self, Selection},
};
use crate::{
    clock::SystemClock,
    config::project::{MartMember, Project},
    model::{
        name::{JobName, Member},
        time::Clock,
    },
    run::{RunOptions, windows::Backfill},
};

const EXAMPLES: &str = "\
Examples:
  vitrina backfill views --from 2026-01-01                         up to today
  vitrina backfill views --from 2026-01-01 --last 2026-01-31       January; the last day is in
  vitrina backfill views --from 2026-01-01 --stale                 only what is missing or stale

Each window is a commit of its own, several at once (`daemon.parallel`). One that was stopped goes on where it stopped when it
is asked for again with the same days, unless the query was edited meanwhile or `--anew` says otherwise.";

/// Options of `backfill`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// Marts with [window]
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// The first day
    #[arg(long, value_name = "DAY")]
    from: NaiveDate,

    /// The last day, which is in; today unless told
    #[arg(long, value_name = "DAY", default_value = "9999-12-31", hide_default_value = true)]
    last: NaiveDate,

    /// Only windows that are missing or stale
    #[arg(long)]
    stale: bool,

    /// All windows, also where one of the same days was stopped before its end
    #[arg(long, conflicts_with = "stale")]
    anew: bool,

    /// How the result is told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let members = selection.members();
    refuse_others(&project, &members)?;
    let backfill = Backfill { from: args.from, last: args.last, stale: args.stale, anew: args.anew };
    refuse_days(&project, &members, &backfill)?;
    let options = RunOptions { backfill: Some(backfill), ..RunOptions::default() };
    let outcomes = runner::run_members(context, &project, &members, &options).await?;
    runner::tell(&outcomes, args.format, context.output)
}

/// Days that there is no window of are a mistake of who asks, and no failed run, behind which others would wait.
fn refuse_days(project: &Project, members: &[(JobName, Member)], backfill: &Backfill) -> Result {
    let now = SystemClock.now();
    for (job, member) in members {
        let found = project.marts.get(job).and_then(|mart| mart.members.iter().find(|m| m.member == *member));
        if let Some(windows) = found.and_then(MartMember::windows) {
            backfill.check(windows, now).map_err(|error| {
                let failure = Failure::from(error);
                let name = project.track(job, member).name();
                Failure { message: format!("{name}: {}", failure.message), ..failure }
            })?;
        }
    }
    Ok(())
}

/// Only marts that are built window by window have windows.
fn refuse_others(project: &Project, members: &[(JobName, Member)]) -> Result {
    let cut = |job: &JobName| {
        project
            .marts
            .get(job)
            .is_some_and(|mart| mart.members.iter().any(|member| member.windows().is_some()))
    };
    match members.iter().find(|(job, _)| !cut(job)) {
        None => Ok(()),
        Some((job, _)) => Err(Failure::usage(format!("`{job}` is not built window by window")).hint(
            "`run --full-refresh` does a pipeline anew, `run` a mart; [window] cuts a mart into windows",
        )),
    }
}
