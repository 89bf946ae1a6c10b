//! Labels under the axis: as many as fit, at places that people look for: Mondays, first days of months, years.

use chrono::{Datelike, NaiveDate, Weekday};

use super::{
    Axis, Plot,
    canvas::{Anchor, Drawing, GRAY, Text, text_width, wrapped},
    frame::{Frame, LABEL, MARGIN, WIDTH, shown_of},
};
use crate::{bot::words::Words, report::format};

/// Room between two labels.
const GAP: f64 = 18.0;
const LINE: f64 = LABEL * 1.2;

/// A label: where its middle is, and its lines.
struct Tick {
    at: usize,
    lines: Vec<String>,
}

/// Ends a drawing of `shown` series whose area ends at `base`: the axis' labels, and what is not drawn.
pub(super) fn finish(
    mut frame: Frame,
    plot: &Plot,
    shown: usize,
    base: f64,
    place: &dyn Fn(usize) -> f64,
) -> Drawing {
    let room = (MARGIN, WIDTH - 20.0, base);
    let bottom = draw(&mut frame.drawing, &plot.axis, &plot.words, room, place);
    let note = shown_of(shown, plot.series.len(), |shown, all| plot.words.shown_series(shown, all));
    frame.finish(bottom, note.as_slice())
}

/// Writes labels under `base`; returns where they end. `place` is the middle of each place of the axis, `band` the room between two.
fn draw(
    drawing: &mut Drawing,
    axis: &Axis,
    words: &Words,
    (left, right, base): (f64, f64, f64),
    place: &dyn Fn(usize) -> f64,
) -> f64 {
    let ticks = match axis {
        Axis::Days(days) => of_days(days, words, (left, right), place),
        Axis::Names(names) => of_names(names, (left, right), place),
    };
    let lines = ticks.iter().map(|tick| tick.lines.len()).max().unwrap_or(0);
    for tick in ticks {
        for (number, line) in tick.lines.into_iter().enumerate() {
            let x = within(&line, place(tick.at), left, right);
            let y = base + 18.0 + LABEL * 0.8 + number as f64 * LINE;
            drawing.text(Text::new(x, y, LABEL, line).anchored(Anchor::Middle).filled(GRAY));
        }
    }
    base + 20.0 + lines as f64 * LINE
}

/// The middle of a label that stays on the sheet.
fn within(text: &str, middle: f64, left: f64, right: f64) -> f64 {
    let half = text_width(text, LABEL) / 2.0;
    middle.min(right - half).max(left + half)
}

/// Which days carry a label, and what it says.
type Level = (fn(NaiveDate, usize) -> bool, fn(NaiveDate, bool, &Words) -> Vec<String>);

/// From many labels to few.
const LEVELS: [Level; 9] = [
    (|_, _| true, day_lines),
    (|_, at| at.is_multiple_of(2), day_lines),
    (|day, _| day.weekday() == Weekday::Mon, day_lines),
    (|day, _| matches!(day.day(), 1 | 15), day_lines),
    (|day, _| day.day() == 1, month_lines),
    (|day, _| day.day() == 1 && day.month0().is_multiple_of(2), month_lines),
    (|day, _| day.day() == 1 && day.month0().is_multiple_of(3), month_lines),
    (|day, _| day.day() == 1 && day.month0().is_multiple_of(6), month_lines),
    (|day, _| day.ordinal() == 1, |day, _, _| vec![day.year().to_string()]),
];

fn day_lines(day: NaiveDate, _: bool, words: &Words) -> Vec<String> {
    vec![format::day_month(day, words)]
}

/// The year stands under the first month and under each January.
fn month_lines(day: NaiveDate, first: bool, words: &Words) -> Vec<String> {
    let mut lines = vec![format::month(day.month0(), words).to_owned()];
    if first || day.month() == 1 {
        lines.push(day.year().to_string());
    }
    lines
}

fn of_days(days: &[NaiveDate], words: &Words, ends: (f64, f64), place: &dyn Fn(usize) -> f64) -> Vec<Tick> {
    let months = days.len() > 1 && days.iter().all(|day| day.day() == 1);
    let levels = if months { &LEVELS[4..] } else { &LEVELS[..] };
    let one_label_is_enough = days.len() == 1;
    for (chosen, lines) in levels {
        let mut ticks: Vec<Tick> = vec![];
        for (at, day) in days.iter().enumerate().filter(|(at, day)| chosen(**day, *at)) {
            ticks.push(Tick { at, lines: lines(*day, ticks.is_empty(), words) });
        }
        if (ticks.len() > 1 || one_label_is_enough) && fit(&ticks, ends, place) {
            return ticks;
        }
    }
    // Days with gaps, or too many years: every so many-th.
    thinned(days.len(), ends, place, &|at| vec![format::date(days[at], words.language())])
}

fn of_names(names: &[String], ends: (f64, f64), place: &dyn Fn(usize) -> f64) -> Vec<Tick> {
    const LINES: usize = 3;
    let band = if names.len() > 1 { place(1) - place(0) } else { ends.1 - ends.0 };
    let room = band - GAP;
    let widest =
        |text: &String| text.split_whitespace().map(|word| text_width(word, LABEL)).fold(0.0, f64::max);
    // Words that would be cut to a few letters tell less than some of them in full.
    if room >= names.iter().map(widest).fold(0.0, f64::max).min(110.0) {
        let tick = |(at, name): (usize, &String)| Tick { at, lines: wrapped(name, LABEL, room, LINES) };
        return names.iter().enumerate().map(tick).collect();
    }
    thinned(names.len(), ends, place, &|at| wrapped(&names[at], LABEL, 200.0, 1))
}

/// Every second, third, … label, until they fit.
fn thinned(
    count: usize,
    ends: (f64, f64),
    place: &dyn Fn(usize) -> f64,
    lines: &dyn Fn(usize) -> Vec<String>,
) -> Vec<Tick> {
    let mut step = 1;
    loop {
        let ticks: Vec<Tick> = (0..count).step_by(step).map(|at| Tick { at, lines: lines(at) }).collect();
        if ticks.len() < 2 || fit(&ticks, ends, place) {
            return ticks;
        }
        step += step.div_ceil(4);
    }
}

/// Whether all labels stand beside each other.
fn fit(ticks: &[Tick], (left, right): (f64, f64), place: &dyn Fn(usize) -> f64) -> bool {
    let mut free = f64::NEG_INFINITY;
    ticks.iter().all(|tick| {
        let half = tick.lines.iter().map(|line| text_width(line, LABEL) / 2.0).fold(0.0, f64::max);
        let middle = place(tick.at).min(right - half).max(left + half);
        let fits = middle - half >= free;
        free = middle + half + GAP;
        fits
    })
}
