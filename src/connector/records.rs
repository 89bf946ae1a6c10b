//! Records of tracks, where a table of the target's own place keeps them.

use chrono::{DateTime, Utc};

use super::error::{Error, ErrorKind, Result};
use crate::model::{
    name::{AttemptId, Track},
    unit::Record,
};

/// The record table.
pub(crate) const RECORDS: &str = "_vitrina_records";

/// The record of a track, from its cells: sequence number, progress, attempt, time and rows.
pub(crate) fn parse(track: &str, cells: &[Option<String>]) -> Result<Record> {
    let record = || -> Result<Record, Box<dyn std::error::Error + Send + Sync>> {
        let [Some(seq), Some(progress), Some(attempt), Some(at), Some(rows)] = cells else {
            return Err("a cell is missing".into());
        };
        Ok(Record {
            seq: seq.parse()?,
            progress: serde_json::from_str(progress)?,
            attempt: AttemptId::parse(attempt.clone()),
            at: DateTime::parse_from_rfc3339(at)?.with_timezone(&Utc),
            rows: rows.parse()?,
        })
    };
    record().map_err(|cause| {
        let message = format!("the record of {track} in table \"{RECORDS}\" cannot be read");
        Error::new(ErrorKind::Corrupt, message).caused_by(cause)
    })
}

/// Records of several tracks: rows of a track's key and the record's cells.
pub(crate) fn parse_all(
    rows: impl IntoIterator<Item = Vec<Option<String>>>,
) -> Result<Vec<(String, Record)>> {
    let parsed = rows.into_iter().map(|mut row| {
        let cells = row.split_off(row.len().min(1));
        let track = row.pop().flatten().unwrap_or_default();
        let record = parse(&track, &cells)?;
        Ok((track, record))
    });
    parsed.collect()
}

/// A record's progress, as its cell keeps it.
pub(crate) fn progress(track: &str, record: &Record) -> Result<String> {
    serde_json::to_string(&record.progress).map_err(|cause| {
        Error::new(ErrorKind::Internal, format!("the record of {track} cannot be written")).caused_by(cause)
    })
}

/// The error of a record that is not the one that was claimed.
pub(crate) fn conflict(track: &Track) -> Error {
    Error::new(ErrorKind::Conflict, format!("the record of {} was moved by somebody else", track.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unit::Progress;

    #[test]
    fn records_come_back() {
        let progress = serde_json::to_string(&Progress::Start).unwrap();
        let row = |rows: Option<&str>| -> Vec<Option<String>> {
            let cells = [
                Some("p:a/b"),
                Some("7"),
                Some(&progress),
                Some("x"),
                Some("2026-01-31T10:00:00+00:00"),
                rows,
            ];
            cells.iter().map(|cell| cell.map(str::to_owned)).collect()
        };
        let found = parse_all([row(Some("3"))]).unwrap();
        assert_eq!((found[0].0.as_str(), found[0].1.seq, found[0].1.rows), ("p:a/b", 7, 3));
        for broken in [row(None), row(Some("-1")), vec![]] {
            let error = parse_all([broken]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt);
        }
    }
}
