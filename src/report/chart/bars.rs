//! Bars under their names: a rating. Names are as long as they are.

use super::{
    Plot, SERIES,
    canvas::{Anchor, Area, Drawing, GRAY, PALETTE, Text, ZERO, fitted, text_width},
    frame::{Frame, LABEL, MARGIN, WIDTH, shown_of},
    scale::value_with_unit,
};

/// Names of one picture.
const ROWS: usize = 25;

/// Draws it.
pub(super) fn bars(plot: &Plot) -> Drawing {
    let count = plot.series.len().min(SERIES);
    let rows = plot.axis.len().min(if count == 1 { ROWS } else { (ROWS * 2 / count).max(4) });
    let mut frame = Frame::new(&plot.title, &plot.subtitle);
    frame.legend(plot, count);
    let thick = if count == 1 { 30.0 } else { 24.0 };
    let (zero, per_unit) = span(plot, rows, count);
    let mut y = frame.top + 4.0;
    let first = y;
    let mut names = vec![];
    for row in 0..rows {
        let name = fitted(&plot.axis.name(row, &plot.words), LABEL, WIDTH - 2.0 * MARGIN);
        names.push(Text::new(MARGIN, y + LABEL * 0.85, LABEL, name));
        y += LABEL * 1.35;
        for (series, values) in plot.series.iter().take(count).enumerate() {
            let Some(value) = values.values[row] else {
                y += thick + 4.0;
                continue;
            };
            let end = zero + value * per_unit;
            let bar = Area {
                left: zero.min(end),
                right: zero.max(end).max(zero.min(end) + 2.0),
                top: y,
                bottom: y + thick,
            };
            let track = Area { left: MARGIN, right: WIDTH - MARGIN, ..bar };
            if count == 1 && zero <= MARGIN {
                let room = WIDTH - MARGIN - value_room(plot, rows, count);
                frame.drawing.rect(Area { right: room, ..track }, 6.0, GRID_LIGHT);
            }
            frame.drawing.rect(bar, 6.0, PALETTE[series]);
            let label = Text::new(
                0.0,
                y + thick / 2.0 + LABEL * 0.34,
                LABEL,
                value_with_unit(value, &plot.measure, &plot.words),
            );
            let label = match (count == 1 && zero <= MARGIN, value < 0.0) {
                (true, _) => Text { x: WIDTH - MARGIN, anchor: Anchor::End, ..label }.strong(),
                (false, true) => Text { x: bar.left - 10.0, anchor: Anchor::End, ..label },
                (false, false) => Text { x: bar.right + 10.0, ..label },
            };
            frame.drawing.text(label);
            y += thick + 4.0;
        }
        y += 16.0;
    }
    if zero > MARGIN {
        frame.drawing.line(vec![(zero, first), (zero, y - 16.0)], 2.0, ZERO);
    }
    for name in names {
        frame.drawing.text(name.filled(if count == 1 { "#3a4552" } else { GRAY }));
    }
    let words = &plot.words;
    let of_rows = shown_of(rows, plot.axis.len(), |shown, all| words.shown_rows(shown, all));
    let of_series = shown_of(count, plot.series.len(), |shown, all| words.shown_series(shown, all));
    let notes: Vec<String> = of_rows.into_iter().chain(of_series).collect();
    frame.finish(y - 6.0, &notes)
}

const GRID_LIGHT: &str = "#f1f4f8";

/// Room for the longest value.
fn value_room(plot: &Plot, rows: usize, count: usize) -> f64 {
    shown(plot, rows, count)
        .map(|value| text_width(&value_with_unit(value, &plot.measure, &plot.words), LABEL))
        .fold(0.0, f64::max)
        + 22.0
}

fn shown(plot: &Plot, rows: usize, count: usize) -> impl Iterator<Item = f64> {
    plot.series
        .iter()
        .take(count)
        .flat_map(move |series| series.values.iter().take(rows))
        .filter_map(|value| *value)
}

/// Where zero is, and how long one unit is.
fn span(plot: &Plot, rows: usize, count: usize) -> (f64, f64) {
    let low = shown(plot, rows, count).fold(0.0, f64::min);
    let high = shown(plot, rows, count).fold(0.0, f64::max);
    let words = value_room(plot, rows, count);
    let left = if low < 0.0 { MARGIN + words } else { MARGIN };
    let right = WIDTH - MARGIN - if high > 0.0 { words } else { 0.0 };
    let per_unit = if high > low { (right - left) / (high - low) } else { 0.0 };
    (left - low * per_unit, per_unit)
}
