//! `serve`: the project by itself, as its schedules say.

use std::sync::Arc;

use super::{
    context::{self, Context, variable},
    failure::Result,
};
use crate::{
    clock::SystemClock,
    config,
    daemon::{self, Settings},
};

const EXAMPLES: &str = "\
Examples:
  vitrina serve
  vitrina serve --profile production
  vitrina status                                 beside it: what runs, what is due, what is blocked
  vitrina run orders                             beside it: through it, in turn with its own runs

SIGTERM or Ctrl-C: nothing more is begun, slices at hand may finish ([daemon] grace), the rest is rolled back;
once more: at once. SIGHUP, or an edited file: the project is read anew and checked whole; one with problems
is not taken over, and the old one goes on. What was due while it was down is run as `misfire` says.";

/// Options of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

/// Runs the command.
pub(super) async fn run(_: &Args, context: &Context) -> Result {
    let root = context.root()?;
    let (project, files) = context.project_and_files(&root)?;
    let lock = context::lock(&project)?;
    let held = lock.place().clone();
    let profile = context.global.profile.clone();
    let load = Box::new(move || config::load(&root, &profile, &variable));
    Ok(daemon::serve(Settings { project, files, load, held, clock: Arc::new(SystemClock) }).await?)
}
