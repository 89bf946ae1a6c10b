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

/// A project whose one connection is the place, as the clerk.
pub(super) fn project(place: &Place, clerk: &Clerk, kind: &str) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.pg]\nkind = \"{kind}\"\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = '{}'\n\
         password = {{ env = \"VITRINA_POSTGRES_PASSWORD\" }}\nschema = '{}'\nsslmode = \"disable\"\n",
        setting("HOST"),
        setting("PORT"),
        setting("DATABASE"),
        clerk.name,
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
        ("vitrina.toml", &project(&place, &clerk, kind)),
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
        ("vitrina.toml", &(project(&place, &clerk, "postgres") + local)),
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
