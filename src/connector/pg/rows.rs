//! Rows of a query as chunks, in whatever form their cells come out of the server.

use std::sync::Arc;

use serde_json::Map;

use super::read::Query;
use crate::connector::{
    cells::{Cell, RowDecoder, cell_as_json},
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

    /// Takes the next row; `cell(i)` is the cell of the query's column `i`, and is asked again where the row is bad.
    pub(crate) fn take<'c>(&mut self, cell: impl Fn(usize) -> Cell<'c>) {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let query = self.query.clone();
        let own = query.schema.fields().len();
        let others = || -> Map<String, serde_json::Value> {
            let others = query.others.iter().enumerate();
            others.map(|(i, name)| (name.clone(), cell_as_json(cell(own + i)))).collect()
        };
        if query.refuses {
            let fields = query.schema.fields().iter().enumerate();
            let mut row: Map<_, _> =
                fields.map(|(i, field)| (field.name().clone(), cell_as_json(cell(i)))).collect();
            row.extend(others());
            let reason = "a column that the contract does not list".to_owned();
            let column = query.others.first().cloned();
            self.decoder.refuse(BadRow { ordinal, column, reason, row });
        } else if !self.decoder.push(ordinal, &cell) {
            self.decoder.complete(others());
        }
    }
}
