//! What a call is answered with.

use serde_json::{Value, json};

/// The result of a method: what Telegram gives, or its refusal.
pub(super) type Outcome = Result<Value, Refusal>;

/// A refusal, in Telegram's words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    /// Its status, repeated as `error_code`.
    pub(super) status: u16,
    /// Its words.
    pub(super) description: String,
    /// `retry_after`, `migrate_to_chat_id`.
    pub(super) parameters: Option<Value>,
}

impl Refusal {
    /// A refusal without parameters.
    pub(super) fn new(status: u16, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), parameters: None }
    }

    /// What is wrong with a request.
    pub(super) fn bad(what: &str) -> Self {
        Self::new(400, format!("Bad Request: {what}"))
    }

    /// Too many calls.
    pub(super) fn too_many(retry_after: u32) -> Self {
        Self {
            parameters: Some(json!({ "retry_after": retry_after })),
            ..Self::new(429, format!("Too Many Requests: retry after {retry_after}"))
        }
    }

    /// The group is another one now.
    pub(super) fn migrated(to: i64) -> Self {
        Self {
            parameters: Some(json!({ "migrate_to_chat_id": to })),
            ..Self::bad("group chat was upgraded to a supergroup chat")
        }
    }

    /// As it is sent.
    pub(super) fn json(&self) -> Value {
        let mut body = json!({ "ok": false, "error_code": self.status, "description": self.description });
        if let Some(parameters) = &self.parameters {
            body["parameters"] = parameters.clone();
        }
        body
    }
}
