//! Rows written as text: CSV with a header, where every cell knows its bytes. What unit tests are given and expect.
//!
//! - The first line names the columns; blank lines are left out.
//! - Cells are separated by commas. Spaces around a cell do not count.
//! - `NULL` is NULL. An empty cell is the empty text.
//! - In double quotes a cell is text as it stands (`"NULL"`, `" x "`, `""`), commas and line breaks included; `""` is a quote.

use std::{borrow::Cow, ops::Range};

/// Rows under a header; every row has as many cells as the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextRows {
    /// The header.
    pub columns: Vec<TextColumn>,
    /// The rows, in order.
    pub rows: Vec<Vec<TextCell>>,
}

/// A column's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextColumn {
    /// As written.
    pub name: String,
    /// Its bytes.
    pub span: Range<usize>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextCell {
    /// `None` = NULL.
    pub text: Option<String>,
    /// Its bytes.
    pub span: Range<usize>,
}

/// What is wrong with such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFault {
    /// The bytes at fault.
    pub span: Range<usize>,
    /// Why.
    pub message: String,
}

impl TextRows {
    /// Reads a text; `Err` = everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<TextFault>> {
        let mut faults = vec![];
        let mut lines = Reader { text, at: 0 }.lines(&mut faults).into_iter();
        let Some(header) = lines.next() else {
            let message = "there is no header: the first line names the columns".to_owned();
            return Err(if faults.is_empty() {
                vec![TextFault { span: 0..text.len(), message }]
            } else {
                faults
            });
        };
        let columns: Vec<TextColumn> = header
            .into_iter()
            .map(|cell| TextColumn { name: cell.text.unwrap_or_else(|| "NULL".to_owned()), span: cell.span })
            .collect();
        for (at, column) in columns.iter().enumerate() {
            let again = columns[..at].iter().any(|before| before.name == column.name);
            let message = match column.name.as_str() {
                "" => "a column without a name".to_owned(),
                name if again => format!("column `{name}` is named twice"),
                _ => continue,
            };
            faults.push(TextFault { span: column.span.clone(), message });
        }
        let rows: Vec<Vec<TextCell>> = lines.collect();
        for row in rows.iter().filter(|row| row.len() != columns.len()) {
            let span =
                row.first().map_or(0, |cell| cell.span.start)..row.last().map_or(0, |cell| cell.span.end);
            let message = format!("{} cells under a header of {}", row.len(), columns.len());
            faults.push(TextFault { span, message });
        }
        if faults.is_empty() { Ok(Self { columns, rows }) } else { Err(faults) }
    }

    /// The place of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }
}

/// A cell as such a text spells it: quoted where it must be.
pub fn spelled(cell: Option<&str>) -> Cow<'_, str> {
    let Some(text) = cell else { return Cow::Borrowed("NULL") };
    let plain =
        !text.is_empty() && text != "NULL" && text.trim() == text && !text.contains([',', '"', '\n', '\r']);
    if plain { Cow::Borrowed(text) } else { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// Lines that hold anything.
    fn lines(mut self, faults: &mut Vec<TextFault>) -> Vec<Vec<TextCell>> {
        let mut lines = vec![];
        while self.at < self.text.len() {
            let line = self.line(faults);
            let blank = matches!(line.as_slice(), [only] if only.span.is_empty());
            if !blank {
                lines.push(line);
            }
        }
        lines
    }

    fn line(&mut self, faults: &mut Vec<TextFault>) -> Vec<TextCell> {
        let mut cells = vec![];
        loop {
            self.skip(|c| matches!(c, ' ' | '\t'));
            cells.push(if self.peek() == Some('"') { self.quoted(faults) } else { self.bare() });
            match self.next() {
                Some(',') => {}
                // The end of the line, or of the text.
                _ => return cells,
            }
        }
    }

    fn bare(&mut self) -> TextCell {
        let start = self.at;
        self.skip(|c| !matches!(c, ',' | '\n'));
        let text = self.text[start..self.at].trim_end();
        let null = text == "NULL";
        TextCell { span: start..start + text.len(), text: (!null).then(|| text.to_owned()) }
    }

    fn quoted(&mut self, faults: &mut Vec<TextFault>) -> TextCell {
        let start = self.at;
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') if self.peek() == Some('"') => {
                    self.next();
                    text.push('"');
                }
                Some('"') => break,
                Some(c) => text.push(c),
                None => {
                    let message = "this quote is not closed".to_owned();
                    faults.push(TextFault { span: start..start + 1, message });
                    break;
                }
            }
        }
        let span = start..self.at;
        self.skip(|c| !matches!(c, ',' | '\n'));
        if !self.text[span.end..self.at].trim().is_empty() {
            let message = "a comma or the line's end is due after a closing quote (a quote inside is `\"\"`)"
                .to_owned();
            faults.push(TextFault { span: span.end..self.at, message });
        }
        TextCell { text: Some(text), span }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<Option<String>>> {
        let rows = TextRows::parse(text).unwrap().rows;
        rows.into_iter().map(|row| row.into_iter().map(|cell| cell.text).collect()).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn nulls_quotes_and_spaces() {
        let text = "\nid, имя ,note\r\n\n1, NULL , \"NULL\"\n2,, \" a, \"\"b\"\"\nc \"\n";
        let rows = TextRows::parse(text).unwrap();
        let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "имя", "note"]);
        assert_eq!(&text[rows.columns[1].span.clone()], "имя");
        assert_eq!(&text[rows.rows[0][2].span.clone()], "\"NULL\"");
        assert_eq!(
            cells(text),
            [[some("1"), None, some("NULL")], [some("2"), some(""), some(" a, \"b\"\nc ")]]
        );
    }

    #[test]
    fn one_empty_text_is_written_with_quotes() {
        assert_eq!(cells("x\n\"\"\n\nNULL"), [[some("")], [None]]);
    }

    #[test]
    fn everything_wrong_is_told_at_its_place() {
        let told = |text: &str| -> Vec<(String, String)> {
            let faults = TextRows::parse(text).unwrap_err();
            faults.into_iter().map(|fault| (text[fault.span].to_owned(), fault.message)).collect()
        };
        assert_eq!(told("a,a,\n1,2\n")[0], ("a".to_owned(), "column `a` is named twice".to_owned()));
        assert_eq!(told("a,\n")[0].1, "a column without a name");
        assert_eq!(told("a,b\n1,2,3"), [("1,2,3".to_owned(), "3 cells under a header of 2".to_owned())]);
        assert_eq!(told("a\n\"1"), [("\"".to_owned(), "this quote is not closed".to_owned())]);
        assert_eq!(told("a\n\"1\"2")[0].0, "2");
        assert!(told(" \n")[0].1.starts_with("there is no header"));
    }

    #[test]
    fn what_is_spelled_reads_back() {
        for cell in
            [None, Some(""), Some("NULL"), Some(" x"), Some("a,b"), Some("\"q\""), Some("Иван"), Some("a\nb")]
        {
            let text = format!("x\n{}", spelled(cell));
            assert_eq!(cells(&text), [[cell.map(str::to_owned)]], "{text}");
        }
    }
}
