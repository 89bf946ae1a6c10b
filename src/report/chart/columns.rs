//! Columns, beside each other or upon each other.

use super::{
    Plot, SERIES,
    canvas::{Anchor, Area, Drawing, PALETTE, Text, ZERO, text_width},
    frame::{Frame, LABEL},
    line::{at_height, value_axis},
    scale::{Scale, value_label},
    ticks,
};

const HEIGHT: f64 = 460.0;

/// Draws it.
pub(super) fn columns(plot: &Plot, stacked: bool) -> Drawing {
    let count = plot.series.len().min(SERIES);
    let mut frame = Frame::new(&plot.title, &plot.subtitle);
    frame.legend(plot, count);
    let bars = if stacked { upon_each_other(plot, count) } else { beside_each_other(plot, count) };
    // Below a column that hangs there is room for its value.
    let values = bars.iter().flat_map(|bar| [bar.from, if bar.to < 0.0 { bar.to * 1.1 } else { bar.to }]);
    let scale = Scale::over(values, true, 5.0, &plot.measure);
    let area = value_axis(&mut frame, plot, &scale, HEIGHT);
    let band = area.width() / plot.axis.len() as f64;
    let drawn = draw_bars(&mut frame.drawing, &bars, &area, &scale, band);
    let zero = at_height(&area, &scale, 0.0);
    frame.drawing.line(vec![(area.left, zero), (area.right, zero)], 2.0, ZERO);
    label_tops(&mut frame.drawing, plot, &bars, &drawn, band);
    let place = |at: usize| area.left + band * (at as f64 + 0.5);
    ticks::finish(frame, plot, count, area.bottom, &place)
}

/// One box.
struct Bar {
    at: usize,
    series: usize,
    /// Which part of the band it takes.
    share: (f64, f64),
    from: f64,
    to: f64,
    /// What is said at its end.
    said: Option<f64>,
}

fn beside_each_other(plot: &Plot, count: usize) -> Vec<Bar> {
    let mut bars = vec![];
    for (series, values) in plot.series.iter().take(count).enumerate() {
        let share = (series as f64 / count as f64, (series + 1) as f64 / count as f64);
        for (at, value) in values.values.iter().enumerate() {
            if let Some(value) = value {
                bars.push(Bar { at, series, share, from: 0.0, to: *value, said: Some(*value) });
            }
        }
    }
    bars
}

/// Negative parts hang below zero.
fn upon_each_other(plot: &Plot, count: usize) -> Vec<Bar> {
    let mut bars = vec![];
    for at in 0..plot.axis.len() {
        let (mut up, mut down) = (0.0, 0.0);
        let first = bars.len();
        for (series, values) in plot.series.iter().take(count).enumerate() {
            let Some(value) = values.values[at] else { continue };
            let end = if value < 0.0 { &mut down } else { &mut up };
            let from = *end;
            *end += value;
            bars.push(Bar { at, series, share: (0.0, 1.0), from, to: *end, said: None });
        }
        // The whole is said once, upon the highest part.
        let highest = bars[first..].iter_mut().rfind(|bar| bar.to >= bar.from);
        if let Some(bar) = highest.filter(|_| down == 0.0) {
            bar.said = Some(up);
        }
    }
    bars
}

fn draw_bars(drawing: &mut Drawing, bars: &[Bar], area: &Area, scale: &Scale, band: f64) -> Vec<Area> {
    // Many columns stand close, few are no wider than a thumb.
    let used = if band < 6.0 { band } else { (band * 0.72).min(130.0) };
    let gap = if band < 6.0 { 0.0 } else { 2.0 };
    let mut drawn = vec![];
    for bar in bars {
        let middle = area.left + band * (bar.at as f64 + 0.5);
        let (left, right) = (middle - used / 2.0, middle + used / 2.0);
        let (one, other) = (at_height(area, scale, bar.from), at_height(area, scale, bar.to));
        let column = Area {
            left: left + (right - left) * bar.share.0,
            right: (left + (right - left) * bar.share.1 - gap).max(left + (right - left) * bar.share.0 + 0.5),
            top: one.min(other),
            bottom: one.max(other),
        };
        let radius = if bar.from == 0.0 && bar.said.is_some() { 5.0 } else { 0.0 };
        drawing.rect(column, radius, PALETTE[bar.series]);
        drawn.push(column);
    }
    drawn
}

/// Values at the ends of columns, all or none.
fn label_tops(drawing: &mut Drawing, plot: &Plot, bars: &[Bar], drawn: &[Area], band: f64) {
    let mut texts: Vec<Text> = vec![];
    for (bar, column) in bars.iter().zip(drawn) {
        let Some(value) = bar.said else { continue };
        let label = value_label(value, &plot.measure, &plot.words);
        let room = if bar.share == (0.0, 1.0) { band } else { column.width() + 2.0 };
        if text_width(&label, LABEL) > room - 4.0 {
            return;
        }
        let y = if value < 0.0 { column.bottom + 8.0 + LABEL * 0.76 } else { column.top - 10.0 };
        let text =
            Text::new(f64::midpoint(column.left, column.right), y, LABEL, label).anchored(Anchor::Middle);
        if texts.iter().any(|other| other.area().overlaps(&text.area())) {
            return;
        }
        texts.push(text);
    }
    for text in texts {
        // Where a value stands upon a line of the grid, the line gives way.
        drawing.rect(text.area(), 0.0, "#ffffff");
        drawing.text(text);
    }
}
