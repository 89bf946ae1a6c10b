//! Windows and checks in the servers.

use super::{CLICKHOUSE, POSTGRES, PROJECT, add, daily, day, found, project, told};
use crate::support::{clickhouse, postgres, project::Sandbox};

/// Late rows, a backfill, a check that blocks, a dropped table.
fn plays(project: &Sandbox, drop: impl Fn()) {
    let check = "[[check]]\nname = \"знак\"\nrange.amount = { min = 0 }\n";
    project.write("marts/daily.toml", &(daily(super::QUERY, "dwh", 4, "lookback = \"1d\"") + check));
    assert_eq!(told(project, &["run", "daily"])[0]["units"], 5);
    (0..=4).for_each(|ago| add(project, ago, 10));
    project.must(&["run", "daily"]);
    assert_eq!(found(project, "mart.daily"), [(4, 1), (3, 1), (2, 1), (1, 11), (0, 11)]);
    project.must(&["backfill", "daily", "--from", &day(3).to_string(), "--last", &day(2).to_string()]);
    assert_eq!(found(project, "mart.daily"), [(4, 1), (3, 11), (2, 11), (1, 11), (0, 11)]);
    add(project, 4, -100);
    let from = day(4).to_string();
    project
        .vitrina(&["backfill", "daily", "--from", &from])
        .says(1, &["check \"знак\" does not hold: 1 row breaks it"]);
    assert_eq!(found(project, "mart.daily")[0], (4, 1));
    project.sqlite("bot.db", "DELETE FROM events WHERE amount < 0");
    drop();
    project.must(&["run", "daily"]);
    assert_eq!(found(project, "mart.daily"), [(4, 11), (3, 11), (2, 11), (1, 11), (0, 11)]);
}

#[test]
fn postgres_keeps_windows() {
    let place = postgres::Place::new();
    let project = project("lake", 4, "");
    project.write("vitrina.toml", &format!("{PROJECT}{}", POSTGRES.replace("SCHEMA", &place.schema)));
    plays(&project, || {
        tokio::runtime::Runtime::new().unwrap().block_on(place.run("DROP TABLE daily"));
    });
}

#[test]
fn clickhouse_keeps_windows() {
    let place = clickhouse::Place::new();
    let project = project("lake", 4, "");
    project.write(
        "vitrina.toml",
        &format!("{PROJECT}{}", CLICKHOUSE.replace("DATABASE", &place.config.database)),
    );
    plays(&project, || drop(place.run(&format!("DROP TABLE {}", place.table("daily")))));
    let parts = place.inside("SELECT count(DISTINCT partition) FROM system.parts WHERE active AND table = 'daily' AND database = currentDatabase()");
    assert_eq!(parts.trim(), "5", "a partition for each day");
}

/// Days that lie in one partition of ClickHouse: wherever the program dies while one is put in its place, each is there as it was or as it is to be.
#[test]
fn days_of_one_partition_outlive_death_between_its_steps() {
    let place = clickhouse::Place::new();
    let connection = CLICKHOUSE.replace("DATABASE", &place.config.database);
    for (nth, point) in (1..).zip([
        "clickhouse.decided",
        "clickhouse.mixing",
        "clickhouse.mixed",
        "clickhouse.mixed:2",
        "clickhouse.replaced",
        "clickhouse.replaced:3",
        "clickhouse.recorded",
    ]) {
        let project = project("lake", 4, "");
        project.write("vitrina.toml", &format!("{PROJECT}{connection}"));
        let mart = daily(super::QUERY, "dwh", 4, "")
            + &format!("table = \"days{nth}\"\nclickhouse.partition_by = \"toYear(dt)\"\n");
        project.write("marts/daily.toml", &mart);
        project.must(&["run", "daily"]);
        (0..=4).for_each(|ago| add(&project, ago, 10));
        let from = day(4).to_string();
        let backfill = ["backfill", "daily", "--from", from.as_str()];
        let died = project.command(&backfill).env("VITRINA_FAILPOINT", point).output().unwrap();
        assert!(!died.status.success(), "{point}");
        let left = found(&project, "mart.daily");
        let days: Vec<i64> = left.iter().map(|(ago, _)| *ago).collect();
        assert_eq!(days, [4, 3, 2, 1, 0], "{point}: a day has no rows, or some twice");
        assert!(left.iter().all(|(_, amount)| [1, 11].contains(amount)), "{point}: {left:?}");
        project.must(&backfill);
        assert_eq!(found(&project, "mart.daily"), [(4, 11), (3, 11), (2, 11), (1, 11), (0, 11)], "{point}");
    }
}

/// A mart over the place that it is written to: its rows never leave it, checks and windows all the same.
#[test]
fn a_mart_inside_postgres_is_cut_too() {
    ["postgres", "greenplum"].into_iter().for_each(inside);
}

fn inside(kind: &str) {
    let place = postgres::Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(place.run(&format!(
        "CREATE TABLE events AS SELECT timestamptz '{}T12:00:00Z' + g * interval '1 day' AS at, g::bigint AS amount FROM generate_series(0, 3) AS g",
        day(3)
    )));
    let connection =
        POSTGRES.replace("\"postgres\"", &format!("\"{kind}\"")).replace("SCHEMA", &place.schema);
    let project = Sandbox::new(&[("vitrina.toml", &format!("{PROJECT}{connection}"))]);
    let check = "[[check]]\nname = \"знак\"\nrange.amount = { min = 0 }\n";
    let query = "SELECT at, amount FROM dwh.events WHERE at >= :window.from AND at < :window.until";
    let native =
        "native = true\n".to_owned() + &daily(query, "dwh", 3, "").replace("\"dt\"", "\"at\"") + check;
    for mart in [daily(query, "dwh", 3, "").replace("\"dt\"", "\"at\"") + check, native] {
        project.write("marts/daily.toml", &mart);
        let run = told(&project, &["backfill", "daily", "--from", &day(3).to_string()]);
        assert_eq!((run[0]["units"].as_i64(), run[0]["written"].as_i64()), (Some(4), Some(4)), "{run:#}");
        assert_eq!(project.number("SELECT count(*) FROM mart.daily"), 4);
        assert!(project.must(&["explain", "daily"]).contains("stay where they are"));
    }
    runtime.block_on(place.run("UPDATE events SET amount = -1"));
    project.vitrina(&["run", "daily"]).says(1, &["check \"знак\" does not hold"]);
    let outside = query.replace("SELECT at, amount", "SELECT at - interval '1 year' AS at, amount");
    project.write("marts/daily.toml", &daily(&outside, "dwh", 3, "").replace("\"dt\"", "\"at\""));
    project.vitrina(&["run", "daily"]).says(1, &["outside of"]);
    assert_eq!(project.number("SELECT sum(amount) FROM mart.daily"), 6);
}

/// ClickHouse's own SQL, staged inside the server: parameters are bound, checks and windows hold.
#[test]
fn a_mart_inside_clickhouse_is_cut_too() {
    let place = clickhouse::Place::new();
    place.inside("CREATE TABLE events (at DateTime64(6, 'UTC'), amount Int64, name String) ENGINE = MergeTree ORDER BY at");
    for ago in 0..=3 {
        let noon = format!("{} 20:00:00", day(ago) - chrono::Days::new(1));
        let insert = format!(
            "INSERT INTO events SELECT toDateTime64('{noon}', 6, 'UTC') + INTERVAL 2 HOUR, {ago}, 'о\\'Нил' FROM numbers(3)"
        );
        place.inside(&insert);
    }
    let region = "[matrix.region]\nmrf1 = { title = \"о'Нил\\\\\" }\n";
    let project = Sandbox::new(&[(
        "vitrina.toml",
        &format!("{PROJECT}{region}{}", CLICKHOUSE.replace("DATABASE", &place.config.database)),
    )]);
    let query = "SELECT at, sum(amount) AS amount, any(:region.title) AS region, uniqCombined(name) AS names FROM dwh.events \
                 WHERE at >= :window.from AND at < :window.until GROUP BY at";
    let head = "native = true\nmatrix = [\"region\"]\n";
    let check = "table = \"daily\"\n[[check]]\nname = \"знак\"\nrange.amount = { min = 0 }\n";
    let mart = head.to_owned() + &daily(query, "dwh", 3, "").replace("\"dt\"", "\"at\"") + check;
    project.write("marts/daily.toml", &mart);
    project.must(&["check"]);
    assert!(project.must(&["explain", "daily", "--plan"]).contains("{v1:String}"));
    let run = told(&project, &["run", "daily"]);
    assert_eq!((run[0]["units"].as_i64(), run[0]["written"].as_i64()), (Some(4), Some(4)), "{run:#}");
    let rows = project.query("SELECT amount, region, names FROM mart.daily ORDER BY at");
    let row = |amount: i64| serde_json::json!({ "amount": amount, "region": "о'Нил\\", "names": 1 });
    assert_eq!(rows, [9, 6, 3, 0].map(row));
    assert!(project.must(&["explain", "daily"]).contains("stay where they are"));
    place.inside("ALTER TABLE events UPDATE amount = -1 WHERE 1 SETTINGS mutations_sync = 2");
    project.vitrina(&["run", "daily"]).says(1, &["check \"знак\" does not hold"]);
    let outside = mart
        .replace("SELECT at,", "SELECT addYears(at, -1) AS early,")
        .replace("column = \"at\"", "column = \"early\"");
    project.write("marts/daily.toml", &outside);
    assert_eq!(project.vitrina(&["run", "daily"]).code, Some(1));
    assert_eq!(project.number("SELECT count(*) FROM mart.daily"), 4);
}
