//! The SQL engine: one DataFusion session over all connections. A leaf for `config` (typing SQL offline), `run` and `cli`.

pub mod params;
pub mod typing;

mod blame;
mod check;
mod dates;
mod functions;
mod local_time;
mod parse;
mod planner;
mod reads;
mod row_wise;
mod state;
