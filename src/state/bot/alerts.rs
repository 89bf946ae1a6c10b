//! Which alerts are raised, and when they were told last.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};

use super::{
    BotRecords, instant, instant_column,
    outbox::{self, NewMessage},
};
use crate::state::{database::instant_text, error::Result};

/// An alert that is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// Since when.
    pub raised_at: DateTime<Utc>,
    /// When it was told last; `None` = it is raised in quiet hours and waits for their end.
    pub told_at: Option<DateTime<Utc>>,
}

impl BotRecords {
    /// Where an alert stands; `None` = all is well.
    pub fn alert(&self, name: &str) -> Result<Option<Raised>> {
        self.database.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT raised_at, told_at FROM bot_alerts WHERE name = ?1")?;
            let read = |row: &Row<'_>| {
                Ok(Raised { raised_at: instant(row, "raised_at")?, told_at: instant_column(row, "told_at")? })
            };
            statement.query_row([name], read).optional()
        })
    }

    /// Up to when an alert was looked for; one that never was is from now on.
    pub fn looked(&self, name: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT at FROM bot_looks WHERE alert = ?1")?;
            if let Some(at) = statement.query_row([name], |row| instant(row, "at")).optional()? {
                return Ok(at);
            }
            look(connection, name, now)?;
            Ok(now)
        })
    }

    /// An alert was looked for up to an instant.
    pub fn set_looked(&self, name: &str, at: DateTime<Utc>) -> Result<()> {
        self.database.with(|connection| look(connection, name, at))
    }

    /// Forgets all other alerts of the file, those with a prefix excepted: up to when they were looked for, and that they are raised. One that comes back
    /// begins anew.
    pub fn keep_alerts(&self, names: &[&str], except: &str) -> Result<()> {
        self.database.with(|connection| {
            let names = serde_json::json!(names).to_string();
            let transaction = connection.transaction()?;
            let others = "NOT IN (SELECT value FROM json_each(?1))";
            transaction.execute(&format!("DELETE FROM bot_looks WHERE alert {others}"), [&names])?;
            let raised =
                format!("DELETE FROM bot_alerts WHERE name {others} AND substr(name, 1, length(?2)) <> ?2");
            transaction.execute(&raised, [names.as_str(), except])?;
            transaction.commit()
        })
    }

    /// Names of alerts that are raised and begin like this.
    pub fn raised(&self, prefix: &str) -> Result<Vec<String>> {
        self.database.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT name FROM bot_alerts WHERE substr(name, 1, length(?1)) = ?1")?;
            statement.query_map([prefix], |row| row.get(0))?.collect()
        })
    }

    /// Writes down where an alert stands, with what is told of it: both at once.
    pub fn set_alert(
        &self,
        name: &str,
        raised: Option<Raised>,
        messages: &[NewMessage],
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            match raised {
                Some(raised) => transaction.execute(
                    "INSERT OR REPLACE INTO bot_alerts VALUES (?1, ?2, ?3)",
                    params![name, instant_text(raised.raised_at), raised.told_at.map(instant_text)],
                )?,
                None => transaction.execute("DELETE FROM bot_alerts WHERE name = ?1", [name])?,
            };
            outbox::insert(&transaction, messages, at)?;
            transaction.commit()
        })
    }
}

fn look(connection: &rusqlite::Connection, name: &str, at: DateTime<Utc>) -> rusqlite::Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO bot_looks VALUES (?1, ?2)", params![name, instant_text(at)])?;
    Ok(())
}
