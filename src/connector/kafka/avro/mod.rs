//! Rows as Avro, a record a message, as users of a schema registry write them: a zero, the schema's number, the record.
//!
//! Read by the schema that the message names, field by field into cells, so that a message that is broken or of another schema is one row, not a batch of them.
//! Written by arrow-avro, with a schema of our own making: every field may be null, so that columns may come and go.

mod read;
mod schema;
mod write;

pub(super) use self::{schema::Schema, write::Writer};

/// What stands before the record.
const FRAME: usize = 5;

/// The number of a message's schema.
pub(super) fn id(payload: &[u8]) -> Result<u32, &'static str> {
    match payload {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err("a message that does not begin with the number of a schema"),
    }
}

/// A message without what names its schema.
pub(super) fn unframed(payload: &[u8]) -> &[u8] {
    payload.get(FRAME..).unwrap_or_default()
}
