//! `records.db`: dead letters, rows that were put aside so that they can be mended and replayed.
//!
//! A dead letter must be there exactly when its unit was committed, though it lies in another file than the
//! unit's rows. So it is written first, as *pending*, under the track, the sequence number and the attempt
//! that its unit will have; the sink's record then decides:
//!
//! 1. [`Records::add`] before the commit, durable when it returns;
//! 2. the sink commits rows and record, the record naming sequence number and attempt;
//! 3. [`Records::confirm`] turns the pending letters of that attempt into real ones.
//!
//! A process that dies between 2 and 3, or before 2, leaves pending letters. The next run asks the sink for
//! its record and calls [`Records::reconcile`]: pending letters of exactly that attempt are confirmed, all
//! others of the track are swept. Invariant: pending letters are never shown, counted or replayed.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    database::{Database, Format, instant_text, parse_instant},
    error::Result,
};
use crate::model::name::{AttemptId, Track};

/// The dead letters of a project.
pub struct Records {
    database: Database,
}

/// A bad row on its way into the records.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Its number in the unit; a unit has at most one letter of a number.
    pub ordinal: u64,
    /// The column at fault.
    pub column: Option<String>,
    /// Why, without the cell's value.
    pub reason: String,
    /// The source's row as it was.
    pub row: Map<String, Value>,
    /// When it was judged.
    pub at: DateTime<Utc>,
}

/// A dead letter whose unit was committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredLetter {
    /// Rises with every letter, never given twice.
    pub id: i64,
    /// Key of the track that met it (see [`Track::key`]).
    pub track: String,
    /// The unit it was in.
    pub seq: u64,
    /// Its number in the unit.
    pub ordinal: u64,
    /// The column at fault.
    pub column: Option<String>,
    /// Why, without the cell's value.
    pub reason: String,
    /// The source's row as it was.
    pub row: Map<String, Value>,
    /// When it was judged.
    pub at: DateTime<Utc>,
    /// What became of it.
    pub state: LetterState,
}

/// What became of a dead letter whose unit was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// It waits.
    Confirmed,
    /// It was read again.
    Replayed,
    /// Somebody decided that it is not needed; its row is forgotten.
    Dropped,
}

impl LetterState {
    const ALL: [Self; 3] = [Self::Confirmed, Self::Replayed, Self::Dropped];

    /// As it is written and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }
}

/// Dead letters of one track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LetterCount {
    /// Key of the track.
    pub track: String,
    /// Letters that wait.
    pub waiting: u64,
    /// Letters that were read again.
    pub replayed: u64,
    /// Letters that somebody dropped.
    pub dropped: u64,
}

/// The file, as [`Records`] and the bot's records share it.
pub(super) const FORMAT: Format = Format {
    file: "records.db",
    migrations: &[LETTERS, super::bot::TABLES, super::bot::MOVES, super::bot::LOOKS],
    synchronous: "FULL",
};

const LETTERS: &str = "CREATE TABLE letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        track TEXT NOT NULL,
        seq INTEGER NOT NULL,
        attempt TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        column_name TEXT,
        reason TEXT NOT NULL,
        row TEXT NOT NULL,
        at TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'replayed', 'dropped')),
        UNIQUE (track, seq, attempt, ordinal)
    );
    CREATE INDEX letters_by_state ON letters (track, state, id);";

const COLUMNS: &str = "id, track, seq, ordinal, column_name, reason, row, at, state";

impl Records {
    /// Opens the records in the state folder; makes them where they are missing.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { database: Database::open(folder, &FORMAT)? })
    }

    /// Writes letters of a unit that is not committed yet, as pending. Durable when it returns.
    /// A letter that this attempt wrote before is kept as it is.
    pub fn add(&self, track: &Track, seq: u64, attempt: &AttemptId, letters: &[Letter]) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            let mut insert = transaction.prepare_cached(
                "INSERT OR IGNORE INTO letters
                     (track, seq, attempt, ordinal, column_name, reason, row, at, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending')",
            )?;
            for letter in letters {
                insert.execute(params![
                    track.key(),
                    seq as i64,
                    attempt.as_str(),
                    letter.ordinal as i64,
                    letter.column,
                    letter.reason,
                    serde_json::Value::Object(letter.row.clone()).to_string(),
                    instant_text(letter.at),
                ])?;
            }
            drop(insert);
            transaction.commit()
        })
    }

    /// The unit of these letters was committed: they count from now on. Gives how many there are. Letters of the tracks `older` that wait are dropped: the unit took the place of theirs.
    pub fn confirm(&self, track: &Track, seq: u64, attempt: &AttemptId, older: &[String]) -> Result<u64> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE letters SET state = 'dropped', row = '{}'
                 WHERE state = 'confirmed' AND track IN (SELECT value FROM json_each(?1)) AND attempt <> ?2",
                params![keys(Some(older)), attempt.as_str()],
            )?;
            let confirmed = transaction.execute(
                "UPDATE letters SET state = 'confirmed'
                 WHERE track = ?1 AND seq = ?2 AND attempt = ?3 AND state = 'pending'",
                params![track.key(), seq as i64, attempt.as_str()],
            )?;
            transaction.commit()?;
            Ok(confirmed as u64)
        })
    }

    /// Letters of one track, pending ones too, become letters of another: its pipeline was renamed.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.database.with(|connection| {
            connection.execute("UPDATE letters SET track = ?2 WHERE track = ?1", [from, to])?;
            Ok(())
        })
    }

    /// At the start of a run: the sink's record (sequence number and attempt) says which pending letters
    /// belong to a committed unit. Those are confirmed, all other pending ones of the track are swept.
    pub fn reconcile(&self, track: &Track, record: Option<(u64, &AttemptId)>) -> Result<()> {
        self.database.with(|connection| {
            let transaction = connection.transaction()?;
            if let Some((seq, attempt)) = record {
                transaction.execute(
                    "UPDATE letters SET state = 'confirmed'
                     WHERE track = ?1 AND seq = ?2 AND attempt = ?3 AND state = 'pending'",
                    params![track.key(), seq as i64, attempt.as_str()],
                )?;
            }
            transaction
                .execute("DELETE FROM letters WHERE track = ?1 AND state = 'pending'", [track.key()])?;
            transaction.commit()
        })
    }

    /// Letters that wait, oldest first, at most `limit`; of these track keys, or of every track.
    pub fn list(&self, tracks: Option<&[String]>, limit: u32) -> Result<Vec<StoredLetter>> {
        let rows = self.database.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM letters
                 WHERE state = 'confirmed' AND (?1 IS NULL OR track IN (SELECT value FROM json_each(?1)))
                 ORDER BY id LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![keys(tracks), limit], stored)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        rows.into_iter().map(|row| self.told(row)).collect()
    }

    /// Letters of these tracks that wait and whose id is past `after` and at most `until`, oldest first, at most `limit`: what a replay reads.
    pub fn waiting_between(
        &self,
        tracks: &[String],
        after: i64,
        until: i64,
        limit: u32,
    ) -> Result<Vec<StoredLetter>> {
        let rows = self.database.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM letters
                 WHERE track IN (SELECT value FROM json_each(?1)) AND state = 'confirmed'
                   AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement
                .query_map(params![keys(Some(tracks)), after, until, limit], stored)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        rows.into_iter().map(|row| self.told(row)).collect()
    }

    /// The newest letter of these tracks that waits.
    pub fn last_waiting(&self, tracks: &[String]) -> Result<Option<i64>> {
        self.database.with(|connection| {
            connection.query_row(
                "SELECT max(id) FROM letters
                 WHERE track IN (SELECT value FROM json_each(?1)) AND state = 'confirmed'",
                params![keys(Some(tracks))],
                |row| row.get(0),
            )
        })
    }

    /// How many letters each track has; of these track keys, or of every track.
    pub fn count(&self, tracks: Option<&[String]>) -> Result<Vec<LetterCount>> {
        self.database.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT track, sum(state = 'confirmed'), sum(state = 'replayed'), sum(state = 'dropped')
                 FROM letters
                 WHERE state <> 'pending' AND (?1 IS NULL OR track IN (SELECT value FROM json_each(?1)))
                 GROUP BY track ORDER BY track",
            )?;
            let count = |row: &Row<'_>| {
                Ok(LetterCount {
                    track: row.get(0)?,
                    waiting: row.get::<_, i64>(1)? as u64,
                    replayed: row.get::<_, i64>(2)? as u64,
                    dropped: row.get::<_, i64>(3)? as u64,
                })
            };
            statement.query_map([keys(tracks)], count)?.collect()
        })
    }

    /// One letter, whatever became of it.
    pub fn get(&self, id: i64) -> Result<Option<StoredLetter>> {
        let row = self.database.with(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM letters WHERE id = ?1 AND state <> 'pending'");
            connection.prepare_cached(&sql)?.query_row([id], stored).optional()
        })?;
        row.map(|row| self.told(row)).transpose()
    }

    /// Letters that are not needed: their rows are forgotten. Only of these track keys, and only these ids
    /// (`None` = all that wait). Gives how many there were.
    pub fn drop_letters(&self, tracks: &[String], ids: Option<&[i64]>) -> Result<u64> {
        let ids = ids.map(|ids| serde_json::json!(ids).to_string());
        self.database.with(|connection| {
            let dropped = connection.execute(
                "UPDATE letters SET state = 'dropped', row = '{}'
                 WHERE state = 'confirmed' AND track IN (SELECT value FROM json_each(?1))
                   AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))",
                params![keys(Some(tracks)), ids],
            )?;
            Ok(dropped as u64)
        })
    }

    /// Letters of these tracks up to this id were read again, and what they gave is committed. Gives how many they were.
    pub fn mark_replayed_until(&self, tracks: &[String], until: i64) -> Result<u64> {
        self.database.with(|connection| {
            let marked = connection.execute(
                "UPDATE letters SET state = 'replayed'
                 WHERE state = 'confirmed' AND track IN (SELECT value FROM json_each(?1)) AND id <= ?2",
                params![keys(Some(tracks)), until],
            )?;
            Ok(marked as u64)
        })
    }

    fn told(&self, row: StoredRow) -> Result<StoredLetter> {
        let unreadable =
            |what: &str| self.database.corrupt(format!("{what} of dead letter {}", row.letter.id));
        let state = LetterState::ALL.into_iter().find(|state| state.as_str() == row.state);
        Ok(StoredLetter {
            state: state.ok_or_else(|| unreadable("state"))?,
            at: parse_instant(&row.at).ok_or_else(|| unreadable("time"))?,
            row: serde_json::from_str(&row.row).map_err(|_| unreadable("row"))?,
            ..row.letter
        })
    }
}

/// A row as it lies in the file: `letter` with what is text there beside it.
struct StoredRow {
    letter: StoredLetter,
    row: String,
    at: String,
    state: String,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredRow> {
    let letter = StoredLetter {
        id: row.get("id")?,
        track: row.get("track")?,
        seq: row.get::<_, i64>("seq")? as u64,
        ordinal: row.get::<_, i64>("ordinal")? as u64,
        column: row.get("column_name")?,
        reason: row.get("reason")?,
        row: Map::new(),
        at: DateTime::UNIX_EPOCH,
        state: LetterState::Confirmed,
    };
    Ok(StoredRow { letter, row: row.get("row")?, at: row.get("at")?, state: row.get("state")? })
}

fn keys(tracks: Option<&[String]>) -> Option<String> {
    tracks.map(|tracks| serde_json::json!(tracks).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::{JobName, Member};

    fn track(job: &str) -> Track {
        Track::new("витрина", &JobName::new(job), &Member::default())
    }

    fn letter(ordinal: u64) -> Letter {
        let row = serde_json::json!({ "Имя.\"x\"": "плохо", "n": ordinal });
        Letter {
            ordinal,
            column: Some("Имя.\"x\"".to_owned()),
            reason: "text in an int64 column".to_owned(),
            row: row.as_object().unwrap().clone(),
            at: DateTime::from_timestamp(1_790_000_000, 5_000).unwrap(),
        }
    }

    fn attempt(text: &str) -> AttemptId {
        AttemptId::parse(text)
    }

    fn ordinals(records: &Records, track: &Track) -> Vec<u64> {
        records
            .waiting_between(&[track.key()], 0, i64::MAX, 100)
            .unwrap()
            .iter()
            .map(|letter| letter.ordinal)
            .collect()
    }

    #[test]
    fn letters_count_once_their_unit_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let (orders, first) = (track("orders"), attempt("a1"));
        let records = Records::open(folder.path()).unwrap();
        records.add(&orders, 1, &first, &[letter(3), letter(7)]).unwrap();
        assert_eq!(records.list(None, 10).unwrap(), vec![]);
        assert_eq!(records.count(None).unwrap(), vec![]);
        assert_eq!(records.get(1).unwrap(), None);
        assert_eq!(records.confirm(&orders, 1, &first, &[]).unwrap(), 2);
        let found = records.list(Some(&[orders.key()]), 10).unwrap();
        assert_eq!((found[0].ordinal, found[0].seq, &found[0].row), (3, 1, &letter(3).row));
        assert_eq!(found[0].at, letter(3).at);
        assert_eq!(records.list(Some(&[track("other").key()]), 10).unwrap(), vec![]);
        assert_eq!(records.list(None, 1).unwrap().len(), 1);
    }

    #[test]
    fn the_record_decides_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let (orders, other) = (track("orders"), track("other"));
        let records = Records::open(folder.path()).unwrap();
        records.add(&orders, 1, &attempt("old"), &[letter(0)]).unwrap();
        records.confirm(&orders, 1, &attempt("old"), &[]).unwrap();
        // Sequence 2 was tried three times: one attempt committed and died before it could confirm.
        for (id, ordinal) in [("failed", 1), ("committed", 2), ("late", 3)] {
            records.add(&orders, 2, &attempt(id), &[letter(ordinal)]).unwrap();
        }
        records.add(&other, 2, &attempt("committed"), &[letter(9)]).unwrap();
        drop(records);

        let records = Records::open(folder.path()).unwrap();
        records.reconcile(&orders, Some((2, &attempt("committed")))).unwrap();
        assert_eq!(ordinals(&records, &orders), [0, 2]);
        records.reconcile(&orders, Some((2, &attempt("committed")))).unwrap();
        assert_eq!(ordinals(&records, &orders), [0, 2], "a second time changes nothing");
        records.reconcile(&other, None).unwrap();
        assert_eq!(ordinals(&records, &other), [0_u64; 0], "without a record nothing was committed");
    }

    #[test]
    fn letters_of_what_was_replaced_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (orders, again, other) = (track("orders"), track("orders/replay"), track("other"));
        let records = Records::open(folder.path()).unwrap();
        for (track, id, ordinal) in [(&orders, "a1", 0), (&again, "a2", 1), (&other, "a3", 2)] {
            records.add(track, 1, &attempt(id), &[letter(ordinal)]).unwrap();
            records.confirm(track, 1, &attempt(id), &[]).unwrap();
        }
        records.add(&orders, 2, &attempt("a4"), &[letter(3)]).unwrap();
        let older = [orders.key(), again.key()];
        for confirmed in [1, 0] {
            assert_eq!(records.confirm(&orders, 2, &attempt("a4"), &older).unwrap(), confirmed);
            assert_eq!(ordinals(&records, &orders), [3]);
            assert_eq!((ordinals(&records, &again), ordinals(&records, &other)), (vec![], vec![2]));
        }
    }

    #[test]
    fn letters_go_with_a_renamed_track() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new, first) = (track("заказы"), track("orders"), attempt("a1"));
        let records = Records::open(folder.path()).unwrap();
        records.add(&old, 1, &first, &[letter(0)]).unwrap();
        records.confirm(&old, 1, &first, &[]).unwrap();
        records.add(&old, 2, &attempt("a2"), &[letter(1)]).unwrap();
        for _ in 0..2 {
            records.rename(&old.key(), &new.key()).unwrap();
        }
        assert_eq!((ordinals(&records, &old), ordinals(&records, &new)), (vec![], vec![0]));
        records.reconcile(&new, Some((2, &attempt("a2")))).unwrap();
        assert_eq!(ordinals(&records, &new), [0, 1], "what a crash left is settled under the new name");
    }

    #[test]
    fn a_letter_that_is_written_twice_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let (orders, first) = (track("orders"), attempt("a1"));
        let records = Records::open(folder.path()).unwrap();
        records.add(&orders, 1, &first, &[letter(3)]).unwrap();
        records.add(&orders, 1, &first, &[letter(3), letter(4)]).unwrap();
        assert_eq!(records.confirm(&orders, 1, &first, &[]).unwrap(), 2);
    }

    #[test]
    fn dropped_and_replayed_letters_wait_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (orders, other, first) = (track("orders"), track("other"), attempt("a1"));
        let records = Records::open(folder.path()).unwrap();
        for track in [&orders, &other] {
            records.add(track, 1, &first, &[letter(0), letter(1), letter(2)]).unwrap();
            records.confirm(track, 1, &first, &[]).unwrap();
        }
        let ids: Vec<i64> = records.list(None, 10).unwrap().iter().map(|letter| letter.id).collect();
        assert_eq!(records.mark_replayed_until(&[orders.key()], ids[0]).unwrap(), 1);
        assert_eq!(records.mark_replayed_until(&[orders.key()], ids[0]).unwrap(), 0);
        // Ids of another track are left alone.
        assert_eq!(records.drop_letters(&[orders.key()], Some(&[ids[1], ids[5]])).unwrap(), 1);
        assert_eq!(ordinals(&records, &orders), [2]);
        assert_eq!(
            records.get(ids[1]).unwrap().map(|l| (l.state, l.row)),
            Some((LetterState::Dropped, Map::new()))
        );
        assert_eq!(records.drop_letters(&[other.key()], None).unwrap(), 3);
        let counts = records.count(Some(&[orders.key()])).unwrap();
        assert_eq!((counts[0].waiting, counts[0].replayed, counts[0].dropped), (1, 1, 1));
        assert_eq!(records.waiting_between(&[orders.key()], ids[2], i64::MAX, 10).unwrap(), vec![]);
        assert_eq!(records.waiting_between(&[orders.key()], ids[0], ids[1], 10).unwrap(), vec![]);
        assert_eq!(records.last_waiting(&[orders.key(), other.key()]).unwrap(), Some(ids[2]));
        assert_eq!(records.last_waiting(&[other.key()]).unwrap(), None);
    }
}
