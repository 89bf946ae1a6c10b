//! Vitrina: a data platform daemon. Data engineers write TOML; Vitrina moves rows as Arrow
//! batches exactly once, transforms them with DataFusion SQL and builds marts and dashboards.
//!
//! `ARCHITECTURE.md` has the bird's view and the code map.

pub mod bot;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod daemon;
pub mod engine;
pub mod failpoint;
pub mod model;
pub mod project_template;
pub mod report;
pub mod run;
pub mod schedule;
pub mod state;
pub mod workbook;
