//! A call's parameters, in whichever of Telegram's three spellings they come.

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::header::CONTENT_TYPE,
};
use serde_json::{Map, Value};

use super::{
    reply::Refusal,
    uploads::{CalledFile, Upload},
};

/// Parameters that are JSON inside a form's text.
const NESTED: &[&str] = &[
    "reply_markup",
    "media",
    "entities",
    "caption_entities",
    "commands",
    "scope",
    "allowed_updates",
    "link_preview_options",
    "reply_parameters",
];

/// What came with a call.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Its parameters.
    pub(super) params: Map<String, Value>,
    /// Its files.
    pub(super) files: Vec<Upload>,
}

impl Body {
    /// Reads the query and the body.
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let mut body = Self::default();
        body.take_form(&query);
        if kind.starts_with("multipart/form-data") {
            body.take_multipart(request).await?;
            return Ok(body);
        }
        let too_large = |_| Refusal::new(413, "Request Entity Too Large");
        let bytes = Bytes::from_request(request, &()).await.map_err(too_large)?;
        if kind.starts_with("application/json") {
            let object =
                serde_json::from_slice(&bytes).map_err(|_| Refusal::bad("can't parse JSON object"))?;
            body.params.extend::<Map<String, Value>>(object);
        } else {
            body.take_form(&String::from_utf8_lossy(&bytes));
        }
        Ok(body)
    }

    /// The file that a parameter means: attached to it, or named by `attach://`.
    pub(super) fn file(&self, param: &str) -> Option<&Upload> {
        let told = self.params.get(param).and_then(Value::as_str).unwrap_or_default();
        self.attached(told.strip_prefix("attach://").unwrap_or(param))
    }

    /// The file of a part.
    pub(super) fn attached(&self, part: &str) -> Option<&Upload> {
        self.files.iter().find(|file| file.called.part == part)
    }

    fn take_form(&mut self, form: &str) {
        let Ok(url) = reqwest::Url::parse(&format!("http://form/?{form}")) else { return };
        for (key, value) in url.query_pairs() {
            self.take_text(&key, &value);
        }
    }

    async fn take_multipart(&mut self, request: Request) -> Result<(), Refusal> {
        let broken = |_| Refusal::bad("can't parse the multipart form");
        let mut parts =
            Multipart::from_request(request, &()).await.map_err(|_| Refusal::bad("no boundary"))?;
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            let key = part.name().unwrap_or_default().to_owned();
            let file_name = part.file_name().map(str::to_owned);
            let bytes = part.bytes().await.map_err(|_| Refusal::new(413, "Request Entity Too Large"))?;
            match file_name {
                Some(name) => {
                    let called = CalledFile { part: key, name, size: bytes.len() };
                    self.files.push(Upload { called, bytes });
                }
                None => self.take_text(&key, &String::from_utf8_lossy(&bytes)),
            }
        }
        Ok(())
    }

    fn take_text(&mut self, key: &str, text: &str) {
        let nested = NESTED.contains(&key).then(|| serde_json::from_str(text).ok()).flatten();
        self.params.insert(key.to_owned(), nested.unwrap_or_else(|| Value::String(text.to_owned())));
    }
}
