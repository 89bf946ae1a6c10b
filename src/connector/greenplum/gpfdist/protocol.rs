//! The protocol by which segments fetch and bring rows: what they ask, and the bytes that they are answered. Pure.
//!
//! To fetch rows (version 1) a segment sends one `GET` a connection. The answer is a head and frames: a type byte, a length of four bytes (big-endian), and so many
//! bytes. `D` is data, rows in lines; a `D` of no length is the end, without which the query fails; `E` is an error that ends the query with its text.
//!
//! To bring rows (version 0) it sends `POST`s, one after another, each with a number: the first one opens, without rows; one whose answer was not heard comes again; the
//! last one, without rows, says that it is.

use std::collections::HashMap;

/// Bytes of a request's head, at most.
pub(super) const LONGEST_HEAD: usize = 16 << 10;

/// Which scan of which statement asks: all its segments share one cursor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scan {
    transaction: String,
    command: String,
    scan: String,
}

/// What a segment asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Of the external table's location, with its slash.
    pub(super) path: String,
    pub(super) scan: Scan,
    pub(super) want: Want,
}

/// What a segment is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// To fetch rows.
    Rows,
    /// To bring some.
    Bring(Message),
}

/// A message with rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) segment: u32,
    /// From 1, of this segment.
    pub(super) sequence: u64,
    /// Whether the segment is done.
    pub(super) last: bool,
    /// Bytes of its rows.
    pub(super) length: usize,
    /// Whether the segment waits to be told to go on before it sends them.
    pub(super) waits: bool,
}

/// A request that is not answered with rows: an HTTP status and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

impl Request {
    /// Reads a head, without the empty line at its end.
    pub(super) fn parse(head: &str) -> Result<Self, Refusal> {
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let brings = match method {
            Some("GET") if path.starts_with('/') => false,
            Some("POST") if path.starts_with('/') => true,
            _ => return Err(STRANGER),
        };
        let told: HashMap<String, &str> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_uppercase(), value.trim()))
            .collect();
        let told = |name: &str| told.get(name).copied().filter(|value| !value.is_empty());
        if told("X-GP-PROTO") != Some(if brings { "0" } else { "1" }) {
            return Err(Refusal(
                400,
                "rows are fetched by version 1 of the protocol, and brought by version 0",
            ));
        }
        let own = |name: &str| told(name).map(str::to_owned).ok_or(STRANGER);
        let scan = Scan { transaction: own("X-GP-XID")?, command: own("X-GP-CID")?, scan: own("X-GP-SN")? };
        let want = if brings { Want::Bring(Message::parse(told)?) } else { Want::Rows };
        Ok(Self { path: path.to_owned(), scan, want })
    }
}

impl Message {
    fn parse<'a>(told: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Refusal> {
        let last = told("X-GP-DONE").is_some();
        let sequence = told("X-GP-SEQ").and_then(|number| number.parse().ok());
        Ok(Self {
            segment: told("X-GP-SEGMENT-ID").and_then(|number| number.parse().ok()).ok_or(STRANGER)?,
            sequence: if last { sequence.unwrap_or_default() } else { sequence.ok_or(STRANGER)? },
            last,
            length: told("CONTENT-LENGTH").map_or(Ok(0), str::parse).map_err(|_| STRANGER)?,
            waits: told("EXPECT").is_some_and(|what| what.eq_ignore_ascii_case("100-continue")),
        })
    }
}

/// What everybody else is told.
const STRANGER: Refusal = Refusal(400, "this is no request of a segment");

/// Tells a segment to send its rows.
pub(super) const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The answer to a message that was taken.
pub(super) const TAKEN: &[u8] =
    b"HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nContent-length: 0\r\nExpires: 0\r\n\
X-GPFDIST-VERSION: vitrina\r\nX-GP-PROTO: 0\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";

/// What frames follow. Segments look for `X-GP-PROTO` in these very letters.
pub(super) const ROWS: &[u8] =
    b"HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nExpires: 0\r\nX-GPFDIST-VERSION: vitrina\r\n\
X-GP-PROTO: 1\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";

/// The answer to a segment that comes when everything was given: no frames, and no word of a version.
pub(super) const NOTHING: &[u8] =
    b"HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nContent-length: 0\r\nExpires: 0\r\n\
X-GPFDIST-VERSION: vitrina\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";

/// The frame behind which nothing comes.
pub(super) const END: &[u8] = b"D\0\0\0\0";

/// What stands before a block of rows.
pub(super) fn data(length: usize) -> [u8; 5] {
    frame(b'D', length)
}

/// The frame that ends the query with this text.
pub(super) fn error(text: &str) -> Vec<u8> {
    [&frame(b'E', text.len())[..], text.as_bytes()].concat()
}

/// The answer to what is refused.
pub(super) fn refusal(Refusal(status, why): Refusal) -> String {
    format!("HTTP/1.0 {status} {why}\r\nContent-length: 0\r\nConnection: close\r\n\r\n")
}

fn frame(kind: u8, length: usize) -> [u8; 5] {
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [kind, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /rows HTTP/1.1\r\nHost: etl:8080\r\nAccept: */*\r\nX-GP-XID: 1700000000-0000000123\r\nX-GP-CID: 0\r\n\
                        X-GP-SN: 0\r\nX-GP-SEGMENT-ID: 3\r\nX-GP-SEGMENT-COUNT: 16\r\nX-GP-PROTO: 1\r\n";

    const BROUGHT: &str = "POST /rows HTTP/1.1\r\nHost: etl:8080\r\nAccept: */*\r\nX-GP-XID: 1700000000-0000000123\r\nX-GP-CID: 0\r\nX-GP-SN: 0\r\n\
                           X-GP-SEGMENT-ID: 3\r\nX-GP-SEGMENT-COUNT: 16\r\nX-GP-PROTO: 0\r\nX-GP-SEQ: 2\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n";

    #[test]
    fn messages_are_understood() {
        let want = |head: &str| Request::parse(head).unwrap().want;
        let message = Message { segment: 3, sequence: 2, length: 9, ..Message::default() };
        assert_eq!(want(BROUGHT), Want::Bring(message.clone()));
        let waits = format!("{BROUGHT}Expect: 100-continue\r\n");
        assert_eq!(want(&waits), Want::Bring(Message { waits: true, ..message.clone() }));
        let last = format!("{BROUGHT}X-GP-DONE: 1\r\n");
        assert_eq!(want(&last), Want::Bring(Message { last: true, ..message }));
        assert_eq!(want(HEAD), Want::Rows);
        assert!(std::str::from_utf8(TAKEN).unwrap().starts_with("HTTP/1.0 200 ok\r\n"));
    }

    #[test]
    fn segments_are_understood() {
        let request = Request::parse(HEAD).unwrap();
        assert_eq!(request.path, "/rows");
        assert_eq!(request, Request::parse(&HEAD.replace("SEGMENT-ID: 3", "SEGMENT-ID: 4")).unwrap());
        assert_ne!(request.scan, Request::parse(&HEAD.replace("X-GP-SN: 0", "X-GP-SN: 1")).unwrap().scan);
        assert_eq!(
            request.scan,
            Request::parse(&HEAD.to_lowercase().replace("get /", "GET /")).unwrap().scan
        );
    }

    #[test]
    fn others_are_refused() {
        for (head, status) in [
            (HEAD.replace("PROTO: 1", "PROTO: 0"), 400),
            (HEAD.replace("X-GP-XID", "X-XID"), 400),
            (HEAD.replace("GET", "PUT"), 400),
            (HEAD.replace("GET", "POST"), 400),
            (BROUGHT.replace("X-GP-SEGMENT-ID", "X-SEGMENT"), 400),
            (BROUGHT.replace("X-GP-SEQ: 2", "X-GP-SEQ: two"), 400),
            (HEAD.replace("GET /rows", "GET rows"), 400),
            (String::new(), 400),
            ("GET / HTTP/1.1".to_owned(), 400),
        ] {
            assert_eq!(Request::parse(&head).unwrap_err().0, status, "{head}");
        }
    }

    #[test]
    fn answers_are_these_bytes() {
        assert_eq!(data(0x0102_0304), *b"D\x01\x02\x03\x04");
        assert_eq!(data(0), *END);
        assert_eq!(error("no"), b"E\0\0\0\x02no");
        let rows = std::str::from_utf8(ROWS).unwrap();
        assert!(rows.starts_with("HTTP/1.0 200 ok\r\n") && rows.contains("\r\nX-GP-PROTO: 1\r\n"), "{rows}");
        assert!(rows.ends_with("\r\n\r\n") && rows.lines().all(|line| line.trim() == line), "{rows}");
        assert!(!std::str::from_utf8(NOTHING).unwrap().contains("X-GP-PROTO"));
        assert_eq!(
            refusal(Refusal(404, "x")),
            "HTTP/1.0 404 x\r\nContent-length: 0\r\nConnection: close\r\n\r\n"
        );
    }
}
