//! Reports whose tables are taken for what they were: whatever became of these meanwhile, an answer is of the tables as they are.

use vitrina::{
    connector::error::ErrorKind,
    engine::{
        row_rules::{Guarded, RoleRows, RowRules},
        session::{Engine, Settings},
    },
};

use super::{gathered, texts};
use crate::support::{clickhouse::Place, specs::now};

fn engine(place: &Place, folder: &tempfile::TempDir) -> Engine {
    let (spill, zone) = (folder.path().join("spill"), "Europe/Moscow".parse().unwrap());
    let settings = Settings { memory: 128 << 20, spill, zone, threads: 2, push_down: true };
    let mut engine = Engine::new(&settings).unwrap();
    engine.register_connection("place", place.open());
    engine
}

/// The rows that somebody of one region sees, cells joined; what is refused says so.
async fn seen(engine: &Engine, sql: &str) -> Result<Vec<String>, ErrorKind> {
    let role = RoleRows {
        role: "regional".to_owned(),
        columns: [("region".to_owned(), vec!["mrf1".to_owned()])].into(),
        free: vec![],
    };
    let rules = RowRules { roles: vec![role] };
    let asked = engine.query_under(sql, &texts(&[]), now(), &rules).await;
    match asked.map_err(|error| error.kind)? {
        Guarded::Rows(rows) => {
            let answer = gathered(rows, true).await.map_err(|error| error.kind)?;
            Ok(answer.rows.iter().map(|row| row.join("|")).collect())
        }
        Guarded::Refused(refusal) => Ok(vec![refusal.to_string()]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_of_the_tables_as_they_are() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let engine = engine(&place, &folder);
    let sql = "SELECT * FROM place.t ORDER BY n";
    place.inside("CREATE TABLE t (region String, n Int64) ENGINE = MergeTree ORDER BY n");
    place.inside("INSERT INTO t VALUES ('mrf1', 1), ('mrf2', 2)");
    // The second time it is remembered.
    for _ in 0..2 {
        assert_eq!(seen(&engine, sql).await.unwrap(), ["mrf1|1"]);
    }
    place.inside("INSERT INTO t VALUES ('mrf1', 3)");
    assert_eq!(seen(&engine, sql).await.unwrap(), ["mrf1|1", "mrf1|3"]);
    place.inside("ALTER TABLE t ADD COLUMN more String DEFAULT 'x'");
    assert_eq!(seen(&engine, sql).await.unwrap(), ["mrf1|1|x", "mrf1|3|x"]);
    place.inside("ALTER TABLE t DROP COLUMN more");
    assert_eq!(seen(&engine, sql).await.unwrap(), ["mrf1|1", "mrf1|3"]);
    // Another table of that name, whose rows are replaced when they are merged.
    place.inside("CREATE TABLE u (region String, n Int64) ENGINE = ReplacingMergeTree ORDER BY region");
    place.inside("SYSTEM STOP MERGES u");
    place.inside("INSERT INTO u VALUES ('mrf1', 4)");
    place.inside("INSERT INTO u VALUES ('mrf1', 5)");
    place.inside("EXCHANGE TABLES t AND u");
    assert_eq!(seen(&engine, sql).await.unwrap(), ["mrf1|5"]);
    place.inside("DROP TABLE t SYNC");
    assert_eq!(seen(&engine, sql).await, Err(ErrorKind::NotFound));
}

/// A role's rule is laid over the columns that the table has by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_holds_for_the_columns_that_are_there_now() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let engine = engine(&place, &folder);
    let sql = "SELECT n FROM place.t ORDER BY n";
    place.inside("CREATE TABLE t (region String, n Int64) ENGINE = MergeTree ORDER BY n");
    place.inside("INSERT INTO t VALUES ('mrf1', 1), ('mrf2', 2)");
    for _ in 0..2 {
        assert_eq!(seen(&engine, sql).await.unwrap(), ["1"]);
    }
    place.inside("ALTER TABLE t RENAME COLUMN region TO area");
    let refused = seen(&engine, sql).await.unwrap();
    assert!(refused[0].contains("has no such column"), "{refused:?}");
    place.inside("ALTER TABLE t RENAME COLUMN area TO region");
    assert_eq!(seen(&engine, sql).await.unwrap(), ["1"]);
}
