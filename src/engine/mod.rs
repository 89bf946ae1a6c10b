//! The SQL engine: one DataFusion session over all connections. A leaf for `config` (typing SQL offline), `run` and `cli`.
//!
//! - [`typing`]: SQL judged without running it; every mistake at its place.
//! - [`session`]: [`Engine`](session::Engine), which runs queries.
//! - [`again`]: questions that are asked of many tables, one after another.
//! - [`transform`], [`condition`]: a pipeline's SQL over the unit at hand.
//! - [`relations`]: `mart.NAME` and `pipeline.NAME`.
//! - [`row_rules`]: which rows a reader sees.
//! - [`params`]: values that SQL names with a colon.
//!
//! Invariant: only queries are ever run, and a parameter's value never becomes SQL text.

pub mod again;
pub mod condition;
pub mod params;
pub mod relations;
pub mod row_rules;
pub mod session;
pub mod transform;
pub mod typing;

mod blame;
mod carry;
mod check;
mod compact;
mod dates;
mod day_range;
mod execute;
mod functions;
mod local_time;
mod native;
mod origins;
mod parse;
mod partition_windows;
mod planner;
mod pool;
mod probe_source;
mod push_down;
mod reads;
mod resolve;
mod row_numbers;
mod row_wise;
mod source_scan;
mod state;
mod trusted;

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod typing_tests;
