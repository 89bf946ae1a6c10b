//! Reports by themselves: names, commands, aliases, roles, questions.

use std::time::Duration;

use indexmap::IndexMap;

use super::{Scope, Written, ask, check_roles, optional, show, words_text};
use crate::{
    bot::words::{LONGEST_COMMAND, is_command, is_own_command},
    config::{
        bot::{Bot, Column, Report as BotReport},
        project::Sql,
        resolve::{job, report::Report},
        tree::Node,
    },
};

/// How long a report may take, unless it says so itself.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that a report may say.
const LONGEST: Duration = Duration::from_secs(3600);
/// Letters of a report's name: it stands in links, of which Telegram takes 64.
const LONGEST_NAME: usize = 40;

/// Every report that could be made.
pub(super) fn reports(scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) -> IndexMap<String, BotReport> {
    let mut reports = IndexMap::new();
    for (name, written) in scope.reports {
        if let Some(made) = one(name, *written, scope, bot, report) {
            reports.insert(name.clone(), made);
        }
    }
    reports
}

fn one(
    name: &str,
    written: Written<'_>,
    scope: &Scope<'_>,
    bot: &Bot,
    report: &mut Report<'_>,
) -> Option<BotReport> {
    let Written { raw, node } = written;
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if name.is_empty() || name.len() > LONGEST_NAME || !good {
        let message = format!("a report cannot be named `{name}`");
        let hint =
            format!("use Latin letters, digits, `_` and `-`, {LONGEST_NAME} at most: it stands in links");
        report.key(node, "bad-name", message, hint);
    }
    check_roles(&raw.roles, node.at(&["roles"]), scope, report);
    let timeout = raw.timeout.map_or(TIMEOUT, crate::model::time::Span::get);
    if timeout.is_zero() || timeout > LONGEST {
        report.value(node.at(&["timeout"]), "out-of-range", "`timeout` is out of range", "expected 1s to 1h");
    }
    let title = words_text(&raw.title, node.at(&["title"]), report);
    let asks = raw.ask.iter().filter_map(|(ask, raw)| {
        let node = node.at(&["ask", ask]);
        Some((ask.clone(), ask::ask(ask, raw, node, scope, bot, report)?))
    });
    let asks = asks.collect();
    let columns = raw.columns.iter().map(|(column, raw)| {
        let place = node.at(&["columns", column, "title"]);
        let title = optional(raw.title.as_ref(), place, report);
        (column.clone(), Column { title, format: raw.format })
    });
    let columns = columns.collect();
    let sql = job::sql(&raw.sql, node.at(&["sql"]), report)?;
    Some(BotReport {
        name: name.to_owned(),
        title,
        description: optional(raw.description.as_ref(), node.at(&["description"]), report),
        roles: raw.roles.clone(),
        command: raw.command.clone(),
        aliases: raw.aliases.clone(),
        timeout,
        sql: Sql { native: raw.native, ..sql },
        ask: asks,
        columns,
        show: show::show(raw, node, report),
        reads: vec![],
        output: None,
    })
}

/// Checks the words that reports are called by against each other and against the bot's own commands.
pub(super) fn check_words(scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) {
    let mut commands: IndexMap<&str, &str> = IndexMap::new();
    let mut aliases: IndexMap<String, &str> = IndexMap::new();
    for (name, made) in &bot.reports {
        let node = scope.reports[name].node;
        if let Some(command) = &made.command {
            let place = node.at(&["command"]);
            check_command(command, place, report);
            if let Some(other) = commands.insert(command, name) {
                let message = format!("`/{command}` is the command of report `{other}` already");
                report.value(place, "duplicate-name", message, "");
            }
        }
        for (at, alias) in made.aliases.iter().enumerate() {
            let list = node.at(&["aliases"]);
            let place = list.items().get(at).unwrap_or(list);
            if alias.trim().is_empty() {
                report.value(place, "empty-text", "this alias is empty", "");
            }
            if let Some(other) = aliases.insert(alias.to_lowercase(), name) {
                let message = if other == name {
                    format!("`{alias}` stands here twice")
                } else {
                    format!("`{alias}` is an alias of report `{other}` already")
                };
                report.value(place, "duplicate-name", message, "");
            }
        }
    }
}

fn check_command(command: &str, place: &Node, report: &mut Report<'_>) {
    if !is_command(command) {
        let message = format!("`{command}` is no command that Telegram takes");
        let hint = format!(
            "use lower-case Latin letters, digits and `_`, {LONGEST_COMMAND} at most, a letter first"
        );
        report.value(place, "bad-command", message, hint);
    } else if is_own_command(command) {
        let message = format!("`/{command}` is a command of the bot itself");
        report.value(place, "reserved-name", message, "give it another");
    }
}
