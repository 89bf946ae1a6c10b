//! `dead-letters`: rows that were put aside: looking at them, reading them again, dropping them.

use serde_json::{Value, json};

use super::{
    context::{self, Context},
    failure::{Failure, Result},
    output::{self, counted, printable},
    runner,
    selection::{self, Selection},
    table::Table,
};
use crate::{
    config::project::Project,
    model::name::{JobName, Member},
    run::RunOptions,
    state::records::{Records, StoredLetter},
};

const EXAMPLES: &str = "\
Examples:
  vitrina dead-letters list
  vitrina dead-letters list actions_to_warehouse/mrf1 --limit 1000 --format json
  vitrina dead-letters show 17                   one row, as the source had it
  vitrina dead-letters replay actions_to_warehouse
                                                 read them again, after the contract or the SQL was mended
  vitrina dead-letters drop orders --id 17 --id 18
  vitrina dead-letters drop orders --all

Rows come here where a pipeline says bad_rows = \"dead_letter\". They wait until they are replayed or dropped.";

/// Options of `dead-letters`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Rows that wait, and why they are bad
    #[command(after_help = selection::HELP)]
    List {
        /// Rows of these only
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Rows at most, the oldest
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// How they are told
        #[arg(long, value_enum, default_value_t)]
        format: super::Format,
    },
    /// Whole rows, as the source had them
    Show {
        /// Their numbers, as `list` shows them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<i64>,
        /// How they are told
        #[arg(long, value_enum, default_value_t)]
        format: super::Format,
    },
    /// Read them again: rows that are good now go to the target, once
    #[command(after_help = selection::HELP)]
    Replay {
        /// Rows of these
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// How the result is told
        #[arg(long, value_enum, default_value_t)]
        format: super::Format,
    },
    /// Forget them
    #[command(after_help = selection::HELP)]
    Drop {
        /// Rows of these
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// One of them, by its number
        #[arg(long = "id", value_name = "ID", required_unless_present = "all")]
        ids: Vec<i64>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    match &args.action {
        Action::List { names, limit, format } => list(&project, names, *limit, *format, context),
        Action::Show { ids, format } => show(&project, ids, *format),
        Action::Drop { names, ids, all } => {
            let ids = if *all { None } else { Some(ids.as_slice()) };
            drop_letters(&project, names, ids, context).await
        }
        Action::Replay { names, format } => {
            let members = with_letters(&project, names)?;
            if members.is_empty() {
                context.output.say("no dead letters wait");
                return Ok(());
            }
            let options = RunOptions { replay: true, ..RunOptions::default() };
            let outcomes = runner::run_members(context, &project, &members, &options).await?;
            runner::tell(&outcomes, *format, context.output)
        }
    }
}

fn list(project: &Project, names: &[String], limit: u32, format: super::Format, context: &Context) -> Result {
    let records = Records::open(&project.state)?;
    let tracks = if names.is_empty() { None } else { Some(keys(project, names)?) };
    let letters = records.list(tracks.as_deref(), limit)?;
    if matches!(format, super::Format::Json) {
        let all: Vec<Value> = letters.iter().map(|letter| as_json(project, letter)).collect();
        return output::print(&format!("{:#}", Value::Array(all)));
    }
    let waiting: u64 = records.count(tracks.as_deref())?.iter().map(|count| count.waiting).sum();
    if letters.is_empty() {
        context.output.say("no dead letters wait");
        return Ok(());
    }
    let mut table = Table::new([">id", "name", "judged at", "column", "why"]);
    for letter in &letters {
        table.row([
            letter.id.to_string().into(),
            name(project, letter).into(),
            letter.at.with_timezone(&project.zone).format("%Y-%m-%d %H:%M:%S").to_string().into(),
            letter.column.as_deref().unwrap_or_default().into(),
            letter.reason.as_str().into(),
        ]);
    }
    table.print(context.output)?;
    if waiting > letters.len() as u64 {
        context.output.say(&format!("… of {}; --limit shows more", counted(waiting, "dead letter")));
    }
    Ok(())
}

fn show(project: &Project, ids: &[i64], format: super::Format) -> Result {
    let records = Records::open(&project.state)?;
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let letter = records.get(*id)?.ok_or_else(|| {
            Failure::usage(format!("there is no dead letter {id}"))
                .hint("`vitrina dead-letters list` shows them")
        })?;
        letters.push(letter);
    }
    match format {
        super::Format::Json => {
            let all: Vec<Value> = letters.iter().map(|letter| as_json(project, letter)).collect();
            output::print(&format!("{:#}", Value::Array(all)))
        }
        super::Format::Text => letters.iter().try_for_each(|letter| output::print(&text(project, letter))),
    }
}

fn text(project: &Project, letter: &StoredLetter) -> String {
    let column = letter.column.as_ref().map_or(String::new(), |column| format!("column `{column}`: "));
    let mut lines = vec![
        format!("{} of {}, {}", letter.id, name(project, letter), letter.state.as_str()),
        format!("  {}{}", printable(&column), printable(&letter.reason)),
    ];
    let width = letter.row.keys().map(|key| key.chars().count()).max().unwrap_or(0);
    for (column, value) in &letter.row {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let gap = " ".repeat(width - column.chars().count());
        lines.push(format!("    {}{gap}  {}", printable(column), printable(&value)));
    }
    lines.join("\n")
}

async fn drop_letters(project: &Project, names: &[String], ids: Option<&[i64]>, context: &Context) -> Result {
    let tracks = keys(project, names)?;
    let dropped = if let Some(daemon) = context.daemon(project).await {
        daemon.drop_letters(&tracks, ids).await?
    } else {
        let _lock = context::lock(project)?;
        Records::open(&project.state)?.drop_letters(&tracks, ids)?
    };
    output::print(&format!("{} dropped", counted(dropped, "dead letter")))
}

/// Track keys that names mean.
fn keys(project: &Project, names: &[String]) -> Result<Vec<String>> {
    let members = Selection::named(project, names)?.members();
    Ok(members.iter().flat_map(|(job, member)| tracks(project, job, member)).collect())
}

/// A member's own track, and the one of its replays: a letter that fails again belongs to that.
fn tracks(project: &Project, job: &JobName, member: &Member) -> [String; 2] {
    let key = project.track(job, member).key();
    [key.clone(), key + "/replay"]
}

/// Members of pipelines that have letters waiting.
fn with_letters(project: &Project, names: &[String]) -> Result<Vec<(JobName, Member)>> {
    let waiting = Records::open(&project.state)?.count(None)?;
    let has = |(job, member): &(JobName, Member)| {
        let tracks = tracks(project, job, member);
        waiting.iter().any(|count| tracks.contains(&count.track) && count.waiting > 0)
    };
    Ok(Selection::named(project, names)?.members().into_iter().filter(has).collect())
}

/// The name that users write: the track's key without the project.
fn name<'a>(project: &Project, letter: &'a StoredLetter) -> &'a str {
    let own = letter.track.strip_prefix(project.name.as_str()).and_then(|rest| rest.strip_prefix(':'));
    own.unwrap_or(&letter.track)
}

fn as_json(project: &Project, letter: &StoredLetter) -> Value {
    let mut value = json!(letter);
    value["name"] = json!(name(project, letter));
    value
}
