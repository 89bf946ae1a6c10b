//! One message to Telegram, and what its answer means.
//!
//! Telegram has no key by which a message that is sent again is known again. An edit or a deletion that was done already says so, and a
//! connection that was never made sent nothing; but where a message was on its way and no answer came, nobody can know whether it arrived.
//! Then it is sent again: a double is better than a loss.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use teloxide::{
    ApiError, Bot, RequestError,
    payloads::{
        EditMessageMediaSetters, EditMessageReplyMarkupSetters, EditMessageTextSetters, SendDocumentSetters,
        SendMessageSetters, SendPhotoSetters,
    },
    prelude::Requester,
    types::{
        ChatId, FileId, InlineKeyboardButton, InlineKeyboardMarkup, InputFile, InputMedia, InputMediaPhoto,
        LinkPreviewOptions, Message, MessageId, ParseMode,
    },
};

use super::{
    files::Files,
    parcel::{At, Body, Parcel, Shown},
};

/// Files that Telegram keeps for us, by key: past this many they are uploaded again.
const KNOWN_FILES: usize = 1_000;

/// How refusals begin that no repetition changes.
const FINAL: [&str; 5] = ["Bad Request", "Unauthorized", "Not Found", "Conflict", "Request Entity Too Large"];

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It arrived; these messages show the dialog now.
    Arrived(Vec<Shown>),
    /// Telegram wants to be left alone for a while.
    TooMany(Duration),
    /// Something failed that may pass.
    Later(String),
    /// The group is another chat now.
    Moved(i64),
    /// Nothing can be sent to this chat any more.
    Gone(String),
    /// This message will never be taken.
    Refused(String),
    /// The token opens nothing.
    WrongToken,
    /// The program itself failed at it.
    Panicked,
}

/// Sends messages.
pub(super) struct Sender {
    bot: Bot,
    files: Files,
    /// Telegram's ids of files that it has, by key and whether it is a picture. Held while a file is uploaded: others that want it wait for its id.
    known: Mutex<HashMap<(String, bool), Slot>>,
}

/// Telegram's id of a file, once it has it.
type Slot = Arc<tokio::sync::Mutex<Option<FileId>>>;

/// Whoever brings messages to Telegram.
#[async_trait]
pub(super) trait Carrier: Send + Sync + 'static {
    /// Sends a message; `shown` are those that show the dialog until now.
    async fn send(&self, chat: i64, parcel: &Parcel, shown: &[Shown]) -> Verdict;
}

#[async_trait]
impl Carrier for Sender {
    async fn send(&self, chat: i64, parcel: &Parcel, shown: &[Shown]) -> Verdict {
        if let Body::Picture { key, .. } | Body::File { key, .. } = &parcel.body
            && !self.files.path(key).exists()
        {
            return Verdict::Refused("its file is gone".to_owned());
        }
        match self.place(ChatId(chat), parcel, shown).await {
            Ok(shown) => Verdict::Arrived(shown),
            Err(error) => verdict(&error),
        }
    }
}

impl Sender {
    pub(super) fn new(bot: Bot, files: Files) -> Self {
        Self { bot, files, known: Mutex::default() }
    }

    async fn place(
        &self,
        chat: ChatId,
        parcel: &Parcel,
        shown: &[Shown],
    ) -> Result<Vec<Shown>, RequestError> {
        match (&parcel.body, parcel.place, shown) {
            (Body::Buttons, ..) => self.buttons(chat, parcel, shown).await,
            (Body::Text(html), At::This(message), _) => {
                if !self.edit(chat, message, html, parcel).await? {
                    self.fresh(chat, parcel).await?;
                }
                Ok(shown.to_vec())
            }
            (body, At::Instead, [only]) => self.instead(chat, parcel, body, *only).await,
            _ => self.below(chat, parcel, shown).await,
        }
    }

    /// Puts a screen in the place of one that is one message: edited where Telegram can do that, else the old one is taken away and the new one stands below.
    async fn instead(
        &self,
        chat: ChatId,
        parcel: &Parcel,
        body: &Body,
        old: Shown,
    ) -> Result<Vec<Shown>, RequestError> {
        let edited = match body {
            Body::Text(html) if old.text => self.edit(chat, old.message, html, parcel).await?,
            Body::Picture { key, name, caption } => {
                match self.edit_picture(chat, old.message, (key, name, caption), parcel).await {
                    // What cannot become a picture makes room for one.
                    Err(RequestError::Api(_)) => {
                        self.take_away(chat, old.message).await?;
                        false
                    }
                    edited => edited?,
                }
            }
            _ => {
                self.take_away(chat, old.message).await?;
                false
            }
        };
        if edited {
            let text = matches!(body, Body::Text(_));
            return Ok(vec![Shown { message: old.message, text, keyboard: !parcel.keyboard.is_empty() }]);
        }
        self.below(chat, parcel, &[]).await
    }

    /// Puts a picture in the place of a text or of another picture. False = the message is not there, or cannot become one.
    async fn edit_picture(
        &self,
        chat: ChatId,
        message: i32,
        (key, name, caption): (&str, &str, &str),
        parcel: &Parcel,
    ) -> Result<bool, RequestError> {
        let slot = self.slot(key, true);
        let held = slot.lock().await;
        let (file, upload) = (self.file(held.as_ref(), key, name), held.is_none().then_some(held));
        let mut photo = InputMediaPhoto::new(file).parse_mode(ParseMode::Html);
        photo.caption = (!caption.is_empty()).then(|| caption.to_owned());
        let edit = self.bot.edit_message_media(chat, MessageId(message), InputMedia::Photo(photo));
        let edited = edit.reply_markup(keyboard(parcel)).await;
        if let (Some(mut id), Ok(message)) = (upload, &edited) {
            *id = message.photo().and_then(<[_]>::last).map(|photo| photo.file.id.clone());
        }
        changed(edited.map(drop))
    }

    /// A message that cannot be taken away any more, since it is old, at least loses its buttons.
    async fn take_away(&self, chat: ChatId, message: i32) -> Result<(), RequestError> {
        match self.bot.delete_message(chat, MessageId(message)).await {
            Ok(_)
            | Err(RequestError::Api(ApiError::MessageToDeleteNotFound | ApiError::MessageIdInvalid)) => {
                Ok(())
            }
            Err(RequestError::Api(_)) => self.take_buttons(chat, message).await,
            Err(error) => Err(error),
        }
    }

    async fn take_buttons(&self, chat: ChatId, message: i32) -> Result<(), RequestError> {
        let edit = self.bot.edit_message_reply_markup(chat, MessageId(message)).await;
        match edit {
            // Whatever keeps them there: they are stale, and give a fresh screen.
            Ok(_) | Err(RequestError::Api(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts another text in a message's place. False = somebody took the message away: the text stands in a new one.
    async fn edit(
        &self,
        chat: ChatId,
        message: i32,
        html: &str,
        parcel: &Parcel,
    ) -> Result<bool, RequestError> {
        let edit = self.bot.edit_message_text(chat, MessageId(message), html);
        let edit = edit.parse_mode(ParseMode::Html).link_preview_options(no_preview());
        changed(edit.reply_markup(keyboard(parcel)).await.map(drop))
    }

    /// Puts other buttons under the last message that shows the dialog.
    async fn buttons(
        &self,
        chat: ChatId,
        parcel: &Parcel,
        shown: &[Shown],
    ) -> Result<Vec<Shown>, RequestError> {
        let Some((last, before)) = shown.split_last() else { return Ok(vec![]) };
        let edit = self.bot.edit_message_reply_markup(chat, MessageId(last.message));
        let there = changed(edit.reply_markup(keyboard(parcel)).await.map(drop))?;
        let last = there.then_some(Shown { keyboard: !parcel.keyboard.is_empty(), ..*last });
        Ok(before.iter().copied().chain(last).collect())
    }

    /// Sends it under what was said last. The screen before it loses its buttons, and stays to be read.
    async fn below(
        &self,
        chat: ChatId,
        parcel: &Parcel,
        shown: &[Shown],
    ) -> Result<Vec<Shown>, RequestError> {
        if matches!(parcel.place, At::Instead | At::Begin)
            && let Some(old) = shown.iter().find(|shown| shown.keyboard)
        {
            self.take_buttons(chat, old.message).await?;
        }
        let message = self.fresh(chat, parcel).await?;
        let text = matches!(parcel.body, Body::Text(_));
        let sent = Shown { message: message.id.0, text, keyboard: !parcel.keyboard.is_empty() };
        let before = if parcel.place == At::More { shown } else { &[] };
        Ok(before.iter().copied().chain([sent]).collect())
    }

    async fn fresh(&self, chat: ChatId, parcel: &Parcel) -> Result<Message, RequestError> {
        let buttons = (!parcel.keyboard.is_empty()).then(|| keyboard(parcel));
        match &parcel.body {
            Body::Text(html) => {
                let send = self.bot.send_message(chat, html.as_str()).parse_mode(ParseMode::Html);
                let send = send.link_preview_options(no_preview());
                match buttons {
                    Some(buttons) => send.reply_markup(buttons).await,
                    None => send.await,
                }
            }
            Body::Buttons => unreachable!("buttons alone are an edit"),
            Body::Picture { key, name, caption } => {
                let slot = self.slot(key, true);
                let held = slot.lock().await;
                let (file, upload) = (self.file(held.as_ref(), key, name), held.is_none().then_some(held));
                let mut send = self.bot.send_photo(chat, file).parse_mode(ParseMode::Html);
                send.caption = (!caption.is_empty()).then(|| caption.clone());
                let message = match buttons {
                    Some(buttons) => send.reply_markup(buttons).await?,
                    None => send.await?,
                };
                if let Some(mut id) = upload {
                    *id = message.photo().and_then(<[_]>::last).map(|photo| photo.file.id.clone());
                }
                Ok(message)
            }
            Body::File { key, name } => {
                let slot = self.slot(key, false);
                let held = slot.lock().await;
                let (file, upload) = (self.file(held.as_ref(), key, name), held.is_none().then_some(held));
                let send = self.bot.send_document(chat, file);
                let message = match buttons {
                    Some(buttons) => send.reply_markup(buttons).await?,
                    None => send.await?,
                };
                if let Some(mut id) = upload {
                    *id = message.document().map(|document| document.file.id.clone());
                }
                Ok(message)
            }
        }
    }

    /// A file that Telegram has is named; another is uploaded.
    fn file(&self, known: Option<&FileId>, key: &str, name: &str) -> InputFile {
        match known {
            Some(id) => InputFile::file_id(id.clone()),
            None => InputFile::file(self.files.path(key)).file_name(name.to_owned()),
        }
    }

    fn slot(&self, key: &str, picture: bool) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_FILES {
            known.clear();
        }
        Arc::clone(known.entry((key.to_owned(), picture)).or_default())
    }
}

/// Whether an edit took place; one that was done before counts. False = the message is not there.
fn changed(edit: Result<(), RequestError>) -> Result<bool, RequestError> {
    match edit {
        Ok(()) | Err(RequestError::Api(ApiError::MessageNotModified)) => Ok(true),
        Err(RequestError::Api(
            ApiError::MessageToEditNotFound | ApiError::MessageCantBeEdited | ApiError::MessageIdInvalid,
        )) => Ok(false),
        Err(error) => Err(error),
    }
}

fn keyboard(parcel: &Parcel) -> InlineKeyboardMarkup {
    let button =
        |(label, data): &(String, String)| InlineKeyboardButton::callback(label.clone(), data.clone());
    InlineKeyboardMarkup::new(parcel.keyboard.iter().map(|row| row.iter().map(button).collect::<Vec<_>>()))
}

fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

/// What a refusal means for the message, the chat and the bot.
pub(super) fn verdict(error: &RequestError) -> Verdict {
    match error {
        RequestError::RetryAfter(wait) => Verdict::TooMany(wait.duration()),
        RequestError::MigrateToChatId(chat) => Verdict::Moved(chat.0),
        RequestError::Network(error) if error.is_timeout() => Verdict::Later("no answer in time".to_owned()),
        // The error's own text has the address, and the address has the token.
        RequestError::Network(error) if error.is_connect() => Verdict::Later("no connection".to_owned()),
        RequestError::Network(_) => Verdict::Later("the connection broke off".to_owned()),
        // Done, and told in words that are not known here: sending it again would double it.
        RequestError::InvalidJson { raw, .. } if raw.replace(' ', "").contains("\"ok\":true") => {
            Verdict::Arrived(vec![])
        }
        RequestError::InvalidJson { .. } => {
            Verdict::Later("the answer is no JSON: something in between failed".to_owned())
        }
        RequestError::Io(error) => Verdict::Later(format!("its file cannot be read: {error}")),
        RequestError::Api(error) => api(error),
    }
}

fn api(error: &ApiError) -> Verdict {
    let said = error.to_string();
    match error {
        ApiError::InvalidToken => Verdict::WrongToken,
        ApiError::BotBlocked
        | ApiError::UserDeactivated
        | ApiError::BotKicked
        | ApiError::BotKickedFromSupergroup
        | ApiError::BotKickedFromChannel
        | ApiError::ChatNotFound
        | ApiError::GroupDeactivated
        | ApiError::CantInitiateConversation
        | ApiError::CantTalkWithBots => Verdict::Gone(said),
        ApiError::Unknown(said) if said.starts_with("Forbidden") => Verdict::Gone(said.clone()),
        ApiError::Unknown(said) if FINAL.iter().any(|begins| said.starts_with(begins)) => {
            Verdict::Refused(said.clone())
        }
        // Whatever is not known to be for good may pass: a 502, 503 or 504, a 429 that says no time.
        ApiError::Unknown(said) => Verdict::Later(said.clone()),
        _ => Verdict::Refused(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_for_good_is_taken_for_it() {
        let verdict = |said: &str| api(&ApiError::Unknown(said.to_owned()));
        for said in [
            "Internal Server Error",
            "Bad Gateway",
            "Service Unavailable",
            "Gateway Timeout",
            "Too Many Requests",
            "Something of tomorrow",
        ] {
            assert_eq!(verdict(said), Verdict::Later(said.to_owned()));
        }
        for said in ["Bad Request: no", "Unauthorized: no", "Not Found: no", "Conflict: no"] {
            assert_eq!(verdict(said), Verdict::Refused(said.to_owned()));
        }
        assert!(matches!(verdict("Forbidden: no"), Verdict::Gone(_)));
        assert!(matches!(api(&ApiError::RequestEntityTooLarge), Verdict::Refused(_)));
    }
}
