//! `vitrina.toml`.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    config::project::Language,
    connector::ConnectionConfig,
    model::{secret::Secret, time::Span, trouble::TroubleKind},
};

/// `vitrina.toml`: what all files of a project share. Any single value in it may be
/// `{ env = "NAME", default = … }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectFile {
    /// The project itself.
    pub(crate) project: ProjectTable,
    /// Named lists to fan out over, one table each: `[matrix.region]`.
    #[serde(default)]
    pub(crate) matrix: IndexMap<String, Matrix>,
    /// The process that runs it all.
    #[serde(default)]
    pub(crate) daemon: Daemon,
    /// What files need not repeat.
    #[serde(default)]
    pub(crate) defaults: Defaults,
    /// Places where rows live, by name. A name with a matrix in braces (`"crm_{region}"`) stands for one
    /// connection per member.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, ConnectionConfig>")]
    pub(crate) connections: IndexMap<String, IgnoredAny>,
    /// Who is told, besides the bot's admins, of what `serve` finds wrong, by name.
    #[serde(default)]
    pub(crate) notify: IndexMap<String, Notify>,
    /// Other surroundings: `--profile production` (or `VITRINA_PROFILE`) replaces whole named connections.
    #[serde(default)]
    pub(crate) profile: IndexMap<String, Profile>,
}

/// `[project]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectTable {
    /// Part of every record kept in a sink: two projects may share a database.
    pub(crate) name: String,
    /// Whose days and months reports and schedules speak of; `"UTC"` unless told.
    #[schemars(extend("format" = "time-zone"))]
    pub(crate) time_zone: Option<String>,
    /// Of workbooks and the bot; messages of the command line are English.
    #[serde(default)]
    pub(crate) language: Language,
}

/// A named list to fan out over.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Matrix {
    /// Members alone.
    Names(Vec<String>),
    /// Members with facts: `mrf1 = { title = "Центр" }` is `{region.title}` in names and paths and
    /// `:region.title` in SQL.
    Facts(IndexMap<String, IndexMap<String, String>>),
}

/// `[daemon]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Daemon {
    /// The folder of the two state files, relative to the project's; `"data/state"` unless told.
    pub(crate) state: Option<String>,
    /// What the SQL engine may hold before it spills to disk; `"256 MiB"` unless told.
    #[schemars(extend("format" = "size"))]
    pub(crate) memory: Option<String>,
    /// Runs at once; 4 unless told.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) parallel: Option<usize>,
    /// How long runs may go on after `serve` was told to stop: what is not committed by then is rolled back; `"30s"` unless told.
    pub(crate) grace: Option<Span>,
    /// Where `serve` tells over HTTP how it is (`/health`, `/ready`): `"127.0.0.1:8090"`. Nowhere unless told.
    #[schemars(extend("format" = "listen"))]
    pub(crate) listen: Option<String>,
}

/// `[notify.NAME]`: somebody who is told once of what is wrong, and once more when it is over.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notify {
    /// Of what: runs that failed, runs whose rows a check blocks, pipelines and marts that are older than their `[freshness]` allows; all of it unless told.
    pub(crate) on: Option<Vec<TroubleKind>>,
    /// The address that notices are posted to as JSON. Whoever knows it may write there, so it is a secret: `{ env = "OPS_HOOK" }`. Where the variable is not
    /// set nobody is told.
    pub(crate) webhook: Secret,
}

/// `[defaults]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// Any key of a pipeline's file; the file wins, key by key in `source`, `sink`, `retry` and `slice`.
    #[serde(default)]
    #[schemars(schema_with = "pipeline_without_required")]
    pub(crate) pipeline: Option<IgnoredAny>,
}

/// Other surroundings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Connections that take the place of those of the same name.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, ConnectionConfig>")]
    pub(crate) connections: IndexMap<String, IgnoredAny>,
}

fn pipeline_without_required(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = super::pipeline::PipelineFile::json_schema(generator);
    let nested: Vec<String> =
        ["", "/properties/source", "/properties/sink", "/properties/transform"].map(str::to_owned).into();
    for pointer in nested {
        let part = if pointer.is_empty() {
            schema.as_object_mut()
        } else {
            schema.pointer_mut(&pointer).and_then(serde_json::Value::as_object_mut)
        };
        if let Some(part) = part {
            part.remove("required");
        }
    }
    schema
}
