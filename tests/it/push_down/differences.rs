//! What databases compute otherwise than the engine, each difference by its name: whatever goes down or stays, the answer is the engine's.

use vitrina::engine::session::Engine;

use super::{Pair, answer, is_sent, places, queries::params};
use crate::support::specs::now;

/// A difference, and queries that would show it.
type Difference = (&'static str, &'static [&'static str]);

const DIFFERENCES: [Difference; 16] = [
    (
        "integers are divided toward zero, and remainders have the sign of what is divided",
        &[
            r#"SELECT id, "Сумма" / 2, "Сумма" / -2, "Сумма" % 3, "Сумма" % -3 FROM {deals} WHERE "Сумма" / 2 < 0 OR "Сумма" % 3 = -1"#,
            r#"SELECT "Регион", sum("Сумма") / count(*) FROM {deals} GROUP BY "Регион""#,
            r#"SELECT count(*) FROM {deals} WHERE "Сумма" / id = 2"#,
        ],
    ),
    (
        "where NULL stands in an order",
        &[
            r#"SELECT "Регион", id FROM {deals} ORDER BY "Регион", id LIMIT 20"#,
            r#"SELECT "Регион", id FROM {deals} ORDER BY "Регион" DESC, id LIMIT 20"#,
            r#"SELECT "Сумма", id FROM {deals} ORDER BY "Сумма" ASC NULLS FIRST, id DESC LIMIT 20"#,
            "SELECT at, id FROM {deals} ORDER BY at DESC NULLS LAST, id LIMIT 80",
            r#"SELECT max("Регион"), min(at) FROM {deals} WHERE "Регион" IS NULL"#,
        ],
    ),
    (
        "texts are compared by their bytes, whatever collation they have",
        &[
            r#"SELECT "note ""n""", id FROM {deals} ORDER BY "note ""n""", id"#,
            r#"SELECT count(*), max("note ""n""") FROM {deals} WHERE "note ""n""" < 'b'"#,
            r#"SELECT "note ""n""", count(*) FROM {deals} WHERE "note ""n""" IN ('ёж', 'ABC', ' ') GROUP BY "note ""n""""#,
            r#"SELECT d.id, r."Name" FROM {deals} d JOIN {regions} r ON r.code = d."Регион" AND r.code > 'Z'"#,
            r#"SELECT count(*) FROM {deals} WHERE "Регион" = 'MRF1' OR "Регион" = 'сибирь'"#,
        ],
    ),
    (
        "LIKE tells cases apart, ILIKE does not",
        &[
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE 'a%'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE 'A__'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE 'ё%' OR "Регион" LIKE '%ИРЬ'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" ILIKE 'a%' OR "note ""n""" ILIKE 'Ё%'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" NOT LIKE '%c'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE '' OR "note ""n""" LIKE '%.%'"#,
        ],
    ),
    (
        "a backslash is a letter in texts, and escapes in patterns",
        &[
            r#"SELECT id FROM {deals} WHERE "note ""n""" = 'back\slash'"#,
            r#"SELECT count(*), max("note ""n""" || '\n\') FROM {deals} WHERE "note ""n""" <> '\'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE 'back\\%'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE '100\%' OR "note ""n""" LIKE 'a\_c'"#,
            r#"SELECT id FROM {deals} WHERE "note ""n""" LIKE '%\slash'"#,
        ],
    ),
    (
        "NOT IN with NULLs is never true",
        &[
            r#"SELECT id FROM {deals} WHERE "Регион" NOT IN ('mrf1', NULL)"#,
            r#"SELECT id FROM {deals} WHERE "Регион" IN ('mrf1', NULL)"#,
            r#"SELECT id FROM {deals} WHERE NOT ("Регион" IN ('mrf1', 'mrf2'))"#,
            r#"SELECT count(*) FROM {regions} WHERE rank NOT IN (SELECT "Сумма" FROM {deals})"#,
            r#"SELECT count(*) FROM {deals} WHERE "Регион" NOT IN (SELECT code FROM {regions} WHERE code IS NOT NULL)"#,
            r#"SELECT count(*) FROM {deals} WHERE ("Регион" NOT IN (SELECT code FROM {regions})) IS NULL"#,
        ],
    ),
    (
        "instants are instants, and days those of the project's zone",
        &[
            "SELECT count(*), min(at) FROM {deals} WHERE at >= '2026-01-20T00:00:00+03:00'",
            "SELECT count(*) FROM {deals} WHERE at >= DATE '2026-01-20'",
            "SELECT local_date(at), count(*) FROM {deals} GROUP BY local_date(at) ORDER BY 1",
            "SELECT count(*) FROM {deals} WHERE CAST(at AS DATE) = day",
            "SELECT date_trunc('day', at), count(*) FROM {deals} GROUP BY date_trunc('day', at)",
            "SELECT extract(hour FROM at), count(*) FROM {deals} GROUP BY extract(hour FROM at)",
            "SELECT max(at), max(day) FROM {deals} WHERE at BETWEEN :since AND now()",
        ],
    ),
    (
        "intervals are added by the calendar",
        &[
            "SELECT id, at + INTERVAL '1 day' FROM {deals} WHERE at + INTERVAL '90 minutes' > :since",
            "SELECT id, day + INTERVAL '1 month', day - INTERVAL '1 day' FROM {deals} WHERE day IS NOT NULL",
            "SELECT count(*) FROM {deals} WHERE at > :since - INTERVAL '2 days' AND day < DATE '2026-01-31' + INTERVAL '1 month'",
            "SELECT count(*) FROM {deals} a JOIN {deals} b ON a.id = b.id WHERE a.at - b.at = INTERVAL '0 seconds'",
        ],
    ),
    (
        "decimals have the engine's scale, and are never rounded by the way",
        &[
            r#"SELECT id, "Price.x" / 3, "Price.x" * "Price.x", "Price.x" + 1.555 FROM {deals}"#,
            r#"SELECT avg("Price.x"), sum("Price.x") / 7, sum("Price.x" * 1.001) FROM {deals}"#,
            r#"SELECT count(*) FROM {deals} WHERE "Price.x" > 10.555 OR "Price.x" = 5 OR "Price.x" <= -1.005"#,
            r#"SELECT CAST("Price.x" AS DECIMAL(12, 1)) AS a, CAST("Price.x" AS BIGINT) AS b, round("Price.x", 1) FROM {deals}"#,
            r#"SELECT "Price.x" - "Сумма", "Price.x" * id FROM {deals} WHERE "Price.x" - "Сумма" < 0"#,
            r#"SELECT sum(DISTINCT "Price.x"), max("Price.x" * 100), min(-"Price.x") FROM {deals}"#,
        ],
    ),
    (
        "what is told apart is counted exactly",
        &[
            r#"SELECT count(DISTINCT "note ""n"""), count(DISTINCT "Сумма"), count(DISTINCT "Price.x"), count(DISTINCT day) FROM {deals}"#,
            r#"SELECT "Регион", count(DISTINCT id), count(DISTINCT at) FILTER (WHERE flag) FROM {deals} GROUP BY "Регион""#,
            "SELECT count(DISTINCT weight), count(DISTINCT flag) FROM {deals}",
        ],
    ),
    (
        "NULL makes what it touches NULL",
        &[
            r#"SELECT id, "Регион" || '!' || "note ""n""", "Сумма" + id, NOT flag FROM {deals}"#,
            r#"SELECT count(*) FROM {deals} WHERE flag OR "Сумма" > 0"#,
            r#"SELECT count(*) FROM {deals} WHERE NOT (flag AND "Сумма" > 0)"#,
            r#"SELECT nullif("Регион", 'mrf1'), coalesce(NULL, "Регион", 'x'), "Регион" IS DISTINCT FROM 'mrf1' FROM {deals}"#,
            r#"SELECT greatest("Сумма", id), least("Сумма", id) FROM {deals}"#,
            r#"SELECT CASE "Регион" WHEN 'mrf1' THEN 1 WHEN NULL THEN 2 END, CASE WHEN flag THEN id END FROM {deals}"#,
        ],
    ),
    (
        "an empty text is no NULL, and spaces count",
        &[
            r#"SELECT count(*) FROM {deals} WHERE "note ""n""" = ''"#,
            r#"SELECT count(*) FROM {deals} WHERE "note ""n""" = ' ' OR "note ""n""" = 'abc '"#,
            r#"SELECT coalesce("note ""n""", '∅'), count(*) FROM {deals} GROUP BY 1"#,
        ],
    ),
    (
        "sums of nothing are NULL, and counts of nothing 0",
        &[
            r#"SELECT sum("Сумма"), min(at), max("note ""n"""), count(day), count(*) FROM {empty}"#,
            r#"SELECT sum("Сумма") FILTER (WHERE id < 0), count(*) FILTER (WHERE id < 0) FROM {deals}"#,
            r#"SELECT r.code, sum(d."Сумма"), count(d.id) FROM {regions} r LEFT JOIN {deals} d ON d."Регион" = r.code AND d.id < 0 GROUP BY r.code"#,
            r#"SELECT count(*) FROM (SELECT "Сумма" FROM {empty} GROUP BY "Сумма" HAVING sum("Сумма") IS NULL)"#,
        ],
    ),
    (
        "floats are computed by nobody else",
        &[
            "SELECT sum(weight), avg(weight), max(weight) FROM {deals}",
            "SELECT weight / 3, weight * -0.0, weight / 0 FROM {deals}",
            "SELECT weight, count(*) FROM {deals} GROUP BY weight ORDER BY weight LIMIT 10",
            "SELECT CAST(weight AS BIGINT), round(weight) FROM {deals}",
        ],
    ),
    (
        "words of people are the engine's: cases, lengths, parts",
        &[
            r#"SELECT upper("note ""n"""), lower("Регион"), length("note ""n"""), octet_length("note ""n""") FROM {deals}"#,
            r#"SELECT substr("note ""n""", 2, 2), strpos("Регион", 'и'), trim("note ""n"""), reverse("note ""n""") FROM {deals}"#,
            r#"SELECT count(*) FROM {deals} WHERE upper("Регион") = 'СИБИРЬ'"#,
            "SELECT CAST(id AS TEXT), CAST(flag AS TEXT), CAST(day AS TEXT) FROM {deals} WHERE CAST(id AS TEXT) < '2'",
        ],
    ),
    (
        "limits and offsets beyond the rows",
        &[
            "SELECT id FROM {deals} ORDER BY id LIMIT 0",
            "SELECT id FROM {deals} ORDER BY id OFFSET 1000",
            "SELECT id FROM (SELECT id FROM {deals} ORDER BY id LIMIT 5) ORDER BY id DESC LIMIT 3 OFFSET 1",
            "SELECT count(*) FROM (SELECT id FROM {deals} ORDER BY id LIMIT 5 OFFSET 88)",
        ],
    ),
];

/// What fails here, and may not give an answer there.
const FAILURES: [&str; 3] = [
    r#"SELECT count(*) FROM {deals} WHERE id / ("Сумма" - "Сумма") > 0"#,
    "SELECT id % (id - id) FROM {deals}",
    r#"SELECT CAST("note ""n""" AS BIGINT) FROM {deals}"#,
];

fn named(sql: &str) -> String {
    sql.replace("{deals}", r#"place."Сделки.""Q1""""#)
        .replace("{regions}", r#"place."Regions""#)
        .replace("{empty}", "place.empty")
}

async fn nothing_differs(pair: &Pair) {
    let params = params();
    for (name, queries) in DIFFERENCES {
        println!("{name}");
        for sql in queries {
            pair.compare(&named(sql), &params).await;
        }
    }
    for sql in FAILURES.map(named) {
        let fails = async |engine: &Engine| answer(engine, &sql, &params, false).await.is_err();
        assert_eq!((fails(&pair.own).await, fails(&pair.sending).await), (true, true), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_in_sqlite() {
    let sql = format!("{}{}", places::tables(&places::SQLITE), places::side_table());
    let (_kept, connection) = places::sqlite(&sql);
    nothing_differs(&Pair::over(&connection)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_in_postgres() {
    let (_kept, connection) = places::postgres(&places::tables(&places::POSTGRES)).await;
    nothing_differs(&Pair::over(&connection)).await;
}

/// Nor where the user's own settings make the server mean other things.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_differs_in_clickhouse() {
    let statements: Vec<String> = places::tables(&places::CLICKHOUSE).split(';').map(str::to_owned).collect();
    let (kept, connection) = places::clickhouse(&statements);
    nothing_differs(&Pair::over(&connection)).await;
    let places::Kept::Clickhouse(place) = &kept else { panic!("a ClickHouse") };
    let mut config = place.config.clone();
    for (name, value) in [
        ("join_use_nulls", "0"),
        ("transform_null_in", "1"),
        ("join_default_strictness", "ANY"),
        ("count_distinct_implementation", "uniq"),
        ("group_by_use_nulls", "1"),
        ("union_default_mode", "DISTINCT"),
        ("prefer_column_name_to_alias", "1"),
        ("decimal_check_overflow", "0"),
    ] {
        config.settings.insert(name.to_owned(), value.to_owned());
    }
    nothing_differs(&Pair::over(&crate::support::clickhouse::open(config))).await;
}

/// `count(DISTINCT …)` of more values than a guess would tell exactly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_values_are_counted_exactly() {
    let (_kept, connection) = places::clickhouse(&[
        "CREATE TABLE many (id Int64, word String) ENGINE = MergeTree ORDER BY id".to_owned(),
        "INSERT INTO many SELECT number, toString(cityHash64(number) % 190000) FROM numbers(300000)"
            .to_owned(),
    ]);
    let pair = Pair::over(&connection);
    let sql = "SELECT count(DISTINCT id) AS ids, count(DISTINCT word) AS words FROM place.many";
    assert!(pair.compare(sql, &params()).await, "it is counted there");
    let plan = pair.sending.explain(sql, &params(), now()).await.unwrap();
    assert!(is_sent(&plan) && plan.contains("uniqExact"), "{plan}");
}
