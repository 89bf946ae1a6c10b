//! `bot.toml` and `reports/` → the [`Bot`], every name of it proved. Its SQL is judged behind, in [`typing`], when the columns of all jobs are known.

mod ask;
mod dialogs;
mod drilled;
mod menu;
mod people;
mod reach;
mod reports;
mod send;
mod show;
mod template;
mod texts;
pub(super) mod typing;

use std::sync::Arc;

use indexmap::IndexMap;

use super::report::Report;
use crate::config::{
    bot::{Bot, Report as BotReport, Text},
    files::Files,
    project::Project,
    raw::bot::{BotFile, ReportFile, Words},
    tree::Node,
};

/// A report as it was written, and where.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    raw: &'a ReportFile,
    node: &'a Node,
}

/// The bot and the files that it comes from.
pub(super) struct BotFiles<'a> {
    pub(super) bot: Option<&'a mut Bot>,
    pub(super) written: IndexMap<String, Written<'a>>,
    pub(super) tree: Option<&'a Node>,
}

/// What the parts of the bot are resolved against.
struct Scope<'a> {
    project: &'a Project,
    raw: &'a BotFile,
    tree: &'a Node,
    /// Every report that is written, by name.
    reports: &'a IndexMap<String, Written<'a>>,
    /// Whether some could not be read: nothing is said about who names them.
    torn: bool,
}

/// The bot, where there is one.
pub(super) fn bot(files: &Files, project: &Project, report: &mut Report<'_>) -> Option<Bot> {
    let (file, tree) = match &files.bot {
        Some(file) => (file.raw.clone(), &file.tree),
        None => (BotFile::default(), &files.reports.first()?.tree),
    };
    let written = written(files);
    written_twice(files, report);
    let torn = files.unread.iter().any(|name| !written.contains_key(name.as_str()));
    let scope = Scope { project, raw: &file, tree, reports: &written, torn };
    let mut bot = Bot {
        token: file.bot.token.clone(),
        api_url: reach::api_url(&scope, report),
        webhook: reach::webhook(&scope, report),
        model: reach::model(&scope, report),
        title: optional(file.bot.title.as_ref(), tree.at(&["bot", "title"]), report)
            .unwrap_or_else(|| Text::one(&project.name)),
        greeting: optional(file.bot.greeting.as_ref(), tree.at(&["bot", "greeting"]), report),
        texts: Arc::new(texts::texts(&scope, report)),
        admins: people::admins(&scope),
        request: file.access.request.unwrap_or(true),
        attributes: people::attributes(&scope, report),
        ..Bot::default()
    };
    bot.roles = people::roles(&scope, &bot.attributes, report);
    bot.reports = reports::reports(&scope, &bot, report);
    show::check(&scope, &bot, report);
    reports::check_words(&scope, &bot, report);
    bot.menu = menu::menu(&scope, report);
    bot.chats = people::chats(&scope, &bot, report);
    bot.subscriptions = send::subscriptions(&scope, &bot, report);
    bot.alerts = send::alerts(&scope, &bot, report);
    bot.dialogs = dialogs::dialogs(&scope, &bot, report);
    Some(bot)
}

/// Every report with its place: those of `bot.toml` first, which win.
pub(super) fn written(files: &Files) -> IndexMap<String, Written<'_>> {
    let in_bot = files.bot.iter().flat_map(|file| {
        let at = |name: &String| file.tree.at(&["report", name]);
        file.raw.report.iter().map(move |(name, raw)| (name.clone(), Written { raw, node: at(name) }))
    });
    let own = files
        .reports
        .iter()
        .map(|file| (file.name.to_string(), Written { raw: &file.raw, node: &file.tree }));
    own.collect::<IndexMap<_, _>>().into_iter().fold(
        in_bot.collect(),
        |mut all: IndexMap<_, _>, (name, file)| {
            all.entry(name).or_insert(file);
            all
        },
    )
}

/// The matrices that attributes and lists are made from.
pub(super) fn matrices(files: &Files) -> Vec<String> {
    let attributes = files.bot.iter().flat_map(|file| file.raw.user.values().map(|user| &user.from));
    let written = written(files);
    let asks = written.values().flat_map(|written| written.raw.ask.values().map(|ask| &ask.from));
    let all = attributes.chain(asks).flatten().filter_map(|from| from.strip_prefix("matrix."));
    all.map(str::to_owned).collect()
}

/// Reports that stand in two places.
fn written_twice(files: &Files, report: &mut Report<'_>) {
    for file in &files.reports {
        let name = file.name.as_str();
        if files.bot.as_ref().is_some_and(|bot| bot.raw.report.contains_key(name)) {
            let message = format!("report `{name}` stands in bot.toml as well");
            report.file(file.tree.file.to_path_buf(), "duplicate-name", message, "rename one of them");
        }
    }
}

/// A text in both languages; one that is empty is reported.
fn words_text(words: &Words, node: &Node, report: &mut Report<'_>) -> Text {
    let text = match words {
        Words::One(text) => Text::one(text),
        Words::Each(each) => {
            let either = each.ru.as_ref().or(each.en.as_ref()).cloned().unwrap_or_default();
            let or = |text: &Option<String>| text.clone().unwrap_or_else(|| either.clone());
            Text { ru: or(&each.ru), en: or(&each.en) }
        }
    };
    if text.ru.trim().is_empty() || text.en.trim().is_empty() {
        report.value(node, "empty-text", "this text is empty", "write it, or leave the key out");
    }
    text
}

fn optional(words: Option<&Words>, node: &Node, report: &mut Report<'_>) -> Option<Text> {
    words.map(|words| words_text(words, node, report))
}

/// Reports names of roles that there are not.
fn check_roles(names: &[String], node: &Node, scope: &Scope<'_>, report: &mut Report<'_>) {
    for (at, name) in names.iter().enumerate() {
        if name != crate::config::bot::ADMIN && !scope.raw.roles.contains_key(name) {
            let known: Vec<&str> = scope.raw.roles.keys().map(String::as_str).collect();
            let place = node.items().get(at).unwrap_or(node);
            let hint = super::matrix::meant(name, &known);
            report.value(place, "unknown-role", format!("there is no role `{name}`"), hint);
        }
    }
}

/// The report of a name; reported where there is none.
fn check_report(name: &str, place: &Node, scope: &Scope<'_>, report: &mut Report<'_>) -> bool {
    let found = scope.reports.contains_key(name);
    if !found && !scope.torn {
        let known: Vec<&str> = scope.reports.keys().map(String::as_str).collect();
        let hint = super::matrix::meant(name, &known);
        report.value(place, "unknown-report", format!("there is no report `{name}`"), hint);
    }
    found
}

/// Whether a role may run a report.
fn may_run(role: &str, report: &BotReport) -> bool {
    role == crate::config::bot::ADMIN || report.roles.iter().any(|name| name == role)
}
