//! Where in an object store a connection lies, and which keys go with which store. Pure: `check` says what does not.

use super::config::{Addressing, Config};
use crate::connector::misfit::Misfit;

/// An object store, by who speaks its language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// Amazon S3 and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Azure,
}

impl Kind {
    const ALL: [Self; 3] = [Self::S3, Self::Gs, Self::Azure];

    /// As a path begins.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Azure => "az",
        }
    }

    /// For people.
    pub(in super::super) fn shown(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Gs => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
        }
    }

    /// The keys that only its connections have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["region", "addressing", "access_key_id", "secret_access_key", "session_token"],
            Self::Gs => &["service_account"],
            Self::Azure => &["account", "account_key", "sas"],
        }
    }

    /// Its key that comes nearest to one of another store.
    fn counterpart(self, key: &str) -> Option<&'static str> {
        Some(match (self, key) {
            (Self::S3, "account") => "access_key_id",
            (Self::S3, "account_key" | "service_account") => "secret_access_key",
            (Self::S3, "sas") => "session_token",
            (Self::Gs, "access_key_id" | "secret_access_key" | "account" | "account_key") => {
                "service_account"
            }
            (Self::Azure, "access_key_id") => "account",
            (Self::Azure, "secret_access_key" | "service_account") => "account_key",
            (Self::Azure, "session_token") => "sas",
            _ => return None,
        })
    }
}

/// The keys of any object store.
const COMMON: [&str; 4] = ["endpoint", "allow_http", "ca_file", "request_timeout"];

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Address {
    /// What speaks there.
    pub(in super::super) kind: Kind,
    /// The bucket, or container.
    pub(super) bucket: String,
    /// The folder in it, without slashes around it; empty = the bucket itself.
    pub(super) prefix: String,
}

impl Address {
    /// The place that a path names; `None` = a folder of the local file system.
    pub(in super::super) fn parse(path: &str) -> Result<Option<Self>, Misfit> {
        let wrong = |message: String, hint: &str| {
            Err(Misfit { key: Some("path"), code: "bad-path", message, hint: hint.to_owned() })
        };
        let Some((scheme, place)) = path.split_once("://") else { return Ok(None) };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.scheme() == scheme) else {
            let hint = match scheme {
                "s3a" | "s3n" => "did you mean `s3://`?",
                "gcs" => "did you mean `gs://`?",
                "abfs" | "abfss" | "azure" | "adl" | "wasb" | "wasbs" => {
                    "did you mean `az://container/prefix`, with `account`?"
                }
                _ => "expected `s3://`, `gs://`, `az://` or a folder",
            };
            return wrong(format!("no object store is named `{scheme}://`"), hint);
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() {
            let example = format!("write it as `{scheme}://bucket/prefix`");
            return wrong("it names no bucket".to_owned(), &example);
        }
        if !bucket.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
            let hint = "the server's address is `endpoint`, keys are keys of their own";
            return wrong(format!("`{bucket}` is no name of a bucket"), hint);
        }
        let odd = |part: &str| matches!(part, "" | "." | "..") || part.chars().any(|c| c.is_ascii_control());
        if !prefix.is_empty() && prefix.split('/').any(odd) {
            return wrong(format!("`{prefix}` is no folder of a bucket"), "leave `.`, `..` and `//` out");
        }
        Ok(Some(Self { kind, bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }

    /// As users write it.
    pub(in super::super) fn shown(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}://{}{slash}{}", self.kind.scheme(), self.bucket, self.prefix)
    }
}

/// What of a connection's keys does not go together.
pub(in super::super) fn misfits(config: &Config) -> Vec<Misfit> {
    let address = match Address::parse(&config.path) {
        Ok(address) => address,
        Err(wrong) => return vec![wrong],
    };
    let kind = address.map(|address| address.kind);
    let mut found: Vec<Misfit> = written(config).into_iter().filter_map(|key| misplaced(kind, key)).collect();
    found.extend(endpoint(config));
    match kind {
        Some(Kind::S3) => found.extend(s3(config)),
        Some(Kind::Azure) => found.extend(azure(config)),
        Some(Kind::Gs) | None => {}
    }
    found
}

/// The keys beside `path` that are written.
fn written(config: &Config) -> Vec<&'static str> {
    let keys = [
        ("endpoint", config.endpoint.is_some()),
        ("allow_http", config.allow_http),
        ("ca_file", config.ca_file.is_some()),
        ("request_timeout", config.request_timeout.is_some()),
        ("region", config.region.is_some()),
        ("addressing", config.addressing.is_some()),
        ("access_key_id", config.access_key_id.is_some()),
        ("secret_access_key", config.secret_access_key.is_some()),
        ("session_token", config.session_token.is_some()),
        ("service_account", config.service_account.is_some()),
        ("account", config.account.is_some()),
        ("account_key", config.account_key.is_some()),
        ("sas", config.sas.is_some()),
    ];
    keys.into_iter().filter(|(_, is_written)| *is_written).map(|(key, _)| key).collect()
}

fn misplaced(kind: Option<Kind>, key: &'static str) -> Option<Misfit> {
    let (message, hint) = match kind {
        None => (
            format!("`{key}` is a key of object stores, and `path` is a folder"),
            "leave it out, or name a bucket: `path = \"s3://bucket/prefix\"`".to_owned(),
        ),
        Some(kind) if COMMON.contains(&key) || kind.keys().contains(&key) => return None,
        Some(kind) => {
            let owner = Kind::ALL.into_iter().find(|other| other.keys().contains(&key))?;
            let hint = match kind.counterpart(key) {
                Some(own) => format!("did you mean `{own}`?"),
                None => "leave it out".to_owned(),
            };
            (format!("`{key}` is a key of {}, and `path` is in {}", owner.shown(), kind.shown()), hint)
        }
    };
    Some(Misfit { key: Some(key), code: "misplaced-key", message, hint })
}

fn endpoint(config: &Config) -> Option<Misfit> {
    let endpoint = config.endpoint.as_deref()?;
    let wrong = |code, message: &str, hint: &str| {
        Some(Misfit { key: Some("endpoint"), code, message: message.to_owned(), hint: hint.to_owned() })
    };
    let host = match endpoint.split_once("://") {
        Some(("https" | "http", host)) => host.trim_end_matches('/'),
        _ => {
            let hint = "write it as `https://host:port`";
            return wrong("bad-url", "`endpoint` is no address of a server", hint);
        }
    };
    if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
        let hint = "write it as `https://host:port`; keys are keys of their own";
        return wrong("bad-url", "`endpoint` is no address of a server", hint);
    }
    if endpoint.starts_with("http://") && !config.allow_http {
        let hint = "write `https://`; where the way there is safe, `allow_http = true`";
        return wrong("plain-http", "`endpoint` would be spoken to without TLS", hint);
    }
    None
}

fn missing(key: &str, why: &str) -> Misfit {
    let (message, hint) = (format!("it needs `{key}`{why}"), format!("add `{key} = {{ env = \"…\" }}`"));
    Misfit { key: None, code: "missing-key", message, hint }
}

fn s3(config: &Config) -> Vec<Misfit> {
    let mut found = vec![];
    match (&config.access_key_id, &config.secret_access_key) {
        (Some(_), None) => found.push(missing("secret_access_key", ", since it has `access_key_id`")),
        (None, Some(_)) => found.push(missing("access_key_id", ", since it has `secret_access_key`")),
        (None, None) if config.session_token.is_some() => {
            found.push(missing("access_key_id", ", since it has `session_token`"));
        }
        _ => {}
    }
    found
}

fn azure(config: &Config) -> Vec<Misfit> {
    let mut found = vec![];
    if config.account.is_none() {
        let hint = "add `account = \"…\"`, the storage account's name".to_owned();
        found.push(Misfit { hint, ..missing("account", "") });
    }
    if config.account_key.is_some() && config.sas.is_some() {
        let message = "it has both `account_key` and `sas`".to_owned();
        let hint = "leave one of them out".to_owned();
        found.push(Misfit { key: Some("sas"), code: "conflicting-keys", message, hint });
    }
    found
}

/// The server's address as its client wants it: with the bucket in the host, where that is how buckets are named.
pub(super) fn s3_endpoint(endpoint: &str, bucket: &str, addressing: Addressing) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match (addressing, endpoint.split_once("://")) {
        (Addressing::VirtualHost, Some((scheme, host))) => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    fn secret() -> Option<Secret> {
        Some(Secret::Env { name: "X".to_owned(), default: None })
    }

    /// Key and message of what does not fit, and the hint.
    fn told(config: &Config) -> Vec<String> {
        let line =
            |m: Misfit| format!("{} {}: {} ({})", m.key.unwrap_or_default(), m.code, m.message, m.hint);
        misfits(config).into_iter().map(line).collect()
    }

    fn at(path: &str) -> Config {
        Config { path: path.to_owned(), ..Config::default() }
    }

    #[test]
    fn places_in_buckets() {
        let place = |path: &str| Address::parse(path).unwrap().map(|found| (found.kind, found.shown()));
        assert_eq!(place("data/warehouse"), None);
        assert_eq!(place("s3://b"), Some((Kind::S3, "s3://b".to_owned())));
        assert_eq!(place("gs://b/"), Some((Kind::Gs, "gs://b".to_owned())));
        assert_eq!(place("az://b-1/склад/x/"), Some((Kind::Azure, "az://b-1/склад/x".to_owned())));
        for wrong in
            ["s3://", "s3:///x", "S3://b", "s3a://b", "abfss://b", "http://b", "s3://u:p@b", "s3://b/../x"]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_of_another_store() {
        let config = Config {
            account_key: secret(),
            service_account: secret(),
            region: Some("ru".to_owned()),
            ..at("s3://b")
        };
        assert_eq!(
            told(&config),
            [
                "service_account misplaced-key: `service_account` is a key of Google Cloud Storage, and `path` is in S3 (did you mean `secret_access_key`?)",
                "account_key misplaced-key: `account_key` is a key of Azure Blob Storage, and `path` is in S3 (did you mean `secret_access_key`?)",
            ]
        );
        let config = Config { path: "az://b".to_owned(), account: Some("a".to_owned()), ..config };
        assert_eq!(told(&config).len(), 2, "region and service_account");
        assert_eq!(
            told(&Config { region: Some("ru".to_owned()), ..at("data") }),
            [
                "region misplaced-key: `region` is a key of object stores, and `path` is a folder (leave it out, or name a bucket: `path = \"s3://bucket/prefix\"`)"
            ]
        );
    }

    #[test]
    fn keys_that_belong_together() {
        assert_eq!(told(&at("s3://b")), [""; 0], "the machine's role");
        assert_eq!(told(&Config { secret_access_key: secret(), ..at("s3://b") }).len(), 1);
        assert_eq!(told(&Config { session_token: secret(), ..at("s3://b") }).len(), 1);
        let whole = Config { access_key_id: secret(), secret_access_key: secret(), ..at("s3://b") };
        assert_eq!(told(&whole), [""; 0]);
        assert_eq!(
            told(&at("az://b"))[0],
            " missing-key: it needs `account` (add `account = \"…\"`, the storage account's name)"
        );
        let both =
            Config { account: Some("a".to_owned()), account_key: secret(), sas: secret(), ..at("az://b") };
        assert_eq!(
            told(&both),
            ["sas conflicting-keys: it has both `account_key` and `sas` (leave one of them out)"]
        );
        assert_eq!(told(&Config { service_account: secret(), ..at("gs://b") }), [""; 0]);
    }

    #[test]
    fn endpoints() {
        let with = |endpoint: &str| Config { endpoint: Some(endpoint.to_owned()), ..at("s3://b") };
        assert_eq!(told(&with("https://minio:9000")), [""; 0]);
        assert!(told(&with("http://minio:9000"))[0].starts_with("endpoint plain-http"));
        assert_eq!(told(&Config { allow_http: true, ..with("http://minio:9000") }), [""; 0]);
        for wrong in ["minio:9000", "ftp://minio", "https://", "https://key@minio"] {
            assert!(told(&with(wrong))[0].starts_with("endpoint bad-url"), "{wrong}");
        }
        assert_eq!(s3_endpoint("http://h:1/", "b", Addressing::Path), "http://h:1");
        assert_eq!(s3_endpoint("http://h:1", "b", Addressing::VirtualHost), "http://b.h:1");
    }
}
