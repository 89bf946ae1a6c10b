//! A heat map: a table whose cells are coloured by value, such as cohorts against their age.

use super::{
    Plot,
    canvas::{Anchor, Area, Drawing, GRAY, INK, Text, fitted, text_width},
    frame::{Frame, LABEL, MARGIN, NOTE, WIDTH, shown_of},
    scale::{value_label, value_with_unit},
};

const ROWS: usize = 36;
const COLUMNS: usize = 60;
const HEIGHT: f64 = 52.0;

/// Draws it: a row for each series, a column for each place of the axis.
pub(super) fn heat_map(plot: &Plot) -> Drawing {
    let mut frame = Frame::new(&plot.title, &plot.subtitle);
    let rows = plot.series.len().min(ROWS);
    let columns = plot.axis.len().min(COLUMNS);
    let names: Vec<String> =
        plot.series.iter().take(rows).map(|row| fitted(&row.name, LABEL, 240.0)).collect();
    let left = MARGIN + names.iter().map(|name| text_width(name, LABEL)).fold(0.0, f64::max) + 16.0;
    let width = (WIDTH - MARGIN - left) / columns as f64;
    let cells = || {
        plot.series
            .iter()
            .take(rows)
            .flat_map(|row| row.values.iter().take(columns))
            .filter_map(|value| *value)
    };
    let (low, high) = (cells().fold(f64::INFINITY, f64::min), cells().fold(f64::NEG_INFINITY, f64::max));
    let texts: f64 = cells().map(|value| text_width(&cell_label(plot, value), NOTE)).fold(0.0, f64::max);
    let numbered = texts + 6.0 <= width;
    legend(&mut frame, plot, (low, high));
    header(&mut frame, plot, columns, (left, width));
    let first = frame.top;
    for (row, (series, name)) in plot.series.iter().zip(&names).enumerate() {
        let top = first + row as f64 * HEIGHT;
        frame.drawing.text(Text::new(MARGIN, top + HEIGHT / 2.0 + LABEL * 0.34, LABEL, name.clone()));
        for (column, value) in series.values.iter().take(columns).enumerate() {
            let Some(value) = value else { continue };
            let part = if high > low { (value - low) / (high - low) } else { 0.5 };
            let x = left + column as f64 * width;
            let area =
                Area { left: x + 1.0, right: x + width - 1.0, top: top + 1.0, bottom: top + HEIGHT - 1.0 };
            frame.drawing.rect(area, 4.0, &shade(part));
            if numbered {
                let label = cell_label(plot, *value);
                let text = Text::new(x + width / 2.0, top + HEIGHT / 2.0 + NOTE * 0.36, NOTE, label)
                    .anchored(Anchor::Middle);
                frame.drawing.text(text.filled(if part > 0.55 { "#ffffff" } else { INK }));
            }
        }
    }
    let words = &plot.words;
    let of_rows = shown_of(rows, plot.series.len(), |shown, all| words.shown_rows(shown, all));
    let of_columns = shown_of(columns, plot.axis.len(), |shown, all| words.shown_columns(shown, all));
    let notes: Vec<String> = of_rows.into_iter().chain(of_columns).collect();
    frame.finish(first + rows as f64 * HEIGHT, &notes)
}

/// A value without its unit, which the legend says.
fn cell_label(plot: &Plot, value: f64) -> String {
    let label = value_label(value, &plot.measure, &plot.words);
    label.trim_end_matches(|c: char| c == '%' || c.is_whitespace()).to_owned()
}

/// From nearly white to a deep blue.
fn shade(part: f64) -> String {
    const STOPS: [[f64; 3]; 4] =
        [[235.0, 242.0, 254.0], [158.0, 190.0, 250.0], [47.0, 111.0, 237.0], [23.0, 58.0, 138.0]];
    let place = part.clamp(0.0, 1.0) * 3.0;
    let at = (place.floor() as usize).min(2);
    let mixed = |channel: usize| {
        let (one, other) = (STOPS[at][channel], STOPS[at + 1][channel]);
        (one + (other - one) * (place - at as f64)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mixed(0), mixed(1), mixed(2))
}

/// Which colour is which value.
fn legend(frame: &mut Frame, plot: &Plot, (low, high): (f64, f64)) {
    let say = |value| value_with_unit(value, &plot.measure, &plot.words);
    let base = frame.top + NOTE;
    let from = Text::new(MARGIN, base, NOTE + 2.0, say(low)).filled(GRAY);
    let left = from.area().right + 14.0;
    frame.drawing.text(from);
    for step in 0..20 {
        let x = left + f64::from(step) * 10.0;
        let area = Area { left: x, right: x + 10.5, top: base - 18.0, bottom: base + 2.0 };
        frame.drawing.rect(area, 0.0, &shade(f64::from(step) / 19.0));
    }
    frame.drawing.text(Text::new(left + 214.0, base, NOTE + 2.0, say(high)).filled(GRAY));
    frame.top += NOTE * 2.0;
}

/// Ages above the columns, as many as fit.
fn header(frame: &mut Frame, plot: &Plot, columns: usize, (left, width): (f64, f64)) {
    let names: Vec<String> = (0..columns)
        .map(|at| fitted(&plot.axis.name(at, &plot.words), LABEL, (width * 3.0).max(90.0)))
        .collect();
    let widest = names.iter().map(|name| text_width(name, LABEL)).fold(0.0, f64::max);
    let step = ((widest + 12.0) / width).ceil().max(1.0) as usize;
    let base = frame.top + LABEL * 0.9;
    for (at, name) in names.into_iter().enumerate().step_by(step) {
        let half = text_width(&name, LABEL) / 2.0;
        let x = (left + (at as f64 + 0.5) * width).min(WIDTH - 16.0 - half);
        frame.drawing.text(Text::new(x, base, LABEL, name).anchored(Anchor::Middle).filled(GRAY));
    }
    frame.top += LABEL * 1.6;
}
