//! The fields of one JSON object, without a tree: numbers keep all their digits, nested values stay as they are spelled.

use std::borrow::Cow;

use super::super::{Fields, Value};

/// Objects and arrays in one another, at most.
const DEPTH: usize = 128;

/// Names and values of an object, in its order; the error goes on where a sentence begins with the row, without any content.
pub(crate) fn fields<'a>(message: &'a [u8], into: &mut Fields<'a>) -> Result<(), &'static str> {
    let text = std::str::from_utf8(message).map_err(|_| "that is not UTF-8")?;
    let mut scan = Scan { text, at: 0 };
    scan.spaces();
    if scan.peek() != Some(b'{') {
        return Err(if text.trim().is_empty() { "that is empty" } else { "that is no JSON object" });
    }
    scan.at += 1;
    object(&mut scan, into).ok_or("that is not JSON")
}

fn object<'a>(scan: &mut Scan<'a>, into: &mut Fields<'a>) -> Option<()> {
    scan.spaces();
    if scan.take(b'}') {
        return scan.end();
    }
    loop {
        scan.spaces();
        let name = scan.string()?;
        scan.spaces();
        scan.take(b':').then_some(())?;
        scan.spaces();
        let value = scan.value()?;
        into.push((name, value));
        scan.spaces();
        if scan.take(b'}') {
            return scan.end();
        }
        scan.take(b',').then_some(())?;
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Option<()> {
        self.spaces();
        (self.at == self.text.len()).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn value(&mut self) -> Option<Value<'a>> {
        Some(match self.peek()? {
            b'"' => Value::Text(self.string()?),
            b'n' => self.word("null").map(|()| Value::Null)?,
            b't' => self.word("true").map(|()| Value::Bool(true))?,
            b'f' => self.word("false").map(|()| Value::Bool(false))?,
            b'{' | b'[' => {
                let begun = self.at;
                self.nested(0)?;
                Value::Nested(self.text[begun..self.at].into())
            }
            _ => Value::Number(self.number()?),
        })
    }

    /// Steps over an object or array.
    fn nested(&mut self, depth: usize) -> Option<()> {
        if depth == DEPTH {
            return None;
        }
        let (close, named) = match self.peek()? {
            b'{' => (b'}', true),
            b'[' => (b']', false),
            _ => return self.value().map(|_| ()),
        };
        self.at += 1;
        self.spaces();
        if self.take(close) {
            return Some(());
        }
        loop {
            self.spaces();
            if named {
                self.string()?;
                self.spaces();
                self.take(b':').then_some(())?;
                self.spaces();
            }
            self.nested(depth + 1)?;
            self.spaces();
            if self.take(close) {
                return Some(());
            }
            self.take(b',').then_some(())?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let begun = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begun).then_some(())
    }

    fn number(&mut self) -> Option<&'a str> {
        let begun = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(&self.text[begun..self.at])
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"').then_some(())?;
        let begun = self.at;
        self.at += self.plain();
        match self.peek()? {
            b'"' => {
                let text = &self.text[begun..self.at];
                self.at += 1;
                Some(Cow::Borrowed(text))
            }
            b'\\' => self.escaped(begun),
            _ => None,
        }
    }

    /// Bytes ahead that a string has as they are.
    fn plain(&self) -> usize {
        let ahead = &self.text.as_bytes()[self.at..];
        ahead.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(ahead.len())
    }

    /// The rest of a string that has escapes.
    fn escaped(&mut self, begun: usize) -> Option<Cow<'a, str>> {
        let mut text = self.text[begun..self.at].to_owned();
        loop {
            let plain = self.at;
            self.at += self.plain();
            text.push_str(&self.text[plain..self.at]);
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(Cow::Owned(text)),
                b'\\' => text.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xd800..0xe000).contains(&first) {
                    return char::from_u32(first);
                }
                self.word("\\u")?;
                let second = self.unit()?;
                return char::decode_utf16([first as u16, second as u16]).next()?.ok();
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &str) -> Result<Vec<(String, Value<'_>)>, &'static str> {
        let mut found = vec![];
        fields(text.as_bytes(), &mut found)?;
        Ok(found.into_iter().map(|(name, value)| (name.into_owned(), value)).collect())
    }

    #[test]
    fn numbers_keep_their_digits_and_nests_their_spelling() {
        let found = scan(
            r#" {"a": 12345678901234567890.10 , "b":-1E+5,"в":[1, {"x":"]"}],"г":"\u0416\ud83e\udd94\n"} "#,
        );
        let expected = [
            ("a", Value::Number("12345678901234567890.10")),
            ("b", Value::Number("-1E+5")),
            ("в", Value::Nested(r#"[1, {"x":"]"}]"#.into())),
            ("г", Value::Text("Ж🦔\n".into())),
        ];
        assert_eq!(found.unwrap(), expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_is_no_object_is_told() {
        assert_eq!(scan("  "), Err("that is empty"));
        assert_eq!(scan("[1]"), Err("that is no JSON object"));
        for text in
            ["{", "{\"a\"}", "{\"a\":01}", "{\"a\":1}x", "{\"a\":\"\\ud800\"}", "{\"a\":tru}", "{\"a\":1,}"]
        {
            assert_eq!(scan(text), Err("that is not JSON"), "{text}");
        }
        assert_eq!(
            scan(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200))),
            Err("that is not JSON")
        );
    }

    proptest! {
        /// Whatever is said to be an object, and only that, is one for another reader too, with the same names.
        #[test]
        fn agrees_with_another_reader(text in r#"\{("[a-z\\u0-9]{0,4}":(-?[0-9.eE]{1,4}|null|"[^"]{0,3}"|\[[0-9,]{0,4}\]),?){0,3}\}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
            // Numbers too large for a double are no numbers for the other.
            prop_assume!(!text.contains(['e', 'E']) || theirs.is_some());
            let ours = scan(&text).ok();
            prop_assert_eq!(ours.is_some(), theirs.is_some(), "{}", text);
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                prop_assert!(ours.iter().all(|(name, _)| theirs.get(name).is_some()));
            }
        }
    }
}
