//! `preview`: the rows that a run would write, without writing any.

use indexmap::IndexMap;

use super::{
    context::Context,
    failure::{Failure, Result},
    interrupt::unless_interrupted,
    output::{self, Tone, counted, printable},
    rows::{RowFormat, RowWriter},
    run::parameter,
    runner,
    selection::{self, Selection},
};
use crate::run::preview::Preview;

const EXAMPLES: &str = "\
Examples:
  vitrina preview actions_to_warehouse/mrf1
  vitrina preview revenue --limit 100 --format csv > revenue.csv
  vitrina preview actions_dashboard --sheet 'По дням' --with period=2026-01

A pipeline shows the rows that its next run would begin with, after its SQL; a mart what its query
gives now. Nothing is written.";

/// Options of `preview`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// What to look at; of several members, the first
    #[arg(value_name = "NAME")]
    name: String,

    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,

    /// One sheet of a workbook
    #[arg(long, value_name = "SHEET")]
    sheet: Option<String>,

    /// A parameter of a workbook's [with]
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    with: Vec<(String, String)>,

    /// How rows are told
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    format: RowFormat,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let (selection, others) = Selection::first(&project, &args.name)?;
    let Some((job, member)) = selection.members().into_iter().next() else {
        return Err(Failure::usage("there is nothing to look at"));
    };
    if others > 0 {
        let name = selection.names().join("");
        context.output.say(&format!("{name}, the first of {}", counted(others as u64 + 1, "member")));
    }
    let runtime = runner::open(&project)?;
    let with: IndexMap<String, String> = args.with.iter().cloned().collect();
    let previews =
        unless_interrupted(async { Ok(runtime.preview(&job, &member, args.limit as usize, &with).await?) })
            .await?;
    let previews = chosen(previews, args)?;
    for preview in &previews {
        show(preview, previews.len() > 1, args.format, context)?;
    }
    Ok(())
}

/// The sheet that is asked for; several at once are for reading only.
fn chosen(previews: Vec<Preview>, args: &Args) -> Result<Vec<Preview>> {
    let titles: Vec<String> = previews.iter().map(|preview| preview.title.clone()).collect();
    let sheets = || format!("sheets: {}", titles.join(", "));
    match &args.sheet {
        Some(wanted) => {
            let found: Vec<Preview> =
                previews.into_iter().filter(|preview| preview.title == *wanted).collect();
            if found.is_empty() {
                return Err(Failure::usage(format!("there is no sheet `{wanted}`")).hint(sheets()));
            }
            Ok(found)
        }
        None if previews.len() > 1 && args.format != RowFormat::Table => {
            Err(Failure::usage("several sheets do not fit one file: choose with --sheet").hint(sheets()))
        }
        None => Ok(previews),
    }
}

fn show(preview: &Preview, titled: bool, format: RowFormat, context: &Context) -> Result {
    if titled {
        output::print(&context.output.results.paint(&printable(&preview.title), Tone::Strong))?;
    }
    let target = std::io::BufWriter::new(std::io::stdout());
    let mut writer = RowWriter::new(format, &preview.schema, context.output, target)?;
    for batch in &preview.batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    for bad in &preview.bad {
        let column = bad.column.as_ref().map_or(String::new(), |column| format!("column `{column}`: "));
        let line = format!("row {} is bad: {column}{}", bad.ordinal + 1, bad.reason);
        context.output.say(&printable(&line));
    }
    Ok(())
}
