//! The report bot. Its dialog is a pure function from a state and an event to a state and actions; front-ends show the screens and do the actions.
//!
//! Invariant: nothing here but front-ends touches the world or a clock.

pub mod dialog;
pub mod event;
pub mod screen;
