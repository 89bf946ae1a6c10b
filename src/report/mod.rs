//! Reports: query + parameters + row rules → rows → text, chart, table, file. Used by the bot and the console; knows no connector.
//!
//! - [`run`]: [`Reports`](run::Reports), which runs one from its request to the parts of its answer.
//! - [`access`]: what of a report a reader may see.
//! - [`params`]: answers to its questions as bound values.
//! - [`rows`]: what is kept of the rows, and the sums over all of them.
//! - [`text`], [`table`], [`picture`], [`chart`], [`file`]: the parts.
//! - [`format`]: numbers, money and days as people write them.

pub mod access;
mod alert;
mod allowance;
mod answer;
mod cache;
pub mod cell;
pub mod chart;
mod csv;
mod drill;
mod excel;
pub mod file;
pub mod format;
mod options;
pub mod params;
pub mod picture;
pub mod rows;
pub mod run;
pub mod table;
pub mod text;
mod workbook;
