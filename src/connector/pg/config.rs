//! What users write about connections of every such server.

use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio_postgres::config::{Config as Login, Host};

use crate::model::time::Span;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Not at all.
    Disable,
    /// By TLS if the server has it; the server may be anybody.
    #[default]
    Prefer,
    /// By TLS; the server may be anybody, unless `ca_file` is given.
    Require,
    /// By TLS, to a server whose certificate is vouched for.
    VerifyCa,
    /// By TLS, to a server whose certificate is vouched for and names `host`.
    VerifyFull,
}

/// Where a server's database is, as one text: `postgres://user@host:5432/database`. Without a password, which is a secret of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
}

impl Url {
    /// The schemes that it begins with.
    const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

    /// Whether the database is in it.
    pub fn names_database(&self) -> bool {
        self.database.is_some()
    }

    /// Whether the user is in it.
    pub fn names_user(&self) -> bool {
        self.user.is_some()
    }
}

impl FromStr for Url {
    type Err = String;

    /// What fails is told without the text, in which there may be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected \"postgres://user@host:5432/database\"".to_owned();
        if !Self::SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(expected());
        }
        let login: Login = text.parse().map_err(|_| expected())?;
        if login.get_password().is_some() {
            return Err(
                "take the password out, and write it as a secret: password = { env = \"PGPASSWORD\" }"
                    .to_owned(),
            );
        }
        if text.contains('?') {
            return Err(
                "write what follows the `?` as keys of the connection: sslmode = \"verify-full\"".to_owned()
            );
        }
        let host = match login.get_hosts() {
            [Host::Tcp(name)] if !name.is_empty() => name.clone(),
            #[cfg(unix)]
            [Host::Unix(folder)] => folder.display().to_string(),
            _ => return Err(expected()),
        };
        let port = login.get_ports().first().copied().unwrap_or_else(usual_port);
        let (user, database) = (login.get_user(), login.get_dbname());
        let named = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Self { text: text.to_owned(), host, port, user: named(user), database: named(database) })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Url {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Url".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "postgres-url", "examples": ["postgres://vitrina@pg.example.org/warehouse"] })
    }
}

/// Who may use a table that is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Roles that may read it: `grant.select = ["bi"]`. A right that is missing is granted before rows are written; none is taken away.
    #[serde(default)]
    pub select: Vec<String>,
}

pub(crate) fn localhost() -> String {
    "localhost".to_owned()
}

pub(crate) fn usual_port() -> u16 {
    5432
}

pub(crate) fn public() -> String {
    "public".to_owned()
}

pub(crate) fn connect_timeout() -> Span {
    Span::new(Duration::from_secs(10))
}

pub(crate) fn network_timeout() -> Span {
    Span::new(Duration::from_secs(90))
}

pub(crate) fn lock_timeout() -> Span {
    Span::new(Duration::from_secs(30))
}

pub(crate) fn parallel() -> u8 {
    4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_as_one_text() {
        let parsed = |text: &str| {
            let Url { host, port, user, database, .. } = text.parse::<Url>().unwrap();
            (host, port, user.unwrap_or_default(), database.unwrap_or_default())
        };
        let told = |host: &str, port, user: &str, database: &str| {
            (host.to_owned(), port, user.to_owned(), database.to_owned())
        };
        assert_eq!(parsed("postgres://vitrina@pg:6432/dwh"), told("pg", 6432, "vitrina", "dwh"));
        assert_eq!(parsed("postgresql://pg.example.org"), told("pg.example.org", 5432, "", ""));
        assert_eq!(parsed("postgres://%D1%8F@pg/%D0%B4"), told("pg", 5432, "я", "д"));
    }

    #[test]
    fn a_password_is_refused_and_not_told() {
        for (text, why) in [
            ("postgres://me:secret-42@pg/dwh", "password = {"),
            ("postgres://me@pg/dwh?password=secret-42", "password = {"),
            ("postgres://me@pg/dwh?sslmode=require", "sslmode = "),
            ("postgres://a,b/dwh", "expected"),
            ("postgres:///dwh", "expected"),
            ("mysql://secret-42@pg/dwh", "expected"),
            ("postgres://pg:port/dwh", "expected"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(why) && !error.contains("secret-42"), "{text}: {error}");
        }
    }
}
