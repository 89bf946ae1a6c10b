//! Death among the windows of a mart: what the ledger says is what the table holds, and a window that is built is not built again.

use std::{
    collections::BTreeSet,
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};

use chrono::{Days, NaiveDate, Utc};

use super::{
    places::{Pair, Place, Servers},
    points::{LEDGER, SIGABRT, all_names},
};
use crate::support::project::Sandbox;

/// Where runs die: before the first window, between two steps of one, and behind a commit.
const POINTS: [&str; 4] =
    ["run.windows.planned", "run.mart.staged:2", "run.mart.checked:2", "run.mart.committed:3"];

/// Windows that have ended.
const CLOSED: u64 = 6;

/// Where the ledger changes and no window is built: all windows are forgotten, or changed by hand, one by one.
const FORGOTTEN: &str = "run.ledger.forgotten";
const CHANGED: &str = "run.ledger.changed";

/// Every place that keeps windows.
#[test]
fn every_window_is_built_once_whatever_dies() {
    at_places(|place| {
        for point in POINTS {
            dies_and_goes_on(&Site::new(place), point);
        }
        backfill_dies_and_goes_on(&Site::new(place));
    });
}

/// No record says of a window what its rows do not, wherever those who change records by themselves have died.
#[test]
fn the_ledger_agrees_whoever_dies_changing_it() {
    let known: Vec<String> = all_names().into_iter().filter(|name| name.starts_with(LEDGER)).collect();
    assert_eq!(known, [CHANGED, FORGOTTEN], "each is died at");
    at_places(|place| {
        let site = Site::new(place);
        site.units(&["run", "once"]);
        change_dies_and_goes_on(&site);
        // Elsewhere the records go with the table.
        if [Place::Sqlite, Place::Postgres, Place::Greenplum, Place::Clickhouse].contains(&place) {
            forgetting_dies_and_goes_on(&site);
        }
    });
}

/// All places that keep windows, at the same time.
fn at_places(plays: impl Fn(Place) + Copy + Send) {
    let places = Place::ALL.into_iter().filter(|place| *place != Place::Kafka).chain([Place::Bucket]);
    std::thread::scope(|scope| {
        for place in places {
            scope.spawn(move || plays(place));
        }
    });
}

fn dies_and_goes_on(site: &Site, point: &str) {
    site.dies(&["run", "once"], point);
    let built = site.agreed(point);
    let left = CLOSED - built;
    assert_eq!(site.units(&["run", "once"]), left, "{point}: windows that were left");
    assert_eq!((site.built(), site.rows()), (CLOSED, site.closed(0)), "{point}");
    assert_eq!(site.units(&["run", "once"]), 0, "{point}: nothing is late, nothing is current");
}

/// A backfill begins with a row of the history, and takes it away at its end.
fn backfill_dies_and_goes_on(site: &Site) {
    let from = day(CLOSED).to_string();
    let backfill = ["backfill", "once", "--from", &from];
    site.units(&["run", "once"]);
    for (round, point) in
        ["run.backfill.begun", "run.mart.committed:3", "run.backfill.built"].into_iter().enumerate()
    {
        let added = 1_000 * (round as i64 + 1);
        site.sandbox.sqlite("bot.db", "UPDATE visits SET n = n + 1000");
        site.dies(&backfill, point);
        let new = site.rows().iter().filter(|(_, n)| *n >= added).count() as u64;
        let left = site.units(&backfill);
        // There rows may be visible before their record.
        if site.place != Place::Clickhouse {
            assert_eq!(left, CLOSED - new, "{point}: windows that were left");
        }
        assert_eq!((site.built(), site.rows()), (CLOSED, site.closed(added)), "{point}");
        assert_eq!(site.units(&backfill), CLOSED, "{point}: it was over, so this is another one");
    }
}

/// `position reset` and `adopt` change one record after the other, and no row.
fn change_dies_and_goes_on(site: &Site) {
    let (reset, adopt) = (["position", "reset", "once"], ["position", "adopt", "once"]);
    let stands = |built: u64, point: &str| {
        assert_eq!((site.built(), site.rows()), (built, site.closed(0)), "{point}");
    };
    let changed = |nth: u64| format!("{CHANGED}:{nth}");
    site.dies(&reset, &changed(2));
    stands(CLOSED - 2, "reset of two");
    assert_eq!(site.units(&["run", "once"]), 2, "what was forgotten is built");
    stands(CLOSED, "built again");

    site.dies(&reset, &changed(3));
    site.sandbox.must(&reset);
    stands(0, "reset");
    site.dies(&adopt, &changed(4));
    stands(4, "adopted four");
    assert_eq!(site.units(&["run", "once"]), CLOSED - 4, "what was not adopted is built");
    stands(CLOSED, "adopted and built");

    // There a record is decided in one step and written down in another.
    if site.place == Place::Clickhouse {
        for point in ["clickhouse.decided:2", "clickhouse.recorded:2"] {
            site.dies(&reset, point);
            site.sandbox.must(&reset);
            stands(0, point);
            site.dies(&adopt, point);
            site.sandbox.must(&adopt);
            stands(CLOSED, point);
        }
    }
}

/// A run that finds no table forgets one window after the other before it builds the first.
fn forgetting_dies_and_goes_on(site: &Site) {
    for nth in [1, 2, CLOSED] {
        let point = format!("{FORGOTTEN}:{nth}");
        site.drop_table();
        site.dies(&["run", "once"], &point);
        assert_eq!((site.built(), site.rows()), (0, vec![]), "{point}: nothing is there");
        assert_eq!(site.units(&["run", "once"]), CLOSED, "{point}: windows that were built");
        assert_eq!((site.built(), site.rows()), (CLOSED, site.closed(0)), "{point}");
        assert_eq!(site.units(&["run", "once"]), 0, "{point}: nothing is late, nothing is current");
    }
    // There a record is decided in one step and written down in another.
    if site.place == Place::Clickhouse {
        let (run, from) = (["run", "once"], day(CLOSED).to_string());
        site.drop_table();
        site.dies(&run, "clickhouse.decided:2");
        assert_eq!(site.units(&run), CLOSED);
        assert_eq!((site.built(), site.rows()), (CLOSED, site.closed(0)));
        // A window is decided, and the table whose part it replaces goes.
        site.dies(&["backfill", "once", "--from", &from], "clickhouse.decided:2");
        site.drop_table();
        assert_eq!(site.units(&run), CLOSED);
        assert_eq!((site.built(), site.rows()), (CLOSED, site.closed(0)));
    }
}

/// A project with one mart of days, over a table that has a row for each.
struct Site {
    place: Place,
    sandbox: Sandbox,
    servers: Servers,
}

impl Site {
    fn new(place: Place) -> Self {
        let pair = Pair { from: Place::Sqlite, into: place };
        let servers = Servers::of(pair, None);
        let sandbox = Sandbox::new(&[]);
        let root = sandbox.root().to_str().unwrap().to_owned();
        let keys = servers.connection(place, "warehouse", &root);
        sandbox.write("vitrina.toml", &format!("{PROJECT}\n[connections.warehouse]\n{keys}\n"));
        sandbox.write("marts/once.toml", &ONCE.replace("START", &day(CLOSED).to_string()));
        let rows: Vec<String> = (0..=CLOSED).map(|ago| format!("('{}', {ago})", day(ago))).collect();
        let table = "CREATE TABLE visits (dt DATE, n INTEGER); INSERT INTO visits VALUES";
        sandbox.sqlite("bot.db", &format!("{table} {}", rows.join(", ")));
        Self { place, sandbox, servers }
    }

    /// The mart's table, dropped by hand.
    fn drop_table(&self) {
        if self.place == Place::Sqlite {
            self.sandbox.sqlite("warehouse.db", "DROP TABLE once");
        }
        self.servers.drop_table("once");
    }

    /// Runs a command with a point armed, which it must reach.
    fn dies(&self, arguments: &[&str], point: &str) {
        let mut command: Command = self.sandbox.command(arguments);
        let output = command.env("VITRINA_FAILPOINT", point).output().unwrap();
        assert_eq!(
            output.status.signal(),
            Some(SIGABRT),
            "{point}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Windows that the ledger says are built.
    fn built(&self) -> u64 {
        let status = self.sandbox.vitrina(&["status", "once", "--format", "json"]).done().json();
        let windows = &status[0]["windows"];
        assert_eq!(windows["all"], CLOSED, "{status:#}");
        windows["built"].as_u64().unwrap()
    }

    /// What the table holds, by day; nothing where it is not there yet.
    fn rows(&self) -> Vec<(NaiveDate, i64)> {
        let sql = "SELECT dt, CAST(n AS BIGINT) AS n FROM warehouse.once ORDER BY dt, n";
        let ran = self.sandbox.vitrina(&["query", sql, "--format", "json"]);
        if ran.code != Some(0) {
            assert!(ran.stderr.contains("once"), "{ran:#?}");
            return vec![];
        }
        let rows = ran.json();
        let row = |row: &serde_json::Value| {
            let text = row["dt"].as_str().unwrap();
            (text[..10].parse().unwrap(), row["n"].as_i64().unwrap())
        };
        rows.as_array().unwrap().iter().map(row).collect()
    }

    /// What the table must hold once every window is built, so much added to each.
    fn closed(&self, added: i64) -> Vec<(NaiveDate, i64)> {
        (1..=CLOSED).rev().map(|ago| (day(ago), ago as i64 + added)).collect()
    }

    /// After a death: rows are there if and only if their record is. How many windows are built.
    fn agreed(&self, point: &str) -> u64 {
        // A server may still end what the dead program had asked for.
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let built = self.built();
            // There a window may be visible before its record, until the next run.
            if self.place == Place::Clickhouse {
                return built;
            }
            let rows = self.rows();
            let different = rows.iter().map(|(day, _)| day).collect::<BTreeSet<_>>().len() as u64;
            if (rows.len() as u64, different) == (built, built) {
                return built;
            }
            assert!(Instant::now() < until, "{point}: {built} windows are built, of {rows:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Windows that a run builds.
    fn units(&self, arguments: &[&str]) -> u64 {
        let told = self.sandbox.vitrina(&[arguments, &["--format", "json"]].concat()).done().json();
        told[0]["units"].as_u64().unwrap()
    }
}

/// A day of the project, so many ago.
fn day(ago: u64) -> NaiveDate {
    Utc::now().date_naive() - Days::new(ago)
}

const PROJECT: &str = r#"
[project]
name = "windows"
time_zone = "UTC"

[daemon]
state = "state"
parallel = 2

[connections.bot]
kind = "sqlite"
path = "bot.db"
"#;

const ONCE: &str = r#"
retry = { attempts = 9, wait = "300ms", timeout = "5m" }
sql = "SELECT dt, n FROM bot.visits WHERE dt >= :window.from AND dt < :window.until"

[window]
column = "dt"
grain = "day"
start = START
current = false

[sink]
connection = "warehouse"

[[check]]
unique = ["dt"]
"#;
