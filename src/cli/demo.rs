//! `demo`: the shipped project with made-up data, from nothing to workbooks. Run again, it goes on and doubles nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{Datelike, Days, Months, NaiveDate};

use super::{
    context::{Context, PROJECT_FILE},
    failure::{Failure, Result},
    init,
    output::{self, Tone, counted},
    runner,
    selection::Selection,
};
use crate::{
    clock::SystemClock,
    config::{
        DEFAULT_PROFILE,
        project::{MartOutput, Project},
    },
    model::time::Clock,
    project_template,
    run::{RunOptions, event::Outcome},
};

const EXAMPLES: &str = "\
Examples:
  vitrina demo
  vitrina demo --dir /tmp/show --days 7

It makes a project folder of two systems. It makes up what sales people of three regions did since the
first day of last month and moves it bot database → message log → warehouse; and two years of an online
cinema's subscriptions and views, which become marts. Both end in Excel dashboards. No service is needed.
Run again, it goes on from where it stands.";

/// A file that the demo's project has, and hardly another one.
const OF_OURS: &str = "pipelines/crm_actions.toml";

/// In fewer days there may be no renewal and no refund yet, and so no table of them.
const CINEMA_DAYS: u16 = 120;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The project's folder
    #[arg(long, value_name = "DIR", default_value = "vitrina-demo")]
    dir: PathBuf,

    /// Days of history to make up; the cinema gets 120 at least [default: sales from the first day of last month, the cinema two years]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: Option<u16>,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    make_project(args, context)?;
    let root =
        std::path::absolute(&args.dir).map_err(|error| Failure::file("cannot find", &args.dir, &error))?;
    let project = context.project_at(&root)?;
    let selection = Selection::all(&project)?;
    let outcomes =
        runner::run_members(context, &project, &selection.members(), &RunOptions::default()).await?;
    runner::print_table(&outcomes, context.output)?;
    let ended = runner::conclude(&outcomes, context.output);
    if ended.is_ok() {
        output::print(&summary(&outcomes))?;
        output::print(&what_next(&args.dir, &project, context))?;
    }
    ended
}

/// Writes the shipped project; one that is there goes on as it is.
fn make_project(args: &Args, context: &Context) -> Result {
    if args.dir.join(PROJECT_FILE).is_file() {
        if !args.dir.join(OF_OURS).is_file() {
            return Err(Failure::usage(format!("{} is another project", args.dir.display()))
                .hint("choose another folder: --dir DIR"));
        }
        if args.days.is_some() {
            return Err(Failure::usage(format!(
                "{} is there already: its history has begun",
                args.dir.display()
            ))
            .hint("leave --days out to go on, or choose another --dir"));
        }
        context.output.say(&format!("{} is there already: it goes on", args.dir.display()));
        return Ok(());
    }
    let occupied = std::fs::read_dir(&args.dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Failure::usage(format!("{} holds other things already", args.dir.display()))
            .hint("choose another folder: --dir DIR"));
    }
    let (crm, premier) = starts(SystemClock.now().date_naive(), args.days);
    init::write_project(&args.dir, &project_template::demo_files(crm, premier))?;
    let since =
        if crm == premier { crm.to_string() } else { format!("{crm} (sales) and {premier} (cinema)") };
    context
        .output
        .say(&format!("project written to {}, with made-up rows from {since} on", args.dir.display()));
    Ok(())
}

/// The first days of history: of sales, and of the cinema.
fn starts(today: NaiveDate, days: Option<u16>) -> (NaiveDate, NaiveDate) {
    let first_of = |months: u32| today.with_day(1)?.checked_sub_months(Months::new(months));
    match days {
        Some(days) => {
            let before = |days: u16| today.checked_sub_days(Days::new(u64::from(days))).unwrap_or(today);
            (before(days), before(days.max(CINEMA_DAYS)))
        }
        None => (first_of(1).unwrap_or(today), first_of(24).unwrap_or(today)),
    }
}

fn summary(outcomes: &[Outcome]) -> String {
    let written: u64 = outcomes.iter().map(|outcome| outcome.written).sum();
    let bad: u64 = outcomes.iter().map(|outcome| outcome.bad).sum();
    let bad = if bad == 0 { String::new() } else { format!(", {} put aside", counted(bad, "bad row")) };
    format!("\n{} written{bad}.", counted(written, "row"))
}

fn what_next(folder: &Path, project: &Arc<Project>, context: &Context) -> String {
    let profile = match context.global.profile.as_str() {
        DEFAULT_PROFILE => String::new(),
        other => format!(" --profile {other}"),
    };
    let program = format!("{} --project {}{profile}", init::program(), folder.display());
    let mut lines = vec![format!("\n{}", context.output.results.paint("Try next:", Tone::Strong))];
    let mut add = |command: String, about: &str| {
        let about = context.output.results.paint(about, Tone::Dim);
        lines.push(format!("  {command}\n      {about}"));
    };
    for workbook in workbooks(project) {
        let file = workbook.strip_prefix(&project.root).unwrap_or(workbook);
        add(folder.join(file).display().to_string(), "a dashboard, for Excel or LibreOffice");
    }
    add(format!("{program} status"), "where everything stands");
    add(
        format!(
            "{program} query 'SELECT region, action, count(*) AS n FROM pipeline.actions_to_warehouse GROUP BY region, action ORDER BY region, n DESC'"
        ),
        "SQL over all regions",
    );
    add(
        format!(
            "{program} query 'SELECT month, place, title_ru, viewers, alloc_revenue FROM mart.top_titles WHERE place <= 3 ORDER BY month DESC, place'"
        ),
        "what the cinema's viewers watch, and what it earns",
    );
    add(format!("{program} explain actions_to_warehouse"), "what a pipeline does and what it promises");
    add(format!("{program} graph"), "who reads what whom writes");
    add(format!("{program} run --all"), "go on: what happened since then is moved, once");
    if project.bot.is_some() {
        add(
            format!("{program} bot chat"),
            "the report bot, here in the terminal: charts, tables, Excel files",
        );
    }
    add(format!("{program} serve"), "from now on by itself, as the schedules say, until Ctrl-C");
    lines.join("\n")
}

/// A dashboard of each system: the first one among those of the same tags.
fn workbooks(project: &Project) -> Vec<&PathBuf> {
    let mut seen = vec![];
    let marts = project.marts.values().filter_map(|mart| {
        let file = mart.members.iter().find_map(|member| match &member.output {
            MartOutput::Workbook(workbook) => Some(&workbook.file),
            MartOutput::Table { .. } => None,
        })?;
        let new = !seen.contains(&&mart.info.tags);
        seen.push(&mart.info.tags);
        new.then_some(file)
    });
    marts.collect()
}

#[cfg(test)]
mod tests {
    use super::starts;

    #[test]
    fn history_begins_with_last_month_and_two_years_ago() {
        let starts = |today: &str, days| {
            let (crm, premier) = starts(today.parse().unwrap(), days);
            format!("{crm} {premier}")
        };
        assert_eq!(starts("2026-11-21", None), "2026-10-01 2024-11-01");
        assert_eq!(starts("2026-01-01", None), "2025-12-01 2024-01-01");
        assert_eq!(starts("2026-03-31", Some(200)), "2025-09-12 2025-09-12");
        assert_eq!(starts("2026-03-31", Some(7)), "2026-03-24 2025-12-01");
    }
}
