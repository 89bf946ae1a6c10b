//! The daemon builds stale windows again where the mart says so, without waiting for its schedule.

use chrono::{Days, NaiveDate, Utc};

use super::serving::{Serving, number, runs};
use crate::support::project::Sandbox;

const PROJECT: &str = r#"
[project]
name = "served"

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.store]
kind = "sqlite"
path = "store.db"
"#;

pub(super) fn day(ago: u64) -> NaiveDate {
    Utc::now().date_naive() - Days::new(ago)
}

/// A daily mart that nothing is due of for a long time; `more` is of its windows.
pub(super) fn mart(table: &str, factor: u32, more: &str, end: &str) -> String {
    let (source, column) = if table == "days" { ("bot.events", "dt") } else { ("mart.days", "dt") };
    format!(
        "schedule = {{ every = \"10000d\" }}\nsql = '''SELECT {column}, sum(amount) * {factor} AS amount FROM {source} \
         WHERE dt >= :window.from AND dt < :window.until GROUP BY dt'''\n[window]\ncolumn = \"dt\"\ngrain = \"day\"\n\
         start = {}\ncurrent = false\n{more}\n[sink]\nconnection = \"store\"\n{end}",
        day(4)
    )
}

const POLICIES: [(&str, &str); 3] = [
    ("kept", "on_change = \"rebuild\""),
    ("marked", "on_change = \"mark\""),
    ("forward", "on_change = \"forward_only\""),
];

/// A mart of events, and three that are built of it, all of them built.
pub(super) fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("vitrina.toml", PROJECT), ("marts/days.toml", &mart("days", 1, "", ""))]);
    readers(&sandbox, 1);
    sandbox.sqlite("bot.db", "CREATE TABLE events (dt DATE, amount INTEGER)");
    for ago in 0..=4 {
        add(&sandbox, ago, 1);
    }
    sandbox.must(&["run", "--all"]);
    sandbox
}

fn readers(sandbox: &Sandbox, factor: u32) {
    for (table, policy) in POLICIES {
        sandbox.write(&format!("marts/{table}.toml"), &mart(table, factor, policy, ""));
    }
}

pub(super) fn add(sandbox: &Sandbox, ago: u64, amount: i64) {
    sandbox.sqlite("bot.db", &format!("INSERT INTO events VALUES ('{}', {amount})", day(ago)));
}

/// The amount of a day, in each of the three.
fn of(sandbox: &Sandbox, ago: u64) -> [Option<i64>; 3] {
    POLICIES.map(|(table, _)| {
        number(sandbox, "store.db", &format!("SELECT amount FROM {table} WHERE dt = '{}'", day(ago)))
    })
}

fn backfill(sandbox: &Sandbox, ago: u64) {
    let day = day(ago).to_string();
    sandbox.must(&["backfill", "days", "--from", &day, "--last", &day]);
}

#[test]
fn stale_windows_are_built_again_after_a_backfill_an_edit_and_a_start() {
    let sandbox = project();
    assert_eq!(of(&sandbox, 3), [Some(1); 3]);
    // While no daemon runs.
    add(&sandbox, 4, 10);
    backfill(&sandbox, 4);
    let serving = Serving::start(&sandbox);
    serving.until("windows that were stale before", || of(&sandbox, 4)[0] == Some(11));

    add(&sandbox, 3, 10);
    add(&sandbox, 2, 10);
    backfill(&sandbox, 3);
    serving.until("what was built again upstream", || of(&sandbox, 3)[0] == Some(11));
    assert_eq!(of(&sandbox, 2)[0], Some(1), "no other window");

    readers(&sandbox, 7);
    serving.until("an edited query", || (2..=4).all(|ago| of(&sandbox, ago)[0].is_some_and(|n| n % 7 == 0)));
    serving.until("its run ends", || runs(&sandbox, "kept", "running") == 0);
    for ago in 2..=4 {
        assert_eq!(of(&sandbox, ago)[1..], [Some(1), Some(1)], "marked and forward_only, {ago} days ago");
    }
    let plan = sandbox.vitrina(&["plan", "marked", "forward", "kept", "--format", "json"]).done().json();
    let builds = |name: &str| {
        let plans = plan.as_array().unwrap();
        plans.iter().find(|plan| plan["name"] == name).unwrap()["builds"].as_array().unwrap().clone()
    };
    assert!(builds("marked").iter().all(|build| build["by_run"] == false), "{plan:#}");
    assert_eq!((builds("marked").len(), builds("forward").len(), builds("kept").len()), (4, 0, 0));
    assert_eq!((runs(&sandbox, "marked", "done"), runs(&sandbox, "forward", "done")), (1, 1));
    serving.stop().done();

    readers(&sandbox, 9);
    let serving = Serving::start(&sandbox);
    serving.until("a query that was edited before", || of(&sandbox, 3)[0] == Some(99));
    serving.stop().done();
}

#[test]
fn a_run_that_fails_over_stale_windows_is_not_begun_again_and_again() {
    let sandbox = project();
    let serving = Serving::start(&sandbox);
    let check = "[[check]]\nname = \"small\"\nsql = \"SELECT * FROM this WHERE amount > 6\"\n";
    sandbox.write("marts/kept.toml", &mart("kept", 7, POLICIES[0].1, check));
    serving.until("it is blocked", || runs(&sandbox, "kept", "failed") == 1);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(runs(&sandbox, "kept", "failed"), 1);
    assert_eq!(of(&sandbox, 3), [Some(1); 3], "the old rows stay");
    sandbox.write("marts/kept.toml", &mart("kept", 7, POLICIES[0].1, ""));
    serving.until("the next edit is tried", || of(&sandbox, 3)[0] == Some(7));
    serving.stop().done();
}

#[test]
fn a_pipeline_that_reads_its_source_again_has_windows_built_again() {
    let sandbox = project();
    sandbox.write(
        "pipelines/copied.toml",
        "[source]\nconnection = \"bot\"\ntable = \"events\"\ncursor = { column = \"dt\" }\n[sink]\nconnection = \"store\"\ntable = \"copied\"\nmode = \"merge\"\nkey = [\"dt\"]\n",
    );
    let of_copies = mart("days", 1, POLICIES[0].1, "").replace("bot.events", "pipeline.copied");
    sandbox.write("marts/seen.toml", &of_copies);
    sandbox.must(&["run", "copied", "seen"]);
    let seen = |ago: u64| {
        number(&sandbox, "store.db", &format!("SELECT amount FROM seen WHERE dt = '{}'", day(ago)))
    };
    assert_eq!(seen(3), Some(1));
    let serving = Serving::start(&sandbox);
    sandbox.sqlite("bot.db", "UPDATE events SET amount = 5");
    sandbox.must(&["run", "copied", "--full-refresh"]);
    serving.until("what was read again", || (1..=4).all(|ago| seen(ago) == Some(5)));
    serving.stop().done();
}
