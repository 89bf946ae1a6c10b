//! A row is one record of CSV (RFC 4180). What is empty is NULL, what is empty in quotes is text, as PostgreSQL has it.

use std::borrow::Cow;

use super::value::{Fields, Value};

/// The fields of a record, named by their order; the error goes on where a sentence begins with the record.
pub(crate) fn fields<'a>(
    message: &'a [u8],
    delimiter: u8,
    columns: &'a [String],
    into: &mut Fields<'a>,
) -> Result<(), Cow<'static, str>> {
    let text = std::str::from_utf8(message).map_err(|_| "that is not UTF-8")?;
    let mut rest = Some(without_end(text));
    let mut count = 0;
    while let Some(text) = rest {
        let (value, after) = field(text, delimiter)?;
        if let Some(name) = columns.get(count) {
            into.push((name.into(), value));
        }
        count += 1;
        rest = after;
    }
    if count == columns.len() {
        return Ok(());
    }
    Err(format!("of {count} fields, not {}", columns.len()).into())
}

/// The texts of a record's fields, however many; an empty one is no text.
pub(crate) fn head(record: &[u8], delimiter: u8) -> Result<Vec<String>, &'static str> {
    let text = std::str::from_utf8(record).map_err(|_| "that is not UTF-8")?;
    let (mut names, mut rest) = (vec![], Some(without_end(text)));
    while let Some(text) = rest {
        let (value, after) = field(text, delimiter)?;
        names.push(match value {
            Value::Text(name) => name.into_owned(),
            _ => String::new(),
        });
        rest = after;
    }
    Ok(names)
}

fn without_end(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// The first field of a text, and what lies behind its delimiter.
fn field(text: &str, delimiter: u8) -> Result<(Value<'_>, Option<&str>), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|byte| byte == delimiter).unwrap_or(text.len());
        let field = &text[..end];
        if field.contains(['"', '\n', '\r']) {
            return Err("that is no record of CSV");
        }
        let value = if field.is_empty() { Value::Null } else { Value::Text(field.into()) };
        return Ok((value, text.get(end + 1..)));
    };
    let mut from = 0;
    loop {
        let end = from + quoted[from..].find('"').ok_or("that is no record of CSV")?;
        if quoted.as_bytes().get(end + 1) == Some(&b'"') {
            from = end + 2;
            continue;
        }
        let field = &quoted[..end];
        let field = if from == 0 { field.into() } else { Cow::Owned(field.replace("\"\"", "\"")) };
        return match quoted.as_bytes().get(end + 1) {
            None => Ok((Value::Text(field), None)),
            Some(byte) if *byte == delimiter => Ok((Value::Text(field), quoted.get(end + 2..))),
            Some(_) => Err("that is no record of CSV"),
        };
    }
}

/// Adds a text as a field.
pub(crate) fn write(text: &[u8], delimiter: u8, into: &mut Vec<u8>) {
    let special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if !text.is_empty() && !text.iter().any(special) {
        into.extend_from_slice(text);
        return;
    }
    into.push(b'"');
    for byte in text {
        if *byte == b'"' {
            into.push(b'"');
        }
        into.push(*byte);
    }
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(message: &str, count: usize) -> Result<Vec<Option<String>>, String> {
        let columns: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let mut found = vec![];
        fields(message.as_bytes(), b',', &columns, &mut found).map_err(Cow::into_owned)?;
        let text = |value| match value {
            Value::Text(text) => Some(Cow::into_owned(text)),
            _ => None,
        };
        Ok(found.into_iter().map(|(_, value)| text(value)).collect())
    }

    #[test]
    fn empty_is_null_and_quoted_is_text() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("1,,\"\",\"a\"\"b,\nc\"\r\n", 4).unwrap(),
            [some("1"), None, some(""), some("a\"b,\nc")]
        );
        assert_eq!(read("", 1).unwrap(), [None]);
        assert_eq!(read("a,", 2).unwrap(), [some("a"), None]);
        assert_eq!(read("a,b,c", 2).unwrap_err(), "of 3 fields, not 2");
        assert_eq!(read("a", 2).unwrap_err(), "of 1 fields, not 2");
        for broken in ["\"a", "a\"b", "\"a\"b", "a\nb"] {
            assert_eq!(read(broken, 1).unwrap_err(), "that is no record of CSV", "{broken}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(texts in proptest::collection::vec(proptest::option::of("[a-zж\",;\n\r ]{0,6}"), 1..5)) {
            let mut message = vec![];
            for (at, text) in texts.iter().enumerate() {
                if at > 0 {
                    message.push(b',');
                }
                if let Some(text) = text {
                    write(text.as_bytes(), b',', &mut message);
                }
            }
            let message = String::from_utf8(message).unwrap();
            prop_assert_eq!(read(&message, texts.len()).unwrap(), texts);
        }
    }
}
