//! What is said, logged and kept about a failure has no password and no cell in it: everything that failing runs leave is searched.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    clickhouse::{self, Place as Database},
    kafka::{Cluster, variable},
    postgres::{self, Place as Schema},
    project::Sandbox,
    registry::Registry,
};

const CELL: &str = "cell-тайна-4711";
const WRONG: &str = "wrong-тайна-4712";
/// What the tests' registry wants of `me`.
const REGISTRY: &str = "тайна123";

/// Fails where one of these is said.
#[track_caller]
fn unsaid(said: &[u8], needles: &[String]) {
    let said = String::from_utf8_lossy(said);
    for needle in needles {
        assert!(!said.contains(needle.as_str()), "{needle} is in what was said:\n{said}");
    }
}

/// Files that have none of these: a dead letter alone is the bad row itself.
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

/// The connections of a project: each with its password, and with a wrong one.
fn connections(schema: &Schema, database: &Database, cluster: &Cluster, registry: &Registry) -> String {
    let (pg, ch) = (schema.config(), &database.config);
    let tls = variable("VITRINA_KAFKA_TLS");
    let (host, port, name, user) = (pg.host, pg.port, pg.database, pg.user);
    let store = |kind: &str| {
        format!(
            "kind = \"{kind}\"\nhost = \"{host}\"\nport = {port}\ndatabase = \"{name}\"\nuser = \"{user}\"\nschema = '{}'",
            schema.schema
        )
    };
    let (url, user) = (clickhouse::setting("URL"), &ch.user);
    let house =
        format!("kind = \"clickhouse\"\nurl = \"{url}\"\ndatabase = '{}'\nuser = \"{user}\"", ch.database);
    let stream = format!(
        "kind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\nsecurity.protocol = \"sasl_ssl\"\nsecurity.user = \"vitrina\"\nsecurity.ca_file = \"{tls}/ca.pem\"",
        variable("VITRINA_KAFKA_TLS_BROKERS"),
        cluster.prefix
    );
    let schemas = format!(
        "kind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\nregistry.url = \"{}\"\nregistry.user = \"me\"",
        variable("VITRINA_KAFKA_BROKERS"),
        cluster.prefix,
        registry.url
    );
    let with = |keys: &str, key: &str, variable: &str| format!("{keys}\n{key} = {{ env = \"{variable}\" }}");
    let mut text = PROJECT.to_owned();
    for (name, keys, key, variable) in [
        ("store", &store("postgres"), "password", "VITRINA_POSTGRES_PASSWORD"),
        ("mpp", &store("greenplum"), "password", "VITRINA_POSTGRES_PASSWORD"),
        ("house", &house, "password", "VITRINA_CLICKHOUSE_PASSWORD"),
        ("stream", &stream, "security.password", "VITRINA_KAFKA_PASSWORD"),
        ("schemas", &schemas, "registry.password", "REGISTRY_PASSWORD"),
    ] {
        for (name, variable) in [(name.to_owned(), variable), (format!("{name}_shut"), "WRONG_PASSWORD")] {
            let keys = with(keys, key, variable);
            text += &["[connections.", name.as_str(), "]\n", keys.as_str(), "\n"].concat();
        }
    }
    text
}

const PROJECT: &str = r#"
[project]
name = "secrets"

[daemon]
state = "state"

[defaults.pipeline]
schedule = { every = "1s" }
retry = { attempts = 1, wait = "1s", timeout = "2m" }

[connections.bot]
kind = "sqlite"
path = "bot.db"

[connections.file]
kind = "sqlite"
path = "file.db"

"#;

/// A pipeline by its name: the table and the columns' type that it reads, the table that it writes, and further keys of its source.
struct Case {
    name: &'static str,
    from: (&'static str, &'static str),
    column: &'static str,
    into: (&'static str, &'static str),
    keys: &'static str,
}

const STOP: &str = "bad_rows = \"stop\"";

const fn case(
    name: &'static str,
    from: (&'static str, &'static str),
    column: &'static str,
    into: (&'static str, &'static str),
    keys: &'static str,
) -> Case {
    Case { name, from, column, into, keys }
}

/// Every way to fail that has a password or a cell near it; only that of dead letters ends well.
const CASES: [Case; 18] = [
    case("narrow_store", ("bot", "t"), "text", ("store", "narrow"), STOP),
    case("narrow_mpp", ("bot", "t"), "text", ("mpp", "narrow"), STOP),
    case("narrow_house", ("bot", "t"), "text", ("house", "narrow"), STOP),
    case("nul", ("bot", "nul"), "text", ("store", "wide"), STOP),
    case("nul_mpp", ("bot", "nul"), "text", ("mpp", "wide"), STOP),
    case("twice", ("bot", "t"), "text", ("store", "keyed"), STOP),
    case("twice_mpp", ("bot", "t"), "text", ("mpp", "keyed"), STOP),
    case("twice_file", ("bot", "t"), "text", ("file", "keyed"), STOP),
    case("typed", ("bot", "t"), "decimal(12,2)", ("file", "typed"), STOP),
    case("letters", ("bot", "t"), "decimal(12,2)", ("file", "letters"), "bad_rows = \"dead_letter\""),
    case("messages", ("stream", "t"), "text", ("file", "messages"), STOP),
    case("lines", ("stream", "lines"), "text", ("file", "lines"), "kafka.format = \"csv\""),
    case("unknown", ("schemas", "avro"), "text", ("file", "unknown"), "kafka.format = \"avro\""),
    case("shut_store", ("bot", "t"), "text", ("store_shut", "narrow"), STOP),
    case("shut_mpp", ("bot", "t"), "text", ("mpp_shut", "narrow"), STOP),
    case("shut_house", ("bot", "t"), "text", ("house_shut", "narrow"), STOP),
    case("shut_stream", ("stream_shut", "t"), "text", ("file", "shut_stream"), STOP),
    case(
        "shut_schemas",
        ("schemas_shut", "avro"),
        "text",
        ("file", "shut_schemas"),
        "kafka.format = \"avro\"",
    ),
];

const CAST: &str = "[source]\nconnection = \"bot\"\ntable = \"t\"\ncursor = { column = \"id\" }\n[transform]\nsql = \"SELECT id, CAST(name AS BIGINT) AS n FROM source\"\n\
                    [sink]\nconnection = \"file\"\ntable = \"cast\"\nmode = \"append\"\n";

impl Case {
    fn text(&self) -> String {
        let Self { from: (from, table), column, into: (into, target), keys, .. } = self;
        let cursor = if *from == "bot" { "cursor = { column = \"id\" }\n" } else { "" };
        format!(
            "[source]\nconnection = \"{from}\"\ntable = \"{table}\"\n{keys}\n{cursor}[source.columns]\nid = \"int64\"\nname = \"{column}\"\n\
             [sink]\nconnection = \"{into}\"\ntable = \"{target}\"\nmode = \"append\"\non_schema_change = \"ignore\"\n"
        )
    }
}

/// Rows and messages with the cell in them, and tables that refuse it.
fn filled(project: &Sandbox, schema: &Schema, database: &Database, cluster: &Cluster) {
    project.sqlite(
        "bot.db",
        &format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT); INSERT INTO t (name) VALUES ('{CELL}'), ('{CELL} again'), ('{CELL}'); \
             CREATE TABLE nul (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT); INSERT INTO nul (name) VALUES ('{CELL}' || char(0) || '{CELL}')"
        ),
    );
    project.sqlite("file.db", "CREATE TABLE keyed (id INTEGER, name TEXT PRIMARY KEY)");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(schema.run(
        "CREATE TABLE narrow (id bigint, name varchar(3)); CREATE TABLE wide (id bigint, name text); \
         CREATE TABLE keyed (id bigint, name text PRIMARY KEY)",
    ));
    database.run(&format!(
        "CREATE TABLE {} (id Int64, name Enum8('a' = 1, 'b' = 2)) ENGINE = MergeTree ORDER BY id",
        database.table("narrow")
    ));
    for table in ["t", "lines", "avro"] {
        cluster.create(table, 1, &[]);
    }
    cluster.write("t", 0, &[&format!("{{\"id\": 1, \"name\": \"{CELL}"), &format!("{{\"id\": \"{CELL}\"}}")]);
    cluster.write("lines", 0, &[&format!("{CELL},{CELL}")]);
    cluster.write_bytes("avro", Some(&[&[0, 0, 0, 0, 99][..], CELL.as_bytes()].concat()));
}

/// The program with everything that it needs to know.
fn command(project: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.env("WRONG_PASSWORD", WRONG).env("REGISTRY_PASSWORD", REGISTRY);
    command
}

/// Lets a daemon run every pipeline once more; what it wrote to its log.
fn served(project: &Sandbox, names: &[&str]) -> Vec<u8> {
    struct Daemon(Child);
    impl Drop for Daemon {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    // Not in the project's folder: the daemon watches that, and would tell of what it tells.
    let outside = Sandbox::new(&[]);
    let log = outside.path("serve.log");
    let mut serve = command(project, &["-vv", "serve"]);
    let daemon = serve.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let daemon = Daemon(daemon);
    let runs = "SELECT count(*) FROM (SELECT name FROM runs WHERE finished IS NOT NULL GROUP BY name HAVING count(*) > 1)";
    let ran = || -> Option<i64> {
        let history = rusqlite::Connection::open(project.path("state/history.db")).ok()?;
        history.query_row(runs, [], |row| row.get(0)).ok()
    };
    let begun = Instant::now();
    while ran() != Some(names.len() as i64) {
        let said = || fs::read_to_string(&log).unwrap();
        assert!(
            begun.elapsed() < Duration::from_mins(3),
            "{:?} of {} ran again:\n{}",
            ran(),
            names.len(),
            said()
        );
        thread::sleep(Duration::from_millis(100));
    }
    drop(daemon);
    fs::read(log).unwrap()
}

#[test]
fn nothing_that_is_said_or_kept_tells_a_secret_or_a_cell() {
    let (schema, database, cluster) = (Schema::new(), Database::new(), Cluster::new());
    let registry = Registry::new();
    registry.state().guarded = true;
    let config = connections(&schema, &database, &cluster, &registry);
    let project = Sandbox::new(&[("vitrina.toml", &config), ("pipelines/cast.toml", CAST)]);
    filled(&project, &schema, &database, &cluster);
    for case in &CASES {
        project.write(&format!("pipelines/{}.toml", case.name), &case.text());
    }
    let passwords =
        [postgres::setting("PASSWORD"), clickhouse::setting("PASSWORD"), variable("VITRINA_KAFKA_PASSWORD")];
    let secrets: Vec<String> = passwords.into_iter().chain([WRONG, REGISTRY].map(str::to_owned)).collect();
    let needles = [&secrets[..], &[CELL.to_owned()]].concat();
    let names: Vec<&str> = CASES.iter().map(|case| case.name).chain(["cast"]).collect();
    for name in &names {
        for arguments in [
            &["-vv", "run", name][..],
            &["explain", name],
            &["status", name, "--format", "json"],
            &["runs", name, "--format", "json"],
        ] {
            let output = command(&project, arguments).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            unsaid(&said, &needles);
            if arguments.contains(&"run") {
                let said = String::from_utf8_lossy(&said);
                assert_eq!(output.status.success(), *name == "letters", "{name}: {said}");
            }
        }
        // Rows are what a preview is for, but not what is said about them.
        let preview = command(&project, &["-vv", "preview", name]).output().unwrap();
        unsaid(&preview.stderr, &needles);
        unsaid(&preview.stdout, &secrets);
        search(&project.path("state"), &needles);
    }
    for arguments in [
        &["-vv", "connections", "test"][..],
        &["connections", "test", "--format", "json"],
        &["-vv", "check", "--online"],
        &["check", "--online", "--format", "json"],
        &["-vv", "schema", "pull"],
    ] {
        let output = command(&project, arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        unsaid(&said, &needles);
        assert!(String::from_utf8_lossy(&said).contains("_shut"), "{arguments:?} asked nobody");
    }
    unsaid(&fs::read(project.path("schemas.lock")).unwrap_or_default(), &needles);
    unsaid(&served(&project, &names), &needles);
    search(&project.path("state"), &needles);
    assert_eq!(
        project.dead_letters("letters").len(),
        3,
        "the bad rows themselves are kept, and shown to who asks"
    );
}
