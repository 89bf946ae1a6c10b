//! From a byte of a decoded TOML string to its byte in the file, for all four kinds of string, with escapes and line continuations.

use std::ops::Range;

use toml_parser::{
    Raw, Span,
    decoder::{Encoding, StringBuilder},
};

/// Where each byte of a string's value stands in its file.
#[derive(Debug, Clone)]
pub(crate) struct Offsets {
    /// `(byte of the value, byte of the file, whether the run is copied as it stands)`, rising.
    runs: Vec<(usize, usize, bool)>,
    end: (usize, usize),
}

impl Offsets {
    /// Of a string that stands at `span` of `text`, quotes included; `None` where no string stands there.
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Option<Self> {
        let raw = text.get(span.clone())?;
        let encoding = if raw.starts_with("\"\"\"") {
            Encoding::MlBasicString
        } else if raw.starts_with("'''") {
            Encoding::MlLiteralString
        } else if raw.starts_with('"') {
            Encoding::BasicString
        } else if raw.starts_with('\'') {
            Encoding::LiteralString
        } else {
            return None;
        };
        let span = Span::new_unchecked(span.start, span.end);
        let raw = Raw::new_unchecked(raw, Some(encoding), span);
        let mut builder = Builder { text, runs: vec![], decoded: 0, at: span.start() };
        let _ = raw.decode_scalar(&mut builder, &mut ());
        let quote =
            if matches!(encoding, Encoding::MlBasicString | Encoding::MlLiteralString) { 3 } else { 1 };
        Some(Self { runs: builder.runs, end: (builder.decoded, span.end().saturating_sub(quote)) })
    }

    /// The bytes of the file that a range of the value comes from.
    pub(crate) fn range(&self, of_value: Range<usize>) -> Range<usize> {
        let start = self.byte(of_value.start);
        let end = if of_value.end > of_value.start {
            // The end of the last byte, not the start of the next: a line continuation may lie between them.
            self.byte(of_value.end - 1) + 1
        } else {
            start
        };
        start..end.max(start)
    }

    fn byte(&self, of_value: usize) -> usize {
        if of_value >= self.end.0 {
            return self.end.1;
        }
        let after = self.runs.partition_point(|(value, _, _)| *value <= of_value);
        match after.checked_sub(1).map(|index| self.runs[index]) {
            Some((value, file, true)) => file + (of_value - value),
            Some((_, file, false)) => file,
            None => self.end.1,
        }
    }
}

struct Builder<'s> {
    text: &'s str,
    runs: Vec<(usize, usize, bool)>,
    decoded: usize,
    /// The byte of the file behind what was copied last: where an escape begins.
    at: usize,
}

impl<'s> StringBuilder<'s> for Builder<'s> {
    fn clear(&mut self) {
        self.runs.clear();
        self.decoded = 0;
    }

    fn push_str(&mut self, append: &'s str) -> bool {
        if !append.is_empty() {
            let file = (append.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
            self.runs.push((self.decoded, file, true));
            self.decoded += append.len();
            self.at = file + append.len();
        }
        true
    }

    fn push_char(&mut self, append: char) -> bool {
        self.runs.push((self.decoded, self.at, false));
        self.decoded += append.len_utf8();
        self.at += match self.text.as_bytes().get(self.at + 1) {
            Some(b'u') => 6,
            Some(b'U') => 10,
            Some(b'x') => 4,
            _ => 2,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds `needle` in the decoded string and says what stands at its place in the file.
    fn found<'a>(text: &'a str, needle: &str) -> &'a str {
        let table: toml::Table = toml::from_str(text).unwrap();
        let value = table["a"].as_str().unwrap();
        let span = text.find('=').unwrap() + 2..text.trim_end().len();
        let offsets = Offsets::of(text, &span).unwrap();
        let start = value.find(needle).unwrap();
        &text[offsets.range(start..start + needle.len())]
    }

    #[test]
    fn all_four_kinds() {
        assert_eq!(found("a = 'SELECT имя'", "имя"), "имя");
        assert_eq!(found("a = \"SELECT \\\"x\\\" , имя\"", "имя"), "имя");
        assert_eq!(found("a = \"\\t\\u0041\\tSELECT имя\"", "SELECT"), "SELECT");
        assert_eq!(found("a = '''\nSELECT имя,\n  b'''", "имя,\n  b"), "имя,\n  b");
        assert_eq!(found("a = \"\"\"\nSELECT имя, \\\n     b\"\"\"", "b"), "b");
        assert_eq!(found("a = \"\"\"\r\nSELECT имя,\r\n b\"\"\"", "b"), "b");
    }
}
