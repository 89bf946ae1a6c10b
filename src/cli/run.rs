//! `run`: moves everything that is new.

use super::{
    context::Context,
    failure::{Failure, Result},
    runner,
    selection::{self, Selection},
};
use crate::{
    config::project::Project,
    model::name::{JobName, Member},
    run::RunOptions,
};

const EXAMPLES: &str = "\
Examples:
  vitrina run --all                              everything, in order of dependency
  vitrina run actions_to_stream/mrf1             one member
  vitrina run crm_actions+                       it, and what depends on it
  vitrina run actions_dashboard --with period=2026-01
  vitrina run orders --full-refresh              read everything again, replace the target at once
  vitrina run --follow actions_to_stream actions_to_warehouse    until Ctrl-C, rows as they come
  vitrina run --all --format json | jq '.[] | select(.bad > 0)'

Rows that come while it runs are left to the next run. Ctrl-C stops after what is being written;
the next run goes on from there. Nothing is doubled either way.";

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// What to run
    #[arg(value_name = "NAME", required_unless_present = "all")]
    names: Vec<String>,

    /// Run everything
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Read everything again and replace the target, at once
    #[arg(long)]
    full_refresh: bool,

    /// Do not end: move new rows as they come, until Ctrl-C. For pipelines alone, all of them at once
    #[arg(long, conflicts_with_all = ["full_refresh", "with"])]
    follow: bool,

    /// A parameter of a workbook's [with]
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    with: Vec<(String, String)>,

    /// How the result is told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    if selection.nodes.is_empty() {
        return Err(Failure::usage("this project has no pipelines and no marts"));
    }
    let options = RunOptions {
        full_refresh: args.full_refresh,
        with: args.with.iter().cloned().collect(),
        follow: args.follow,
        ..RunOptions::default()
    };
    let members = selection.members();
    if args.follow {
        refuse_marts(&project, &members)?;
    }
    let outcomes = runner::run_members(context, &project, &members, &options).await?;
    runner::tell(&outcomes, args.format, context.output)
}

/// A mart is built, and does not go on.
fn refuse_marts(project: &Project, members: &[(JobName, Member)]) -> Result {
    let Some((mart, _)) = members.iter().find(|(job, _)| project.marts.contains_key(job)) else {
        return Ok(());
    };
    Err(Failure::usage(format!("`{mart}` is a mart: only pipelines can follow their source"))
        .hint("name pipelines, and run marts beside them"))
}

/// `NAME=VALUE`, as `--with` takes it.
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, for example period=last_month".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn parameters() {
        assert_eq!(parameter("period=2026-01"), Ok(("period".to_owned(), "2026-01".to_owned())));
        assert_eq!(parameter("q=a=b"), Ok(("q".to_owned(), "a=b".to_owned())));
        assert!(parameter("period").is_err() && parameter("=x").is_err());
    }
}
