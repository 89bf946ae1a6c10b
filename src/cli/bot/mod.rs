//! `bot`: the report bot, without any account.

mod chat;
mod draw;
mod fake;
mod keys;
mod pad;
mod who;

use super::{context::Context, failure::Result};

const EXAMPLES: &str = "\
Examples:
  vitrina bot chat
  vitrina bot chat --role regional --user region=mrf1";

/// Options of `bot`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Talk to the bot here: the same menus, questions and reports as in Telegram
    Chat(chat::Args),
    /// Try the bot in a browser, in a Telegram of this machine's own
    Fake(fake::Args),
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    match &args.command {
        Command::Chat(args) => chat::run(args, context).await,
        Command::Fake(args) => fake::run(args, context).await,
    }
}
