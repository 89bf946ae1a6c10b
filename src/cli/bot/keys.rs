//! Keys of a terminal one by one, as they are pressed: the terminal hands them over at once and does not show them. How it was before is put back
//! whatever ends the chat.

use std::io::{Read, Stdin};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc;

use crate::cli::{failure::Exit, interrupt, output};

/// Keys that may wait while a report runs.
const WAITING: usize = 1_024;
/// Bytes that are read at once.
const AT_ONCE: usize = 256;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Left,
    Right,
    Enter,
    /// Takes the last letter away.
    Backspace,
    /// Takes the last word away: Ctrl-W.
    Word,
    /// Takes everything away: Escape, Ctrl-U.
    Clear,
    /// No more keys: Ctrl-D.
    End,
    Letter(char),
}

/// A terminal that hands over keys. Ctrl-C stays a signal.
pub(super) struct Keyboard {
    before: Termios,
    stdin: Stdin,
}

impl Keyboard {
    /// Takes the terminal of stdin; `None` = it is none, or cannot be asked. Call it within the runtime: a signal puts the terminal back, too.
    pub(super) fn take() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        let keyboard = Self { before, stdin };
        let ended = Self { before: keyboard.before.clone(), stdin: std::io::stdin() };
        tokio::spawn(async move {
            interrupt::signal().await;
            drop(ended);
            // The line at hand was not ended.
            let _ = output::print("");
            std::process::exit(Exit::Interrupted as i32);
        });
        Some(keyboard)
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}

/// Columns and lines of the terminal of stdout; of one that does not tell, the usual ones.
pub(super) fn size() -> (usize, usize) {
    let size = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The keys of stdin, until it ends.
pub(super) fn keys() -> mpsc::Receiver<Key> {
    let (send, receive) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let (mut decoder, mut bytes) = (Decoder::default(), [0; AT_ONCE]);
        loop {
            let read = std::io::stdin().read(&mut bytes).unwrap_or(0);
            let keys = if read == 0 { vec![Key::End] } else { decoder.keys(&bytes[..read]) };
            for key in keys {
                if send.blocking_send(key).is_err() {
                    return;
                }
            }
            if read == 0 {
                return;
            }
        }
    });
    receive
}

/// Bytes → keys. What comes of one key comes at once, but for a letter that a read has cut.
#[derive(Debug, Default)]
struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    fn keys(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let (mut keys, mut at) = (vec![], 0);
        while at < self.rest.len() {
            let Some((key, taken)) = key(&self.rest[at..]) else { break };
            keys.extend(key);
            at += taken;
        }
        self.rest.drain(..at);
        keys
    }
}

/// The first key of some bytes and how many of them it takes, or that they are none; `None` = it is cut.
fn key(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let first = *bytes.first()?;
    let key = match first {
        0x1b => return Some(escaped(bytes)),
        b'\r' | b'\n' => Key::Enter,
        0x7f | 0x08 => Key::Backspace,
        0x17 => Key::Word,
        0x15 => Key::Clear,
        0x04 => Key::End,
        0x10 => Key::Up,
        0x0e => Key::Down,
        b'\t' => Key::Right,
        0..=0x1f => return Some((None, 1)),
        _ => return letter(bytes),
    };
    Some((Some(key), 1))
}

/// An arrow, as terminals send it in either of their modes; sequences of other keys are none.
fn escaped(bytes: &[u8]) -> (Option<Key>, usize) {
    let Some(b'[' | b'O') = bytes.get(1) else { return (Some(Key::Clear), 1) };
    let end = bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte));
    let Some(end) = end.map(|end| end + 2) else { return (None, bytes.len()) };
    let key = match bytes[end] {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' | b'Z' => Some(Key::Left),
        _ => None,
    };
    (key, end + 1)
}

fn letter(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let length = match bytes[0] {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return Some((None, 1)),
    };
    let text = bytes.get(..length)?;
    Some(match std::str::from_utf8(text).ok().and_then(|text| text.chars().next()) {
        Some(letter) => (Some(Key::Letter(letter)), length),
        None => (None, 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.keys(b"\x1b[A\x1bOB\x1b[C\x1b[D"), [Key::Up, Key::Down, Key::Right, Key::Left]);
        assert_eq!(
            decoder.keys(b"a\x7f\x17\x15\r\x04"),
            [Key::Letter('a'), Key::Backspace, Key::Word, Key::Clear, Key::Enter, Key::End]
        );
        assert_eq!(decoder.keys(b"\x1b"), [Key::Clear]);
        // Keys that mean nothing here, and bytes that are no text.
        assert_eq!(decoder.keys(b"\x1b[3~\x1b[1;5C\x01\xff\xc3("), [Key::Right, Key::Letter('(')]);
    }

    #[test]
    fn letters_that_a_read_has_cut_are_whole() {
        let mut decoder = Decoder::default();
        let bytes = "за🙂".as_bytes();
        let keys: Vec<Key> = bytes.iter().flat_map(|byte| decoder.keys(&[*byte])).collect();
        assert_eq!(keys, ['з', 'а', '🙂'].map(Key::Letter));
    }
}
