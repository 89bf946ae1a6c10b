//! Rows as Protocol Buffers, a message a row: as users of a schema registry frame them (a zero, the schema's number, which of its messages it is, the message), or
//! bare, of a message that a `.proto` file of the project has.
//!
//! Read field by field into cells, and written column by column, by numbers and kinds out of the schema. With a registry the schema that is written is of our own making:
//! a field may be absent, and its number is its column's place in the topic, where columns only ever come behind the others.

mod read;
mod schema;
mod write;

pub(super) use self::{
    read::Decoded,
    schema::{Message, Schema, named},
    write::{Rows, Writer},
};

/// Full names of messages that stand for something else.
const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// Seconds from 0001-01-01 to the end of 9999-12-31, which timestamps may have.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
