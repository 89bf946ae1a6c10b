//! The command line: one file per command. Results go to stdout, everything else to stderr.
//!
//! Invariant: a command decides nothing about rows; it chooses members, calls `run` and shows what came of it.

mod arguments;
mod backfill;
mod bot;
mod check;
mod checks;
mod connections;
mod context;
mod dead_letters;
mod demo;
mod due;
mod explain;
mod failure;
mod graph;
mod init;
mod interrupt;
mod logging;
mod logs;
mod online;
mod output;
mod plan;
mod position;
mod preview;
mod progress;
mod query;
mod report;
mod rows;
mod run;
mod runner;
mod runs;
mod schema;
mod schema_pull;
mod selection;
mod serve;
mod status;
mod table;
mod test;
mod top;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Command, Format};
use context::Context;
use failure::{Failure, Result};
use output::{ColorWhen, Output};

/// Stack of every thread: planning deep SQL is recursive.
const STACK: usize = 8 << 20;

/// Reads the arguments, runs the command, tells how it ended.
pub fn main() -> ExitCode {
    let matches = arguments::flowing(Arguments::command()).color(color_of_help()).try_get_matches();
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are results; the rest is wrong usage. A closed pipe is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let global = &arguments.global;
    let output = Output::new(global.color, global.quiet);
    match arguments.command {
        Command::Serve(_) => logging::start_daemon(global.verbose, global.quiet, output.messages),
        _ => logging::start(global.verbose, global.quiet, output.messages.color),
    }
    let context = Context { global: arguments.global, output };
    match on_threads(arguments.command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(output);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn on_threads(command: Command, context: &Context) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .map_err(|error| Failure::problem(format!("cannot start threads: {error}")))?;
    let ended = runtime.block_on(execute(command, context));
    // What still reads in the background has no one to read for: its threads end with the process. To shut the runtime down would detach threads that are just
    // ending, which glibc does not always survive (its bug 19951: pthread_detach reads what such a thread has freed).
    std::mem::forget(runtime);
    ended
}

async fn execute(command: Command, context: &Context) -> Result {
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Demo(args) => demo::run(&args, context).await,
        Command::Check(args) => check::run(&args, context).await,
        Command::Run(args) => run::run(&args, context).await,
        Command::Backfill(args) => backfill::run(&args, context).await,
        Command::Plan(args) => plan::run(&args, context).await,
        Command::Checks(args) => checks::run(&args, context).await,
        Command::Preview(args) => preview::run(&args, context).await,
        Command::Explain(args) => explain::run(&args, context).await,
        Command::Test(args) => test::run(&args, context).await,
        Command::Query(args) => query::run(&args, context).await,
        Command::Report(args) => report::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::Runs(args) => runs::run(&args, context),
        Command::Position(args) => position::run(&args, context).await,
        Command::DeadLetters(args) => dead_letters::run(&args, context).await,
        Command::Graph(args) => graph::run(&args, context),
        Command::Schema(args) => schema::run(&args, context).await,
        Command::Serve(args) => serve::run(&args, context).await,
        Command::Logs(args) => logs::run(&args, context),
        Command::Top(args) => top::run(&args, context).await,
        Command::Connections(args) => connections::run(&args, context).await,
        Command::Users(args) => users::run(&args, context),
        Command::Bot(args) => bot::run(&args, context).await,
    }
}

/// Colour of help and of usage errors: these come before `--color` is parsed.
fn color_of_help() -> clap::ColorChoice {
    let mut words = std::env::args().skip(1);
    let mut color = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--color") {
            Some("") => color = words.next(),
            Some(value) => color = value.strip_prefix('=').map(str::to_owned),
            None => {}
        }
    }
    let when = color.and_then(|text| <ColorWhen as clap::ValueEnum>::from_str(&text, false).ok());
    match when.unwrap_or_default() {
        ColorWhen::Auto => clap::ColorChoice::Auto,
        ColorWhen::Always => clap::ColorChoice::Always,
        ColorWhen::Never => clap::ColorChoice::Never,
    }
}
