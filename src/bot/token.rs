//! What a button carries: whose it is, of which screen, which one, and what it stood for. It is no secret: a forged one can do no more than
//! press what stands on its sender's own screen.

use std::hash::{Hash, Hasher};

use super::{event::Viewer, press::Intent, screen::TOKEN_BYTES};

/// A token that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Of the screen.
    pub(super) version: u64,
    /// The button's place on it.
    pub(super) index: usize,
    check: u64,
}

/// The token of a button.
pub(super) fn write(viewer: &Viewer, version: u64, index: usize, intent: &Intent) -> String {
    let mut token = String::with_capacity(TOKEN_BYTES);
    base36(version, &mut token);
    token.push('.');
    base36(index as u64, &mut token);
    token.push('.');
    base36(check(viewer, intent), &mut token);
    token
}

/// Reads whatever came.
pub(super) fn read(text: &str) -> Option<Token> {
    let mut parts = text.split('.').map(|part| u64::from_str_radix(part, 36).ok());
    let token = Token { version: parts.next()??, index: parts.next()?? as usize, check: parts.next()?? };
    parts.next().is_none().then_some(token)
}

impl Token {
    /// Whether it was made for this viewer and what stands at its place now.
    pub(super) fn fits(&self, viewer: &Viewer, intent: &Intent) -> bool {
        self.check == check(viewer, intent)
    }
}

/// A digest of user, chat and intent (FNV-1a). A screen has dozens of buttons, so it is made of the values themselves and not of their text. It is the
/// same in every process; where another build makes another of it, the buttons of before are stale.
fn check(viewer: &Viewer, intent: &Intent) -> u64 {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    (viewer.user, viewer.chat, intent).hash(&mut digest);
    digest.finish()
}

struct Digest(u64);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn base36(mut number: u64, into: &mut String) {
    // 36^13 is past 2^64.
    let mut digits = [b'0'; 13];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
        if number == 0 {
            break;
        }
    }
    into.extend(digits[begin..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bot::{
            dialog::tests::viewer,
            event::{Call, Given},
        },
        model::value::Value,
    };

    #[test]
    fn read_as_written() {
        let intent = Intent::Open("revenue".to_owned());
        let text = write(&viewer(), u64::MAX, 200, &intent);
        assert!(text.len() <= TOKEN_BYTES, "{text}");
        let token = read(&text).unwrap();
        assert_eq!((token.version, token.index), (u64::MAX, 200));
        assert!(token.fits(&viewer(), &intent));
        assert!(!token.fits(&viewer(), &Intent::Home));
        for other in [Viewer { user: 8, ..viewer() }, Viewer { chat: 8, ..viewer() }] {
            assert!(!token.fits(&other, &intent));
        }
    }

    #[test]
    fn what_a_button_stands_for_is_all_in_its_token() {
        let call = |report: &str, name: &str, value: i64| {
            let given = Given::Value(Value::Int(value));
            Intent::Call(Call { report: report.to_owned(), with: [(name.to_owned(), given)].into() })
        };
        let all = [
            call("revenue", "share", 1),
            call("revenue", "share", 2),
            call("revenue", "shares", 1),
            call("revenues", "hare", 1),
            Intent::Page(1),
            Intent::Page(2),
            Intent::Enter(1),
            Intent::Open("revenue".to_owned()),
            Intent::Change("revenue".to_owned()),
            Intent::Day("2026-03-01".parse().unwrap()),
            Intent::Day("2026-03-02".parse().unwrap()),
            Intent::Month("2026-03-01".parse().unwrap()),
        ];
        let tokens: std::collections::BTreeSet<String> =
            all.iter().map(|intent| write(&viewer(), 1, 1, intent)).collect();
        assert_eq!(tokens.len(), all.len());
    }

    #[test]
    fn whatever_comes() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", "я.1.2", "-1.0.0", "zzzzzzzzzzzzzzzzzzzzzzz.0.0"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
