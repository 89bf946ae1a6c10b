//! What lies in the outbox: one message of a screen, as it will be sent.

use std::io;

use serde::{Deserialize, Serialize};

use super::{
    files::Files,
    parts::{self, Part},
};
use crate::{
    bot::{
        event::Place,
        screen::{Button, Screen},
        words::Words,
    },
    config::project::Language,
    state::bot::outbox::NewMessage,
};

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// Whose dialog it shows; `None` = nobody's: an alert, a subscription.
    pub(super) user: Option<i64>,
    /// Its place in what is shown.
    pub(super) place: At,
    /// What it says.
    pub(super) body: Body,
    /// Labels and tokens.
    pub(super) keyboard: Vec<Vec<(String, String)>>,
    /// It tells of a message that did not arrive. Where it does not arrive either, nobody is told of that: such notices would never end.
    #[serde(default)]
    pub(super) of_trouble: bool,
}

/// A message's place in what shows a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum At {
    /// A new screen begins with it.
    Begin,
    /// A screen begins with it, in place of the one before.
    Instead,
    /// It goes on with the screen before it.
    More,
    /// It takes the place of this message, which shows no dialog.
    This(i32),
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// HTML.
    Text(String),
    /// A picture, by its key among the files.
    Picture {
        /// Its key.
        key: String,
        /// Its name.
        name: String,
        /// HTML.
        caption: String,
    },
    /// A file, by its key among the files.
    File {
        /// Its key.
        key: String,
        /// Its name.
        name: String,
    },
    /// Nothing: only the buttons of the screen that is shown change.
    Buttons,
}

/// A message that shows a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    /// Its id.
    pub(super) message: i32,
    /// Whether it is text, which can become another text.
    pub(super) text: bool,
    /// Whether it has buttons.
    pub(super) keyboard: bool,
}

/// To whom a screen goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct To {
    /// The chat.
    pub(super) chat: i64,
    /// Whose dialog it shows.
    pub(super) user: Option<i64>,
    /// How the bot speaks there.
    pub(super) language: Language,
}

/// The messages of a screen; its pictures and files are kept when this returns.
pub(super) fn parcels(
    files: &Files,
    screen: &Screen,
    place: Place,
    to: To,
    words: &Words,
) -> io::Result<Vec<NewMessage>> {
    let parts = parts::parts(screen, words);
    let last = parts.len() - 1;
    let mut messages = vec![];
    for (number, part) in parts.into_iter().enumerate() {
        let place = match (number, place) {
            (0, Place::Same) => At::Instead,
            (0, Place::New) => At::Begin,
            _ => At::More,
        };
        let keyboard = if number == last { parts::keyboard(&screen.rows) } else { vec![] };
        let (user, body) = (to.user, body(files, part)?);
        messages.push(message(&Parcel { user, place, body, keyboard, of_trouble: false }, to.chat));
    }
    Ok(messages)
}

/// A message of text in someone's chat, outside their dialog; it may be the first of several.
pub(super) fn notice(chat: i64, html: String, rows: &[Vec<Button>]) -> NewMessage {
    let keyboard = parts::keyboard(rows);
    let body = Body::Text(html);
    message(&Parcel { user: None, place: At::Begin, body, keyboard, of_trouble: false }, chat)
}

/// Other buttons under the screen that shows someone's dialog.
pub(super) fn buttons(user: i64, chat: i64, rows: &[Vec<Button>]) -> NewMessage {
    let keyboard = parts::keyboard(rows);
    let (user, body) = (Some(user), Body::Buttons);
    message(&Parcel { user, place: At::Instead, body, keyboard, of_trouble: false }, chat)
}

/// A message takes the place of one whose button was pressed.
pub(super) fn instead_of(new: &mut NewMessage, pressed: i32) {
    change(new, |parcel| parcel.place = At::This(pressed));
}

/// A message tells of one that did not arrive.
pub(super) fn of_trouble(new: &mut NewMessage) {
    change(new, |parcel| parcel.of_trouble = true);
}

fn change(new: &mut NewMessage, change: impl FnOnce(&mut Parcel)) {
    if let Ok(mut parcel) = serde_json::from_str::<Parcel>(&new.content) {
        change(&mut parcel);
        *new = message(&parcel, new.chat);
    }
}

fn message(parcel: &Parcel, chat: i64) -> NewMessage {
    // A parcel has text keys only, so it can always be written.
    NewMessage { chat, content: serde_json::to_string(parcel).unwrap_or_default() }
}

fn body(files: &Files, part: Part) -> io::Result<Body> {
    Ok(match part {
        Part::Text(html) => Body::Text(html),
        Part::Picture { png, name, caption } => Body::Picture { key: files.keep_bytes(&png)?, name, caption },
        Part::File { name, content } => Body::File { key: files.keep(&content)?, name },
    })
}
