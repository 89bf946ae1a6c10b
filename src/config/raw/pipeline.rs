//! `pipelines/NAME.toml`.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{
    Deserialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml::value::Datetime;

use super::{Freshness, MatrixUse, Retry, Schedule, SqlText, test::Test};
use crate::{
    config::project::BadRowPolicy,
    connector::{
        clickhouse::config::SinkOptions as ClickHouseOptions,
        delta::config::SinkOptions as DeltaOptions,
        files::config::{SinkOptions as FilesOptions, SourceOptions as FilesSourceOptions},
        generate::config::Generate,
        greenplum::config::{SinkOptions as GreenplumOptions, SourceOptions as GreenplumSourceOptions},
        kafka::config::{SinkOptions as KafkaOptions, SourceOptions as KafkaSourceOptions},
        postgres::config::SinkOptions as PostgresOptions,
        sink::{DeleteHow, OnSchemaChange},
        sqlite::config::SinkOptions as SqliteOptions,
    },
    model::{
        column::{ColumnType, Unlisted},
        delivery::DeliveryLevel,
        time::Span,
    },
};

/// `pipelines/NAME.toml`: one source, optional SQL, one sink. The pipeline's name is the file's path under
/// `pipelines/`, without the suffix.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineFile {
    /// For people.
    pub(crate) description: Option<String>,
    /// For people: who answers for it.
    pub(crate) owner: Option<String>,
    /// What `tag:crm` selects on the command line.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// The profiles that it exists in (`"default"` is the one without a name); all unless told.
    pub(crate) profiles: Option<Vec<String>>,
    /// The matrices that it fans out over, one member each: `["region"]`, or `{ region = ["mrf1"] }` for some members.
    pub(crate) matrix: Option<MatrixUse>,
    /// When it runs by itself; by hand unless told.
    pub(crate) schedule: Option<Schedule>,
    /// The name it had before: it goes on from there instead of reading everything again.
    pub(crate) was: Option<String>,
    /// What happens when the world fails.
    pub(crate) retry: Option<Retry>,
    /// How much one commit writes.
    pub(crate) slice: Option<Slice>,
    /// How old it may become.
    pub(crate) freshness: Option<Freshness>,
    /// Where rows come from.
    pub(crate) source: Source,
    /// SQL over the rows.
    pub(crate) transform: Option<Transform>,
    /// Where rows go.
    pub(crate) sink: Sink,
    /// Unit tests.
    #[serde(default)]
    pub(crate) test: Vec<Test>,
}

/// How much one commit writes; soft, because rows of one cursor value are never split.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slice {
    /// Rows; unless told 200,000, into SQLite 20,000.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(crate) rows: Option<u64>,
    /// Memory; unless told `"64 MiB"`, into SQLite `"8 MiB"`.
    #[schemars(extend("format" = "size"))]
    pub(crate) bytes: Option<String>,
}

/// `[source]`: where rows come from: a table of a connection, or `[source.generate]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// The connection's name.
    pub(crate) connection: Option<String>,
    /// The database file, where the connection has several.
    pub(crate) schema: Option<String>,
    /// The table, topic or file set.
    pub(crate) table: Option<String>,
    /// What orders a table that is not a log, so that only new rows are read. Without it the whole table is
    /// read each time.
    pub(crate) cursor: Option<Cursor>,
    /// The contract: what its columns must be. A row that does not fit is a bad row.
    #[serde(default)]
    pub(crate) columns: IndexMap<String, Column>,
    /// What to do with a bad row.
    #[serde(default)]
    pub(crate) bad_rows: BadRowPolicy,
    /// The share of a run's rows that may be bad, judged once 1,000 rows were seen: `"0.1%"`. Any share unless told.
    #[schemars(extend("format" = "percent"))]
    pub(crate) max_bad: Option<String>,
    /// What to do with columns that the contract does not name.
    pub(crate) unlisted: Option<Unlisted>,
    /// Texts that stand for NULL: `["NA", ""]`.
    #[serde(default)]
    pub(crate) null_values: Vec<String>,
    /// Made-up rows instead of a table's.
    pub(crate) generate: Option<Generate>,
    /// What only files understand.
    pub(crate) files: Option<FilesSourceOptions>,
    /// What only Kafka understands.
    pub(crate) kafka: Option<KafkaSourceOptions>,
    /// What only Greenplum understands.
    pub(crate) greenplum: Option<GreenplumSourceOptions>,
}

/// A column that rises as rows are added.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cursor {
    /// The column.
    pub(crate) column: String,
    /// A second column that tells rows of equal cursor values apart.
    pub(crate) tie: Option<String>,
    /// How far behind the position to read again, for rows that show up late: a length of time (`"10m"`) for dates and
    /// timestamps, a number for numbers. Rows are then read twice, which only `mode = "merge"` takes.
    pub(crate) overlap: Option<Overlap>,
    /// Rows before this are not read: a date, a timestamp, a number or a text, as the column is.
    pub(crate) start: Option<Scalar>,
}

/// A distance in the cursor's own measure.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Overlap {
    /// For numbers.
    Steps(u64),
    /// For dates and timestamps.
    Span(Span),
}

/// One plain value: a yes or no, a number, a text, a bare date or timestamp.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    /// A yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// A date or timestamp, bare.
    Time(Datetime),
    /// A text.
    Text(String),
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["boolean", "number", "string"], "format": "scalar" })
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar, A::Error> {
        Datetime::deserialize(MapAccessDeserializer::new(map)).map(Scalar::Time)
    }
}

/// A column of a contract: its type, or its type and more.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Column {
    /// Its type; NULL is a bad row.
    Type(ColumnType),
    /// Its type and more.
    Full(FullColumn),
}

/// A column of a contract in full.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullColumn {
    /// Its type: `"int64"`, `"text"`, `"decimal(12,2)"`, `"timestamp(ms, UTC)"`.
    pub(crate) r#type: ColumnType,
    /// Whether NULL is allowed; a NULL is a bad row otherwise.
    #[serde(default)]
    pub(crate) nullable: bool,
}

/// `[transform]`: row by row over `source`; joins that keep each row of `source` are allowed, what would depend on where slices
/// end (an aggregate, a sort, a limit) is refused.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transform {
    /// The query, or `{ file = "x.sql" }`.
    pub(crate) sql: SqlText,
}

/// `[sink]`: where rows go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sink {
    /// The connection's name.
    pub(crate) connection: String,
    /// The database file, where the connection has several.
    pub(crate) schema: Option<String>,
    /// The table, topic or file set; made when first written to.
    pub(crate) table: String,
    /// How rows are taken.
    pub(crate) mode: PipelineMode,
    /// Columns that tell rows apart, for `merge`.
    #[serde(default)]
    pub(crate) key: Vec<String>,
    /// Which rows are deletions, for `merge`.
    pub(crate) delete: Option<Delete>,
    /// A weaker promise than exactly once, where source and sink cannot keep that.
    pub(crate) delivery: Option<DeliveryLevel>,
    /// What happens when the rows' columns are not the target's.
    #[serde(default)]
    pub(crate) on_schema_change: OnSchemaChange,
    /// Types and descriptions of target columns; the others come from the rows.
    #[serde(default)]
    pub(crate) columns: IndexMap<String, SinkColumn>,
    /// Acts where the connection is SQLite.
    pub(crate) sqlite: Option<SqliteOptions>,
    /// Acts where the connection is Delta.
    pub(crate) delta: Option<DeltaOptions>,
    /// Acts where the connection is of files.
    pub(crate) files: Option<FilesOptions>,
    /// Acts where the connection is Kafka.
    pub(crate) kafka: Option<KafkaOptions>,
    /// Acts where the connection is PostgreSQL.
    pub(crate) postgres: Option<PostgresOptions>,
    /// Acts where the connection is Greenplum.
    pub(crate) greenplum: Option<GreenplumOptions>,
    /// Acts where the connection is ClickHouse.
    pub(crate) clickhouse: Option<ClickHouseOptions>,
}

/// How a pipeline's rows are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PipelineMode {
    /// Rows are added.
    Append,
    /// Rows replace those of the same `key`; the last one by source position wins.
    Merge,
    /// The whole table is replaced, at once.
    Replace,
}

/// Which rows are deletions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    /// An SQL condition over the rows, after the transform: `"op = 'd'"`.
    pub(crate) when: String,
    /// What a deleted row leaves behind.
    pub(crate) how: DeleteHow,
}

/// A column of a target: its type, or more.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum SinkColumn {
    /// Its type.
    Type(ColumnType),
    /// Its type and more.
    Full(FullSinkColumn),
}

/// A column of a target in full.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullSinkColumn {
    /// Its type; as the rows have it unless told.
    pub(crate) r#type: Option<ColumnType>,
    /// What it means, for people.
    pub(crate) description: Option<String>,
}
