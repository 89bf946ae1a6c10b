//! Looks for what alerts look for, and tells it once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{
    answers::Answers,
    firing::Firing,
    html::escape,
    office::{Office, Setting},
    parcel, troubles,
};
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
/// How long looking for one alert, or at the project, may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Alerts that are looked for at once.
const AT_ONCE: usize = 4;
/// Characters of what an alert found.
const FOUND: usize = 2_000;

/// The task that looks.
pub(super) struct Alerts {
    pub(super) office: Office,
    pub(super) answers: Arc<dyn Answers>,
}

/// An alert whose time has come: its name, up to when it is looked for, and itself.
type Due = (String, DateTime<Utc>, Alert);

impl Alerts {
    /// Looks until it is told to stop. What the project does wrong is looked at beside the alerts of the file, which may take their time.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<()> {
        let looks = async { tokio::try_join!(self.look_at_project(), self.look_for_alerts()).map(drop) };
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            looked = looks => looked,
        }
    }

    async fn look_at_project(&self) -> Result<()> {
        loop {
            tokio::time::sleep(self.office.look).await;
            self.built_in().await?;
        }
    }

    async fn look_for_alerts(&self) -> Result<()> {
        let mut failing: HashMap<String, String> = HashMap::new();
        let mut known: Option<Arc<Setting>> = None;
        loop {
            let setting = self.office.setting();
            if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &setting)) {
                let names: Vec<&str> = setting.bot.alerts.keys().map(String::as_str).collect();
                self.office.records.keep_alerts(&names, BUILT_IN)?;
                known = Some(setting);
            }
            let due = self.due()?;
            let looked = due.into_iter().map(async |(name, at, alert)| {
                let found = tokio::time::timeout(LONGEST, self.answers.alert(&name)).await;
                let found =
                    found.unwrap_or_else(|_| Err(format!("it took longer than {} s", LONGEST.as_secs())));
                (name, at, alert, found)
            });
            let mut looked = futures::stream::iter(looked).buffer_unordered(AT_ONCE);
            while let Some((name, at, alert, found)) = looked.next().await {
                match found {
                    Ok(found) => {
                        failing.remove(&name);
                        self.rule(&name, &alert, found.as_deref())?;
                    }
                    // Told once, not at every look.
                    Err(cause) if failing.get(&name) != Some(&cause) => {
                        troubles::report_failed(&self.office, 0, &name, &cause)?;
                        failing.insert(name.clone(), cause);
                    }
                    Err(_) => {}
                }
                // A process that ends before this looks once more: what was told is not told again.
                self.office.records.set_looked(&name, at)?;
            }
            tokio::time::sleep(self.office.look).await;
        }
    }

    /// Alerts whose time has come, also while nobody looked: several times are one.
    fn due(&self) -> Result<Vec<Due>> {
        let (setting, now) = (self.office.setting(), self.office.now());
        let mut found = vec![];
        for (name, alert) in &setting.bot.alerts {
            let (cron, zone) = due::written(&alert.at);
            let last = self.office.records.looked(name, now)?;
            let due =
                due::timing(&cron, &zone).and_then(|timing| due::due(&timing, last, TimeDelta::zero(), now));
            found.extend(due.map(|due| (name.clone(), due.newest, alert.clone())));
        }
        Ok(found)
    }

    /// Tells admins of what fails, once until it works again.
    async fn built_in(&self) -> Result<()> {
        // What cannot be told is not over.
        let failing = tokio::time::timeout(LONGEST, self.answers.failing()).await;
        let Ok(Some(failing)) = failing.inspect_err(|_| tracing::warn!("what is wrong is not told in time"))
        else {
            return Ok(());
        };
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
