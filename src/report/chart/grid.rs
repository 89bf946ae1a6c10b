//! A table as a picture: for more columns than a phone shows as letters of one width.

use super::{
    canvas::{Anchor, Area, Drawing, GRAY, GRID, INK, Text, text_width, wrapped},
    frame::{Frame, MARGIN, WIDTH},
};

/// Words in rows and columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid {
    /// Above it.
    pub title: String,
    /// Under the title.
    pub subtitle: String,
    /// Names of columns, and whether they hold numbers, which stand right.
    pub columns: Vec<(String, bool)>,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
    /// Under the rows; empty = none.
    pub total: Vec<String>,
    /// Under the table.
    pub note: String,
}

const SIZES: [f64; 3] = [28.0, 25.0, 22.0];
/// A picture wider than that is no longer read.
const WIDEST: f64 = 2160.0;
const GAP: f64 = 26.0;
const LINES: usize = 3;

/// Draws it: letters as large as the columns let them, at most two sheets wide.
pub fn grid(table: &Grid) -> Drawing {
    let fits = |size: &&f64| natural(table, **size).iter().sum::<f64>() <= WIDTH - 2.0 * MARGIN;
    let size = *SIZES.iter().find(fits).unwrap_or(&SIZES[2]);
    let widths = widths(table, size);
    let width = (widths.iter().sum::<f64>() + 2.0 * MARGIN).max(WIDTH);
    let mut frame = Frame::new(&table.title, &table.subtitle);
    frame.drawing.width = width;
    let mut y = frame.top;
    let header: Vec<String> = table.columns.iter().map(|(name, _)| name.clone()).collect();
    let drawing = &mut frame.drawing;
    let style = |size, fill, strong| Style { size, fill, strong };
    y = row(drawing, table, &widths, &header, y, &style(size, GRAY, false));
    line(drawing, y, width, GRAY);
    for (at, cells) in table.rows.iter().enumerate() {
        if at > 0 {
            line(drawing, y, width, GRID);
        }
        y = row(drawing, table, &widths, cells, y, &style(size, INK, false));
    }
    if !table.total.is_empty() {
        line(drawing, y, width, GRAY);
        y = row(drawing, table, &widths, &table.total, y, &style(size, INK, true));
    }
    let notes = if table.note.is_empty() { vec![] } else { vec![table.note.clone()] };
    frame.finish(y, &notes)
}

struct Style {
    size: f64,
    fill: &'static str,
    strong: bool,
}

/// How wide columns would like to be, gaps included.
fn natural(table: &Grid, size: f64) -> Vec<f64> {
    let column = |at: usize| {
        let cells = table.rows.iter().chain([&table.total]).filter_map(|row| row.get(at));
        let widest = cells
            .map(|cell| text_width(&cell.chars().take(200).collect::<String>(), size * 1.03))
            .fold(0.0, f64::max);
        let title = text_width(&table.columns[at].0, size);
        // A long title breaks into lines rather than widen a column of short numbers.
        widest.max(title.min(longest_word(&table.columns[at].0, size).max(title / 2.0 + 10.0))).max(40.0)
            + GAP
    };
    (0..table.columns.len()).map(column).collect()
}

fn longest_word(text: &str, size: f64) -> f64 {
    text.split_whitespace().map(|word| text_width(word, size)).fold(0.0, f64::max)
}

/// The longest word of a column's cells.
fn longest_of(table: &Grid, at: usize, size: f64) -> f64 {
    let cells = table.rows.iter().filter_map(|row| row.get(at));
    cells
        .map(|cell| longest_word(&cell.chars().take(200).collect::<String>(), size * 1.03))
        .fold(0.0, f64::max)
}

/// Columns of words give way until all fit; numbers stay whole. Room that is left goes to all.
fn widths(table: &Grid, size: f64) -> Vec<f64> {
    let mut widths = natural(table, size);
    let words: Vec<usize> = (0..widths.len()).filter(|at| !table.columns[*at].1).collect();
    let numbers: f64 = (0..widths.len()).filter(|at| !words.contains(at)).map(|at| widths[at]).sum();
    let wanted: f64 = words.iter().map(|at| widths[*at]).sum();
    let least = 180.0;
    let room = (WIDTH - 2.0 * MARGIN - numbers).max(least * words.len() as f64).min(WIDEST);
    if wanted > room {
        // The widest give way first: a level is found that all together fit under; words stay whole where they can.
        let whole: Vec<f64> =
            words.iter().map(|at| widths[*at].min(longest_of(table, *at, size) + GAP)).collect();
        let floors = if whole.iter().sum::<f64>() <= room { whole } else { vec![0.0; words.len()] };
        let at_level = |level: f64| -> Vec<f64> {
            words.iter().zip(&floors).map(|(at, floor)| widths[*at].min(level).max(*floor)).collect()
        };
        let (mut low, mut high) = (GAP + 40.0, wanted);
        for _ in 0..40 {
            let level = f64::midpoint(low, high);
            if at_level(level).iter().sum::<f64>() > room { high = level } else { low = level }
        }
        let chosen = at_level(low);
        words.iter().zip(chosen).for_each(|(at, width)| widths[*at] = width);
    }
    let sum: f64 = widths.iter().sum();
    let left = WIDTH - 2.0 * MARGIN - sum;
    if left > 0.0 {
        let share = left / widths.len().max(1) as f64;
        for width in &mut widths {
            *width += share;
        }
    }
    widths
}

fn row(
    drawing: &mut Drawing,
    table: &Grid,
    widths: &[f64],
    cells: &[String],
    top: f64,
    style: &Style,
) -> f64 {
    let mut left = MARGIN;
    let mut height: f64 = 1.0;
    for (at, width) in widths.iter().enumerate() {
        let number = table.columns[at].1;
        let text = cells.get(at).map(String::as_str).unwrap_or_default();
        let lines = wrapped(text, style.size, width - GAP + 2.0, LINES);
        height = height.max(lines.len() as f64);
        for (line, text) in lines.into_iter().enumerate() {
            let y = top + style.size * (1.25 + line as f64 * 1.25);
            let x = if number {
                left + width - if at + 1 == widths.len() { 0.0 } else { GAP / 2.0 }
            } else {
                left
            };
            let anchor = if number { Anchor::End } else { Anchor::Start };
            let text = Text::new(x, y, style.size, text).anchored(anchor).filled(style.fill);
            drawing.text(if style.strong { text.strong() } else { text });
        }
        left += width;
    }
    top + style.size * (height * 1.25 + 0.75)
}

fn line(drawing: &mut Drawing, y: f64, width: f64, colour: &str) {
    drawing.rect(Area { left: MARGIN, right: width - MARGIN, top: y - 1.0, bottom: y + 1.0 }, 0.0, colour);
}
