//! What the bot sends by itself: subscriptions that are given, and alerts.

use chrono::NaiveTime;
use indexmap::IndexMap;

use super::{Scope, check_report, check_roles, may_run, show::check_workbook, words_text};
use crate::{
    config::{
        bot::{
            ADMIN, Alert, AlertRepeat, Ask, AskKind, Bot, ChoiceFrom, Otherwise, Recipients,
            Report as BotReport, SendAt, Sent, Subscription,
        },
        raw::bot::{
            Alert as RawAlert, Recipients as RawRecipients, SendAt as RawSendAt, Subscription as Raw,
        },
        resolve::{job, matrix::meant, report::Report, value},
        tree::Node,
    },
    model::{time::Period, value::Value},
};

/// Given subscriptions by name.
pub(super) fn subscriptions(
    scope: &Scope<'_>,
    bot: &Bot,
    report: &mut Report<'_>,
) -> IndexMap<String, Subscription> {
    let mut made = IndexMap::new();
    for (name, raw) in &scope.raw.subscription {
        let node = scope.tree.at(&["subscription", name]);
        if let Some(one) = subscription(raw, node, scope, bot, report) {
            made.insert(name.clone(), one);
        }
    }
    made
}

fn subscription(
    raw: &Raw,
    node: &Node,
    scope: &Scope<'_>,
    bot: &Bot,
    report: &mut Report<'_>,
) -> Option<Subscription> {
    let to = recipients(&raw.to, node.at(&["to"]), scope, report);
    let at = send_at(&raw.schedule, node.at(&["schedule"]), scope, report);
    let with: IndexMap<String, Value> =
        raw.with.iter().map(|(name, scalar)| (name.clone(), value::value(scalar))).collect();
    let what = match (&raw.report, &raw.workbook) {
        (Some(name), None) => {
            if !check_report(name, node.at(&["report"]), scope, report) {
                return None;
            }
            let about = bot.reports.get(name)?;
            check_answers(&with, about, node, report);
            check_reach(&to, about, node, bot, report);
            Sent::Report(name.clone())
        }
        (None, Some(mart)) => {
            check_workbook(mart, node.at(&["workbook"]), scope, bot, report);
            if !with.is_empty() {
                report.key(node.at(&["with"]), "conflicting-keys", "a workbook asks nothing", "");
            }
            Sent::Workbook(mart.clone())
        }
        _ => {
            let message = "a subscription sends one thing: `report` or `workbook`";
            report.value(node, "bad-subscription", message, "name one of them");
            return None;
        }
    };
    Some(Subscription {
        what,
        with,
        at: at?,
        wait_fresh: raw.schedule.wait_fresh,
        otherwise: raw.schedule.otherwise.unwrap_or(Otherwise::Warn),
        to,
    })
}

/// Every question of a report is answered, and nothing else.
fn check_answers(with: &IndexMap<String, Value>, about: &BotReport, node: &Node, report: &mut Report<'_>) {
    for (name, value) in with {
        let place = node.at(&["with", name]);
        match about.ask.get(name) {
            Some(ask) => check_answer(ask, value, place, report),
            None => {
                let known: Vec<&str> = about.ask.keys().map(String::as_str).collect();
                let message = format!("report `{}` does not ask for `{name}`", about.name);
                report.key(place, "unknown-question", message, meant(name, &known));
            }
        }
    }
    for (name, ask) in about.ask.iter().filter(|(name, ask)| !with.contains_key(*name) && !has_default(ask)) {
        let message = format!("report `{}` asks for `{name}`, and nobody answers", about.name);
        report.value(node, "missing-key", message, format!("add `{name}` to `with` ({})", ask.title.en));
    }
}

/// Whoever gets a report may run it.
fn check_reach(to: &Recipients, about: &BotReport, node: &Node, bot: &Bot, report: &mut Report<'_>) {
    for (at, role) in to.roles.iter().enumerate().filter(|(_, role)| !may_run(role, about)) {
        let place = node.at(&["to", "roles"]);
        let message = format!("role `{role}` may not run report `{}`", about.name);
        let hint = format!("add it to `roles` of [report.{}]", about.name);
        report.value(place.items().get(at).unwrap_or(place), "bad-recipient", message, hint);
    }
    for (at, chat) in to.chats.iter().enumerate() {
        let allowed =
            bot.chats.get(chat).is_none_or(|chat| chat.roles.iter().any(|role| may_run(role, about)));
        if !allowed {
            let place = node.at(&["to", "chats"]);
            let message = format!("no role of group `{chat}` may run report `{}`", about.name);
            report.value(place.items().get(at).unwrap_or(place), "bad-recipient", message, "");
        }
    }
}

/// Whether a question is answered without anyone.
fn has_default(ask: &Ask) -> bool {
    match &ask.kind {
        AskKind::Date(dates) | AskKind::DateRange(dates) => dates.default.is_some(),
        AskKind::Choice(choice) => choice.default.is_some() || choice.any.is_some() || ask.user.is_some(),
        AskKind::Number(number) => number.default.is_some(),
        AskKind::Text { default, .. } => default.is_some() || ask.user.is_some(),
    }
}

/// Checks the answer that a file gives to a question.
fn check_answer(ask: &Ask, value: &Value, place: &Node, report: &mut Report<'_>) {
    match &ask.kind {
        AskKind::Date(_) | AskKind::DateRange(_) => {
            let text = value.to_string();
            if Period::parse(&text, chrono::NaiveDate::default()).is_none() {
                let hint = Period::meant(&text).map(|meant| format!("did you mean `{meant}`?"));
                let message = format!("`{text}` is no period");
                report.value(place, "bad-period", message, hint.unwrap_or_default());
            }
        }
        AskKind::Choice(choice) => {
            if let ChoiceFrom::Values(values) = &choice.from
                && !values.contains_key(&value.to_string())
            {
                let known: Vec<&str> = values.keys().map(String::as_str).collect();
                let message = format!("`{value}` is none of the values");
                report.value(place, "bad-choice", message, meant(&value.to_string(), &known));
            }
        }
        AskKind::Number(number) => {
            let told = match value {
                Value::Int(told) => Some(*told as f64),
                Value::Float(told) => Some(told.get()),
                _ => None,
            };
            let within = told.is_some_and(|told| {
                number.least.is_none_or(|least| told >= least) && number.most.is_none_or(|most| told <= most)
            });
            if !within {
                report.value(place, "out-of-range", "this is no number within `min` and `max`", "");
            }
        }
        AskKind::Text { .. } => {}
    }
}

fn recipients(raw: &RawRecipients, node: &Node, scope: &Scope<'_>, report: &mut Report<'_>) -> Recipients {
    check_roles(&raw.roles, node.at(&["roles"]), scope, report);
    let known: Vec<&str> = scope.raw.chat.keys().map(String::as_str).collect();
    for (at, chat) in raw.chats.iter().enumerate().filter(|(_, chat)| !known.contains(&chat.as_str())) {
        let place = node.at(&["chats"]);
        let message = format!("there is no group `{chat}`");
        let place = place.items().get(at).unwrap_or(place);
        report.value(place, "unknown-chat", message, meant(chat, &known));
    }
    if raw.roles.is_empty() && raw.chats.is_empty() {
        report.value(node, "empty-recipients", "nobody gets it", "name `roles` or `chats`");
    }
    Recipients { roles: raw.roles.clone(), chats: raw.chats.clone() }
}

fn send_at(raw: &RawSendAt, node: &Node, scope: &Scope<'_>, report: &mut Report<'_>) -> Option<SendAt> {
    if raw.otherwise.is_some() && raw.wait_fresh.is_none() {
        let place = node.at(&["otherwise"]);
        report.key(place, "conflicting-keys", "`otherwise` goes with `wait_fresh`", "");
    }
    if raw.time_zone.is_some() && raw.cron.is_none() {
        report.key(node.at(&["time_zone"]), "conflicting-keys", "`time_zone` goes with `cron`", "");
    }
    match (&raw.cron, raw.every) {
        (Some(expression), None) => {
            let zone = raw.time_zone.as_ref().and_then(|zone| zone.parse().ok());
            Some(SendAt::Cron { expression: expression.clone(), zone: zone.unwrap_or(scope.project.zone) })
        }
        (None, Some(every)) if every.get().as_secs() >= 60 => Some(SendAt::Every(every)),
        (None, Some(_)) => {
            let place = node.at(&["every"]);
            report.value(place, "out-of-range", "`every` is less than a minute", "");
            None
        }
        _ => {
            report.value(node, "bad-schedule", "a schedule is `cron` or `every`", "");
            None
        }
    }
}

/// Alerts by name.
pub(super) fn alerts(scope: &Scope<'_>, bot: &Bot, report: &mut Report<'_>) -> IndexMap<String, Alert> {
    let mut made = IndexMap::new();
    for (name, raw) in &scope.raw.alert {
        let node = scope.tree.at(&["alert", name]);
        if let Some(alert) = alert(raw, node, scope, bot, report) {
            made.insert(name.clone(), alert);
        }
    }
    made
}

fn alert(
    raw: &RawAlert,
    node: &Node,
    scope: &Scope<'_>,
    bot: &Bot,
    report: &mut Report<'_>,
) -> Option<Alert> {
    let to = recipients(&raw.to, node.at(&["to"]), scope, report);
    let at = send_at(&raw.schedule, node.at(&["schedule"]), scope, report);
    if let Some(key) = ["wait_fresh", "otherwise"].iter().find_map(|key| node.at(&["schedule"]).get(key)) {
        report.key(key, "conflicting-keys", "this goes with subscriptions", "");
    }
    let chats = to.chats.iter().filter_map(|chat| bot.chats.get(chat)).flat_map(|chat| &chat.roles);
    for role in to.roles.iter().chain(chats).filter(|role| *role != ADMIN) {
        if bot.roles.get(role).is_some_and(|role| !role.rows.is_empty()) {
            let message =
                format!("an alert is looked for once for everyone, and role `{role}` may not see every row");
            report.value(node.at(&["to"]), "bad-recipient", message, "make it a subscription");
        }
    }
    let quiet = raw.quiet.as_ref().and_then(|quiet| {
        let hour = |text: &str, key: &str, report: &mut Report<'_>| {
            let found = NaiveTime::parse_from_str(text, "%H:%M").ok();
            if found.is_none() {
                let place = node.at(&["quiet", key]);
                report.value(place, "bad-time", format!("`{text}` is no time of day"), "write \"22:00\"");
            }
            found
        };
        hour(&quiet.from, "from", report).zip(hour(&quiet.until, "until", report))
    });
    let repeat = match &raw.repeat {
        Some(AlertRepeat::After(span)) => Some(*span),
        Some(AlertRepeat::Never(_)) | None => None,
    };
    let title = words_text(&raw.title, node.at(&["title"]), report);
    let sql = job::sql(&raw.sql, node.at(&["sql"]), report)?;
    Some(Alert { title, sql, at: at?, to, repeat, quiet })
}
