//! Commands about rows: run, status, runs, query, preview, explain, position, dead-letters, connections.

use serde_json::json;

use super::{ORDERS, shop};

#[test]
fn a_run_moves_what_is_new_and_only_that() {
    let shop = shop();
    let run = shop.vitrina(&["run", "--all", "--format", "json"]).done().json();
    let names: Vec<_> = run.as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["orders", "по_городам", "отчёт"], "in order of dependency");
    assert_eq!(
        (&run[0]["state"], &run[0]["read"], &run[0]["written"]),
        (&json!("done"), &json!(4), &json!(3))
    );
    assert_eq!(run[0]["bad"], 1);
    assert!(shop.path("data/отчёт.xlsx").is_file());

    let again = shop.vitrina(&["run", "orders", "--format", "json"]).done().json();
    assert_eq!((&again[0]["read"], &again[0]["written"]), (&json!(0), &json!(0)));

    shop.sqlite("shop.db", r#"INSERT INTO orders ("Город", amount) VALUES ('Омск', 9)"#);
    let text = shop.vitrina(&["run", "orders"]).done();
    assert!(text.stdout.contains("warehouse.orders") && text.stdout.starts_with("name "), "{text:#?}");
    assert!(text.stderr.contains("orders: 1 row written"), "{text:#?}");
    assert!(!text.stdout.contains('\x1b') && !text.stderr.contains('\x1b'), "{text:#?}");

    let sum = shop.vitrina(&[
        "query",
        "SELECT sum(amount) AS s, count(*) AS n FROM warehouse.orders",
        "--format",
        "json",
    ]);
    assert_eq!(sum.done().json(), json!([{ "s": 22, "n": 4 }]));
}

#[test]
fn a_run_over_its_timeout_ends_and_the_next_one_goes_on() {
    let shop = shop();
    let file = shop.path("pipelines/orders.toml");
    std::fs::write(&file, format!("{ORDERS}\n[retry]\ntimeout = \"1ms\"\n")).unwrap();
    let late = shop.vitrina(&["run", "orders"]).ended(3);
    assert!(late.stderr.contains("the run took longer than its timeout of 1ms"), "{late:#?}");
    assert!(late.stderr.contains("raise `retry.timeout`"), "{late:#?}");

    std::fs::write(&file, ORDERS).unwrap();
    shop.vitrina(&["run", "orders"]).done();
    let count = shop.vitrina(&["query", "SELECT count(*) AS n FROM warehouse.orders", "--format", "json"]);
    assert_eq!(count.done().json(), json!([{ "n": 3 }]));
}

#[test]
fn rows_come_out_in_every_format() {
    let shop = shop();
    let sql = r#"SELECT id, "Город" FROM shop.orders ORDER BY id LIMIT 2"#;
    let table = shop.vitrina(&["query", sql]).done();
    assert_eq!(table.stdout, "id  Город\n 1  Москва\n 2  Омск\n");
    assert_eq!(table.stderr, "");
    let csv = shop.vitrina(&["query", sql, "--format", "csv"]).done().stdout;
    assert_eq!(csv, "id,Город\n1,Москва\n2,Омск\n");
    let file = shop.path("строки.ndjson");
    let said = shop.vitrina(&["query", sql, "-o", "строки.ndjson"]).done();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", "2 rows written to строки.ndjson\n"));
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 2);
    shop.vitrina(&["query", sql, "-o", "rows.parquet"]).done();
    assert!(std::fs::read(shop.path("rows.parquet")).unwrap().starts_with(b"PAR1"));
    shop.vitrina(&["query", sql, "-o", "rows"]).ended(2);
    let quiet = shop.vitrina(&["-q", "query", sql, "-o", "rows.csv"]).done();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn status_and_runs_tell_what_happened() {
    let shop = shop();
    let before = shop.vitrina(&["status", "--format", "json"]).done().json();
    assert_eq!((&before[0]["name"], &before[0]["record"]), (&json!("orders"), &json!(null)));
    shop.vitrina(&["run", "orders"]).done();
    let after = shop.vitrina(&["status", "orders", "--format", "json"]).done().json();
    assert_eq!((&after[0]["stands_at"], &after[0]["dead_letters"]), (&json!("4"), &json!(1)));
    assert_eq!(after[0]["last_run"]["state"], "done");
    let runs = shop.vitrina(&["runs", "--format", "json"]).done().json();
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["written"]), (1, &json!(3)));
    let text = shop.vitrina(&["runs", "orders"]).done().stdout;
    assert_eq!(text.lines().count(), 2, "{text}");
    shop.vitrina(&["run", "по_городам", "отчёт"]).done();
    let book = shop.vitrina(&["status", "отчёт", "--format", "json"]).done().json();
    let rows = (&book[0]["record"]["rows"], &book[0]["last_run"]["written"]);
    assert_eq!(rows, (&json!(2), &json!(2)), "the sheet's rows, in the file's record too");

    std::fs::remove_file(shop.path("data/state/history.db")).unwrap();
    assert_eq!(shop.vitrina(&["runs", "--format", "json"]).done().json(), json!([]));
    let again = shop.vitrina(&["run", "orders", "--format", "json"]).done().json();
    assert_eq!(again[0]["written"], 0, "history is not what a run goes on from");
}

#[test]
fn a_blocked_member_is_in_the_history() {
    let shop = shop();
    std::fs::remove_file(shop.path("shop.db")).unwrap();
    shop.vitrina(&["run", "--all"]).ended(1);
    let runs = shop.vitrina(&["runs", "по_городам", "--format", "json"]).done().json();
    assert_eq!(
        (&runs[0]["state"], &runs[0]["error"], &runs[0]["written"]),
        (&json!("blocked"), &json!("blocked by `orders`"), &json!(0))
    );
    let status = shop.vitrina(&["status"]).done().stdout;
    assert!(status.contains("blocked by `orders`") && status.contains("blocked by `по_городам`"), "{status}");
}

/// What a promise rests on, and why one is weaker, stands behind the verdict and in `explain`.
#[test]
fn check_says_what_is_promised() {
    let shop = shop();
    let told = shop.vitrina(&["check"]).done();
    let promise = "exactly once, assuming";
    let line = told.stderr.lines().find(|line| line.contains(promise)).expect(&told.stderr).trim();
    assert!(line.ends_with(": orders"), "{line}");
    assert_eq!(told.stdout, "");
    let explained = shop.vitrina(&["explain", "orders", "--offline"]).done().stdout;
    assert!(explained.contains(promise), "{explained}");
    let weak = ORDERS.replace("mode = \"append\"", "mode = \"append\"\ndelivery = \"may_miss\"");
    let weak = weak.replace("column = \"id\"", "column = \"rowid\"");
    std::fs::write(shop.path("pipelines/orders.toml"), weak).unwrap();
    let told = shop.vitrina(&["check"]).done().stderr;
    assert!(told.contains("may miss rows: ") && told.contains("VACUUM"), "{told}");
    let one = shop.vitrina(&["check", "marts"]).done();
    assert!(!one.stderr.contains("exactly once"), "{one:#?}");
}

#[test]
fn a_preview_writes_nothing() {
    let shop = shop();
    let rows = shop.vitrina(&["preview", "orders", "--limit", "2", "--format", "json"]).done();
    assert_eq!(rows.json()[1], json!({ "id": 2, "Город": "Омск", "amount": 7 }));
    assert!(!shop.path("data/warehouse").exists());
    let bad = shop.vitrina(&["preview", "orders"]).done();
    assert!(bad.stderr.contains("row 3 is bad: column `amount`"), "{bad:#?}");
    assert!(!bad.stderr.contains("много"), "a cell's value in a message: {bad:#?}");
}

#[test]
fn explain_says_what_is_promised() {
    let shop = shop();
    let text = shop.vitrina(&["explain", "orders", "--offline"]).done().stdout;
    for part in [
        "pipelines/orders.toml",
        "Заказы",
        "by cursor id",
        "exactly once",
        "put aside as dead letters",
        "по_городам",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!shop.path("data").exists(), "offline made something");
    let text = shop.vitrina(&["explain", "orders"]).done().stdout;
    assert!(text.contains("nothing: it never ran") && text.contains("up to 4"), "{text}");
    let sent = r#"sent           SELECT "id", "Город", "amount" FROM "orders" WHERE "id" <= ? ORDER BY "id""#;
    assert!(text.contains(sent), "{text}");
    shop.vitrina(&["run", "orders"]).done();
    shop.sqlite("shop.db", r#"INSERT INTO orders ("Город", amount) VALUES ('Омск', 9)"#);
    let text = shop.vitrina(&["explain", "orders"]).done().stdout;
    assert!(text.contains(r#"FROM "orders" WHERE "id" > ? AND "id" <= ? ORDER BY "id""#), "{text}");
}

#[test]
fn explain_shows_what_a_mart_sends_to_sqlite() {
    let shop = shop();
    let mart =
        "sql = \"\"\"SELECT id FROM shop.orders WHERE id > 2\"\"\"\n[sink]\nconnection = \"warehouse\"\n";
    std::fs::write(shop.path("marts/новые.toml"), mart).unwrap();
    let text = shop.vitrina(&["explain", "новые", "--plan"]).done().stdout;
    assert!(text.contains(r#"SentScan: SELECT "id" FROM "orders" WHERE "#), "{text}");
    assert!(text.contains('?') && !text.contains("\"id\" > 2"), "a value in what is sent: {text}");
}

#[test]
fn a_position_is_changed_deliberately() {
    let shop = shop();
    shop.vitrina(&["position", "set", "orders", "2"]).done();
    let run = shop.vitrina(&["run", "orders", "--format", "json"]).done().json();
    assert_eq!(run[0]["read"], 2, "rows up to 2 count as moved");
    let shown = shop.vitrina(&["position", "show", "orders", "--format", "json"]).done().json();
    assert_eq!((&shown[0]["name"], &shown[0]["next"]), (&json!("orders"), &json!(null)));
    let reset = shop.vitrina(&["position", "reset", "orders"]).done().stdout;
    assert_eq!(reset, "orders: 4 → the beginning\n");
    let run = shop.vitrina(&["run", "orders", "--format", "json"]).done().json();
    assert_eq!(run[0]["read"], 4);
    let wrong = shop.vitrina(&["position", "set", "orders", "two"]).ended(1);
    assert!(wrong.stderr.contains("`two`"), "{wrong:#?}");
    shop.vitrina(&["position", "set", "*", "2"]).ended(2);
}

#[test]
fn dead_letters_are_mended_and_replayed() {
    let shop = shop();
    shop.vitrina(&["run", "orders"]).done();
    let listed = shop.vitrina(&["dead-letters", "list", "--format", "json"]).done().json();
    assert_eq!((&listed[0]["name"], &listed[0]["column"]), (&json!("orders"), &json!("amount")));
    let id = listed[0]["id"].to_string();
    let shown = shop.vitrina(&["dead-letters", "show", &id]).done().stdout;
    assert!(shown.contains("много") && shown.contains("Город"), "the row itself is shown: {shown}");
    shop.vitrina(&["dead-letters", "show", "999"]).ended(2);

    // The contract is mended: what is no number stands for NULL.
    let file = shop.path("pipelines/orders.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let mended = text.replace("bad_rows =", "null_values = [\"много\"]\nbad_rows =");
    std::fs::write(&file, mended).unwrap();
    let replayed = shop.vitrina(&["dead-letters", "replay", "orders", "--format", "json"]).done().json();
    assert_eq!(replayed[0]["written"], 1, "{replayed:#}");
    let again = shop.vitrina(&["dead-letters", "replay", "orders"]).done();
    assert!(again.stderr.contains("no dead letters wait"), "{again:#?}");
    let count = shop.vitrina(&["query", "SELECT count(*) AS n FROM warehouse.orders", "--format", "json"]);
    assert_eq!(count.done().json(), json!([{ "n": 4 }]));
}

#[test]
fn letters_of_a_table_that_is_replaced_are_those_of_its_last_run() {
    let shop = shop();
    let file = shop.path("pipelines/orders.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let whole = text.replace("cursor = { column = \"id\" }\n", "").replace("\"append\"", "\"replace\"");
    std::fs::write(&file, &whole).unwrap();
    shop.vitrina(&["run", "orders"]).done();
    shop.vitrina(&["run", "orders", "--full-refresh"]).done();
    let letters = || shop.vitrina(&["dead-letters", "list", "--format", "json"]).done().json();
    assert_eq!(letters().as_array().unwrap().len(), 1, "one row is bad, however often it was read");

    let mended = whole.replace("bad_rows =", "null_values = [\"много\"]\nbad_rows =");
    std::fs::write(&file, mended).unwrap();
    let refused = shop.vitrina(&["dead-letters", "replay", "orders"]).ended(1);
    assert!(refused.stderr.contains("--full-refresh"), "{refused:#?}");
    let count = || {
        let sql = "SELECT count(*) AS n FROM warehouse.orders";
        shop.vitrina(&["query", sql, "--format", "json"]).done().json()
    };
    assert_eq!(count(), json!([{ "n": 3 }]), "what was refused changed nothing");
    shop.vitrina(&["run", "orders", "--full-refresh"]).done();
    assert_eq!((count(), letters()), (json!([{ "n": 4 }]), json!([])));
}

#[test]
fn dead_letters_are_dropped() {
    let shop = shop();
    shop.vitrina(&["run", "orders"]).done();
    assert_eq!(
        shop.vitrina(&["dead-letters", "drop", "orders", "--id", "77"]).done().stdout,
        "0 dead letters dropped\n"
    );
    assert_eq!(
        shop.vitrina(&["dead-letters", "drop", "orders", "--all"]).done().stdout,
        "1 dead letter dropped\n"
    );
    assert_eq!(shop.vitrina(&["dead-letters", "list", "--format", "json"]).done().json(), json!([]));
}

#[test]
fn connections_tell_what_is_there() {
    let shop = shop();
    let tested = shop.vitrina(&["connections", "test", "--format", "json"]).done().json();
    assert_eq!(
        (&tested[0]["name"], &tested[0]["kind"], &tested[0]["ok"]),
        (&json!("shop"), &json!("sqlite"), &json!(true))
    );
    let tables = shop.vitrina(&["connections", "tables", "shop", "--format", "json"]).done().json();
    assert_eq!((&tables[0]["in_sql"], &tables[0]["rows"]), (&json!("shop.orders"), &json!(4)));
}
