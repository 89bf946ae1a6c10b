//! Rights of PostgreSQL: what is told to be missing is just what a run needs.

use tokio_postgres::Client;

use super::{mends, missing, tested, told};
use crate::support::{
    postgres::{Place, quote, session, setting},
    project::Sandbox,
};

/// A role that may log in and nothing else; gone when it is dropped.
pub(super) struct Clerk {
    pub(super) name: String,
    /// A superuser's session.
    pub(super) admin: Client,
}

impl Clerk {
    pub(super) async fn new() -> Self {
        let admin = session("postgres").await;
        let name = format!("clerk {}", uuid::Uuid::new_v4().simple());
        let sql = format!("CREATE ROLE {} LOGIN PASSWORD '{}'", quote(&name), setting("PASSWORD"));
        admin.batch_execute(&sql).await.unwrap();
        Self { name, admin }
    }

    pub(super) async fn gone(self) {
        let name = quote(&self.name);
        let sql = format!("REASSIGN OWNED BY {name} TO vitrina; DROP OWNED BY {name}; DROP ROLE {name}");
        self.admin.batch_execute(&sql).await.unwrap();
    }
}

/// A project whose one connection is the place, as this user.
pub(super) fn project(place: &Place, user: &str, kind: &str) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.pg]\nkind = \"{kind}\"\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = '{}'\n\
         password = {{ env = \"VITRINA_POSTGRES_PASSWORD\" }}\nschema = '{}'\nsslmode = \"disable\"\n",
        setting("HOST"),
        setting("PORT"),
        setting("DATABASE"),
        user,
        place.schema,
    )
}

const APPEND: &str = "[source]\nconnection = \"pg\"\ntable = \"Заказы\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\n\
                      [sink]\nconnection = \"pg\"\ntable = \"o\"\nmode = \"append\"\n";
const MERGE: &str = "[source]\nconnection = \"pg\"\ntable = \"Заказы\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\n\
                     [sink]\nconnection = \"pg\"\ntable = \"m\"\nmode = \"merge\"\nkey = [\"id\"]\non_schema_change = \"evolve\"\n";
const REPLACE: &str = "sql = \"SELECT count(*) AS orders FROM pg.\\\"Заказы\\\"\"\n[sink]\nconnection = \"pg\"\ntable = \"r\"\nmode = \"replace\"\n";
const BOT: &str = "[bot]\ntitle = \"x\"\n[access]\nadmins = [1]\n[report.closed]\ntitle = \"x\"\nsql = \"SELECT name FROM pg.closed\"\n\
                   [[report.closed.show]]\ntable = { rows = 10 }\n";

/// What the GRANTs that are printed give is enough for all runs, and before them each problem stands where it belongs.
async fn mended(kind: &str, expected: &[&str]) {
    let (place, clerk) = (Place::new(), Clerk::new().await);
    place
        .run(
            "CREATE TABLE \"Заказы\" (id bigint, name text); INSERT INTO \"Заказы\" VALUES (1, 'a'), (2, 'b'); \
             CREATE TABLE o (id bigint); CREATE TABLE m (id bigint); CREATE TABLE closed (name text)",
        )
        .await;
    let here = Sandbox::new(&[
        ("vitrina.toml", &project(&place, &clerk.name, kind)),
        ("pipelines/a.toml", APPEND),
        ("pipelines/m.toml", MERGE),
        ("marts/r.toml", REPLACE),
        ("bot.toml", BOT),
    ]);
    let before = tested(&here, "pg", 1);
    let schema = quote(&place.schema);
    let expected: Vec<String> = expected.iter().map(|right| right.replace("{S}", &schema)).collect();
    let mut found = missing(&before);
    found.sort_unstable();
    assert_eq!(found, expected, "{before:#}");
    let text = here.vitrina(&["connections", "test"]).ended(1).stdout;
    let line = format!(
        "pg: missing SELECT on {schema}.\"Заказы\"\n    for   pipeline a, pipeline m, mart r\n    mend  GRANT SELECT ON"
    );
    assert!(text.contains(" are missing") && text.contains("pipeline a"), "{text}");
    assert!(text.contains(line.split('\n').next().unwrap()), "{text}");

    let problems = told(&here, "live-right");
    for (file, line, says) in [
        ("pipelines/a.toml", 3, "lacks SELECT on"),
        ("pipelines/a.toml", 9, "lacks INSERT on"),
        ("pipelines/m.toml", 9, "warning: the user of connection `pg` lacks ownership of"),
        ("marts/r.toml", 1, "lacks SELECT on"),
        ("marts/r.toml", 4, "lacks CREATE on SCHEMA"),
        ("bot.toml", 7, "(GRANT SELECT ON"),
    ] {
        let there =
            |(path, at, told): &&(String, u64, String)| path == file && *at == line && told.contains(says);
        assert!(problems.iter().any(|problem| there(&problem)), "{file}:{line} {says}: {problems:#?}");
    }

    for mend in mends(&before) {
        clerk.admin.batch_execute(&mend).await.unwrap_or_else(|error| panic!("{mend}: {error}"));
    }
    let after = tested(&here, "pg", 0);
    assert_eq!(missing(&after), Vec::<&str>::new(), "{after:#}");
    assert!(!after["held"].as_array().unwrap().is_empty(), "{after:#}");
    here.must(&["run", "--all"]);
    assert_eq!(here.number("SELECT count(*) AS n FROM pg.o"), 2);
    assert_eq!(here.number("SELECT count(*) AS n FROM pg.m"), 2);
    assert_eq!(here.number("SELECT orders AS n FROM pg.r"), 2);
    // The tables of records are there now, and it is their owner who asks.
    tested(&here, "pg", 0);
    assert_eq!(told(&here, "live-right"), vec![]);
    clerk.gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_what_a_run_needs() {
    mended(
        "postgres",
        &[
            "CREATE on SCHEMA {S}",
            "INSERT on {S}.\"m\"",
            "INSERT on {S}.\"o\"",
            "SELECT on {S}.\"closed\"",
            "SELECT on {S}.\"m\"",
            "SELECT on {S}.\"o\"",
            "SELECT on {S}.\"Заказы\"",
            "UPDATE on {S}.\"m\"",
            "USAGE on SCHEMA {S}",
            "a unique index on {S}.\"m\" (\"id\"), or to own the table",
            "ownership of {S}.\"m\"",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_greenplum_misses_is_what_a_run_needs() {
    mended(
        "greenplum",
        &[
            "CREATE on SCHEMA {S}",
            "DELETE on {S}.\"m\"",
            "INSERT on {S}.\"m\"",
            "INSERT on {S}.\"o\"",
            "SELECT on {S}.\"closed\"",
            "SELECT on {S}.\"m\"",
            "SELECT on {S}.\"o\"",
            "SELECT on {S}.\"Заказы\"",
            "USAGE on SCHEMA {S}",
            "ownership of {S}.\"m\"",
        ],
    )
    .await;
}

/// Rights on columns are enough for a source that names them, and not for one that takes whatever there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_on_columns_count() {
    let (place, clerk) = (Place::new(), Clerk::new().await);
    let name = quote(&clerk.name);
    place.run("CREATE TABLE \"Заказы\" (id bigint PRIMARY KEY, name text)").await;
    let schema = quote(&place.schema);
    let grant = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT (id) ON {schema}.\"Заказы\" TO {name}"
    );
    clerk.admin.batch_execute(&grant).await.unwrap();
    let local = "[connections.here]\nkind = \"sqlite\"\npath = \"here.db\"\n";
    let pipeline = APPEND.replace("[sink]\nconnection = \"pg\"", "[sink]\nconnection = \"here\"");
    let here = Sandbox::new(&[
        ("vitrina.toml", &(project(&place, &clerk.name, "postgres") + local)),
        ("pipelines/a.toml", &pipeline),
    ]);
    let told = tested(&here, "pg", 0);
    assert_eq!(missing(&told), Vec::<&str>::new(), "{told:#}");
    here.must(&["run", "a"]);
    let all = pipeline.replace("[source.columns]\nid = \"int64\"\n", "");
    here.write("pipelines/a.toml", &all);
    assert_eq!(missing(&tested(&here, "pg", 1)), [format!("SELECT on {schema}.\"Заказы\"")]);
    clerk.gone().await;
}

/// A cell that holds a number with a unit, without the number, which varies.
fn unit(cell: &str) -> &str {
    let unit = cell.trim_start_matches(|c: char| "+-. ".contains(c) || c.is_ascii_digit());
    assert!(unit.len() < cell.len(), "no number in {cell:?}");
    unit
}

/// Version, time of the answer, clock and rights, for people and for programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_well_tells_what_it_is() {
    let place = Place::new();
    place.run("CREATE TABLE \"Заказы\" (id bigint); CREATE TABLE o (id bigint)").await;
    let here = Sandbox::new(&[("vitrina.toml", &project(&place, &setting("USER"), "postgres"))]);
    let row = place.stranger().await.query_one("SHOW server_version", &[]).await.unwrap();
    let version = format!("PostgreSQL {}", row.get::<_, &str>(0).split_whitespace().next().unwrap());
    let json = tested(&here, "pg", 0);
    let number = |key: &str| json[key].as_f64().unwrap_or_else(|| panic!("{key}: {json:#}"));
    assert!(number("latency_ms") > 0.0 && json["clock_skew_ms"].is_i64(), "{json:#}");
    assert_eq!(json["version"], version.as_str(), "{json:#}");
    assert_eq!(
        (&json["rights"], &json["notes"]),
        (&serde_json::json!(["read", "write"]), &serde_json::json!([]))
    );

    for needed in [false, true] {
        if needed {
            here.write("pipelines/a.toml", APPEND);
        }
        let rights = match tested(&here, "pg", 0)["held"].as_array().unwrap().len() {
            0 => "read, write".to_owned(),
            held => format!("all {held} that are needed"),
        };
        assert_eq!(rights.starts_with("all"), needed, "{rights}");
        let text = here.vitrina(&["connections", "test"]).ended(0).stdout;
        let lines: Vec<Vec<&str>> = text.lines().map(cells).collect();
        let headers = ["connection", "kind", "state", "version", "answers in", "clock", "rights", "notes"];
        assert_eq!(lines[0], headers, "{text}");
        let [name, kind, state, told, answer, clock, held] = lines[1][..] else { panic!("{text}") };
        assert_eq!([name, kind, state, told, held], ["pg", "postgres", "ok", &version, &rights], "{text}");
        assert!(["ms", "s"].contains(&unit(answer)) && unit(clock) == "s", "{text}");
        assert!(clock.starts_with(['+', '-']), "{text}");
        assert_eq!(lines.len(), 2, "{text}");
    }
}

/// The cells of a line in a pipe: two spaces or more lie between them.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}
