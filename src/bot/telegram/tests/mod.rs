//! The whole front-end through teloxide, against the fake Telegram over HTTP.

mod access;
mod alerts;
mod delivery;
mod dialog;
mod faults;
mod oracle;
mod panics;
mod rig;
mod sending;
