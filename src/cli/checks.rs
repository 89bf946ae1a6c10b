//! `checks`: what the checks of marts said last; rows that break them, on request.

use serde_json::{Value, json};

use super::{
    context::Context,
    failure::Result,
    interrupt::unless_interrupted,
    output::{self, Tone, count},
    rows::{RowFormat, RowWriter},
    runner,
    selection::{self, Selection, name_of},
    table::{Cell, Table},
};
use crate::{
    config::{lineage::Node, project::Project},
    model::name::JobKind,
    run::Runtime,
    state::{builds::Checked, history::History},
};

const EXAMPLES: &str = "\
Examples:
  vitrina checks                                 of every mart, what its checks said last
  vitrina checks views --failed                  only those that do not hold
  vitrina checks views --sample 10               and up to 10 rows that break each of them

Rows are shown for --sample alone: the mart's query is run once more for the window at hand, and nothing is written.";

/// Options of `checks`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// These only
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Only checks that do not hold
    #[arg(long)]
    failed: bool,

    /// Show so many rows that break each check which does not hold
    #[arg(long, value_name = "N", conflicts_with = "format")]
    sample: Option<usize>,

    /// Results of each mart at most, the newest windows first
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,

    /// How they are told
    #[arg(long, value_enum, default_value_t)]
    format: super::Format,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let selection = Selection::named(&project, &args.names)?;
    let history = History::open(&project.state)?;
    let broken = args.failed || args.sample.is_some();
    let (mut all, mut cut) = (vec![], false);
    for node in selection.iter().filter(|node| node.kind == JobKind::Mart) {
        let mut checked = history.checks(&name_of(node), broken, args.limit.saturating_add(1))?;
        cut |= checked.len() > args.limit as usize;
        checked.truncate(args.limit as usize);
        all.push((node, checked));
    }
    drop(history);
    match args.format {
        super::Format::Json => {
            let all: Vec<Value> =
                all.iter().flat_map(|(_, checked)| checked).map(|checked| json!(checked)).collect();
            output::print(&format!("{:#}", Value::Array(all)))?;
        }
        super::Format::Text if all.iter().all(|(_, checked)| checked.is_empty()) => {
            context.output.say(if broken { "every check holds" } else { "nothing was checked yet" });
        }
        super::Format::Text => {
            table(&project, all.iter().flat_map(|(_, checked)| checked)).print(context.output)?;
        }
    }
    if cut {
        let left_out = format!(
            "older windows are left out: `--limit` shows more than {} results of each mart",
            args.limit
        );
        context.output.say(&left_out);
    }
    if let Some(limit) = args.sample {
        let runtime = runner::open(&project)?;
        for (node, checked) in &all {
            for checked in checked {
                unless_interrupted(sample(&runtime, node, checked, limit, context)).await?;
            }
        }
    }
    Ok(())
}

fn table<'a>(project: &Project, all: impl Iterator<Item = &'a Checked>) -> Table {
    let mut table = Table::new(["mart", "window", "check", "says", ">rows that break it", "at"]);
    for checked in all {
        let result = &checked.result;
        let says = match (result.broken, result.blocks) {
            (0, _) => Cell::new("holds", Tone::Good),
            (_, true) => Cell::new("blocks", Tone::Bad),
            (_, false) => Cell::new("warns", Tone::Warn),
        };
        let at = checked.at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string();
        table.row([
            checked.mart.as_str().into(),
            checked.window.as_str().into(),
            result.name.as_str().into(),
            says,
            count(result.broken).into(),
            at.into(),
        ]);
    }
    table
}

async fn sample(
    runtime: &Runtime,
    node: &Node,
    checked: &Checked,
    limit: usize,
    context: &Context,
) -> Result {
    let Some(sample) = runtime.sample(&node.job, &node.member, checked, limit).await? else { return Ok(()) };
    let window =
        if sample.window.is_empty() { String::new() } else { format!(" in window {}", sample.window) };
    context.output.say(&format!("{}: rows that break \"{}\"{window}", checked.mart, sample.check));
    let target = std::io::BufWriter::new(std::io::stdout());
    let mut writer = RowWriter::new(RowFormat::Table, &sample.schema, context.output, target)?;
    for batch in &sample.batches {
        writer.write(batch)?;
    }
    writer.finish()
}
