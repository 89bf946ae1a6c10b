//! Rows of a query as chunks, in whatever form their cells come out of the server.

use std::sync::Arc;

use serde_json::Map;

use super::read::Query;
use crate::connector::{
    cells::{Cell, Column, RowDecoder, cell_as_json},
    error::Result,
    source::{BadRow, Chunk},
};

/// Rows and bytes of a chunk, at most.
const CHUNK_ROWS: usize = 8_192;
const CHUNK_BYTES: usize = 4 << 20;

/// Gathers rows into chunks.
pub(crate) struct Rows {
    pub(crate) query: Arc<Query>,
    decoder: RowDecoder,
    ordinal: u64,
}

impl Rows {
    /// Fails for types that cells cannot be read as.
    pub(crate) fn new(query: Query) -> Result<Self> {
        let decoder = RowDecoder::new(query.schema.clone(), query.rules.clone())?;
        Ok(Self { query: Arc::new(query), decoder, ordinal: 0 })
    }

    /// Rows that were taken, bad ones too.
    pub(crate) fn taken(&self) -> u64 {
        self.ordinal
    }

    /// Whether it is time for a chunk.
    pub(crate) fn are_many(&self) -> bool {
        self.decoder.rows() >= CHUNK_ROWS || self.decoder.bytes() >= CHUNK_BYTES
    }

    /// What was gathered; `None` = nothing.
    pub(crate) fn chunk(&mut self) -> Result<Option<Chunk>> {
        (self.decoder.rows() > 0).then(|| self.decoder.finish()).transpose()
    }

    /// Takes the next row: `plain` and `cell` as [`RowDecoder::push_plain`] has them, for the query's columns.
    pub(crate) fn take<'c>(
        &mut self,
        plain: impl Fn(usize, &mut Column) -> Option<usize>,
        cell: impl Fn(usize) -> Cell<'c>,
    ) {
        let Self { query, decoder, ordinal } = self;
        let number = *ordinal;
        *ordinal += 1;
        if query.refuses {
            decoder.refuse(unlisted(query, number, &cell));
        } else if !decoder.push_plain(number, plain, &cell) {
            decoder.complete(others(query, &cell));
        }
    }
}

/// A row of a table that has a column which the contract does not list.
fn unlisted<'c>(query: &Query, ordinal: u64, cell: &impl Fn(usize) -> Cell<'c>) -> BadRow {
    let fields = query.schema.fields().iter().enumerate();
    let mut row: Map<_, _> = fields.map(|(i, field)| (field.name().clone(), cell_as_json(cell(i)))).collect();
    row.extend(others(query, cell));
    let reason = "a column that the contract does not list".to_owned();
    BadRow { ordinal, column: query.others.first().cloned(), reason, row }
}

/// What a bad row has beside the columns of the schema.
fn others<'c>(query: &Query, cell: &impl Fn(usize) -> Cell<'c>) -> Map<String, serde_json::Value> {
    let own = query.schema.fields().len();
    let others = query.others.iter().enumerate();
    others.map(|(i, name)| (name.clone(), cell_as_json(cell(own + i)))).collect()
}
