//! What a schedule remembers of each member between two lives of the daemon: a table of `history.db`.
//!
//! Where it is lost, schedules count from now on: what was missed while nobody looked is not known. No row is lost by that,
//! since each run goes on from its sink's record.

use chrono::{DateTime, Utc};
use rusqlite::{Row, params};

use super::{
    database::{instant_text, parse_instant},
    error::Result,
    history::{History, RunStatus},
};

/// Where one member's schedule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As users write it: `actions_to_stream/mrf1`.
    pub name: String,
    /// The schedule that this is about, as text: another one begins anew.
    pub rule: String,
    /// Every instant up to here was dealt with.
    pub seen: DateTime<Utc>,
    /// Runs that are due or going, and have not ended.
    pub owed: u32,
    /// Instants that got no run of their own.
    pub left_out: u64,
    /// Tries of the run at hand that failed in a row.
    pub failed: u32,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// How the last run ended.
    pub ended: Option<RunStatus>,
}

/// The statements that make the table.
pub(super) const MIGRATION: &str = "CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    seen TEXT NOT NULL,
    owed INTEGER NOT NULL,
    left_out INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    retry_at TEXT,
    ended TEXT
) WITHOUT ROWID;";

impl History {
    /// Where every member's schedule stood.
    pub fn standings(&self) -> Result<Vec<Standing>> {
        self.database.with(|connection| {
            let sql = "SELECT name, rule, seen, owed, left_out, failed, retry_at, ended FROM schedules";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_map([], stored)?.collect::<rusqlite::Result<Vec<_>>>()?;
            // What no Vitrina writes begins anew.
            Ok(found.into_iter().flatten().collect())
        })
    }

    /// Keeps where these members' schedules stand, all of them or none.
    pub fn keep(&self, standings: &[Standing]) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            for standing in standings {
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO schedules (name, rule, seen, owed, left_out, failed, retry_at, ended)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    )?
                    .execute(params![
                        standing.name,
                        standing.rule,
                        instant_text(standing.seen),
                        standing.owed,
                        standing.left_out as i64,
                        standing.failed,
                        standing.retry_at.map(instant_text),
                        standing.ended.map(RunStatus::as_str),
                    ])?;
            }
            transaction.commit()
        })
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Option<Standing>> {
    let instant = |text: Option<String>| text.as_deref().and_then(parse_instant);
    let Some(seen) = instant(row.get(2)?) else { return Ok(None) };
    Ok(Some(Standing {
        name: row.get(0)?,
        rule: row.get(1)?,
        seen,
        owed: row.get(3)?,
        left_out: row.get::<_, i64>(4)? as u64,
        failed: row.get(5)?,
        retry_at: instant(row.get(6)?),
        ended: row.get::<_, Option<String>>(7)?.as_deref().and_then(RunStatus::parse),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let seen = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let standing = Standing {
            name: "поток/mrf1".to_owned(),
            rule: "every 1m".to_owned(),
            seen,
            owed: 1,
            left_out: 7,
            failed: 2,
            retry_at: Some(seen),
            ended: Some(RunStatus::Failed),
        };
        let other = Standing { name: "b".to_owned(), retry_at: None, ended: None, ..standing.clone() };
        let history = History::open(folder.path()).unwrap();
        history.keep(&[standing.clone(), other.clone()]).unwrap();
        let changed = Standing { owed: 0, ..standing };
        history.keep(std::slice::from_ref(&changed)).unwrap();
        drop(history);
        assert_eq!(History::open(folder.path()).unwrap().standings().unwrap(), vec![other, changed]);
    }
}
