//! Who knows the bot, and what they may see; every change stands in the audit.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::{
    BotRecords,
    dialogs::{self, Step},
    instant, instant_column, json_column, unreadable,
};
use crate::state::{database::instant_text, error::Result};

/// Someone who wrote to the bot, or whom an admin named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Telegram's id.
    pub id: i64,
    /// As they call themselves.
    pub name: String,
    /// Without `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// As their Telegram speaks.
    #[serde(default)]
    pub language: Option<String>,
    /// Their time zone, where it is not the project's.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether they are in.
    pub standing: Standing,
    /// Names of roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Values by attribute.
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// From then on they are out.
    #[serde(default)]
    pub expires: Option<DateTime<Utc>>,
    /// What they asked to be let in for.
    #[serde(default)]
    pub reason: Option<String>,
    /// When they asked.
    #[serde(default)]
    pub asked_at: Option<DateTime<Utc>>,
    /// When they were first met.
    pub made_at: DateTime<Utc>,
    /// False since they blocked the bot or left.
    #[serde(default = "yes")]
    pub reachable: bool,
}

fn yes() -> bool {
    true
}

/// Whether someone is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They wrote, and asked for nothing.
    Seen,
    /// They asked to be let in.
    Waiting,
    /// They are in.
    Member,
    /// An admin said no; they may ask again.
    Denied,
    /// They may not even ask.
    Blocked,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Seen, Self::Waiting, Self::Member, Self::Denied, Self::Blocked];

    /// As it is written and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Waiting => "waiting",
            Self::Member => "member",
            Self::Denied => "denied",
            Self::Blocked => "blocked",
        }
    }
}

/// How Telegram calls someone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Telegram's id.
    pub id: i64,
    /// As they call themselves.
    pub name: String,
    /// Without `@`.
    pub username: Option<String>,
    /// As their Telegram speaks.
    pub language: Option<String>,
}

/// Something that was done, for the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a Telegram id, or `command line`.
    pub actor: String,
    /// What: `grant`, `block`, `approve`.
    pub act: String,
    /// More of it.
    pub detail: String,
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Rises with every entry.
    pub id: i64,
    /// Whom it was done to.
    pub subject: Option<i64>,
    /// What was done.
    #[serde(flatten)]
    pub act: Act,
}

/// Which users.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// In the name, the user name or the id; empty = all.
    pub search: String,
    /// Only of this standing.
    pub standing: Option<Standing>,
}

const COLUMNS: &str = "id, name, username, language, zone, standing, roles, attributes, expires, reason, asked_at, made_at, \
                       reachable";

impl BotRecords {
    /// Somebody wrote: they are known from now on, under the names that they have now.
    pub fn meet(&self, name: &Name, at: DateTime<Utc>) -> Result<User> {
        self.database.with(|connection| {
            let known = find(connection, name.id)?;
            let same = known.as_ref().is_some_and(|user| {
                user.name == name.name
                    && user.username == name.username
                    && user.language == name.language
                    && user.reachable
            });
            if let (Some(user), true) = (&known, same) {
                return Ok(user.clone());
            }
            let user = User {
                name: name.name.clone(),
                username: name.username.clone(),
                language: name.language.clone(),
                reachable: true,
                ..known.unwrap_or_else(|| User::met(name.id, at))
            };
            put(connection, &user)?;
            Ok(user)
        })
    }

    /// Someone, if they are known.
    pub fn user(&self, id: i64) -> Result<Option<User>> {
        self.database.with(|connection| find(connection, id))
    }

    /// Users by name, at most `limit` after the first `skip`.
    pub fn users(&self, filter: &UserFilter, skip: usize, limit: usize) -> Result<Vec<User>> {
        self.database.with(|connection| {
            // SQLite folds case of ASCII only, so the words are compared here; there are thousands of users, not millions.
            let sql = format!(
                "SELECT {COLUMNS} FROM bot_users WHERE ?1 IS NULL OR standing = ?1 ORDER BY name, id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let users = statement.query_map([filter.standing.map(Standing::as_str)], read)?;
            let fitting = users.filter(|user| user.as_ref().map_or(true, |user| user.fits(&filter.search)));
            fitting.skip(skip).take(limit).collect()
        })
    }

    /// Changes someone, who is met by this if need be, and writes down the act, and the step that it is part of: all of it at once. What `change` refuses is not
    /// written.
    pub fn change_user<E>(
        &self,
        id: i64,
        act: &Act,
        step: &Step,
        change: impl FnOnce(&mut User) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<User, E>> {
        self.database.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut user = find(&transaction, id)?.unwrap_or_else(|| User::met(id, act.at));
            if let Err(refusal) = change(&mut user) {
                return Ok(Err(refusal));
            }
            put(&transaction, &user)?;
            note(&transaction, Some(id), act)?;
            dialogs::write(&transaction, step, act.at)?;
            transaction.commit()?;
            Ok(Ok(user))
        })
    }

    /// Writes down an act that changes no user.
    pub fn note(&self, subject: Option<i64>, act: &Act) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            note(&transaction, subject, act)?;
            transaction.commit()
        })
    }

    /// Entries of the audit, of one user or of all: at most `limit` of them, the newest first, after the first `skip`.
    pub fn audit(&self, subject: Option<i64>, skip: usize, limit: usize) -> Result<Vec<Entry>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, at, actor, subject, act, detail FROM bot_audit
                 WHERE ?1 IS NULL OR subject = ?1 ORDER BY id DESC LIMIT ?2 OFFSET ?3",
            )?;
            let entry = |row: &Row<'_>| {
                Ok(Entry {
                    id: row.get("id")?,
                    subject: row.get("subject")?,
                    act: Act {
                        at: instant(row, "at")?,
                        actor: row.get("actor")?,
                        act: row.get("act")?,
                        detail: row.get("detail")?,
                    },
                })
            };
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            statement.query_map(params![subject, number(limit), number(skip)], entry)?.collect()
        })
    }

    /// They cannot be written to until they write again. That is kept also of someone who never wrote, and whom only the file names; not of a group.
    pub fn unreachable(&self, id: i64, at: DateTime<Utc>) -> Result<()> {
        self.database.with(|connection| {
            let known = connection.execute("UPDATE bot_users SET reachable = 0 WHERE id = ?1", [id])?;
            if known == 0 && id > 0 {
                put(connection, &User { reachable: false, ..User::met(id, at) })?;
            }
            Ok(())
        })
    }
}

impl User {
    /// Someone of whom nothing but the id is known.
    pub fn met(id: i64, at: DateTime<Utc>) -> Self {
        Self {
            id,
            name: id.to_string(),
            username: None,
            language: None,
            zone: None,
            standing: Standing::Seen,
            roles: vec![],
            attributes: BTreeMap::new(),
            expires: None,
            reason: None,
            asked_at: None,
            made_at: at,
            reachable: true,
        }
    }

    fn fits(&self, search: &str) -> bool {
        let search = search.trim().trim_start_matches('@').to_lowercase();
        let username = self.username.as_deref().unwrap_or_default().to_lowercase();
        self.name.to_lowercase().contains(&search)
            || username.contains(&search)
            || self.id.to_string() == search
            || self.roles.iter().any(|role| role.to_lowercase() == search)
    }
}

fn find(connection: &rusqlite::Connection, id: i64) -> rusqlite::Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM bot_users WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], read).optional()
}

fn put(connection: &rusqlite::Connection, user: &User) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT OR REPLACE INTO bot_users ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    );
    connection.prepare_cached(&sql)?.execute(params![
        user.id,
        user.name,
        user.username,
        user.language,
        user.zone,
        user.standing.as_str(),
        serde_json::json!(user.roles).to_string(),
        serde_json::json!(user.attributes).to_string(),
        user.expires.map(instant_text),
        user.reason,
        user.asked_at.map(instant_text),
        instant_text(user.made_at),
        user.reachable,
    ])?;
    Ok(())
}

/// Writes an act into the audit, inside a transaction of more.
pub(super) fn note(transaction: &Transaction<'_>, subject: Option<i64>, act: &Act) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO bot_audit (at, actor, subject, act, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![instant_text(act.at), act.actor, subject, act.act, act.detail])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    let standing: String = row.get("standing")?;
    let known = Standing::ALL.into_iter().find(|known| known.as_str() == standing);
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        username: row.get("username")?,
        language: row.get("language")?,
        zone: row.get("zone")?,
        standing: known.ok_or_else(|| unreadable("a standing that nobody has".into()))?,
        roles: json_column(row, "roles")?,
        attributes: json_column(row, "attributes")?,
        expires: instant_column(row, "expires")?,
        reason: row.get("reason")?,
        asked_at: instant_column(row, "asked_at")?,
        made_at: instant(row, "made_at")?,
        reachable: row.get("reachable")?,
    })
}
