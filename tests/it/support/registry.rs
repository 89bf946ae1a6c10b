//! A schema registry, as far as clients of one ask: schemas by number, numbers for schemas. Not Confluent's own: a few lines of HTTP that answer as its documents say.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Value as Json, json};

/// Answers until it is dropped.
pub(crate) struct Registry {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

/// What it knows, and was asked.
#[derive(Default)]
pub(crate) struct State {
    /// By number, from 1 on, with their type.
    pub(crate) schemas: Vec<(String, &'static str)>,
    /// What schemas refer to, by number: name and subject, of version 1.
    pub(crate) references: HashMap<u32, Vec<(&'static str, &'static str)>>,
    /// Numbers by subject, as addresses spell it.
    pub(crate) subjects: HashMap<&'static str, u32>,
    /// `GET /schemas/ids/1`, in order.
    pub(crate) asked: Vec<String>,
    /// What is answered instead.
    pub(crate) refuse: Option<u16>,
    /// The header that every question must have: of `me` and `тайна123`.
    pub(crate) guarded: bool,
    stopped: bool,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let known = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if known.lock().unwrap().stopped {
                    return;
                }
                let _ = answer(stream.unwrap(), &known);
            }
        });
        Self { url, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Registers a schema; gives its number.
    pub(crate) fn add(&self, schema: &str, kind: &'static str) -> u32 {
        let mut state = self.state();
        state.schemas.push((schema.to_owned(), kind));
        state.schemas.len() as u32
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.state().stopped = true;
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let line = lines.iter().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let question = lines.first().cloned().unwrap_or_default();
    let question = question.trim_end_matches(" HTTP/1.1").to_owned();
    let mut state = state.lock().unwrap();
    state.asked.push(question.clone());
    let entered = header("authorization").as_deref() == Some("Basic bWU60YLQsNC50L3QsDEyMw==");
    let (status, told) = match state.refuse {
        Some(status) => (status, json!({ "error_code": status })),
        None if state.guarded && !entered => (401, json!({ "error_code": 401 })),
        None => state.about(&question, &body),
    };
    drop(state);
    let told = told.to_string();
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{told}", told.len())
}

impl State {
    fn about(&mut self, question: &str, body: &[u8]) -> (u16, Json) {
        if let Some(id) = question.strip_prefix("GET /schemas/ids/") {
            return self.schema(id.parse().unwrap());
        }
        if let Some(subject) = question.strip_prefix("GET /subjects/") {
            let subject = subject.strip_suffix("/versions/1").unwrap();
            return self.schema(self.subjects.get(subject).copied().unwrap_or_default());
        }
        assert!(
            question.starts_with("POST /subjects/") && question.ends_with("-value/versions"),
            "{question}"
        );
        let given: Json = serde_json::from_slice(body).unwrap();
        let schema = given["schema"].as_str().unwrap();
        let kind = if given["schemaType"] == "PROTOBUF" { "PROTOBUF" } else { "AVRO" };
        let known = self.schemas.iter().position(|(known, _)| known == schema);
        let at = known.unwrap_or_else(|| {
            self.schemas.push((schema.to_owned(), kind));
            self.schemas.len() - 1
        });
        (200, json!({ "id": at + 1 }))
    }

    fn schema(&self, id: u32) -> (u16, Json) {
        let Some((schema, kind)) = self.schemas.get(id.wrapping_sub(1) as usize) else {
            return (404, json!({ "error_code": 40403 }));
        };
        let mut told = json!({ "schema": schema });
        if *kind != "AVRO" {
            told["schemaType"] = json!(kind);
        }
        if let Some(references) = self.references.get(&id) {
            let reference = |(name, subject)| json!({ "name": name, "subject": subject, "version": 1 });
            told["references"] = references.iter().copied().map(reference).collect();
        }
        (200, told)
    }
}
