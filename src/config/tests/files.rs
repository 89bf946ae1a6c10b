//! Syntax, keys, types, formats.

use insta::assert_snapshot;

use super::{BASE, ORDERS, checked, drawn, lines, pipeline};

#[test]
fn no_project() {
    assert_snapshot!(drawn(&[("readme.txt", "")]));
}

#[test]
fn all_syntax_errors_at_once() {
    assert_snapshot!(pipeline(
        "description = \"open\nowner = \nmatrix = [\"region\"\n\n[source]\nconnection = 'shop'\nconection = 1\ntable = \"orders\ncursor = { column = \"id\" }\n"
    ));
}

#[test]
fn duplicate_keys() {
    assert_snapshot!(pipeline(&format!("owner = \"a\"\nowner = \"b\"\n{ORDERS}mode = \"append\"\n")));
}

#[test]
fn syntax_of_toml_1_1() {
    assert_snapshot!(pipeline(&ORDERS.replace("{ column = \"id\" }", "{\n  column = \"id\", # rising\n}")));
}

#[test]
fn unknown_keys() {
    assert_snapshot!(pipeline(
        &ORDERS
            .replace("[source]\n", "Owner = \"x\"\nwindow = 1\n[source]\nconection = \"shop\"\n")
            .replace("mode = \"append\"", "mode = \"append\"\nschedule = { every = \"1m\" }\ntitle = \"x\"")
    ));
}

#[test]
fn keys_swallowed_by_a_table_of_free_names() {
    assert_snapshot!(pipeline(&ORDERS.replace(
        "[sink]\n",
        "bad_rows = \"skip\"\nmax_bad = \"1%\"\nschedule = { every = \"1m\" }\n[sink]\n"
    )));
}

#[test]
fn a_column_may_be_named_as_a_key_where_its_type_is_plain() {
    let text = ORDERS
        .replace("[sink]\n", "key = \"text\"\ntable = { type = \"text\" }\ndescription = \"text\"\n[sink]\n");
    assert_eq!(pipeline(&text), "");
}

#[test]
fn missing_keys() {
    assert_snapshot!(pipeline("[source]\n[sink]\ntable = \"x\"\n"));
}

#[test]
fn wrong_types() {
    assert_snapshot!(pipeline(
        &ORDERS
            .replace(
                "[source]\n",
                "tags = \"crm\"\nretry = { attempts = \"5\" }\nschedule = { after = 3 }\n[source]\n"
            )
            .replace("cursor = { column = \"id\" }", "cursor = \"id\"")
            .replace("id = \"int64\"", "id = 64")
    ));
}

#[test]
fn bad_choices() {
    assert_snapshot!(pipeline(
        &ORDERS
            .replace("mode = \"append\"", "mode = \"apend\"\non_schema_change = \"grow\"")
            .replace("[source.columns]", "bad_rows = \"deadletter\"\n[source.columns]")
    ));
}

#[test]
fn bad_formats() {
    assert_snapshot!(drawn(&[
        (
            "vitrina.toml",
            &BASE
                .replace("Europe/Moscow", "Europe/Moskow")
                .replace("[matrix", "[daemon]\nmemory = \"256\"\nparallel = 0\n[matrix"),
        ),
        (
            "pipelines/p.toml",
            &ORDERS
                .replace(
                    "[source]\n",
                    "schedule = { cron = \"61 * * * *\", time_zone = \"Moscow\" }\nretry = { wait = \"1mo\", timeout = \"soon\" }\n[source]\nmax_bad = \"0.1\"\n",
                )
                .replace("\"int64\"", "\"integer\"")
                .replace("decimal(12,2)", "decimal(2,12)"),
        ),
    ]));
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let text = r#"
descripton = "1"
schedule = { cron = "5 25 * * *" }
retry = { wait = "1 minute" }
matrix = ["reigon"]

[source]
connection = "shopp"
table = "orders"
cursor = { column = 7 }
bad_rows = "ignore"

[source.columns]
id = "bigint"

[transform]
sql = "SELECT id FORM source"

[sink]
conection = "warehouse"
mode = "append"
"#;
    let found = lines(&[("vitrina.toml", BASE), ("pipelines/p.toml", text)]);
    let codes: Vec<&str> =
        found.iter().map(|line| line.split(['[', ']']).nth(1).unwrap_or_default()).collect();
    assert_eq!(
        codes,
        [
            "unknown-key",
            "bad-cron",
            "bad-duration",
            "unknown-matrix",
            "unknown-connection",
            "wrong-type",
            "bad-choice",
            "unknown-type",
            "sql-syntax",
            "missing-key",
            "unknown-key",
        ],
        "{found:#?}"
    );
}

#[test]
fn what_is_no_text() {
    let folder = super::folder(&[("vitrina.toml", BASE)]);
    std::fs::create_dir(folder.path().join("pipelines")).unwrap();
    std::fs::write(folder.path().join("pipelines/p.toml"), b"description = \"\xff\"").unwrap();
    let loaded = super::super::check(folder.path(), "default", &|_| None);
    assert_eq!(loaded.problems.len(), 1);
    assert_eq!(loaded.problems[0].code, "not-text");
}

#[test]
fn problems_of_broken_files_are_not_told_of_others() {
    let files = [
        ("vitrina.toml", BASE),
        ("pipelines/p.toml", "schedule = { every \n"),
        ("pipelines/q.toml", &format!("schedule = {{ after = [\"p\"] }}\n{ORDERS}")),
    ];
    let codes: Vec<&str> = checked(&files).problems.iter().map(|problem| problem.code).collect();
    assert!(codes.iter().all(|code| *code == "syntax"), "{codes:?}");
}
