//! Telegram's updates as what somebody did; kinds that the bot does not know are nothing.

use teloxide::types::{
    ChatKind, ChatMemberKind, MaybeInaccessibleMessage, Message, MessageKind, Update, UpdateKind, User,
};

use crate::state::bot::users::Name;

/// What somebody did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incoming {
    /// Telegram's number of the update.
    pub(super) update: u32,
    /// Who.
    pub(super) from: Name,
    /// Where.
    pub(super) chat: i64,
    /// What.
    pub(super) did: Did,
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Did {
    /// They wrote `/name arguments`.
    Command(String, String),
    /// They wrote.
    Wrote(String),
    /// They sent what has no words: a voice, a picture.
    Sent,
    /// They pressed a button.
    Pressed {
        /// Of the press; it is answered once.
        callback: String,
        /// The message that has the button.
        message: i32,
        /// What stood behind it.
        data: String,
    },
    /// They blocked the bot, or put it out of a group.
    ShutOut,
    /// Their group is another chat now.
    Moved {
        /// Its new id.
        to: i64,
    },
}

impl Incoming {
    /// Whether it is the private chat of the one who did it.
    pub(super) fn is_private(&self) -> bool {
        self.chat == self.from.id
    }
}

/// What an update means to a bot of this user name; `None` = nothing.
pub(super) fn incoming(update: Update, me: &str) -> Option<Incoming> {
    let number = update.id.0;
    let made =
        |from: &User, chat: i64, did: Did| Some(Incoming { update: number, from: name(from), chat, did });
    match update.kind {
        UpdateKind::Message(message) => {
            let chat = message.chat.id.0;
            if let MessageKind::Common(_) = &message.kind
                && let Some(to) = message.migrate_to_chat_id()
            {
                return made(message.from.as_ref()?, chat, Did::Moved { to: to.0 });
            }
            let from = message.from.as_ref().filter(|from| !from.is_bot)?;
            made(from, chat, said(&message, me)?)
        }
        UpdateKind::CallbackQuery(query) => {
            let (chat, message) = match query.message.as_ref()? {
                MaybeInaccessibleMessage::Regular(message) => (message.chat.id.0, message.id.0),
                MaybeInaccessibleMessage::Inaccessible(message) => (message.chat.id.0, message.message_id.0),
            };
            let did = Did::Pressed { callback: query.id.0.clone(), message, data: query.data.clone()? };
            made(&query.from, chat, did)
        }
        UpdateKind::MyChatMember(change) => {
            let out = matches!(change.new_chat_member.kind, ChatMemberKind::Left | ChatMemberKind::Banned(_));
            if out { made(&change.from, change.chat.id.0, Did::ShutOut) } else { None }
        }
        UpdateKind::Error(unknown) => {
            let kind = unknown.as_object().and_then(|update| update.keys().find(|key| *key != "update_id"));
            tracing::debug!("an update of a kind that is not known: {kind:?}");
            None
        }
        _ => None,
    }
}

/// Words of a message. In a group the bot hears its own commands, and answers to what it said.
fn said(message: &Message, me: &str) -> Option<Did> {
    let private = matches!(message.chat.kind, ChatKind::Private(_));
    let Some(text) = message.text().or(message.caption()).map(str::trim) else {
        // Of several pictures at once, each is a message of its own.
        let one = matches!(message.kind, MessageKind::Common(_)) && message.media_group_id().is_none();
        return (private && one).then_some(Did::Sent);
    };
    if let Some(command) = text.strip_prefix('/') {
        let (word, arguments) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let (name, whose) = word.split_once('@').unwrap_or((word, me));
        let ours = whose.eq_ignore_ascii_case(me);
        return ours.then(|| Did::Command(name.to_lowercase(), arguments.trim().to_owned()));
    }
    let replies = message.reply_to_message().and_then(|to| to.from.as_ref());
    let to_us = replies
        .is_some_and(|from| from.username.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(me)));
    (private || to_us).then(|| Did::Wrote(text.to_owned()))
}

fn name(user: &User) -> Name {
    Name {
        id: user.id.0 as i64,
        name: user.full_name(),
        username: user.username.clone(),
        language: user.language_code.clone(),
    }
}

/// Reads an update that was posted; `None` = it is none. From the text itself: teloxide reads no update out of a JSON value.
pub(super) fn posted(text: &str) -> Option<Update> {
    serde_json::from_str(text).ok()
}
