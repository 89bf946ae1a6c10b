//! Secrets as users write them down: where a password lies. What is in it is read when a connection is opened, never by `check`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a secret lies. Never shown: `Debug`, `Display` and `Serialize` say `***`.
///
/// A connector declares `password: Option<Secret>` in its config and reads it with `connector::secret::read`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the file itself; `check` warns of it.
    Literal(String),
    /// In an environment variable.
    Env {
        /// The variable.
        name: String,
        /// What stands where it is not set.
        default: Option<String>,
    },
    /// In a file, relative to the project's folder.
    File(String),
    /// In what a program prints, run in the project's folder: the program and its arguments.
    Command(Vec<String>),
}

/// What its schema's `format` is: by it, `config` tells secrets from other texts.
pub const SECRET_FORMAT: &str = "secret";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// As TOML spells it. Unknown keys have been reported against the schema.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Literal(String),
    Env { env: String, default: Option<String> },
    File { file: String },
    Command { command: Vec<String> },
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What `untagged` says of a mistake names types of ours, and no value.
        Ok(match Written::deserialize(deserializer)? {
            Written::Literal(text) => Self::Literal(text),
            Written::Env { env, default } => Self::Env { name: env, default },
            Written::File { file } => Self::File(file),
            Written::Command { command } => Self::Command(command),
        })
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "format": SECRET_FORMAT,
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["env"],
                    "properties": {
                        "env": { "type": "string", "description": "The environment variable that holds it." },
                        "default": { "type": "string", "description": "What stands where the variable is not set." },
                    },
                },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["file"],
                    "properties": {
                        "file": { "type": "string", "description": "The file that holds it, relative to the project's folder." },
                    },
                },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["command"],
                    "properties": {
                        "command": {
                            "type": "array",
                            "minItems": 1,
                            "items": { "type": "string" },
                            "description": "The program that prints it, with its arguments.",
                        },
                    },
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    fn secret(text: &str) -> Secret {
        #[derive(serde::Deserialize)]
        struct Config {
            password: Secret,
        }
        toml::from_str::<Config>(&format!("password = {text}")).unwrap().password
    }

    #[test]
    fn as_written() {
        assert_eq!(secret("'x'"), Secret::Literal("x".to_owned()));
        assert_eq!(secret("{ env = 'X' }"), Secret::Env { name: "X".to_owned(), default: None });
        assert_eq!(
            secret("{ env = 'X', default = 'y' }"),
            Secret::Env { name: "X".to_owned(), default: Some("y".to_owned()) }
        );
        assert_eq!(secret("{ file = '/run/x' }"), Secret::File("/run/x".to_owned()));
        assert_eq!(
            secret("{ command = ['vault', 'read'] }"),
            Secret::Command(vec!["vault".to_owned(), "read".to_owned()])
        );
    }

    #[test]
    fn never_shown() {
        let secret = secret("{ env = 'X', default = 'hidden' }");
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(
            (format!("{secret:?}"), secret.to_string(), json.as_str()),
            ("***".to_owned(), "***".to_owned(), "\"***\"")
        );
    }
}
