//! Rows that are spelled as text, as JSON objects or records of CSV: read into fields, which become rows against the columns that were agreed on, and written.

pub(crate) mod csv;
mod guess;
pub(crate) mod json;
mod rows;
mod value;

pub(crate) use self::{
    guess::Guess,
    rows::{FieldRows, Others},
    value::{Fields, Value, of_bytes},
};
