//! Looks for what alerts look for, and tells it once.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use super::{answers::Answers, firing::Firing, html::escape, office::Office, parcel, troubles};
use crate::{
    bot::{
        due::{self, Tell},
        event::Viewer,
        words::Words,
    },
    config::bot::{Alert, Bot},
    state::{bot::outbox::NewMessage, error::Result},
};

/// Begins the names of alerts that `bot.toml` does not name; no name there has a blank in front.
const BUILT_IN: &str = " ";
/// Characters of what an alert found.
const FOUND: usize = 2_000;

/// The task that looks.
pub(super) struct Alerts {
    pub(super) office: Office,
    pub(super) answers: Arc<dyn Answers>,
}

impl Alerts {
    /// Looks until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<()> {
        let began = self.office.now();
        let mut looked: HashMap<String, DateTime<Utc>> = HashMap::new();
        let mut failing: HashMap<String, String> = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.office.look) => {}
            }
            self.built_in().await?;
            let setting = self.office.setting();
            for (name, alert) in &setting.bot.alerts {
                let (cron, zone) = due::written(&alert.at);
                let last = looked.get(name).copied().unwrap_or(began);
                let due = due::timing(&cron, &zone)
                    .and_then(|timing| due::due(&timing, last, TimeDelta::zero(), self.office.now()));
                let Some(due) = due else { continue };
                looked.insert(name.clone(), due.newest);
                let found = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    found = self.answers.alert(name) => found,
                };
                match found {
                    Ok(found) => {
                        failing.remove(name);
                        self.rule(name, alert, found.as_deref())?;
                    }
                    // Told once, not at every look.
                    Err(cause) if failing.get(name) != Some(&cause) => {
                        troubles::report_failed(&self.office, 0, name, &cause)?;
                        failing.insert(name.clone(), cause);
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Tells admins of what fails, once until it works again.
    async fn built_in(&self) -> Result<()> {
        // What cannot be told is not over.
        let Some(failing) = self.answers.failing().await else { return Ok(()) };
        let raised = self.office.records.raised(BUILT_IN)?;
        let over = raised.iter().filter_map(|name| name.strip_prefix(BUILT_IN));
        let over: Vec<&str> = over.filter(|name| !failing.contains_key(*name)).collect();
        let found = failing.iter().map(|(name, why)| (name.as_str(), Some(why.as_str())));
        for (name, why) in found.chain(over.into_iter().map(|name| (name, None))) {
            let (key, now) = (format!("{BUILT_IN}{name}"), self.office.now());
            let ruling = due::rule(self.office.records.alert(&key)?, why.is_some(), None, false, now);
            let Some(tell) = ruling.tell else { continue };
            let text = |words: &Words| match tell {
                Tell::Raised => {
                    let why: String = why.unwrap_or_default().chars().take(FOUND).collect();
                    format!("🔴 <b>{}</b>\n<pre>{}</pre>", escape(name), escape(&why))
                }
                Tell::Recovered => format!("{}: <b>{}</b>", escape(words.recovered()), escape(name)),
            };
            let messages = self.office.to_admins(text, |_| vec![])?;
            self.office.records.set_alert(&key, ruling.raised, &messages, now)?;
            self.office.news.notify_one();
        }
        Ok(())
    }

    fn rule(&self, name: &str, alert: &Alert, found: Option<&str>) -> Result<()> {
        let (setting, now) = (self.office.setting(), self.office.now());
        let stood = self.office.records.alert(name)?;
        let repeat = alert.repeat.and_then(|span| TimeDelta::from_std(span.get()).ok());
        let quiet = due::is_quiet(alert.quiet, setting.zone, now);
        let ruling = due::rule(stood, found.is_some(), repeat, quiet, now);
        let firing = Firing { office: self.office.clone(), answers: Arc::clone(&self.answers) };
        let to = match ruling.tell {
            Some(_) => firing.recipients(&setting.bot, &alert.to, &self.office.members()?)?,
            None => vec![],
        };
        let messages: Vec<NewMessage> = to
            .iter()
            .filter_map(|viewer| Some(told(&setting.bot, alert, ruling.tell?, found, viewer)))
            .collect();
        self.office.records.set_alert(name, ruling.raised, &messages, now)?;
        self.office.news.notify_one();
        Ok(())
    }
}

fn told(bot: &Bot, alert: &Alert, tell: Tell, found: Option<&str>, viewer: &Viewer) -> NewMessage {
    let title = escape(alert.title.get(viewer.language));
    let text = match tell {
        Tell::Raised => {
            let found: String = found.unwrap_or_default().chars().take(FOUND).collect();
            format!("🔴 <b>{title}</b>\n<pre>{}</pre>", escape(&found))
        }
        Tell::Recovered => {
            let words = Words::new(&bot.texts, viewer.language);
            format!("{}: <b>{title}</b>", escape(words.recovered()))
        }
    };
    parcel::notice(viewer.chat, text, &[])
}
