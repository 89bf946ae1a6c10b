//! What PostgreSQL reports, as errors of ours.
//!
//! A server's DETAIL, and the message of an error about data, quote cells: neither is passed on. What is said about such rows is
//! our own words and the names of column and constraint.

use std::{error::Error as StdError, io};

use rustls::CertificateError;
use tokio_postgres::error::{DbError, SqlState};

use crate::connector::error::{Error, ErrorKind};

/// `what` failed: `table "actions" of connection "warehouse"`.
pub(crate) fn failed(what: &str, error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(told) => of_server(what, told),
        None => of_connection(what, &error),
    }
}

fn of_server(what: &str, told: &DbError) -> Error {
    let (kind, text) = kind(told);
    let mut message = match text {
        Some(text) => format!("{what} {text}"),
        None => format!("{what}: {}", told.message()),
    };
    if text.is_some() {
        let names = [("column", told.column()), ("constraint", told.constraint())];
        for (of, name) in names {
            if let Some(name) = name {
                message = format!("{message}: {of} \"{name}\"");
            }
        }
    }
    let error = Error::new(kind, format!("{message} (SQLSTATE {})", told.code().code()));
    match hint(told) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The kind of an error, and what is said instead of the server's own words, where these may quote a cell.
fn kind(told: &DbError) -> (ErrorKind, Option<&'static str>) {
    let code = told.code();
    match (code.code(), code.code().get(..2).unwrap_or_default()) {
        ("28P01" | "28000", _) => (ErrorKind::Denied, None),
        ("3D000" | "3F000" | "42P01" | "42704", _) => (ErrorKind::NotFound, None),
        ("42501" | "25006", _) => (ErrorKind::Denied, None),
        ("42703" | "42804", _) => (ErrorKind::SchemaChanged, None),
        ("40001" | "40P01" | "55P03" | "55006" | "53300", _) => (ErrorKind::Busy, None),
        ("57014", _) if told.message().contains("timeout") => (ErrorKind::Timeout, None),
        ("57014", _) => (ErrorKind::Cancelled, None),
        ("53100", _) => (ErrorKind::Full, None),
        ("57P01" | "57P02" | "57P03" | "57P05", _) | (_, "08") => (ErrorKind::Unreachable, None),
        ("22001", _) => (ErrorKind::BadData, Some("has a column too narrow for a text")),
        ("22003", _) => (ErrorKind::BadData, Some("has a column too narrow for a number")),
        ("22021" | "22P05", _) => {
            (ErrorKind::BadData, Some("cannot keep a text: it has a NUL or what is no UTF-8"))
        }
        ("23502", _) => (ErrorKind::BadData, Some("takes no NULL")),
        ("23505" | "23P01", _) => (ErrorKind::BadData, Some("has such a row already")),
        ("23503", _) => (ErrorKind::BadData, Some("misses the row that a foreign key names")),
        ("23514", _) => (ErrorKind::BadData, Some("refuses a row by a check")),
        (_, "22" | "23" | "P0" | "44") => (ErrorKind::BadData, Some("refuses a row")),
        (_, "53" | "54") => (ErrorKind::Limit, None),
        (_, "58") => (ErrorKind::Io, None),
        (_, "XX") => (ErrorKind::Corrupt, None),
        (_, "0A") => (ErrorKind::Unsupported, None),
        (_, "42") => (ErrorKind::Unsupported, None),
        _ => (ErrorKind::Internal, Some("failed")),
    }
}

fn hint(told: &DbError) -> Option<String> {
    let code = told.code();
    Some(match code.code() {
        "28P01" => "check `user` and `password`".to_owned(),
        "28000" => "check `user`, `sslmode` and the server's pg_hba.conf".to_owned(),
        "3D000" => "check `database`, or make it: CREATE DATABASE".to_owned(),
        "3F000" => "check `schema`, or make it: CREATE SCHEMA".to_owned(),
        "42501" => grant(told.message()),
        "25006" => "this server is a standby: give the primary's name as `host`".to_owned(),
        "55P03" => "another session holds the table: see pg_locks; it is tried again".to_owned(),
        "53100" => "free some space on the server; nothing was lost".to_owned(),
        "53300" => "raise the server's max_connections, or lower `parallel`".to_owned(),
        "22001" | "22003" => "widen the column, or make its rows narrower in the SQL".to_owned(),
        "22021" | "22P05" => "take the NUL out in the SQL: replace(column, chr(0), '')".to_owned(),
        "23505" => "use mode merge with this key, or take the doubled rows out".to_owned(),
        _ if *code == SqlState::QUERY_CANCELED => "raise `statement_timeout`".to_owned(),
        _ => return None,
    })
}

/// The right that is missing, by what the server says of it: `permission denied for schema crm`.
fn grant(message: &str) -> String {
    let object = message.strip_prefix("permission denied for ").unwrap_or_default();
    match object.split_once(' ') {
        Some(("table" | "view" | "relation", name)) => {
            format!(
                "to read: GRANT SELECT ON {name}; to write: GRANT SELECT, INSERT, UPDATE, DELETE ON {name}"
            )
        }
        Some(("schema", name)) => {
            format!("to use it: GRANT USAGE ON SCHEMA {name}; to make tables: GRANT CREATE ON SCHEMA {name}")
        }
        Some(("database", name)) => format!("GRANT CONNECT, TEMPORARY ON DATABASE {name}"),
        _ if message.starts_with("permission denied to create temporary tables") => {
            "GRANT TEMPORARY ON DATABASE".to_owned()
        }
        _ if message.starts_with("must be owner") => {
            "make the user its owner: ALTER TABLE … OWNER TO".to_owned()
        }
        _ => "grant the user this right".to_owned(),
    }
}

fn of_connection(what: &str, error: &tokio_postgres::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let (mut io_kind, mut told) = (None, error.to_string());
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref::<rustls::Error>() {
            return of_tls(what, found);
        }
        if let Some(found) = current.downcast_ref::<io::Error>() {
            io_kind = Some(found.kind());
            if let Some(inner) = found.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return of_tls(what, inner);
            }
        }
        let text = current.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = current.source();
    }
    let kind = match io_kind {
        Some(io::ErrorKind::TimedOut) => ErrorKind::Timeout,
        _ if told.contains("timed out") || told.contains("timeout") => ErrorKind::Timeout,
        _ if told.contains("does not support TLS") => ErrorKind::Denied,
        _ if told.contains("password missing") => ErrorKind::Denied,
        _ => ErrorKind::Unreachable,
    };
    let error = Error::new(kind, format!("{what}: {told}"));
    match kind {
        ErrorKind::Denied if told.contains("TLS") => {
            error.hint("turn TLS on in the server (`ssl = on`), or choose another `sslmode`")
        }
        ErrorKind::Denied => error.hint("give `password`"),
        ErrorKind::Unreachable if told.contains("lookup") => {
            error.hint("check `host`: nobody knows this name")
        }
        _ => error,
    }
}

fn of_tls(what: &str, error: &rustls::Error) -> Error {
    let (why, hint) = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                "the server's certificate has expired",
                "renew the server's certificate, or check this machine's clock",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
                "the server's certificate is for another name",
                "give a name that the certificate has as `host`, or use sslmode = \"verify-ca\"",
            ),
            CertificateError::UnknownIssuer => (
                "nobody who is trusted vouches for the server's certificate",
                "name the certificate of the server's authority in `ca_file`",
            ),
            _ => ("the server's certificate is not valid", "renew the server's certificate"),
        },
        rustls::Error::AlertReceived(_) => (
            "the server broke off the TLS handshake",
            "check `cert_file` and `key_file`, and the server's log",
        ),
        _ => ("TLS failed", "check that the server speaks TLS 1.2 or later"),
    };
    Error::new(ErrorKind::Denied, format!("{what}: {why}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_that_mends_it() {
        assert!(grant("permission denied for table orders").contains("GRANT SELECT ON orders"));
        assert!(grant("permission denied for schema crm").contains("GRANT USAGE ON SCHEMA crm"));
        assert!(
            grant("permission denied to create temporary tables in database \"x\"").contains("TEMPORARY")
        );
        assert!(grant("must be owner of table t").contains("OWNER TO"));
    }
}
