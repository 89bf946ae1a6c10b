//! What places of the dialog wait for, by the numbers of their questions.

use super::{
    ask,
    event::{Action, Draft, Spot, State},
};

impl State {
    /// What the screen at hand waits for: whoever begins to serve it anew asks for that once more.
    pub fn waits_for(&self) -> Option<Action> {
        self.trail.iter().rev().find_map(Spot::waits_for)
    }
}

impl Spot {
    /// What it waits for.
    fn waits_for(&self) -> Option<Action> {
        match self {
            Self::Ask { call, name, draft: Draft::List { ticket: Some(ticket), search, .. } } => {
                Some(Action::Options {
                    ticket: *ticket,
                    report: call.report.clone(),
                    ask: name.clone(),
                    search: search.clone(),
                    limit: ask::list::KEPT,
                })
            }
            Self::Understood { words, calls: None, ticket: Some(ticket), .. } => {
                Some(Action::Understand { ticket: *ticket, words: words.clone(), report: None })
            }
            Self::Told { report, words, ticket, .. } => Some(Action::Understand {
                ticket: *ticket,
                words: words.clone(),
                report: Some(report.clone()),
            }),
            _ => None,
        }
    }

    /// The number of what it waits for, or may hear more of.
    pub(super) fn ticket(&self) -> Option<u64> {
        match self {
            Self::Ask { draft: Draft::List { ticket, .. }, .. } | Self::Understood { ticket, .. } => *ticket,
            Self::Told { ticket, .. } => Some(*ticket),
            _ => None,
        }
    }
}
