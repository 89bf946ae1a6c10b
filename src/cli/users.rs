//! `users`: who may use the bot. What is changed here holds at once, also in a daemon that runs.

use std::{path::PathBuf, sync::Arc};

use chrono::NaiveDate;
use serde_json::json;

use super::{
    Format,
    context::Context,
    failure::{Exit, Failure, Result},
    output,
    table::Table,
};
use crate::{
    bot::{
        telegram::{BotError, Setting, users::Users},
        users_csv,
    },
    clock::SystemClock,
    config::{bot::Bot, project::Project},
    model::{problem::nearest, time::day_start},
    state::bot::users::User,
};

const EXAMPLES: &str = "\
Examples:
  vitrina users list
  vitrina users grant 123456789 regional --attribute region=mrf1,mrf2 --until 2026-12-31
  vitrina users revoke 123456789
  vitrina users export -o users.csv
  vitrina users import users.csv";

/// Options of `users`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show users: all, or those whose name, id or role fits
    List {
        /// A part of the name, a Telegram id, a role
        #[arg(value_name = "TEXT", default_value = "")]
        search: String,
        /// How they are told
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make users what a CSV file says, as `export` writes it; users it does not name stay as they are
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write users as CSV
    Export {
        /// Where; stdout unless told
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Give roles; who has one is in
    Grant {
        /// Telegram id
        #[arg(value_name = "ID", allow_negative_numbers = true)]
        id: i64,
        /// Roles of bot.toml, or admin
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// An attribute and its values: region=mrf1,mrf2
        #[arg(long, value_name = "NAME=VALUE,…", value_parser = attribute)]
        attribute: Vec<(String, Vec<String>)>,
        /// The last day on which they are in
        #[arg(long, value_name = "DATE")]
        until: Option<NaiveDate>,
        /// Whose clock they live by: Asia/Omsk
        #[arg(long, value_name = "ZONE")]
        zone: Option<chrono_tz::Tz>,
    },
    /// Take roles away; all of them, and the access, where none is named
    Revoke {
        /// Telegram id
        #[arg(value_name = "ID")]
        id: i64,
        /// Roles
        #[arg(value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// Shut someone out for good
    Block {
        /// Telegram id
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Show what was done to someone, or to everyone, and by whom: the newest first
    History {
        /// Telegram id; everyone's, unless told
        #[arg(value_name = "ID")]
        id: Option<i64>,
        /// How many acts at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
}

fn attribute(text: &str) -> std::result::Result<(String, Vec<String>), String> {
    let (name, values) = text.split_once('=').ok_or("expected NAME=VALUE,VALUE")?;
    Ok((name.to_owned(), values.split(',').filter(|value| !value.is_empty()).map(str::to_owned).collect()))
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let setting = Setting::of(&project).ok_or_else(|| {
        Failure::usage("the project has no bot.toml").hint("users are of the bot: see docs/bot-telegram.md")
    })?;
    let bot = setting.bot.clone();
    let setting = Arc::new(setting);
    let users = Users::open(setting, &project.state, Arc::new(SystemClock)).map_err(failure)?;
    match &args.command {
        Command::List { search, format } => list(&users.list(search).map_err(failure)?, *format, context),
        Command::Export { out } => export(&users.export().map_err(failure)?, out.as_deref()),
        Command::Import { file } => import(&users, &bot, file, context),
        Command::Grant { id, roles, attribute, until, zone } => {
            roles.iter().try_for_each(|role| known_role(&bot, role))?;
            attribute.iter().try_for_each(|(name, values)| known_values(&bot, name, values))?;
            let changed = users.grant(*id, roles, |user| {
                user.attributes.extend(attribute.iter().cloned());
                if let Some(until) = until {
                    user.expires = until.succ_opt().map(|day| day_start(project.zone, day));
                }
                if let Some(zone) = zone {
                    user.zone = Some(zone.name().to_owned());
                }
            });
            told(&changed.map_err(failure)?, &project, context)
        }
        Command::Revoke { id, roles } => {
            roles.iter().try_for_each(|role| known_role(&bot, role))?;
            if !users.knows(*id).map_err(failure)? {
                return Err(Failure::usage(format!("nobody has the id {id}"))
                    .hint("see who is known with `vitrina users list`"));
            }
            told(&users.revoke(*id, roles).map_err(failure)?, &project, context)
        }
        Command::Block { id } => told(&users.block(*id).map_err(failure)?, &project, context),
        Command::History { id, limit } => history(&users, *id, *limit as usize, &project, context),
    }
}

fn list(users: &[User], format: Format, context: &Context) -> Result {
    if format == Format::Json {
        return output::print(&format!("{:#}", json!(users)));
    }
    if users.is_empty() {
        context.output.say("nobody has written to the bot yet");
        return Ok(());
    }
    let mut table = Table::new(["id", "name", "username", "standing", "roles", "attributes", "until"]);
    for user in users {
        let attributes: Vec<String> =
            user.attributes.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
        table.row([
            user.id.to_string().into(),
            user.name.as_str().into(),
            user.username.as_deref().unwrap_or_default().into(),
            user.standing.as_str().into(),
            user.roles.join(", ").into(),
            attributes.join(" ").into(),
            user.expires.map(|at| at.to_rfc3339()).unwrap_or_default().into(),
        ]);
    }
    table.print(context.output)
}

fn export(users: &[User], out: Option<&std::path::Path>) -> Result {
    let text = users_csv::write(users);
    match out {
        Some(path) => std::fs::write(path, text).map_err(|error| Failure::file("cannot write", path, &error)),
        None => output::print(text.trim_end()),
    }
}

/// All or nothing: a file with a mistake changes nobody.
fn import(users: &Users, bot: &Bot, file: &std::path::Path, context: &Context) -> Result {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("cannot read", file, &error))?;
    let listed =
        users_csv::read(&text).map_err(|what| Failure::problem(format!("{}: {what}", file.display())))?;
    for one in &listed {
        one.roles.iter().try_for_each(|role| known_role(bot, role))?;
        one.attributes.iter().try_for_each(|(name, values)| known_values(bot, name, values))?;
    }
    for one in &listed {
        users.import(one).map_err(failure)?;
    }
    context.output.say(&format!("{} as the file says", output::counted(listed.len() as u64, "user")));
    Ok(())
}

fn history(users: &Users, id: Option<i64>, limit: usize, project: &Project, context: &Context) -> Result {
    let mut entries = users.history(id, limit.saturating_add(1)).map_err(failure)?;
    let goes_on = entries.len() > limit;
    entries.truncate(limit);
    if entries.is_empty() && !goes_on {
        context.output.say("nothing was done yet");
        return Ok(());
    }
    let mut table = Table::new(["when", "who", "what", "to whom", "detail"]);
    for entry in entries {
        let at = entry.act.at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string();
        let whom = entry.subject.map(|id| id.to_string()).unwrap_or_default();
        let act = entry.act;
        table.row([at.into(), act.actor.into(), act.act.into(), whom.into(), act.detail.into()]);
    }
    table.print(context.output)?;
    if goes_on {
        context.output.say(&format!("older acts are left out: --limit shows more than {limit}"));
    }
    Ok(())
}

fn told(user: &User, project: &Project, context: &Context) -> Result {
    let until =
        user.expires.map(|at| format!(" until {}", at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M")));
    let roles = if user.roles.is_empty() { "no roles".to_owned() } else { user.roles.join(", ") };
    let standing = user.standing.as_str();
    context.output.say(&format!(
        "{} ({}): {standing}, {roles}{}",
        user.name,
        user.id,
        until.unwrap_or_default()
    ));
    Ok(())
}

fn known_role(bot: &Bot, role: &str) -> Result {
    if bot.roles.contains_key(role) {
        return Ok(());
    }
    let failure = Failure::usage(format!("there is no role `{role}` in bot.toml"));
    Err(match nearest(role, bot.roles.keys().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure,
    })
}

fn known_values(bot: &Bot, name: &str, values: &[String]) -> Result {
    let Some(attribute) = bot.attributes.get(name) else {
        return Err(Failure::usage(format!("there is no attribute `{name}` in bot.toml: [user.{name}]")));
    };
    let unknown =
        values.iter().find(|value| !attribute.values.is_empty() && !attribute.values.contains_key(*value));
    match unknown {
        Some(unknown) => Err(Failure::usage(format!("`{unknown}` is no value of the attribute `{name}`"))),
        None if values.len() > 1 && !attribute.many => Err(Failure::usage(format!(
            "the attribute `{name}` has one value: `many` is not set in [user.{name}]"
        ))),
        None => Ok(()),
    }
}

pub(super) fn failure(error: BotError) -> Failure {
    match error {
        BotError::State(error) => error.into(),
        error => Failure { exit: Exit::World, ..Failure::problem(error.to_string()) },
    }
}
