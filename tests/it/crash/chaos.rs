//! Runs that something happens to, over every pair of places, while the bot goes on writing.
//!
//! `scripts/chaos` plays more rounds of the same and prints a table.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::{
    Took,
    faults::{Fault, Round},
    places::{Lane, Pair, Place},
    site::{Site, add_rows},
};

/// Rounds of one pair in the tests: it is killed once, and dies at a failpoint once.
const ROUNDS: usize = 2;
/// Projects that are played at once.
const AT_ONCE: usize = 2;
/// Rounds of one project; the next begin with a new one, so that targets stay small, and each pair gets on when time is short.
const OF_ONE_PROJECT: usize = 7;
/// How often a fault may be tried without meeting a run, which shows that it cannot.
const IN_VAIN: usize = 5;

/// Faults that need servers of their own or another process, and pairs that they can happen to.
const OTHERS: [(Place, Place, &[Fault]); 3] = [
    (Place::Kafka, Place::Postgres, &[Fault::Timeout, Fault::Coordinator]),
    (Place::Sqlite, Place::Clickhouse, &[Fault::Server, Fault::Cut]),
    (Place::Delta, Place::Delta, &[Fault::Rival]),
];

/// What is to be played.
struct Plan {
    pairs: Vec<Pair>,
    faults: Vec<Fault>,
    /// Of each pair.
    rounds: usize,
    seed: u64,
    /// No round begins after this.
    until: Option<Instant>,
}

/// What came of a pair.
#[derive(Debug, Default, Clone)]
struct Outcome {
    rounds: usize,
    /// By the fault: rounds that were played, and those in which it met the run.
    faults: [(usize, usize); Fault::ALL.len()],
    rows: usize,
    failed: Vec<String>,
}

/// What is played comes from the environment where `scripts/chaos` plays; a table goes to standard output.
#[test]
fn whatever_happens_loses_and_doubles_nothing() {
    let _told = Took::new("chaos");
    let plan = Plan::of_environment();
    let outcomes = plan.play();
    println!("{}", plan.table(&outcomes));
    let failed: Vec<_> =
        plan.pairs.iter().zip(&outcomes).filter(|(_, found)| !found.failed.is_empty()).collect();
    assert!(failed.is_empty(), "seed {}: {failed:#?}", plan.seed);
    for (at, fault) in Fault::ALL.iter().enumerate() {
        let sum = |which: fn((usize, usize)) -> usize| {
            outcomes.iter().map(|found| which(found.faults[at])).sum::<usize>()
        };
        let (played, met) = (sum(|(played, _)| played), sum(|(_, met)| met));
        assert!(
            met > 0 || played < IN_VAIN,
            "seed {}: none of {played} {} met a run",
            plan.seed,
            fault.name()
        );
    }
}

/// What happens to servers and beside them: each until it met a run, over a pair that it can happen to.
#[test]
fn every_other_fault_meets_a_run_and_loses_nothing() {
    let _told = Took::new("chaos by every other fault");
    let seed = rand::rng().random();
    for (from, into, faults) in OTHERS {
        let pair = Pair { from, into };
        let lane = Lane::default();
        let mut played = Played::begin(&lane, pair, StdRng::seed_from_u64(seed));
        for fault in faults {
            let mut meets = || {
                let met = played.round(*fault);
                played.compare(*fault, met);
                met
            };
            assert!((0..IN_VAIN).any(|_| meets()), "seed {seed}: no {} met a run of {pair}", fault.name());
        }
        played.site.check();
    }
}

/// Those that are named, or all.
fn chosen<T: Copy>(all: &[T], names: &str, name: impl Fn(&T) -> String) -> Vec<T> {
    let wanted: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    let found: Vec<T> =
        all.iter().filter(|one| wanted.is_empty() || wanted.contains(&name(one).as_str())).copied().collect();
    let known = || all.iter().map(&name).collect::<Vec<_>>().join(", ");
    assert!(wanted.is_empty() || found.len() == wanted.len(), "`{names}` is not among {}", known());
    found
}

impl Plan {
    fn of_environment() -> Self {
        let setting = |name: &str| std::env::var(format!("VITRINA_CHAOS_{name}")).unwrap_or_default();
        let number = |name: &str| {
            Some(setting(name)).filter(|text| !text.is_empty()).map(|text| text.parse::<u64>().expect(name))
        };
        // Among all tests the program dies, which harms no server; the rest is played by the tool, and by the test of every other fault.
        let faults = Some(setting("FAULTS")).filter(|names| !names.is_empty());
        let faults = faults.unwrap_or_else(|| [Fault::Kill, Fault::Point].map(Fault::name).join(","));
        Self {
            pairs: chosen(&Pair::all(), &setting("PAIRS"), |pair| {
                format!("{}-{}", pair.from.kind(), pair.into.kind())
            }),
            faults: chosen(&Fault::ALL, &faults, |fault| fault.name().to_owned()),
            rounds: number("ROUNDS").map_or(ROUNDS, |rounds| rounds as usize),
            seed: number("SEED").unwrap_or_else(|| rand::rng().random()),
            until: number("MINUTES").map(|minutes| Instant::now() + Duration::from_mins(minutes)),
        }
    }

    /// Plays a few projects of every pair at once, each on servers of its own; what came of each pair.
    fn play(&self) -> Vec<Outcome> {
        // One project of every pair, then another one of every pair.
        let projects: Vec<(usize, usize)> = (0..self.rounds)
            .step_by(OF_ONE_PROJECT)
            .flat_map(|first| (0..self.pairs.len()).map(move |pair| (pair, first)))
            .collect();
        let outcomes = Mutex::new(vec![Outcome::default(); self.pairs.len()]);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    let mut lane = Lane::default();
                    while let Some((pair, first)) = projects.get(next.fetch_add(1, Ordering::SeqCst)) {
                        if self.is_over() {
                            return;
                        }
                        let done = |at: usize, met: bool| {
                            let mut outcomes = held(&outcomes);
                            let (played, meetings) = &mut outcomes[*pair].faults[at];
                            *played += 1;
                            *meetings += usize::from(met);
                            outcomes[*pair].rounds += 1;
                        };
                        let played =
                            catch_unwind(AssertUnwindSafe(|| self.project(&lane, *pair, *first, done)));
                        let mut outcomes = held(&outcomes);
                        match played {
                            Ok(rows) => outcomes[*pair].rows += rows,
                            Err(why) => {
                                let why = why.downcast_ref::<String>().map_or("it panicked", String::as_str);
                                outcomes[*pair].failed.push(format!("from round {first}: {why}"));
                                // Nobody knows how it left its servers.
                                lane = Lane::default();
                            }
                        }
                        self.tell(*pair, &outcomes);
                    }
                });
            }
        });
        outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() > until)
    }

    fn tell(&self, pair: usize, outcomes: &[Outcome]) {
        let played: usize = outcomes.iter().map(|outcome| outcome.rounds).sum();
        let of = self.rounds * self.pairs.len();
        let failed: usize = outcomes.iter().map(|outcome| outcome.failed.len()).sum();
        eprintln!("chaos: {played} of {of} rounds, {failed} projects failed; {}", self.pairs[pair]);
    }

    /// Plays the rounds of one project of a pair; rows are compared after each, everything else at the end. Gives the rows.
    fn project(&self, lane: &Lane, pair: usize, first: usize, mut done: impl FnMut(usize, bool)) -> usize {
        let pair = self.pairs[pair];
        let deck = self.deck(pair);
        let mut played = Played::begin(lane, pair, self.random(pair, first));
        for fault in deck.iter().cycle().skip(first).take(OF_ONE_PROJECT.min(self.rounds - first)) {
            if self.is_over() {
                break;
            }
            let met = played.round(*fault);
            done(Fault::ALL.iter().position(|known| known == fault).unwrap_or_default(), met);
            played.compare(*fault, met);
        }
        played.site.check();
        played.site.found().len()
    }

    /// The faults that may happen to a pair, as the seed orders them.
    fn deck(&self, pair: Pair) -> Vec<Fault> {
        let mut deck: Vec<Fault> =
            self.faults.iter().copied().filter(|fault| fault.may_happen(pair)).collect();
        assert!(!deck.is_empty(), "nothing of what was chosen can happen to {pair}");
        deck.shuffle(&mut self.random(pair, usize::MAX));
        deck
    }

    /// What a project does by chance: the same, whichever other pairs are played.
    fn random(&self, pair: Pair, first: usize) -> StdRng {
        let mut hasher = DefaultHasher::new();
        (self.seed, pair.to_string(), first).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }

    /// Markdown.
    fn table(&self, outcomes: &[Outcome]) -> String {
        let names: Vec<&str> = self.faults.iter().map(|fault| fault.name()).collect();
        let mut text = format!(
            "| source → sink | rounds | {} | rows | lost or doubled |\n|---|---:|{}---:|---|\n",
            names.join(" | "),
            "---:|".repeat(names.len())
        );
        for (pair, outcome) in self.pairs.iter().zip(outcomes) {
            let cell = |fault: &Fault| {
                let at = Fault::ALL.iter().position(|known| known == fault).unwrap_or_default();
                if fault.may_happen(*pair) { outcome.faults[at].1.to_string() } else { "–".to_owned() }
            };
            let cells: Vec<String> = self.faults.iter().map(cell).collect();
            let Outcome { rounds, rows, failed, .. } = outcome;
            let result = if failed.is_empty() { "none" } else { "**FAILED**" };
            let _ = writeln!(text, "| {pair} | {rounds} | {} | {rows} | {result} |", cells.join(" | "));
        }
        text
    }
}

/// A project that something happens to, round by round.
struct Played<'a> {
    lane: &'a Lane,
    site: Site,
    /// How long a run takes that nothing happens to.
    whole: Duration,
    random: StdRng,
}

impl<'a> Played<'a> {
    fn begin(lane: &'a Lane, pair: Pair, random: StdRng) -> Self {
        let site = Site::on(pair, Some(lane));
        site.add(200);
        let begun = Instant::now();
        site.run_all();
        Self { lane, site, whole: begun.elapsed(), random }
    }

    /// Lets this happen to a run, and runs everything to its end; whether it met the run.
    fn round(&mut self, fault: Fault) -> bool {
        let pair = self.site.pair;
        if pair.from == Place::Generate {
            // New rows are made up once a minute: each round has the history to move.
            self.site = Site::on(pair, Some(self.lane));
        }
        let mut round = Round { lane: self.lane, whole: self.whole, random: &mut self.random };
        let met = while_writing(&mut self.site, |site| round.play(site, fault));
        let begun = Instant::now();
        self.site.settle();
        // Where the machine was busier before, a run that is waited for so long would be over.
        self.whole = self.whole.min(begun.elapsed());
        met
    }

    fn compare(&self, fault: Fault, met: bool) {
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| self.site.check_rows())) {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("after {} (met: {met}): {why}", fault.name());
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something while the bot writes: fast at first, and slower the longer it takes.
fn while_writing<T>(site: &mut Site, act: impl FnOnce(&mut Site) -> T) -> T {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (bot, done) = (site.source(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let bot = bot;
            let begun = Instant::now();
            while !done.load(Ordering::SeqCst) {
                add_rows(&bot, 3);
                thread::sleep(Duration::from_millis(40) + begun.elapsed() / 40);
            }
        });
        // The bot ends, whatever becomes of this.
        let _done = Done(&done);
        act(site)
    })
}
