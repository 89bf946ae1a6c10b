//! `explain`: what a run would do, what it promises and why, when it runs by itself.

use indexmap::IndexMap;

use super::{
    context::Context,
    due::due_next,
    failure::Result,
    interrupt::unless_interrupted,
    output::{self, Stream, Tone, count, counted, printable},
    position, runner,
    selection::{self, Selection, name_of},
};
use crate::{
    clock::SystemClock,
    config::{
        lineage::{Lineage, Node},
        project::{
            BadRowPolicy, BadRows, Concurrency, JobInfo, Mart, MartMember, MartOutput, Misfire, Pipeline,
            PipelineMember, Project, Schedule, Severity, SourceKind, Sql, Trigger, With, Workbook,
        },
    },
    connector::{
        ConnectionConfig,
        sink::{DeleteHow, OnSchemaChange, SinkSpec},
        source::{CursorSpec, Overlap, SourceSpec},
    },
    model::{
        delivery::Reading,
        name::{Facts, JobName},
        time::Clock,
        unit::SliceLimit,
        window::{OnChange, Windows},
    },
    run::Runtime,
    schedule,
};

const EXAMPLES: &str = "\
Examples:
  vitrina explain actions_to_warehouse/mrf1
  vitrina explain tag:crm --offline              without asking any connection where it stands
  vitrina explain revenue --plan                 how its query would be run, what is sent to each place";

/// Options of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// What to explain
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// From the project's files alone
    #[arg(long)]
    offline: bool,

    /// How a mart's queries would be run
    #[arg(long, conflicts_with = "offline")]
    plan: bool,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let runtime = if args.offline { None } else { Some(runner::open(&project)?) };
    for (i, node) in selection.nodes.iter().enumerate() {
        let node = &selection.lineage.nodes[*node];
        let mut told = Told { lines: vec![], results: context.output.results };
        if i > 0 {
            told.lines.push(String::new());
        }
        explain(&project, &selection.lineage, node, &mut told);
        if let Some(runtime) = &runtime {
            let (standing, error) =
                unless_interrupted(async { Ok(position::standing_of(runtime, node).await) }).await?;
            for (label, value) in
                standing.iter().flat_map(|standing| position::describe(standing, project.zone))
            {
                told.line(label, &value);
            }
            match error {
                Some(error) => told.line("next", &format!("not known: {error} ({})", error.advice())),
                None => {
                    sent(runtime, node, &mut told).await?;
                    filled(runtime, node, &mut told).await?;
                }
            }
        }
        if let Some(runtime) = runtime.as_ref().filter(|_| args.plan) {
            unless_interrupted(plans(runtime, node, &mut told)).await?;
        }
        output::print(&told.lines.join("\n"))?;
    }
    Ok(())
}

/// Whether the rows of a mart pass through here.
async fn filled(runtime: &Runtime, node: &Node, told: &mut Told) -> Result {
    let inside =
        unless_interrupted(async { Ok(runtime.stays_inside(&node.job, &node.member).await) }).await?;
    match inside {
        Ok(Some(true)) => {
            told.line("rows", "stay where they are: the place fills its table itself, by INSERT … SELECT");
        }
        Ok(Some(false)) => told.line("rows", "pass through Vitrina"),
        // No table of a mart; or one whose inputs are not there yet, which a run tells.
        Ok(None) | Err(_) => {}
    }
    Ok(())
}

/// What a pipeline's source is asked.
async fn sent(runtime: &Runtime, node: &Node, told: &mut Told) -> Result {
    let sent = unless_interrupted(async { Ok(runtime.sent(&node.job, &node.member).await?) }).await?;
    if let Some(text) = sent {
        told.line("sent", &text);
    }
    Ok(())
}

/// How each query of a mart would be run.
async fn plans(runtime: &Runtime, node: &Node, told: &mut Told) -> Result {
    let now = SystemClock.now();
    for (sql, params) in runtime.queries(node, now) {
        let plan = if sql.native {
            runtime.engine().explain_native(&sql.text, &params).await?
        } else {
            runtime.engine().explain(&sql.text, &params, now).await?
        };
        told.line("plan", &plan);
    }
    Ok(())
}

/// What is told, line by line.
struct Told {
    lines: Vec<String>,
    results: Stream,
}

impl Told {
    fn line(&mut self, label: &str, value: &str) {
        let label = self.results.paint(&format!("{label:<15}"), Tone::Dim);
        let mut lines = value.lines();
        self.lines.push(format!("  {label}{}", printable(lines.next().unwrap_or_default())));
        self.lines.extend(lines.map(|line| format!("  {:15}{}", "", printable(line))));
    }
}

fn explain(project: &Project, lineage: &Lineage, node: &Node, told: &mut Told) {
    let title = told.results.paint(&name_of(node), Tone::Strong);
    told.lines.push(title);
    if let Some(pipeline) = project.pipelines.get(&node.job)
        && let Some(member) = pipeline.members.iter().find(|member| member.member == node.member)
    {
        explain_pipeline(project, pipeline, member, told);
    }
    if let Some(mart) = project.marts.get(&node.job)
        && let Some(member) = mart.members.iter().find(|member| member.member == node.member)
    {
        explain_mart(project, mart, member, told);
    }
    due(project, lineage, node, told);
    neighbours(lineage, node, told);
}

fn due(project: &Project, lineage: &Lineage, node: &Node, told: &mut Told) {
    let trigger = |job: &JobName| {
        let info = project.jobs().find(|info| info.name == *job)?;
        info.schedule.as_ref().map(|schedule| &schedule.trigger)
    };
    if let Some(due) = due_next(lineage, node, &trigger, project.zone, SystemClock.now()) {
        told.line("due next", &due);
    }
}

fn head(info: &JobInfo, told: &mut Told) {
    told.line("is a", &format!("{}, in {}", info.kind, info.path.display()));
    let texts = [("about", info.description.as_deref()), ("owner", info.owner.as_deref())];
    for (label, text) in texts {
        if let Some(text) = text {
            told.line(label, text);
        }
    }
    if !info.tags.is_empty() {
        told.line("tags", &info.tags.join(", "));
    }
    if let Some(was) = &info.was {
        told.line("was", was.as_str());
    }
}

fn foot(info: &JobInfo, told: &mut Told) {
    let retry = &info.retry;
    let tries = counted(u64::from(retry.attempts), "try").replace("trys", "tries");
    told.line(
        "when it fails",
        &format!("{tries}, {} apart at first; a run ends after {}", retry.wait, retry.timeout),
    );
    told.line("runs", &starts(info.schedule.as_ref()));
}

fn explain_pipeline(project: &Project, pipeline: &Pipeline, member: &PipelineMember, told: &mut Told) {
    head(&pipeline.info, told);
    match &member.source {
        SourceKind::Table(spec) => table_source(project, spec, told),
        SourceKind::Generate { .. } => {
            told.line("reads", "nothing: its rows are made up, the same for the same seed");
        }
    }
    if let Some(sql) = &member.transform {
        query(sql, &member.facts, told);
    }
    if let Some(when) = &member.delete_when {
        let how = match member.sink.delete {
            Some(DeleteHow::Soft) => "are marked in `_deleted`",
            Some(DeleteHow::Hard) | None => "are removed from the target",
        };
        told.line("deletes", &format!("rows with {} {how}", when.text.trim()));
    }
    sink(project, &member.sink, told);
    told.line("slices", &slices(member.slice));
    told.line("bad rows", &bad_rows(member.bad_rows));
    told.line("delivery", &member.delivery.to_string());
    foot(&pipeline.info, told);
}

fn explain_mart(project: &Project, mart: &Mart, member: &MartMember, told: &mut Told) {
    head(&mart.info, told);
    match &member.output {
        MartOutput::Table { sql, sink: spec, windows, checks, .. } => {
            query(sql, &member.facts, told);
            if let Some(windows) = windows {
                told.line("windows", &windows_text(windows));
            }
            sink(project, spec, told);
            for check in checks {
                let what = if check.severity == Severity::Block { "blocks" } else { "warns" };
                told.line("check", &format!("{} ({what})", check.name));
            }
        }
        MartOutput::Workbook(workbook) => explain_workbook(project, workbook, &member.facts, told),
    }
    foot(&mart.info, told);
}

fn explain_workbook(project: &Project, workbook: &Workbook, facts: &Facts, told: &mut Told) {
    let file = workbook.file.strip_prefix(&project.root).unwrap_or(&workbook.file);
    told.line("writes", &format!("workbook {}", file.display()));
    if !workbook.with.is_empty() {
        told.line("with", &with(&workbook.with));
    }
    for sheet in &workbook.sheets {
        told.line("sheet", &format!("{} ({})", sheet.name, counted(sheet.charts.len() as u64, "chart")));
        query(&sheet.sql, facts, told);
    }
}

fn windows_text(windows: &Windows) -> String {
    let mut parts = vec![format!("one {} each by {}", serde_word(&windows.grain), windows.column)];
    parts.push(format!("from {} on", windows.at(windows.start)));
    if !windows.lookback.get().is_zero() {
        parts.push(format!("those of the last {} again each time", windows.lookback));
    }
    if windows.batch_size > 1 {
        parts.push(format!("up to {} by one query", windows.batch_size));
    }
    parts.push(if windows.current { "the current one too" } else { "without the current one" }.to_owned());
    parts.push(
        match windows.on_change {
            OnChange::Rebuild => "stale ones are built again by the next run",
            OnChange::Mark => "stale ones wait for `backfill`",
            OnChange::ForwardOnly => "a changed query is for new ones only",
        }
        .to_owned(),
    );
    parts.join(", ")
}

fn with(with: &IndexMap<String, With>) -> String {
    let one = |(name, value): (&String, &With)| match value {
        With::Period(period) => format!("{name} = {period}"),
        With::Value(value) => format!("{name} = {value}"),
    };
    with.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn table_source(project: &Project, spec: &SourceSpec, told: &mut Told) {
    let config = project.connections.get(&spec.connection);
    let kind = config.map_or("", ConnectionConfig::kind);
    let schema = spec.schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
    let in_ranges =
        |config: &ConnectionConfig| matches!(config.source_facts(spec).reading, Reading::Ranges(_));
    let order = match &spec.cursor {
        Some(cursor) => cursor_text(cursor),
        None if spec.whole => "the whole table, one generation at a time".to_owned(),
        None if config.is_some_and(ConnectionConfig::is_log) => "a log, by offset".to_owned(),
        None if config.is_some_and(in_ranges) => "what was added since the last time".to_owned(),
        None => "the whole table, one generation at a time".to_owned(),
    };
    told.line("reads", &format!("{}.{schema}{} ({kind}), {order}", spec.connection, spec.table));
    if let Some(contract) = &spec.contract {
        let columns = counted(contract.columns.len() as u64, "column");
        told.line("contract", &format!("{columns}; others: {}", serde_word(&contract.unlisted)));
    }
}

fn cursor_text(cursor: &CursorSpec) -> String {
    let mut parts = vec![format!("by cursor {}", cursor.column)];
    parts.extend(cursor.tie.iter().map(|tie| format!("tie {tie}")));
    parts.extend(cursor.overlap.map(|overlap| match overlap {
        Overlap::Span(span) => format!("the last {span} again each time"),
        Overlap::Steps(steps) => format!("the last {} again each time", count(steps)),
    }));
    parts.extend(cursor.start.iter().map(|start| format!("from {start} on")));
    parts.join(", ")
}

fn query(sql: &Sql, facts: &Facts, told: &mut Told) {
    let label = if sql.native { "native SQL" } else { "SQL" };
    told.line(label, sql.text.trim_matches('\n').trim_end());
    let used: Vec<String> = facts
        .iter()
        .filter(|(name, _)| sql.text.contains(&format!(":{name}")))
        .map(|(name, value)| format!(":{name} = {value}"))
        .collect();
    if !used.is_empty() {
        told.line("parameters", &used.join(", "));
    }
}

fn sink(project: &Project, spec: &SinkSpec, told: &mut Told) {
    let kind = project.connections.get(&spec.connection).map_or("", ConnectionConfig::kind);
    let schema = spec.schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
    let key = if spec.key.is_empty() { String::new() } else { format!(" by {}", spec.key.join(", ")) };
    let own: Vec<String> =
        spec.partition.iter().map(|(column, value)| format!("{column} = {value}")).collect();
    let own = if own.is_empty() { String::new() } else { format!(", of rows with {}", own.join(" and ")) };
    told.line(
        "writes",
        &format!("{}.{schema}{} ({kind}), {}{key}{own}", spec.connection, spec.table, spec.mode),
    );
    let change = match spec.on_schema_change {
        OnSchemaChange::Fail => "the run fails before anything is written",
        OnSchemaChange::Evolve => "new columns are added, types widened",
        OnSchemaChange::Ignore => "new columns are left out, and counted",
    };
    told.line("other columns", change);
}

fn slices(limit: SliceLimit) -> String {
    format!("up to {} or {} MiB, one commit each", counted(limit.rows, "row"), limit.bytes >> 20)
}

fn bad_rows(bad: BadRows) -> String {
    let policy = match bad.policy {
        BadRowPolicy::Stop => "stop the slice before it is written",
        BadRowPolicy::DeadLetter => "are put aside as dead letters",
        BadRowPolicy::Skip => "are left out, and counted",
    };
    match bad.max_share {
        Some(share) => format!("{policy}; more than {} % of a run stop it", share * 100.0),
        None => policy.to_owned(),
    }
}

/// What starts it, and what becomes of instants that it cannot keep.
fn starts(schedule: Option<&Schedule>) -> String {
    let Some(schedule) = schedule else { return "by hand".to_owned() };
    let missed = match schedule.misfire {
        Misfire::Once => "missed ones together once",
        Misfire::Skip => "missed ones not at all",
        Misfire::All => "missed ones each",
    };
    let meanwhile = match schedule.concurrency {
        Concurrency::Skip => "left out and counted while it still runs",
        Concurrency::Queue => "afterwards while it still runs",
    };
    if let Some(timing) = schedule::timing(&schedule.trigger) {
        return format!("{}; {missed}; {meanwhile}", schedule::describe(&timing));
    }
    match &schedule.trigger {
        Trigger::AfterInputs => {
            "each time that what it reads has written something, once for those that run together; member by member"
                .to_owned()
        }
        Trigger::After(jobs) => {
            let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
            format!("after {}, member by member", jobs.join(", "))
        }
        Trigger::Continuous => "all the time, as soon as its source has something new".to_owned(),
        // A checked project names no time that never comes.
        Trigger::Every(_) | Trigger::Cron { .. } => "never".to_owned(),
    }
}

fn neighbours(lineage: &Lineage, node: &Node, told: &mut Told) {
    let before: Vec<String> = node.upstream.iter().map(|index| name_of(&lineage.nodes[*index])).collect();
    if !before.is_empty() {
        told.line("comes after", &before.join(", "));
    }
    let own = lineage.find(&node.job, &node.member);
    let after = lineage.nodes.iter().filter(|other| own.is_some_and(|own| other.upstream.contains(&own)));
    let after: Vec<String> = after.map(name_of).collect();
    if !after.is_empty() {
        told.line("is read by", &after.join(", "));
    }
}

/// The word that users write for a choice.
fn serde_word(choice: &impl serde::Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
