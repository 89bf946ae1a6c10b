//! Where each dialog stands, which messages show it, and which updates were handled.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    BotRecords,
    outbox::{self, NewMessage},
    subscriptions::{self, Subscription, SubscriptionState},
    users::{self, Act},
};
use crate::state::error::Result;

/// Updates that are remembered; Telegram repeats the newest only.
const UPDATES: i64 = 10_000;

/// What came of an update.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The update's id; `None` = it did not come from outside.
    pub update: Option<u32>,
    /// Whose dialog.
    pub user: i64,
    /// In which chat.
    pub chat: i64,
    /// Where it stands now; `None` = as before.
    pub state: Option<String>,
    /// What is told.
    pub messages: Vec<NewMessage>,
    /// What else changes by it.
    pub also: Vec<Also>,
}

/// Something that changes by a step.
#[derive(Debug, Clone)]
pub enum Also {
    /// Someone has a subscription of their own from now on.
    Subscribe(Subscription),
    /// A subscription is on, pauses or stops.
    Turn {
        /// Which.
        id: i64,
        /// What it is from now on.
        state: SubscriptionState,
        /// Why it stops.
        why: Option<String>,
    },
    /// A subscription is forgotten.
    Unsubscribe(i64),
    /// An act that changes no user stands in the audit, with whom it was done to.
    Note(Option<i64>, Act),
}

impl BotRecords {
    /// Whether an update was handled before.
    pub fn is_handled(&self, update: u32) -> Result<bool> {
        self.database.with(|connection| {
            connection.prepare_cached("SELECT 1 FROM bot_updates WHERE id = ?1")?.exists([update])
        })
    }

    /// Where a dialog stands.
    pub fn dialog(&self, user: i64, chat: i64) -> Result<Option<String>> {
        self.database.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT state FROM bot_dialogs WHERE user = ?1 AND chat = ?2")?;
            statement.query_row([user, chat], |row| row.get(0)).optional()
        })
    }

    /// Every dialog: its user, its chat, where it stands.
    pub fn dialogs(&self) -> Result<Vec<(i64, i64, String)>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT user, chat, state FROM bot_dialogs")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        })
    }

    /// Writes down what came of an update, all at once. Durable once [`sync`](Self::sync) returns, which many steps may share.
    pub fn step(&self, step: &Step, at: DateTime<Utc>) -> Result<()> {
        self.database.with_eased(|connection| {
            let transaction = connection.transaction()?;
            write(&transaction, step, at)?;
            transaction.commit()
        })
    }

    /// The messages that show a dialog, as whoever sends them wrote them down.
    pub fn shown(&self, user: i64, chat: i64) -> Result<Option<String>> {
        self.database.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT messages FROM bot_shown WHERE user = ?1 AND chat = ?2")?;
            statement.query_row([user, chat], |row| row.get(0)).optional()
        })
    }

    /// Waits until all steps so far survive a loss of power.
    pub fn sync(&self) -> Result<()> {
        self.database.sync()
    }

    /// A message of the outbox has arrived; with it, which messages show the dialog of a user now. The disk is not waited for: a loss of power a moment later
    /// has the message sent again, as one a moment before it has.
    pub fn arrived(&self, id: i64, shown: Option<(i64, i64, &str)>) -> Result<()> {
        self.database.with_eased(|connection| {
            let transaction = connection.transaction()?;
            if let Some((user, chat, messages)) = shown {
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO bot_shown VALUES (?1, ?2, ?3)")?
                    .execute(params![user, chat, messages])?;
            }
            transaction.prepare_cached("DELETE FROM bot_outbox WHERE id = ?1")?.execute([id])?;
            transaction.commit()
        })
    }
}

/// Writes down what came of an update, inside a transaction of more.
pub(super) fn write(transaction: &Transaction<'_>, step: &Step, at: DateTime<Utc>) -> rusqlite::Result<()> {
    if let Some(update) = step.update {
        transaction.prepare_cached("INSERT OR IGNORE INTO bot_updates VALUES (?1)")?.execute([update])?;
        transaction
            .prepare_cached("DELETE FROM bot_updates WHERE id < ?1")?
            .execute([i64::from(update) - UPDATES])?;
    }
    if let Some(state) = &step.state {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO bot_dialogs VALUES (?1, ?2, ?3)")?
            .execute(params![step.user, step.chat, state])?;
    }
    for also in &step.also {
        match also {
            Also::Subscribe(new) => drop(subscriptions::keep(transaction, new, at)?),
            Also::Turn { id, state, why } => {
                subscriptions::turn(transaction, *id, *state, why.as_deref(), at)?;
            }
            Also::Unsubscribe(id) => subscriptions::forget(transaction, *id)?,
            Also::Note(subject, act) => users::note(transaction, *subject, act)?,
        }
    }
    outbox::insert(transaction, &step.messages, at)
}
