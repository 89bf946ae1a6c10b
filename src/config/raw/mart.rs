//! `marts/NAME.toml`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Freshness, MatrixUse, Retry, Schedule, SqlText,
    check::Check,
    pipeline::{Scalar, SinkColumn},
    test::Test,
};
use crate::{
    connector::{
        clickhouse::config::SinkOptions as ClickHouseOptions, delta::config::SinkOptions as DeltaOptions,
        files::config::SinkOptions as FilesOptions, greenplum::config::SinkOptions as GreenplumOptions,
        postgres::config::SinkOptions as PostgresOptions, sink::OnSchemaChange,
        sqlite::config::SinkOptions as SqliteOptions,
    },
    model::{
        time::Span,
        window::{Grain, OnChange},
    },
    workbook::spec::{Chart, SheetColumn},
};

/// `marts/NAME.toml`: a named query over connections, pipelines and other marts, made into a table (`sql` and `[sink]`) or into
/// an Excel workbook (`excel` and `[[sheet]]`). The mart's name is the file's path under `marts/`, without the suffix.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MartFile {
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
    /// The name it had before.
    pub(crate) was: Option<String>,
    /// What happens when the world fails.
    pub(crate) retry: Option<Retry>,
    /// The query of a table mart, or `{ file = "x.sql" }`.
    pub(crate) sql: Option<SqlText>,
    /// Whether `sql` is sent as it stands to the one database whose tables it names, in that database's own SQL. Tables are named as everywhere
    /// (`warehouse.orders`), parameters are bound. Its columns are known to `check` only where `[sink.columns]` gives them all with their types.
    #[serde(default)]
    pub(crate) native: bool,
    /// Builds the table window by window instead of whole: each build replaces the rows of one hour, day, week or month.
    pub(crate) window: Option<Window>,
    /// Where the table lies.
    pub(crate) sink: Option<MartSink>,
    /// What must hold of its rows before anyone sees them.
    #[serde(default)]
    pub(crate) check: Vec<Check>,
    /// How old it may become.
    pub(crate) freshness: Option<Freshness>,
    /// The workbook's file, relative to the project's folder: `"data/dashboards/actions_{region}.xlsx"`.
    pub(crate) excel: Option<String>,
    /// Parameters of a workbook's queries with their defaults. A range of days (`period = "last_month"`, `"2026-01"`) gives
    /// `:period.from`, `:period.until` (out) and `:period.last`; anything else is a plain value.
    #[serde(default)]
    pub(crate) with: IndexMap<String, Scalar>,
    /// The sheets of a workbook, in order.
    #[serde(default)]
    pub(crate) sheet: Vec<Sheet>,
    /// Unit tests.
    #[serde(default)]
    pub(crate) test: Vec<Test>,
}

/// `[window]`: the mart is built window by window. Its SQL bounds what it reads by `:window.from` (in) and `:window.until` (out), which are instants; a comparison
/// with a date takes them as days of the project's zone. A row outside its window fails the build.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// The column of the mart by which a row belongs to a window: a date or a timestamp.
    pub(crate) column: String,
    /// How long a window is; hours, days, weeks (from Monday) and months of the project's zone.
    pub(crate) grain: Grain,
    /// The first day (or, for hours, instant) that is built: `start = 2026-01-01`.
    pub(crate) start: Scalar,
    /// How far back a run builds again what is built already, for rows that show up late: `"3d"` = the windows of the last three days. `"0s"` unless told.
    pub(crate) lookback: Option<Span>,
    /// How many windows that follow each other one query may compute, `1` unless told: a backfill of years then asks tens of times instead of thousands. The query is given
    /// the first one's `:window.from` and the last one's `:window.until`, and must give what it gives for each of them by itself; its rows are told apart by `column`. Each window is
    /// still checked and committed by itself. Without effect where the sink's own server computes the query and keeps the rows.
    pub(crate) batch_size: Option<std::num::NonZeroU32>,
    /// Whether the window that has not ended yet is built too, again at each run until it has; `true` unless told.
    pub(crate) current: Option<bool>,
    /// What becomes of built windows when the query changes, or a window of a mart that they were built from is built again; `"mark"` unless told.
    #[serde(default)]
    pub(crate) on_change: OnChange,
}

/// `[sink]` of a mart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MartSink {
    /// The connection's name.
    pub(crate) connection: String,
    /// The database file, where the connection has several.
    pub(crate) schema: Option<String>,
    /// The table; the mart's name unless told.
    pub(crate) table: Option<String>,
    /// How rows are taken; `"replace"` unless told. Not with `[window]`, which replaces windows.
    #[serde(default)]
    pub(crate) mode: MartMode,
    /// Columns that tell rows apart, for `merge`.
    #[serde(default)]
    pub(crate) key: Vec<String>,
    /// What happens when the query's columns are not the target's.
    #[serde(default)]
    pub(crate) on_schema_change: OnSchemaChange,
    /// Types and descriptions of target columns; the others come from the query.
    #[serde(default)]
    pub(crate) columns: IndexMap<String, SinkColumn>,
    /// Acts where the connection is SQLite.
    pub(crate) sqlite: Option<SqliteOptions>,
    /// Acts where the connection is Delta.
    pub(crate) delta: Option<DeltaOptions>,
    /// Acts where the connection is of files.
    pub(crate) files: Option<FilesOptions>,
    /// Acts where the connection is PostgreSQL.
    pub(crate) postgres: Option<PostgresOptions>,
    /// Acts where the connection is Greenplum.
    pub(crate) greenplum: Option<GreenplumOptions>,
    /// Acts where the connection is ClickHouse.
    pub(crate) clickhouse: Option<ClickHouseOptions>,
}

/// How a mart's rows are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MartMode {
    /// The whole table is replaced, at once.
    #[default]
    Replace,
    /// Rows replace those of the same `key`; others stay.
    Merge,
}

/// A sheet of a workbook.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sheet {
    /// Its tab, as people read it: at most 31 characters, none of `[ ] : * ? / \`.
    pub(crate) name: String,
    /// The query, or `{ file = "x.sql" }`.
    pub(crate) sql: SqlText,
    /// How columns look; columns that are not named look as their type does.
    #[serde(default)]
    pub(crate) columns: IndexMap<String, SheetColumn>,
    /// A chart beside the rows, or a list of them.
    pub(crate) chart: Option<Charts>,
}

/// A chart, or a list of them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Charts {
    /// One.
    One(Chart),
    /// Several.
    Many(Vec<Chart>),
}

impl Charts {
    /// As a list.
    pub(crate) fn into_vec(self) -> Vec<Chart> {
        match self {
            Self::One(chart) => vec![chart],
            Self::Many(charts) => charts,
        }
    }
}
