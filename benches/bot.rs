//! `cargo bench --bench bot [-- USERS MESSAGES]`: the whole bot over the fake Telegram.
//!
//! - users: so many ask for a report at once, and one after another at their leisure: how long after their word the answer is at Telegram, against
//!   what the query takes by itself;
//! - messages: so many leave at Telegram's pace: how much longer that takes than it must, and whether each chat's order is kept.

use std::{
    collections::HashMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use vitrina::{
    bot::{
        event::With,
        fake::{Call, Fake, TOKEN},
        outbox::{Limits, TELEGRAM},
        telegram::{self, Parts},
    },
    clock::SystemClock,
    config::{bot::ADMIN, project::Language},
    report::{
        access::Reader,
        run::{Reports, Request},
    },
    run::Runtime,
};

/// As the program has it: what the process takes is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PROJECT: &str = "[project]\nname = \"bench\"\ntime_zone = \"Europe/Moscow\"\nlanguage = \"ru\"\n\
    [connections.shop]\nkind = \"sqlite\"\npath = \"shop.db\"\n";
const SQL: &str = "SELECT day, sum(money) AS money FROM shop.sales GROUP BY day ORDER BY day";
const TEXT: &str = "text = \"Итого {{ money | sum | rub }}\"";
const CHART: &str = "chart = { kind = \"line\", x = \"day\", y = [\"money\"] }";

/// As fast as the machine is.
const FREE: Limits = Limits {
    per_second: 100_000,
    chat_every: Duration::from_micros(1),
    chat_burst: 1_000,
    group_per_minute: 100_000,
};
/// Questions of each user, one after another.
const ROUNDS: usize = 5;
/// Between two questions of one user, about.
const LEISURE: Duration = Duration::from_secs(4);

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let (users, messages) = (sizes.first().copied().unwrap_or(100), sizes.get(1).copied().unwrap_or(5_000));
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    threads.block_on(async {
        println!("{:>28}  {:>8}  {:>8}  {:>8}", "", "p50, ms", "p99, ms", "most, ms");
        let bench = Bench::start(users, FREE).await;
        for (report, answer) in [("text", "Итого"), ("chart", "")] {
            let alone = bench.alone(report).await;
            print_times(&format!("{report}: the query alone"), alone);
            let at_once = bench.at_once(report, answer).await;
            print_times(&format!("{report}: {users} at once"), at_once);
            let leisurely = bench.leisurely(report, answer).await;
            print_times(&format!("{report}: {users} at leisure"), leisurely);
        }
        bench.stop().await;
        let bench = Bench::start(messages.div_ceil(2), TELEGRAM).await;
        bench.messages(messages).await;
        bench.stop().await;
    });
}

fn print_times(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!("{what:>28}  {:>8.1}  {:>8.1}  {:>8.1}", at(0.5), at(0.99), at(1.0));
}

/// A bot that is served, and its users.
struct Bench {
    _folder: tempfile::TempDir,
    fake: Fake,
    /// When the fake began to count milliseconds.
    began: Instant,
    users: Vec<i64>,
    runtime: Arc<Runtime>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

impl Bench {
    async fn start(users: usize, limits: Limits) -> Self {
        let users: Vec<i64> = (1..=users as i64).collect();
        let folder = folder(&users);
        let began = Instant::now();
        let fake = Fake::start(0, TOKEN).await.expect("a port");
        for user in &users {
            fake.user(*user, "Менеджер", "ru");
        }
        let loaded = vitrina::config::load(folder.path(), "default", &|_| None);
        let project = Arc::new(loaded.project.unwrap_or_else(|| panic!("{:#?}", loaded.problems)));
        let runtime = Runtime::open(project, Arc::new(SystemClock)).expect("a project");
        let of_bot = Arc::clone(&runtime);
        let parts =
            Parts::of_project(Arc::new(move || Arc::clone(&of_bot)), TOKEN.to_owned()).expect("a bot");
        let parts = Parts { api_url: Some(fake.url()), limits, ..parts };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let served =
            tokio::spawn(async move { telegram::run(parts, stopped).await.expect("a bot that serves") });
        Self { _folder: folder, fake, began, users, runtime, stop, served }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.served.await.expect("a bot that stops");
    }

    /// What the same question takes without bot, network and file.
    async fn alone(&self, report: &str) -> Vec<f64> {
        let reports = Reports::new(Arc::clone(&self.runtime));
        let request = Request {
            report: "nothing".to_owned(),
            with: With::new(),
            reader: Reader { roles: vec![ADMIN.to_owned()], ..Reader::default() },
            language: Language::Ru,
            zone: chrono_tz::Europe::Moscow,
            pictures: false,
        };
        let mut times = vec![];
        for _ in 0..20 {
            let started = Instant::now();
            let answer = reports.run(&request, &CancellationToken::new()).await;
            answer.unwrap_or_else(|failure| panic!("{report}: {failure:?}"));
            times.push(millis(started.elapsed()));
        }
        times
    }

    /// Everyone in one instant, again and again. The first time they are new to the bot, and it learns to know them.
    async fn at_once(&self, report: &str, answer: &str) -> Vec<f64> {
        let mut times = vec![];
        for round in 0..=ROUNDS {
            let after = self.fake.call_count();
            let wrote: HashMap<i64, f64> =
                self.users.iter().map(|user| (*user, self.ask(*user, report))).collect();
            let took = self.answers(after, &wrote, answer).await;
            if round > 0 {
                times.extend(took);
            }
            tokio::time::sleep(LEISURE / 4).await;
        }
        times
    }

    /// Everyone at a moment of their own, again and again.
    async fn leisurely(&self, report: &str, answer: &str) -> Vec<f64> {
        let (mut times, gap) = (vec![], LEISURE / self.users.len() as u32);
        for _ in 0..ROUNDS {
            let after = self.fake.call_count();
            let mut wrote = HashMap::new();
            for user in &self.users {
                wrote.insert(*user, self.ask(*user, report));
                tokio::time::sleep(gap).await;
            }
            times.extend(self.answers(after, &wrote, answer).await);
        }
        times
    }

    fn ask(&self, user: i64, report: &str) -> f64 {
        let now = millis(self.began.elapsed());
        self.fake.write(user, user, &format!("/{report}"));
        now
    }

    /// How long after each user's word their answer came.
    async fn answers(&self, after: usize, wrote: &HashMap<i64, f64>, answer: &str) -> Vec<f64> {
        let is_answer = |call: &Call| {
            let text = call.params["text"].as_str().unwrap_or_default();
            if answer.is_empty() {
                call.method.eq_ignore_ascii_case("sendPhoto")
            } else {
                text.contains(answer)
            }
        };
        let (mut came, mut seen) = (HashMap::<i64, f64>::new(), after);
        loop {
            let (calls, count) = self.fake.calls_after(seen);
            seen = count;
            let answers = calls.iter().filter(|call| call.done && is_answer(call));
            came.extend(answers.filter_map(|call| Some((chat(call)?, call.at_ms as f64))));
            if wrote.keys().all(|user| came.contains_key(user)) {
                return wrote.iter().map(|(user, at)| (came[user] - at).max(0.0)).collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Two messages to every chat, at the pace that Telegram allows.
    async fn messages(&self, count: usize) {
        let (mut sent, mut seen) = (vec![], self.fake.call_count());
        for round in 0..2 {
            for user in &self.users {
                self.fake.write(*user, *user, &format!("/find вопрос{round}"));
            }
        }
        while sent.len() < 2 * self.users.len() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let (calls, count) = self.fake.calls_after(seen);
            seen = count;
            sent.extend(
                calls.into_iter().filter(|call| call.done && call.method.eq_ignore_ascii_case("sendMessage")),
            );
        }
        let mut last: HashMap<i64, bool> = HashMap::new();
        let in_order = sent.iter().all(|call| {
            let second = call.params["text"].as_str().unwrap_or_default().contains("вопрос1");
            let before = last.insert(chat(call).unwrap_or_default(), second);
            before != Some(true) || second
        });
        let took = (sent.last().map_or(0, |call| call.at_ms) - sent.first().map_or(0, |call| call.at_ms))
            as f64
            / 1e3;
        // The first thirty leave at once.
        let best =
            (sent.len().saturating_sub(TELEGRAM.per_second) as f64 / TELEGRAM.per_second as f64).max(0.001);
        println!(
            "{count} messages: {took:.1} s, the pace allows {best:.1} s ({:+.1} %), order {}",
            (took / best - 1.0) * 100.0,
            if in_order { "kept" } else { "LOST" }
        );
    }
}

fn chat(call: &Call) -> Option<i64> {
    let chat = &call.params["chat_id"];
    chat.as_i64().or_else(|| chat.as_str()?.parse().ok())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn folder(admins: &[i64]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("vitrina.toml"), PROJECT).expect("a file");
    let report = |name: &str, show: &str| {
        format!(
            "[report.{name}]\ntitle = \"Выручка\"\ncommand = \"{name}\"\nsql = \"{SQL}\"\n[[report.{name}.show]]\n{show}\n"
        )
    };
    let bot = format!(
        "[access]\nadmins = {admins:?}\n{}{}{}",
        report("nothing", "text = \".\""),
        report("text", TEXT),
        report("chart", CHART)
    );
    fs::write(folder.path().join("bot.toml"), bot).expect("a file");
    let file = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    file.execute_batch(
        "CREATE TABLE sales (day TEXT, money INTEGER);
         CREATE TABLE _vitrina_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL,
           PRIMARY KEY (table_name, column_name)) WITHOUT ROWID;
         INSERT INTO _vitrina_columns VALUES ('sales', 'day', 'date'), ('sales', 'money', 'int64');
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO sales SELECT date('2026-01-01', (i / 10) || ' days'), 100000 + (i * 7919) % 90000 FROM n;",
    )
    .expect("rows");
    folder
}
