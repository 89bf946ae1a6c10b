//! What happens to a run in the middle of it.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::{
    places::{Lane, Pair, Place},
    points::{self, SIGABRT},
    site::Site,
};
use crate::support::{own::Own, process::Frozen, proxy::Fate};

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The program is killed.
    Kill,
    /// The program dies at one of the failpoints on its way.
    Point,
    /// A server is killed and started again, or stands still for a while.
    Server,
    /// The connection breaks once a commit was sent and before its answer is there; or just before the server has it.
    Cut,
    /// The program stands still in a Kafka transaction, until the cluster has ended that.
    Timeout,
    /// The Kafka node, which coordinates transactions and groups, is stopped in order and started again.
    Coordinator,
    /// The same project runs from another folder.
    Rival,
}

/// How long a run may take, whatever happens to it.
const PATIENCE: Duration = Duration::from_mins(6);
/// The last pass of a failpoint at which a run may die: most are passed by each slice, some once in a run.
const LATEST_PASS: u32 = 3;
/// How long a server stands still.
const STANDSTILL: Duration = Duration::from_millis(1500);
/// What the transactions of a run may take that is to be late, and how late it is.
const TRANSACTION: Duration = Duration::from_secs(4);
const LATE: Duration = Duration::from_secs(7);

/// What a writer is told whose record somebody else has moved.
const CONFLICTS: [&str; 4] =
    ["moved by somebody else", "moved on by others", "another process writes", "by others"];

impl Fault {
    pub(super) const ALL: [Self; 7] =
        [Self::Kill, Self::Point, Self::Server, Self::Cut, Self::Timeout, Self::Coordinator, Self::Rival];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Point => "point",
            Self::Server => "server",
            Self::Cut => "cut",
            Self::Timeout => "timeout",
            Self::Coordinator => "coordinator",
            Self::Rival => "rival",
        }
    }

    /// Whether it can happen to a pair: files have no server, and Kafka alone ends transactions that take too long.
    pub(super) fn may_happen(self, pair: Pair) -> bool {
        match self {
            Self::Kill | Self::Point | Self::Rival => true,
            Self::Server | Self::Cut => !pair.served().is_empty(),
            Self::Timeout | Self::Coordinator => pair.has(Place::Kafka),
        }
    }
}

/// A run that something happens to.
pub(super) struct Round<'a> {
    pub(super) lane: &'a Lane,
    /// How long a run takes that nothing happens to.
    pub(super) whole: Duration,
    pub(super) random: &'a mut StdRng,
}

impl<'a> Round<'a> {
    /// Runs everything while this happens; whether it met the run.
    pub(super) fn play(&mut self, site: &mut Site, fault: Fault) -> bool {
        match fault {
            Fault::Kill => self.kill(site),
            Fault::Point => self.point(site),
            Fault::Server => self.server(site),
            Fault::Cut => self.cut(site),
            Fault::Timeout => self.timeout(site),
            Fault::Coordinator => self.coordinator(site),
            Fault::Rival => rival(site),
        }
    }

    fn kill(&mut self, site: &Site) -> bool {
        let mut run = Run::start(site.program(ALL), site, "run");
        self.wait();
        run.child.kill().unwrap();
        !run.child.wait().unwrap().success()
    }

    /// Any of the points, at one of its first passes; a run that does not come by it ends well.
    fn point(&mut self, site: &Site) -> bool {
        let points = points::on_the_way(site.pair);
        let point = points.choose(self.random).expect("a point");
        let armed = format!("{point}:{}", self.random.random_range(1..=LATEST_PASS));
        points::prepare(point, site);
        let mut run = Run::start(site.armed(&armed, &points::passing(point, site)), site, "run");
        let died = run.ended().and_then(|status| status.signal()) == Some(SIGABRT);
        if !died {
            run.end();
        }
        died
    }

    fn server(&mut self, site: &Site) -> bool {
        let server = self.one_of(site);
        let mut run = Run::start(site.program(ALL), site, "run");
        self.wait();
        let met = run.goes_on();
        if self.random.random_bool(0.5) {
            let frozen = server.freeze();
            thread::sleep(STANDSTILL);
            drop(frozen);
        } else {
            server.kill();
            server.start();
        }
        run.end();
        met
    }

    fn cut(&mut self, site: &Site) -> bool {
        let served = site.pair.served();
        let place = *served.choose(self.random).expect("a server");
        let network = &self.lane.server(place).network;
        let fate = if self.random.random_bool(0.75) { Fate::AnswerLost } else { Fate::Lost };
        network.trap(nth_commit(place, self.random.random_range(0..4)), move || fate);
        Run::start(site.program(ALL), site, "run").end();
        !network.untrap()
    }

    fn timeout(&mut self, site: &Site) -> bool {
        let network = &self.lane.server(Place::Kafka).network;
        let mut program = site.program(ALL);
        program.env("VITRINA_CHAOS_TRANSACTION_TIMEOUT", format!("{}s", TRANSACTION.as_secs()));
        let run = Run::start(program, site, "run");
        let id = run.child.id();
        network.trap(nth_commit(Place::Kafka, self.random.random_range(0..3)), move || {
            let frozen = Frozen::new(id);
            thread::sleep(LATE);
            drop(frozen);
            Fate::Passes
        });
        run.end();
        !network.untrap()
    }

    fn coordinator(&mut self, site: &Site) -> bool {
        let server = self.lane.server(Place::Kafka);
        let mut run = Run::start(site.program(ALL), site, "run");
        self.wait();
        let met = run.goes_on();
        server.stop();
        server.start();
        run.end();
        met
    }

    /// One of the servers of a project.
    fn one_of(&mut self, site: &Site) -> &'a Own {
        let served = site.pair.served();
        self.lane.server(*served.choose(self.random).expect("a server"))
    }

    /// Lets a run get anywhere.
    fn wait(&mut self) {
        thread::sleep(self.whole.mul_f64(self.random.random_range(0.05..1.0)));
    }
}

/// Two runs at once, both to their end: one of them, at least, has to hear of the other.
fn rival(site: &mut Site) -> bool {
    let theirs = site.rival();
    let ours = Run::start(site.program(ALL), site, "run");
    let theirs = Run::start(theirs, site, "rival");
    let told = [ours.end(), theirs.end()].concat();
    CONFLICTS.iter().any(|conflict| told.contains(conflict))
}

const ALL: &[&str] = &["run", "--all"];

/// A run of the program, and the file where it says what it does.
struct Run {
    child: Child,
    log: std::path::PathBuf,
}

impl Run {
    fn start(mut program: Command, site: &Site, name: &str) -> Self {
        let log = site.sandbox.path(&format!("{name}.log"));
        let child = program.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        Self { child, log }
    }

    fn goes_on(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends, well or because the world fails; gives what it said.
    fn end(mut self) -> String {
        let status = self.ended();
        let said = std::fs::read_to_string(&self.log).unwrap();
        let code = status.and_then(|status| status.code());
        assert!(matches!(code, Some(0 | 3)), "a run ended otherwise than it should ({status:?}):\n{said}");
        said
    }

    /// How it ended; none = it did not.
    fn ended(&mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Knows a commit among the bytes that are sent to a place, once so many others went by.
fn nth_commit(place: Place, mut others: u32) -> impl FnMut(&[u8]) -> bool + Send + 'static {
    move |sent| {
        let commits = commits(place, sent);
        if commits && others > 0 {
            others -= 1;
            return false;
        }
        commits
    }
}

/// Whether something is made visible by what is sent.
fn commits(place: Place, sent: &[u8]) -> bool {
    let has = |words: &[u8]| sent.windows(words.len()).any(|part| part == words);
    match place {
        Place::Postgres | Place::Greenplum => has(b"COMMIT\0"),
        Place::Kafka => ends_transaction(sent),
        Place::Clickhouse => [
            &b"RENAME TABLE"[..],
            b"MOVE PARTITION",
            b"REPLACE PARTITION",
            b"EXCHANGE TABLES",
            b"_vitrina_records` (",
        ]
        .iter()
        .any(|words| has(words)),
        Place::Generate | Place::Sqlite | Place::Delta | Place::Bucket | Place::Files => false,
    }
}

/// Whether one of Kafka's requests is EndTxn: each is a length, then a number that says what is asked.
fn ends_transaction(mut sent: &[u8]) -> bool {
    const END_TRANSACTION: u16 = 26;
    while let [a, b, c, d, e, f, ..] = *sent {
        if u16::from_be_bytes([e, f]) == END_TRANSACTION {
            return true;
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        sent = sent.get(length.saturating_add(4)..).unwrap_or_default();
    }
    false
}

#[test]
fn a_commit_is_known() {
    let frame = |key: u16, length: u32| {
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend(key.to_be_bytes());
        frame.resize(4 + length as usize, 7);
        frame
    };
    assert!(ends_transaction(&[frame(0, 300), frame(26, 40)].concat()));
    assert!(!ends_transaction(&frame(3, 26)));
    assert!(!ends_transaction(&[0, 0, 0, 26]));
    assert!(commits(Place::Postgres, b"Q\0\0\0\x0bCOMMIT\0"));
    assert!(!commits(Place::Clickhouse, b"SELECT 1"));
    let mut second = nth_commit(Place::Postgres, 1);
    assert!(!second(b"COMMIT\0") && !second(b"BEGIN\0") && second(b"COMMIT\0"));
}
