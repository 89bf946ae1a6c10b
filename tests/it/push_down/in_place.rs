//! A mart whose query and table lie in one PostgreSQL or Greenplum database: its rows never leave the server.

use arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use vitrina::{
    connector::{
        connection::Connection,
        error::{ErrorKind, Result},
        sink::{Rows, SinkSpec, Staging},
    },
    engine::params::Params,
    model::delivery::Mode,
};

use super::{Pair, texts};
use crate::support::{
    postgres::{self, quote},
    project::Sandbox,
    rows::people,
    specs::{attempt, now, sink, track, unit},
};

const TABLE: &str = "CREATE TABLE src (id bigint, \"Имя\" text, day date, price numeric(10,2));
    INSERT INTO src VALUES (1, 'Аня', '2026-01-01', 1.5), (2, 'o''Neil', NULL, NULL), (2, 'Аня', '2026-01-02', 2)";

/// Fills `made` by a query that the server computes whole; how many rows it gave.
async fn fill(connection: &dyn Connection, pair: &Pair, sql: &str, params: &Params) -> Result<u64> {
    let (statement, schema) =
        pair.sending.whole(sql, params, now(), "place").await?.expect("it goes down whole");
    let sink = connection.sink(&sink("made", Mode::Replace)).await?;
    let claim = sink.claim(&track("mrf1"), &schema).await?;
    let unit = unit(Mode::Replace, 1, &people([]));
    let staged = sink
        .stage(
            Staging { track: &track("mrf1"), claim: &claim, unit: &unit, attempt: &attempt() },
            Rows::Sql(statement),
        )
        .await?;
    let rows = staged.rows();
    staged.commit().await?;
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_fills_its_own_table() {
    for open in [postgres::Place::open, postgres::Place::open_greenplum] {
        let place = postgres::Place::new();
        place.run(TABLE).await;
        let connection = open(&place);
        let pair = Pair::over(&connection);
        let params = texts(&[("who", "o'Neil")]);
        let sql = "SELECT \"Имя\", count(*) AS n, sum(price) AS price, max(day) AS day FROM place.src WHERE \"Имя\" <> :who GROUP BY \"Имя\"";
        assert_eq!(fill(connection.as_ref(), &pair, sql, &params).await.unwrap(), 1);
        let sql = "SELECT \"Имя\", n, price, day FROM place.made";
        let made = super::rows(&pair, sql, &texts(&[])).await.unwrap();
        assert_eq!(made, [["Аня", "2", "3.50", "2026-01-02"]]);
        // What the engine has a part in is no statement of the server's; nor is what lies elsewhere.
        for (sql, place) in
            [("SELECT local_date(day) AS d FROM place.src", "place"), ("SELECT id FROM place.src", "other")]
        {
            assert_eq!(pair.sending.whole(sql, &texts(&[]), now(), place).await.unwrap(), None);
        }
        // What a row on its way through would have been refused for is refused.
        place.run("DROP TABLE made; INSERT INTO src VALUES (4, 'Вера', 'infinity', 1)").await;
        let error = fill(connection.as_ref(), &pair, "SELECT id, day FROM place.src", &texts(&[])).await;
        let error = error.expect_err("an infinite date");
        assert!(error.kind == ErrorKind::BadData && error.message.contains("`day`"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_such_a_mart() {
    for kind in ["postgres", "greenplum"] {
        let place = postgres::Place::new();
        place.run(TABLE).await;
        let env = |name: &str| format!("{{ env = \"VITRINA_POSTGRES_{name}\" }}");
        let project = format!(
            "[project]\nname = \"in-place\"\n[connections.wh]\nkind = \"{kind}\"\nhost = {}\nport = {}\ndatabase = {}\nuser = {}\npassword = {}\nsslmode = \"disable\"\nschema = '{}'\n",
            env("HOST"),
            env("PORT"),
            env("DATABASE"),
            env("USER"),
            env("PASSWORD"),
            place.schema
        );
        let mart = "sql = 'SELECT \"Имя\", count(*) AS n FROM wh.src GROUP BY \"Имя\"'\n[sink]\nconnection = \"wh\"\ntable = \"made\"\n";
        let narrow = format!("{mart}columns.n = {{ type = \"int16\" }}\n");
        let project = Sandbox::new(&[("vitrina.toml", &project), ("marts/m.toml", mart)]);
        let made = async || -> i64 {
            let sql = format!("SELECT sum(n)::bigint FROM {}.made", quote(&place.schema));
            place.stranger().await.query_one(&sql, &[]).await.unwrap().get(0)
        };
        project.must(&["run", "m"]);
        assert_eq!(made().await, 3, "{kind}");
        assert!(project.must(&["explain", "m"]).contains("stay where they are"), "{kind}");
        place.run("INSERT INTO src VALUES (5, 'Юра')").await;
        project.must(&["run", "m"]);
        assert_eq!(made().await, 4, "{kind}");
        // A narrower column: rows go the ordinary way, each judged.
        place.run("DROP TABLE made").await;
        project.write("marts/m.toml", &narrow);
        project.must(&["position", "reset", "m"]);
        project.must(&["run", "m"]);
        assert_eq!(made().await, 4, "{kind}");
    }
}

/// What our sessions were told last about this column.
async fn told(place: &postgres::Place, column: &str) -> Vec<String> {
    let sql = "SELECT query FROM pg_stat_activity WHERE query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid() AND state = 'idle in transaction'";
    let rows = place.stranger().await.query(sql, &[&column]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Of staged rows, what the server computes as the engine does is asked of the server, in the session that has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_of_staged_rows_are_asked_where_they_are() {
    let place = postgres::Place::new();
    let mark = format!("Цена {}", uuid::Uuid::new_v4().simple());
    let named = quote(&mark);
    place
        .run(&format!(
            "CREATE TABLE src (id bigint, {named} numeric(10,2), name text, seen timestamptz);
             INSERT INTO src VALUES (1, 1.5, 'Аня', '2026-01-01T00:30:00Z'), (2, NULL, 'o''Neil', NULL), (2, -2, 'аня', NULL);
             CREATE TABLE known (id bigint); INSERT INTO known VALUES (1)"
        ))
        .await;
    for connection in [place.open(), place.open_greenplum()] {
        let pair = Pair::over(&connection);
        let sql = format!("SELECT id, {named}, name, seen FROM place.src WHERE id > 0");
        let (statement, schema) =
            pair.sending.whole(&sql, &texts(&[]), now(), "place").await.unwrap().unwrap();
        let spec = SinkSpec { checked: true, ..sink("made", Mode::Replace) };
        let sink = connection.sink(&spec).await.unwrap();
        let claim = sink.claim(&track("mrf1"), &schema).await.unwrap();
        let unit = unit(Mode::Replace, 1, &people([]));
        let (track, attempt) = (track("mrf1"), attempt());
        let staging = Staging { track: &track, claim: &claim, unit: &unit, attempt: &attempt };
        let staged = sink.stage(staging, Rows::Sql(statement)).await.unwrap();
        let params = texts(&[("who", "o'Neil")]);
        for (query, broken, inside) in [
            (format!("SELECT id FROM this GROUP BY id HAVING count(*) > 1 AND count({named}) > 0"), 1, true),
            (format!("SELECT * FROM this WHERE {named} IS NULL OR {named} < 0"), 2, true),
            (format!("SELECT * FROM this WHERE name NOT IN (:who, 'Аня') AND {named} < 0"), 1, true),
            (
                format!(
                    "SELECT * FROM this WHERE {named} < 9 AND NOT EXISTS (SELECT 1 FROM place.known AS other WHERE other.id = this.id)"
                ),
                1,
                true,
            ),
            // What the server has no like of is looked for here.
            (format!("SELECT * FROM this WHERE {named} > 0 AND reverse(name) <> 'x'"), 1, false),
        ] {
            let sql = format!("SELECT count(*) AS broken FROM ({query}) AS broken");
            let this = staged.table().unwrap();
            let rows = pair.sending.query_over(&sql, &params, now(), &[("this", this)]).await.unwrap();
            let rows: Vec<_> = rows.try_collect().await.unwrap();
            assert_eq!(array_value_to_string(rows[0].column(0), 0).unwrap(), broken.to_string(), "{query}");
            let told = told(&place, &mark).await;
            assert!(told.iter().all(|told| told.starts_with("COPY") != inside), "{query}\n{told:#?}");
            assert!(!told.is_empty(), "{query}");
        }
        staged.commit().await.unwrap();
        place.run("DROP TABLE made, _vitrina_records").await;
    }
}
