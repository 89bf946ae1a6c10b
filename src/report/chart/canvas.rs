//! Shapes on a sheet, with the room that each text takes, and the SVG that they make.

use std::fmt::Write;

/// Dark words and values.
pub(super) const INK: &str = "#1b2430";
/// Labels and notes.
pub(super) const GRAY: &str = "#66717f";
/// Lines behind the values.
pub(super) const GRID: &str = "#e5e9ef";
/// The line of zero.
pub(super) const ZERO: &str = "#98a3b0";

/// Colours of series, told apart by most eyes also side by side.
pub(super) const PALETTE: [&str; 12] = [
    "#2f6fed", "#f08c2e", "#1fa187", "#d6456b", "#8b5cf6", "#c9a100", "#17a2c4", "#8c5a44", "#66788f",
    "#e377c2", "#5b8c2a", "#1f3a6e",
];

/// The font that is built in: Latin, Cyrillic, `₽`.
const FONT: &str = charts_rs::DEFAULT_FONT_FAMILY;

/// A finished picture, before it is made of pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// In the order they are painted.
    pub shapes: Vec<Shape>,
}

/// Something painted.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Shape {
    /// A filled box with round corners.
    Box { area: Area, radius: f64, fill: String },
    /// A line through points.
    Line { points: Vec<(f64, f64)>, width: f64, stroke: String },
    /// A filled shape through points.
    Fill { points: Vec<(f64, f64)>, fill: String, opacity: f64 },
    /// A ring's part, angles in turns from the top, clockwise.
    Ring { center: (f64, f64), radii: (f64, f64), turns: (f64, f64), fill: String },
    /// A dot.
    Dot { at: (f64, f64), radius: f64, fill: String },
    /// Words.
    Text(Text),
}

/// Words on the sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Where it begins, is in the middle, or ends.
    pub x: f64,
    /// Its base line.
    pub y: f64,
    /// What `x` is.
    pub anchor: Anchor,
    /// Pixels.
    pub size: f64,
    /// Its colour.
    pub fill: String,
    /// Whether it is emphasised.
    pub strong: bool,
    /// What it says.
    pub text: String,
}

/// Which point of a text is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    /// How wide it is.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// How high it is.
    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Whether two of them share more than an edge.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

impl Text {
    /// Words of a label.
    pub(super) fn new(x: f64, y: f64, size: f64, text: impl Into<String>) -> Self {
        let text = drawable(&text.into());
        Self { x, y, anchor: Anchor::Start, size, fill: INK.to_owned(), strong: false, text }
    }

    /// Placed by its middle or its end.
    pub(super) fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// In this colour.
    pub(super) fn filled(self, fill: &str) -> Self {
        Self { fill: fill.to_owned(), ..self }
    }

    /// Emphasised.
    pub(super) fn strong(self) -> Self {
        Self { strong: true, ..self }
    }

    /// The room it takes.
    pub fn area(&self) -> Area {
        let width = text_width(&self.text, self.size);
        let left = match self.anchor {
            Anchor::Start => self.x,
            Anchor::Middle => self.x - width / 2.0,
            Anchor::End => self.x - width,
        };
        Area { left, top: self.y - self.size * 0.76, right: left + width, bottom: self.y + self.size * 0.22 }
    }
}

impl Drawing {
    /// An empty white sheet.
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, shapes: vec![] }
    }

    pub(super) fn text(&mut self, text: Text) {
        if !text.text.is_empty() {
            self.shapes.push(Shape::Text(text));
        }
    }

    pub(super) fn rect(&mut self, area: Area, radius: f64, fill: &str) {
        self.shapes.push(Shape::Box { area, radius, fill: fill.to_owned() });
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, width: f64, stroke: &str) {
        self.shapes.push(Shape::Line { points, width, stroke: stroke.to_owned() });
    }

    pub(super) fn dot(&mut self, at: (f64, f64), radius: f64, fill: &str) {
        self.shapes.push(Shape::Dot { at, radius, fill: fill.to_owned() });
    }

    /// Every text with its room.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.shapes.iter().filter_map(|shape| match shape {
            Shape::Text(text) => Some(text),
            _ => None,
        })
    }

    /// As SVG.
    pub fn svg(&self) -> String {
        let (width, height) = (self.width.round(), self.height.round());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\"><rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
        );
        for shape in &self.shapes {
            let _ = shape.write(&mut svg);
        }
        svg.push_str("</svg>");
        svg
    }

    /// As a PNG of another width.
    pub fn png_of_width(&self, width: u32) -> Result<Vec<u8>, String> {
        charts_rs::svg_to_png_with_size(&self.svg(), Some(width), None).map_err(|error| error.to_string())
    }

    /// As a PNG.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        charts_rs::svg_to_png(&self.svg()).map_err(|error| error.to_string())
    }
}

/// What is written as 0.0.
const NOTHING: f64 = 0.05;

impl Shape {
    fn write(&self, svg: &mut String) -> std::fmt::Result {
        match self {
            Self::Box { area, radius, fill } => {
                let Area { left, top, .. } = area;
                let (width, height) = (area.width().max(0.0), area.height().max(0.0));
                // What has no extent is not seen, and is no rectangle of SVG.
                if width < NOTHING || height < NOTHING {
                    return Ok(());
                }
                let radius = radius.min(width / 2.0).min(height / 2.0);
                write!(
                    svg,
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\" fill=\"{fill}\"/>"
                )
            }
            Self::Line { points, width, stroke } => write!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width:.1}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
                listed(points)
            ),
            Self::Fill { points, fill, opacity } => {
                write!(
                    svg,
                    "<polygon points=\"{}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>",
                    listed(points)
                )
            }
            Self::Ring { center, radii, turns, fill } => {
                write!(svg, "<path d=\"{}\" fill=\"{fill}\"/>", ring(*center, *radii, *turns))
            }
            Self::Dot { at: (x, y), radius, fill } => {
                write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\"/>")
            }
            Self::Text(text) => text.write(svg),
        }
    }
}

impl Text {
    fn write(&self, svg: &mut String) -> std::fmt::Result {
        let Self { x, y, size, fill, .. } = self;
        let anchor = match self.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        // One weight of the font is built in: a hair line around the letters makes them stronger.
        let weight = if self.strong {
            format!(" stroke=\"{fill}\" stroke-width=\"{:.2}\"", size * 0.028)
        } else {
            String::new()
        };
        write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-family=\"{FONT}\" font-size=\"{size:.1}\" text-anchor=\"{anchor}\" fill=\"{fill}\"{weight}>{}</text>",
            escaped(&self.text)
        )
    }
}

fn listed(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// The outline of a ring's part; a whole ring is two halves.
fn ring(center: (f64, f64), (inner, outer): (f64, f64), (from, to): (f64, f64)) -> String {
    let point = |radius: f64, turn: f64| {
        let angle = turn * std::f64::consts::TAU;
        format!("{:.2} {:.2}", center.0 + radius * angle.sin(), center.1 - radius * angle.cos())
    };
    let part = |from: f64, to: f64| {
        let large = u8::from(to - from > 0.5);
        let there = format!("M{}A{outer:.2} {outer:.2} 0 {large} 1 {}", point(outer, from), point(outer, to));
        let back = format!("L{}A{inner:.2} {inner:.2} 0 {large} 0 {}Z", point(inner, to), point(inner, from));
        there + &back
    };
    if to - from > 0.999 { part(from, from + 0.5) + &part(from + 0.5, from + 1.0) } else { part(from, to) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What the built-in font can draw: pictographs and marks of direction are left out, other spaces become its own, unknown letters a box.
fn drawable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{202f}' | '\u{2009}' => shown.push('\u{2009}'),
            '\u{a0}' => shown.push('\u{a0}'),
            c if c.is_whitespace() => shown.push(' '),
            c if c.is_control() => {}
            // Directions, joiners, variation selectors, emoji and other pictographs.
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{2190}'..='\u{21ff}'
            | '\u{2300}'..='\u{27bf}'
            | '\u{2b00}'..='\u{2bff}'
            | '\u{1f000}'..='\u{1faff}' => {}
            c => shown.push(c),
        }
    }
    shown.trim().to_owned()
}

/// How wide words are.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    charts_rs::measure_text_width_family(FONT, size as f32, text)
        .map_or(size * 0.6 * text.chars().count() as f64, |found| f64::from(found.right))
}

/// Words cut to a width, `…` behind them.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    let text = drawable(text);
    if text_width(&text, size) <= width {
        return text;
    }
    // A label is looked at no further than it could be drawn.
    let letters: Vec<char> = text.chars().take(400).collect();
    let (mut fits, mut too_long) = (0, letters.len());
    while fits + 1 < too_long {
        let half = usize::midpoint(fits, too_long);
        let cut: String = letters[..half].iter().collect::<String>().trim_end().to_owned() + "…";
        if text_width(&cut, size) <= width { fits = half } else { too_long = half }
    }
    letters[..fits].iter().collect::<String>().trim_end().to_owned() + "…"
}

/// Words broken into lines, also behind hyphens; what does not fit into the last one is cut.
pub(super) fn wrapped(text: &str, size: f64, width: f64, lines: usize) -> Vec<String> {
    let text = drawable(&text.chars().take(1_000).collect::<String>());
    let mut done: Vec<String> = vec![];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        if done.len() + 1 == lines {
            done.push(fitted(rest, size, width));
            break;
        }
        let line = first_line(rest, size, width);
        done.push(line.trim_end().to_owned());
        rest = rest[line.len()..].trim_start();
    }
    done
}

/// As many words as fit, or as many letters of one that is longer than the line.
fn first_line(text: &str, size: f64, width: f64) -> &str {
    let ends = text.char_indices().filter(|(_, c)| *c == ' ' || *c == '-').map(|(at, c)| at + c.len_utf8());
    let fits = |end: &usize| text_width(text[..*end].trim_end(), size) <= width;
    let words = ends.chain([text.len()]).take_while(fits).last();
    words.map_or_else(
        || {
            let letters = text.char_indices().map(|(at, c)| at + c.len_utf8());
            let first = text.chars().next().map_or(0, char::len_utf8);
            &text[..letters.take_while(fits).last().unwrap_or(first)]
        },
        |end| &text[..end],
    )
}
