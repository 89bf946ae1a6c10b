//! `report`: a report of bot.toml, as a reader of some roles would get it: its parts on the terminal, its pictures and files in a folder.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{
    context::Context,
    failure::{Exit, Failure, Result},
    interrupt,
    output::{self, Output, counted},
    runner,
    table::{Cell, Table},
};
use crate::{
    bot::{
        event::{DrillTo, Given, Picked, With},
        screen::{self, Block},
        words::Words,
    },
    config::bot::{ADMIN, Ask, AskKind, Bot, Report},
    model::{problem::nearest, value::Value},
    report::{
        access::Reader,
        run::{Answer, Failure as Refusal, Reports, Request},
        table,
    },
};

const EXAMPLES: &str = "Examples:
  vitrina report                                  the reports that there are
  vitrina report revenue
  vitrina report revenue --with period=last_month --with kind=premium --out answer
  vitrina report leads --role regional --user region=mrf1,mrf2";

/// Options of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The report; without, all are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Answers a question: period=last_month, region=mrf1,mrf2; defaults stand for the rest
    #[arg(long = "with", value_name = "QUESTION=VALUE", value_parser = pair)]
    with: Vec<(String, String)>,

    /// Read it as someone of this role [default: admin, who sees every row]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,

    /// What admins told of the reader: region=mrf1,mrf2
    #[arg(long = "user", value_name = "ATTRIBUTE=VALUES", value_parser = pair)]
    user: Vec<(String, String)>,

    /// Where pictures and files are put; without, they are named only
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    let bot = project.bot.as_ref().ok_or_else(|| {
        Failure::usage("the project has no bot.toml").hint("reports are described there: see docs/bot.md")
    })?;
    let Some(name) = &args.name else { return list(bot, context) };
    let report = bot.reports.get(name).ok_or_else(|| unknown(name, bot))?;
    let roles = if args.roles.is_empty() { vec![ADMIN.to_owned()] } else { args.roles.clone() };
    if let Some(role) = roles.iter().find(|role| !bot.roles.contains_key(*role)) {
        let near = nearest(role, bot.roles.keys().map(String::as_str));
        let failure = Failure::usage(format!("there is no role `{role}` in bot.toml"));
        return Err(near.map_or(failure, |near| {
            Failure::usage(format!("there is no role `{role}`")).hint(format!("did you mean `{near}`?"))
        }));
    }
    let split = |text: &String| text.split(',').map(str::to_owned).collect();
    let attributes: IndexMap<String, Vec<String>> =
        args.user.iter().map(|(name, values)| (name.clone(), split(values))).collect();
    let request = Request {
        report: name.clone(),
        with: with(report, &args.with),
        reader: Reader { roles, attributes },
        language: project.language,
        zone: project.zone,
        pictures: false,
    };
    let reports = Reports::new(runner::open(&project)?);
    let answer = reports.run(&request, &interrupt::listen()).await.map_err(told)?;
    show(&answer, args.out.as_deref(), context.output, &Words::new(&bot.texts, project.language))
}

fn list(bot: &Bot, context: &Context) -> Result {
    let mut table = Table::new(["report", "title", "roles", "asks"]);
    for report in bot.reports.values() {
        let asks: Vec<&str> = report.ask.keys().map(String::as_str).collect();
        table.row([
            Cell::from(report.name.as_str()),
            report.title.en.as_str().into(),
            report.roles.join(", ").as_str().into(),
            asks.join(", ").as_str().into(),
        ]);
    }
    table.print(context.output)
}

fn unknown(name: &str, bot: &Bot) -> Failure {
    let failure = Failure::usage(format!("there is no report `{name}` in bot.toml"));
    match nearest(name, bot.reports.keys().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`vitrina report` lists them"),
    }
}

/// Texts as the questions take them; what no question takes is refused when the report runs.
fn with(report: &Report, given: &[(String, String)]) -> With {
    let answer = |(name, text): &(String, String)| {
        let given = report.ask.get(name).map_or(Given::Any, |ask| answer_of(ask, text));
        (name.clone(), given)
    };
    given.iter().map(answer).collect()
}

fn answer_of(ask: &Ask, text: &str) -> Given {
    match &ask.kind {
        AskKind::Date(_) | AskKind::DateRange(_) => Given::Period(text.to_owned()),
        AskKind::Choice(choice) if text.is_empty() && choice.any.is_some() => Given::Any,
        AskKind::Choice(choice) => {
            let picked = |text: &str| Picked { value: Value::Text(text.to_owned()), title: String::new() };
            let texts: Vec<&str> = if choice.many { text.split(',').collect() } else { vec![text] };
            Given::Picked(texts.into_iter().map(picked).collect())
        }
        AskKind::Number(_) => Given::Value(match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Value::Int(whole),
            (_, Ok(number)) => Value::Float(number.into()),
            _ => Value::Text(text.to_owned()),
        }),
        AskKind::Text { .. } => Given::Value(Value::Text(text.to_owned())),
    }
}

fn told(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Unknown => Failure::usage("there is no such report"),
        Refusal::Refused(why) => Failure::problem(why).hint("another role may run it: --role"),
        Refusal::Wrong(wrong) => Failure::usage(wrong.to_string()),
        Refusal::TimedOut => {
            Failure { exit: Exit::World, ..Failure::problem("the report took longer than it may") }
                .hint("raise its `timeout`, or ask for a shorter period")
        }
        Refusal::Cancelled => Failure::interrupted(),
        Refusal::Failed(error) => error.into(),
    }
}

fn show(answer: &Answer, out: Option<&Path>, output: Output, words: &Words) -> Result {
    if let Some(folder) = out {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file("cannot make", folder, &error))?;
    }
    let mut left = false;
    for block in &answer.blocks {
        match block {
            Block::Text(text) => output::print(&text.plain_text())?,
            Block::Table(rows) => show_table(rows, output, words)?,
            Block::Picture(picture) => {
                left |= keep(out, &picture.name, output, |path| std::fs::write(path, &picture.png))?;
            }
            Block::File(file) => {
                left |=
                    keep(out, &file.name, output, |path| std::fs::copy(file.path.as_ref(), path).map(drop))?;
            }
        }
    }
    for DrillTo { label, report, .. } in &answer.drills {
        output.say(&format!("{label} leads to {report}"));
    }
    let from = if answer.cached { " (read before)" } else { "" };
    output.say(&format!("{}{from}", counted(answer.rows, "row")));
    if left {
        output.say("--out DIR keeps pictures and files");
    }
    Ok(())
}

fn show_table(rows: &screen::Table, output: Output, words: &Words) -> Result {
    let mut shown = Table::of_columns(rows.columns.iter().map(|head| (head.title.clone(), head.number)));
    for row in rows.rows.iter().chain([&rows.total]).filter(|row| !row.is_empty()) {
        shown.row(row.iter().map(|cell| Cell::from(cell.as_str())));
    }
    shown.print(output)?;
    table::more(rows, words).map_or(Ok(()), |more| output::print(&more))
}

/// Puts a file into the folder; whether it was left.
fn keep(
    out: Option<&Path>,
    name: &str,
    output: Output,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<bool> {
    let Some(folder) = out else {
        output::print(&format!("[{name}]"))?;
        return Ok(true);
    };
    let path = folder.join(name);
    write(&path).map_err(|error| Failure::file("cannot write", &path, &error))?;
    output.say(&format!("{} written", path.display()));
    Ok(false)
}
