//! Death at any moment, over every pair of places, while the bot goes on writing.
//!
//! `scripts/chaos` plays more rounds of the same and prints a table.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::site::{Pair, Place, Site, add_rows};

/// Rounds of one pair in the tests.
const ROUNDS: usize = 3;
/// Pairs that are played at once.
const AT_ONCE: usize = 2;
/// The bot writes no longer than this, whatever becomes of the test.
const WRITING: Duration = Duration::from_mins(5);
/// Rounds of one project; the next begin with a new one, so that targets stay small.
const OF_ONE_PROJECT: usize = 25;

/// What came of a pair.
#[derive(Debug, Default)]
struct Outcome {
    rounds: usize,
    deaths: usize,
    rows: usize,
    failed: Option<String>,
}

/// Pairs, rounds and seed come from the environment where `scripts/chaos` plays; a table goes to standard output.
#[test]
fn death_at_any_moment_loses_and_doubles_nothing() {
    let setting = |name: &str| std::env::var(format!("VITRINA_CHAOS_{name}")).ok();
    let number = |text: String| text.parse().expect("a number");
    let rounds = setting("ROUNDS").map_or(ROUNDS as u64, number);
    let seed = setting("SEED").map_or_else(|| rand::rng().random(), number);
    let outcomes = play(&pairs(&setting("PAIRS").unwrap_or_default()), rounds as usize, seed);
    println!("{}", table(&outcomes));
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.failed.is_some()).collect();
    assert!(failed.is_empty(), "seed {seed}: {failed:#?}");
    let deaths: usize = outcomes.iter().map(|(_, outcome)| outcome.deaths).sum();
    assert!(deaths > 0, "seed {seed}: every run ended before it was killed: {outcomes:#?}");
}

/// `sqlite-delta,kafka-postgres`; nothing means every pair.
fn pairs(chosen: &str) -> Vec<Pair> {
    let all = Place::ALL.into_iter().flat_map(|from| Place::ALL.map(|into| Pair { from, into }));
    let all = all.chain([Pair { from: Place::Sqlite, into: Place::Bucket }]);
    let named = |pair: &Pair| format!("{}-{}", pair.from.kind(), pair.into.kind());
    let wanted: Vec<&str> = chosen.split(',').filter(|name| !name.is_empty()).collect();
    let found: Vec<Pair> =
        all.filter(|pair| wanted.is_empty() || wanted.contains(&named(pair).as_str())).collect();
    assert!(wanted.is_empty() || found.len() == wanted.len(), "there is no such pair in `{chosen}`");
    found
}

/// Plays every pair, a few at once.
fn play(pairs: &[Pair], rounds: usize, seed: u64) -> Vec<(Pair, Outcome)> {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(Pair, Outcome)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(pair) = pairs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let outcome = rounds_of(*pair, rounds, seed);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((*pair, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(pair, _)| pairs.iter().position(|other| other == pair));
    outcomes
}

fn rounds_of(pair: Pair, rounds: usize, seed: u64) -> Outcome {
    let mut random = StdRng::seed_from_u64(seed);
    let mut outcome = Outcome::default();
    while outcome.rounds < rounds && outcome.failed.is_none() {
        let now = OF_ONE_PROJECT.min(rounds - outcome.rounds);
        match catch_unwind(AssertUnwindSafe(|| die_often(pair, now, &mut random))) {
            Ok((deaths, rows)) => {
                outcome.deaths += deaths;
                outcome.rows += rows;
            }
            Err(why) => {
                let why = why.downcast_ref::<String>().map_or("it panicked", String::as_str);
                outcome.failed = Some(why.to_owned());
            }
        }
        outcome.rounds += now;
    }
    outcome
}

/// Kills a project's runs at random moments, lets the last one end, and compares. Gives deaths and rows.
fn die_often(pair: Pair, rounds: usize, random: &mut StdRng) -> (usize, usize) {
    let whole = one_run(pair);
    let site = Site::new(pair);
    site.add(200);
    let done = AtomicBool::new(false);
    let deaths = thread::scope(|scope| {
        scope.spawn(|| {
            let bot = site.source();
            let began = Instant::now();
            while !done.load(Ordering::SeqCst) && began.elapsed() < WRITING {
                add_rows(&bot, 3);
                thread::sleep(Duration::from_millis(40));
            }
        });
        let mut deaths = 0;
        for _ in 0..rounds {
            let mut child =
                site.program(&["run", "--all"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(whole.mul_f64(random.random_range(0.05..1.0)));
            child.kill().unwrap();
            deaths += usize::from(!child.wait().unwrap().success());
        }
        done.store(true, Ordering::SeqCst);
        deaths
    });
    site.run_all();
    site.check();
    (deaths, site.found().len())
}

/// How long a run takes that nobody kills.
fn one_run(pair: Pair) -> Duration {
    let site = Site::new(pair);
    site.add(200);
    let started = Instant::now();
    site.run_all();
    started.elapsed()
}

/// Markdown.
fn table(outcomes: &[(Pair, Outcome)]) -> String {
    let mut text =
        "| source → sink | rounds | deaths | rows | lost or doubled |\n|---|---:|---:|---:|---|\n".to_owned();
    for (pair, Outcome { rounds, deaths, rows, failed }) in outcomes {
        let result = if failed.is_some() { "**FAILED**" } else { "none" };
        let _ = writeln!(text, "| {pair} | {rounds} | {deaths} | {rows} | {result} |");
    }
    text
}
