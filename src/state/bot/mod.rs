//! What the bot remembers in `records.db`: users and their rights, the audit of what admins did, where each dialog stands,
//! messages that are still to be sent, subscriptions and alerts.
//!
//! Whatever belongs together is written in one transaction: a dialog's new state with the messages that tell it, a subscription's
//! firing with what it sends. So a process that dies in between has done all of it or nothing.

pub mod alerts;
pub mod dialogs;
pub mod outbox;
pub mod subscriptions;
pub mod users;

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::types::Type;
use serde::de::DeserializeOwned;

use super::{
    database::{Database, parse_instant},
    error::Result,
    records,
};

/// Tables of the bot, as a migration of `records.db`.
pub(super) const TABLES: &str = include_str!("tables.sql");

/// Groups that are another chat now, as a migration of `records.db`.
pub(super) const MOVES: &str = "CREATE TABLE bot_moves (was INTEGER PRIMARY KEY, is_now INTEGER NOT NULL);
    CREATE INDEX bot_moves_by_now ON bot_moves (is_now);";

/// Up to when alerts were looked for, as a migration of `records.db`.
pub(super) const LOOKS: &str =
    "CREATE TABLE bot_looks (alert TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;";

/// The bot's part of the records of a project.
pub struct BotRecords {
    database: Database,
}

impl BotRecords {
    /// Opens the records in the state folder; makes them where they are missing.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { database: Database::open(folder, &records::FORMAT)? })
    }
}

/// A column of JSON.
fn json_column<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(Box::new(error)))
}

/// A column that holds an instant, or nothing.
fn instant_column(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    parse_instant(&text).map(Some).ok_or_else(|| unreadable(format!("{column} is no instant").into()))
}

/// A column that holds an instant.
fn instant(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<DateTime<Utc>> {
    instant_column(row, column)?.ok_or_else(|| unreadable(format!("{column} is empty").into()))
}

fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error)
}

#[cfg(test)]
mod tests;
