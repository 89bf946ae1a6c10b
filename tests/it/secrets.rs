//! What is said, logged and kept about a failure has no password and no cell in it: everything that failing runs leave is searched.

use std::{fs, path::Path};

use crate::support::{
    clickhouse::{self, Place as Database},
    kafka::{Cluster, variable},
    postgres::{self, Place as Schema},
    project::Sandbox,
};

const CELL: &str = "cell-тайна-4711";
const WRONG: &str = "wrong-тайна-4712";

/// What must be nowhere, and what files may have it: a dead letter is the bad row itself.
fn searched(project: &Sandbox, said: &str, needles: &[String]) {
    for needle in needles {
        assert!(!said.contains(needle.as_str()), "{needle} is in what was said:\n{said}");
    }
    search(&project.path("state"), needles);
}

fn search(folder: &Path, needles: &[String]) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            search(&path, needles);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap_or_default();
        let may = |needle: &str| needle == CELL && name.starts_with("records.db");
        for needle in needles.iter().filter(|needle| !may(needle)) {
            let found = bytes.windows(needle.len()).any(|part| part == needle.as_bytes());
            assert!(!found, "{needle} is in {}", path.display());
        }
    }
}

fn connections(schema: &Schema, database: &Database, cluster: &Cluster) -> String {
    let (pg, ch) = (schema.config(), &database.config);
    let tls = variable("VITRINA_KAFKA_TLS");
    let (host, port, name, user) = (pg.host, pg.port, pg.database, pg.user);
    let store = format!(
        "kind = \"postgres\"\nhost = \"{host}\"\nport = {port}\ndatabase = \"{name}\"\nuser = \"{user}\"\nschema = '{}'",
        schema.schema
    );
    let (url, user) = (clickhouse::setting("URL"), &ch.user);
    let house =
        format!("kind = \"clickhouse\"\nurl = \"{url}\"\ndatabase = '{}'\nuser = \"{user}\"", ch.database);
    let stream = format!(
        "kind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\nsecurity.protocol = \"sasl_ssl\"\nsecurity.user = \"vitrina\"\nsecurity.ca_file = \"{tls}/ca.pem\"",
        variable("VITRINA_KAFKA_TLS_BROKERS"),
        cluster.prefix
    );
    let with = |keys: &str, key: &str, variable: &str| format!("{keys}\n{key} = {{ env = \"{variable}\" }}");
    let connections = [
        ("bot", "kind = \"sqlite\"\npath = \"bot.db\"".to_owned()),
        ("file", "kind = \"sqlite\"\npath = \"file.db\"".to_owned()),
        ("store", with(&store, "password", "VITRINA_POSTGRES_PASSWORD")),
        ("store_shut", with(&store, "password", "WRONG_PASSWORD")),
        ("house", with(&house, "password", "VITRINA_CLICKHOUSE_PASSWORD")),
        ("house_shut", with(&house, "password", "WRONG_PASSWORD")),
        ("stream", with(&stream, "security.password", "VITRINA_KAFKA_PASSWORD")),
        ("stream_shut", with(&stream, "security.password", "WRONG_PASSWORD")),
    ];
    let connections = connections.map(|(name, keys)| format!("[connections.{name}]\n{keys}\n"));
    PROJECT.to_owned() + &connections.concat()
}

const PROJECT: &str = r#"
[project]
name = "secrets"

[daemon]
state = "state"

[defaults.pipeline]
retry = { attempts = 1, wait = "1s", timeout = "2m" }

"#;

fn pipeline(from: &str, column: &str, (into, table): (&str, &str), bad_rows: &str) -> String {
    let cursor = if from == "bot" { "cursor = { column = \"id\" }\n" } else { "" };
    format!(
        "[source]\nconnection = \"{from}\"\ntable = \"t\"\nbad_rows = \"{bad_rows}\"\n{cursor}[source.columns]\nid = \"int64\"\nname = \"{column}\"\n\
         [sink]\nconnection = \"{into}\"\ntable = \"{table}\"\nmode = \"append\"\non_schema_change = \"ignore\"\n"
    )
}

/// Every way to fail that has a password or a cell near it.
#[test]
fn nothing_that_is_said_or_kept_tells_a_secret_or_a_cell() {
    let (schema, database, cluster) = (Schema::new(), Database::new(), Cluster::new());
    let project = Sandbox::new(&[("vitrina.toml", &connections(&schema, &database, &cluster))]);
    project.sqlite(
        "bot.db",
        &format!("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT); INSERT INTO t (name) VALUES ('{CELL}'), ('{CELL} again')"),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(schema.run("CREATE TABLE narrow (id bigint, name varchar(3))"));
    database.run(&format!(
        "CREATE TABLE {} (id Int64, name Enum8('a' = 1, 'b' = 2)) ENGINE = MergeTree ORDER BY id",
        database.table("narrow")
    ));
    cluster.create("t", 1, &[]);
    cluster.write("t", 0, &[&format!("{{\"id\": 1, \"name\": \"{CELL}"), &format!("{{\"id\": \"{CELL}\"}}")]);
    let cases = [
        ("narrow_store", pipeline("bot", "text", ("store", "narrow"), "stop")),
        ("narrow_house", pipeline("bot", "text", ("house", "narrow"), "stop")),
        ("typed", pipeline("bot", "decimal(12,2)", ("file", "typed"), "stop")),
        ("letters", pipeline("bot", "decimal(12,2)", ("file", "letters"), "dead_letter")),
        ("messages", pipeline("stream", "text", ("file", "messages"), "stop")),
        ("shut_store", pipeline("bot", "text", ("store_shut", "narrow"), "stop")),
        ("shut_house", pipeline("bot", "text", ("house_shut", "narrow"), "stop")),
        ("shut_stream", pipeline("stream_shut", "text", ("file", "shut_stream"), "stop")),
    ];
    let sql = "[source]\nconnection = \"bot\"\ntable = \"t\"\ncursor = { column = \"id\" }\n[transform]\nsql = \"SELECT id, CAST(name AS BIGINT) AS n FROM source\"\n\
               [sink]\nconnection = \"file\"\ntable = \"cast\"\nmode = \"append\"\n";
    for (name, text) in cases.iter().map(|(name, text)| (*name, text.as_str())).chain([("cast", sql)]) {
        project.write(&format!("pipelines/{name}.toml"), text);
    }
    let passwords =
        [postgres::setting("PASSWORD"), clickhouse::setting("PASSWORD"), variable("VITRINA_KAFKA_PASSWORD")];
    let needles: Vec<String> = passwords.into_iter().chain([CELL.to_owned(), WRONG.to_owned()]).collect();
    let names = cases.iter().map(|(name, _)| *name).chain(["cast"]);
    for name in names {
        for command in [
            &["-vv", "run", name][..],
            &["explain", name],
            &["status", name, "--format", "json"],
            &["runs", name, "--format", "json"],
        ] {
            let output = project.command(command).env("WRONG_PASSWORD", WRONG).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            if command.contains(&"run") {
                assert_eq!(output.status.success(), name == "letters", "{name}: {said}");
            }
            searched(&project, &said, &needles);
        }
    }
    assert_eq!(
        project.dead_letters("letters").len(),
        2,
        "the bad rows themselves are kept, and shown to who asks"
    );
}
