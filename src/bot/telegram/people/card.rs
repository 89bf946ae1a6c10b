//! The screens of one user: who they are, what they may see, what may be done about that.

use super::{EXPIRIES, ZONES, own};
use crate::{
    bot::{
        screen::{Button, Markup, Screen},
        telegram::{
            office::Office,
            own::{button, screen},
            requests,
        },
        words::Words,
    },
    state::bot::users::{Standing, User},
};

/// Whether the file names them as an admin, whatever their standing: what the bot gives and takes changes nothing about that.
pub(super) fn is_of_file(office: &Office, user: &User) -> bool {
    office.setting().bot.admins.contains(&user.id)
}

/// Someone, and what may be done about them.
pub(super) fn card(office: &Office, user: &User, words: &Words) -> Screen {
    let setting = office.setting();
    let mut text = Markup::new().bold(requests::called(user));
    text = text.plain(format!("\n{}", standing(office, user, words)));
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
    let behind = vec![button(words.history(), &format!("h:{id}")), button(words.back(), "l:0")];
    let zone = vec![button(words.zone(), &format!("z:{id}"))];
    if is_of_file(office, user) {
        return screen(text, vec![zone, behind]);
    }
    for name in requests::unset(office, user) {
        let title = requests::title(&setting.bot.attributes[&name].title, &name, words.language());
        text = text.plain(format!("\n{}", words.attribute_missing(title)));
    }
    if user.standing == Standing::Waiting {
        return screen(text, requests::decide(office, user, words));
    }
    let mut rows = requests::roles(office, user, words.language());
    let listed = setting.bot.attributes.iter().filter(|(_, attribute)| !attribute.values.is_empty());
    let listed: Vec<String> = listed.map(|(name, _)| name.clone()).collect();
    rows.extend(requests::attributes(office, user, &listed, words.language()));
    rows.push(EXPIRIES.iter().map(|days| button(&length(*days, words), &format!("e:{id}:{days}"))).collect());
    rows.push(zone);
    rows.push(match user.standing {
        Standing::Member => {
            vec![button(words.revoke(), &format!("n:{id}")), button(words.block(), &format!("b:{id}"))]
        }
        Standing::Blocked => vec![button(words.unblock(), &format!("n:{id}"))],
        _ => vec![button(words.approve(), &format!("a:{id}")), button(words.block(), &format!("b:{id}"))],
    });
    rows.push(behind);
    screen(text, rows)
}

/// The values of one attribute, to tick; `None` = the file does not know it any more.
pub(super) fn attribute(office: &Office, user: &User, tag: &str, words: &Words) -> Option<Screen> {
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
pub(super) fn zones(user: &User, words: &Words) -> Screen {
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

/// Whether someone is in, and until when.
fn standing(office: &Office, user: &User, words: &Words) -> String {
    if is_of_file(office, user) {
        return words.is_of_file().to_owned();
    }
    let standing = match user.standing {
        Standing::Seen => words.is_seen(),
        Standing::Waiting => words.is_waiting(),
        Standing::Member => words.is_member(),
        Standing::Denied => words.is_denied(),
        Standing::Blocked => words.is_blocked(),
    };
    let Some(expires) = user.expires else { return standing.to_owned() };
    let until = expires.with_timezone(&office.setting().zone).format("%d.%m.%Y %H:%M");
    if user.standing == Standing::Member && expires <= office.now() {
        return words.is_over(until);
    }
    format!("{standing}, {}", words.until(until))
}

fn length(days: i64, words: &Words) -> String {
    if days == 0 { words.no_expiry().to_owned() } else { words.expiry_days(days) }
}
