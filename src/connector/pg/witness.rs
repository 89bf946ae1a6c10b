//! How a source that was made again is noticed.
//!
//! A position keeps digests of the last rows up to it. Later, among the rows that then are the last up to it, at least one must have
//! one of these digests: a row that was changed or deleted since is no alarm, a table of other rows is. The digests are over columns that the
//! position names, so that columns which are added later are no alarm either. What cannot be noticed: a table made again whose
//! rows up to the position are the same (as a restored backup's are).
//!
//! With an overlap a position also keeps what lay in it, so that a row that shows up late is met although nothing lies behind the position.

use serde::{Deserialize, Serialize};

use super::{name::quote, plan::Look};
use crate::{
    connector::{
        cursor::Side,
        error::{Error, ErrorKind, Result},
    },
    model::{position::Bound, value::Value},
};

/// Rows that a position remembers.
const KEPT: usize = 8;
/// Columns that count.
const COLUMNS: usize = 8;
/// Rows that are looked through for one that is remembered.
const LOOKED_THROUGH: usize = 64;

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
    pub(crate) async fn witness(&self, at: &[Value]) -> Result<Option<String>> {
        let mut witness = Witness { overlap: self.overlap_digest(at).await?, ..Witness::default() };
        if self.stays() {
            witness.columns =
                self.table.columns.iter().take(COLUMNS).map(|column| column.name.clone()).collect();
            witness.rows = self.digests(at, &witness.columns, KEPT).await?;
        }
        Ok(if witness == Witness::default() { None } else { serde_json::to_string(&witness).ok() })
    }

    /// Fails where no row that is remembered is there any more, but others are in their place.
    pub(crate) async fn check_witness(&self, bound: &Bound) -> Result<()> {
        let witness = Witness::of(bound);
        let there = |name: &String| self.table.column(name).is_some();
        if witness.rows.is_empty() || !self.stays() || !witness.columns.iter().all(there) {
            return Ok(());
        }
        let found = self.digests(&bound.at, &witness.columns, LOOKED_THROUGH).await?;
        if found.is_empty() || found.iter().any(|digest| witness.rows.contains(digest)) {
            return Ok(());
        }
        let message = format!("{} was made again: its rows up to the position are others now", self.shown());
        Err(Error::new(ErrorKind::SourceChanged, message))
    }

    /// Whether rows showed up in the overlap since a position was taken.
    pub(crate) fn has_late_rows(&self, from: Option<&Bound>, head: &Bound) -> bool {
        from.is_some_and(|from| from.at == head.at && Witness::of(from).overlap != Witness::of(head).overlap)
    }

    /// What lies in the overlap before this tuple: how many rows, and a sum over where they lie. `None` without an overlap.
    async fn overlap_digest(&self, at: &[Value]) -> Result<Option<String>> {
        let Some(lower) = self.keys.overlap_lower(at)? else {
            return Ok(None);
        };
        let sum = match self.table.row_place {
            Some(place) => format!("coalesce(sum(hashtext(ROW({place})::text)), 0)"),
            None => "0".to_owned(),
        };
        let sql = format!(
            "SELECT count(*) || ':' || {sum} FROM {} WHERE {lower} AND {}",
            self.table.sql(),
            self.keys.compared(Side::UpTo, at)?
        );
        self.cell(&sql).await
    }

    /// The digests of the last rows up to a tuple.
    async fn digests(&self, at: &[Value], columns: &[String], count: usize) -> Result<Vec<String>> {
        let cells: Vec<String> = columns.iter().map(|column| format!("{}::text", quote(column))).collect();
        let digest = self.lease.server.dialect.digest(&format!("ROW({})::text", cells.join(", ")));
        let sql = format!(
            "SELECT {digest} AS _vitrina_digest FROM {} WHERE {}{} LIMIT {count}",
            self.table.sql(),
            self.keys.compared(Side::UpTo, at)?,
            self.keys.order(" DESC"),
        );
        self.cells(&sql).await
    }
}
