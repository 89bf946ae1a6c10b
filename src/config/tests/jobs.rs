//! What source, mode and sink can do together; schedules; generators; marts.

use insta::assert_snapshot;

use super::{BASE, ORDERS, drawn, mart, pipeline};

/// The base pipeline with other lines in its sink.
fn sink(lines: &str) -> String {
    pipeline(&ORDERS.replace("mode = \"append\"", lines))
}

#[test]
fn modes() {
    let whole = ORDERS.replace("cursor = { column = \"id\" }\n", "");
    assert_snapshot!("append of a whole table", pipeline(&whole));
    assert_snapshot!("replace by slices", sink("mode = \"replace\""));
    assert_snapshot!("merge without key", sink("mode = \"merge\""));
    assert_snapshot!(
        "key and delete without merge",
        sink("mode = \"append\"\nkey = [\"id\"]\ndelete = { when = \"id = 1\", how = \"soft\" }")
    );
    assert_snapshot!(
        "a log cannot merge",
        pipeline(
            &ORDERS.replace("\"warehouse\"", "\"stream\"").replace("\"append\"", "\"merge\"\nkey = [\"id\"]")
        )
    );
    assert_snapshot!("own source", pipeline(&ORDERS.replace("\"warehouse\"", "\"shop\"")));
}

#[test]
fn delivery() {
    let overlap = ORDERS.replace("{ column = \"id\" }", "{ column = \"id\", overlap = 10 }");
    assert_snapshot!("weaker than exactly once", pipeline(&overlap));
    assert_eq!(pipeline(&overlap.replace("\"append\"", "\"append\"\ndelivery = \"at_least_once\"")), "");
    assert_eq!(pipeline(&overlap.replace("\"append\"", "\"merge\"\nkey = [\"id\"]")), "");
    assert_snapshot!("said too weak", sink("mode = \"append\"\ndelivery = \"at_least_once\""));
    let rowid = ORDERS.replace("{ column = \"id\" }", "{ column = \"rowid\" }");
    assert_snapshot!(
        "may miss",
        pipeline(&rowid.replace("\"append\"", "\"append\"\ndelivery = \"at_least_once\""))
    );
}

#[test]
fn sources() {
    assert_snapshot!("cursor on a log", pipeline(&ORDERS.replace("\"shop\"", "\"stream\"")));
    assert_snapshot!(
        "a tie that ties nothing",
        pipeline(&ORDERS.replace("{ column = \"id\" }", "{ column = \"id\", tie = \"id\" }"))
    );
}

#[test]
fn schedules() {
    let scheduled = |schedule: &str| pipeline(&format!("schedule = {schedule}\n{ORDERS}"));
    assert_snapshot!("no trigger", scheduled("{ misfire = \"skip\" }"));
    assert_snapshot!("too much", scheduled("{ every = \"1m\", cron = \"* * * * *\" }"));
    assert_snapshot!("zone without cron", scheduled("{ every = \"1m\", time_zone = \"UTC\" }"));
    assert_snapshot!("too often", scheduled("{ every = \"5ms\" }"));
    assert_snapshot!("after none", scheduled("{ after = [] }"));
    assert_snapshot!("after a word", scheduled("{ after = \"input\" }"));
    assert_eq!(scheduled("{ cron = \"5 6 * * MON-FRI\", time_zone = \"Asia/Omsk\" }"), "");
    assert_eq!(scheduled("{ continuous = true }"), "");
}

#[test]
fn checks_compare_like_with_like() {
    let told = |check: &str| {
        mart(&format!(
            "sql = \"SELECT client, amount FROM pipeline.orders\"\n[sink]\nconnection = \"shop\"\nmode = \"replace\"\n[[check]]\n{check}"
        ))
    };
    for wrong in
        ["accepted.client = [\"a\", 1]", "range.client = { min = 1 }", "range.amount = { max = \"много\" }"]
    {
        let found = told(wrong);
        assert!(found.contains("bad-check") && found.contains("and this is none"), "{wrong}: {found}");
    }
    for good in
        ["accepted.client = [\"a\"]", "range.amount = { min = 1, max = \"2.5\" }", "accepted.amount = [1]"]
    {
        assert_eq!(told(good), "", "{good}");
    }
}

#[test]
fn no_mart_is_continuous() {
    let daily = "sql = \"SELECT 1 AS x\"\nschedule = { continuous = true }\n[sink]\nconnection = \"shop\"";
    let told = mart(daily);
    assert!(told.contains("bad-schedule") && told.contains("only pipelines are continuous"), "{told}");
}

#[test]
fn waits_that_would_be_cut_are_refused() {
    let waiting = |wait: &str| pipeline(&format!("retry = {{ wait = \"{wait}\" }}\n{ORDERS}"));
    assert_snapshot!("a long wait", waiting("11m"));
    assert_eq!(waiting("10m"), "");
}

#[test]
fn generators() {
    let generator = r#"
[source.generate]
seed = 1
start = 2026-01-01
per_day = 10
[source.generate.columns]
id = { sequence = 1 }
kind = { choice = { a = 1, b = 2 } }
[sink]
connection = "shop"
table = "made"
mode = "append"
"#;
    assert_eq!(pipeline(generator), "");
    assert_snapshot!(
        "beside a table",
        pipeline(
            &generator.replace("[source.generate]", "[source]\nconnection = \"shop\"\n[source.generate]")
        )
    );
    assert_snapshot!(
        "bad columns",
        pipeline(
            &generator
                .replace("{ sequence = 1 }", "{ sequence = 1, evnt_time = true }")
                .replace("kind = {", "kind = { when = \"idd = 1\",")
                .replace("per_day", "per_hour")
        )
    );
    let child = generator.replace("start = 2026-01-01\nper_day = 10\n", "").replace("\"made\"", "\"born\"");
    let child = |parent: &str| {
        child.replace(
            "[source.generate.columns]",
            &format!("parent = {{ pipeline = \"{parent}\", delay = \"3d\", columns = {{ parent_id = \"id\" }} }}\n[source.generate.columns]"),
        )
    };
    let family = |child: &str| {
        drawn(&[
            ("vitrina.toml", BASE),
            ("pipelines/made.toml", generator),
            ("pipelines/orders.toml", ORDERS),
            ("pipelines/child.toml", child),
        ])
    };
    assert_eq!(family(&child("made")), "");
    assert_snapshot!("an unknown parent", family(&child("mad")));
    assert_snapshot!("a parent that is a table", family(&child("orders")));
    assert_snapshot!("its own parent", family(&child("child")));
}

#[test]
fn marts() {
    assert_snapshot!("nothing", mart("owner = \"x\""));
    assert_snapshot!(
        "both",
        mart("sql = \"SELECT 1 AS x\"\nexcel = \"x.xlsx\"\n[sink]\nconnection = \"shop\"")
    );
    assert_snapshot!("no sink", mart("sql = \"SELECT 1 AS x\"\n[with]\nperiod = \"today\""));
    assert_snapshot!("no sheet", mart("excel = \"x.xls\""));
    assert_snapshot!(
        "sheets",
        mart(
            r#"
matrix = ["region"]
excel = "x.xlsx"
[with]
period = "last_mnth"
region = 1
[[sheet]]
name = "По дням: {region.title} и ещё много слов"
sql = "SELECT client, sum(amount) AS amount FROM pipeline.orders WHERE :region = 'x' GROUP BY client"
columns.amont = { title = "Сумма" }
columns.client = { total = "sum", format = "0\"" }
chart = { kind = "colum", x = "cliient", y = ["client"], at = "2H" }
[[sheet]]
name = "a"
sql = { file = "no.sql" }
[[sheet]]
name = "A"
sql = { file = "../../etc/passwd" }
chart = [{ kind = "line", x = "x", y = [], at = "A1" }]
"#
        )
    );
}
