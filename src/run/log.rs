//! What a run tells, put down twice: in the program's log under the run's id, and in a log of its own.

use std::sync::Arc;

use tracing::Span;

use super::event::{Event, Observer, Outcome, RunState};
use crate::{
    model::{name::Track, time::Clock},
    state::logs::{Line, RunLog},
};

/// Passes a run's events on, and puts down those worth keeping.
pub(super) struct Logged {
    inner: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    log: RunLog,
    span: Span,
}

impl Logged {
    /// For one run.
    pub(super) fn new(inner: &Arc<dyn Observer>, clock: &Arc<dyn Clock>, log: RunLog, span: Span) -> Self {
        Self { inner: Arc::clone(inner), clock: Arc::clone(clock), log, span }
    }

    /// How it ended.
    pub(super) fn ended(&self, outcome: &Outcome) {
        let Outcome { read, written, bad, .. } = outcome;
        let seconds = (outcome.finished - outcome.started).as_seconds_f64();
        let did = format!("{read} read, {written} written, {bad} bad, {seconds:.1} s");
        match (outcome.state, &outcome.error) {
            (RunState::Cancelled, _) => self.put("warn", &format!("cancelled: {did}")),
            (_, Some(error)) => self.put("error", &format!("failed: {error} ({}); {did}", error.advice())),
            (_, None) => self.put("info", &format!("done: {did}")),
        }
    }

    fn put(&self, level: &str, message: &str) {
        match level {
            "error" => tracing::error!(parent: &self.span, "{message}"),
            "warn" => tracing::warn!(parent: &self.span, "{message}"),
            "info" => tracing::info!(parent: &self.span, "{message}"),
            _ => tracing::debug!(parent: &self.span, "{message}"),
        }
        let at = self.clock.now();
        self.log.add(&Line { at, level: level.to_owned(), message: message.to_owned() });
    }
}

impl Observer for Logged {
    fn event(&self, track: &Track, event: &Event) {
        match event {
            Event::Started => self.put("debug", "begins"),
            Event::Committed { seq, rows } => self.put("debug", &format!("commit {seq}: {rows} rows")),
            Event::Retrying { error, wait, attempt } => {
                let next = attempt + 1;
                self.put("warn", &format!("{error}; try {next} in {:.1} s", wait.as_secs_f64()));
            }
            Event::Note(note) => self.put("info", note),
            Event::Planned { .. } | Event::Read { .. } | Event::Finished => {}
        }
        self.inner.event(track, event);
    }
}
