//! A funnel: stages under each other, each with its part of the first, and of the one before.

use super::{
    Plot,
    canvas::{Anchor, Area, Drawing, GRAY, PALETTE, Shape, Text, text_width, wrapped},
    frame::{Frame, LABEL, MARGIN, NOTE, WIDTH, shown_of},
    scale::value_with_unit,
};
use crate::report::format;

const STAGES: usize = 12;
const BAR: f64 = 76.0;
const STEP: f64 = 54.0;

/// Draws it.
pub(super) fn funnel(plot: &Plot) -> Drawing {
    let mut frame = Frame::new(&plot.title, &plot.subtitle);
    let values = plot.series.first().map(|series| series.values.as_slice()).unwrap_or_default();
    let stages: Vec<(String, f64)> = (values.iter().enumerate())
        .map(|(at, value)| (plot.axis.name(at, &plot.words), value.unwrap_or(0.0).max(0.0)))
        .collect();
    let shown = &stages[..stages.len().min(STAGES)];
    let widest = shown.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let first = shown.first().map_or(0.0, |(_, value)| *value);
    let (left, right) = (MARGIN + 280.0, WIDTH - MARGIN - 120.0);
    let middle = f64::midpoint(left, right);
    let half = |value: f64| (value / widest * (right - left) / 2.0).max(3.0);
    let mut y = frame.top;
    for (at, (name, value)) in shown.iter().enumerate() {
        let bar = Area { left: middle - half(*value), right: middle + half(*value), top: y, bottom: y + BAR };
        frame.drawing.rect(bar, 8.0, PALETTE[0]);
        label(&mut frame.drawing, plot, name, *value, &bar);
        if at > 0 && first > 0.0 {
            let share = format::percent(value / first, u8::from(value / first < 0.1), plot.words.language());
            let text = Text::new(WIDTH - MARGIN, y + BAR / 2.0 + LABEL * 0.36, LABEL, share);
            frame.drawing.text(text.anchored(Anchor::End).strong());
        }
        if let Some((_, next)) = shown.get(at + 1) {
            between(
                &mut frame.drawing,
                plot,
                (*value, *next),
                (middle, y + BAR),
                (half(*value), half(*next)),
            );
        }
        y += BAR + STEP;
    }
    let note = shown_of(shown.len(), stages.len(), |shown, all| plot.words.shown_stages(shown, all));
    frame.finish(y - STEP + 6.0, note.as_slice())
}

fn label(drawing: &mut Drawing, plot: &Plot, name: &str, value: f64, bar: &Area) {
    let center = f64::midpoint(bar.top, bar.bottom);
    let lines = wrapped(name, LABEL, 262.0, 2);
    let first = center + LABEL * 0.36 - (lines.len() as f64 - 1.0) * LABEL * 0.6;
    for (at, line) in lines.into_iter().enumerate() {
        drawing.text(Text::new(MARGIN, first + at as f64 * LABEL * 1.2, LABEL, line));
    }
    let value = value_with_unit(value, &plot.measure, &plot.words);
    let size = LABEL + 2.0;
    let y = center + size * 0.36;
    if text_width(&value, size) + 24.0 <= bar.width() {
        let x = f64::midpoint(bar.left, bar.right);
        drawing.text(Text::new(x, y, size, value).anchored(Anchor::Middle).filled("#ffffff").strong());
    } else {
        drawing.text(Text::new(bar.right + 14.0, y, size, value).strong());
    }
}

/// How many go on.
fn between(
    drawing: &mut Drawing,
    plot: &Plot,
    (value, next): (f64, f64),
    (middle, top): (f64, f64),
    (half, next_half): (f64, f64),
) {
    let points = vec![
        (middle - half, top),
        (middle + half, top),
        (middle + next_half, top + STEP),
        (middle - next_half, top + STEP),
    ];
    drawing.shapes.push(Shape::Fill { points, fill: PALETTE[0].to_owned(), opacity: 0.1 });
    if value > 0.0 {
        let share = format::percent(next / value, u8::from(next / value < 0.1), plot.words.language());
        let text = plot.words.funnel_share(share);
        let text = Text::new(middle, top + STEP / 2.0 + NOTE * 0.36, NOTE + 2.0, text);
        drawing.text(text.anchored(Anchor::Middle).filled(GRAY));
    }
}
