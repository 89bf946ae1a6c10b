//! What one step of the dialog sees besides the state.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    event::{Access, Viewer},
    words::Words,
};
use crate::config::{
    bot::{ADMIN, Bot, Report, Text},
    project::Language,
};

/// The surroundings of one step.
pub(super) struct Scene<'a> {
    pub(super) bot: &'a Bot,
    pub(super) viewer: &'a Viewer,
    pub(super) words: Words,
    pub(super) now: DateTime<Utc>,
    /// The day in the viewer's zone.
    pub(super) today: NaiveDate,
}

impl<'a> Scene<'a> {
    pub(super) fn new(bot: &'a Bot, viewer: &'a Viewer, now: DateTime<Utc>) -> Self {
        let today = now.with_timezone(&viewer.zone).date_naive();
        Self { bot, viewer, words: Words::new(&bot.texts, viewer.language), now, today }
    }

    pub(super) fn language(&self) -> Language {
        self.viewer.language
    }

    /// A text in the viewer's language.
    pub(super) fn text(&self, text: &'a Text) -> &'a str {
        text.get(self.viewer.language)
    }

    /// A report that the viewer may run.
    pub(super) fn report(&self, name: &str) -> Option<&'a Report> {
        self.bot.reports.get(name).filter(|report| may_run(self.viewer, report))
    }

    /// The reports that the viewer may run, in the file's order.
    pub(super) fn reports(&self) -> impl Iterator<Item = &'a Report> + '_ {
        self.bot.reports.values().filter(|report| may_run(self.viewer, report))
    }

    /// The values of one of the viewer's attributes.
    pub(super) fn attribute(&self, name: &str) -> &'a [String] {
        match &self.viewer.access {
            Access::Member { attributes, .. } => attributes.get(name).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }
}

/// Whether someone may run a report, by whatever way.
pub(super) fn may_run(viewer: &Viewer, report: &Report) -> bool {
    let Access::Member { roles, .. } = &viewer.access else { return false };
    roles.iter().any(|role| role == ADMIN || report.roles.contains(role))
}
