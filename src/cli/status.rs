//! `status`: where everything stands.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    context::Context,
    failure::Result,
    interrupt::unless_interrupted,
    output::{self, Tone, count},
    runner,
    runs::status_cell,
    selection::{self, Selection, name_of},
    table::{Cell, Table},
};
use crate::{
    config::{lineage::Node, project::Project},
    connector::error::Error,
    model::{
        name::JobKind,
        unit::{Progress, Record},
    },
    run::Runtime,
    state::{
        history::{Run, RunStatus},
        lock,
    },
};

const EXAMPLES: &str = "\
Examples:
  vitrina status
  vitrina status tag:crm
  vitrina status --format json | jq '.[] | select(.error != null)'

Positions are read from the targets themselves: they are what the next run goes on from.";

/// Options of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// These only
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// How it is told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Where one member stands.
struct Row {
    name: String,
    kind: JobKind,
    record: Result<Option<Record>, Error>,
    last: Option<Run>,
    waiting: u64,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let runtime = runner::open(&project)?;
    let rows = unless_interrupted(gather(&runtime, &selection)).await?;
    match args.format {
        super::Format::Json => {
            let all: Vec<Value> = rows.iter().map(as_json).collect();
            output::print(&format!("{:#}", Value::Array(all)))?;
        }
        super::Format::Text => table(&project, &rows).print(context.output)?,
    }
    if let Some(holder) = lock::holder(&project.state) {
        context.output.say(&format!("process {} changes this project now: `{}`", holder.pid, holder.command));
    }
    Ok(())
}

async fn gather(runtime: &Runtime, selection: &Selection) -> Result<Vec<Row>> {
    let letters: BTreeMap<String, u64> =
        runtime.records().count(None)?.into_iter().map(|count| (count.track, count.waiting)).collect();
    let mut rows = Vec::with_capacity(selection.nodes.len());
    for node in selection.iter() {
        rows.push(row(runtime, node, &letters).await?);
    }
    Ok(rows)
}

async fn row(runtime: &Runtime, node: &Node, letters: &BTreeMap<String, u64>) -> Result<Row> {
    let track = runtime.project().track(&node.job, &node.member);
    Ok(Row {
        name: name_of(node),
        kind: node.kind,
        record: runtime.record_of(&node.job, &node.member).await,
        last: runtime.history().last(&track)?,
        waiting: letters.get(&track.key()).copied().unwrap_or_default(),
    })
}

fn table(project: &Project, rows: &[Row]) -> Table {
    let mut table =
        Table::new(["name", "kind", "stands at", ">commits", "last commit", "last run", ">dead letters"]);
    let local = |at: DateTime<Utc>| at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string();
    for row in rows {
        let (stands, commits, at) = match &row.record {
            Ok(None) => (Cell::new("never ran", Tone::Dim), String::new(), String::new()),
            Ok(Some(record)) => (progress(&record.progress).into(), count(record.seq), local(record.at)),
            Err(error) => (Cell::new(error.to_string(), Tone::Bad), String::new(), String::new()),
        };
        let last = row.last.as_ref().map_or_else(|| "".into(), last_run);
        let tone = if row.waiting > 0 { Tone::Warn } else { Tone::Plain };
        let waiting = Cell::new(count(row.waiting), tone);
        table.row([
            row.name.as_str().into(),
            row.kind.to_string().into(),
            stands,
            commits.into(),
            at.into(),
            last,
            waiting,
        ]);
    }
    table
}

/// How the last run ended; of a blocked one, what stood in its way.
fn last_run(run: &Run) -> Cell {
    match (run.state, &run.error) {
        (RunStatus::Blocked, Some(by)) => Cell::new(by.as_str(), Tone::Warn),
        (state, _) => status_cell(state),
    }
}

/// How far a track is, for people.
pub(super) fn progress(progress: &Progress) -> String {
    match progress {
        Progress::Start => "the beginning".to_owned(),
        Progress::Position(position) => position.to_string(),
        Progress::Build(_) => "built".to_owned(),
    }
}

fn as_json(row: &Row) -> Value {
    let record = row.record.as_ref().ok().and_then(Option::as_ref);
    json!({
        "name": row.name,
        "kind": row.kind,
        "record": record,
        "stands_at": record.map(|record| progress(&record.progress)),
        "last_run": row.last,
        "dead_letters": row.waiting,
        "error": row.record.as_ref().err().map(ToString::to_string),
    })
}
