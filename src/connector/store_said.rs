//! What object stores say, spelled so that its kind is known again where a library hands on nothing but the text.

use super::error::{Error, ErrorKind};

/// How a message begins.
const BEGIN: &str = "object store ";

/// By kind: how it goes on behind the store's name, and what to do. Where a library hands on nothing but the text, the kind is told by it.
const KINDS: [(ErrorKind, &str, &str); 7] = [
    (
        ErrorKind::Unreachable,
        "cannot be reached",
        "it is tried again; check `endpoint`, and that the server is up",
    ),
    (ErrorKind::Timeout, "does not answer in time", "it is tried again; a longer `request_timeout` may help"),
    (ErrorKind::Busy, "asks for fewer requests", "it is tried again; nothing was lost"),
    (ErrorKind::Denied, "refuses", "give the key the right to list, read, write and delete there"),
    (ErrorKind::NotFound, "is not there", "make the bucket, or correct `path`"),
    (ErrorKind::Io, "fails by itself", "check the form of the connection's keys"),
    (
        ErrorKind::Unsupported,
        "cannot be used",
        "check `endpoint` and `path`, and that the server speaks this store's language",
    ),
];

/// The message that a text quotes, as an error.
pub(super) fn quoted(text: &str) -> Option<Error> {
    let told = text[text.rfind(BEGIN)?..].lines().next()?;
    let (kind, _, hint) = KINDS.iter().find(|(_, phrase, _)| told.contains(&format!("` {phrase}")))?;
    Some(Error::new(*kind, told).hint(*hint))
}

/// An error of a kind about a store; `shown` is how messages name it.
pub(super) fn spelled(shown: &str, kind: ErrorKind, detail: &str) -> Error {
    let found = KINDS.iter().find(|(known, ..)| *known == kind);
    let (phrase, hint) = found.map_or(("fails", kind.policy().hint), |(_, phrase, hint)| (*phrase, *hint));
    Error::new(kind, format!("{BEGIN}{shown} {phrase}: {detail}")).hint(hint)
}
