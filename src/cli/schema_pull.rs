//! `schema pull`: asks for the columns of outside tables, and keeps them in `schemas.lock` for `check`.

use serde_json::json;

use super::{
    Format,
    context::{Context, width},
    failure::{Exit, Failure, Result, exit_of},
    interrupt::unless_interrupted,
    output::{self, counted},
    runner,
    table::Table,
};
use crate::{
    config::{
        self, draw,
        drift::{Difference, drift},
        lock::{FILE, Lock, LockedTable},
        project::Project,
    },
    run::outside::Asked,
};

const EXAMPLES: &str = "\
Examples:
  vitrina schema pull                            then commit schemas.lock
  vitrina schema pull --check                    exit code 1 where it is stale: nightly, in CI
  vitrina --profile production schema pull --connection crm_mrf1 crm_mrf2";

/// Options of `schema pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Ask these connections only; what is known of the others stays
    #[arg(long, value_name = "NAME", num_args = 1..)]
    connection: Vec<String>,

    /// Write nothing; tell what is other than in schemas.lock
    #[arg(long)]
    check: bool,

    /// How differences are told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let project = context.project()?;
    super::connections::known(&project, &args.connection)?;
    let old = old(&project, context)?;
    let asked = unless_interrupted(async {
        let runtime = runner::open(&project)?;
        Ok(runtime.outside(&args.connection).await)
    })
    .await?;
    let in_question = |table: &LockedTable| {
        table.profile == project.profile
            && (args.connection.is_empty() || args.connection.contains(&table.connection))
            && !asked.silent.contains(&table.connection)
    };
    let (before, kept): (Vec<_>, Vec<_>) = old.tables.iter().cloned().partition(in_question);
    let live: Vec<_> = asked.tables.iter().filter(|table| in_question(table)).cloned().collect();
    let differences = drift(&before, &live);
    tell(&differences, args, context)?;
    let new = Lock::of(kept.into_iter().chain(live).collect());
    if !args.check && !differences.is_empty() {
        let file = project.root.join(FILE);
        std::fs::write(&file, new.to_string())
            .map_err(|error| Failure::file("cannot write", &file, &error))?;
    }
    context.output.say(&verdict(&asked, &differences, args.check));
    conclude(&asked, &differences, args.check, context)
}

/// What the file says now. One that cannot be read is not written over: it may hold other profiles' tables.
fn old(project: &Project, context: &Context) -> Result<Lock> {
    let (lock, sources, problems) = config::read_lock(&project.root);
    for problem in &problems {
        output::complain(&draw::text(problem, &sources, context.output.messages.color, width()));
    }
    lock.ok_or_else(|| Failure::told(Exit::Problems))
}

fn tell(differences: &[Difference], args: &Args, context: &Context) -> Result {
    if args.format == Format::Json {
        return output::print(&format!("{:#}", json!(differences)));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["table", "column", "in schemas.lock", "now"]);
    for difference in differences {
        let schema = difference.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            format!("{}.{schema}{}", difference.connection, difference.table).into(),
            difference.column.clone().unwrap_or_default().into(),
            side(&difference.locked).into(),
            side(&difference.live).into(),
        ]);
    }
    table.print(context.output)
}

fn verdict(asked: &Asked, differences: &[Difference], check: bool) -> String {
    let tables = counted(asked.tables.len() as u64, "outside table");
    match (differences.len() as u64, check) {
        (0, _) => format!("{FILE} is up to date: {tables}"),
        (some, true) => {
            format!("{FILE} is stale: {}; `vitrina schema pull` renews it", counted(some, "difference"))
        }
        (some, false) => format!("{FILE} was written: {tables}, {}", counted(some, "difference")),
    }
}

/// Problems need somebody; what the world did may pass by itself.
fn conclude(asked: &Asked, differences: &[Difference], check: bool, context: &Context) -> Result {
    let mut exit = (check && !differences.is_empty()).then_some(Exit::Problems);
    for (table, error) in &asked.failed {
        let failure = Failure {
            exit: exit_of(error.kind),
            message: format!("{}.{}: {error}", table.connection, table.table),
            hint: Some(error.advice().to_owned()),
        };
        failure.tell(context.output);
        exit = Some(if exit == Some(Exit::Problems) { Exit::Problems } else { failure.exit });
    }
    exit.map_or(Ok(()), |exit| Err(Failure::told(exit)))
}
