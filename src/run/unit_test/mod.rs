//! Unit tests: the run that always is, over tables in memory that hold what the test gives, by a clock that stands still.

pub mod diff;
mod sandbox;

use std::{sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

use self::diff::{Diff, compare};
use super::{
    RunOptions, Runtime,
    event::{Event, Observer, Outcome, RunState},
    windows::Backfill,
};
use crate::{
    config::{
        project::{MartOutput, Project},
        unit_test::{Expect, ExpectedTable, UnitTest},
    },
    connector::{
        error::{Error, ErrorKind, Result},
        memory::TableName,
    },
    model::{
        name::Track,
        time::{Clock, FixedClock},
    },
};
use sandbox::Sandbox;

/// Rows that a test's result may have: more is no unit.
const MOST_ROWS: usize = 2_000;
/// Dead letters that are told one by one.
const LETTERS_TOLD: u32 = 20;

/// What came of a test.
#[derive(Debug)]
pub struct Verdict {
    /// How long it took.
    pub took: Duration,
    /// What is not as it was expected; none = it passed.
    pub failures: Vec<Failure>,
}

/// Something that is not as it was expected.
#[derive(Debug)]
pub enum Failure {
    /// Rows differ.
    Rows {
        /// The sheet; `None` = the target.
        sheet: Option<String>,
        /// In what.
        diff: Diff,
    },
    /// Columns that are expected and do not come.
    Columns {
        /// The sheet; `None` = the target.
        sheet: Option<String>,
        /// Their names.
        missing: Vec<String>,
        /// The columns that come.
        found: Vec<String>,
    },
    /// Another number of rows became dead letters.
    DeadLetters {
        /// As many were expected.
        expected: u64,
        /// As many there are.
        found: u64,
        /// Why, the first of them.
        reasons: Vec<String>,
    },
    /// The run failed, and was expected not to, or otherwise.
    Failed {
        /// What was expected to be said.
        expected: Option<String>,
        /// What it said, with its hint.
        message: String,
    },
    /// The run ended well, and was expected to fail.
    Succeeded {
        /// What was expected to be said.
        expected: String,
    },
}

/// Runs a test. An error is one of this machine, not of the test.
pub async fn run(project: &Project, test: &UnitTest) -> Result<Verdict> {
    let began = std::time::Instant::now();
    let failures = match Sandbox::make(project, test)? {
        Ok(sandbox) => judge(&sandbox, test).await?,
        Err(message) => vec![Failure::Failed { expected: None, message }],
    };
    Ok(Verdict { took: began.elapsed(), failures })
}

async fn judge(sandbox: &Sandbox, test: &UnitTest) -> Result<Vec<Failure>> {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(test.now));
    let runtime = Runtime::open(Arc::clone(&sandbox.project), clock)?;
    sandbox.remember_target(&runtime, test).await?;
    let backfill = test.window.map(|day| Backfill { from: day, last: day, stale: false, anew: false });
    let options = RunOptions { with: test.with.clone(), backfill, ..RunOptions::default() };
    let members = [(test.job.clone(), test.member.clone())];
    let silent: Arc<dyn Observer> = Arc::new(Silent);
    let outcomes = runtime.run(&members, &options, &silent, &CancellationToken::new()).await;
    let Some(outcome) = outcomes.into_iter().next() else {
        return Err(Error::new(ErrorKind::Internal, format!("test `{}` ran nothing", test.name)));
    };
    match (&test.expect, &outcome.error) {
        (Expect::Error(expected), None) => Ok(vec![Failure::Succeeded { expected: expected.clone() }]),
        (Expect::Error(expected), Some(error)) => {
            let message = told(error);
            let expected = expected.trim();
            let is_said = message.contains(expected);
            Ok(if is_said {
                vec![]
            } else {
                vec![Failure::Failed { expected: Some(expected.to_owned()), message }]
            })
        }
        (Expect::Done { .. }, Some(error)) => {
            Ok(vec![Failure::Failed { expected: None, message: told(error) }])
        }
        (Expect::Done { rows, ordered, dead_letters }, None) => {
            let mut failures = letters(&runtime, &outcome, *dead_letters)?;
            failures.extend(tables(sandbox, &runtime, test, rows, *ordered).await?);
            Ok(failures)
        }
    }
}

/// Nobody looks on.
struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Track, _: &Event) {}
}

fn told(error: &Error) -> String {
    format!("{error}; {}", error.advice())
}

fn letters(runtime: &Runtime, outcome: &Outcome, expected: u64) -> Result<Vec<Failure>> {
    debug_assert_eq!(outcome.state, RunState::Done);
    let tracks = [outcome.track.key()];
    let counts = runtime.records().count(Some(&tracks)).map_err(Error::from)?;
    let found = counts.iter().map(|count| count.waiting).sum();
    if found == expected {
        return Ok(vec![]);
    }
    let letters = runtime.records().list(Some(&tracks), LETTERS_TOLD).map_err(Error::from)?;
    let reasons = letters.into_iter().map(|letter| {
        let column = letter.column.map_or(String::new(), |column| format!("column `{column}`: "));
        format!("row {}: {column}{}", letter.ordinal + 1, letter.reason)
    });
    Ok(vec![Failure::DeadLetters { expected, found, reasons: reasons.collect() }])
}

async fn tables(
    sandbox: &Sandbox,
    runtime: &Runtime,
    test: &UnitTest,
    expected: &[ExpectedTable],
    ordered: bool,
) -> Result<Vec<Failure>> {
    if expected.is_empty() {
        return Ok(vec![]);
    }
    let zone = sandbox.project.zone;
    let sheets = runtime.sheets(test).await?;
    let mut failures = vec![];
    for table in expected {
        let batches = match &table.sheet {
            None => sandbox.target(test).into_iter().collect(),
            Some(name) => {
                let sheet = sheets.iter().find(|(sheet, _)| sheet == name);
                sheet.map(|(_, batches)| batches.clone()).unwrap_or_default()
            }
        };
        failures.extend(rows(table, &batches, ordered, zone)?);
    }
    Ok(failures)
}

fn rows(table: &ExpectedTable, found: &[RecordBatch], ordered: bool, zone: Tz) -> Result<Option<Failure>> {
    let count: usize = found.iter().map(RecordBatch::num_rows).sum();
    if count > MOST_ROWS {
        let message = format!("the test makes {count} rows, at most {MOST_ROWS} are compared");
        return Err(Error::new(ErrorKind::Unsupported, message).hint("give it fewer rows"));
    }
    let sheet = table.sheet.clone();
    if let Some(first) = found.first() {
        let schema = first.schema();
        let names = table.rows.columns.iter().map(|column| &column.name);
        let missing: Vec<String> =
            names.filter(|name| schema.field_with_name(name).is_err()).cloned().collect();
        if !missing.is_empty() {
            let found = schema.fields().iter().map(|field| field.name().clone()).collect();
            return Ok(Some(Failure::Columns { sheet, missing, found }));
        }
    }
    let diff = compare(&table.rows, found, ordered, zone)?;
    Ok((!diff.rows.is_empty()).then_some(Failure::Rows { sheet, diff }))
}

impl Runtime {
    /// The rows of every sheet of a tested workbook; none of anything else.
    async fn sheets(&self, test: &UnitTest) -> Result<Vec<(String, Vec<RecordBatch>)>> {
        let mart = self.project().marts.get(&test.job);
        let member = mart.and_then(|mart| mart.members.iter().find(|member| member.member == test.member));
        if !member.is_some_and(|member| matches!(member.output, MartOutput::Workbook(_))) {
            return Ok(vec![]);
        }
        let previews = self.preview(&test.job, &test.member, MOST_ROWS + 1, &test.with).await?;
        Ok(previews.into_iter().map(|preview| (preview.title, preview.batches)).collect())
    }
}

impl Sandbox {
    /// What the run has written; `None` where nothing came, so that there is no table.
    fn target(&self, test: &UnitTest) -> Option<RecordBatch> {
        let (connection, table): (String, TableName) = self.target_of(test)?;
        self.store(&connection)?.rows(table)
    }
}
