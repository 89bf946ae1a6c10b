//! What all charts share: the title, the legend, notes, and the room that is left between them.

use super::{
    Plot,
    canvas::{Area, Drawing, GRAY, PALETTE, Text, fitted, text_width, wrapped},
};

/// How wide every picture is.
pub(super) const WIDTH: f64 = 1080.0;
/// Room at the edges.
pub(super) const MARGIN: f64 = 48.0;
/// Letters of labels.
pub(super) const LABEL: f64 = 26.0;
/// Letters of notes; nothing is smaller.
pub(super) const NOTE: f64 = 22.0;
const TITLE: f64 = 40.0;
/// A colour of the legend.
const MARK: f64 = 22.0;
/// Room between its names.
const GAP: f64 = 34.0;

/// The head of a picture, as far as it was measured: the sheet is cut when its height is known.
pub(super) struct Frame {
    pub(super) drawing: Drawing,
    /// Where the next thing may begin.
    pub(super) top: f64,
}

impl Frame {
    /// Title and subtitle.
    pub(super) fn new(title: &str, subtitle: &str) -> Self {
        let mut drawing = Drawing::new(WIDTH, 0.0);
        let mut top = 34.0;
        for line in wrapped(title, TITLE, WIDTH - 2.0 * MARGIN, 2) {
            drawing.text(Text::new(MARGIN, top + TITLE * 0.8, TITLE, line).strong());
            top += TITLE * 1.25;
        }
        if !subtitle.is_empty() {
            let line = fitted(subtitle, LABEL, WIDTH - 2.0 * MARGIN);
            drawing.text(Text::new(MARGIN, top + LABEL * 0.9, LABEL, line).filled(GRAY));
            top += LABEL * 1.4;
        }
        Self { drawing, top: top + 18.0 }
    }

    /// Names of series beside their colours; one series needs none.
    pub(super) fn legend(&mut self, plot: &Plot, series: usize) {
        if series < 2 {
            return;
        }
        let room = WIDTH - 2.0 * MARGIN;
        let mut left = MARGIN;
        let mut base = self.top + LABEL * 0.9;
        for (at, series) in plot.series.iter().take(series).enumerate() {
            let name = fitted(&series.name, LABEL, room / 2.0 - MARK - 12.0 - GAP);
            let width = MARK + 12.0 + text_width(&name, LABEL);
            if left + width > MARGIN + room && left > MARGIN {
                left = MARGIN;
                base += LABEL * 1.55;
            }
            let mark = Area { left, top: base - 20.0, right: left + MARK, bottom: base + 2.0 };
            self.drawing.rect(mark, 6.0, PALETTE[at % PALETTE.len()]);
            self.drawing.text(Text::new(left + MARK + 12.0, base, LABEL, name));
            left += width + GAP;
        }
        self.top = base + LABEL * 0.3 + 22.0;
    }

    /// Small words at the left, such as the unit of an axis.
    pub(super) fn caption(&mut self, text: &str) {
        if !text.is_empty() {
            self.drawing.text(Text::new(MARGIN, self.top + NOTE * 0.9, NOTE + 2.0, text).filled(GRAY));
            self.top += NOTE * 1.4;
        }
        self.top += 12.0;
    }

    /// Notes under what ends at `bottom`; the sheet ends below them.
    pub(super) fn finish(mut self, bottom: f64, notes: &[String]) -> Drawing {
        let mut bottom = bottom;
        for line in notes.iter().flat_map(|note| wrapped(note, NOTE, WIDTH - 2.0 * MARGIN, 2)) {
            self.drawing.text(Text::new(MARGIN, bottom + 14.0 + NOTE, NOTE, line).filled(GRAY));
            bottom += NOTE * 1.4;
        }
        self.drawing.height = (bottom + 34.0).ceil();
        self.drawing
    }
}

/// What is said where more was given than is drawn.
pub(super) fn shown_of(shown: usize, all: usize, note: impl Fn(u64, usize) -> String) -> Option<String> {
    (shown < all).then(|| note(shown as u64, all))
}
