//! What of a report a reader may see: the roles that may run it, each with its rows.

use indexmap::IndexMap;

use crate::{
    config::bot::{ADMIN, Bot, RowRule},
    engine::row_rules::{RoleRows, RowRules},
    model::name::Member,
};

/// Who reads, as far as rows go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reader {
    /// Names of their roles.
    pub roles: Vec<String>,
    /// Values by attribute.
    pub attributes: IndexMap<String, Vec<String>>,
}

/// What a reader sees of what these roles may have; `None` = none of theirs is among them.
pub fn rules(bot: &Bot, allowed: &[String], reader: &Reader) -> Option<RowRules> {
    let mut roles: Vec<RoleRows> = vec![];
    for name in &reader.roles {
        if name == ADMIN {
            return Some(RowRules::everything());
        }
        // A role that the file no longer knows gives nothing.
        if let Some(role) = bot.roles.get(name).filter(|_| allowed.contains(name)) {
            let values = |rule: &RowRule| match rule {
                RowRule::User(attribute) => reader.attributes.get(attribute).cloned().unwrap_or_default(),
                RowRule::Values(values) => values.clone(),
            };
            let sorted = |rule: &RowRule| {
                let mut values = values(rule);
                values.sort();
                values.dedup();
                values
            };
            let columns = role.rows.iter().map(|(column, rule)| (column.clone(), sorted(rule))).collect();
            roles.push(RoleRows { role: name.clone(), columns, free: role.free.clone() });
        }
    }
    if roles.is_empty() {
        return None;
    }
    // Who sees everything by one role sees it; the others change nothing.
    if roles.iter().any(|role| role.columns.is_empty()) {
        return Some(RowRules::everything());
    }
    Some(RowRules { roles })
}

/// Whether a reader may see what a member of a job wrote as a whole: a role that sees everything, or one whose every rule
/// is about a matrix of the job, and has the member's value.
pub fn sees_member(rules: &RowRules, member: &Member) -> bool {
    let sees = |role: &RoleRows| {
        let fits = |(column, values): (&String, &Vec<String>)| {
            member.get(column).is_some_and(|value| values.iter().any(|seen| seen == value))
        };
        role.columns.iter().all(fits)
    };
    rules.roles.iter().any(sees)
}

/// What nobody has told of a reader, where no role of theirs shows a row without it: an attribute of `bot.toml`.
pub fn unset<'a>(bot: &'a Bot, rules: &RowRules) -> Option<&'a str> {
    let unset = |role: &RoleRows| {
        let empty = |column: &str| role.columns.get(column).is_some_and(Vec::is_empty);
        bot.roles.get(&role.role)?.rows.iter().find_map(|(column, rule)| match rule {
            RowRule::User(attribute) if empty(column) => Some(attribute.as_str()),
            _ => None,
        })
    };
    let unset = rules.roles.iter().map(unset).collect::<Option<Vec<&str>>>()?;
    unset.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::bot::Role;

    fn bot() -> Bot {
        let regional = Role {
            rows: [("region".to_owned(), RowRule::User("region".to_owned()))].into(),
            ..Role::default()
        };
        let written = Role {
            rows: [("kind".to_owned(), RowRule::Values(vec!["b".into(), "a".into(), "a".into()]))].into(),
            ..Role::default()
        };
        let roles = [
            ("regional", regional),
            ("written", written),
            ("executive", Role::default()),
            (ADMIN, Role::default()),
        ];
        Bot {
            roles: roles.into_iter().map(|(name, role)| (name.to_owned(), role)).collect(),
            ..Bot::default()
        }
    }

    fn of(report_roles: &[&str], roles: &[&str], regions: &[&str]) -> Option<RowRules> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let reader =
            Reader { roles: owned(roles), attributes: [("region".to_owned(), owned(regions))].into() };
        rules(&bot(), &owned(report_roles), &reader)
    }

    #[test]
    fn only_roles_of_the_report_count() {
        assert_eq!(of(&["executive"], &["regional"], &["mrf1"]), None);
        assert_eq!(of(&[], &["executive"], &[]), None);
        assert_eq!(of(&["gone"], &["gone"], &[]), None);
        assert!(of(&[], &[ADMIN], &[]).unwrap().sees_everything());
        assert!(
            of(&["executive", "regional"], &["regional", "executive"], &["mrf1"]).unwrap().sees_everything()
        );
        let rules = of(&["regional"], &["regional", "executive"], &["mrf2", "mrf1", "mrf2"]).unwrap();
        assert_eq!(rules.roles[0].columns["region"], ["mrf1", "mrf2"]);
        let both = of(&["regional", "written"], &["written", "regional"], &[]).unwrap();
        assert_eq!(both.roles[0].columns["kind"], ["a", "b"]);
        assert!(both.roles[1].columns["region"].is_empty());
    }

    #[test]
    fn whoever_sees_no_row_for_want_of_an_attribute_can_be_told() {
        let told = |roles: &[&str], regions: &[&str]| {
            unset(&bot(), &of(roles, roles, regions).unwrap()).map(str::to_owned)
        };
        assert_eq!(told(&["regional"], &[]).as_deref(), Some("region"));
        assert_eq!(told(&["regional"], &["mrf1"]), None);
        assert_eq!(told(&["regional", "written"], &[]), None, "the other role shows rows");
        assert_eq!(told(&["regional", "executive"], &[]), None);
        assert_eq!(told(&[ADMIN], &[]), None);
    }

    #[test]
    fn workbooks_are_seen_member_by_member() {
        let member = |region: &str| Member::new(vec![("region".to_owned(), region.to_owned())]);
        let regional = of(&["regional"], &["regional"], &["mrf1"]).unwrap();
        assert!(sees_member(&regional, &member("mrf1")) && !sees_member(&regional, &member("mrf2")));
        assert!(!sees_member(&regional, &Member::default()));
        assert!(!sees_member(&of(&["written"], &["written"], &[]).unwrap(), &member("mrf1")));
        assert!(sees_member(&RowRules::everything(), &Member::default()));
        assert!(!sees_member(&of(&["regional"], &["regional"], &[]).unwrap(), &member("mrf1")));
    }
}
