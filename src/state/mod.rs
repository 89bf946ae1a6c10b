//! What a project remembers outside its sinks: two SQLite files and a lock, all in one folder.
//!
//! - `history.db` ([`history::History`]): which runs there were. May be deleted at any time: that loses
//!   history, never rows.
//! - `records.db` ([`records::Records`], [`bot::BotRecords`]): dead letters, the only copy of rows that were put aside; the bot's
//!   users, subscriptions and messages to be sent. Worth a backup.
//! - `project.lock` ([`lock::ProjectLock`]): one process at a time changes something.
//!
//! Invariant: imports `model` only. How far a track is never lies here but in its sink.

pub mod bot;
mod database;
pub mod error;
pub mod history;
pub mod lock;
mod process;
pub mod records;
