//! `position`: looking at, and deliberately changing, how far a pipeline is.

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{
    context::{self, Context},
    failure::{Failure, Result},
    interrupt::unless_interrupted,
    output::{self, counted},
    runner,
    selection::{Selection, name_of},
    status::progress,
};
use crate::{
    config::lineage::Node,
    connector::error::Error,
    daemon::client::Client,
    run::{
        Runtime,
        position::{Change, Standing},
    },
};

const EXAMPLES: &str = "\
Examples:
  vitrina position show actions_to_stream
  vitrina position set actions_to_stream/mrf1 120000     up to and including 120000 counts as moved
  vitrina position set events '2026-01-31T10:00:00Z / 77' cursor and tie
  vitrina position set events '0: 5, 1: 7'               every partition of a topic
  vitrina position reset actions_to_stream/mrf1          the next run begins at the source's beginning
  vitrina position adopt orders                          the target's rows are what the source holds now

The position lies in the target, beside the rows. Changing it moves and deletes no row: after a reset an
append writes all rows again, a merge finds them by their keys.";

/// Options of `position`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Where it stands, where its source ends, what is left
    Show {
        /// What to look at
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// How it is told
        #[arg(long, value_enum, default_value_t)]
        format: super::Format,
    },
    /// Everything up to and including VALUE counts as moved
    Set {
        /// One member
        #[arg(value_name = "NAME")]
        name: String,
        /// A value of the cursor (or `cursor / tie`), or an offset
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Nothing counts as moved
    Reset {
        /// What to reset
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// The rows that the target holds are what the source holds up to now
    Adopt {
        /// What to adopt
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    match &args.action {
        Action::Show { names, format } => show(names, *format, context).await,
        Action::Set { name, value } => {
            change(std::slice::from_ref(name), &Change::Set(value.clone()), context).await
        }
        Action::Reset { names } => change(names, &Change::Reset, context).await,
        Action::Adopt { names } => change(names, &Change::Adopt, context).await,
    }
}

async fn show(names: &[String], format: super::Format, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, names)?;
    let runtime = runner::open(&project)?;
    let mut failed = None;
    let mut told = Vec::new();
    for node in selection.iter() {
        let name = name_of(node);
        let (standing, error) = unless_interrupted(async { Ok(standing_of(&runtime, node).await) }).await?;
        match (format, standing) {
            (super::Format::Text, Some(standing)) => output::print(&text(&name, &standing, project.zone))?,
            (super::Format::Json, Some(standing)) => told.push(as_json(&name, &standing)),
            (_, None) => {}
        }
        if let Some(error) = error {
            let failure = named(&name, error);
            failure.tell(context.output);
            failed = Some(failure.exit);
        }
    }
    if matches!(format, super::Format::Json) {
        output::print(&format!("{:#}", Value::Array(told)))?;
    }
    failed.map_or(Ok(()), |exit| Err(Failure::told(exit)))
}

/// Where a member stands. Where its source cannot tell, or refuses the position, what the target remembers
/// is told all the same: that is what somebody looks for then.
pub(super) async fn standing_of(runtime: &Runtime, node: &Node) -> (Option<Standing>, Option<Error>) {
    match runtime.standing(&node.job, &node.member).await {
        Ok(standing) => (Some(standing), None),
        Err(error) => {
            let record = runtime.record_of(&node.job, &node.member).await;
            let standing = record.ok().map(|record| Standing { record, head: None, next: None });
            (standing, Some(error))
        }
    }
}

async fn change(names: &[String], change: &Change, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, names)?;
    if matches!(change, Change::Set(_)) && selection.nodes.len() != 1 {
        return Err(Failure::usage(format!(
            "a position is set for one member, not for {}",
            selection.nodes.len()
        ))
        .hint(format!("one of {}", selection.names().join(", "))));
    }
    let served = context.daemon(&project).await.is_some();
    let _lock = if served { None } else { Some(context::lock(&project)?) };
    let runtime = runner::open(&project)?;
    for node in selection.iter() {
        // One request each.
        let daemon = if served { context.daemon(&project).await } else { None };
        change_one(&runtime, daemon, node, change).await?;
    }
    Ok(())
}

async fn change_one(runtime: &Runtime, daemon: Option<Client>, node: &Node, change: &Change) -> Result {
    let name = name_of(node);
    let before = runtime.record_of(&node.job, &node.member).await.map_err(|error| named(&name, error))?;
    let before = before.map_or_else(|| "no record".to_owned(), |record| progress(&record.progress));
    let record = match daemon {
        Some(daemon) => daemon.change_position(&node.job, &node.member, change).await,
        None => runtime.change_position(&node.job, &node.member, change).await,
    };
    let record = record.map_err(|error| named(&name, error))?;
    output::print(&format!("{name}: {before} → {}", progress(&record.progress)))
}

fn named(name: &str, error: Error) -> Failure {
    let failure = Failure::from(error);
    Failure { message: format!("{name}: {}", failure.message), ..failure }
}

fn text(name: &str, standing: &Standing, zone: Tz) -> String {
    let lines = describe(standing, zone).into_iter().map(|(label, value)| format!("  {label:<15}{value}"));
    std::iter::once(name.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Where a member stands, as labels and values; times are those of the zone's clocks.
pub(super) fn describe(standing: &Standing, zone: Tz) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match &standing.record {
        None => lines.push(("stands at", "nothing: it never ran".to_owned())),
        Some(record) => {
            lines.push(("stands at", progress(&record.progress)));
            let at = record.at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z");
            let rows = counted(record.rows, "row");
            lines.push(("last commit", format!("number {}, {at}, {rows}", record.seq)));
            if let Some(position) = record.progress.position() {
                let source = &position.source;
                lines.push(("source", format!("{} {}, by {}", source.kind, source.place, source.order)));
            }
        }
    }
    if let Some(head) = &standing.head {
        lines.push(("source ends at", head.to_string()));
        lines.push(("next", next(standing)));
    }
    lines
}

fn next(standing: &Standing) -> String {
    match &standing.next {
        None => "nothing new".to_owned(),
        Some(unit) => {
            let rows = unit.rows.map_or_else(|| "rows".to_owned(), |rows| counted(rows, "row"));
            format!("{rows}, up to {}", progress(&unit.after))
        }
    }
}

fn as_json(name: &str, standing: &Standing) -> Value {
    json!({
        "name": name,
        "record": standing.record,
        "head": standing.head,
        "next": standing.next.as_ref().map(|unit| json!({ "rows": unit.rows, "after": unit.after })),
    })
}
