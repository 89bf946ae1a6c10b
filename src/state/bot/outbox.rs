//! Messages that are still to be sent, in the order in which they were put. A message leaves the outbox once Telegram took it, or refused it for good.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::{BotRecords, instant, instant_column};
use crate::state::{database::instant_text, error::Result};

/// Failures that are kept for admins to see; older ones are forgotten.
const FAILURES: u32 = 1_000;

/// A message on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// To which chat.
    pub chat: i64,
    /// What, as whoever sends it reads it.
    pub content: String,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Rises with every message; a chat gets them in this order.
    pub id: i64,
    /// To which chat.
    pub chat: i64,
    /// What.
    pub content: String,
    /// Since when.
    pub made_at: DateTime<Utc>,
}

/// A message that will never arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its id.
    pub id: i64,
    /// To which chat it was to go.
    pub chat: i64,
    /// When that was clear.
    pub failed_at: DateTime<Utc>,
    /// Why.
    pub why: String,
}

impl BotRecords {
    /// Puts messages behind all others. Durable when it returns.
    pub fn put_messages(&self, messages: &[NewMessage], at: DateTime<Utc>) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            insert(&transaction, messages, at)?;
            transaction.commit()
        })
    }

    /// Ids and chats of messages that wait and came after `after`, oldest first.
    pub fn waiting_after(&self, after: i64) -> Result<Vec<(i64, i64)>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, chat FROM bot_outbox WHERE id > ?1 AND failed_at IS NULL ORDER BY id",
            )?;
            statement.query_map([after], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// A message, if it still waits.
    pub fn waiting(&self, id: i64) -> Result<Option<Waiting>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, chat, content, made_at FROM bot_outbox WHERE id = ?1 AND failed_at IS NULL",
            )?;
            let read = |row: &Row<'_>| {
                let (id, chat, content) = (row.get("id")?, row.get("chat")?, row.get("content")?);
                Ok(Waiting { id, chat, content, made_at: instant(row, "made_at")? })
            };
            statement.query_row([id], read).optional()
        })
    }

    /// Contents of every message that waits: what files they need.
    pub fn waiting_contents(&self) -> Result<Vec<String>> {
        self.database.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT content FROM bot_outbox WHERE failed_at IS NULL")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// A message will never arrive.
    pub fn failed(&self, id: i64, why: &str, at: DateTime<Utc>) -> Result<()> {
        self.fail("id = ?1", id, why, at)
    }

    /// No message to this chat will ever arrive: all that wait have failed.
    pub fn chat_failed(&self, chat: i64, why: &str, at: DateTime<Utc>) -> Result<()> {
        self.fail("chat = ?1", chat, why, at)
    }

    /// A group is another one now: what waits for it, what is subscribed for it, where its dialogs stand, and whoever asks for it by the id that it had. False =
    /// that is known.
    pub fn move_chat(&self, from: i64, to: i64) -> Result<bool> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            let is_new = transaction.execute(
                "INSERT INTO bot_moves VALUES (?1, ?2) ON CONFLICT (was) DO UPDATE SET is_now = ?2 WHERE is_now <> ?2",
                [from, to],
            )?;
            transaction.execute("UPDATE bot_moves SET is_now = ?2 WHERE is_now = ?1", [from, to])?;
            for table in ["bot_outbox", "bot_subscriptions"] {
                let sql = format!("UPDATE {table} SET chat = ?2 WHERE chat = ?1");
                transaction.execute(&sql, [from, to])?;
            }
            for table in ["bot_dialogs", "bot_shown"] {
                let sql = format!("UPDATE OR REPLACE {table} SET chat = ?2 WHERE chat = ?1");
                transaction.execute(&sql, [from, to])?;
            }
            transaction.commit()?;
            Ok(is_new > 0)
        })
    }

    /// The id that a chat has now; its own, where it never moved.
    pub fn present_id(&self, chat: i64) -> Result<i64> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT is_now FROM bot_moves WHERE was = ?1")?;
            Ok(statement.query_row([chat], |row| row.get(0)).optional()?.unwrap_or(chat))
        })
    }

    /// A chat's id, and those that it had before.
    pub fn ids_of(&self, chat: i64) -> Result<Vec<i64>> {
        self.database.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT ?1 UNION SELECT was FROM bot_moves WHERE is_now = ?1")?;
            statement.query_map([chat], |row| row.get(0))?.collect()
        })
    }

    /// The newest messages that will never arrive.
    pub fn failures(&self, limit: usize) -> Result<Vec<Failure>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, chat, failed_at, why FROM bot_outbox WHERE failed_at IS NOT NULL ORDER BY id DESC LIMIT ?1",
            )?;
            let read = |row: &Row<'_>| {
                let failed_at = instant_column(row, "failed_at")?.unwrap_or_default();
                Ok(Failure { id: row.get("id")?, chat: row.get("chat")?, failed_at, why: row.get("why")? })
            };
            statement.query_map([limit as i64], read)?.collect()
        })
    }

    fn fail(&self, which: &str, key: i64, why: &str, at: DateTime<Utc>) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            // The content is forgotten: nobody will read it any more.
            let sql = format!(
                "UPDATE bot_outbox SET failed_at = ?2, why = ?3, content = '' WHERE {which} AND failed_at IS NULL"
            );
            transaction.execute(&sql, params![key, instant_text(at), why])?;
            transaction.execute(
                "DELETE FROM bot_outbox WHERE failed_at IS NOT NULL AND id NOT IN
                     (SELECT id FROM bot_outbox WHERE failed_at IS NOT NULL ORDER BY id DESC LIMIT ?1)",
                [FAILURES],
            )?;
            transaction.commit()
        })
    }
}

/// Puts messages behind all others, inside a transaction of more.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    messages: &[NewMessage],
    at: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO bot_outbox (chat, content, made_at) VALUES (?1, ?2, ?3)")?;
    for message in messages {
        insert.execute(params![message.chat, message.content, instant_text(at)])?;
    }
    Ok(())
}
