//! The audit, as admins read it: page by page, names for ids and titles for what the file names.

use std::fmt::Write as _;

use crate::{
    bot::{
        screen::{Markup, Screen},
        telegram::{
            office::{Office, Setting},
            own::{button, screen},
            requests,
        },
        words::Words,
    },
    config::bot::Sent,
    state::{
        bot::users::{Act, Entry, User},
        error::Result,
    },
};

/// Entries of a page.
const ENTRIES: usize = 20;

/// What was done to someone, or by and to everyone, the newest first.
pub(super) fn history(office: &Office, of: Option<&User>, page: usize, words: &Words) -> Result<Screen> {
    let skip = page.saturating_mul(ENTRIES);
    let mut entries = office.records.audit(of.map(|user| user.id), skip, ENTRIES + 1)?;
    let goes_on = entries.len() > ENTRIES;
    entries.truncate(ENTRIES);
    let head = of.map_or_else(|| words.history().to_owned(), requests::called);
    let mut text = Markup::new().bold(head);
    if entries.is_empty() {
        text = text.plain(format!("\n{}", words.history_none()));
    }
    for entry in &entries {
        text = text.plain(format!("\n{}", line(office, entry, of.is_none(), words)?));
    }
    let id = of.map_or(0, |user| user.id);
    let mut turn = vec![];
    if page > 0 {
        turn.push(button(&words.page_previous(page), &format!("h:{id}:{}", page - 1)));
    }
    if goes_on {
        turn.push(button(&words.page_next(page + 2), &format!("h:{id}:{}", page + 1)));
    }
    let back = of.map_or_else(|| "l:0".to_owned(), |user| format!("u:{}", user.id));
    let mut rows = vec![vec![button(words.back(), &back)]];
    if !turn.is_empty() {
        rows.insert(0, turn);
    }
    Ok(screen(text, rows))
}

/// `22.11.2026 12:18  роль + Региональный менеджер ← Борис`; with whom it was done to, where that is not said above.
fn line(office: &Office, entry: &Entry, says_whom: bool, words: &Words) -> Result<String> {
    let setting = office.setting();
    let Act { at, actor, act, detail } = &entry.act;
    let at = at.with_timezone(&setting.zone).format("%d.%m.%Y %H:%M");
    let mut line = format!("{at}  {}", name(act, words));
    let detail = told(&setting, act, detail, words);
    if !detail.is_empty() {
        let _ = write!(line, " {detail}");
    }
    if let Some(subject) = entry.subject.filter(|subject| says_whom && subject.to_string() != *actor) {
        let _ = write!(line, " → {}", called(office, &subject.to_string(), words)?);
    }
    let _ = write!(line, " ← {}", called(office, actor, words)?);
    Ok(line)
}

/// Who did it, by name where they are known.
fn called(office: &Office, actor: &str, words: &Words) -> Result<String> {
    let Ok(id) = actor.parse::<i64>() else {
        return Ok(if actor == crate::bot::telegram::users::ACTOR { words.by_command_line() } else { actor }
            .to_owned());
    };
    Ok(office.records.user(id)?.map_or_else(|| actor.to_owned(), |user| user.name))
}

/// What an act of the audit is called; one that has no name here, as it is kept.
fn name<'a>(act: &'a str, words: &'a Words) -> &'a str {
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

/// What is kept of an act, with titles for names; what the file does not know any more, as it is kept.
fn told(setting: &Setting, act: &str, detail: &str, words: &Words) -> String {
    let role = |name: &str| {
        let title =
            setting.bot.roles.get(name).map(|role| requests::title(&role.title, name, words.language()));
        title.unwrap_or_else(|| name.to_owned())
    };
    let roles = |names: &str| names.split(", ").map(role).collect::<Vec<_>>().join(", ");
    match act {
        "role" => match detail.char_indices().nth(1) {
            Some((at, _)) => format!("{} {}", &detail[..at], role(&detail[at..])),
            None => detail.to_owned(),
        },
        "grant" | "revoke" => roles(detail),
        "import" => match detail.split_once(": ") {
            Some((standing, names)) => format!("{standing}: {}", roles(names)),
            None => detail.to_owned(),
        },
        "attribute" => attribute(setting, detail, words),
        "expiry" => match chrono::DateTime::parse_from_rfc3339(detail) {
            Ok(at) => words.until(at.with_timezone(&setting.zone).format("%d.%m.%Y %H:%M")),
            Err(_) => words.no_expiry().to_owned(),
        },
        "zone" if detail == super::PROJECTS_ZONE => words.zone_of_project().to_owned(),
        "subscribe" | "pause" | "resume" | "unsubscribe" | "stop" | "cancel" => {
            let (what, rest) =
                detail.split_once(" (").map_or((detail, ""), |(what, _)| (what, &detail[what.len()..]));
            let title = setting.title(&Sent::read(what), words.language());
            format!("{}{rest}", title.as_deref().unwrap_or(what))
        }
        _ => detail.to_owned(),
    }
}

/// `Регион + Волга`, of `region + mrf3`.
fn attribute(setting: &Setting, detail: &str, words: &Words) -> String {
    let mut parts = detail.splitn(3, ' ');
    let (Some(name), Some(sign), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return detail.to_owned();
    };
    let Some(attribute) = setting.bot.attributes.get(name) else { return detail.to_owned() };
    let title = requests::title(&attribute.title, name, words.language());
    format!("{title} {sign} {}", attribute.values.get(value).map_or(value, String::as_str))
}
