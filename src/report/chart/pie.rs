//! Shares of a whole, as a ring with its list.

use super::{
    Plot,
    canvas::{Anchor, Area, Drawing, GRAY, PALETTE, Shape, Text, fitted, text_width},
    frame::{Frame, LABEL, MARGIN, NOTE, WIDTH},
    scale::value_with_unit,
};
use crate::report::format;

/// Parts that are told apart; the rest is one.
const PARTS: usize = 9;
const REST: &str = "#c3cbd6";

/// Draws it.
pub(super) fn pie(plot: &Plot) -> Drawing {
    let mut frame = Frame::new(&plot.title, &plot.subtitle);
    let (parts, left_out) = parts(plot);
    let whole: f64 = parts.iter().map(|(_, value)| value).sum();
    let row = LABEL * 2.75;
    let list = parts.len() as f64 * row;
    let (inner, outer) = (128.0, 210.0);
    let height = list.max(outer * 2.0 + 10.0);
    let center = (MARGIN + outer + 4.0, frame.top + height / 2.0);
    let total = value_with_unit(whole, &plot.measure, &plot.words);
    let caption = plot.words.pie_total();
    let size = (34.0f64).min(34.0 * (inner * 1.75) / text_width(&total, 34.0));
    frame.drawing.text(Text::new(center.0, center.1 + 4.0, size, total).anchored(Anchor::Middle).strong());
    frame.drawing.text(
        Text::new(center.0, center.1 + 38.0, NOTE + 2.0, caption).anchored(Anchor::Middle).filled(GRAY),
    );
    let mut turn = 0.0;
    let mut top = frame.top + (height - list) / 2.0;
    for (at, (name, value)) in parts.iter().enumerate() {
        let rest = at + 1 == parts.len() && parts.len() > PARTS;
        let colour = if rest { REST } else { PALETTE[at % PALETTE.len()] };
        let share = if whole > 0.0 { value / whole } else { 0.0 };
        // A thin white line between the parts.
        let gap = if parts.len() > 1 { (share / 3.0).min(0.002) } else { 0.0 };
        frame.drawing.shapes.push(Shape::Ring {
            center,
            radii: (inner, outer),
            turns: (turn + gap, turn + share - gap),
            fill: colour.to_owned(),
        });
        turn += share;
        row_of_list(
            &mut frame.drawing,
            plot,
            (name, *value, share),
            colour,
            (MARGIN + outer * 2.0 + 60.0, top),
        );
        top += row;
    }
    let note = (left_out > 0).then(|| plot.words.pie_negative(left_out));
    let bottom = frame.top + height;
    frame.finish(bottom, note.as_slice())
}

/// Largest first; small and many become the rest.
fn parts(plot: &Plot) -> (Vec<(String, f64)>, usize) {
    let values = plot.series.first().map(|series| series.values.as_slice()).unwrap_or_default();
    let named =
        |(at, value): (usize, &Option<f64>)| value.map(|value| (plot.axis.name(at, &plot.words), value));
    let all: Vec<(String, f64)> = values.iter().enumerate().filter_map(named).collect();
    let negative = all.iter().filter(|(_, value)| *value < 0.0).count();
    let mut parts: Vec<(String, f64)> = all.into_iter().filter(|(_, value)| *value > 0.0).collect();
    parts.sort_by(|one, other| other.1.total_cmp(&one.1));
    if parts.len() > PARTS + 1 {
        let rest = parts.split_off(PARTS);
        let name = plot.words.pie_others(rest.len());
        parts.push((name, rest.iter().map(|(_, value)| value).sum()));
    }
    if parts.is_empty() {
        parts.push((plot.axis.name(0, &plot.words), 0.0));
    }
    (parts, negative)
}

fn row_of_list(
    drawing: &mut Drawing,
    plot: &Plot,
    (name, value, share): (&str, f64, f64),
    colour: &str,
    (left, top): (f64, f64),
) {
    let right = WIDTH - MARGIN;
    let base = top + LABEL * 1.0;
    drawing.rect(Area { left, top: base - 20.0, right: left + 22.0, bottom: base + 2.0 }, 6.0, colour);
    let places = u8::from(share < 0.1);
    let share = format::percent(share, places, plot.words.language());
    let room = right - left - 34.0 - text_width(&share, LABEL) - 20.0;
    drawing.text(Text::new(left + 34.0, base, LABEL, fitted(name, LABEL, room)));
    drawing.text(Text::new(right, base, LABEL, share).anchored(Anchor::End).strong());
    let value = value_with_unit(value, &plot.measure, &plot.words);
    drawing.text(Text::new(left + 34.0, base + LABEL * 1.15, NOTE + 2.0, value).filled(GRAY));
}
