//! Tables of results: drawn on a terminal, plain aligned lines in a pipe.

use comfy_table::{Attribute, Cell as ComfyCell, CellAlignment, Color, ContentArrangement, presets};

use super::{
    failure::Result,
    output::{self, Output, Tone, printable},
};

/// Rows under headers.
#[derive(Debug, Default)]
pub(super) struct Table {
    headers: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Text with a meaning.
    pub(super) fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: printable(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Table {
    /// A table; headers that begin with `>` stand over numbers, set to the right.
    pub(super) fn new<T: AsRef<str>>(headers: impl IntoIterator<Item = T>) -> Self {
        let headers: Vec<String> = headers.into_iter().map(|header| header.as_ref().to_owned()).collect();
        let right = headers.iter().map(|header| header.starts_with('>')).collect();
        let headers = headers.iter().map(|header| printable(header.trim_start_matches('>'))).collect();
        Self { headers, right, rows: vec![] }
    }

    /// A table of data: headers are taken as they are.
    pub(super) fn of_columns(columns: impl IntoIterator<Item = (String, bool)>) -> Self {
        let (headers, right) = columns.into_iter().map(|(name, right)| (printable(&name), right)).unzip();
        Self { headers, right, rows: vec![] }
    }

    /// Adds a row, as many cells as headers.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it as a result.
    pub(super) fn print(&self, output: Output) -> Result {
        output::print(&self.text(output))
    }

    /// It as text: drawn on a terminal, plain in a pipe.
    pub(super) fn text(&self, output: Output) -> String {
        if output.results.is_terminal { self.drawn(output.results.color) } else { self.plain(output) }
    }

    fn drawn(&self, color: bool) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(output::columns());
        if color {
            table.enforce_styling();
        }
        let header = |text: &String| {
            let cell = ComfyCell::new(text);
            if color { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        table.set_header(self.headers.iter().map(header));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| comfy(cell, color)));
        }
        for (column, right) in table.column_iter_mut().zip(&self.right) {
            if *right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }

    fn plain(&self, output: Output) -> String {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.headers.iter().map(|header| width(header)).collect();
        for row in &self.rows {
            for (known, cell) in widths.iter_mut().zip(row) {
                *known = (*known).max(width(&cell.text));
            }
        }
        let line = |cells: &mut dyn Iterator<Item = (&str, Tone)>| {
            let mut line = String::new();
            for (i, (text, tone)) in cells.enumerate() {
                let gap = " ".repeat(widths[i] - width(text));
                let painted = output.results.paint(text, tone);
                let separator = if i == 0 { "" } else { "  " };
                let cell = if self.right[i] { gap + &painted } else { painted + &gap };
                line.push_str(separator);
                line.push_str(&cell);
            }
            line.trim_end().to_owned() + "\n"
        };
        let header = line(&mut self.headers.iter().map(|header| (header.as_str(), Tone::Strong)));
        let rows =
            self.rows.iter().map(|row| line(&mut row.iter().map(|cell| (cell.text.as_str(), cell.tone))));
        std::iter::once(header).chain(rows).collect()
    }
}

fn comfy(cell: &Cell, color: bool) -> ComfyCell {
    let drawn = ComfyCell::new(&cell.text);
    if !color {
        return drawn;
    }
    match cell.tone {
        Tone::Plain => drawn,
        Tone::Strong => drawn.add_attribute(Attribute::Bold),
        Tone::Good => drawn.fg(Color::DarkGreen),
        Tone::Warn => drawn.fg(Color::DarkYellow),
        Tone::Bad => drawn.fg(Color::Red),
        Tone::Dim => drawn.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::ColorWhen;

    fn table() -> Table {
        let mut table = Table::new(["name", ">rows", "note"]);
        table.row(["действия/mrf1".into(), "12,345".into(), Cell::new("x\ny", Tone::Bad)]);
        table.row(["b".into(), "7".into(), "".into()]);
        table
    }

    #[test]
    fn plain_lines_are_aligned() {
        let output = Output::new(ColorWhen::Never, false);
        let expected = "name             rows  note\nдействия/mrf1  12,345  x\\ny\nb                   7\n";
        assert_eq!(table().plain(output), expected);
    }

    #[test]
    fn drawn_tables_have_colour_only_where_it_is_wanted() {
        assert!(table().drawn(true).contains('\x1b'));
        let plain = table().drawn(false);
        assert!(!plain.contains('\x1b') && plain.contains("│ действия/mrf1"), "{plain}");
    }
}
