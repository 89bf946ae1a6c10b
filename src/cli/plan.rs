//! `plan`: which windows and tables of marts a run would build, and why.

use serde_json::json;

use super::{
    context::Context,
    failure::Result,
    interrupt::unless_interrupted,
    output::{self, Tone, count},
    runner,
    selection::{self, Selection},
    table::{Cell, Table},
};
use crate::{
    model::name::JobKind,
    run::{
        Runtime,
        plan::{Plan, PlannedBuild},
    },
};

const EXAMPLES: &str = "\
Examples:
  vitrina plan                                   every mart
  vitrina plan episode_views_by_viewer+          it, and what depends on it
  vitrina plan --format json | jq '.[].builds[] | select(.why == \"query_changed\")'

A window that is stale is built again by `run` where the mart says on_change = \"rebuild\", and by `backfill` everywhere.";

/// Options of `plan`.
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

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let runtime = runner::open(&project)?;
    let plans = unless_interrupted(gather(&runtime, &selection)).await?;
    match args.format {
        super::Format::Json => output::print(&format!("{:#}", json!(plans))),
        super::Format::Text if plans.is_empty() => {
            context.output.say("there are no marts that are tables here");
            Ok(())
        }
        super::Format::Text => table(&plans).print(context.output),
    }
}

async fn gather(runtime: &Runtime, selection: &Selection) -> Result<Vec<Plan>> {
    let mut plans = vec![];
    for node in selection.iter().filter(|node| node.kind == JobKind::Mart) {
        plans.extend(runtime.plan(&node.job, &node.member).await?);
    }
    Ok(plans)
}

/// A row for each run of windows that are built for one reason.
fn table(plans: &[Plan]) -> Table {
    let mut table = Table::new(["name", ">windows", "what", "why", "built by", "read by"]);
    for plan in plans {
        let reports = plan.reports.iter().map(|report| format!("report {report}"));
        let read_by: Vec<String> = plan.read_by.iter().cloned().chain(reports).collect();
        let read_by = read_by.join(", ");
        if plan.builds.is_empty() {
            let windows = if plan.on_change.is_some() { count(plan.windows as u64) } else { String::new() };
            let row = ["nothing", "it is as it should be", ""].map(|text| Cell::new(text, Tone::Dim));
            let [what, why, by] = row;
            table.row([plan.name.as_str().into(), windows.into(), what, why, by, read_by.as_str().into()]);
        }
        for group in groups(&plan.builds) {
            let (first, last) = (&group[0], &group[group.len() - 1]);
            let what = match (&first.window, &last.window) {
                (Some(first), Some(last)) if first == last => first.clone(),
                (Some(first), Some(last)) => format!("{first} … {last}"),
                _ => "the whole table".to_owned(),
            };
            let windows = first.window.as_ref().map_or(String::new(), |_| count(group.len() as u64));
            let by =
                if first.by_run { Cell::new("run", Tone::Plain) } else { Cell::new("backfill", Tone::Warn) };
            let why = first.why.to_string();
            table.row([
                plan.name.as_str().into(),
                windows.into(),
                what.into(),
                why.into(),
                by,
                read_by.as_str().into(),
            ]);
        }
    }
    table
}

/// Builds that follow each other for one reason.
fn groups(builds: &[PlannedBuild]) -> impl Iterator<Item = &[PlannedBuild]> {
    builds.chunk_by(|a, b| a.why == b.why && a.by_run == b.by_run)
}
