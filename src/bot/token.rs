//! What a button carries: whose it is, of which screen, which one, and what it stood for. It is no secret: a forged one can do no more than
//! press what stands on its sender's own screen.

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

/// A digest of user, chat and intent (FNV-1a), the same in every build.
fn check(viewer: &Viewer, intent: &Intent) -> u64 {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    digest.add(&viewer.user.to_le_bytes());
    digest.add(&viewer.chat.to_le_bytes());
    // Writing into a digest cannot fail, and intents have no maps with keys that are no text.
    let _ = serde_json::to_writer(&mut digest, intent);
    digest.0
}

struct Digest(u64);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl std::io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn base36(mut number: u64, into: &mut String) {
    // 36^13 is past 2^64.
    let mut digits = ['0'; 13];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] = char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    into.extend(&digits[begin..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::dialog::tests::viewer;

    #[test]
    fn read_as_written() {
        let intent = Intent::Open("revenue".to_owned());
        let text = write(&viewer(), u64::MAX, 200, &intent);
        assert!(text.len() <= TOKEN_BYTES, "{text}");
        let token = read(&text).unwrap();
        assert_eq!((token.version, token.index), (u64::MAX, 200));
        assert!(token.fits(&viewer(), &intent));
        assert!(!token.fits(&viewer(), &Intent::Home));
        let other = Viewer { user: 8, ..viewer() };
        assert!(!token.fits(&other, &intent));
    }

    #[test]
    fn whatever_comes() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", "я.1.2", "-1.0.0", "zzzzzzzzzzzzzzzzzzzzzzz.0.0"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
