//! How a source that was made again is noticed.
//!
//! A position keeps digests of the last rows up to it. Later, among the rows that then are the last up to it, at least one must have
//! one of these digests: a row that was changed or deleted since is no alarm, a table of other rows is. What cannot be noticed: a
//! table made again whose rows up to the position are the same.
//!
//! With an overlap a position also keeps how many rows lay in it, so that a row that shows up late is met although nothing lies behind the position.

use rusqlite::types::{Value as Raw, ValueRef};
use sha2::{Digest, Sha256};

use super::{
    name::{quote, quote_all},
    plan::Look,
    range::{Lower, Range, order_by},
};
use crate::connector::error::{Error, ErrorKind, Result};

/// Rows that a position remembers.
const KEPT: usize = 8;
/// Rows that are looked through for one that is remembered.
const LOOKED_THROUGH: usize = 64;
/// Bytes of a cell that count.
const COUNTED: usize = 4_096;

impl Look<'_> {
    /// What a position at this tuple remembers.
    pub(super) fn witness(&self, at: &[Raw]) -> Result<String> {
        let rows = if self.stays() { self.digests(at, KEPT)?.join(",") } else { String::new() };
        match self.overlap_digest(at)? {
            Some(overlap) => Ok(format!("{rows}|{overlap}")),
            None => Ok(rows),
        }
    }

    /// Fails where no row that is remembered is there any more, but others are in their place.
    pub(super) fn check_witness(&self, at: &[Raw], witness: &str) -> Result<()> {
        let remembered = witness.split('|').next().unwrap_or_default();
        if remembered.is_empty() || !self.stays() {
            return Ok(());
        }
        let found = self.digests(at, LOOKED_THROUGH)?;
        let known = |digest: &String| remembered.split(',').any(|kept| kept == digest);
        if found.is_empty() || found.iter().any(known) {
            return Ok(());
        }
        let message = format!("{} was made again: its rows up to the position are others now", self.shown());
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// How many rows lie in the overlap before this tuple; `None` without an overlap.
    pub(super) fn overlap_digest(&self, at: &[Raw]) -> Result<Option<String>> {
        let Some(lower) = self.overlap_lower(at)? else {
            return Ok(None);
        };
        let range = Range { lower, upper: Some(at.to_vec()) };
        let (condition, parameters) = range.condition(&self.key_names());
        let sum =
            self.table.rowid.as_ref().map_or("0".to_owned(), |rowid| format!("total({})", quote(rowid)));
        let sql = format!("SELECT count(*) || ':' || {sum} FROM {}{condition}", quote(&self.table.name));
        self.one(&sql, &parameters, |row| row.get(0))
    }

    /// The digests of the last rows up to a tuple.
    fn digests(&self, at: &[Raw], count: usize) -> Result<Vec<String>> {
        let keys = self.key_names();
        let (condition, parameters) = Range { lower: Lower::Open, upper: Some(at.to_vec()) }.condition(&keys);
        let fields = self.selection.schema.fields();
        let sql = format!(
            "SELECT {} FROM {}{condition}{} LIMIT {count}",
            quote_all(fields.iter().map(|field| field.name().as_str())),
            quote(&self.table.name),
            order_by(&keys, " DESC"),
        );
        self.all(&sql, &parameters, |row| {
            let mut digest = Sha256::new();
            for (i, field) in fields.iter().enumerate() {
                add(&mut digest, field.name(), row.get_ref(i)?);
            }
            Ok(digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        })
    }
}

/// NULL counts for nothing, so that an added column changes no digest.
fn add(digest: &mut Sha256, name: &str, cell: ValueRef<'_>) {
    let (sort, bytes): (u8, &[u8]) = match cell {
        ValueRef::Null => return,
        ValueRef::Integer(value) => return number(digest, name, 1, value.to_le_bytes()),
        ValueRef::Real(value) => return number(digest, name, 2, value.to_le_bytes()),
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(bytes) => (4, bytes),
    };
    number(digest, name, sort, (bytes.len() as u64).to_le_bytes());
    digest.update(&bytes[..bytes.len().min(COUNTED)]);
}

fn number(digest: &mut Sha256, name: &str, sort: u8, bytes: [u8; 8]) {
    digest.update(name.as_bytes());
    digest.update([0, sort]);
    digest.update(bytes);
}
