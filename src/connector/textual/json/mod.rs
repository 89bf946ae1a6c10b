//! Rows as JSON objects.
//!
//! Lossless between our own pipelines: whole numbers are JSON numbers with all their digits; decimals are text, because most readers of JSON take numbers for
//! doubles; `NaN` and infinities are text; dates, times and timestamps are ISO text; bytes are Base64. NULL is `null`, and a field that is missing is read as NULL.

mod encode;
mod scan;

pub(crate) use self::{
    encode::{Encoder, can_spell},
    scan::fields,
};
