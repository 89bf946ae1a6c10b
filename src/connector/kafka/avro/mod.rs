//! Rows as Avro, a record a message, as users of a schema registry write them: a zero, the schema's number, the record.
//!
//! Read by the schema that the message names, field by field into cells, so that a message that is broken or of another schema is one row, not a batch of them.
//! Written by arrow-avro, with a schema of our own making: every field may be null, so that columns may come and go.

mod read;
mod schema;
mod write;

pub(super) use self::{schema::Schema, write::Writer};
