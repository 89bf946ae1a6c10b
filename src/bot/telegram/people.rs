//! `/users`, for admins: who is in, with which rights; change, history, export.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

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
            users::{Act, Standing, User, UserFilter},
        },
        error::Result,
    },
};

/// Users on a page.
const PAGE: usize = 8;
/// Entries of the audit on a screen.
const ENTRIES: usize = 20;
/// Bytes of a search that a button carries to the next page.
const SEARCH: usize = 24;
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
    let mut rows: Vec<Vec<Button>> = found.iter().take(PAGE).map(|user| vec![line(user)]).collect();
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
    rows.push(vec![button(words.export(), "x")]);
    Ok(Reply::of(screen(text, rows)))
}

/// What a button of an admin does.
pub(super) fn pressed(office: &Office, viewer: &Viewer, verb: &str, id: i64, rest: &str) -> Result<Pressed> {
    let words = &office.words(viewer.language);
    match verb {
        "l" => return list(office, words, rest, id.max(0) as usize).map(|reply| (Some(reply), None)),
        "x" => return export(office, viewer, words).map(|reply| (Some(reply), None)),
        _ => {}
    }
    let Some(user) = office.records.user(id)? else {
        return Ok((None, Some(words.gone().to_owned())));
    };
    match verb {
        "u" => Ok((Some(Reply::of(card(office, &user, words))), None)),
        "h" => Ok((Some(Reply::of(history(office, &user, words)?)), None)),
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
            Self::Zone(zone) => ("zone", zone.unwrap_or("the project's").to_owned()),
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

/// Someone, and what may be done about them.
fn card(office: &Office, user: &User, words: &Words) -> Screen {
    let setting = office.setting();
    let mut text =
        Markup::new().bold(requests::called(user)).plain(format!("\n{}", standing(user.standing, words)));
    if let Some(expires) = user.expires {
        let until = expires.with_timezone(&setting.zone).format("%d.%m.%Y %H:%M");
        text = text.plain(format!(", {}", words.until(until)));
    }
    if let Some(zone) = &user.zone {
        text = text.plain(format!("\n🕐 {zone}"));
    }
    if let Some(reason) = &user.reason {
        text = text.plain(format!("\n{}", words.reason(reason)));
    }
    for (name, values) in &user.attributes {
        if let Some(attribute) = setting.bot.attributes.get(name) {
            let titles: Vec<&str> = values
                .iter()
                .map(|value| attribute.values.get(value).map_or(value.as_str(), String::as_str))
                .collect();
            let title = requests::title(&attribute.title, name, words.language());
            text = text.plain(format!("\n{title}: {}", titles.join(", ")));
        }
    }
    let id = user.id;
    if user.standing == Standing::Waiting {
        return screen(text, requests::decide(office, user, words));
    }
    let mut rows = requests::roles(office, user, words.language());
    let attributes = setting.bot.attributes.iter().filter(|(_, attribute)| !attribute.values.is_empty());
    let attributes = attributes.map(|(name, attribute)| {
        button(
            &requests::title(&attribute.title, name, words.language()),
            &format!("t:{id}:{}", own::tag(name)),
        )
    });
    rows.extend(attributes.collect::<Vec<_>>().chunks(2).map(<[Button]>::to_vec));
    rows.push(EXPIRIES.iter().map(|days| button(&length(*days, words), &format!("e:{id}:{days}"))).collect());
    rows.push(vec![button(words.zone(), &format!("z:{id}"))]);
    rows.push(match user.standing {
        Standing::Member => {
            vec![button(words.revoke(), &format!("n:{id}")), button(words.block(), &format!("b:{id}"))]
        }
        Standing::Blocked => vec![button(words.unblock(), &format!("n:{id}"))],
        _ => vec![button(words.approve(), &format!("a:{id}")), button(words.block(), &format!("b:{id}"))],
    });
    rows.push(vec![button(words.history(), &format!("h:{id}")), button(words.back(), "l:0")]);
    screen(text, rows)
}

/// The values of one attribute, to tick; `None` = the file does not know it any more.
fn attribute(office: &Office, user: &User, tag: &str, words: &Words) -> Option<Screen> {
    let setting = office.setting();
    let (name, attribute) = setting.bot.attributes.iter().find(|(name, _)| own::tag(name) == tag)?;
    let given = user.attributes.get(name);
    let buttons: Vec<Button> = attribute
        .values
        .iter()
        .map(|(value, title)| {
            let ticked = given.is_some_and(|given| given.contains(value));
            let tick = if ticked { "☑" } else { "☐" };
            let what = own::turned(ticked, &format!("{tag}:{}", own::tag(value)));
            button(&format!("{tick} {title}"), &format!("v:{}:{what}", user.id))
        })
        .collect();
    let mut rows: Vec<Vec<Button>> = buttons.chunks(2).map(<[Button]>::to_vec).collect();
    rows.push(vec![button(words.back(), &format!("u:{}", user.id))]);
    let text = Markup::new().bold(requests::called(user));
    let text = text.plain(format!("\n{}", requests::title(&attribute.title, name, words.language())));
    Some(screen(text, rows))
}

/// Whose clock someone lives by, to choose.
fn zones(user: &User, words: &Words) -> Screen {
    let id = user.id;
    let marked = |label: &str, is: bool| if is { format!("● {label}") } else { label.to_owned() };
    let projects = marked(words.zone_of_project(), user.zone.is_none());
    let mut rows = vec![vec![button(&projects, &format!("w:{id}:"))]];
    let zones = ZONES
        .map(|zone| button(&marked(zone, user.zone.as_deref() == Some(zone)), &format!("w:{id}:{zone}")));
    rows.extend(zones.chunks(2).map(<[Button]>::to_vec));
    rows.push(vec![button(words.back(), &format!("u:{id}"))]);
    screen(Markup::new().bold(requests::called(user)).plain(format!("\n{}", words.zone())), rows)
}

fn history(office: &Office, user: &User, words: &Words) -> Result<Screen> {
    let zone = office.setting().zone;
    let mut text = Markup::new().bold(requests::called(user));
    let entries = office.records.audit(Some(user.id), ENTRIES)?;
    if entries.is_empty() {
        text = text.plain(format!("\n{}", words.history_none()));
    }
    for entry in entries {
        let at = entry.act.at.with_timezone(&zone).format("%d.%m.%Y %H:%M");
        let Act { act, detail, actor, .. } = &entry.act;
        text = text.plain(format!("\n{at}  {} {detail} ← {actor}", act_name(act, words)));
    }
    Ok(screen(text, vec![vec![button(words.back(), &format!("u:{}", user.id))]]))
}

/// What an act of the audit is called; one that has no name here, as it is kept.
fn act_name<'a>(act: &'a str, words: &'a Words) -> &'a str {
    match act {
        "request" => words.act_request(),
        "approve" => words.act_approve(),
        "deny" => words.act_deny(),
        "block" => words.act_block(),
        "revoke" => words.act_revoke(),
        "grant" => words.act_grant(),
        "role" => words.act_role(),
        "attribute" => words.act_attribute(),
        "expiry" => words.act_expiry(),
        "zone" => words.act_zone(),
        "import" => words.act_import(),
        "export" => words.act_export(),
        "subscribe" => words.act_subscribe(),
        "pause" => words.act_pause(),
        "resume" => words.act_resume(),
        "unsubscribe" => words.act_unsubscribe(),
        "stop" => words.act_stop(),
        "cancel" => words.act_cancel(),
        other => other,
    }
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

fn line(user: &User) -> Button {
    let mark = match user.standing {
        Standing::Seen | Standing::Denied => "·",
        Standing::Waiting => "❓",
        Standing::Member => "✅",
        Standing::Blocked => "⛔",
    };
    button(&format!("{mark} {}", user.name), &format!("u:{}", user.id))
}

fn standing(standing: Standing, words: &Words) -> &str {
    match standing {
        Standing::Seen => words.is_seen(),
        Standing::Waiting => words.is_waiting(),
        Standing::Member => words.is_member(),
        Standing::Denied => words.is_denied(),
        Standing::Blocked => words.is_blocked(),
    }
}

fn length(days: i64, words: &Words) -> String {
    if days == 0 { words.no_expiry().to_owned() } else { words.expiry_days(days) }
}
