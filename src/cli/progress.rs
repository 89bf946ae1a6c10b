//! Progress of runs: bars on a terminal, one-line messages in a pipe.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Output, count, counted, printable, screen, took};
use crate::{
    model::name::Track,
    run::event::{Event, Observer},
};

/// How often a running track tells of itself in a pipe.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How often bars are drawn again.
const TICK: Duration = Duration::from_millis(100);

/// Shows what running tracks do.
pub(super) struct Progress {
    output: Output,
    tracks: Mutex<HashMap<Track, Running>>,
}

/// A track that runs.
struct Running {
    bar: ProgressBar,
    began: Instant,
    last_line: Instant,
    read: u64,
    written: u64,
    bad: u64,
    /// Rows that planned units hold; `None` once one could not tell.
    planned: Option<u64>,
    /// Windows that this run builds: done, and all; then the bar counts them and not rows.
    windows: Option<(u64, u64)>,
}

impl Progress {
    /// Bars or lines, as the output is.
    pub(super) fn new(output: Output) -> Self {
        Self { output, tracks: Mutex::default() }
    }

    fn tracks(&self) -> MutexGuard<'_, HashMap<Track, Running>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, track: &Track) {
        let bar = if self.output.shows_bars() {
            let bar =
                screen().add(ProgressBar::no_length().with_prefix(track.name()).with_style(open_ended()));
            bar.enable_steady_tick(TICK);
            bar
        } else {
            ProgressBar::hidden()
        };
        let now = Instant::now();
        let running = Running {
            bar,
            began: now,
            last_line: now,
            read: 0,
            written: 0,
            bad: 0,
            planned: Some(0),
            windows: None,
        };
        self.tracks().insert(track.clone(), running);
    }

    fn finish(&self, track: &Track) {
        let Some(running) = self.tracks().remove(track) else { return };
        running.bar.finish_and_clear();
        screen().remove(&running.bar);
        if running.read == 0 && running.written == 0 {
            return;
        }
        let bad = if running.bad > 0 { format!(", {} bad", count(running.bad)) } else { String::new() };
        let windows =
            running.windows.map_or(String::new(), |(done, _)| format!("{}, ", counted(done, "window")));
        let written = format!("{windows}{}", counted(running.written, "row"));
        self.output.say(&format!(
            "{}: {written} written{bad} in {}",
            track.name(),
            took(running.began.elapsed())
        ));
    }

    /// In a pipe a long run tells of itself now and then.
    fn line_now_and_then(&self, track: &Track, running: &mut Running) {
        if !self.output.shows_bars() && running.last_line.elapsed() >= BETWEEN_LINES {
            running.last_line = Instant::now();
            let windows = running.windows.map_or(String::new(), |(done, total)| {
                format!("{} of {}, ", count(done), counted(total, "window"))
            });
            let rows = counted(running.written, "row");
            self.output.say(&format!("{}: {windows}{rows} written so far", track.name()));
        }
    }
}

impl Observer for Progress {
    fn event(&self, track: &Track, event: &Event) {
        match event {
            Event::Started => return self.begin(track),
            Event::Finished => return self.finish(track),
            Event::Note(note) => {
                return self.output.say(&format!("{}: {}", track.name(), printable(note)));
            }
            Event::Retrying { error, wait, attempt } => {
                let error = printable(error);
                self.output.say(&format!(
                    "{}: {error}; try {} in {}",
                    track.name(),
                    attempt + 1,
                    took(*wait)
                ));
                return;
            }
            Event::Planned { .. } | Event::Windows { .. } | Event::Read { .. } | Event::Committed { .. } => {}
        }
        let mut tracks = self.tracks();
        let Some(running) = tracks.get_mut(track) else { return };
        running.take(event);
        self.line_now_and_then(track, running);
    }
}

impl Running {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Planned { rows } => {
                self.planned = self.planned.zip(*rows).map(|(known, more)| known + more);
                if let Some(total) = self.planned {
                    self.bar.set_length(total);
                    self.bar.set_style(with_end());
                } else {
                    self.bar.unset_length();
                    self.bar.set_style(open_ended());
                }
            }
            Event::Windows { done, total } => {
                self.windows = Some((*done, *total));
                self.bar.set_length(*total);
                self.bar.set_position(*done);
                self.bar.set_style(of_windows());
            }
            Event::Read { rows, bad } => {
                self.read += rows + bad;
                self.bad += bad;
                if self.windows.is_none() {
                    self.bar.set_position(self.read);
                }
            }
            Event::Committed { rows, .. } => {
                self.written += rows;
                self.bar.set_message(format!("{} written", count(self.written)));
            }
            Event::Started | Event::Retrying { .. } | Event::Note(_) | Event::Finished => {}
        }
    }
}

fn with_end() -> ProgressStyle {
    style("{prefix:32!} {bar:24} {human_pos}/{human_len} rows, {per_sec} {msg}").progress_chars("━╸ ")
}

fn of_windows() -> ProgressStyle {
    style("{prefix:32!} {bar:24} {human_pos}/{human_len} windows, {eta} left {msg}").progress_chars("━╸ ")
}

fn open_ended() -> ProgressStyle {
    style("{prefix:32!} {spinner} {human_pos} rows, {per_sec} {msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::ColorWhen,
        model::name::{JobName, Member},
    };

    #[test]
    fn a_bar_ends_at_what_was_planned() {
        let progress = Progress::new(Output::new(ColorWhen::Never, true));
        let track = Track::new("p", &JobName::new("действия"), &Member::default());
        progress.event(&track, &Event::Started);
        progress.event(&track, &Event::Planned { rows: Some(100) });
        progress.event(&track, &Event::Planned { rows: Some(20) });
        progress.event(&track, &Event::Read { rows: 90, bad: 10 });
        progress.event(&track, &Event::Committed { seq: 1, rows: 80 });
        {
            let tracks = progress.tracks();
            let running = &tracks[&track];
            assert_eq!((running.bar.length(), running.bar.position()), (Some(120), 100));
            assert_eq!((running.written, running.bad), (80, 10));
        }
        progress.event(&track, &Event::Planned { rows: None });
        progress.event(&track, &Event::Planned { rows: Some(5) });
        assert_eq!(progress.tracks()[&track].bar.length(), None, "the end is not known any more");
        progress.event(&track, &Event::Finished);
        assert!(progress.tracks().is_empty());
        progress.event(&track, &Event::Read { rows: 1, bad: 0 });
    }

    #[test]
    fn templates_are_sound() {
        for template in [
            "{prefix:32!} {bar:24} {human_pos}/{human_len} rows, {per_sec} {msg}",
            "{prefix:32!} {spinner} {human_pos} rows, {per_sec} {msg}",
            "{prefix:32!} {bar:24} {human_pos}/{human_len} windows, {eta} left {msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
