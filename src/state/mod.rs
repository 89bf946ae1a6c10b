//! What a project remembers outside its sinks: two SQLite files and a lock, all in one folder.
//!
//! - `history.db` ([`history::History`]): which runs there were, a copy of what sinks know of marts' windows, what checks said, where schedules stand, and who was told of which
//!   trouble. May be deleted at any time: that loses history, never rows.
//! - `records.db` ([`records::Records`], [`bot::BotRecords`]): dead letters, the only copy of rows that were put aside; the bot's
//!   users, subscriptions and messages to be sent. Worth a backup.
//! - `logs/` ([`logs`]): what each run told. May be deleted at any time.
//! - `project.lock` ([`lock::ProjectLock`]): one process at a time changes something.
//!
//! Invariant: imports `model` only. How far a track is never lies here but in its sink.

pub mod bot;
pub mod builds;
mod database;
pub mod error;
mod failing;
pub mod history;
pub mod lock;
pub mod logs;
pub mod notices;
mod process;
pub mod records;
pub mod standing;
