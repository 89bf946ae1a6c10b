//! Someone asks to be let in; an admin decides; the decision is told.

use std::convert::Infallible;

use chrono::{DateTime, Utc};

use super::{html::escape, mine, office::Office, own, parcel};
use crate::{
    bot::{access, event::Access, screen::Button, words::Words},
    config::{
        bot::{RowRule, Sent, Text},
        project::Language,
    },
    state::{
        bot::{
            dialogs::{Also, Step},
            outbox::NewMessage,
            subscriptions::{Subscription, SubscriptionState},
            users::{Act, Standing, User},
        },
        error::Result,
    },
};

/// A change of someone that is decided, and not written down yet: it is with the step that it is part of, so that nobody is changed whom nobody told.
pub(super) struct Deed<'a> {
    id: i64,
    act: Act,
    change: Box<dyn Fn(&mut User) + 'a>,
    also: Vec<Also>,
}

impl Deed<'_> {
    /// Writes it down with its step; gives them as they are now.
    pub(super) fn write(self, office: &Office, mut step: Step) -> Result<User> {
        step.also.extend(self.also);
        let changed = office.records.change_user::<Infallible>(self.id, &self.act, &step, |user| {
            (self.change)(user);
            Ok(())
        })?;
        match changed {
            Ok(user) => Ok(user),
            Err(never) => match never {},
        }
    }
}

/// What is decided of someone.
pub(super) struct Decided<'a> {
    /// As they will be.
    pub(super) user: User,
    /// What is told of it.
    pub(super) told: Vec<NewMessage>,
    /// To be written down, with what is told.
    pub(super) deed: Deed<'a>,
}

/// Someone asks to be let in, which admins are told.
pub(super) fn request(office: &Office, user: &User, reason: &str) -> Result<Decided<'static>> {
    let (now, why) = (office.now(), reason.to_owned());
    let change = move |user: &mut User| {
        if matches!(user.standing, Standing::Seen | Standing::Denied | Standing::Member) {
            // Whoever was in before and is no more does not get back the old roles by asking.
            user.roles.clear();
            user.expires = None;
            user.standing = Standing::Waiting;
        }
        (user.reason, user.asked_at) = (Some(why.clone()), Some(now));
    };
    let mut user = user.clone();
    change(&mut user);
    let text = |words: &Words| {
        let head = format!("<b>{}</b>\n{}", escape(words.request_told()), escape(&called(&user)));
        format!("{head}\n{}", escape(&words.reason(reason)))
    };
    let told = office.to_admins(text, |words| decide(office, &user, words))?;
    let act = office.act(user.id, "request", reason);
    let deed = Deed { id: user.id, act, change: Box::new(change), also: vec![] };
    Ok(Decided { user, told, deed })
}

/// The buttons by which an admin decides: roles to tick, what these need to be told, then yes or no.
pub(super) fn decide(office: &Office, user: &User, words: &Words) -> Vec<Vec<Button>> {
    let mut rows = roles(office, user, words.language());
    rows.extend(attributes(office, user, &needed(office, user), words.language()));
    rows.push(vec![
        own::button(words.approve(), &format!("a:{}", user.id)),
        own::button(words.deny(), &format!("d:{}", user.id)),
    ]);
    rows.push(vec![own::button(words.block(), &format!("b:{}", user.id))]);
    rows
}

/// A button for each role, ticked where it is given.
pub(super) fn roles(office: &Office, user: &User, language: Language) -> Vec<Vec<Button>> {
    let setting = office.setting();
    let buttons = setting.bot.roles.iter().map(|(name, role)| {
        let title = title(&role.title, name, language);
        let ticked = user.roles.contains(name);
        let tick = if ticked { "☑" } else { "☐" };
        own::button(
            &format!("{tick} {title}"),
            &format!("r:{}:{}", user.id, own::turned(ticked, &own::tag(name))),
        )
    });
    let buttons: Vec<Button> = buttons.collect();
    buttons.chunks(2).map(<[Button]>::to_vec).collect()
}

/// A button for each of these attributes, which leads to its values.
pub(super) fn attributes(
    office: &Office,
    user: &User,
    names: &[String],
    language: Language,
) -> Vec<Vec<Button>> {
    let setting = office.setting();
    let buttons = names.iter().filter_map(|name| {
        let title = title(&setting.bot.attributes.get(name)?.title, name, language);
        Some(own::button(&title, &format!("t:{}:{}", user.id, own::tag(name))))
    });
    buttons.collect::<Vec<_>>().chunks(2).map(<[Button]>::to_vec).collect()
}

/// Attributes by which roles of someone choose their rows.
fn needed(office: &Office, user: &User) -> Vec<String> {
    let setting = office.setting();
    let roles = user.roles.iter().filter_map(|name| setting.bot.roles.get(name));
    let mut names: Vec<String> = vec![];
    for rule in roles.flat_map(|role| role.rows.values()) {
        if let RowRule::User(name) = rule
            && !names.contains(name)
            && setting.bot.attributes.contains_key(name)
        {
            names.push(name.clone());
        }
    }
    names
}

/// Those of them that nobody has told of this user: the roles show no row then.
pub(super) fn unset(office: &Office, user: &User) -> Vec<String> {
    let mut names = needed(office, user);
    names.retain(|name| user.attributes.get(name).is_none_or(Vec::is_empty));
    names
}

/// A title, or the name of what has none.
pub(super) fn title(text: &Text, name: &str, language: Language) -> String {
    let title = text.get(language);
    if title.is_empty() { name.to_owned() } else { title.to_owned() }
}

/// How someone is called: name, user name, id.
pub(super) fn called(user: &User) -> String {
    let username = user.username.as_ref().map(|name| format!(" @{name}")).unwrap_or_default();
    format!("{}{username} ({})", user.name, user.id)
}

/// An act changes someone; they are told what follows.
pub(super) fn change<'a>(
    office: &Office,
    id: i64,
    act: Act,
    change: impl Fn(&mut User) + 'a,
) -> Result<Decided<'a>> {
    let setting = office.setting();
    let known = office.records.user(id)?;
    let before = access::of_user(&setting.bot, id, known.as_ref(), office.now());
    let mut user = known.unwrap_or_else(|| User::met(id, act.at));
    change(&mut user);
    let (told, also) = after_change(office, &before, &user)?;
    Ok(Decided { user, told, deed: Deed { id, act, change: Box::new(change), also } })
}

/// The bot stops a subscription, for the audit.
pub(super) fn stopped(one: &Subscription, why: &str, at: DateTime<Utc>) -> Act {
    let detail = format!("{} ({}): {why}", one.report, one.cron);
    Act { at, actor: "bot".to_owned(), act: "stop".to_owned(), detail }
}

/// What follows from a change of someone's rights: they are told, and what they may no longer see is not sent to them.
fn after_change(office: &Office, before: &Access, user: &User) -> Result<(Vec<NewMessage>, Vec<Also>)> {
    let (setting, words) = (office.setting(), office.words_to(user));
    let access = access::of_user(&setting.bot, user.id, Some(user), office.now());
    let (mut messages, mut also) = (vec![], vec![]);
    let told = match (before, &access) {
        (before, after) if before == after => None,
        (Access::Member { .. }, Access::Member { .. }) => Some(words.rights_changed()),
        (_, Access::Member { .. }) => Some(words.let_in()),
        (Access::Member { .. }, _) => Some(words.shut_out()),
        (Access::Waiting, _) => Some(words.not_let_in()),
        _ => None,
    };
    messages.extend(told.map(|told| parcel::notice(user.id, escape(told), &[])));
    for subscription in office.records.subscriptions(Some(user.id))? {
        let what = Sent::read(&subscription.report);
        let may = access::may_have(&setting.bot, &access, &what);
        if subscription.state != SubscriptionState::Stopped && !may {
            let (state, why) = (SubscriptionState::Stopped, Some(mine::NO_ROLE.to_owned()));
            also.push(Also::Note(Some(user.id), stopped(&subscription, mine::NO_ROLE, office.now())));
            also.push(Also::Turn { id: subscription.id, state, why });
            let title = setting.title(&what, words.language()).unwrap_or(subscription.report);
            messages.push(parcel::notice(
                user.id,
                format!("<b>{}</b>\n{}", escape(&title), escape(words.stopped_role())),
                &[],
            ));
        }
    }
    Ok((messages, also))
}
