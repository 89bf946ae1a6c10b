//! What users wrote about a place and cannot be so, however the world is: `check` says it at the key.

/// A key that does not go with the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The key; `None` = one that is missing.
    pub key: Option<&'static str>,
    /// What sort of mistake.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Misfit {
    /// That of a key that is there.
    pub fn of(key: &'static str, code: &'static str, message: impl Into<String>, hint: &str) -> Self {
        Self { key: Some(key), code, message: message.into(), hint: hint.to_owned() }
    }
}
