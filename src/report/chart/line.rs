//! Lines over time. Days stand where they are: a day without rows is a longer way, a NULL a gap.

use super::{
    Axis, Plot, SERIES, Series,
    canvas::{Anchor, Area, Drawing, GRAY, GRID, PALETTE, Shape, Text, ZERO, text_width},
    frame::{Frame, LABEL, MARGIN, WIDTH},
    scale::{Scale, value_label},
    ticks,
};

const HEIGHT: f64 = 460.0;

/// Marks of values and their grid; returns the room for what is drawn.
pub(super) fn value_axis(frame: &mut Frame, plot: &Plot, scale: &Scale, height: f64) -> Area {
    frame.caption(&scale.unit(&plot.measure, &plot.words));
    let labels: Vec<String> =
        scale.marks().iter().map(|mark| scale.label(*mark, &plot.measure, &plot.words)).collect();
    let widest = labels.iter().map(|label| text_width(label, LABEL)).fold(0.0, f64::max);
    let area = Area {
        left: MARGIN + widest + 18.0,
        top: frame.top + LABEL * 0.6,
        right: WIDTH - MARGIN,
        bottom: frame.top + LABEL * 0.6 + height,
    };
    for (mark, label) in scale.marks().iter().zip(labels) {
        let y = at_height(&area, scale, *mark);
        let colour = if mark.abs() < scale.step * 1e-6 { ZERO } else { GRID };
        frame.drawing.line(vec![(area.left, y), (area.right, y)], 2.0, colour);
        let label = Text::new(area.left - 18.0, y + LABEL * 0.34, LABEL, label);
        frame.drawing.text(label.anchored(Anchor::End).filled(GRAY));
    }
    area
}

/// Where a value lies.
pub(super) fn at_height(area: &Area, scale: &Scale, value: f64) -> f64 {
    area.bottom - scale.place(value) * area.height()
}

/// Draws it.
pub(super) fn line(plot: &Plot) -> Drawing {
    let series = &plot.series[..plot.series.len().min(SERIES)];
    let mut frame = Frame::new(&plot.title, &plot.subtitle);
    frame.legend(plot, series.len());
    let values = series.iter().flat_map(|series| &series.values).filter_map(|value| *value);
    let scale = Scale::over(values, false, 5.0, &plot.measure);
    let area = value_axis(&mut frame, plot, &scale, HEIGHT);
    let inner = Area { left: area.left + 22.0, right: area.right - 22.0, ..area };
    let place = places(&plot.axis, &inner);
    for (at, series) in series.iter().enumerate().rev() {
        let colour = PALETTE[at];
        let points = |run: &[(usize, f64)]| -> Vec<(f64, f64)> {
            run.iter().map(|(at, value)| (place(*at), at_height(&area, &scale, *value))).collect()
        };
        for run in runs(series) {
            let points = points(&run);
            if plot.series.len() == 1 && points.len() > 1 {
                shade(
                    &mut frame.drawing,
                    &points,
                    at_height(&area, &scale, scale.low.max(0.0).min(scale.high)),
                    colour,
                );
            }
            let dotted = run.len() == 1 || plot.axis.len() <= 31 && plot.series.len() == 1;
            if run.len() > 1 {
                frame.drawing.line(points.clone(), 5.0, colour);
            }
            if dotted {
                for point in &points {
                    frame.drawing.dot(*point, 8.0, colour);
                }
            }
        }
    }
    if let [only] = series {
        mark_ends(&mut frame.drawing, plot, only, &area, &scale, &place);
    }
    ticks::finish(frame, plot, series.len(), area.bottom, &place)
}

/// Where each place of the axis is.
fn places<'a>(axis: &'a Axis, inner: &'a Area) -> Box<dyn Fn(usize) -> f64 + 'a> {
    let middle = f64::midpoint(inner.left, inner.right);
    match axis {
        Axis::Days(days) if days.last() > days.first() => {
            let first = days[0];
            let span = (days[days.len() - 1] - first).num_days() as f64;
            Box::new(move |at| inner.left + (days[at] - first).num_days() as f64 / span * inner.width())
        }
        // Names have their labels under them: each stands in the middle of its share.
        Axis::Names(names) => {
            let share = inner.width() / names.len() as f64;
            Box::new(move |at| inner.left + (at as f64 + 0.5) * share)
        }
        Axis::Days(_) => Box::new(move |_| middle),
    }
}

/// Values beside each other, without gaps.
fn runs(series: &Series) -> Vec<Vec<(usize, f64)>> {
    let mut runs = vec![];
    let mut run = vec![];
    for (at, value) in series.values.iter().enumerate() {
        match value {
            Some(value) => run.push((at, *value)),
            None => runs.push(std::mem::take(&mut run)),
        }
    }
    runs.push(run);
    runs.retain(|run| !run.is_empty());
    runs
}

fn shade(drawing: &mut Drawing, points: &[(f64, f64)], base: f64, colour: &str) {
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let outline = points.iter().copied().chain([(last, base), (first, base)]).collect();
    drawing.shapes.push(Shape::Fill { points: outline, fill: colour.to_owned(), opacity: 0.1 });
}

/// Says the last value, the largest and the smallest, as far as their words do not meet.
fn mark_ends(
    drawing: &mut Drawing,
    plot: &Plot,
    series: &Series,
    area: &Area,
    scale: &Scale,
    place: &dyn Fn(usize) -> f64,
) {
    let known: Vec<(usize, f64)> =
        series.values.iter().enumerate().filter_map(|(at, value)| value.map(|value| (at, value))).collect();
    let by_value = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    let wanted = [known.last(), known.iter().max_by(by_value), known.iter().min_by(by_value)];
    let mut taken: Vec<Area> = vec![];
    let line: Vec<(f64, f64)> =
        known.iter().map(|(at, value)| (place(*at), at_height(area, scale, *value))).collect();
    for (at, value) in wanted.into_iter().flatten() {
        let (x, y) = (place(*at), at_height(area, scale, *value));
        let label = value_label(*value, &plot.measure, &plot.words);
        let half = text_width(&label, LABEL) / 2.0;
        let middle = x.min(WIDTH - 24.0 - half).max(area.left + half);
        let spots = [y - 20.0, y + 20.0 + LABEL * 0.76];
        let text =
            spots.map(|y| Text::new(middle, y, LABEL, label.clone()).anchored(Anchor::Middle).strong());
        let free = text.into_iter().find(|text| {
            let room = text.area();
            let crossed = line.windows(2).any(|pair| crosses(pair[0], pair[1], &room));
            !crossed
                && room.bottom < area.bottom
                && room.top > area.top - LABEL * 0.5
                && taken.iter().all(|other| !other.overlaps(&room))
        });
        if let Some(text) = free {
            taken.push(text.area());
            drawing.dot((x, y), 9.0, PALETTE[0]);
            drawing.text(text);
        }
    }
}

/// Whether a stroke runs through a room.
fn crosses((x0, y0): (f64, f64), (x1, y1): (f64, f64), room: &Area) -> bool {
    (0..=8).any(|step| {
        let part = f64::from(step) / 8.0;
        let (x, y) = (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part);
        room.left < x && x < room.right && room.top < y && y < room.bottom
    })
}
