//! Rights in ClickHouse, asked by `CHECK GRANT`, and what its queries would read. The engine of the tests makes no users by SQL: those of few rights are told to
//! a server of a test's own when it starts.

use super::{mends, missing, tested, told};
use crate::support::{
    clickhouse::{Granting, Place, send, setting},
    project::Sandbox,
};

fn project(url: &str, database: &str, user: &str, password: &str) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.ch]\nkind = \"clickhouse\"\nurl = \"{url}\"\ndatabase = '{database}'\nuser = \"{user}\"\n\
         password = {password}\n[connections.here]\nkind = \"sqlite\"\npath = \"here.db\"\n"
    )
}

const OUT: &str = "[source]\nconnection = \"ch\"\ntable = \"orders\"\ncursor = { column = \"id\" }\n\
                   [sink]\nconnection = \"here\"\ntable = \"orders\"\nmode = \"append\"\n";
const IN: &str = "[source]\nconnection = \"here\"\ntable = \"orders\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\n\
                  [sink]\nconnection = \"ch\"\ntable = \"copy\"\nmode = \"append\"\ndelivery = \"may_miss\"\n";

#[test]
fn what_is_missing_is_what_a_run_needs() {
    let own = Granting::start(&[
        "reader:pw:GRANT SELECT(id) ON shop.orders",
        "writer:pw:GRANT SELECT, INSERT, ALTER, CREATE TABLE, DROP TABLE ON shop.*:GRANT TABLE ENGINE ON MergeTree:\
         GRANT SELECT ON system.parts:GRANT SELECT ON system.processes",
    ]);
    let admin = own.config();
    let run = |sql: &str| send(&admin, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    run("CREATE DATABASE shop ENGINE = Atomic");
    run("CREATE TABLE shop.orders (id Int64) ENGINE = MergeTree ORDER BY id");
    run("CREATE TABLE shop.closed (id Int64) ENGINE = MergeTree ORDER BY id");
    run("INSERT INTO shop.orders SELECT number FROM numbers(5)");
    let vitrina::connector::clickhouse::config::Urls::One(url) = &admin.url else { panic!("one url") };
    let mart =
        "sql = \"SELECT count(*) AS n FROM ch.closed\"\n[sink]\nconnection = \"here\"\nmode = \"replace\"\n";
    let here = Sandbox::new(&[
        ("vitrina.toml", &project(url, "shop", "reader", "\"pw\"")),
        ("pipelines/a.toml", OUT),
        ("pipelines/b.toml", IN),
        ("marts/m.toml", mart),
    ]);
    let found = tested(&here, "ch", 1);
    let lacks = ["SELECT", "INSERT", "ALTER", "CREATE TABLE", "DROP TABLE"]
        .map(|right| format!("{right} on `shop`.*"));
    let mut expected: Vec<&str> = lacks.iter().map(String::as_str).collect();
    expected.extend(["SELECT on system.parts", "SELECT on system.processes"]);
    expected.extend(["TABLE ENGINE on MergeTree", "SELECT on `shop`.`closed`"]);
    assert_eq!(missing(&found), expected, "{found:#}");
    assert!(mends(&found).contains(&"GRANT SELECT ON `shop`.`closed` TO `reader`".to_owned()), "{found:#}");
    let problems = told(&here, "live-right");
    assert!(problems.iter().any(|(path, line, _)| path == "marts/m.toml" && *line == 1), "{problems:#?}");
    assert!(problems.iter().any(|(path, line, _)| path == "pipelines/b.toml" && *line == 9), "{problems:#?}");
    assert!(problems.iter().all(|(path, ..)| path != "pipelines/a.toml"), "{problems:#?}");
    // A right on a column is enough for what names it.
    here.must(&["run", "a"]);

    // One whom just the printed rights were given.
    here.write("vitrina.toml", &project(url, "shop", "writer", "\"pw\""));
    assert_eq!(missing(&tested(&here, "ch", 0)), Vec::<&str>::new());
    here.must(&["run", "--all"]);
    assert_eq!(here.number("SELECT count(*) AS n FROM ch.copy"), 5);
}

#[test]
fn users_that_may_only_read() {
    let place = Place::new();
    place.inside("CREATE TABLE orders (id Int64) ENGINE = MergeTree ORDER BY id");
    let password = "{ env = \"VITRINA_CLICKHOUSE_PASSWORD\" }";
    let of = |user: &str| project(&setting("URL"), &place.config.database, user, password);
    let here = Sandbox::new(&[("vitrina.toml", &of("reader")), ("pipelines/a.toml", OUT)]);
    assert_eq!(missing(&tested(&here, "ch", 0)), Vec::<&str>::new());
    here.write("pipelines/b.toml", IN);
    let found = tested(&here, "ch", 1);
    assert_eq!(missing(&found), ["a profile with readonly = 0 (to write)"]);
    assert_eq!(mends(&found), ["ALTER USER `reader` SETTINGS readonly = 0"]);
}

#[test]
fn what_queries_would_read() {
    let place = Place::new();
    place.inside(
        "CREATE TABLE orders (id Int64, city String) ENGINE = MergeTree ORDER BY id PARTITION BY city",
    );
    place.inside("INSERT INTO orders SELECT number, toString(number % 3) FROM numbers(3000)");
    let password = "{ env = \"VITRINA_CLICKHOUSE_PASSWORD\" }";
    let mart = "sql = \"\"\"\nSELECT city, sum(id) AS n FROM ch.orders GROUP BY city\n\"\"\"\n[sink]\nconnection = \"here\"\nmode = \"replace\"\n";
    let native = "sql = \"SELECT uniq(id) AS n FROM ch.orders WHERE city = '1'\"\nnative = true\n[sink]\nconnection = \"here\"\nmode = \"replace\"\ncolumns.n = { type = \"uint64\" }\n";
    let bot = "[bot]\ntitle = \"x\"\n[access]\nadmins = [1]\n[report.cities]\ntitle = \"x\"\nsql = \"SELECT sum(id) AS n FROM ch.orders WHERE city = :city\"\n\
               [report.cities.ask]\ncity = { kind = \"text\", default = \"1\" }\n[[report.cities.show]]\ntable = { rows = 10 }\n";
    let here = Sandbox::new(&[
        ("vitrina.toml", &project(&setting("URL"), &place.config.database, &setting("USER"), password)),
        ("marts/m.toml", mart),
        ("marts/native.toml", native),
        ("bot.toml", bot),
    ]);
    let found = told(&here, "live-estimate");
    let shown: Vec<(&str, &str)> =
        found.iter().map(|(path, _, says)| (path.as_str(), says.as_str())).collect();
    let table = format!("`{}.orders`", place.config.database);
    assert_eq!(
        shown,
        [
            ("marts/m.toml", format!("note: about 3,000 rows of {table} are read, in 3 parts ()").as_str()),
            (
                "marts/native.toml",
                format!("note: about 1,000 rows of {table} are read, in 1 part ()").as_str()
            ),
            ("bot.toml", format!("note: about 1,000 rows of {table} are read, in 1 part ()").as_str()),
        ]
    );
    here.vitrina(&["check", "--online"]).done();
}
