//! What may stand on the command line, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{
    backfill, bot, check, checks, connections, dead_letters, demo, explain, graph, init, logs,
    output::ColorWhen, plan, position, preview, query, report, run, runs, schema, serve, status, test, top,
    users,
};
use crate::config;

const EXAMPLES: &str = "\
Start here:
  vitrina demo                                   a whole project with made-up data, run once
  vitrina init my-project                        a project of your own
  vitrina check                                  every mistake in it, at once
  vitrina run --all                              move everything that is new
  vitrina serve                                  from now on by itself, as schedules say
  vitrina query 'SELECT * FROM mart.revenue'     look at what came of it

Exit codes:
  0    done
  1    the project or its data has problems (they are listed)
  2    wrong usage
  3    the world failed: a connection, a disk; may pass later
  130  interrupted";

/// TOML in; rows moved exactly once, marts and dashboards out.
#[derive(Debug, Parser)]
#[command(name = "vitrina", version, after_help = EXAMPLES, max_term_width = 110, infer_long_args = true)]
#[command(propagate_version = false, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// Before or after the command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Sets the sentences behind each command's options as paragraphs, which are wrapped to the terminal; examples and lists stay as they are.
pub(super) fn flowing(command: clap::Command) -> clap::Command {
    let command = match command.get_after_help().map(ToString::to_string) {
        Some(text) => command.after_help(text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")),
        None => command,
    };
    command.mut_subcommands(flowing)
}

fn paragraph(text: &str) -> String {
    let is_list = text.lines().any(|line| line.starts_with(' '));
    if is_list { text.to_owned() } else { text.lines().collect::<Vec<_>>().join(" ") }
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Global {
    /// The project's folder; unless told, the nearest one from here upwards that holds a vitrina.toml
    #[arg(long, global = true, value_name = "DIR", env = "VITRINA_PROJECT", hide_env_values = true)]
    pub project: Option<PathBuf>,

    /// Which connections stand behind the names: a [profile.NAME] of vitrina.toml
    #[arg(long, global = true, value_name = "NAME", env = "VITRINA_PROFILE", hide_env_values = true)]
    #[arg(default_value = config::DEFAULT_PROFILE)]
    pub profile: String,

    /// Coloured text: on a terminal (unless NO_COLOR is set), always, never
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub color: ColorWhen,

    /// More of what happens inside, on stderr; twice for much more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// How a result is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a project that passes `check` and runs
    Init(init::Args),
    /// Make and run the shipped project, with made-up data
    Demo(demo::Args),
    /// Find every problem of the project at once, without touching any data
    Check(check::Args),
    /// Move everything that is new
    Run(run::Args),
    /// Build windows of marts again, or for the first time
    Backfill(backfill::Args),
    /// Say which windows of marts a run would build, and why
    Plan(plan::Args),
    /// Show what the checks of marts said; rows that break them on request
    Checks(checks::Args),
    /// Look at the rows that a run would write, without writing any
    Preview(preview::Args),
    /// Say what a run would do, what it promises and why
    Explain(explain::Args),
    /// Run the unit tests that stand in the files, in memory
    Test(test::Args),
    /// Read-only SQL over all connections, pipelines and marts
    Query(query::Args),
    /// Run a report of bot.toml as the bot would
    Report(report::Args),
    /// Show where everything stands
    Status(status::Args),
    /// Show what happened
    Runs(runs::Args),
    /// Look at, and deliberately change, how far a pipeline is
    Position(position::Args),
    /// Look at, replay and drop bad rows
    DeadLetters(dead_letters::Args),
    /// Show who reads what whom writes
    Graph(graph::Args),
    /// JSON Schemas of the files, for editors; columns of outside tables, for `check`
    Schema(schema::Args),
    /// Run everything by its schedule, until it is stopped
    Serve(serve::Args),
    /// Show what a run told
    Logs(logs::Args),
    /// Watch what the daemon does
    Top(top::Args),
    /// Test connections, list their tables
    Connections(connections::Args),
    /// Say who may use the bot
    Users(users::Args),
    /// Talk to the report bot without any account
    Bot(bot::Args),
}
