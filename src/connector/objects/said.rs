//! What an object store answers, as errors of ours: what failed on which connection, of what kind, what to do. What an answer says besides stays
//! out of messages: it may quote keys and signatures.

use std::error::Error as StdError;

use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
    path::Path,
};

use super::super::{
    error::{Error as Ours, ErrorKind},
    store_said::spelled,
};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// To read an object.
    Read,
    /// To write one.
    Write,
    /// To list a folder.
    List,
    /// To remove objects.
    Remove,
}

impl Act {
    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
            Self::Remove => "remove",
        }
    }
}

/// An error of ours on its way through the library.
pub(super) fn wrapped(error: Ours) -> Error {
    Error::Generic { store: "object store", source: Box::new(error) }
}

/// The name was taken by somebody else.
pub(super) fn taken(path: &Path) -> Error {
    Error::AlreadyExists { path: path.to_string(), source: "others put it".into() }
}

/// The store does not refuse a conditional put of a name that is taken.
pub(super) fn unsafe_store(shown: &str) -> Error {
    let detail = "it writes over a name in spite of `If-None-Match: *`, so commits of two writers would overwrite each other";
    wrapped(spelled(shown, ErrorKind::Unsupported, detail).hint(
        "nothing was committed: use a store that keeps conditional puts (S3 itself, MinIO, Ceph 19 and later, R2, GCS, Azure), or a newer version of it",
    ))
}

/// What a store's client said. What tells of an object (that it is not there, that its name is taken) stays what it is.
pub(super) fn said(shown: &str, act: Act, path: &Path, error: Error) -> Error {
    if ours(&error).is_some() {
        return error;
    }
    let answer = Answer::of(&error);
    match error {
        Error::NotFound { path, .. } if !answer.no_bucket() => {
            Error::NotFound { path, source: "there is no such object".into() }
        }
        Error::AlreadyExists { path, .. } => Error::AlreadyExists { path, source: "others put it".into() },
        Error::Precondition { path, .. } => {
            Error::Precondition { path, source: "it is another one now".into() }
        }
        Error::NotModified { path, .. } => Error::NotModified { path, source: "it is the same".into() },
        Error::InvalidPath { source } => Error::InvalidPath { source },
        error => {
            let (kind, detail) = answer.judge(&error);
            let at = if path.as_ref().is_empty() { String::new() } else { format!(" `{path}`") };
            let detail = format!("{detail} (to {}{at})", act.verb());
            let told = spelled(shown, kind, &detail);
            wrapped(match answer.advice(kind) {
                Some(better) => told.hint(better),
                None => told,
            })
        }
    }
}

/// An error of ours that something else was made of.
fn ours(error: &Error) -> Option<&Ours> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |error: &&(dyn StdError + 'static)| StdError::source(*error))
}

/// What can be known of an answer: the client keeps its error types to itself, so its text is read.
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    /// The account of the machine was asked for, since no keys were given.
    by_role: bool,
    redirected: bool,
}

/// Where machines are asked who they are.
const ROLES: [&str; 3] = ["169.254.169.254", "metadata.google.internal", "169.254.170."];

impl Answer {
    fn of(error: &Error) -> Self {
        let text = error.to_string();
        let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
        let digits = |rest: &str| rest.get(..3).and_then(|digits| digits.parse().ok());
        let code = after("<Code>").and_then(|rest| rest.split_once("</Code>")).map(|(code, _)| code);
        let plain = |code: &&str| code.len() < 60 && code.chars().all(|c| c.is_ascii_alphanumeric());
        Self {
            status: after("status code: ").and_then(digits),
            code: code.filter(plain).map(str::to_owned),
            by_role: ROLES.iter().any(|place| text.contains(place)),
            redirected: text.contains("redirect without LOCATION"),
        }
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    fn no_bucket(&self) -> bool {
        matches!(self.code(), "NoSuchBucket" | "ContainerNotFound")
    }

    /// Whether the bucket lies in another region than requests are signed for.
    fn elsewhere(&self) -> bool {
        self.redirected
            || matches!(self.status, Some(301 | 307))
            || matches!(
                self.code(),
                "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect"
            )
    }

    fn judge(&self, error: &Error) -> (ErrorKind, String) {
        let shown = [self.status.map(|status| status.to_string()), self.code.clone()];
        let shown = shown.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if self.by_role {
            return (
                ErrorKind::Denied,
                "no keys are given, and this machine has no role of its own".to_owned(),
            );
        }
        if self.elsewhere() {
            return (ErrorKind::Unsupported, "the bucket is in another region".to_owned());
        }
        let kind = match (self.status, self.code()) {
            _ if self.no_bucket() => ErrorKind::NotFound,
            (_, "ExpiredToken" | "InvalidToken") | (Some(401 | 403), _) => ErrorKind::Denied,
            (_, "RequestTimeout" | "OperationTimedOut") | (Some(408 | 504), _) => ErrorKind::Timeout,
            (_, "SlowDown" | "ServerBusy") | (Some(429 | 503), _) => ErrorKind::Busy,
            (Some(404), _) => ErrorKind::NotFound,
            (Some(501), _) => ErrorKind::Unsupported,
            (Some(500..), _) => ErrorKind::Unreachable,
            (Some(_), _) => ErrorKind::Unsupported,
            (None, _) => return unanswered(error),
        };
        (kind, shown)
    }

    /// What to do, where the answer tells more than its kind.
    fn advice(&self, kind: ErrorKind) -> Option<&'static str> {
        Some(match (kind, self.code()) {
            (ErrorKind::Denied, _) if self.by_role => {
                "give the connection keys: `access_key_id` and `secret_access_key`, `service_account`, or `account_key`"
            }
            (ErrorKind::Denied, "ExpiredToken") => "the token's time is over: get another one",
            (ErrorKind::Denied, "RequestTimeTooSkewed") => "set this machine's clock",
            (
                ErrorKind::Denied,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "AuthenticationFailed"
                | "AuthorizationFailure"
                | "InvalidAuthenticationInfo",
            ) => "check the connection's keys: the store does not know them",
            (ErrorKind::Unsupported, _) if self.elsewhere() => "set `region` to the bucket's own",
            _ => return None,
        })
    }
}

/// A request without an answer.
fn unanswered(error: &Error) -> (ErrorKind, String) {
    let Some(http) = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()) else {
        // Nothing was sent: the client could not be made of what it was given, or the disk failed.
        return (ErrorKind::Io, "its client failed".to_owned());
    };
    let kind = match http.kind() {
        HttpErrorKind::Timeout => ErrorKind::Timeout,
        _ => ErrorKind::Unreachable,
    };
    let mut root: &dyn StdError = http;
    while let Some(cause) = root.source() {
        root = cause;
    }
    (kind, root.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::store_said::quoted;

    const SHOWN: &str = "s3://b/lake of connection `w`";

    /// An answer as the client tells it.
    fn answered(status: &str, body: &str) -> Error {
        let text = format!(
            "Error performing PUT http://127.0.0.1:1/b/lake/x in 2ms - Server returned non-2xx status code: {status}: {body}"
        );
        Error::Generic { store: "S3", source: text.into() }
    }

    fn told(error: Error) -> (ErrorKind, String, String) {
        let error = said(SHOWN, Act::Write, &Path::from("t/_delta_log/1.json"), error);
        let found = ours(&error).expect("an error of ours");
        let again = quoted(&format!("Kernel error: {error}\nbacktrace")).expect("told by its text");
        assert_eq!(
            (again.kind, &again.message),
            (found.kind, &found.message),
            "the text alone tells the kind"
        );
        (found.kind, found.message.clone(), found.advice().to_owned())
    }

    #[test]
    fn what_stores_answer() {
        let body = |code: &str| {
            format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>"
            )
        };
        let (kind, message, hint) = told(answered("403 Forbidden", &body("SignatureDoesNotMatch")));
        assert_eq!(kind, ErrorKind::Denied);
        assert_eq!(
            message,
            "object store s3://b/lake of connection `w` refuses: 403 SignatureDoesNotMatch (to write `t/_delta_log/1.json`)"
        );
        assert_eq!(hint, "check the connection's keys: the store does not know them");
        for (status, code, expected) in [
            ("403 Forbidden", "AccessDenied", ErrorKind::Denied),
            ("400 Bad Request", "ExpiredToken", ErrorKind::Denied),
            ("404 Not Found", "NoSuchBucket", ErrorKind::NotFound),
            ("503 Service Unavailable", "SlowDown", ErrorKind::Busy),
            ("429 Too Many Requests", "", ErrorKind::Busy),
            ("500 Internal Server Error", "InternalError", ErrorKind::Unreachable),
            ("400 Bad Request", "RequestTimeout", ErrorKind::Timeout),
            ("400 Bad Request", "AuthorizationHeaderMalformed", ErrorKind::Unsupported),
            ("301 Moved Permanently", "PermanentRedirect", ErrorKind::Unsupported),
            ("501 Not Implemented", "NotImplemented", ErrorKind::Unsupported),
            ("200 OK?", "Лишнее <x>", ErrorKind::Unsupported),
        ] {
            let (kind, message, _) = told(answered(status, &body(code)));
            assert_eq!(kind, expected, "{status} {code}: {message}");
            assert!(!message.contains("AKIASECRET") && !message.contains('<'), "{message}");
        }
    }

    #[test]
    fn what_is_told_of_an_object_stays() {
        let source = || "<Code>NoSuchKey</Code> AKIASECRET".into();
        let path = Path::from("x");
        let error = said(SHOWN, Act::Read, &path, Error::NotFound { path: "x".into(), source: source() });
        assert!(matches!(&error, Error::NotFound { .. }) && !error.to_string().contains("AKIA"), "{error}");
        let source = "status code: 404 Not Found: <Code>NoSuchBucket</Code>".into();
        let error = said(SHOWN, Act::Read, &path, Error::NotFound { path: "x".into(), source });
        assert_eq!(ours(&error).unwrap().kind, ErrorKind::NotFound);
    }

    #[test]
    fn machines_without_a_role() {
        let text = "Error performing GET http://169.254.169.254/latest/meta-data in 1s - HTTP error: connect";
        let (kind, message, hint) = told(Error::Generic { store: "S3", source: text.into() });
        assert_eq!(kind, ErrorKind::Denied);
        assert!(message.contains("no keys are given") && hint.contains("access_key_id"), "{message} {hint}");
    }
}
