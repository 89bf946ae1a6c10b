//! Who sits at the terminal: somebody made up of roles and attributes, or a user of the bot.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::{
    bot::{
        access,
        event::{Access, Subscribes, Viewer},
        telegram::{Setting, users::Users},
    },
    cli::{
        failure::{Failure, Result},
        users,
    },
    clock::SystemClock,
    config::{
        bot::{ADMIN, Bot},
        project::{Language, Project},
    },
    model::{problem::nearest, time::Clock},
    state::bot::users::User,
};

/// Somebody made up: an id of nobody.
const NOBODY: i64 = 1;

/// Options that say who asks.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// A user of the bot, with their roles, attributes, language and zone: a Telegram id, or @name
    #[arg(long = "as", value_name = "USER", conflicts_with_all = ["roles", "user"])]
    known: Option<String>,

    /// Roles of somebody made up; `admin` may see everything
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', default_value = ADMIN)]
    roles: Vec<String>,

    /// Attributes of somebody made up: region=mrf1, once for each value
    #[arg(long, value_name = "NAME=VALUE")]
    user: Vec<String>,
}

impl Who {
    /// The one who looks; in this language, where one is told.
    pub(super) fn viewer(&self, project: &Project, bot: &Bot, language: Option<Language>) -> Result<Viewer> {
        let mut viewer = match &self.known {
            Some(known) => of_bot(known, project, bot)?,
            None => self.made_up(project, bot)?,
        };
        viewer.language = language.unwrap_or(viewer.language);
        Ok(viewer)
    }

    fn made_up(&self, project: &Project, bot: &Bot) -> Result<Viewer> {
        for role in &self.roles {
            if !bot.roles.contains_key(role) {
                let known = nearest(role, bot.roles.keys().map(String::as_str));
                let hint = known.map_or_else(
                    || format!("there are {}", bot.roles.keys().cloned().collect::<Vec<_>>().join(", ")),
                    |known| format!("did you mean `{known}`?"),
                );
                return Err(Failure::usage(format!("there is no role `{role}`")).hint(hint));
            }
        }
        let access = Access::Member { roles: self.roles.clone(), attributes: self.attributes(bot)? };
        Ok(viewer(NOBODY, project, access))
    }

    fn attributes(&self, bot: &Bot) -> Result<IndexMap<String, Vec<String>>> {
        let mut attributes: IndexMap<String, Vec<String>> = IndexMap::new();
        for told in &self.user {
            let (name, value) = told.split_once('=').unwrap_or((told, ""));
            let Some(attribute) = bot.attributes.get(name) else {
                let known: Vec<&str> = bot.attributes.keys().map(String::as_str).collect();
                return Err(Failure::usage(format!("users have no attribute `{name}`"))
                    .hint(format!("there are {}", known.join(", "))));
            };
            if !attribute.values.is_empty() && !attribute.values.contains_key(value) {
                let known: Vec<&str> = attribute.values.keys().map(String::as_str).collect();
                return Err(Failure::usage(format!("`{name}` cannot be `{value}`"))
                    .hint(format!("there are {}", known.join(", "))));
            }
            attributes.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Ok(attributes)
    }
}

/// A user as the bot knows them at this moment: whoever is not let in sees what such a one sees.
fn of_bot(told: &str, project: &Project, bot: &Bot) -> Result<Viewer> {
    let setting = Setting::of(project).ok_or_else(|| Failure::usage("this project has no bot"))?;
    let opened = Users::open(Arc::new(setting), &project.state, Arc::new(SystemClock));
    let all = opened.and_then(|users| users.list("")).map_err(users::failure)?;
    let id = told.parse().ok().filter(|id| bot.admins.contains(id));
    let user = all.iter().find(|user| is_called(user, told));
    let Some(id) = user.map(|user| user.id).or(id) else { return Err(unknown(told, &all, bot)) };
    let access = access::of_user(bot, id, user, SystemClock.now());
    let own = user.and_then(|user| user.zone.as_deref()).and_then(|zone| zone.parse().ok());
    let code = user.and_then(|user| user.language.as_deref());
    Ok(Viewer {
        language: access::language(code, project.language),
        zone: own.unwrap_or(project.zone),
        ..viewer(id, project, access)
    })
}

fn is_called(user: &User, told: &str) -> bool {
    let name = told.strip_prefix('@').unwrap_or(told).to_lowercase();
    user.id.to_string() == told || user.username.as_ref().is_some_and(|own| own.to_lowercase() == name)
}

fn unknown(told: &str, all: &[User], bot: &Bot) -> Failure {
    let names = all.iter().filter_map(|user| user.username.as_ref()).map(|name| format!("@{name}"));
    let ids = all.iter().map(|user| user.id).chain(bot.admins.iter().copied()).map(|id| id.to_string());
    let known: Vec<String> = names.chain(ids).collect();
    let wrong = if told.parse::<i64>().is_ok() || told.starts_with('@') {
        told.to_owned()
    } else {
        format!("@{told}")
    };
    let hint = match nearest(&wrong, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`vitrina users list` shows them".to_owned(),
    };
    Failure::usage(format!("`{told}` is no user of the bot")).hint(hint)
}

fn viewer(user: i64, project: &Project, access: Access) -> Viewer {
    Viewer {
        user,
        chat: user,
        language: project.language,
        zone: project.zone,
        access,
        subscribes: Subscribes::Never,
    }
}
