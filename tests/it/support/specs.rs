//! Specifications, tracks and units, as a run would make them.

use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use vitrina::{
    connector::{
        sink::{Attempt, OnSchemaChange, SinkOptions, SinkSpec},
        source::{CursorSpec, SourceOptions, SourceSpec},
    },
    model::{
        column::{ColumnType, Contract, ContractColumn, Unlisted},
        delivery::Mode,
        name::{AttemptId, JobName, Member, Track},
        position::{Bound, Position, SourceIdentity},
        unit::{Build, Progress, Scope, Unit},
        value::Value,
    },
};

/// The connection's name in every specification.
pub(crate) const CONNECTION: &str = "place";

/// A source whose contract is the columns of `like`, each nullable.
pub(crate) fn source(table: &str, like: &RecordBatch) -> SourceSpec {
    let column = |name: &str, kind: ColumnType| (name.to_owned(), ContractColumn { kind, nullable: true });
    let fields = like.schema_ref().fields().iter();
    let columns = fields.map(|field| column(field.name(), ColumnType::of(field.data_type()))).collect();
    let contract = Contract { columns, unlisted: Unlisted::Drop, null_values: vec![] };
    SourceSpec { contract: Some(contract), ..undeclared(table) }
}

/// A source without a contract.
pub(crate) fn undeclared(table: &str) -> SourceSpec {
    SourceSpec {
        connection: CONNECTION.to_owned(),
        schema: None,
        table: table.to_owned(),
        cursor: None,
        whole: false,
        contract: None,
        zone: Tz::Europe__Moscow,
        options: SourceOptions::default(),
    }
}

/// A cursor over one column.
pub(crate) fn cursor(column: &str) -> CursorSpec {
    CursorSpec { column: column.to_owned(), tie: None, overlap: None, start: None }
}

/// A sink that fails on a change of schema.
pub(crate) fn sink(table: &str, mode: Mode) -> SinkSpec {
    SinkSpec {
        connection: CONNECTION.to_owned(),
        schema: None,
        table: table.to_owned(),
        mode,
        key: if mode == Mode::Merge { vec!["id".to_owned()] } else { vec![] },
        anew: false,
        delete: None,
        on_schema_change: OnSchemaChange::Fail,
        columns: IndexMap::new(),
        partition: vec![],
        window: None,
        checked: false,
        options: SinkOptions::default(),
    }
}

/// A track of a member.
pub(crate) fn track(member: &str) -> Track {
    let member = Member::new(vec![("region".to_owned(), member.to_owned())]);
    Track::new("contract", &JobName::new("копии/orders"), &member)
}

/// A try that nobody made before.
pub(crate) fn attempt() -> Attempt {
    Attempt { id: AttemptId::fresh(), at: now() }
}

/// A moment, as records keep it.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_225_600_123_456).unwrap()
}

/// A position somewhere in a made-up source.
pub(crate) fn position(at: i64) -> Position {
    let source =
        SourceIdentity { kind: "made-up".into(), place: "Заказы".into(), order: "id int64".into() };
    let witness = Some("0123456789abcdef".to_owned());
    Position::single(source, Some(Bound { at: vec![Value::Int(at)], witness }))
}

/// The unit that a sink of this mode takes, for rows like these; `at` tells units apart.
pub(crate) fn unit(mode: Mode, at: i64, rows: &RecordBatch) -> Unit {
    let build =
        Progress::Build(Build { fingerprint: format!("build {at}"), inputs: [("a:b".to_owned(), 7)].into() });
    let (scope, after) = match mode {
        Mode::Append | Mode::Merge => (Scope::Slice { from: None }, Progress::Position(position(at))),
        Mode::Replace => (Scope::Snapshot, build),
        Mode::Window => {
            let window =
                Scope::Window { column: "id".to_owned(), from: Value::Int(at), until: Value::Int(at + 10) };
            (window, build)
        }
    };
    Unit { scope, after, schema: rows.schema(), rows: Some(rows.num_rows() as u64), about: None }
}
