//! How a source that was made again is noticed.
//!
//! A position keeps digests of the last rows up to it. Later, among the rows that then are the last up to it, at least one must have
//! one of these digests: a row that was changed or deleted since is no alarm, a table of other rows is. The digests are over columns that the
//! position names, so that columns which are added later, and contracts which change, are no alarm either. What cannot be noticed: a
//! table made again whose rows up to the position are the same.
//!
//! With an overlap a position also keeps how many rows lay in it, so that a row that shows up late is met although nothing lies behind the position.

use rusqlite::types::{Value as Raw, ValueRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    name::{quote, quote_all},
    plan::Look,
    range::{Lower, Range, order_by},
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::position::Bound,
};

/// Rows that a position remembers.
const KEPT: usize = 8;
/// Columns that count.
const COLUMNS: usize = 8;
/// Rows that are looked through for one that is remembered.
const LOOKED_THROUGH: usize = 64;
/// Bytes of a cell that count.
const COUNTED: usize = 4_096;

/// What a position remembers.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Witness {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rows: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlap: Option<String>,
}

impl Witness {
    /// A witness that cannot be read (a position that was set by hand) remembers nothing.
    fn of(bound: &Bound) -> Self {
        let text = bound.witness.as_deref().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }
}

impl Look<'_> {
    /// What a position at this tuple remembers.
    pub(super) fn witness(&self, at: &[Raw]) -> Result<Option<String>> {
        let mut witness = Witness { overlap: self.overlap_digest(at)?, ..Witness::default() };
        if self.stays() {
            witness.columns =
                self.table.columns.iter().take(COLUMNS).map(|column| column.name.clone()).collect();
            witness.rows = self.digests(at, &witness.columns, KEPT)?;
        }
        Ok(if witness == Witness::default() { None } else { serde_json::to_string(&witness).ok() })
    }

    /// Fails where no row that is remembered is there any more, but others are in their place.
    pub(super) fn check_witness(&self, at: &[Raw], bound: &Bound) -> Result<()> {
        let witness = Witness::of(bound);
        let there = |name: &String| self.table.column(name).is_some();
        if witness.rows.is_empty() || !self.stays() || !witness.columns.iter().all(there) {
            return Ok(());
        }
        let found = self.digests(at, &witness.columns, LOOKED_THROUGH)?;
        if found.is_empty() || found.iter().any(|digest| witness.rows.contains(digest)) {
            return Ok(());
        }
        let message = format!("{} was made again: its rows up to the position are others now", self.shown());
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// Whether rows showed up in the overlap since a position was taken.
    pub(super) fn has_late_rows(&self, from: Option<&Bound>, head: &Bound) -> bool {
        from.is_some_and(|from| from.at == head.at && Witness::of(from).overlap != Witness::of(head).overlap)
    }

    /// How many rows lie in the overlap before this tuple; `None` without an overlap.
    fn overlap_digest(&self, at: &[Raw]) -> Result<Option<String>> {
        let Some(lower) = self.overlap_lower(at)? else {
            return Ok(None);
        };
        let range = Range { lower, upper: Some(at.to_vec()) };
        let (condition, parameters) = range.condition(&self.key_names());
        let rowid = self.table.rowid.as_ref();
        let sum = rowid.map_or("0".to_owned(), |rowid| format!("total({})", quote(rowid)));
        let sql = format!("SELECT count(*) || ':' || {sum} FROM {}{condition}", quote(&self.table.name));
        self.one(&sql, &parameters, |row| row.get(0))
    }

    /// The digests of the last rows up to a tuple.
    fn digests(&self, at: &[Raw], columns: &[String], count: usize) -> Result<Vec<String>> {
        let keys = self.key_names();
        let (condition, parameters) = Range { lower: Lower::Open, upper: Some(at.to_vec()) }.condition(&keys);
        let sql = format!(
            "SELECT {} FROM {}{condition}{} LIMIT {count}",
            quote_all(columns.iter().map(String::as_str)),
            quote(&self.table.name),
            order_by(&keys, " DESC"),
        );
        self.all(&sql, &parameters, |row| {
            let mut digest = Sha256::new();
            for (i, column) in columns.iter().enumerate() {
                digest.update(column.as_bytes());
                add(&mut digest, row.get_ref(i)?);
            }
            Ok(digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        })
    }
}

fn add(digest: &mut Sha256, cell: ValueRef<'_>) {
    let (sort, length, bytes): (u8, u64, &[u8]) = match cell {
        ValueRef::Null => (0, 0, &[]),
        ValueRef::Integer(value) => (1, value.cast_unsigned(), &[]),
        ValueRef::Real(value) => (2, value.to_bits(), &[]),
        ValueRef::Text(text) => (3, text.len() as u64, text),
        ValueRef::Blob(bytes) => (4, bytes.len() as u64, bytes),
    };
    digest.update([0, sort]);
    digest.update(length.to_le_bytes());
    digest.update(&bytes[..bytes.len().min(COUNTED)]);
}
