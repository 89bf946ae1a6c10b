//! `test`: unit tests, in process. Kinds of tests come together in [`cases`]; how they are told does not know of kinds.

mod junit;
mod told;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use self::told::Fault;
use super::{
    context::{self, Context},
    failure::{Exit, Failure, Result},
    interrupt::unless_interrupted,
    output::{self, counted, screen},
    selection::{self, Selection},
};
use crate::{
    config::{TestsOf, project::Project, unit_test::UnitTest},
    run::unit_test,
};

const EXAMPLES: &str = "\
Examples:
  vitrina test                                   all of them
  vitrina test actions_to_warehouse 'tag:crm'    those of some pipelines and marts
  vitrina test --name 'test actions stay out'    one, by its name
  vitrina test --format junit > tests.xml        for a build server

A [[test]] of a pipeline's or mart's file gives rows and says what must come of them. The run is the real one, over
tables in memory: nothing is connected to, variables may be unset. See docs/testing.md.";

/// Options of `test`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", selection::HELP))]
pub(super) struct Args {
    /// Whose tests; everybody's unless told
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Tests whose name contains this
    #[arg(long = "name", value_name = "TEXT")]
    called: Option<String>,

    /// How results are told
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For people: what differs, as a table
    #[default]
    Text,
    /// name, of, path, line, passed, seconds, failures
    Json,
    /// For build servers: JUnit XML
    Junit,
}

/// A test that may be run, of whatever kind.
enum Case {
    /// Of a pipeline or mart.
    Job(UnitTest),
}

/// What came of a test, of whatever kind.
struct Ran {
    name: String,
    /// What was tested.
    of: String,
    /// The place of the test.
    path: String,
    line: usize,
    took: Duration,
    faults: Vec<Fault>,
}

/// Runs the command.
pub(super) async fn run(args: &Args, context: &Context) -> Result {
    let (project, _) = context::offline(context, TestsOf::EveryJob)?;
    let mut cases = cases(&project, args)?;
    if let Some(part) = &args.called {
        cases.retain(|case| case.name().contains(part));
    }
    let ran = unless_interrupted(run_all(&project, cases, context)).await?;
    match args.format {
        Format::Text => ran.iter().try_for_each(|ran| told::text(ran, context.output))?,
        Format::Json => output::print(&format!("{:#}", Value::Array(ran.iter().map(json).collect())))?,
        Format::Junit => output::print(&junit::report(&project.name, &ran))?,
    }
    let failed = ran.iter().filter(|ran| !ran.faults.is_empty()).count();
    let summary = match (ran.len(), failed) {
        (0, _) => "there are no tests".to_owned(),
        (all, 0) => format!("{} passed", counted(all as u64, "test")),
        (all, failed) => format!("{}: {} passed, {failed} failed", counted(all as u64, "test"), all - failed),
    };
    context.output.say(&summary);
    if failed == 0 { Ok(()) } else { Err(Failure::told(Exit::Problems)) }
}

/// Every test that the names mean, in the order of files.
fn cases(project: &Project, args: &Args) -> Result<Vec<Case>> {
    let selection = Selection::named(project, &args.names)?;
    let selected: Vec<_> = selection.members();
    let chosen =
        |test: &&UnitTest| selected.iter().any(|(job, member)| *job == test.job && *member == test.member);
    Ok(project.tests.iter().filter(chosen).cloned().map(Case::Job).collect())
}

/// Runs tests, some at once; results come in the order of the tests.
async fn run_all(project: &Arc<Project>, cases: Vec<Case>, context: &Context) -> Result<Vec<Ran>> {
    let bar = if context.output.shows_bars() {
        let style = ProgressStyle::with_template("{pos}/{len} {bar:30} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        screen().add(ProgressBar::new(cases.len() as u64).with_style(style))
    } else {
        ProgressBar::hidden()
    };
    let mut running = stream::iter(cases)
        .map(|case| {
            let (project, bar) = (Arc::clone(project), bar.clone());
            let task = tokio::spawn(async move {
                let ran = case.run(&project).await;
                bar.inc(1);
                ran
            });
            async move { task.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) }
        })
        .buffered(project.parallel.max(1));
    let mut ran = vec![];
    while let Some(next) = running.next().await {
        ran.push(next?);
    }
    bar.finish_and_clear();
    screen().remove(&bar);
    Ok(ran)
}

impl Case {
    fn name(&self) -> &str {
        match self {
            Self::Job(test) => &test.name,
        }
    }

    async fn run(&self, project: &Project) -> Result<Ran> {
        match self {
            Self::Job(test) => {
                let verdict = unit_test::run(project, test).await?;
                Ok(Ran {
                    name: test.name.clone(),
                    of: project.track(&test.job, &test.member).name(),
                    path: test.path.display().to_string(),
                    line: test.line,
                    took: verdict.took,
                    faults: verdict.failures.into_iter().map(Fault::from).collect(),
                })
            }
        }
    }
}

impl Ran {
    fn passed(&self) -> bool {
        self.faults.is_empty()
    }

    /// `pipelines/orders.toml:12`
    fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }
}

fn json(ran: &Ran) -> Value {
    json!({
        "name": ran.name,
        "of": ran.of,
        "path": ran.path,
        "line": ran.line,
        "passed": ran.passed(),
        "seconds": ran.took.as_secs_f64(),
        "failures": ran.faults.iter().map(Fault::json).collect::<Vec<_>>(),
    })
}
