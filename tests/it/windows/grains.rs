//! Windows of every grain, by instants and by days, where places keep them: which are built, what late rows and a backfill reach, what they are called, and hours of a day on which clocks are moved.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, Duration, Months, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::{
    Europe::{Berlin, Moscow},
    Tz,
};
use serde_json::Value as Json;

use super::{CLICKHOUSE, POSTGRES, PROJECT, built, told};
use crate::support::{clickhouse, postgres, project::Sandbox};

/// How long windows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grain {
    Hour,
    Day,
    Week,
    Month,
}

impl Grain {
    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The wall clock's unit that a time lies in, told by its beginning.
    fn of(self, local: NaiveDateTime) -> NaiveDateTime {
        let day = local.date();
        let first = match self {
            Self::Hour => return day.and_hms_opt(local.hour(), 0, 0).unwrap(),
            Self::Day => day,
            Self::Week => day - Days::new(u64::from(day.weekday().num_days_from_monday())),
            Self::Month => day.with_day(1).unwrap(),
        };
        first.and_time(chrono::NaiveTime::MIN)
    }

    /// The unit behind the one that begins here.
    fn next(self, begins: NaiveDateTime) -> NaiveDateTime {
        match self {
            Self::Hour => begins + Duration::hours(1),
            Self::Day => begins + Days::new(1),
            Self::Week => begins + Days::new(7),
            Self::Month => begins + Months::new(1),
        }
    }

    /// How a record names the window that begins here.
    fn key(self, begins: NaiveDateTime) -> String {
        let format = match self {
            Self::Hour => "%Y-%m-%dT%H:00+03:00",
            Self::Day => "%Y-%m-%d",
            Self::Week => "%G-W%V",
            Self::Month => "%Y-%m",
        };
        begins.format(format).to_string()
    }

    /// The day on which the first window begins.
    fn start(self, now: NaiveDateTime) -> NaiveDate {
        match self {
            Self::Hour => now.date() - Days::new(1),
            Self::Day => now.date() - Days::new(4),
            Self::Week => self.of(now).date() - Days::new(28),
            Self::Month => self.of(now).date() - Months::new(3),
        }
    }

    /// How far back late rows are met, as the mart says it, and in hours.
    fn lookback(self) -> (&'static str, i64) {
        match self {
            Self::Hour => ("3h", 3),
            Self::Day => ("2d", 48),
            Self::Week => ("8d", 192),
            Self::Month => ("32d", 768),
        }
    }
}

/// What a mart's rows are by: an instant, or a day of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Instant,
    Day,
}

/// Every way to cut there is: no day lies in an hour.
const WAYS: [(Grain, By); 7] = [
    (Grain::Hour, By::Instant),
    (Grain::Day, By::Instant),
    (Grain::Day, By::Day),
    (Grain::Week, By::Instant),
    (Grain::Week, By::Day),
    (Grain::Month, By::Instant),
    (Grain::Month, By::Day),
];

fn moscow(at: DateTime<Utc>) -> NaiveDateTime {
    at.with_timezone(&Moscow).naive_local()
}

/// The windows that have begun, with the sum of each, oldest first.
type Sums = BTreeMap<NaiveDateTime, i64>;

struct Play {
    project: Sandbox,
    grain: Grain,
    by: By,
    /// When the project was made.
    now: NaiveDateTime,
}

impl Play {
    /// In each window's first and last moment an event of 1, in the one that has not ended only at the first.
    fn new(connections: &str, connection: &str, (grain, by): (Grain, By)) -> Self {
        let now = moscow(Utc::now());
        let vitrina = format!("{PROJECT}{connections}");
        let project = Sandbox::new(&[("vitrina.toml", &vitrina)]);
        project.sqlite("bot.db", EVENTS);
        let play = Self { project, grain, by, now };
        play.mart(connection, "sum(amount)", "");
        for begins in play.windows(now) {
            play.add(begins, 1);
            if grain.next(begins) <= now {
                play.add(grain.next(begins) - Duration::microseconds(1), 1);
            }
        }
        play
    }

    fn mart(&self, connection: &str, amount: &str, more: &str) {
        let (column, of) = match self.by {
            By::Instant => ("at", "date_trunc('hour', at)"),
            By::Day => ("dt", "local_date(at)"),
        };
        let mart = format!(
            "sql = '''SELECT {of} AS {column}, {amount} AS amount FROM bot.events WHERE at >= :window.from AND at < :window.until GROUP BY {of}'''\n\
             [window]\ncolumn = \"{column}\"\ngrain = \"{}\"\nstart = {}\n{more}\n[sink]\nconnection = \"{connection}\"\n",
            self.grain.name(),
            self.grain.start(self.now)
        );
        self.project.write("marts/cut.toml", &mart);
    }

    /// The windows from the first to the one that this time lies in.
    fn windows(&self, now: NaiveDateTime) -> Vec<NaiveDateTime> {
        let first = self.grain.start(self.now).and_time(chrono::NaiveTime::MIN);
        std::iter::successors(Some(first), |begins| Some(self.grain.next(*begins)))
            .take_while(|begins| *begins <= now)
            .collect()
    }

    fn add(&self, local: NaiveDateTime, amount: i64) {
        let at = Moscow.from_local_datetime(&local).unwrap().to_utc();
        self.project.sqlite("bot.db", &insert(at, amount));
    }

    /// The sums of the mart's windows.
    fn found(&self) -> Sums {
        let mut sums = Sums::new();
        for row in self.project.query("SELECT * FROM mart.cut") {
            let local = match self.by {
                By::Instant => moscow(instant(&row)),
                By::Day => {
                    row["dt"].as_str().unwrap().parse::<NaiveDate>().unwrap().and_time(chrono::NaiveTime::MIN)
                }
            };
            *sums.entry(self.grain.of(local)).or_default() += row["amount"].as_i64().unwrap();
        }
        sums
    }

    /// The sum of each window by this rule; a window that has begun since is none of it.
    fn expected(&self, sum: impl Fn(NaiveDateTime) -> i64) -> Sums {
        self.windows(self.now).into_iter().map(|begins| (begins, sum(begins))).collect()
    }

    fn ended(&self, begins: NaiveDateTime) -> bool {
        self.grain.next(begins) <= self.now
    }

    /// All that one cut goes through.
    fn plays(&self, connection: &str) {
        let first = |begins| if self.ended(begins) { 2 } else { 1 };
        let count = self.windows(self.now).len() as u64;
        assert!((count..count + 2).contains(&built(&self.project, &["run", "cut"])), "{count} windows");
        assert_eq!(self.found(), self.expected(first));
        // Late rows in all windows: those are met that the lookback touches.
        self.windows(self.now).into_iter().for_each(|begins| self.add(begins, 10));
        let (lookback, hours) = self.grain.lookback();
        self.mart(connection, "sum(amount)", &format!("lookback = \"{lookback}\""));
        let began = moscow(Utc::now());
        self.project.must(&["run", "cut"]);
        let met = |now: NaiveDateTime| {
            let late = now - Duration::hours(hours);
            self.expected(|begins| first(begins) + if self.grain.next(begins) > late { 10 } else { 0 })
        };
        let (found, ended) = (self.found(), moscow(Utc::now()));
        assert!(found == met(began) || found == met(ended), "{found:?}, and not {:?}", met(began));
        assert!(found.values().any(|sum| *sum == 2), "the lookback reaches them all");
        // A backfill of the first day builds what touches it, and nothing else.
        let start = self.grain.start(self.now);
        let day = start.to_string();
        let asked = ["backfill", "cut", "--from", &day, "--last", &day];
        let hours = if self.grain == Grain::Hour { 24 } else { 1 };
        assert_eq!(built(&self.project, &asked), hours);
        let ends = (start + Days::new(1)).and_time(chrono::NaiveTime::MIN);
        let more = |begins| if begins < ends { first(begins) + 10 } else { found[&begins] };
        assert_eq!(self.found(), self.expected(more));
        self.knows_its_windows(connection);
        self.project.must(&["run", "cut", "--full-refresh"]);
        assert_eq!(self.found(), self.expected(|begins| first(begins) + 10));
    }

    /// What the records in the table say, without the copy of them: which windows there are, and from which query.
    fn knows_its_windows(&self, connection: &str) {
        std::fs::remove_dir_all(self.project.path("state")).unwrap();
        self.mart(connection, "sum(amount) + 0", "");
        let plan = told(&self.project, &["plan", "cut"]);
        let builds = plan[0]["builds"].as_array().unwrap();
        let stale = builds.iter().filter(|build| build["why"] == "query_changed");
        let keys: Vec<&str> = stale.map(|build| build["window"].as_str().unwrap()).collect();
        let expected: Vec<String> =
            self.windows(self.now).into_iter().map(|begins| self.grain.key(begins)).collect();
        let ended = expected.iter().filter(|key| keys.contains(&key.as_str())).count();
        assert!(ended >= keys.len() && ended + 2 > expected.len(), "{keys:?}, and not {expected:?}");
    }
}

const EVENTS: &str =
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at TIMESTAMPTZ, amount INTEGER)";

fn insert(at: DateTime<Utc>, amount: i64) -> String {
    format!("INSERT INTO events (at, amount) VALUES ('{}', {amount});", at.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}

fn instant(row: &Json) -> DateTime<Utc> {
    row["at"].as_str().unwrap().parse().unwrap()
}

#[test]
fn every_grain_is_built_kept_and_met_again() {
    for connection in ["lake", "copies"] {
        for way in WAYS {
            println!("{way:?} in {connection}");
            Play::new("", connection, way).plays(connection);
        }
    }
}

#[test]
fn postgres_keeps_every_grain() {
    for way in WAYS {
        println!("{way:?}");
        let place = postgres::Place::new();
        Play::new(&POSTGRES.replace("SCHEMA", &place.schema), "dwh", way).plays("dwh");
    }
}

#[test]
fn clickhouse_keeps_every_grain() {
    for way in WAYS {
        println!("{way:?}");
        let place = clickhouse::Place::new();
        Play::new(&CLICKHOUSE.replace("DATABASE", &place.config.database), "dwh", way).plays("dwh");
        let key = place.inside("SELECT partition_key FROM system.tables WHERE database = currentDatabase() AND name = 'cut' FORMAT TSVRaw");
        let expected = match way {
            (Grain::Hour | Grain::Day, By::Instant) => "toDate(at, 'Europe/Moscow')",
            (Grain::Week, By::Instant) => "toMonday(at, 'Europe/Moscow')",
            (Grain::Month, By::Instant) => "toYYYYMM(at, 'Europe/Moscow')",
            (Grain::Hour | Grain::Day, By::Day) => "dt",
            (Grain::Week, By::Day) => "toMonday(dt)",
            (Grain::Month, By::Day) => "toYYYYMM(dt)",
        };
        assert_eq!(key.trim(), expected);
        // Each window lies in one partition.
        let windows = way.0.of_partitions(&place);
        assert!(windows.iter().all(|parts| *parts == 1), "{way:?}: {windows:?}");
    }
}

impl Grain {
    /// In how many partitions the rows of each window are.
    fn of_partitions(self, place: &clickhouse::Place) -> Vec<u64> {
        let columns = place.inside("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'cut' ORDER BY position LIMIT 1 FORMAT TSVRaw");
        let local = if columns.trim() == "at" { "toTimeZone(at, 'Europe/Moscow')" } else { "dt" };
        let unit = match self {
            Self::Hour => format!("toStartOfHour({local})"),
            Self::Day => format!("toDate({local})"),
            Self::Week => format!("toMonday({local})"),
            Self::Month => format!("toStartOfMonth({local})"),
        };
        let sql = format!("SELECT uniqExact(_partition_id) FROM cut GROUP BY {unit} FORMAT TSVRaw");
        place.inside(&sql).lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// An event each half hour around a day on which Berlin's clocks were moved; that day's hours, built twice.
fn hours_of_a_moved_clock(connections: &str, connection: &str) {
    for (day, hours) in [("2025-10-26", 25), ("2026-03-29", 23)] {
        let vitrina = format!("{PROJECT}{connections}").replace("Europe/Moscow", "Europe/Berlin");
        let mart = format!(
            "sql = 'SELECT at, amount FROM bot.events WHERE at >= :window.from AND at < :window.until'\n\
             [window]\ncolumn = \"at\"\ngrain = \"hour\"\nstart = {day}\n[sink]\nconnection = \"{connection}\"\n"
        );
        let project = Sandbox::new(&[("vitrina.toml", &vitrina), ("marts/cut.toml", &mart)]);
        let midnight = midnight(Berlin, day.parse().unwrap());
        let events: Vec<DateTime<Utc>> =
            (-8..60).map(|half| midnight + Duration::minutes(30 * half)).collect();
        let rows: String = events.iter().map(|at| insert(*at, 1)).collect();
        project.sqlite("bot.db", &format!("{EVENTS};{rows}"));
        let asked = ["backfill", "cut", "--from", day, "--last", day];
        let of_day: Vec<_> = events
            .into_iter()
            .filter(|at| at.with_timezone(&Berlin).date_naive().to_string() == day)
            .collect();
        assert_eq!(of_day.len(), 2 * hours);
        for _ in 0..2 {
            assert_eq!(built(&project, &asked), hours as u64, "{connection}");
            // A server's table has the other day's hours too.
            let year = &day[..4];
            let found = project
                .query(&format!("SELECT at FROM mart.cut WHERE extract(year FROM at) = {year} ORDER BY at"));
            assert_eq!(found.iter().map(instant).collect::<Vec<_>>(), of_day, "{connection}");
        }
    }
}

fn midnight(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    zone.from_local_datetime(&day.and_time(chrono::NaiveTime::MIN)).unwrap().to_utc()
}

#[test]
fn hours_of_a_moved_clock_are_there_once() {
    hours_of_a_moved_clock("", "lake");
    hours_of_a_moved_clock("", "copies");
    let place = postgres::Place::new();
    hours_of_a_moved_clock(&POSTGRES.replace("SCHEMA", &place.schema), "dwh");
    drop(place);
    let place = clickhouse::Place::new();
    hours_of_a_moved_clock(&CLICKHOUSE.replace("DATABASE", &place.config.database), "dwh");
}
