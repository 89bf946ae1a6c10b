//! The front-end's own screens: users, for admins, and subscriptions. What they do is decided at the moment a button is pressed, by the rights of
//! whoever presses it: a forged or forwarded button does what its sender may do anyway, or nothing.

use tokio::sync::mpsc;

use super::{mine, office::Office, people, requests::Deed};
use crate::{
    bot::{
        access,
        event::{Viewer, What},
        screen::{Button, Markup, Screen},
    },
    state::{
        bot::{dialogs::Also, outbox::NewMessage, users::User},
        error::Result,
    },
};

/// Begins the data of these screens' buttons; the dialog's own never begin with it.
pub(super) const MARK: char = '!';

/// What is shown.
#[derive(Default)]
pub(super) struct Reply {
    /// The screen.
    pub(super) screen: Screen,
    /// What others are told.
    pub(super) besides: Vec<NewMessage>,
    /// Whom it changes.
    pub(super) deed: Option<Deed<'static>>,
    /// What else changes by it.
    pub(super) also: Vec<Also>,
}

impl Reply {
    /// A screen that nobody else is told of.
    pub(super) fn of(screen: Screen) -> Self {
        Self { screen, ..Self::default() }
    }
}

/// A screen, or words in passing, or both.
pub(super) type Pressed = (Option<Reply>, Option<String>);

/// The screens.
pub(super) struct Own {
    office: Office,
    /// Subscriptions that somebody wants now.
    fire: mpsc::Sender<i64>,
}

impl Own {
    pub(super) fn new(office: Office, fire: mpsc::Sender<i64>) -> Self {
        Self { office, fire }
    }

    /// What a command shows; `None` = it is the dialog's.
    pub(super) fn command(
        &self,
        user: &User,
        viewer: &Viewer,
        name: &str,
        arguments: &str,
    ) -> Result<Option<Reply>> {
        let private = viewer.user == viewer.chat;
        match name {
            "users" if private && self.office.is_admin(user.id)? => {
                people::list(&self.office, &self.office.words(viewer.language), arguments, 0).map(Some)
            }
            "subscriptions"
                if private && matches!(viewer.access, crate::bot::event::Access::Member { .. }) =>
            {
                mine::list(&self.office, viewer).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Where a button leads in the dialog; `None` = what it does, it does here.
    pub(super) fn leads_to(&self, viewer: &Viewer, data: &str) -> Option<What> {
        mine::chosen(&self.office, viewer, data)
    }

    /// What a button does; `data` without its mark.
    pub(super) fn pressed(&self, user: &User, viewer: &Viewer, data: &str) -> Result<Pressed> {
        let mut words = data.splitn(3, ':');
        let (verb, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (id, rest) = (id.parse::<i64>().unwrap_or_default(), words.next().unwrap_or_default());
        if let Some(pressed) = mine::pressed(&self.office, &self.fire, viewer, verb, id)? {
            return Ok(pressed);
        }
        if !self.office.is_admin(user.id)? || !access::is_admin(&viewer.access) {
            return Ok((None, Some(self.office.words(viewer.language).only_admins().to_owned())));
        }
        people::pressed(&self.office, viewer, verb, id, rest)
    }
}

/// A button of these screens.
pub(super) fn button(label: &str, data: &str) -> Button {
    Button { label: label.to_owned(), token: format!("{MARK}{data}") }
}

/// A screen of one text.
pub(super) fn screen(text: Markup, rows: Vec<Vec<Button>>) -> Screen {
    Screen { blocks: vec![crate::bot::screen::Block::Text(text)], rows }
}

/// What a button of something that can be ticked does: it ticks or unticks, as it shows, however often it is pressed, and whoever has pressed it before on
/// a screen of their own.
pub(super) fn turned(ticked: bool, what: &str) -> String {
    format!("{}{what}", if ticked { '-' } else { '+' })
}

/// What [`turned`] wrote: whether it ticks, and what.
pub(super) fn read_turned(text: &str) -> Option<(bool, &str)> {
    text.strip_prefix('+').map(|what| (true, what)).or_else(|| Some((false, text.strip_prefix('-')?)))
}

/// A name, however long, in the few bytes that a button has (FNV-1a).
pub(super) fn tag(name: &str) -> String {
    let digest = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{digest:x}")
}
