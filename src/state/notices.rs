//! Of which troubles somebody was told, and what is still to be told: tables of `history.db`. Both change at once, so a trouble is told once, whatever
//! dies in between; a notice is there until its receiver has taken it.
//!
//! Where the file is lost, so are the failures that it told of.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::{
    database::{instant_text, parse_instant},
    error::Result,
    history::History,
};
use crate::model::trouble::TroubleKind;

/// The statements that make the tables.
pub(super) const MIGRATION: &str = "CREATE TABLE troubles (
    receiver TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (receiver, kind, name)
) WITHOUT ROWID;
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    at TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX notices_by_receiver ON notices (receiver, id);";

/// Notices that may wait for one receiver.
pub const MOST_NOTICES: u32 = 1_000;

/// A trouble that a receiver was told of, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What is wrong.
    pub kind: TroubleKind,
    /// With whom.
    pub name: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Rises.
    pub id: i64,
    /// When it was written down.
    pub at: DateTime<Utc>,
    /// What is sent.
    pub body: String,
}

impl History {
    /// Of what a receiver was told that is not over.
    pub fn told_of(&self, receiver: &str) -> Result<Vec<Told>> {
        let sql = "SELECT kind, name, since FROM troubles WHERE receiver = ?1";
        let rows = self.database.with(|connection| {
            let mut select = connection.prepare_cached(sql)?;
            select
                .query_map([receiver], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(String, String, String)>>>()
        })?;
        let read = |(kind, name, since): (String, String, String)| {
            Some(Told { kind: TroubleKind::parse(&kind)?, name, since: parse_instant(&since)? })
        };
        // What no Vitrina writes was not told.
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// What a receiver is to be told of, and what it is to be told of as over; with what is sent about it. Gives the notices that were dropped, because too many wait.
    pub fn tell(
        &self,
        receiver: &str,
        raised: &[Told],
        over: &[Told],
        bodies: &[String],
        at: DateTime<Utc>,
    ) -> Result<usize> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            for told in over {
                let sql = "DELETE FROM troubles WHERE receiver = ?1 AND kind = ?2 AND name = ?3";
                transaction.execute(sql, params![receiver, told.kind.as_str(), told.name])?;
            }
            for told in raised {
                let sql =
                    "INSERT OR REPLACE INTO troubles (receiver, kind, name, since) VALUES (?1, ?2, ?3, ?4)";
                let since = instant_text(told.since);
                transaction.execute(sql, params![receiver, told.kind.as_str(), told.name, since])?;
            }
            for body in bodies {
                let sql = "INSERT INTO notices (receiver, at, body) VALUES (?1, ?2, ?3)";
                transaction.execute(sql, params![receiver, instant_text(at), body])?;
            }
            let dropped = transaction.execute(
                "DELETE FROM notices WHERE receiver = ?1 AND id <= (
                    SELECT id FROM notices WHERE receiver = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![receiver, MOST_NOTICES],
            )?;
            transaction.commit()?;
            Ok(dropped)
        })
    }

    /// The oldest notice that waits for a receiver.
    pub fn next_notice(&self, receiver: &str) -> Result<Option<Notice>> {
        let sql = "SELECT id, at, body FROM notices WHERE receiver = ?1 ORDER BY id LIMIT 1";
        let found = self.database.with(|connection| {
            let mut select = connection.prepare_cached(sql)?;
            select
                .query_row([receiver], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))
                .optional()
        })?;
        let Some((id, at, body)) = found else { return Ok(None) };
        let at = parse_instant(&at).ok_or_else(|| self.database.corrupt("the time of a notice"))?;
        Ok(Some(Notice { id, at, body }))
    }

    /// A notice was taken, or given up.
    pub fn end_notice(&self, id: i64) -> Result<()> {
        self.database
            .with(|connection| connection.execute("DELETE FROM notices WHERE id = ?1", [id]).map(|_| ()))
    }

    /// Forgets receivers that are not among these.
    pub fn keep_receivers(&self, receivers: &[&str]) -> Result<()> {
        let receivers = serde_json::json!(receivers).to_string();
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            for table in ["troubles", "notices"] {
                let sql =
                    format!("DELETE FROM {table} WHERE receiver NOT IN (SELECT value FROM json_each(?1))");
                transaction.execute(&sql, [&receivers])?;
            }
            transaction.commit()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn told(name: &str) -> Told {
        Told { kind: TroubleKind::Stale, name: name.to_owned(), since: at(0) }
    }

    #[test]
    fn what_is_told_and_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let bodies = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        history.tell("ops", &[told("a"), told("б")], &[], &bodies(&["1", "2"]), at(1)).unwrap();
        history.tell("ops", &[], &[told("a")], &bodies(&["3"]), at(2)).unwrap();
        history.tell("other", &[told("a")], &[], &bodies(&["4"]), at(2)).unwrap();
        drop(history);
        let history = History::open(folder.path()).unwrap();
        assert_eq!(history.told_of("ops").unwrap(), [told("б")]);
        let mut sent = vec![];
        while let Some(notice) = history.next_notice("ops").unwrap() {
            sent.push((notice.body, notice.at));
            history.end_notice(notice.id).unwrap();
        }
        assert_eq!(sent, [("1".to_owned(), at(1)), ("2".to_owned(), at(1)), ("3".to_owned(), at(2))]);
        history.keep_receivers(&["ops"]).unwrap();
        assert_eq!(
            (history.told_of("other").unwrap(), history.next_notice("other").unwrap()),
            (vec![], None)
        );
        assert_eq!(history.told_of("ops").unwrap().len(), 1);
    }

    #[test]
    fn the_oldest_are_dropped_where_too_many_wait() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let bodies: Vec<String> = (0..MOST_NOTICES + 7).map(|n| n.to_string()).collect();
        history.tell("other", &[], &[], &bodies[..2], at(0)).unwrap();
        assert_eq!(history.tell("ops", &[], &[], &bodies, at(1)).unwrap(), 7);
        assert_eq!(history.next_notice("ops").unwrap().unwrap().body, "7");
        assert_eq!(history.tell("ops", &[], &[], &bodies[..1], at(2)).unwrap(), 1);
        assert_eq!(history.next_notice("other").unwrap().unwrap().body, "0");
    }
}
