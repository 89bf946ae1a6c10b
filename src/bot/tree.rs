//! The tree of menus as one viewer sees it: what their roles may run, and the menus that have any of it.

use super::{
    event::Viewer,
    scene::{Scene, may_run},
    words::{COMMANDS, Words, is_command, is_own_command},
};
use crate::config::bot::{Bot, MenuItem};

/// Rows of a menu on one screen.
pub(super) const PAGE: usize = 8;

/// One row of a menu.
pub(super) struct Entry<'a> {
    /// Its place among the menu's items, seen or not.
    pub(super) index: usize,
    /// On its button.
    pub(super) label: &'a str,
    /// The report that it is; `None` = a menu.
    pub(super) report: Option<&'a str>,
}

/// What a viewer sees of the menu at a path; `None` = there is no such menu for them.
pub(super) fn entries<'a>(scene: &Scene<'a>, path: &[usize]) -> Option<Vec<Entry<'a>>> {
    let mut items = scene.bot.menu.as_slice();
    for index in path {
        match items.get(*index)? {
            MenuItem::Menu { items: inner, .. } => items = inner,
            MenuItem::Report(_) => return None,
        }
    }
    let seen: Vec<Entry<'a>> =
        items.iter().enumerate().filter_map(|(index, item)| entry(scene, index, item)).collect();
    (path.is_empty() || !seen.is_empty()).then_some(seen)
}

fn entry<'a>(scene: &Scene<'a>, index: usize, item: &'a MenuItem) -> Option<Entry<'a>> {
    match item {
        MenuItem::Report(name) => {
            let report = scene.report(name)?;
            Some(Entry { index, label: scene.text(&report.title), report: Some(name) })
        }
        MenuItem::Menu { title, items } => {
            let any = items.iter().enumerate().any(|(at, item)| entry(scene, at, item).is_some());
            any.then(|| Entry { index, label: scene.text(title), report: None })
        }
    }
}

/// The title of the menu at a path.
pub(super) fn title<'a>(scene: &Scene<'a>, path: &[usize]) -> &'a str {
    let (mut items, mut title) = (scene.bot.menu.as_slice(), scene.text(&scene.bot.title));
    for index in path {
        if let Some(MenuItem::Menu { title: own, items: inner }) = items.get(*index) {
            (title, items) = (scene.text(own), inner);
        }
    }
    title
}

/// The commands that someone has, each with its description: the bot's own, then those of reports, with those of their aliases that Telegram takes. What
/// Telegram is told.
pub fn commands(bot: &Bot, viewer: &Viewer, words: &Words) -> Vec<(String, String)> {
    let own = COMMANDS.iter().map(|(name, about)| ((*name).to_owned(), about(words).to_owned()));
    let mut list: Vec<(String, String)> = own.collect();
    let reports = || bot.reports.values().filter(move |report| may_run(viewer, report));
    let commands = reports().filter_map(|report| Some((report.command.clone()?, report)));
    let aliases =
        reports().flat_map(|report| report.aliases.iter().map(move |alias| (alias.to_lowercase(), report)));
    for (name, report) in
        commands.chain(aliases.filter(|(alias, _)| is_command(alias) && !is_own_command(alias)))
    {
        if list.iter().all(|(known, _)| *known != name) {
            list.push((name, report.title.get(words.language()).to_owned()));
        }
    }
    list
}
