//! `check`: every problem of the project at once.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::{IndexMap, IndexSet};

use super::{
    context::{Context, variable, width},
    failure::{Exit, Failure, Result},
    interrupt::unless_interrupted,
    online,
    output::{self, counted},
    runner,
};
use crate::{
    config::{self, Loaded, draw, project::Project},
    model::problem::{Problem, Severity},
};

const EXAMPLES: &str = "\
Examples:
  vitrina check
  vitrina check pipelines/orders.toml            problems of one file (the whole project is read)
  vitrina check --online --profile production    and the tables that others make, as they are now
  vitrina check --format json | jq '.[].code'    for editors and pipelines of checks

Every profile is proved, with variables unset. Nothing but the project's files is read: what is known of tables that
others make stands in schemas.lock (`vitrina schema pull`).";

/// Options of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Tell problems of these files and folders only
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Read the project's files only; it is what `check` does unless told
    #[arg(long, conflicts_with = "online")]
    offline: bool,

    /// Also ask the profile's connections: tables as they are now, rights, indexes, what queries would read
    #[arg(long)]
    online: bool,

    /// How problems are told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For people, with the place in the file
    #[default]
    Text,
    /// path, line, column, end_line, end_column, code, severity, message, hint
    Json,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let root = context.root()?;
    let mut loaded = config::check(&root, &context.global.profile, &variable);
    if args.online {
        unless_interrupted(online(&root, &mut loaded, context)).await?;
    }
    if !args.paths.is_empty() {
        let wanted = wanted(&root, &args.paths)?;
        loaded.problems.retain(|problem| wanted.iter().any(|path| problem.path.starts_with(path)));
        // What is asked for is these files, not what pipelines promise.
        loaded.project = None;
    }
    tracing::debug!(offline = args.offline, "checked {}", root.display());
    match args.format {
        Format::Json => output::print(&format!("{:#}", draw::json(&loaded.problems, &loaded.sources)))?,
        Format::Text => print_text(context, &loaded)?,
    }
    let errors = of(&loaded.problems, Severity::Error);
    if errors == 0 { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// Adds what the places of the profile answer now. What schemas.lock says of them counts no more.
async fn online(root: &Path, loaded: &mut Loaded, context: &Context) -> Result {
    let profile = context.global.profile.as_str();
    let project = config::load(root, profile, &variable);
    let found = match project.project {
        // The files themselves are wrong: no place is asked.
        None => project.problems,
        Some(project) => {
            let project = Arc::new(project);
            let runtime = runner::open(&project)?;
            let (lock, live) = online::ask(&runtime).await;
            config::check_live(root, profile, lock, live, &variable).problems
        }
    };
    // That a table is unknown is said of those only that were asked in vain.
    loaded.problems.retain(|problem| problem.severity != Severity::Note);
    for problem in found {
        let same = |known: &Problem| {
            let place = |problem: &Problem| (problem.path.clone(), problem.span.clone(), problem.code);
            // Offline, a problem may be of some profiles only, and says so at its end.
            place(known) == place(&problem) && known.message.starts_with(&problem.message)
        };
        if !loaded.problems.iter().any(same) {
            loaded.problems.push(problem);
        }
    }
    Ok(())
}

fn print_text(context: &Context, loaded: &Loaded) -> Result {
    for problem in &loaded.problems {
        let color = context.output.results.color;
        output::print(&draw::text(problem, &loaded.sources, color, width()))?;
    }
    let files = counted(loaded.sources.files.len() as u64, "file");
    let verdict = verdict(&loaded.problems);
    context.output.say(&format!("{files} checked: {verdict}"));
    if let Some(project) = loaded.project.as_ref().filter(|_| of(&loaded.problems, Severity::Error) == 0) {
        for promise in promises(project) {
            context.output.say(&promise);
        }
    }
    Ok(())
}

/// What pipelines promise, what that rests on, or why it is no more: a line for each promise, with those that make it.
fn promises(project: &Project) -> Vec<String> {
    let mut made: IndexMap<String, IndexSet<&str>> = IndexMap::new();
    for pipeline in project.pipelines.values() {
        for member in &pipeline.members {
            made.entry(member.delivery.to_string()).or_default().insert(pipeline.info.name.as_str());
        }
    }
    let line = |(promise, pipelines): (String, IndexSet<&str>)| {
        let names: Vec<&str> = pipelines.into_iter().collect();
        format!("  {promise}: {}", names.join(", "))
    };
    made.into_iter().map(line).collect()
}

fn verdict(problems: &[Problem]) -> String {
    let some = |severity: Severity| {
        let number = of(problems, severity);
        (number > 0).then(|| counted(number, &severity.to_string()))
    };
    let found: Vec<String> = [Severity::Error, Severity::Warning].into_iter().filter_map(some).collect();
    let told = if found.is_empty() { "no problems".to_owned() } else { found.join(", ") };
    match some(Severity::Note) {
        Some(notes) => format!("{told}, {notes}"),
        None => told,
    }
}

fn of(problems: &[Problem], severity: Severity) -> u64 {
    problems.iter().filter(|problem| problem.severity == severity).count() as u64
}

/// Paths as problems name them: relative to the project's folder.
fn wanted(root: &Path, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let root = root.canonicalize().map_err(|error| Failure::file("cannot find", root, &error))?;
    let relative = |path: &PathBuf| {
        // As the user stands, or as the project names it.
        let found = path.canonicalize().or_else(|_| root.join(path).canonicalize());
        let found = found.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let inside = found.strip_prefix(&root).map(Path::to_owned);
        inside.map_err(|_| Failure::usage(format!("{} is not a part of this project", path.display())))
    };
    paths.iter().map(relative).collect()
}
