//! What history keeps of marts: a copy of what their sinks say of each build, what checks said, and backfills that are not done. Sinks tell it all again.

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;

use super::{
    database::{instant_text, parse_instant},
    error::Result,
    history::History,
};
use crate::model::{name::Track, unit::Record};

/// The second format of the file.
pub(super) const TABLES: &str = "CREATE TABLE builds (
        name TEXT NOT NULL,
        window TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (name, window)
    ) WITHOUT ROWID;
    CREATE TABLE checks (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        window TEXT NOT NULL,
        at TEXT NOT NULL,
        check_name TEXT NOT NULL,
        blocks INTEGER NOT NULL,
        broken INTEGER NOT NULL
    );
    CREATE INDEX checks_by_name ON checks (name, id);
    CREATE INDEX checks_by_run ON checks (run);
    CREATE TABLE backfills (
        name TEXT NOT NULL,
        since TEXT NOT NULL,
        last TEXT NOT NULL,
        begun TEXT NOT NULL,
        PRIMARY KEY (name, since, last)
    ) WITHOUT ROWID;";

/// The fifth format of the file.
pub(super) const BACKFILL_QUERIES: &str = "ALTER TABLE backfills ADD COLUMN query TEXT NOT NULL DEFAULT ''";

/// Results that are kept of a mart's member; older ones are forgotten when it runs again.
const KEPT_RESULTS: u32 = 10_000;

/// Keeps no more of a member's results than it may; asked once a run, since it walks them all.
pub(super) fn forget_checks(transaction: &Transaction<'_>, track: &Track) -> rusqlite::Result<()> {
    let old = "DELETE FROM checks WHERE name = ?1 AND id < (SELECT id FROM checks WHERE name = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    transaction.execute(old, params![track.of_member().name(), KEPT_RESULTS - 1]).map(drop)
}

fn insert_checks(
    transaction: &Transaction<'_>,
    run: &str,
    track: &Track,
    at: DateTime<Utc>,
    results: &[CheckResult],
) -> rusqlite::Result<()> {
    let (name, window) = (track.of_member().name(), track.window.as_deref().unwrap_or_default());
    let mut insert = transaction.prepare_cached(
        "INSERT INTO checks (run, name, window, at, check_name, blocks, broken) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for result in results {
        let broken = result.broken.cast_signed();
        insert.execute(params![run, name, window, instant_text(at), result.name, result.blocks, broken])?;
    }
    Ok(())
}

/// What a check said of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// The check.
    pub name: String,
    /// Whether rows that break it are not taken.
    pub blocks: bool,
    /// Rows that break it; 0 = it holds.
    pub broken: u64,
}

/// What a check said, and of which build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The run.
    pub run: String,
    /// The mart's member, as users name it.
    pub mart: String,
    /// The window; empty where the table was built whole.
    pub window: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What it said.
    #[serde(flatten)]
    pub result: CheckResult,
}

impl History {
    /// Copies the records of a member's builds, by window, in place of those that are known.
    pub fn put_builds(&self, name: &str, records: Vec<(String, Record)>) -> Result<()> {
        let texts: Vec<(String, String)> =
            records.into_iter().map(|(key, record)| (key, text(&record))).collect();
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM builds WHERE name = ?1", [name])?;
            let mut insert =
                transaction.prepare("INSERT INTO builds (name, window, record) VALUES (?1, ?2, ?3)")?;
            for (window, record) in &texts {
                insert.execute(params![name, window, record])?;
            }
            drop(insert);
            transaction.commit()
        })
    }

    /// Copies the record that a run's build left, of a window or of the whole table, and keeps what checks said of it.
    pub fn put_build(
        &self,
        run: &str,
        track: &Track,
        record: &Record,
        results: &[CheckResult],
    ) -> Result<()> {
        let window = track.window.as_deref().unwrap_or_default();
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO builds (name, window, record) VALUES (?1, ?2, ?3)")?
                .execute(params![track.of_member().name(), window, text(record)])?;
            insert_checks(&transaction, run, track, record.at, results)?;
            transaction.commit()
        })
    }

    /// The copies of a member's records, by window.
    pub fn builds(&self, name: &str) -> Result<Vec<(String, Record)>> {
        let rows = self.database.with(|connection| {
            let mut select = connection
                .prepare_cached("SELECT window, record FROM builds WHERE name = ?1 ORDER BY window")?;
            select
                .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(String, String)>>>()
        })?;
        // A copy that cannot be read is none: the sink is asked.
        Ok(rows
            .into_iter()
            .filter_map(|(key, text)| Some((key, serde_json::from_str(&text).ok()?)))
            .collect())
    }

    /// Keeps what checks said of a build that left no record.
    pub fn put_checks(
        &self,
        run: &str,
        track: &Track,
        at: DateTime<Utc>,
        results: &[CheckResult],
    ) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            insert_checks(&transaction, run, track, at, results)?;
            transaction.commit()
        })
    }

    /// What the checks of a member said last, of each window, newest windows first; only those that do not hold where `broken` says so.
    pub fn checks(&self, name: &str, broken: bool, limit: u32) -> Result<Vec<Checked>> {
        let rows = self.database.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT run, window, at, check_name, blocks, broken FROM checks
                 WHERE id IN (SELECT max(id) FROM checks WHERE name = ?1 GROUP BY window, check_name) AND (broken > 0 OR NOT ?2)
                 ORDER BY window DESC, id LIMIT ?3",
            )?;
            let read = |row: &rusqlite::Row<'_>| {
                let result = CheckResult {
                    name: row.get(3)?,
                    blocks: row.get(4)?,
                    broken: row.get::<_, i64>(5)?.unsigned_abs(),
                };
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, result))
            };
            select.query_map(params![name, broken, limit], read)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let checked = rows.into_iter().map(|(run, window, at, result)| {
            let at = parse_instant(&at).ok_or_else(|| self.database.corrupt("the time of a check"))?;
            Ok(Checked { run, mart: name.to_owned(), window, at, result })
        });
        checked.collect()
    }

    /// What checks said in a run: how many hold, and those that do not.
    pub fn checks_of_run(&self, run: &str) -> Result<(u64, Vec<CheckResult>)> {
        self.database.with(|connection| {
            let sql = "SELECT check_name, blocks, broken FROM checks WHERE run = ?1 ORDER BY id";
            let mut select = connection.prepare_cached(sql)?;
            let read = |row: &rusqlite::Row<'_>| {
                let broken = row.get::<_, i64>(2)?.unsigned_abs();
                Ok(CheckResult { name: row.get(0)?, blocks: row.get(1)?, broken })
            };
            let all = select.query_map([run], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
            let (held, broken): (Vec<_>, Vec<_>) = all.into_iter().partition(|result| result.broken == 0);
            Ok((held.len() as u64, broken))
        })
    }

    /// A backfill of these days, both in, is asked for: gives when it began, which was before `now` where one of the same query (its digest) did not come to its end.
    /// `anew` forgets that one.
    pub fn begin_backfill(
        &self,
        name: &str,
        (from, last): (NaiveDate, NaiveDate),
        query: &str,
        anew: bool,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>> {
        let (from, last) = (from.to_string(), last.to_string());
        let begun = self.database.with(|connection| {
            let sql = "SELECT begun FROM backfills WHERE name = ?1 AND since = ?2 AND last = ?3 AND query = ?4";
            let key = params![name, from, last, query];
            let found = connection.query_row(sql, key, |row| row.get::<_, String>(0)).optional()?;
            let begun = found.filter(|_| !anew);
            if begun.is_none() {
                connection.execute(
                    "INSERT OR REPLACE INTO backfills (name, since, last, begun, query) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![name, from, last, instant_text(now), query],
                )?;
            }
            Ok(begun)
        })?;
        Ok(begun.and_then(|begun| parse_instant(&begun)).unwrap_or(now))
    }

    /// A backfill came to its end.
    pub fn end_backfill(&self, name: &str, from: NaiveDate, last: NaiveDate) -> Result<()> {
        self.database.with(|connection| {
            let sql = "DELETE FROM backfills WHERE name = ?1 AND since = ?2 AND last = ?3";
            connection.execute(sql, params![name, from.to_string(), last.to_string()]).map(|_| ())
        })
    }
}

fn text(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        name::{AttemptId, JobName, Member},
        unit::{Build, Progress},
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn record(seq: u64) -> Record {
        let inputs = [("p:views@2026-01-01".to_owned(), 3)].into();
        let progress = Progress::Build(Build { fingerprint: "f".into(), inputs });
        Record { seq, progress, attempt: AttemptId::parse("a"), at: at(0), rows: 7 }
    }

    fn broken(name: &str, broken: u64) -> CheckResult {
        CheckResult { name: name.to_owned(), blocks: true, broken }
    }

    #[test]
    fn copies_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let track = Track::new("p", &JobName::new("views"), &Member::default()).of_window("2026-01-01");
        history.put_build("r1", &track, &record(1), &[broken("а", 0)]).unwrap();
        history.put_build("r2", &track, &record(2), &[]).unwrap();
        history.put_build("r3", &Track { member: "mrf1".to_owned(), ..track }, &record(9), &[]).unwrap();
        assert_eq!(history.builds("views").unwrap(), [("2026-01-01".to_owned(), record(2))]);
        history.put_builds("views", vec![("2026-01-02".to_owned(), record(3))]).unwrap();
        assert_eq!(history.builds("views").unwrap(), [("2026-01-02".to_owned(), record(3))]);
        assert_eq!(history.builds("views/mrf1").unwrap().len(), 1);
        assert_eq!(history.checks_of_run("r1").unwrap(), (1, vec![]));
    }

    #[test]
    fn the_last_word_of_each_check_of_each_window() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let track = Track::new("p", &JobName::new("views"), &Member::default());
        let first = track.of_window("2026-01-01");
        history.put_checks("r1", &first, at(0), &[broken("а", 3), broken("б", 0)]).unwrap();
        history.put_checks("r2", &track.of_window("2026-01-02"), at(1), &[broken("а", 0)]).unwrap();
        history.put_checks("r3", &first, at(2), &[broken("а", 0)]).unwrap();
        let told: Vec<_> = history
            .checks("views", false, 10)
            .unwrap()
            .into_iter()
            .map(|c| (c.run, c.window, c.result.broken))
            .collect();
        let expected = [("r2", "2026-01-02", 0), ("r1", "2026-01-01", 0), ("r3", "2026-01-01", 0)];
        assert_eq!(told, expected.map(|(run, window, broken)| (run.to_owned(), window.to_owned(), broken)));
        assert_eq!(history.checks("other", false, 10).unwrap(), vec![]);
        assert_eq!(history.checks("views", true, 10).unwrap(), vec![], "it holds by now");
        history.put_checks("r4", &first, at(3), &[broken("б", 2)]).unwrap();
        let found = history.checks("views", true, 1).unwrap();
        assert_eq!((found.len(), found[0].run.as_str()), (1, "r4"), "however many newer windows hold");
        assert_eq!(history.checks_of_run("r1").unwrap(), (1, vec![broken("а", 3)]));
    }

    #[test]
    fn a_backfill_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let (from, last) = ("2026-01-01".parse().unwrap(), "2026-01-31".parse().unwrap());
        let begin = |days, query, anew, second| {
            history.begin_backfill("views", days, query, anew, at(second)).unwrap()
        };
        assert_eq!(begin((from, last), "q", false, 0), at(0));
        assert_eq!(begin((from, last), "q", false, 3), at(0));
        assert_eq!(begin((from, from), "q", false, 4), at(4), "other days");
        assert_eq!(begin((from, last), "other", false, 5), at(5), "another query");
        assert_eq!(begin((from, last), "other", true, 6), at(6), "asked to begin anew");
        assert_eq!(begin((from, last), "other", false, 7), at(6));
        history.end_backfill("views", from, last).unwrap();
        assert_eq!(begin((from, last), "other", false, 8), at(8));
    }
}
