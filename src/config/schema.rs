//! JSON Schemas of the files, from the raw structs. Editors use them, and so does [`walk`](super::walk): they are proven by use.

use std::sync::LazyLock;

use schemars::{JsonSchema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value as Json;

use super::{
    lock::Lock,
    raw::{
        bot::{BotFile, ReportFile},
        mart::MartFile,
        pipeline::PipelineFile,
        project::ProjectFile,
    },
};

/// `vitrina.toml`.
pub(crate) static PROJECT: LazyLock<Json> = LazyLock::new(of::<ProjectFile>);
/// `pipelines/NAME.toml`.
pub(crate) static PIPELINE: LazyLock<Json> = LazyLock::new(of::<PipelineFile>);
/// `marts/NAME.toml`.
pub(crate) static MART: LazyLock<Json> = LazyLock::new(of::<MartFile>);
/// `bot.toml`.
pub(crate) static BOT: LazyLock<Json> = LazyLock::new(of::<BotFile>);
/// `reports/NAME.toml`.
pub(crate) static REPORT: LazyLock<Json> = LazyLock::new(of::<ReportFile>);
/// `schemas.lock`, which no editor writes.
pub(crate) static LOCK: LazyLock<Json> = LazyLock::new(of::<Lock>);

/// The schemas that editors use, by file name.
pub fn schemas() -> Vec<(&'static str, Json)> {
    vec![
        ("vitrina.schema.json", with_env(PROJECT.clone())),
        ("pipeline.schema.json", PIPELINE.clone()),
        ("mart.schema.json", MART.clone()),
        ("bot.schema.json", with_env(BOT.clone())),
        ("report.schema.json", REPORT.clone()),
    ]
}

/// Draft 7, without references: what taplo reads best.
fn of<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.transforms.push(Box::new(RecursiveTransform(without_null)));
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// TOML has no null: an optional key is left out.
fn without_null(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Json::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Json::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if branches.len() == 1
            && let Some(Json::Object(only)) = branches.pop()
        {
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Json::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if object.get("default").is_some_and(Json::is_null) {
        object.remove("default");
    }
}

/// Lets `{ env = "NAME", default = … }` stand for any single value.
fn with_env(mut schema: Json) -> Json {
    if super::shape::is_secret(&schema) {
        return schema; // It says itself where it may come from.
    }
    let scalar = super::shape::allows_scalar(&schema) && schema.get("const").is_none();
    if scalar {
        let description = schema.get("description").cloned();
        let mut either = serde_json::json!({
            "anyOf": [schema, {
                "type": "object",
                "additionalProperties": false,
                "required": ["env"],
                "properties": {
                    "env": { "type": "string", "description": "The name of an environment variable." },
                    "default": { "description": "What stands where it is not set." },
                },
            }],
        });
        if let Some(description) = description {
            either["description"] = description;
        }
        return either;
    }
    let Some(object) = schema.as_object_mut() else { return schema };
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        for value in properties.values_mut() {
            *value = with_env(value.take());
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(value) = object.get_mut(key).filter(|value| value.is_object()) {
            *value = with_env(value.take());
        }
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Json::Array(branches)) = object.get_mut(key) {
            for value in branches {
                *value = with_env(value.take());
            }
        }
    }
    schema
}
