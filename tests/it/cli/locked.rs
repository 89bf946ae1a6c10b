//! `schema pull`: columns of outside tables, asked from their places, kept for `check`.

use super::{SHOP, shop};
use crate::support::{
    kafka,
    postgres::{self, setting},
    project::{Ran, Sandbox},
};

const PULL: &[&str] = &["schema", "pull"];
const STALE: &[&str] = &["schema", "pull", "--check"];

const LOCK: &str = r#"# The columns of tables that this project reads and does not make: `vitrina check` types SQL by them.
# `vitrina schema pull` writes this file; commit it.
version = 1

[[table]]
profile = "default"
connection = "shop"
kind = "sqlite"
table = "orders"
key = ["id"]
columns = [
    { name = "id", type = "int64" },
    { name = "Город", type = "text", nullable = true },
    { name = "amount", type = "text", nullable = true },
]
"#;

const SERVERS: &str = r#"# The columns of tables that this project reads and does not make: `vitrina check` types SQL by them.
# `vitrina schema pull` writes this file; commit it.
version = 1

[[table]]
profile = "default"
connection = "lake"
kind = "delta"
table = "t"
columns = [
    { name = "b", type = "int32", nullable = true },
    { name = "id", type = "int64", nullable = true },
    { name = "cost", type = "decimal(12,2)", nullable = true },
    { name = "at", type = "timestamp(us, UTC)", nullable = true },
    { name = "tags", type = "text", nullable = true },
]

[[table]]
profile = "default"
connection = "log"
kind = "kafka"
table = "t"
columns = [
    { name = "b", type = "int32", nullable = true },
    { name = "id", type = "int64", nullable = true },
    { name = "cost", type = "decimal(12,2)", nullable = true },
    { name = "at", type = "timestamp(us, UTC)", nullable = true },
    { name = "tags", type = "text", nullable = true },
]

[[table]]
profile = "default"
connection = "pg"
kind = "postgres"
schema = "SCHEMA"
table = "Заказы.new"
key = ["b", "id"]
columns = [
    { name = "b", type = "int32" },
    { name = "id", type = "int64" },
    { name = "cost", type = "decimal(12,2)" },
    { name = "at", type = "timestamp(us, UTC)", nullable = true },
    { name = "tags", type = "text", nullable = true },
]
"#;

/// A project whose mart reads a table that others make.
fn outside() -> Sandbox {
    let mart = "sql = \"SELECT id, amount FROM shop.orders\"\n[sink]\nconnection = \"warehouse\"\nmode = \"replace\"\n";
    let here = Sandbox::new(&[("vitrina.toml", SHOP), ("marts/m.toml", mart)]);
    here.sqlite(
        "shop.db",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, \"Город\" TEXT, amount TEXT); CREATE TABLE beside (x)",
    );
    here
}

fn lock(here: &Sandbox) -> String {
    std::fs::read_to_string(here.path("schemas.lock")).unwrap()
}

#[test]
fn a_lock_is_pulled_and_checked() {
    let here = outside();
    let unknown = here.vitrina(&["check"]).done();
    assert!(unknown.stdout.contains("nothing is known of the columns of `shop.orders`"), "{unknown:#?}");
    assert!(unknown.stderr.contains("no problems, 1 note"), "{unknown:#?}");
    let stale = here.vitrina(STALE).ended(1);
    assert!(stale.stdout.contains("shop.orders") && stale.stdout.contains("3 columns"), "{stale:#?}");
    assert!(!here.path("schemas.lock").exists(), "a check wrote");

    let pulled = here.vitrina(PULL).done();
    assert!(pulled.stderr.contains("1 outside table, 1 difference"), "{pulled:#?}");
    assert_eq!(lock(&here), LOCK);
    let known = here.vitrina(&["check"]).done();
    assert_eq!((known.stdout.as_str(), known.stderr.contains("no problems")), ("", true), "{known:#?}");
    assert!(here.vitrina(STALE).done().stderr.contains("up to date"));

    here.sqlite("shop.db", "ALTER TABLE orders ADD COLUMN paid REAL; ALTER TABLE orders DROP COLUMN amount");
    let stale = here.vitrina(STALE).ended(1);
    insta::assert_snapshot!(stale.stdout, @r##"
    table        column  in schemas.lock  now
    shop.orders  amount  text, nullable   -
    shop.orders  paid    -                float64, nullable
    "##);
    let json = here.vitrina(&["schema", "pull", "--check", "--format", "json"]).ended(1).json();
    assert_eq!(json[1]["column"], "paid", "{json:#}");
    assert_eq!(lock(&here), LOCK, "a check wrote");
    here.vitrina(PULL).done();
    let wrong = here.vitrina(&["check"]).ended(1);
    assert!(wrong.stdout.contains("marts/m.toml:1:19") && wrong.stdout.contains("`amount`"), "{wrong:#?}");
}

#[test]
fn a_run_asks_the_table_and_not_the_lock() {
    let shop = shop();
    shop.write("schemas.lock", &LOCK.replace("amount", "other"));
    shop.vitrina(&["check"]).ended(1);
    shop.vitrina(&["run", "orders"]).done();
    shop.write("schemas.lock", "version = 2\n");
    let told = shop.vitrina(PULL).ended(1);
    assert!(told.stderr.contains("schemas.lock is of version 2"), "{told:#?}");
    assert_eq!(lock(&shop), "version = 2\n");
}

#[test]
fn what_does_not_answer_is_told_and_keeps_its_entries() {
    let gone = "[connections.far]\nkind = \"postgres\"\nhost = \"127.0.0.1\"\nport = 1\ndatabase = \"d\"\nuser = \"u\"\n";
    let here = outside();
    here.write("vitrina.toml", &format!("{SHOP}\n{gone}"));
    let mart = "sql = \"SELECT a.id FROM far.t AS a, shop.ordres AS b, shop.orders AS c\"\n[sink]\nconnection = \"warehouse\"\nmode = \"replace\"\n";
    here.write("marts/n.toml", mart);
    let far =
        LOCK.replace("\"shop\"", "\"far\"").replace("sqlite", "postgres").replace("\"orders\"", "\"t\"");
    let far = far.replace("table = \"t\"", "schema = \"public\"\ntable = \"t\"");
    here.write("schemas.lock", &far);
    let told = here.vitrina(PULL).ended(1);
    assert!(told.stderr.contains("far.t: ") && told.stderr.contains("shop.ordres: "), "{told:#?}");
    assert!(told.stderr.contains("did you mean `orders`?"), "{told:#?}");
    let kept = lock(&here);
    assert!(kept.contains("schema = \"public\"") && kept.contains("connection = \"shop\""), "{kept}");
    // The world alone may pass by itself.
    here.vitrina(&["schema", "pull", "--connection", "far"]).ended(3);
    assert_eq!(lock(&here), kept);
    let unknown = here.vitrina(&["schema", "pull", "--connection", "shp"]).ended(2);
    assert!(unknown.stderr.contains("did you mean `shop`?"), "{unknown:#?}");
}

#[test]
fn an_online_check_asks_the_tables() {
    let here = outside();
    // The file may say what it likes: the table itself is asked.
    here.write("schemas.lock", LOCK);
    here.sqlite("shop.db", "ALTER TABLE orders RENAME COLUMN amount TO amounts");
    here.vitrina(&["check"]).done();
    let renamed = here.vitrina(&["check", "--online"]).ended(1);
    assert!(renamed.stdout.contains("marts/m.toml:1:19"), "{renamed:#?}");
    assert!(renamed.stdout.contains("did you mean `amounts`?"), "{renamed:#?}");

    here.sqlite("shop.db", "ALTER TABLE orders RENAME COLUMN amounts TO amount");
    let right = here.vitrina(&["check", "--online"]).done();
    assert!(right.stderr.contains("no problems"), "{right:#?}");

    let far = "\n[connections.far]\nkind = \"postgres\"\nhost = \"127.0.0.1\"\nport = 1\ndatabase = \"d\"\nuser = \"u\"\n";
    here.write("vitrina.toml", &format!("{SHOP}{far}"));
    let pipeline = "[source]\nconnection = \"shop\"\ntable = \"ordres\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\n\
                    [sink]\nconnection = \"warehouse\"\ntable = \"o\"\nmode = \"append\"\n";
    here.write("pipelines/p.toml", pipeline);
    let mart = "sql = \"SELECT a.id FROM far.t AS a, far.u AS b\"\n[sink]\nconnection = \"warehouse\"\nmode = \"replace\"\n";
    here.write("marts/n.toml", mart);
    let told = here.vitrina(&["check", "--online", "--format", "json"]).ended(1).json();
    let told: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            (
                problem["path"].as_str().unwrap(),
                problem["line"].as_u64().unwrap(),
                problem["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("vitrina.toml", 13, "live-connection"), ("pipelines/p.toml", 3, "live-table")]);
}

#[test]
fn an_online_check_looks_at_what_is_written() {
    let here = outside();
    here.write("vitrina.toml", &format!("{SHOP}\n[connections.bot]\nkind = \"sqlite\"\npath = \"bot.db\"\n"));
    let pipeline = "[source]\nconnection = \"shop\"\ntable = \"orders\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\namount = { type = \"text\", nullable = true }\n\
                    [sink]\nconnection = \"bot\"\ntable = \"o\"\nmode = \"append\"\n";
    here.write("pipelines/p.toml", pipeline);
    // A run makes what is not there.
    here.vitrina(&["check", "--online"]).done();
    here.sqlite("bot.db", "CREATE TABLE o (id INTEGER, day TEXT NOT NULL); INSERT INTO o VALUES (1, 'x');");
    let told = here.vitrina(&["check", "--online"]).ended(1).stdout;
    for part in [
        "pipelines/p.toml:10:9",
        "holds rows and has no record",
        "has no column `amount`",
        "takes no NULL in `day`",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let grown = pipeline.replace("mode = \"append\"", "mode = \"append\"\non_schema_change = \"evolve\"");
    here.write("pipelines/p.toml", &grown);
    here.sqlite("bot.db", "DELETE FROM o; DROP TABLE o; CREATE TABLE o (id INTEGER);");
    here.vitrina(&["check", "--online"]).done();
    assert!(!here.path("bot.db-wal").exists(), "looking changes nothing");
}

/// Connections to the tests' servers, and a folder of Delta tables.
fn project(schema: &str, prefix: &str) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.pg]\nkind = \"postgres\"\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{}\"\n\
         password = {{ env = \"VITRINA_POSTGRES_PASSWORD\" }}\nschema = '{}'\nsslmode = \"disable\"\n\
         [connections.log]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\n\
         [connections.lake]\nkind = \"delta\"\npath = \"lake\"\n",
        setting("HOST"),
        setting("PORT"),
        setting("DATABASE"),
        setting("USER"),
        schema,
        kafka::variable("VITRINA_KAFKA_BROKERS"),
        prefix,
    )
}

#[tokio::test]
async fn servers_tell_their_columns() {
    let server = postgres::Place::new();
    server
        .run(
            "CREATE TABLE \"Заказы.new\" (b int, id bigint, cost numeric(12,2) NOT NULL, at timestamptz, tags text[], \
             PRIMARY KEY (id, b))",
        )
        .await;
    let cluster = kafka::Cluster::new();
    let project = project(&server.schema, &cluster.prefix);
    let here = Sandbox::new(&[("vitrina.toml", &project)]);
    let tested = here.vitrina(&["connections", "test", "pg", "--format", "json"]).done().json();
    let skew = tested[0]["clock_skew_ms"].as_i64().expect("a server tells what time it is");
    assert!(skew.abs() < 2_000, "this very machine's clock: {tested:#}");
    // Another project makes a topic and a Delta table.
    let pipeline = |sink: &str| {
        format!(
            "[source]\nconnection = \"pg\"\ntable = \"Заказы.new\"\ncursor = {{ column = \"id\" }}\n[sink]\nconnection = \"{sink}\"\ntable = \"t\"\nmode = \"append\"\n"
        )
    };
    server.run("INSERT INTO \"Заказы.new\" VALUES (1, 1, 5, now(), '{a}')").await;
    let weaker = |sink: &str| pipeline(sink) + "delivery = \"may_miss\"\n";
    let maker = Sandbox::new(&[
        ("vitrina.toml", &project),
        ("pipelines/a.toml", &weaker("log")),
        ("pipelines/b.toml", &weaker("lake")),
    ]);
    maker.must(&["run", "--all"]);

    let mart = "sql = \"SELECT a.id FROM pg.\\\"Заказы.new\\\" AS a JOIN log.t AS b ON b.id = a.id JOIN lake.t AS c ON c.id = a.id\"\n\
                [sink]\nconnection = \"lake\"\nmode = \"replace\"\n";
    maker.write("marts/m.toml", mart);
    std::fs::remove_dir_all(maker.path("pipelines")).unwrap();
    maker.must(PULL);
    let text = lock(&maker).replace(&server.schema.replace('"', "\\\""), "SCHEMA");
    assert_eq!(text, SERVERS);
    let checked = Ran::from(maker.command(&["check"]).output().unwrap()).done();
    assert_eq!(checked.stdout, "");
}
