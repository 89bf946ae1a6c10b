//! Reports that are sent again and again: people's own, and those that `bot.toml` gives, which keep their place by name.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{
    BotRecords, instant,
    outbox::{self, NewMessage},
    unreadable,
};
use crate::state::{database::instant_text, error::Result};

/// A report that is sent again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Rises with every one, never given twice.
    pub id: i64,
    /// Of one that `bot.toml` gives: its name there.
    pub name: Option<String>,
    /// Of someone's own: whose, and as whom it runs.
    pub owner: Option<i64>,
    /// Of someone's own: where it is sent.
    pub chat: Option<i64>,
    /// Which report.
    pub report: String,
    /// What it asks, as the dialog writes it.
    pub asks: String,
    /// When.
    pub cron: String,
    /// In which zone.
    pub zone: String,
    /// Whether it is sent.
    pub state: SubscriptionState,
    /// Why it was stopped.
    pub why: Option<String>,
    /// Up to which instant it was sent: what came due before is not sent again.
    pub fired_at: DateTime<Utc>,
}

/// Whether a subscription is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// It is.
    On,
    /// Its owner wants a pause.
    Paused,
    /// Its owner may not run the report any more, or cannot be written to.
    Stopped,
}

impl SubscriptionState {
    const ALL: [Self; 3] = [Self::On, Self::Paused, Self::Stopped];

    /// As it is written and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

const COLUMNS: &str = "id, name, owner, chat, report, asks, cron, zone, state, why, fired_at";

impl BotRecords {
    /// Keeps a new one of someone's own; its id and name are given here. Gives the id. One that they have already is not kept twice: it is on again.
    pub fn subscribe(&self, new: &Subscription, at: DateTime<Utc>) -> Result<i64> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            let id = keep(&transaction, new, at)?;
            transaction.commit()?;
            Ok(id)
        })
    }

    /// How many someone has of their own.
    pub fn subscriptions_of(&self, owner: i64) -> Result<usize> {
        self.database.with(|connection| {
            let sql = "SELECT count(*) FROM bot_subscriptions WHERE owner = ?1";
            connection
                .prepare_cached(sql)?
                .query_row([owner], |row| row.get::<_, u32>(0).map(|count| count as usize))
        })
    }

    /// Brings given ones to what `bot.toml` says: known names keep where they are, others are forgotten.
    pub fn give_subscriptions(&self, given: &[Subscription], at: DateTime<Utc>) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            for one in given {
                let changed = transaction.execute(
                    "UPDATE bot_subscriptions SET report = ?2, asks = ?3, cron = ?4, zone = ?5 WHERE name = ?1",
                    params![one.name, one.report, one.asks, one.cron, one.zone],
                )?;
                if changed == 0 {
                    insert(&transaction, one, at)?;
                }
            }
            let names: Vec<&String> = given.iter().filter_map(|one| one.name.as_ref()).collect();
            transaction.execute(
                "DELETE FROM bot_subscriptions WHERE name IS NOT NULL AND name NOT IN (SELECT value FROM json_each(?1))",
                [serde_json::json!(names).to_string()],
            )?;
            transaction.commit()
        })
    }

    /// All of them, or those of one owner.
    pub fn subscriptions(&self, owner: Option<i64>) -> Result<Vec<Subscription>> {
        self.database.with(|connection| {
            let whose = if owner.is_some() { "owner = ?1" } else { "?1 IS NULL" };
            let sql = format!("SELECT {COLUMNS} FROM bot_subscriptions WHERE {whose} ORDER BY id");
            connection.prepare_cached(&sql)?.query_map([owner], read)?.collect()
        })
    }

    /// One of them.
    pub fn subscription(&self, id: i64) -> Result<Option<Subscription>> {
        self.database.with(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM bot_subscriptions WHERE id = ?1");
            connection.prepare_cached(&sql)?.query_row([id], read).optional()
        })
    }

    /// Turns one on, pauses or stops it. One that is turned on is not sent for what came due meanwhile.
    pub fn set_subscription(
        &self,
        id: i64,
        state: SubscriptionState,
        why: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.with(|connection| turn(connection, id, state, why, at))
    }

    /// Forgets one.
    pub fn unsubscribe(&self, id: i64) -> Result<()> {
        self.database.with(|connection| forget(connection, id))
    }

    /// These were due at an instant, and this is what they send: both at once, so that nothing is sent twice or left out.
    pub fn fired(
        &self,
        ids: &[i64],
        due: DateTime<Utc>,
        messages: &[NewMessage],
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE bot_subscriptions SET fired_at = max(fired_at, ?2) WHERE id IN (SELECT value FROM json_each(?1))",
                params![serde_json::json!(ids).to_string(), instant_text(due)],
            )?;
            outbox::insert(&transaction, messages, at)?;
            transaction.commit()
        })
    }
}

/// Keeps a new one, or has the same one on again; gives its id.
pub(super) fn keep(
    connection: &rusqlite::Connection,
    new: &Subscription,
    at: DateTime<Utc>,
) -> rusqlite::Result<i64> {
    let same = connection
        .prepare_cached(
            "SELECT id FROM bot_subscriptions WHERE owner = ?1 AND chat = ?2 AND report = ?3 AND asks = ?4 AND cron = ?5 AND zone = ?6",
        )?
        .query_row(params![new.owner, new.chat, new.report, new.asks, new.cron, new.zone], |row| row.get(0))
        .optional()?;
    let Some(id) = same else {
        insert(connection, new, at)?;
        return Ok(connection.last_insert_rowid());
    };
    connection.execute(
        "UPDATE bot_subscriptions SET fired_at = max(fired_at, ?2), state = 'on', why = NULL WHERE id = ?1 AND state <> 'on'",
        params![id, instant_text(new.fired_at)],
    )?;
    Ok(id)
}

/// Turns one on, pauses or stops it.
pub(super) fn turn(
    connection: &rusqlite::Connection,
    id: i64,
    state: SubscriptionState,
    why: Option<&str>,
    at: DateTime<Utc>,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE bot_subscriptions SET state = ?2, why = ?3,
             fired_at = CASE WHEN ?2 = 'on' THEN max(fired_at, ?4) ELSE fired_at END
         WHERE id = ?1",
        params![id, state.as_str(), why, instant_text(at)],
    )?;
    Ok(())
}

/// Forgets one.
pub(super) fn forget(connection: &rusqlite::Connection, id: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM bot_subscriptions WHERE id = ?1", [id])?;
    Ok(())
}

fn insert(connection: &rusqlite::Connection, one: &Subscription, at: DateTime<Utc>) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO bot_subscriptions (name, owner, chat, report, asks, cron, zone, state, why, fired_at, made_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            one.name,
            one.owner,
            one.chat,
            one.report,
            one.asks,
            one.cron,
            one.zone,
            one.state.as_str(),
            one.why,
            instant_text(one.fired_at),
            instant_text(at),
        ],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Subscription> {
    let state: String = row.get("state")?;
    let known = SubscriptionState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(Subscription {
        id: row.get("id")?,
        name: row.get("name")?,
        owner: row.get("owner")?,
        chat: row.get("chat")?,
        report: row.get("report")?,
        asks: row.get("asks")?,
        cron: row.get("cron")?,
        zone: row.get("zone")?,
        state: known.ok_or_else(|| unreadable("a state that no subscription has".into()))?,
        why: row.get("why")?,
        fired_at: instant(row, "fired_at")?,
    })
}
