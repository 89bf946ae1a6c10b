//! What the front-end's parts share: the bot as its files say now, its records, where messages go, the time.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use tokio::sync::Notify;

use super::{
    failures::Failures,
    files::Files,
    html,
    parcel::{self, To},
};
use crate::{
    bot::{
        access,
        event::{Access, Place, Subscribes, Viewer},
        screen::{Button, Screen},
        subscribe,
        words::Words,
    },
    config::{
        bot::{Bot, Sent},
        project::{Language, Mart, MartOutput, Project},
    },
    model::time::Clock,
    state::{
        bot::{
            BotRecords,
            outbox::NewMessage,
            users::{Act, User, UserFilter},
        },
        error::Result,
    },
};

/// The bot as its files say.
#[derive(Debug, Clone)]
pub struct Setting {
    /// `bot.toml` and `reports/`.
    pub bot: Bot,
    /// The marts that make workbooks, each with what people call it.
    pub workbooks: IndexMap<String, String>,
    /// The project's zone.
    pub zone: Tz,
    /// The project's language.
    pub language: Language,
}

impl Setting {
    /// The bot of a project; `None` = it has none.
    pub fn of(project: &Project) -> Option<Self> {
        let makes =
            |mart: &&Mart| mart.members.iter().any(|member| matches!(member.output, MartOutput::Workbook(_)));
        let workbooks = project.marts.values().filter(makes).map(|mart| {
            let name = mart.info.name.to_string();
            (name.clone(), mart.info.description.clone().unwrap_or(name))
        });
        let (zone, language) = (project.zone, project.language);
        Some(Self { bot: project.bot.clone()?, workbooks: workbooks.collect(), zone, language })
    }

    /// What people call something that a subscription sends; `None` = the files do not have it any more.
    pub(super) fn title(&self, what: &Sent, language: Language) -> Option<String> {
        match what {
            Sent::Report(name) => Some(self.bot.reports.get(name)?.title.get(language).to_owned()),
            Sent::Workbook(mart) => Some(format!("📗 {}", self.workbooks.get(mart)?)),
        }
    }
}

/// Gives the files as they are now.
pub type Settings = Arc<dyn Fn() -> Arc<Setting> + Send + Sync>;

/// What the parts share.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) settings: Settings,
    pub(super) records: Arc<BotRecords>,
    pub(super) files: Files,
    pub(super) clock: Arc<dyn Clock>,
    /// How often it is looked what is due.
    pub(super) look: std::time::Duration,
    /// Told whenever something was put into the outbox.
    pub(super) news: Arc<Notify>,
    /// Which failures admins were told of lately.
    pub(super) failures: Arc<Mutex<Failures>>,
}

impl Office {
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn setting(&self) -> Arc<Setting> {
        (self.settings)()
    }

    /// Who looks at what they see in a chat, with the rights of this moment.
    pub(super) fn viewer(&self, user: &User, chat: i64) -> Result<Viewer> {
        let setting = self.setting();
        let private = user.id == chat;
        let access = if private {
            access::of_user(&setting.bot, user.id, Some(user), self.now())
        } else {
            access::of_group(&setting.bot, &self.records.ids_of(chat)?)
        };
        let zone = user.zone.as_deref().and_then(|zone| zone.parse().ok()).unwrap_or(setting.zone);
        let language = self.language(user);
        Ok(Viewer { user: user.id, chat, language, zone, access, subscribes: Subscribes::Yes })
    }

    /// The same of someone who does something: with whether they have room for a subscription more.
    pub(super) fn doer(&self, user: &User, chat: i64) -> Result<Viewer> {
        let viewer = self.viewer(user, chat)?;
        let full = self.records.subscriptions_of(user.id)? >= subscribe::MOST;
        Ok(Viewer { subscribes: if full { Subscribes::Full } else { Subscribes::Yes }, ..viewer })
    }

    /// A group as the one who looks, by an id that it has or had.
    pub(super) fn group(&self, chat: i64) -> Result<Viewer> {
        let (setting, chat) = (self.setting(), self.records.present_id(chat)?);
        let access = access::of_group(&setting.bot, &self.records.ids_of(chat)?);
        let (language, zone) = (setting.language, setting.zone);
        Ok(Viewer { user: chat, chat, language, zone, access, subscribes: Subscribes::Yes })
    }

    /// What the bot says in a language.
    pub(super) fn words(&self, language: Language) -> Words {
        Words::new(&self.setting().bot.texts, language)
    }

    /// What the bot says to someone.
    pub(super) fn words_to(&self, user: &User) -> Words {
        self.words(self.language(user))
    }

    pub(super) fn language(&self, user: &User) -> Language {
        access::language(user.language.as_deref(), self.setting().language)
    }

    /// Whether someone is an admin now.
    pub(super) fn is_admin(&self, user: i64) -> Result<bool> {
        let known = self.records.user(user)?;
        let access = access::of_user(&self.setting().bot, user, known.as_ref(), self.now());
        Ok(access::is_admin(&access))
    }

    /// Every member with their rights of this moment.
    pub(super) fn members(&self) -> Result<Vec<(User, Access)>> {
        let (setting, now) = (self.setting(), self.now());
        let users = self.records.users(&UserFilter::default(), 0, usize::MAX)?;
        let with = users.into_iter().map(|user| {
            let access = access::of_user(&setting.bot, user.id, Some(&user), now);
            (user, access)
        });
        Ok(with.filter(|(_, access)| matches!(access, Access::Member { .. })).collect())
    }

    /// A notice to every admin who can be written to, in their language, put into messages.
    pub(super) fn to_admins(
        &self,
        text: impl Fn(&Words) -> String,
        rows: impl Fn(&Words) -> Vec<Vec<Button>>,
    ) -> Result<Vec<NewMessage>> {
        let setting = self.setting();
        let users = self.records.users(&UserFilter::default(), 0, usize::MAX)?;
        let admins = access::admins(&setting.bot, &users, self.now());
        let known = |admin: i64| users.iter().find(|user| user.id == admin);
        let reached = admins.into_iter().filter(|admin| known(*admin).is_none_or(|user| user.reachable));
        let told = reached.map(|admin| {
            let user = known(admin);
            let language = user.map_or(setting.language, |user| self.language(user));
            let words = Words::new(&setting.bot.texts, language);
            parcel::notice(admin, text(&words), &rows(&words))
        });
        Ok(told.collect())
    }

    /// The messages of a screen.
    pub(super) fn parcels(&self, screen: &Screen, place: Place, to: To) -> Vec<NewMessage> {
        let words = self.words(to.language);
        parcel::parcels(&self.files, screen, place, to, &words).unwrap_or_else(|error| {
            tracing::error!("a screen cannot be put into the outbox: {error}");
            vec![parcel::notice(to.chat, html::escape(words.crashed()), &[])]
        })
    }

    /// Puts messages into the outbox.
    pub(super) fn put(&self, messages: &[NewMessage]) -> Result<()> {
        if !messages.is_empty() {
            self.records.put_messages(messages, self.now())?;
            self.news.notify_one();
        }
        Ok(())
    }

    /// Something that someone did now, for the audit.
    pub(super) fn act(&self, actor: i64, act: &str, detail: impl Into<String>) -> Act {
        Act { at: self.now(), actor: actor.to_string(), act: act.to_owned(), detail: detail.into() }
    }
}
