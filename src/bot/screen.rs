//! Screens as values: what front-ends show. Text is a small tree of spans, never markup of a place, so that a name with `<b>` or `_` in it
//! is that name everywhere.

use std::sync::Arc;

/// What is shown: blocks from top to bottom, buttons under them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Screen {
    /// From top to bottom.
    pub blocks: Vec<Block>,
    /// Buttons in rows; a row has at least one.
    pub rows: Vec<Vec<Button>>,
}

/// Bytes that a button's token may have: what Telegram takes.
pub const TOKEN_BYTES: usize = 64;

/// A button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// What stands on it.
    pub label: String,
    /// What comes back when it is pressed: opaque, at most [`TOKEN_BYTES`], good for one user, one chat and one screen.
    pub token: String,
}

/// A part of a screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Words.
    Text(Markup),
    /// Rows.
    Table(Table),
    /// A picture.
    Picture(Picture),
    /// A file to keep.
    File(File),
}

/// Rows to be read: cells are written already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Heads, with the side on which a column's cells stand.
    pub columns: Vec<Head>,
    /// As many cells a row as there are heads.
    pub rows: Vec<Vec<String>>,
    /// Under the rows; empty = none.
    pub total: Vec<String>,
    /// Rows that are not shown.
    pub more: u64,
    /// Columns that are not shown.
    pub more_columns: u64,
}

/// A column's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// As people read it.
    pub title: String,
    /// Whether its cells are numbers, which stand at the right.
    pub number: bool,
}

/// A picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// PNG.
    pub png: Arc<[u8]>,
    /// What it is called where it is saved, with the suffix.
    pub name: String,
    /// In words: under it, or instead of it where pictures cannot be shown.
    pub caption: String,
    /// What it draws, for places that draw with characters.
    pub chart: Option<Arc<Bars>>,
}

/// What a chart draws, as numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bars {
    /// Along the axis.
    pub labels: Vec<String>,
    /// Series: a title, a number for each label, and the same as it is written.
    pub series: Vec<(String, Vec<Option<f64>>, Vec<String>)>,
}

/// A file to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// With the suffix.
    pub name: String,
    /// Where it lies; whoever shows the screen may move it away.
    pub path: Arc<std::path::PathBuf>,
}

/// Text with a few marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markup(pub Vec<Span>);

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// As it stands; lines end with `\n`.
    Plain(String),
    /// Of more weight.
    Bold(String),
    /// Said aside.
    Italic(String),
    /// In letters of one width, within a line.
    Code(String),
    /// In letters of one width, lines of their own.
    Block(String),
}

impl Markup {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One text without marks.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Span::Plain(text.into())])
    }

    /// With a piece more.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.with(Span::Plain(text.into()))
    }

    /// With a piece of more weight.
    #[must_use]
    pub fn bold(self, text: impl Into<String>) -> Self {
        self.with(Span::Bold(text.into()))
    }

    /// With a piece said aside.
    #[must_use]
    pub fn italic(self, text: impl Into<String>) -> Self {
        self.with(Span::Italic(text.into()))
    }

    /// With a piece more.
    #[must_use]
    pub fn with(mut self, span: Span) -> Self {
        self.0.push(span);
        self
    }

    /// Without marks.
    pub fn plain_text(&self) -> String {
        let texts = self.0.iter().map(|span| match span {
            Span::Plain(text)
            | Span::Bold(text)
            | Span::Italic(text)
            | Span::Code(text)
            | Span::Block(text) => text.as_str(),
        });
        texts.collect()
    }
}

impl Screen {
    /// All words of it, for tests and for places without marks.
    pub fn plain_text(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| match block {
            Block::Text(markup) => Some(markup.plain_text()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Its buttons, row by row.
    pub fn buttons(&self) -> impl Iterator<Item = &Button> {
        self.rows.iter().flatten()
    }

    /// The button of a label.
    pub fn button(&self, label: &str) -> Option<&Button> {
        self.buttons().find(|button| button.label == label)
    }
}
