//! A schema registry that answers as Confluent's does: schemas by their numbers, and numbers for the schemas of a topic's content.
//!
//! What a number means never changes, so schemas are kept. Only writers of rows register anything: `TOPIC-value`, once a schema.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow::datatypes::DataType;
use reqwest::{Certificate, Client, Method, StatusCode, Url};
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use super::{avro, client::lock, config, protobuf};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        secret,
    },
    model::secret::Secret,
};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// Bytes that an answer may have.
const LARGEST: usize = 4 << 20;

/// Schemas that are kept.
const SCHEMAS: usize = 1_000;

/// Schemas that one refers to, also by others that it refers to; and how many of them in a row.
const REFERENCES: usize = 100;
const DEPTH: usize = 16;

/// What stands before a message's content: a zero, and the schema's number.
const FRAME: usize = 5;

/// What sort of schemas messages name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Avro,
    Protobuf,
}

/// A schema that was understood.
#[derive(Debug)]
pub(super) enum Schema {
    Avro(avro::Schema),
    Protobuf(protobuf::Schema),
}

/// Schemas that one refers to, each by the name that it is referred to by, behind those that it refers to itself.
pub(super) type Others = Vec<(String, String)>;

/// A schema, or why messages that name it cannot be read.
pub(super) type Framed = Result<Arc<Schema>, String>;

/// The number of a message's schema.
pub(super) fn id(payload: &[u8]) -> Result<u32, &'static str> {
    match payload {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err("a message that does not begin with the number of a schema"),
    }
}

/// A message without what names its schema.
pub(super) fn unframed(payload: &[u8]) -> &[u8] {
    payload.get(FRAME..).unwrap_or_default()
}

impl Kind {
    /// As registries spell it.
    fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
        }
    }

    fn parse(self, text: &str, others: Others) -> Result<Schema, &'static str> {
        match self {
            Self::Avro => avro::Schema::parse(text, &others).map(Schema::Avro),
            Self::Protobuf => protobuf::Schema::parse(text, others).map(Schema::Protobuf),
        }
    }
}

impl Schema {
    /// The columns of a message's content, each with its type; none where the content is not of this schema.
    pub(super) fn columns(&self, content: &[u8]) -> Vec<(String, DataType)> {
        let owned = |(name, kind): (&str, DataType)| (name.to_owned(), kind);
        match self {
            Self::Avro(schema) => schema.columns().map(owned).collect(),
            Self::Protobuf(schema) => {
                let message = schema.message(content).map(|(message, _)| message);
                message.into_iter().flat_map(|message| message.columns().map(owned)).collect()
            }
        }
    }
}

/// The registry of a connection. Connects when it is asked something.
pub(super) struct Registry {
    config: config::Registry,
    /// The connection, as messages name it.
    shown: String,
    root: PathBuf,
    client: Mutex<Option<Client>>,
    known: Mutex<HashMap<(Kind, u32), Arc<Schema>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Registry {
    pub(super) fn new(config: &config::Registry, connection: &str, root: PathBuf) -> Self {
        let shown = format!("the schema registry of {connection}");
        Self { config: config.clone(), shown, root, client: Mutex::default(), known: Mutex::default() }
    }

    /// What a number means. A number that the registry does not know is a mistake of the message, not of the world.
    pub(super) fn schema(&self, kind: Kind, id: u32) -> Result<Framed> {
        if let Some(known) = lock(&self.known).get(&(kind, id)) {
            return Ok(Ok(known.clone()));
        }
        let (status, answer) = self.ask(Method::GET, &["schemas", "ids", &id.to_string()], None)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Err(format!("a message of schema {id}, which the registry does not know")));
        }
        let answer = self.understood(status, &answer)?;
        let found = answer.get("schemaType").and_then(Json::as_str).unwrap_or("AVRO");
        if found != kind.name() {
            return Ok(Err(format!("a message of schema {id}, which is {found} and not {}", kind.name())));
        }
        let mut others = Others::new();
        if let Err(reason) = self.gather(&answer, &mut others, 0)? {
            return Ok(Err(format!("a message of schema {id}, which refers to {reason}")));
        }
        let schema = match kind.parse(self.text(&answer)?, others) {
            Ok(schema) => Arc::new(schema),
            Err(reason) => return Ok(Err(format!("a message of schema {id}, which {reason}"))),
        };
        let mut known = lock(&self.known);
        if known.len() == SCHEMAS {
            known.clear();
        }
        known.insert((kind, id), schema.clone());
        Ok(Ok(schema))
    }

    fn text<'a>(&self, answer: &'a Json) -> Result<&'a str> {
        answer.get("schema").and_then(Json::as_str).ok_or_else(|| self.strange())
    }

    /// The schemas that one refers to; or to what that cannot be had.
    fn gather(&self, answer: &Json, others: &mut Others, depth: usize) -> Result<Result<(), String>> {
        for reference in answer.get("references").and_then(Json::as_array).into_iter().flatten() {
            let told = |key: &str| reference.get(key).and_then(Json::as_str).ok_or_else(|| self.strange());
            let (name, subject) = (told("name")?, told("subject")?);
            if others.iter().any(|(known, _)| known == name) {
                continue;
            }
            if others.len() == REFERENCES || depth == DEPTH {
                return Ok(Err("too many others".to_owned()));
            }
            let version = reference.get("version").and_then(Json::as_u64).ok_or_else(|| self.strange())?;
            let path = ["subjects", subject, "versions", &version.to_string()];
            let (status, answer) = self.ask(Method::GET, &path, None)?;
            if status == StatusCode::NOT_FOUND {
                return Ok(Err(format!("`{subject}` {version}, which the registry does not know")));
            }
            let answer = self.understood(status, &answer)?;
            if let Err(reason) = self.gather(&answer, others, depth + 1)? {
                return Ok(Err(reason));
            }
            others.push((name.to_owned(), self.text(&answer)?.to_owned()));
        }
        Ok(Ok(()))
    }

    /// The number of a schema for a topic's content; the registry says whether it goes with those before it.
    pub(super) fn register(&self, kind: Kind, topic: &str, schema: &str) -> Result<u32> {
        let body = match kind {
            // What registries take where no type is told; older ones know no other.
            Kind::Avro => json!({ "schema": schema }),
            Kind::Protobuf => json!({ "schemaType": kind.name(), "schema": schema }),
        };
        let body = body.to_string();
        let subject = format!("{topic}-value");
        let (status, answer) = self.ask(Method::POST, &["subjects", &subject, "versions"], Some(body))?;
        if status == StatusCode::CONFLICT {
            let message = format!("{} does not take the rows' columns for \"{topic}-value\"", self.shown);
            return Err(Error::new(ErrorKind::SchemaChanged, message).hint(
                "they do not go with the schemas before them: keep the columns as they were, or relax the subject's compatibility",
            ));
        }
        let answer = self.understood(status, &answer)?;
        let id = answer.get("id").and_then(Json::as_u64).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.strange())
    }

    fn understood(&self, status: StatusCode, answer: &[u8]) -> Result<Json> {
        if status.is_success() {
            return serde_json::from_slice(answer).map_err(|_| self.strange());
        }
        let what = format!("{} answers {}", self.shown, status.as_u16());
        let (kind, hint) = match status {
            StatusCode::UNAUTHORIZED => (ErrorKind::Denied, "check `registry.user` and `registry.password`"),
            StatusCode::FORBIDDEN => {
                (ErrorKind::Denied, "give the user the right to read schemas and, to write, to register them")
            }
            StatusCode::NOT_FOUND => (ErrorKind::NotFound, "check `registry.url`"),
            StatusCode::TOO_MANY_REQUESTS => (ErrorKind::Busy, "it is tried again"),
            status if status.is_server_error() => (ErrorKind::Unreachable, "check that the registry is well"),
            StatusCode::UNPROCESSABLE_ENTITY => (ErrorKind::Unsupported, "it does not take such a schema"),
            _ => (ErrorKind::Unsupported, "check `registry.url`"),
        };
        Err(Error::new(kind, what).hint(hint))
    }

    fn strange(&self) -> Error {
        let message = format!("{} answers what no registry does", self.shown);
        Error::new(ErrorKind::Corrupt, message).hint("check `registry.url`")
    }

    /// Asks on a thread of its own: messages are read where nothing can be awaited.
    fn ask(&self, method: Method, path: &[&str], body: Option<String>) -> Result<(StatusCode, Vec<u8>)> {
        let url = self.url(path)?;
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| {
                Error::new(ErrorKind::of_io(&error), "a worker cannot be started").caused_by(error)
            })?;
            runtime.block_on(self.request(method, url, body))
        };
        let stopped = |_| Error::new(ErrorKind::Internal, "a worker stopped");
        std::thread::scope(|scope| scope.spawn(work).join().map_err(stopped)?)
    }

    /// The address of what a path names; whatever a subject is called is one part of it.
    fn url(&self, path: &[&str]) -> Result<Url> {
        let unsuitable = || {
            Error::new(ErrorKind::Unsupported, format!("{} has no address that can be asked", self.shown))
                .hint("write `registry.url` as `https://host:8081`")
        };
        let mut url = Url::parse(&self.config.url).map_err(|_| unsuitable())?;
        url.path_segments_mut().map_err(|()| unsuitable())?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn request(&self, method: Method, url: Url, body: Option<String>) -> Result<(StatusCode, Vec<u8>)> {
        let mut request = self.client()?.request(method, url);
        if let Some(user) = &self.config.user {
            let user = self.read_secret(user, "user").await?;
            let password = match &self.config.password {
                Some(password) => Some(self.read_secret(password, "password").await?),
                None => None,
            };
            request =
                request.basic_auth(user.expose_secret(), password.as_ref().map(ExposeSecret::expose_secret));
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body);
        }
        let mut answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let mut bytes = vec![];
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(self.strange());
            }
        }
        Ok((status, bytes))
    }

    async fn read_secret(&self, secret: &Secret, what: &str) -> Result<secrecy::SecretString> {
        secret::read(secret, &format!("the {what} of {}", self.shown), &self.root).await
    }

    /// A client for one question: connections are not kept, because schemas are.
    fn client(&self) -> Result<Client> {
        if let Some(client) = lock(&self.client).as_ref() {
            return Ok(client.clone());
        }
        let unsuitable = |error: reqwest::Error| {
            let message = format!("{} cannot be used", self.shown);
            Error::new(ErrorKind::Unsupported, message).caused_by(error.without_url())
        };
        let mut builder = Client::builder().timeout(ANSWER).connect_timeout(ANSWER).pool_max_idle_per_host(0);
        if let Some(file) = &self.config.ca_file {
            let pem = std::fs::read(self.root.join(file)).map_err(|error| {
                let message = format!("{}: cannot read {file}", self.shown);
                Error::new(ErrorKind::of_io(&error), message)
                    .caused_by(error)
                    .hint("check `registry.ca_file`")
            })?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(unsuitable)?;
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder.build().map_err(unsuitable)?;
        *lock(&self.client) = Some(client.clone());
        Ok(client)
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let kind = if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Unreachable };
        let message = format!("{} cannot be reached", self.shown);
        Error::new(kind, message)
            .caused_by(error.without_url())
            .hint("check `registry.url`, and that it is up")
    }
}

/// Whether schemas with names of their own take a column's.
pub(super) fn is_latin_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
