//! Cursors that no index begins with; a lock that is old.

use super::told;
use crate::support::{
    clickhouse,
    postgres::{self, setting},
    project::Sandbox,
};

fn pipeline(connection: &str, table: &str, cursor: &str, sink: &str) -> String {
    format!(
        "[source]\nconnection = \"{connection}\"\ntable = \"{table}\"\ncursor = {{ column = \"{cursor}\" }}\n\
         [sink]\nconnection = \"here\"\ntable = \"{sink}\"\nmode = \"append\"\ndelivery = \"may_miss\"\n"
    )
}

#[test]
fn sqlite_cursors_and_an_old_lock() {
    let here = Sandbox::new(&[
        (
            "vitrina.toml",
            "[project]\nname = \"x\"\n[connections.bot]\nkind = \"sqlite\"\npath = \"bot.db\"\n\
             [connections.here]\nkind = \"sqlite\"\npath = \"here.db\"\n",
        ),
        ("pipelines/a.toml", &pipeline("bot", "Заказы", "изменён", "a")),
        ("pipelines/b.toml", &pipeline("bot", "Заказы", "id", "b")),
        // What the project writes is read by a cursor too.
        (
            "pipelines/c.toml",
            &pipeline("here", "a", "id", "c")
                .replace("connection = \"here\"\ntable = \"c\"", "connection = \"bot\"\ntable = \"c\""),
        ),
    ]);
    here.sqlite("bot.db", "CREATE TABLE \"Заказы\" (id INTEGER PRIMARY KEY, \"изменён\" TEXT NOT NULL)");
    here.sqlite("here.db", "CREATE TABLE a (id INTEGER, \"изменён\" TEXT)");
    let found = told(&here, "cursor-index");
    assert_eq!(found.len(), 2, "{found:#?}");
    let (path, line, says) = &found[0];
    assert_eq!((path.as_str(), *line), ("pipelines/a.toml", 4));
    assert!(
        says.contains(
            "warning: no index of table `Заказы` of connection `bot` begins with `изменён` (there are: id)"
        ),
        "{says}"
    );
    assert!(says.contains("(CREATE INDEX \"Заказы_изменён\" ON \"Заказы\" (\"изменён\"))"), "{says}");
    assert_eq!((found[1].0.as_str(), found[1].1), ("pipelines/c.toml", 4));
    assert!(found[1].2.contains("(it has none)"), "{found:#?}");

    // Offline it is known from the lock.
    here.must(&["schema", "pull"]);
    let lock = std::fs::read_to_string(here.path("schemas.lock")).unwrap();
    assert!(lock.contains("key = [\"id\"]\nindexed = [\"id\"]\n"), "{lock}");
    let offline = here.vitrina(&["check"]).done();
    assert!(
        offline.stdout.contains("cursor-index") && offline.stdout.contains("pipelines/a.toml:4:"),
        "{offline:#?}"
    );
    assert_eq!(told(&here, "lock-stale"), vec![]);

    here.sqlite("bot.db", "CREATE INDEX \"Заказы_изменён\" ON \"Заказы\" (\"изменён\"); ALTER TABLE \"Заказы\" ADD COLUMN сумма TEXT");
    here.sqlite("here.db", "CREATE INDEX a_id ON a (id)");
    assert_eq!(
        told(&here, "cursor-index"),
        [(
            "pipelines/a.toml".to_owned(),
            4,
            // The lock is what `check` proves all profiles by, until it is pulled again.
            found[0].2.clone(),
        )]
    );
    let stale = told(&here, "lock-stale");
    assert_eq!((stale.len(), stale[0].0.as_str(), stale[0].1), (1, "schemas.lock", 9), "{stale:#?}");
    assert!(
        stale[0].2.contains("column `сумма`: not there in schemas.lock, text, nullable now, and 1 more"),
        "{stale:#?}"
    );
    here.must(&["schema", "pull"]);
    assert_eq!((told(&here, "cursor-index"), told(&here, "lock-stale")), (vec![], vec![]));
}

/// Connections to the tests' servers.
fn servers(place: &postgres::Place, house: &clickhouse::Place) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.pg]\nkind = \"postgres\"\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{}\"\n\
         password = {{ env = \"VITRINA_POSTGRES_PASSWORD\" }}\nschema = '{}'\nsslmode = \"disable\"\n\
         [connections.ch]\nkind = \"clickhouse\"\nurl = \"{}\"\ndatabase = '{}'\nuser = \"{}\"\npassword = {{ env = \"VITRINA_CLICKHOUSE_PASSWORD\" }}\n\
         [connections.here]\nkind = \"sqlite\"\npath = \"here.db\"\n",
        setting("HOST"),
        setting("PORT"),
        setting("DATABASE"),
        setting("USER"),
        place.schema,
        clickhouse::setting("URL"),
        house.config.database,
        clickhouse::setting("USER"),
    )
}

#[tokio::test]
async fn cursors_of_servers() {
    let (place, house) = (postgres::Place::new(), clickhouse::Place::new());
    place
        .run(
            "CREATE TABLE t (id bigint PRIMARY KEY, name text COLLATE \"und-x-icu\" NOT NULL, at timestamptz NOT NULL); \
             CREATE INDEX ON t (name); CREATE INDEX ON t (at) WHERE id > 5",
        )
        .await;
    house.inside(
        "CREATE TABLE t (`ключ один` Int64, at DateTime) ENGINE = MergeTree ORDER BY (`ключ один`, at)",
    );
    let here = Sandbox::new(&[
        ("vitrina.toml", &servers(&place, &house)),
        ("pipelines/a.toml", &pipeline("pg", "t", "id", "a")),
        ("pipelines/b.toml", &pipeline("pg", "t", "name", "b")),
        ("pipelines/c.toml", &pipeline("pg", "t", "at", "c")),
        ("pipelines/d.toml", &pipeline("ch", "t", "ключ один", "d")),
        ("pipelines/e.toml", &pipeline("ch", "t", "at", "e")),
    ]);
    let found = told(&here, "cursor-index");
    let files: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(files, ["pipelines/b.toml", "pipelines/c.toml", "pipelines/e.toml"], "{found:#?}");
    assert!(found[2].2.contains("ADD INDEX `at` `at` TYPE minmax"), "{found:#?}");
    // What it says to do does it: an index of another order, or of some rows, was none.
    for (_, _, says) in &found[..2] {
        let sql = says.rsplit_once(" (CREATE").map(|(_, sql)| format!("CREATE{}", sql.trim_end_matches(')')));
        let sql = sql.unwrap() + ")";
        place.stranger().await.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(told(&here, "cursor-index").len(), 1);
}
