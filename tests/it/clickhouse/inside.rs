//! Marts whose query and table lie in one server: rows never leave it, and are judged all the same.

use crate::support::{
    clickhouse::{Place, setting},
    project::Sandbox,
    proxy::{Fate, Proxy},
};

/// A project whose one connection is this database, and its mart.
fn project(place: &Place, url: &str, mart: &str) -> Sandbox {
    let vitrina = format!(
        "[project]\nname = \"внутри\"\n[connections.dwh]\nkind = \"clickhouse\"\nurl = \"{url}\"\n\
         user = {{ env = \"VITRINA_CLICKHOUSE_USER\" }}\npassword = {{ env = \"VITRINA_CLICKHOUSE_PASSWORD\" }}\ndatabase = '{}'\n",
        place.config.database
    );
    Sandbox::new(&[("vitrina.toml", &vitrina), ("marts/made.toml", mart)])
}

/// A mart in the engine's SQL, and the same in the server's own.
fn both(sql: &str, sink: &str) -> [String; 2] {
    let mart = format!("sql = '{sql}'\n[sink]\nconnection = \"dwh\"\n{sink}");
    [mart.clone(), format!("native = true\n{mart}")]
}

/// The rows of a mart in SQL do not travel: no statement brings any to the server.
#[test]
fn rows_never_leave_the_server() {
    let place = Place::new();
    place.inside("CREATE TABLE src (id Int64, name Nullable(String)) ENGINE = MergeTree ORDER BY id");
    place.inside("INSERT INTO src SELECT number, if(number % 2 = 0, NULL, 'ы') FROM numbers(10)");
    let marts = both("SELECT name, count(*) AS n FROM dwh.src GROUP BY name", "");
    let proxy = Proxy::new();
    proxy.lead_to(setting("URL").trim_start_matches("http://"));
    let project = project(&place, &format!("http://{}", proxy.address), "");
    for mart in marts {
        project.write("marts/made.toml", &mart);
        for brings in [false, true] {
            // What brings rows says so in its address; what selects them, in its body.
            let inserts = move |sent: &[u8]| {
                let text = String::from_utf8_lossy(sent);
                let into = text.contains("INSERT") && text.contains("_vitrina_stage_");
                into && text.contains(if brings { "ArrowStream" } else { "SELECT `name`" })
            };
            proxy.trap(inserts, || Fate::Passes);
            project.must(&["run", "made"]);
            assert_eq!(proxy.untrap(), brings, "{mart}");
        }
        let made = place.inside("SELECT name, n FROM made ORDER BY name NULLS FIRST FORMAT TSV");
        assert_eq!(made, "\\N\t5\nы\t5\n");
        assert!(project.must(&["explain", "made"]).contains("stay where they are"));
        // The server counts in another type.
        place.inside("DROP TABLE made");
        place.inside("DROP TABLE _vitrina_records");
    }
}

/// A NULL for a column that takes none fails the build; it never becomes the type's default.
#[test]
fn null_in_a_sorting_column_is_no_default() {
    let place = Place::new();
    place.inside(
        "CREATE TABLE src (id Nullable(Int64), name Nullable(String)) ENGINE = MergeTree ORDER BY tuple()",
    );
    place.inside("INSERT INTO src VALUES (1, 'а'), (2, NULL)");
    let sink = "[sink.clickhouse]\norder_by = [\"name\", \"id\"]\n";
    for mart in both("SELECT id, name FROM dwh.src WHERE id > 0", sink) {
        let project = project(&place, &setting("URL"), &mart);
        place.inside("ALTER TABLE src UPDATE name = NULL WHERE id = 2 SETTINGS mutations_sync = 2");
        project.vitrina(&["run", "made"]).says(1, &["does not take a value"]);
        assert_eq!(place.inside("SELECT count() FROM made").trim(), "0");
        place.inside("ALTER TABLE src UPDATE name = 'б' WHERE id = 2 SETTINGS mutations_sync = 2");
        project.must(&["run", "made"]);
        assert_eq!(place.inside("SELECT name, id FROM made FORMAT TSV"), "а\t1\nб\t2\n");
        place.inside("DROP TABLE made");
        place.inside("DROP TABLE _vitrina_records");
    }
}

/// A date that the target's type has no place for fails the build; the server would have kept another one.
#[test]
fn dates_beyond_the_type_fail_the_build() {
    let place = Place::new();
    place.inside(
        "CREATE TABLE src (id Int64, day Date32, at DateTime64(0, 'UTC')) ENGINE = MergeTree ORDER BY id",
    );
    place.inside("CREATE TABLE good AS src");
    let good = "(1, '2149-06-06', '2106-02-07 06:28:15'), (2, '1970-01-01', '1970-01-01 00:00:00')";
    place.inside(&format!("INSERT INTO good VALUES {good}"));
    for beyond in ["(3, '2200-01-01', '2026-01-01 00:00:00')", "(3, '2026-01-01', '1960-01-01 00:00:00')"] {
        for mart in both("SELECT id, day, at FROM dwh.src WHERE id > 0", "") {
            place.inside(
                "CREATE TABLE made (id Int64, day Date, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id",
            );
            place.inside("TRUNCATE TABLE src");
            place.inside(&format!("INSERT INTO src VALUES {good}, {beyond}"));
            let project = project(&place, &setting("URL"), &mart);
            project
                .vitrina(&["run", "made"])
                .says(1, &["has a date or time that ClickHouse's type cannot keep"]);
            assert_eq!(place.inside("SELECT count() FROM made").trim(), "0", "{beyond}");
            place.inside("ALTER TABLE src DELETE WHERE id = 3 SETTINGS mutations_sync = 2");
            project.must(&["run", "made"]);
            let same = "SELECT count() FROM made AS m JOIN good AS g ON m.id = g.id AND m.day = g.day AND m.at = g.at";
            assert_eq!(place.inside(same).trim(), "2");
            place.inside("DROP TABLE made");
            place.inside("DROP TABLE _vitrina_records");
        }
    }
}

/// The server fails at the last of many rows, when parts of the stage are written: the old rows stay, and no stage is left.
#[test]
fn sql_that_fails_at_the_last_of_many_rows_changes_nothing() {
    let place = Place::new();
    let numbers = |rows: u64, last: u64| {
        let share = format!("throwIf(number = {last}, 'too far')");
        place.inside(&format!("CREATE OR REPLACE VIEW src AS SELECT toInt64(number) AS id, {share} AS share FROM numbers({rows})"));
    };
    numbers(1_000, 3_000_000);
    for mart in both("SELECT id, share FROM dwh.src", "") {
        let project = project(&place, &setting("URL"), &mart);
        let rows = || place.inside("SELECT count() FROM made").trim().to_owned();
        numbers(1_000, 3_000_000);
        project.must(&["run", "made"]);
        assert!(project.must(&["explain", "made"]).contains("stay where they are"));
        assert_eq!(rows(), "1000");
        numbers(3_000_001, 3_000_000);
        project.vitrina(&["run", "made"]).says(1, &["made", "too far"]);
        assert_eq!(rows(), "1000", "the old rows stay");
        numbers(2_000, 3_000_000);
        project.must(&["run", "made"]);
        assert_eq!(rows(), "2000", "and the next build is whole");
        let left = place.inside(
            "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name FORMAT TSV",
        );
        assert_eq!(left, "_vitrina_records\nmade\nsrc\n");
        place.inside("DROP TABLE made");
        place.inside("DROP TABLE _vitrina_records");
    }
}
