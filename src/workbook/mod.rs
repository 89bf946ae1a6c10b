//! Excel workbooks from Arrow batches. A leaf: knows nothing of projects, runs and connections.
//!
//! [`Book`] takes sheets one after another, batch by batch, and puts one file in place at the end:
//! `create` → (`sheet` → `write`* → `finish_sheet`)* → `finish`. Everything blocks.
//!
//! Invariant: what a cell shows is the value. What Excel's numbers cannot hold (past 15 digits, NaN,
//! dates before 1900) is written as text, exactly, and counted in the notes; nothing is cut or rounded away in silence.

mod book;
mod cell;
mod chart;
mod check;
mod column;
mod error;
mod guard;
mod labels;
mod look;
mod record;
mod sheet;
pub mod spec;
mod style;
mod tally;
mod target;

pub use book::{Book, BookMeta, ROW_LIMIT, Written};
pub use error::{Error, Result};
pub use labels::Labels;
pub use record::read_record;
