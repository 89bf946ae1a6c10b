//! Charts: words and numbers → a drawing → SVG → PNG. Pure; knows nothing of rows and reports.
//!
//! A drawing of our own rather than a chart library's: labels are formatted and thinned here, and every text knows its room, so that tests hold
//! that none lies upon another. `charts-rs` brings the font, measures letters and makes pixels.
//!
//! Everything is 1080 wide and read on a phone, where that is a third of its size: no label is smaller than 22.

mod bars;
mod canvas;
mod columns;
mod frame;
mod funnel;
#[cfg(test)]
mod gallery;
mod grid;
mod heat_map;
mod line;
mod pie;
mod scale;
#[cfg(test)]
mod tests;
mod ticks;

use chrono::NaiveDate;

use crate::{
    bot::words::Words,
    config::bot::{ChartKind, Format},
};

pub use canvas::{Anchor, Area, Drawing, Shape, Text};
pub use grid::{Grid, grid};

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Its kind.
    pub kind: ChartKind,
    /// Above it.
    pub title: String,
    /// Under the title: the period, the filters.
    pub subtitle: String,
    /// Along the axis, one for each value of a series.
    pub axis: Axis,
    /// What is drawn against it.
    pub series: Vec<Series>,
    /// What the values are.
    pub measure: Measure,
    /// Of labels.
    pub words: Words,
}

/// What stands along the axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Axis {
    /// Days, in order.
    Days(Vec<NaiveDate>),
    /// Names.
    Names(Vec<String>),
}

/// One line, one colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// One for each place of the axis; `None` where there is none.
    pub values: Vec<Option<f64>>,
}

/// What values are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measure {
    /// How they are written.
    pub format: Option<Format>,
    /// Whether they are whole numbers.
    pub whole: bool,
}

impl Axis {
    /// How many places it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Days(days) => days.len(),
            Self::Names(names) => names.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a place is called.
    fn name(&self, at: usize, words: &Words) -> String {
        match self {
            Self::Days(days) => days
                .get(at)
                .map(|day| crate::report::format::date(*day, words.language()))
                .unwrap_or_default(),
            Self::Names(names) => names.get(at).cloned().unwrap_or_default(),
        }
    }
}

/// Series that are told apart in one picture; the rest is counted.
pub const SERIES: usize = 12;

/// Draws it; `None` where there is no value to draw.
pub fn draw(plot: &Plot) -> Option<Drawing> {
    let drawn =
        plot.series.iter().flat_map(|series| &series.values).any(|value| value.is_some_and(f64::is_finite));
    if !drawn || plot.axis.is_empty() {
        return None;
    }
    let plot = &tidied(plot);
    Some(match plot.kind {
        ChartKind::Line => line::line(plot),
        ChartKind::Column => columns::columns(plot, false),
        ChartKind::Stacked => columns::columns(plot, true),
        ChartKind::Bar => bars::bars(plot),
        ChartKind::Pie => pie::pie(plot),
        ChartKind::Funnel => funnel::funnel(plot),
        ChartKind::HeatMap => heat_map::heat_map(plot),
    })
}

/// Values that cannot be drawn are none, and every series has as many as the axis has places.
fn tidied(plot: &Plot) -> Plot {
    let mut plot = plot.clone();
    for series in &mut plot.series {
        series.values.resize(plot.axis.len(), None);
        for value in &mut series.values {
            *value = value.filter(|value| value.is_finite());
        }
    }
    plot
}
