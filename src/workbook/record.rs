//! The record of a workbook's track, kept in the workbook itself: custom document properties that Excel shows under
//! File → Info and keeps when somebody saves the file again. A property holds 255 characters, so the record is cut into several.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rust_xlsxwriter::DocProperties;
use zip::result::ZipError;

use super::error::{Error, Result};

const PROPERTY: &str = "vitrina.record.";
/// UTF-16 units in one property.
const PIECE: usize = 240;
/// A custom.xml larger than this is none of ours.
const LARGEST: u64 = 16 << 20;

/// The record that a workbook was made with. `None`: no such file, or a workbook that somebody else made.
pub fn read_record(file: &Path) -> Result<Option<String>> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|source| failed(file, source))?,
    };
    let corrupt = |source| match source {
        ZipError::Io(source) => failed(file, source),
        other => Error::Corrupt { path: file.to_owned(), source: other.into() },
    };
    let mut archive = zip::ZipArchive::new(io::BufReader::new(opened)).map_err(corrupt)?;
    let entry = match archive.by_name("docProps/custom.xml") {
        Err(ZipError::FileNotFound) => return Ok(None),
        entry => entry.map_err(corrupt)?,
    };
    let mut xml = String::new();
    let read = entry.take(LARGEST).read_to_string(&mut xml);
    read.map_err(|error| Error::Corrupt { path: file.to_owned(), source: error.into() })?;
    Ok(join(&xml))
}

/// Adds a record to the properties that a workbook is made with.
pub(super) fn keep(mut properties: DocProperties, record: &str) -> DocProperties {
    let pieces = pieces(record);
    let count = pieces.len();
    for (number, piece) in pieces.into_iter().enumerate() {
        properties = properties.set_custom_property(property(number + 1, count), piece);
    }
    properties
}

/// The name of a piece says how many there are, so that a lost one is noticed.
fn property(number: usize, count: usize) -> String {
    format!("{PROPERTY}{number}/{count}")
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io { what: "reading the workbook", path: path.to_owned(), source }
}

fn pieces(record: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut units = 0;
    for character in record.chars() {
        units += character.len_utf16();
        if units > PIECE {
            pieces.push(String::new());
            units = character.len_utf16();
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
        }
    }
    pieces
}

/// Reads our properties out of `custom.xml`, by number.
fn join(xml: &str) -> Option<String> {
    let mut found: Vec<(usize, usize, String)> = Vec::new();
    for property in xml.split("<property ").skip(1) {
        let name = between(property, "name=\"", "\"")?;
        let place = name.strip_prefix(PROPERTY).and_then(|place| place.split_once('/'));
        let Some((Ok(number), Ok(count))) = place.map(|(number, count)| (number.parse(), count.parse()))
        else {
            continue;
        };
        let text = between(property, "<vt:lpwstr>", "</vt:lpwstr>").unwrap_or_default();
        found.push((number, count, unescape(text)));
    }
    found.sort_unstable();
    let count = found.len();
    let whole = count > 0 && found.iter().zip(1..).all(|((number, of, _), at)| *number == at && *of == count);
    whole.then(|| found.into_iter().map(|(_, _, text)| text).collect())
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    text.split_once(open)?.1.split_once(close).map(|(inner, _)| inner)
}

/// XML's own entities, and characters by number.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';').unwrap_or((after, ""));
        plain.extend(match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            other => match other.strip_prefix("#x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
                None => other.strip_prefix('#').and_then(|n| n.parse().ok()).and_then(char::from_u32),
            },
        });
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_records_are_cut_and_joined() {
        let record = "{\"ключ\":\"💳<&>\"}".repeat(100);
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&#62;");
        let pieces = pieces(&record);
        let element = |(number, text): (usize, &String)| {
            let name = property(number + 1, pieces.len());
            format!("<property pid=\"2\" name=\"{name}\"><vt:lpwstr>{}</vt:lpwstr></property>", escaped(text))
        };
        assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.encode_utf16().count() <= PIECE));
        let mut properties: Vec<String> = pieces.iter().enumerate().map(element).collect();
        properties.reverse();
        assert_eq!(join(&format!("<Properties>{}</Properties>", properties.concat())), Some(record));
        assert_eq!(join(&properties[1..].concat()), None, "the last piece is lost");
        assert_eq!(join(&properties[..3].concat()), None, "the first ones are lost");
        assert_eq!(join("<property name=\"Отдел\"><vt:lpwstr>x</vt:lpwstr></property>"), None);
    }
}
