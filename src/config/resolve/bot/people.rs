//! Who may see what: admins, attributes, roles, groups.

use indexmap::IndexMap;

use super::{Scope, check_roles, optional};
use crate::{
    config::{
        bot::{ADMIN, Attribute, Bot, Chat, Role, RowRule, Text},
        raw::bot::RowRule as RawRule,
        resolve::{matrix::meant, report::Report},
        tree::Node,
    },
    engine::typing::TableName,
};

/// The admins whose variable is set.
pub(super) fn admins(scope: &Scope<'_>) -> Vec<i64> {
    let node = scope.tree.at(&["access", "admins"]);
    let set = |at: usize| node.items().get(at).is_none_or(|item| !item.stand_in);
    let admins = scope.raw.access.admins.iter().enumerate();
    admins.filter(|(at, _)| set(*at)).map(|(_, id)| *id).collect()
}

/// What admins tell of each user.
pub(super) fn attributes(scope: &Scope<'_>, report: &mut Report<'_>) -> IndexMap<String, Attribute> {
    let mut attributes = IndexMap::new();
    for (name, raw) in &scope.raw.user {
        let node = scope.tree.at(&["user", name]);
        if raw.from.is_some() && !raw.values.is_empty() {
            let message = "values come from `from` or stand in `values`, not both";
            report.key(node.at(&["values"]), "conflicting-keys", message, "");
        }
        let values = match &raw.from {
            Some(from) => matrix_values(from, node.at(&["from"]), scope, report).unwrap_or_default(),
            None => raw.values.iter().map(|value| (value.clone(), value.clone())).collect(),
        };
        let title = optional(raw.title.as_ref(), node.at(&["title"]), report);
        let title = title.unwrap_or_else(|| Text::one(name));
        attributes.insert(name.clone(), Attribute { title, values, many: raw.many });
    }
    attributes
}

/// The members of `matrix.NAME`, each with its title.
pub(super) fn matrix_values(
    from: &str,
    node: &Node,
    scope: &Scope<'_>,
    report: &mut Report<'_>,
) -> Option<IndexMap<String, String>> {
    let matrices = &scope.project.matrix;
    let Some(members) = from.strip_prefix("matrix.").and_then(|name| matrices.get(name)) else {
        let known: Vec<String> = matrices.keys().map(|name| format!("matrix.{name}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        report.value(node, "unknown-matrix", format!("there is no `{from}`"), meant(from, &known));
        return None;
    };
    let titled = |(name, facts): (&String, &IndexMap<String, String>)| {
        (name.clone(), facts.get("title").unwrap_or(name).clone())
    };
    Some(members.iter().map(titled).collect())
}

/// Roles by name, the one that is there by itself last.
pub(super) fn roles(
    scope: &Scope<'_>,
    attributes: &IndexMap<String, Attribute>,
    report: &mut Report<'_>,
) -> IndexMap<String, Role> {
    let mut roles = IndexMap::new();
    for (name, raw) in &scope.raw.roles {
        let node = scope.tree.at(&["roles", name]);
        let title = optional(raw.title.as_ref(), node.at(&["title"]), report);
        let title = title.unwrap_or_else(|| Text::one(name));
        if name == ADMIN && !(raw.rows.is_empty() && raw.free.is_empty()) {
            let message = format!("role `{ADMIN}` sees every row");
            report.key(node, "reserved-name", message, "make another role for those who do not");
        }
        let rows = raw.rows.iter().filter_map(|(column, raw)| {
            let rule = rule(raw, node.at(&["rows", column]), attributes, report)?;
            Some((column.clone(), rule))
        });
        let rows = rows.collect();
        if !raw.free.is_empty() && raw.rows.is_empty() {
            let message = "`free` goes with `rows`: a role without row rules sees everything";
            report.key(node.at(&["free"]), "conflicting-keys", message, "");
        }
        let free = raw.free.iter().map(|table| table_name(table)).collect();
        roles.insert(name.clone(), Role { title, rows, free });
    }
    let admin = Text { ru: "Администратор".to_owned(), en: "Admin".to_owned() };
    roles.entry(ADMIN.to_owned()).or_insert_with(|| Role { title: admin, ..Role::default() });
    roles
}

fn rule(
    raw: &RawRule,
    node: &Node,
    attributes: &IndexMap<String, Attribute>,
    report: &mut Report<'_>,
) -> Option<RowRule> {
    match (&raw.user, raw.values.is_empty()) {
        (Some(name), true) => {
            check_attribute(name, node.at(&["user"]), attributes, report);
            Some(RowRule::User(name.clone()))
        }
        (None, false) => Some(RowRule::Values(raw.values.clone())),
        _ => {
            let message = "a row rule is `{ user = \"…\" }` or `{ values = [\"…\"] }`";
            report.value(node, "bad-row-rule", message, "");
            None
        }
    }
}

/// Reports the name of an attribute that there is not.
pub(super) fn check_attribute(
    name: &str,
    node: &Node,
    attributes: &IndexMap<String, Attribute>,
    report: &mut Report<'_>,
) {
    if !attributes.contains_key(name) {
        let known: Vec<&str> = attributes.keys().map(String::as_str).collect();
        let hint = match meant(name, &known) {
            hint if hint.is_empty() => format!("add [user.{name}]"),
            hint => hint,
        };
        report.value(node, "unknown-attribute", format!("users have no attribute `{name}`"), hint);
    }
}

/// Reports attributes that there are not, and values that they do not have.
pub(super) fn check_user(
    user: &IndexMap<String, Vec<String>>,
    node: &Node,
    bot: &Bot,
    report: &mut Report<'_>,
) {
    for (name, values) in user {
        let place = node.at(&[name]);
        let Some(attribute) = bot.attributes.get(name) else {
            let known: Vec<&str> = bot.attributes.keys().map(String::as_str).collect();
            let message = format!("users have no attribute `{name}`");
            report.key(place, "unknown-attribute", message, meant(name, &known));
            continue;
        };
        if values.len() > 1 && !attribute.many {
            let message = format!("`{name}` has one value");
            report.value(place, "bad-attribute", message, format!("add `many = true` to [user.{name}]"));
        }
        for (at, value) in values.iter().enumerate() {
            if !attribute.values.is_empty() && !attribute.values.contains_key(value) {
                let known: Vec<&str> = attribute.values.keys().map(String::as_str).collect();
                let place = place.items().get(at).unwrap_or(place);
                let message = format!("`{name}` cannot be `{value}`");
                report.value(place, "bad-attribute", message, meant(value, &known));
            }
        }
    }
}

/// Groups by name.
pub(super) fn chats(scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) -> IndexMap<String, Chat> {
    let mut chats = IndexMap::new();
    for (name, raw) in &scope.raw.chat {
        let node = scope.tree.at(&["chat", name]);
        check_roles(&raw.roles, node.at(&["roles"]), scope, report);
        check_user(&raw.user, node.at(&["user"]), bot, report);
        let unset = node.at(&["id"]).stand_in;
        if raw.roles.iter().any(|role| role == ADMIN) {
            let message = format!("a group cannot be `{ADMIN}`: everyone in it would be");
            report.value(node.at(&["roles"]), "bad-roles", message, "");
        }
        if !unset && raw.id >= 0 {
            let message = "a group's id is a negative number";
            report.value(
                node.at(&["id"]),
                "bad-chat",
                message,
                "the bot tells it when it is added to a group",
            );
        }
        let chat = Chat { id: (!unset).then_some(raw.id), roles: raw.roles.clone(), user: raw.user.clone() };
        chats.insert(name.clone(), chat);
    }
    chats
}

/// A table's name as SQL writes it, with or without quotes.
pub(super) fn table_name(text: &str) -> TableName {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => parts.last_mut().expect("one part").push(c),
        }
    }
    TableName { parts }
}

#[cfg(test)]
mod tests {
    use super::table_name;

    #[test]
    fn names_of_tables() {
        assert_eq!(table_name("mart.leads").parts, ["mart", "leads"]);
        assert_eq!(table_name("stream.\"crm.actions.mrf1\"").parts, ["stream", "crm.actions.mrf1"]);
    }
}
