//! Who may see what: pure rules over what the store of users knows and what `bot.toml` says.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;

use super::event::Access;
use crate::{
    config::{
        bot::{ADMIN, Bot, Report, Sent},
        project::Language,
    },
    state::bot::users::{Standing, User},
};

/// What someone may see at this moment. The admins that the file names are admins whatever the store says of them.
pub fn of_user(bot: &Bot, id: i64, user: Option<&User>, now: DateTime<Utc>) -> Access {
    if bot.admins.contains(&id) {
        let attributes = user.map(|user| attributes(bot, user)).unwrap_or_default();
        return Access::Member { roles: vec![ADMIN.to_owned()], attributes };
    }
    let Some(user) = user else { return Access::Stranger };
    match user.standing {
        Standing::Blocked => Access::Blocked,
        Standing::Waiting => Access::Waiting,
        Standing::Seen | Standing::Denied => Access::Stranger,
        Standing::Member if user.expires.is_some_and(|expires| expires <= now) => Access::Stranger,
        Standing::Member => {
            Access::Member { roles: known_roles(bot, &user.roles), attributes: attributes(bot, user) }
        }
    }
}

/// What is answered in a group: what the file says of it, whoever asks, by any of the ids that it has and had.
pub fn of_group(bot: &Bot, ids: &[i64]) -> Access {
    match bot.chats.values().find(|chat| chat.id.is_some_and(|id| ids.contains(&id))) {
        Some(chat) => Access::Member { roles: known_roles(bot, &chat.roles), attributes: chat.user.clone() },
        None => Access::Stranger,
    }
}

/// Whether this access reaches a report.
pub fn may_run(access: &Access, report: &Report) -> bool {
    let Access::Member { roles, .. } = access else { return false };
    roles.iter().any(|role| role == ADMIN || report.roles.contains(role))
}

/// Whether this access reaches what a subscription sends.
pub fn may_have(bot: &Bot, access: &Access, what: &Sent) -> bool {
    let Access::Member { roles, .. } = access else { return false };
    match what {
        Sent::Report(name) => bot.reports.get(name).is_some_and(|report| may_run(access, report)),
        Sent::Workbook(mart) => {
            let allowed = bot.workbook_roles(mart);
            roles.iter().any(|role| role == ADMIN || allowed.contains(role))
        }
    }
}

/// Whether it is an admin's.
pub fn is_admin(access: &Access) -> bool {
    matches!(access, Access::Member { roles, .. } if roles.iter().any(|role| role == ADMIN))
}

/// Everyone who is an admin now: the file's, and those who were given the role.
pub fn admins<'a>(bot: &Bot, users: impl IntoIterator<Item = &'a User>, now: DateTime<Utc>) -> Vec<i64> {
    let mut admins = bot.admins.clone();
    let given = users.into_iter().filter(|user| is_admin(&of_user(bot, user.id, Some(user), now)));
    admins.extend(given.map(|user| user.id));
    admins.sort_unstable();
    admins.dedup();
    admins
}

/// How the bot speaks to someone whose Telegram speaks this.
pub fn language(code: Option<&str>, projects: Language) -> Language {
    match code.map(|code| code.split('-').next().unwrap_or_default()) {
        Some("ru" | "be" | "uk" | "kk") => Language::Ru,
        Some("en") => Language::En,
        _ => projects,
    }
}

/// A role that the file no longer has gives nothing.
fn known_roles(bot: &Bot, roles: &[String]) -> Vec<String> {
    roles.iter().filter(|role| *role == ADMIN || bot.roles.contains_key(*role)).cloned().collect()
}

/// A value that the file no longer has gives no rows.
fn attributes(bot: &Bot, user: &User) -> IndexMap<String, Vec<String>> {
    let known = bot.attributes.iter().filter_map(|(name, attribute)| {
        let values = user.attributes.get(name)?;
        let known =
            values.iter().filter(|v| attribute.values.is_empty() || attribute.values.contains_key(*v));
        Some((name.clone(), known.cloned().collect()))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;

    use super::*;
    use crate::config::bot::{Attribute, Chat, Role};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn bot() -> Bot {
        let roles = ["executive", "regional"].map(|name| (name.to_owned(), Role::default()));
        let region = Attribute {
            title: crate::config::bot::Text::one("region"),
            values: [("mrf1".to_owned(), "Центр".to_owned())].into(),
            many: true,
        };
        let sales = Chat { id: Some(-5), roles: vec!["regional".to_owned()], user: IndexMap::new() };
        Bot {
            admins: vec![1],
            roles: roles.into(),
            attributes: [("region".to_owned(), region)].into(),
            chats: [("sales".to_owned(), sales)].into(),
            ..Bot::default()
        }
    }

    fn user(standing: Standing) -> User {
        User {
            id: 7,
            name: "Анна".to_owned(),
            username: None,
            language: None,
            zone: None,
            standing,
            roles: vec!["regional".to_owned(), "gone".to_owned()],
            attributes: BTreeMap::from([("region".to_owned(), vec!["mrf1".to_owned(), "mrf9".to_owned()])]),
            expires: None,
            reason: None,
            asked_at: None,
            made_at: now(),
            reachable: true,
        }
    }

    #[test]
    fn members_have_what_the_file_still_knows() {
        let access = of_user(&bot(), 7, Some(&user(Standing::Member)), now());
        let Access::Member { roles, attributes } = access else { panic!("{access:?}") };
        assert_eq!(
            (roles, attributes["region"].clone()),
            (vec!["regional".to_owned()], vec!["mrf1".to_owned()])
        );
    }

    #[test]
    fn all_others_have_nothing() {
        let access = |user: &User| of_user(&bot(), 7, Some(user), now());
        assert_eq!(of_user(&bot(), 7, None, now()), Access::Stranger);
        assert_eq!(access(&user(Standing::Denied)), Access::Stranger);
        assert_eq!(access(&user(Standing::Waiting)), Access::Waiting);
        assert_eq!(access(&user(Standing::Blocked)), Access::Blocked);
        let expired = User { expires: Some(now()), ..user(Standing::Member) };
        assert_eq!(access(&expired), Access::Stranger);
        let not_yet = User { expires: Some(now() + TimeDelta::seconds(1)), ..user(Standing::Member) };
        assert!(matches!(access(&not_yet), Access::Member { .. }));
    }

    #[test]
    fn the_files_admins_are_admins_and_so_are_those_with_the_role() {
        let bot = bot();
        assert!(is_admin(&of_user(&bot, 1, None, now())));
        assert!(is_admin(&of_user(&bot, 1, Some(&user(Standing::Blocked)), now())));
        let given = User { roles: vec![ADMIN.to_owned()], ..user(Standing::Member) };
        assert_eq!(admins(&bot, [&given, &user(Standing::Member)], now()), [1, 7]);
    }

    #[test]
    fn a_group_has_its_own_roles() {
        for ids in [&[-5][..], &[-1005, -5]] {
            assert!(matches!(of_group(&bot(), ids), Access::Member { roles, .. } if roles == ["regional"]));
        }
        assert_eq!(of_group(&bot(), &[-6]), Access::Stranger);
    }

    #[test]
    fn languages() {
        assert_eq!(language(Some("ru-RU"), Language::En), Language::Ru);
        assert_eq!(language(Some("en"), Language::Ru), Language::En);
        assert_eq!(language(Some("de"), Language::Ru), Language::Ru);
    }
}
