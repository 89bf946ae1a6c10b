//! The dialog: `(state, event) → (state, actions)`.

use super::event::{Action, Event, State, Viewer};
use crate::config::bot::Bot;

/// What becomes of a state by an event, and what is to be done about it. Pure.
pub fn step(_bot: &Bot, _viewer: &Viewer, state: State, _event: &Event) -> (State, Vec<Action>) {
    (state, vec![])
}
