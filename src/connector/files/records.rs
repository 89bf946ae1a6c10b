//! A text file, cut into its records: lines, or records of CSV, whose quoted fields may hold lines.

use std::io::{self, Read};

/// Bytes of one record, at most.
pub(super) const LONGEST: usize = 16 << 20;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Cuts an input into records.
pub(super) struct Records<R> {
    input: R,
    /// What stands between fields, where quotes may hold line ends.
    delimiter: Option<u8>,
    buffer: Vec<u8>,
    /// Where the next record begins.
    start: usize,
    ended: bool,
    line: u64,
}

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Its bytes, with the line's end.
    pub(super) bytes: &'a [u8],
    /// The number of its first line, from 1.
    pub(super) line: u64,
    /// Whether a line's end stands behind it.
    pub(super) ended: bool,
}

/// Why there is no record.
#[derive(Debug)]
pub(super) enum Broken {
    /// The input cannot be read.
    Io(io::Error),
    /// The record that begins on this line is longer than a record may be.
    TooLong(u64),
    /// The file ends within quotes that were opened in the record that begins on this line.
    Open(u64),
}

/// Where the reading of a record of CSV stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A field begins.
    Begin,
    Plain,
    Quoted,
    /// Behind a quote in quotes: the end of them, or the first half of a quote.
    Quote,
}

impl<R: Read> Records<R> {
    /// Lines; or records of CSV, where there is a `delimiter`. A byte order mark is passed over.
    pub(super) fn new(input: R, delimiter: Option<u8>) -> Self {
        Self { input, delimiter, buffer: vec![], start: 0, ended: false, line: 1 }
    }

    /// The next record; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, Broken> {
        if self.start == 0 && self.buffer.is_empty() {
            while self.buffer.len() < 3 && !self.ended {
                self.fill()?;
            }
            self.start = if self.buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        }
        let (mut at, mut state) = (self.start, State::Begin);
        loop {
            while at < self.buffer.len() {
                let byte = self.buffer[at];
                at += 1;
                state = self.step(state, byte);
                if byte == b'\n' && state != State::Quoted {
                    return Ok(Some(self.take(at, true)));
                }
            }
            if at - self.start > LONGEST {
                return Err(Broken::TooLong(self.line));
            }
            if self.ended {
                break;
            }
            at -= self.start;
            self.buffer.drain(..self.start);
            self.start = 0;
            self.fill()?;
        }
        match state {
            State::Quoted => Err(Broken::Open(self.line)),
            _ if at == self.start => Ok(None),
            _ => Ok(Some(self.take(at, false))),
        }
    }

    fn step(&self, state: State, byte: u8) -> State {
        let Some(delimiter) = self.delimiter else { return State::Plain };
        match (state, byte) {
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) => State::Quoted,
            (State::Begin | State::Quote, b'"') => State::Quoted,
            (_, byte) if byte == delimiter => State::Begin,
            _ => State::Plain,
        }
    }

    fn take(&mut self, until: usize, ended: bool) -> Record<'_> {
        let (begin, line) = (self.start, self.line);
        self.start = until;
        let bytes = &self.buffer[begin..until];
        self.line += bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
        Record { bytes, line, ended }
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + PIECE, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(filled + read.as_ref().copied().unwrap_or_default());
        self.ended = read.map_err(Broken::Io)? == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let some = self.0.len().min(3).min(into.len());
            into[..some].copy_from_slice(&self.0[..some]);
            self.0 = &self.0[some..];
            Ok(some)
        }
    }

    fn all(text: &str, delimiter: Option<u8>) -> Result<Vec<(String, u64, bool)>, Broken> {
        let mut records = Records::new(Slow(text.as_bytes()), delimiter);
        let mut found = vec![];
        while let Some(record) = records.next()? {
            let text = String::from_utf8(record.bytes.to_vec()).unwrap();
            found.push((text, record.line, record.ended));
        }
        Ok(found)
    }

    #[test]
    fn quotes_hold_lines() {
        let found = all("\u{feff}a,b\r\n1,\"x\ny \"\"z\"\"\"\n2,5\" pipe\n3", Some(b',')).unwrap();
        let found: Vec<_> = found.iter().map(|(text, line, ended)| (text.as_str(), *line, *ended)).collect();
        let expected = [
            ("a,b\r\n", 1, true),
            ("1,\"x\ny \"\"z\"\"\"\n", 2, true),
            ("2,5\" pipe\n", 4, true),
            ("3", 5, false),
        ];
        assert_eq!(found, expected);
        assert_eq!(all("a\"\nb\n\n", None).unwrap().len(), 3, "lines know no quotes");
        assert!(all("", Some(b',')).unwrap().is_empty());
    }

    #[test]
    fn what_is_cut_short_is_told() {
        assert!(matches!(all("a\n1,\"x\n\n", Some(b',')), Err(Broken::Open(2))));
        let endless = io::repeat(b'x');
        assert!(matches!(Records::new(endless, None).next(), Err(Broken::TooLong(1))));
    }

    proptest! {
        /// Nothing is lost, and whatever is in quotes, each record stays whole.
        #[test]
        fn records_make_the_file(rows in proptest::collection::vec("[a\",\nж]{0,5}", 0..6)) {
            let mut text = String::new();
            for row in &rows {
                text.push('"');
                text.push_str(&row.replace('"', "\"\""));
                text.push_str("\"\n");
            }
            let found = all(&text, Some(b',')).unwrap();
            prop_assert_eq!(found.len(), rows.len());
            let joined: String = found.into_iter().map(|(text, ..)| text).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
