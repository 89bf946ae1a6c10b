//! The report bot. Its dialog is a pure function from a state and an event to a state and actions; front-ends show the screens and do the actions.
//!
//! Invariant: nothing here but front-ends touches the world or a clock.

pub mod access;
mod ask;
mod call;
mod dates;
pub mod dialog;
pub mod due;
pub mod event;
pub mod fake;
mod find;
pub mod lists;
mod look_up;
mod meant;
pub mod outbox;
mod press;
pub mod rehearsal;
mod said;
mod scene;
pub mod screen;
mod stems;
mod subscribe;
pub mod telegram;
mod token;
pub mod tree;
pub mod users_csv;
mod view;
mod waits;
pub mod words;
