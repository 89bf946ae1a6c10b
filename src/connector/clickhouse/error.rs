//! What ClickHouse reports, as errors of ours.
//!
//! The server's message of an error about data may quote cells: it is not passed on. What is said about such rows is our own words.

use std::{error::Error as StdError, io};

use clickhouse::error::Error as ClientError;

use crate::connector::error::{Error, ErrorKind};

/// The longest part of a server's message that is passed on.
const LONGEST: usize = 400;

/// `what` failed: `table "actions" of connection "analytics"`.
pub(super) fn failed(what: &str, error: ClientError) -> Error {
    match &error {
        ClientError::BadResponse(text) => match Told::parse(text) {
            Some(told) => told.error(what),
            None => strange(what, text),
        },
        ClientError::TimedOut => {
            Error::new(ErrorKind::Timeout, format!("{what}: the server did not answer in time"))
        }
        ClientError::Network(_) => of_connection(what, &error),
        ClientError::Decompression(_) => broken_off(what),
        _ => Error::new(ErrorKind::Internal, format!("{what}: {error}")),
    }
}

/// The error of an answer that has begun and holds this.
pub(super) fn failed_half_way(what: &str, text: &str) -> Error {
    Told::parse(text).map_or_else(|| broken_off(what), |told| told.error(what))
}

/// The error of an answer that ended before its end.
pub(super) fn broken_off(what: &str) -> Error {
    let message = format!("{what}: the answer broke off before its end");
    Error::new(ErrorKind::Unreachable, message).hint("see the server's log; it is tried again")
}

/// Whether no connection could be made, so that nothing can have happened.
pub(super) fn never_connected(error: &ClientError) -> bool {
    let ClientError::Network(inner) = error else { return false };
    inner
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// Whether the connection failed, however far it was.
pub(super) fn is_of_line(error: &ClientError) -> bool {
    matches!(error, ClientError::Network(_))
}

/// What a server says: `Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)`.
struct Told<'a> {
    code: u32,
    message: &'a str,
}

impl<'a> Told<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let rest = &text[text.find("Code: ")? + "Code: ".len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let code = rest[..digits].parse().ok()?;
        let message = rest[digits..].trim_start_matches(['.', ',', ' ']);
        // As old servers told it.
        let message = message.strip_prefix("e.displayText() = ").unwrap_or(message);
        let message = message.split(", e.what() = ").next().unwrap_or(message);
        let message = message.strip_prefix("DB::Exception:").unwrap_or(message).trim();
        let message = message.split(" (version ").next().unwrap_or(message);
        Some(Self { code, message })
    }

    fn error(&self, what: &str) -> Error {
        let (kind, text) = kind(self.code);
        let message = match text {
            Some(text) => format!("{what} {text}"),
            None => format!("{what}: {}", shortened(self.message)),
        };
        let error = Error::new(kind, format!("{message} (code {})", self.code));
        match hint(self.code) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The kind of an error, and what is said instead of the server's own words, where these may quote a cell.
fn kind(code: u32) -> (ErrorKind, Option<&'static str>) {
    match code {
        516 | 193 | 194 | 192 => (ErrorKind::Denied, Some("refuses the user or the password")),
        497 | 164 | 291 | 452 => (ErrorKind::Denied, None),
        60 | 81 | 218 | 511 => (ErrorKind::NotFound, None),
        16 | 47 | 8 | 10 | 122 => (ErrorKind::SchemaChanged, None),
        159 | 160 | 209 => (ErrorKind::Timeout, None),
        // Too many parts, queries at once or memory for now; a table that is locked, or whose files go while another drops it.
        252 | 202 | 241 | 473 | 439 | 692 | 107 => (ErrorKind::Busy, None),
        // Replicas that do not follow yet, or not enough of them; two that alter partitions at once.
        286 | 341 | 384 | 517 => (ErrorKind::Busy, None),
        225 | 285 | 289 | 319 => (ErrorKind::Unreachable, None),
        201 => (ErrorKind::Limit, None),
        158 | 307 | 396 | 161 | 190 | 191 | 162 | 167 => (ErrorKind::Limit, None),
        243 => (ErrorKind::Full, None),
        210 | 198 | 32 | 95 | 425 | 999 | 242 => (ErrorKind::Unreachable, None),
        321 | 69 | 407 => (ErrorKind::BadData, Some("has a column too narrow for a value")),
        349 | 53 | 70 => (ErrorKind::BadData, Some("has a column that does not take a value")),
        469 => (ErrorKind::BadData, Some("refuses a row by a constraint")),
        6 | 25 | 26 | 27 | 33 | 38 | 41 | 72 | 117 | 130 | 131 | 376 | 457 | 467 | 675 | 676 | 691 => {
            (ErrorKind::BadData, Some("does not read a value"))
        }
        40 | 246 | 228 => (ErrorKind::Corrupt, None),
        394 | 236 => (ErrorKind::Cancelled, None),
        48 | 344 | 36 | 43 | 62 | 46 | 44 | 115 => (ErrorKind::Unsupported, None),
        49 => (ErrorKind::Internal, Some("failed")),
        _ => (ErrorKind::Unsupported, None),
    }
}

fn hint(code: u32) -> Option<&'static str> {
    Some(match code {
        516 | 193 | 194 | 192 => "check `user` and `password`, and from where the user may come",
        497 => "GRANT the user this right",
        164 => {
            "this user may only read; to read, it must be allowed to change settings (readonly = 2), to write it needs a profile without `readonly`"
        }
        452 => "a constraint of the user's profile forbids a setting that Vitrina sends: lift it",
        60 => "check the table's name, and the user's right to see it",
        81 => "check `database`, or make it: CREATE DATABASE … ENGINE = Atomic",
        159 | 160 => "raise `statement_timeout`, or the server's max_execution_time",
        252 => {
            "the server merges parts slower than they come: it is tried again; make slices larger or `partition_by` coarser"
        }
        202 => "the server has too many queries at once: it is tried again",
        241 => {
            "the query needs more memory than the server or the user has: raise max_memory_usage, or make the slices smaller"
        }
        201 => "the user's quota is used up: wait for its interval to end, or raise it",
        285 | 286 | 289 | 319 | 341 => {
            "replicas are away or behind (system.replicas): it is tried again; one that is gone for good is taken out by SYSTEM DROP REPLICA"
        }
        225 => "the server has no Keeper, or does not reach it",
        243 => "free some space on the server; nothing was lost",
        _ => return None,
    })
}

fn shortened(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// An answer that is none of ClickHouse's.
pub(super) fn strange(what: &str, text: &str) -> Error {
    let page = text.trim_start().starts_with('<');
    let said = if page { "a web page".to_owned() } else { format!("\"{}\"", shortened(text)) };
    let message = format!("{what}: what answers is no ClickHouse: it says {said}");
    Error::new(ErrorKind::Unreachable, message)
        .hint("check `url`, and what stands between here and the server (a proxy, a load balancer)")
}

fn of_connection(what: &str, error: &ClientError) -> Error {
    if let Some(tls) = of_tls(error) {
        let message = format!("{what}: the TLS handshake failed: {tls}");
        return Error::new(ErrorKind::Denied, message).hint(
            "name the certificate of the server's authority in `ca_file`, and the name that the certificate has in `url`",
        );
    }
    let (mut cause, mut told) = (Some(error as &(dyn StdError + 'static)), String::new());
    while let Some(current) = cause {
        let text = current.to_string();
        if !told.contains(&text) {
            told = if told.is_empty() { text } else { format!("{told}: {text}") };
        }
        cause = current.source();
    }
    let late = told.contains("timed out") || told.contains("deadline");
    let kind = if late { ErrorKind::Timeout } else { ErrorKind::Unreachable };
    let error = Error::new(kind, format!("{what}: {told}"));
    if told.contains("dns") || told.contains("lookup") {
        return error.hint("check `url`: nobody knows this name");
    }
    error
}

/// The TLS failure that an error is about; one lies inside errors of input and output, which do not tell it as their source.
fn of_tls<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => of_tls(inner),
        None => error.source().and_then(of_tls),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Error {
        failed("table \"t\"", ClientError::BadResponse(text.to_owned()))
    }

    #[test]
    fn what_the_server_says() {
        let error = told(
            "Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 26.7.2.1 (official build))",
        );
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(error.to_string(), "table \"t\": Table a.b does not exist. (UNKNOWN_TABLE) (code 60)");
        let error =
            told("Code: 6. DB::Exception: Cannot parse string 'secret' as Int32. (CANNOT_PARSE_TEXT)");
        assert_eq!(
            (error.kind, error.to_string().as_str()),
            (ErrorKind::BadData, "table \"t\" does not read a value (code 6)")
        );
        for quoting in [
            "Code: 376. DB::Exception: Cannot parse uuid 'secret'. (CANNOT_PARSE_UUID)",
            "Code: 457. DB::Exception: Value 'secret' cannot be parsed as Int64 for query parameter 'v1'",
            "Code: 691. DB::Exception: Unknown element 'secret' for enum",
        ] {
            assert!(!told(quoting).to_string().contains("secret"), "{quoting}");
        }
        let row = failed_half_way("table \"t\"", "[\"secret\", 1");
        assert_eq!(row.kind, ErrorKind::Unreachable);
        assert!(!row.to_string().contains("secret"));
        assert_eq!(told("Code: 164").kind, ErrorKind::Denied);
        let error = told(
            "Code: 201. DB::Exception: Quota for user `shop` for 3600s has been exceeded: queries = 21/20. Interval will end at \
             2026-11-21 20:00:00. Name of quota template: `few`. (QUOTA_EXCEEDED) (version 26.7.2.1)",
        );
        assert_eq!(error.kind, ErrorKind::Limit);
        assert!(error.to_string().contains("Interval will end at 2026-11-21 20:00:00"), "{error}");
        assert!(error.advice().contains("wait for its interval to end"), "{}", error.advice());
        assert!(told("Code: 252. DB::Exception: Too many parts").kind.policy().retry);
        let dropped = "Code: 107. DB::ErrnoException: Cannot open file a.sql: , errno: 2, strerror: No such file or directory";
        assert!(told(dropped).kind.policy().retry);
        let error = told(
            "Code: 285. DB::Exception: Number of alive replicas (1) is less than requested quorum (2/3).",
        );
        assert!(
            error.kind.policy().retry && error.advice().contains("system.replicas"),
            "{}",
            error.advice()
        );
        // An old server that does not know a setting which is sent.
        let old = told(
            "Code: 115, e.displayText() = DB::Exception: Unknown setting async_insert, e.what() = DB::Exception\n",
        );
        assert_eq!(
            (old.kind, old.to_string().as_str()),
            (ErrorKind::Unsupported, "table \"t\": Unknown setting async_insert (code 115)")
        );
    }

    #[test]
    fn what_no_server_says() {
        let error = told("<html><body>502 Bad Gateway</body></html>");
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.to_string().ends_with("what answers is no ClickHouse: it says a web page"), "{error}");
    }
}
