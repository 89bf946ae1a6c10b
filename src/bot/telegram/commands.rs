//! The commands that Telegram shows behind `/`: for everyone to begin with, and for each chat by what its rights open.

use std::{collections::HashMap, sync::Arc};

use teloxide::{
    Bot as Telegram,
    payloads::SetMyCommandsSetters,
    prelude::Requester,
    types::{BotCommand, BotCommandScope, ChatId, Recipient},
};

use super::office::Setting;
use crate::{
    bot::{
        access,
        event::{Access, Viewer},
        tree,
        words::{Texts, Words},
    },
    config::project::Language,
};

/// Commands that Telegram shows of one chat.
const COMMANDS: usize = 100;
/// Chats that are remembered; past it all are told anew when they speak.
const CHATS: usize = 10_000;
/// Characters of a description.
const DESCRIPTION: usize = 256;

/// Commands of a chat: names and descriptions.
type List = Vec<(String, String)>;

/// What Telegram shows where.
pub(super) struct Commands {
    telegram: Telegram,
    told: HashMap<i64, List>,
}

impl Commands {
    pub(super) fn new(telegram: Telegram) -> Self {
        Self { telegram, told: HashMap::new() }
    }

    /// Tells Telegram of a chat's commands, where they are others than it was told before.
    pub(super) fn keep(&mut self, setting: &Setting, viewer: &Viewer) {
        let private = viewer.user == viewer.chat;
        // In a group they are everyone's.
        let language = if private { viewer.language } else { setting.language };
        let words = Words::new(&setting.bot.texts, language);
        let mut list = tree::commands(&setting.bot, viewer, &words);
        if private && matches!(viewer.access, Access::Member { .. }) {
            list.push(("subscriptions".to_owned(), words.subscriptions().to_owned()));
        }
        if private && access::is_admin(&viewer.access) {
            list.push(("users".to_owned(), words.users().to_owned()));
        }
        if self.told.get(&viewer.chat) == Some(&list) {
            return;
        }
        if self.told.len() >= CHATS {
            self.told.clear();
        }
        self.told.insert(viewer.chat, list.clone());
        let scope = BotCommandScope::Chat { chat_id: Recipient::Id(ChatId(viewer.chat)) };
        set(&self.telegram, list, scope, "");
    }
}

/// What someone sees whom the bot does not know, in each language.
pub(super) fn set_defaults(telegram: &Telegram, texts: &Arc<Texts>, projects: Language) {
    let start = |language| Words::new(texts, language).begin().to_owned();
    for (code, language) in [("", projects), ("ru", Language::Ru), ("en", Language::En)] {
        set(telegram, vec![("start".to_owned(), start(language))], BotCommandScope::Default, code);
    }
}

/// Beside everything else: a list that did not arrive costs nobody a report.
fn set(telegram: &Telegram, list: List, scope: BotCommandScope, language: &'static str) {
    let commands = list.into_iter().take(COMMANDS).map(|(name, title)| {
        let title: String = title.chars().take(DESCRIPTION).collect();
        BotCommand::new(name, if title.trim().is_empty() { "…".to_owned() } else { title })
    });
    let request = telegram.set_my_commands(commands).scope(scope);
    let request = if language.is_empty() { request } else { request.language_code(language.to_owned()) };
    tokio::spawn(async move {
        if let Err(error) = request.await {
            tracing::warn!("the list of commands was not set: {:?}", super::send::verdict(&error));
        }
    });
}
