//! `/subscriptions`: someone's own ones; pause, resume, remove, send now; and workbooks of marts, which no report is needed for.

use tokio::sync::mpsc;

use super::{
    office::Office,
    own::{Pressed, Reply, button, screen, tag},
};
use crate::{
    bot::{
        access, due,
        event::{Viewer, What, With},
        screen::Markup,
        subscribe,
    },
    config::bot::Sent,
    state::{
        bot::{
            dialogs::Also,
            subscriptions::{Subscription, SubscriptionState},
        },
        error::Result,
    },
};

/// Why a subscription was stopped, as it is kept: its owner lost the role. Whatever else stands there is why its chat could not be written to.
pub(super) const NO_ROLE: &str = "no role";

/// The same: what it sent is no longer in the files.
pub(super) const NO_REPORT: &str = "no report";

/// Someone's subscriptions.
pub(super) fn list(office: &Office, viewer: &Viewer) -> Result<Reply> {
    Ok(listed(office, viewer, &office.records.subscriptions(Some(viewer.user))?))
}

fn listed(office: &Office, viewer: &Viewer, own: &[Subscription]) -> Reply {
    let words = office.words(viewer.language);
    let mut text = Markup::new().bold(words.subscriptions());
    if own.is_empty() {
        text = text.plain(format!("\n{}", words.subscriptions_none(words.subscribe())));
    }
    let rows = own.iter().map(|one| {
        let mark = match one.state {
            SubscriptionState::On => "🔔",
            SubscriptionState::Paused => "⏸",
            SubscriptionState::Stopped => "⛔",
        };
        vec![button(&format!("{mark} {}", title(office, viewer, one)), &format!("so:{}", one.id))]
    });
    let mut rows: Vec<_> = rows.collect();
    if !workbooks(office, viewer).is_empty() {
        rows.push(vec![button(words.add_workbook(), "sw:0")]);
    }
    Reply::of(screen(text, rows))
}

/// The workbooks that a viewer may have, by the names of their marts.
fn workbooks(office: &Office, viewer: &Viewer) -> Vec<String> {
    let setting = office.setting();
    let all = setting.workbooks.keys();
    let may =
        |mart: &&String| access::may_have(&setting.bot, &viewer.access, &Sent::Workbook((*mart).clone()));
    all.filter(may).cloned().collect()
}

/// The workbooks, to choose one of.
fn which_workbook(office: &Office, viewer: &Viewer) -> Reply {
    let (words, setting) = (office.words(viewer.language), office.setting());
    let title =
        |mart: &String| setting.title(&Sent::Workbook(mart.clone()), viewer.language).unwrap_or_default();
    let may = workbooks(office, viewer);
    let rows = may.iter().map(|mart| vec![button(&title(mart), &format!("st:0:{}", tag(mart)))]);
    let rows = rows.chain([vec![button(words.back(), "sl:0")]]).collect();
    Reply::of(screen(Markup::new().bold(words.which_workbook()), rows))
}

/// The workbook that a button chooses: when it shall be sent is the dialog's to ask.
pub(super) fn chosen(office: &Office, viewer: &Viewer, data: &str) -> Option<What> {
    let chosen = data.strip_prefix("st:0:")?;
    let mart = workbooks(office, viewer).into_iter().find(|mart| tag(mart) == chosen)?;
    let title = office.setting().title(&Sent::Workbook(mart.clone()), viewer.language)?;
    Some(What::Workbook { mart, title })
}

/// What one of these buttons does; `None` = it is none of them. Only its owner may press it.
pub(super) fn pressed(
    office: &Office,
    fire: &mpsc::Sender<i64>,
    viewer: &Viewer,
    verb: &str,
    id: i64,
) -> Result<Option<Pressed>> {
    let words = office.words(viewer.language);
    match verb {
        "sl" => return list(office, viewer).map(|reply| Some((Some(reply), None))),
        "sw" => return Ok(Some((Some(which_workbook(office, viewer)), None))),
        "st" => return Ok(Some((None, Some(words.gone().to_owned())))),
        _ => {}
    }
    if !matches!(verb, "so" | "sp" | "sr" | "sk" | "sn") {
        return Ok(None);
    }
    let own = office.records.subscription(id)?.filter(|one| one.owner == Some(viewer.user));
    let Some(one) = own else {
        return Ok(Some((None, Some(words.gone().to_owned()))));
    };
    let state = match verb {
        "sp" => Some(SubscriptionState::Paused),
        "sr" => Some(SubscriptionState::On),
        _ => None,
    };
    if let Some(state) = state {
        let may = access::may_have(&office.setting().bot, &viewer.access, &Sent::read(&one.report));
        if !may {
            return Ok(Some((None, Some(words.stopped_role().to_owned()))));
        }
        let act = if state == SubscriptionState::On { "resume" } else { "pause" };
        let also = vec![Also::Turn { id, state, why: None }, noted(office, viewer, act, &one)];
        let one = Subscription { state, why: None, ..one };
        return Ok(Some((Some(Reply { also, ..card(office, viewer, &one) }), None)));
    }
    match verb {
        "sk" => {
            let left = office.records.subscriptions(Some(viewer.user))?;
            let left: Vec<Subscription> = left.into_iter().filter(|one| one.id != id).collect();
            let also = vec![Also::Unsubscribe(id), noted(office, viewer, "unsubscribe", &one)];
            let reply = Reply { also, ..listed(office, viewer, &left) };
            Ok(Some((Some(reply), None)))
        }
        "sn" => {
            // Whoever fires them lives as long as the desk.
            let said = if fire.try_send(id).is_ok() { words.sending() } else { words.busy() };
            Ok(Some((None, Some(said.to_owned()))))
        }
        _ => Ok(Some((Some(card(office, viewer, &one)), None))),
    }
}

fn card(office: &Office, viewer: &Viewer, one: &Subscription) -> Reply {
    let (words, id) = (office.words(viewer.language), one.id);
    let mut text = Markup::new().bold(title(office, viewer, one));
    match one.state {
        SubscriptionState::On => {
            let timing = due::timing(&one.cron, &one.zone);
            let next = timing.and_then(|timing| crate::schedule::next(&timing, office.now()));
            let next = next.map(|at| at.with_timezone(&viewer.zone).format("%d.%m.%Y %H:%M").to_string());
            text = text.plain(format!("\n→ {}", next.unwrap_or_default()));
        }
        SubscriptionState::Paused => text = text.plain(format!("\n{}", words.paused())),
        SubscriptionState::Stopped => {
            let why = match one.why.as_deref() {
                Some(NO_ROLE) => words.refused_role(),
                Some(NO_REPORT) => words.what_is_gone(),
                _ => words.stopped_chat(),
            };
            text = text.plain(format!("\n{}", words.stopped(why)));
        }
    }
    let turn = match one.state {
        SubscriptionState::On => button(words.pause(), &format!("sp:{id}")),
        _ => button(words.resume(), &format!("sr:{id}")),
    };
    let rows = vec![
        vec![turn, button(words.remove(), &format!("sk:{id}"))],
        vec![button(words.send_now(), &format!("sn:{id}"))],
        vec![button(words.back(), "sl:0")],
    ];
    Reply::of(screen(text, rows))
}

/// What someone did about a subscription of theirs, for the audit.
pub(super) fn noted(office: &Office, viewer: &Viewer, act: &str, one: &Subscription) -> Also {
    let place = one.chat.filter(|chat| Some(*chat) != one.owner).map(|chat| format!(" → {chat}"));
    let detail = format!("{} ({}){}", one.report, one.cron, place.unwrap_or_default());
    Also::Note(one.owner, office.act(viewer.user, act, detail))
}

/// A subscription of a viewer to the chat that they speak in, to be kept. The dialog has seen to it that there is room.
pub(super) fn subscribe(
    office: &Office,
    viewer: &Viewer,
    what: &Sent,
    with: &With,
    cron: &str,
) -> Subscription {
    Subscription {
        id: 0,
        name: None,
        owner: Some(viewer.user),
        chat: Some(viewer.chat),
        report: what.written(),
        asks: serde_json::to_string(with).unwrap_or_default(),
        cron: cron.to_owned(),
        zone: viewer.zone.name().to_owned(),
        state: SubscriptionState::On,
        why: None,
        fired_at: office.now(),
    }
}

fn title(office: &Office, viewer: &Viewer, one: &Subscription) -> String {
    let setting = office.setting();
    let title = setting.title(&Sent::read(&one.report), viewer.language).unwrap_or(one.report.clone());
    let at = subscribe::told(&one.cron, &office.words(viewer.language));
    let place =
        if one.chat == one.owner { String::new() } else { format!(" → {}", one.chat.unwrap_or_default()) };
    format!("{title}{place} · {at}")
}
