//! `/users`, for admins: who is in, with which rights; change, history, export.

mod card;
mod history;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use card::{attribute, card, is_of_file, zones};
use history::history;

use super::{
    office::Office,
    own::{self, Pressed, Reply, button, screen},
    requests,
};
use crate::{
    bot::{
        event::Viewer,
        screen::{Block, Button, File, Markup, Screen},
        words::Words,
    },
    config::bot::Bot,
    state::{
        bot::{
            dialogs::Also,
            users::{Standing, User, UserFilter},
        },
        error::Result,
    },
};

/// Users on a page.
const PAGE: usize = 8;
/// Bytes of a search that a button carries to the next page: beside the page's number, as many as a button has.
const SEARCH: usize = 44;
/// What the audit says of someone who lives by the project's clock.
const PROJECTS_ZONE: &str = "the project's";
/// Lengths of access, in days; 0 = no end.
const EXPIRIES: [i64; 4] = [0, 7, 30, 90];

/// Zones that are offered, from west to east; the command line takes any.
const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Krasnoyarsk",
    "Asia/Irkutsk",
    "Asia/Yakutsk",
    "Asia/Vladivostok",
    "Asia/Magadan",
    "Asia/Kamchatka",
];

/// A page of users.
pub(super) fn list(office: &Office, words: &Words, search: &str, page: usize) -> Result<Reply> {
    let filter = UserFilter { search: search.to_owned(), standing: None };
    let found = office.records.users(&filter, page.saturating_mul(PAGE), PAGE + 1)?;
    let mut text = Markup::new().bold(words.users());
    if found.is_empty() {
        text = text.plain(format!("\n{}", words.users_none()));
    }
    let mut rows: Vec<Vec<Button>> = found.iter().take(PAGE).map(|user| vec![line(office, user)]).collect();
    let mut short = search.to_owned();
    while short.len() > SEARCH {
        short.pop();
    }
    let mut turn = vec![];
    if page > 0 {
        turn.push(button("◂", &format!("l:{}:{short}", page - 1)));
    }
    if found.len() > PAGE {
        turn.push(button("▸", &format!("l:{}:{short}", page + 1)));
    }
    rows.extend((!turn.is_empty()).then_some(turn));
    rows.push(vec![button(words.export(), "x"), button(words.history(), "h:0")]);
    Ok(Reply::of(screen(text, rows)))
}

/// What a button of an admin does.
pub(super) fn pressed(office: &Office, viewer: &Viewer, verb: &str, id: i64, rest: &str) -> Result<Pressed> {
    let words = &office.words(viewer.language);
    match verb {
        "l" => return list(office, words, rest, id.max(0) as usize).map(|reply| (Some(reply), None)),
        "x" => return export(office, viewer, words).map(|reply| (Some(reply), None)),
        "h" if id == 0 => return Ok((Some(Reply::of(history(office, None, page(rest), words)?)), None)),
        _ => {}
    }
    let Some(user) = office.records.user(id)? else {
        return Ok((None, Some(words.gone().to_owned())));
    };
    match verb {
        "u" => Ok((Some(Reply::of(card(office, &user, words))), None)),
        "h" => Ok((Some(Reply::of(history(office, Some(&user), page(rest), words)?)), None)),
        "t" => Ok((attribute(office, &user, rest, words).map(Reply::of), None)),
        "z" => Ok((Some(Reply::of(zones(&user, words))), None)),
        // Another admin was quicker.
        "a" | "d" if is_decided(verb, user.standing) => {
            Ok((Some(Reply::of(card(office, &user, words))), Some(words.decided().to_owned())))
        }
        "a" if user.roles.is_empty() => Ok((None, Some(words.role_first().to_owned()))),
        _ => match change(&office.setting().bot, verb, rest, office.now()) {
            Some(change) => changed(office, viewer, &user, &change).map(|reply| (Some(reply), None)),
            None => Ok((None, Some(words.gone().to_owned()))),
        },
    }
}

/// Whether a request stands no more, as an admin who has it still on their screen may not know.
fn is_decided(verb: &str, standing: Standing) -> bool {
    match standing {
        Standing::Waiting => false,
        Standing::Member => true,
        // From the card of someone who is out, an admin lets them in; a request that is left of theirs can no longer be denied.
        Standing::Seen | Standing::Denied | Standing::Blocked => verb == "d",
    }
}

/// What an admin changes.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Approve,
    Deny,
    Block,
    /// Out, or no longer blocked.
    Revoke,
    /// Given, or taken away.
    Role(bool, String),
    Value(bool, String, String),
    Expire(Option<DateTime<Utc>>),
    /// `None` = the project's.
    Zone(Option<&'static str>),
}

fn change(bot: &Bot, verb: &str, rest: &str, now: DateTime<Utc>) -> Option<Change> {
    Some(match verb {
        "a" => Change::Approve,
        "d" => Change::Deny,
        "b" => Change::Block,
        "n" => Change::Revoke,
        "r" => {
            let (given, role) = own::read_turned(rest)?;
            Change::Role(given, bot.roles.keys().find(|name| own::tag(name) == role)?.clone())
        }
        "v" => {
            let (given, rest) = own::read_turned(rest)?;
            let (name, value) = rest.split_once(':')?;
            let (name, attribute) = bot.attributes.iter().find(|(known, _)| own::tag(known) == name)?;
            let value = attribute.values.keys().find(|known| own::tag(known) == value)?;
            Change::Value(given, name.clone(), value.clone())
        }
        "e" => {
            let days = rest.parse::<i64>().ok().filter(|days| EXPIRIES.contains(days))?;
            Change::Expire((days > 0).then(|| now + TimeDelta::days(days)))
        }
        "w" if rest.is_empty() => Change::Zone(None),
        "w" => Change::Zone(Some(*ZONES.iter().find(|zone| **zone == rest)?)),
        _ => return None,
    })
}

impl Change {
    /// What the audit calls it, and more of it.
    fn told(&self) -> (&'static str, String) {
        match self {
            Self::Approve => ("approve", String::new()),
            Self::Deny => ("deny", String::new()),
            Self::Block => ("block", String::new()),
            Self::Revoke => ("revoke", String::new()),
            Self::Role(given, role) => ("role", format!("{}{role}", sign(*given))),
            Self::Value(given, name, value) => ("attribute", format!("{name} {} {value}", sign(*given))),
            Self::Expire(None) => ("expiry", "none".to_owned()),
            Self::Expire(Some(at)) => ("expiry", at.to_rfc3339()),
            Self::Zone(zone) => ("zone", zone.unwrap_or(PROJECTS_ZONE).to_owned()),
        }
    }

    fn apply(&self, bot: &Bot, user: &mut User) {
        match self.clone() {
            Self::Approve => user.standing = Standing::Member,
            Self::Deny => {
                user.standing = Standing::Denied;
                // Roles that were ticked are not to come back with what they are given later.
                user.roles.clear();
            }
            Self::Block => user.standing = Standing::Blocked,
            Self::Revoke => {
                user.standing = Standing::Seen;
                user.roles.clear();
            }
            Self::Role(given, role) => turn(&mut user.roles, role, given),
            Self::Value(given, name, value) => {
                let many = bot.attributes.get(&name).is_some_and(|attribute| attribute.many);
                let values = user.attributes.entry(name).or_default();
                if !many && given {
                    values.clear();
                }
                turn(values, value, given);
            }
            Self::Expire(at) => user.expires = at,
            Self::Zone(zone) => user.zone = zone.map(str::to_owned),
        }
    }
}

fn sign(given: bool) -> char {
    if given { '+' } else { '−' }
}

/// Puts a value among others, once, or takes it away.
fn turn(values: &mut Vec<String>, value: String, given: bool) {
    values.retain(|known| *known != value);
    if given {
        values.push(value);
    }
}

/// Changes someone; the admin sees the card, they hear of what they may see now.
fn changed(office: &Office, viewer: &Viewer, user: &User, change: &Change) -> Result<Reply> {
    let setting = office.setting();
    let (act, detail) = change.told();
    let values = match change {
        Change::Value(_, name, _) => Some(own::tag(name)),
        _ => None,
    };
    let act = office.act(viewer.user, act, detail);
    let change = change.clone();
    let decided = requests::change(office, user.id, act, move |user| change.apply(&setting.bot, user))?;
    let user = &decided.user;
    let words = &office.words(viewer.language);
    let attribute = values.and_then(|tag| attribute(office, user, &tag, words));
    let screen = attribute.unwrap_or_else(|| card(office, user, words));
    Ok(Reply { besides: decided.told, deed: Some(decided.deed), ..Reply::of(screen) })
}

/// Every user as a CSV file.
fn export(office: &Office, viewer: &Viewer, words: &Words) -> Result<Reply> {
    let users = office.records.users(&UserFilter::default(), 0, usize::MAX)?;
    let csv = crate::bot::users_csv::write(&users);
    let blocks = match office.files.keep_bytes(csv.as_bytes()) {
        Ok(key) => {
            let path = Arc::new(office.files.path(&key));
            vec![Block::File(File { name: "users.csv".to_owned(), path })]
        }
        Err(error) => {
            tracing::error!("the table of users cannot be written: {error}");
            vec![Block::Text(Markup::text(words.crashed()))]
        }
    };
    let act = office.act(viewer.user, "export", users.len().to_string());
    let also = vec![Also::Note(None, act)];
    Ok(Reply { also, ..Reply::of(Screen { blocks, rows: vec![] }) })
}

fn page(rest: &str) -> usize {
    rest.parse().unwrap_or(0)
}

fn line(office: &Office, user: &User) -> Button {
    let mark = match user.standing {
        _ if is_of_file(office, user) => "⭐",
        Standing::Member if user.expires.is_some_and(|expires| expires <= office.now()) => "⌛",
        Standing::Seen | Standing::Denied => "·",
        Standing::Waiting => "❓",
        Standing::Member => "✅",
        Standing::Blocked => "⛔",
    };
    button(&format!("{mark} {}", user.name), &format!("u:{}", user.id))
}
