//! `bot fake`: the bot in a Telegram of our own, to be tried in a browser without any account.

use std::sync::Arc;

use crate::{
    bot::{
        fake::{Fake, TOKEN},
        telegram::{self, Parts},
    },
    cli::{
        context::Context,
        failure::{Exit, Failure, Result},
        interrupt, output, runner,
    },
    clock::SystemClock,
    model::time::Clock,
};

const EXAMPLES: &str = "\
Examples:
  vitrina bot fake
  vitrina bot fake --port 8081 --user 7=Анна --user 8=Иван --group=-100500=Продажи";

/// Who is the admin where the file names none.
const SOMEONE: i64 = 1;

/// Numbers of updates and messages rise from one start to the next, as Telegram's do: they begin with the time, in tenths of a second (in milliseconds) since 2026 began (in
/// milliseconds since 1970). Two starts within a second have others, and there are enough until 2032.
const NUMBER_EVERY: i64 = 100;
const NUMBERED_FROM: i64 = 1_767_225_600_000;

/// Options of `bot fake`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Port on this machine; any free one unless told
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,

    /// Someone besides the admins of bot.toml: a Telegram id and a name
    #[arg(long, value_name = "ID=NAME", value_parser = person)]
    user: Vec<(i64, String)>,

    /// A group besides those of bot.toml: a negative Telegram id and a title
    #[arg(long, value_name = "ID=TITLE", value_parser = person, allow_hyphen_values = true)]
    group: Vec<(i64, String)>,
}

fn person(text: &str) -> std::result::Result<(i64, String), String> {
    let (id, name) = text.split_once('=').ok_or("expected ID=NAME")?;
    Ok((id.parse().map_err(|_| "expected a whole number before `=`")?, name.to_owned()))
}

/// Runs the command, until Ctrl-C.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let mut project = (*context.project()?).clone();
    let bot = project.bot.as_mut().ok_or_else(|| {
        Failure::usage("the project has no bot.toml").hint("the bot is described there: see docs/bot.md")
    })?;
    if bot.admins.is_empty() {
        bot.admins.push(SOMEONE);
    }
    let bot = bot.clone();
    let project = Arc::new(project);
    let fake = Fake::start(args.port, TOKEN).await.map_err(|error| Failure {
        exit: Exit::World,
        ..Failure::problem(format!("cannot listen: {error}"))
    })?;
    fake.number_from((SystemClock.now().timestamp_millis() - NUMBERED_FROM) / NUMBER_EVERY);
    let language = if project.language == crate::config::project::Language::Ru { "ru" } else { "en" };
    for admin in &bot.admins {
        fake.user(*admin, &format!("Admin {admin}"), language);
    }
    args.user.iter().for_each(|(id, name)| fake.user(*id, name, language));
    args.group.iter().for_each(|(id, title)| fake.group(*id, title));
    for (name, chat) in &bot.chats {
        if let Some(id) = chat.id {
            fake.group(id, name);
        }
    }
    output::print(&fake.url())?;
    context.output.say("open it in a browser and write /start; Ctrl-C ends it");
    let runtime = runner::open(&project)?;
    let parts = Parts::of_project(Arc::new(move || Arc::clone(&runtime)), TOKEN.to_owned());
    // A folder of its own: what is tried here changes no user and no subscription of the bot that serves people.
    let state = project.state.join("fake");
    let parts = parts.map(|parts| Parts { state, api_url: Some(fake.url()), webhook: None, ..parts });
    let Some(parts) = parts else { return Ok(()) };
    telegram::run(parts, interrupt::listen())
        .await
        .map_err(|error| Failure { exit: Exit::World, ..Failure::problem(error.to_string()) })
}
