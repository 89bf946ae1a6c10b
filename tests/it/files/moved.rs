//! Rows from files and into files.

use std::fs;

use super::{PROJECT, gz, load, loaded, loading, put};
use crate::support::project::Sandbox;

const TEXT: &str = "id,name,amount\r\n1,\"Ёж, \"\"А\"\"\nи Б\",10.50\r\n2,,\r\n3,\"\",0.01";

#[test]
fn csv_in_all_its_ways() {
    let project = loading("payments/*", "");
    put(&project, "inbox/payments/1.csv", format!("\u{feff}{TEXT}").as_bytes());
    put(&project, "inbox/payments/2.csv.gz", &gz("amount,id,more\n4.00,4,x\n"));
    put(&project, "inbox/payments/3.csv.zst", &zstd::encode_all(&b"id,name,amount\n5,e,5\n"[..], 1).unwrap());
    put(&project, "inbox/payments/4.tsv", b"id\tname\tamount\n6\tf,g\t6.5\n");
    for passed_over in ["5.csv.tmp", "_6.csv", ".7.csv", "8.csv.part"] {
        put(&project, &format!("inbox/payments/{passed_over}"), b"half");
    }
    fs::remove_file(project.path("inbox/payments/2.csv.gz")).unwrap();
    put(&project, "inbox/payments/2.csv.gz", &gz("amount,id,name\n4.00,4,x\n"));
    project.must(&["run", "load"]);
    let expected = ["1|Ёж, \"А\"\nи Б|10.50", "2|null|null", "3||0.01", "4|x|4.00", "5|e|5.00", "6|f,g|6.50"];
    assert_eq!(loaded(&project), expected);
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project).len(), 6, "nothing is read twice");
    put(&project, "inbox/payments/0 late.csv", b"id,name,amount\n7,late,7\n");
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project).len(), 7, "whatever its name, a new file is read");
}

#[test]
fn json_lines_and_told_formats() {
    let project = loading("payments", "files.format = \"jsonl\"");
    put(
        &project,
        "inbox/payments/1.txt",
        "{\"id\":1,\"name\":\"Ж\",\"amount\":\"1.10\",\"more\":{}}\n\n{\"id\":2}".as_bytes(),
    );
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project), ["1|Ж|1.10", "2|null|null"]);

    let project =
        loading("payments", "files.format = \"csv\"\nfiles.header = false\nfiles.delimiter = \"|\"");
    put(&project, "inbox/payments/выгрузка", "1|Ж|1.10\n2||\n".as_bytes());
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project), ["1|Ж|1.10", "2|null|null"]);
}

/// Text goes out and comes back, cell by cell, whatever it is packed with.
#[test]
fn what_is_written_is_read() {
    for (at, options) in [
        "",
        "files.format = \"csv\"\nfiles.compression = \"gz\"\nfiles.delimiter = \";\"",
        "files.format = \"jsonl\"\nfiles.compression = \"zst\"",
        "files.format = \"csv\"",
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!(
            "[source]\nconnection = \"db\"\ntable = \"t\"\ncursor = {{ column = \"id\" }}\n[sink]\nconnection = \"outbox\"\ntable = \"копии/t\"\nmode = \"append\"\n{options}\n"
        );
        let back = "[source]\nconnection = \"outbox\"\ntable = \"копии/t\"\n[sink]\nconnection = \"db\"\ntable = \"back\"\nmode = \"append\"\n";
        let project = Sandbox::new(&[
            ("vitrina.toml", PROJECT),
            ("pipelines/out.toml", &out),
            ("pipelines/back.toml", back),
        ]);
        project.sqlite(
            "db.sqlite",
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, x REAL, raw BLOB);
             INSERT INTO t (name, x, raw) VALUES ('Ёж \"x\"; ,', 0.1, x'00ff'), (NULL, NULL, NULL), ('', 1e300, x'');",
        );
        project.must(&["run", "out"]);
        project.must(&["run", "back"]);
        project.sqlite("db.sqlite", "INSERT INTO t (name) VALUES ('новая');");
        project.must(&["run", "out"]);
        project.must(&["run", "back"]);
        let all = |table: &str| {
            project.query(&format!("SELECT id, name, x, encode(raw, 'hex') AS raw FROM {table} ORDER BY id"))
        };
        assert_eq!(all("db.back"), all("db.t"), "{at}: {options}");
        assert_eq!(all("outbox.\"копии/t\""), all("db.t"), "{at}: {options}");
        assert_eq!(all("db.back").len(), 4);
    }
}

#[test]
fn queries_over_files() {
    let project = Sandbox::new(&[("vitrina.toml", PROJECT)]);
    put(&project, "inbox/payments/2026-01.csv", b"id,amount\n1,5\n2,6\n");
    put(&project, "inbox/payments/2026-02.csv", b"id,amount\n3,7\n");
    put(&project, "inbox/a.jsonl", b"{\"id\":1,\"x\":{\"y\":1}}\n{\"id\":2.5}\n");
    let sum = |table: &str| {
        let rows = project.query(&format!("SELECT sum(CAST(amount AS BIGINT)) AS s FROM inbox.\"{table}\""));
        rows[0]["s"].as_i64().unwrap()
    };
    assert_eq!(sum("payments/*.csv"), 18);
    assert_eq!(sum("payments"), 18);
    assert_eq!(sum("payments/2026-02.csv"), 7);
    assert_eq!(sum("**/2026-01*"), 11);
    put(&project, "inbox/other.csv", b"id;amount\n1;2,5\n");
    assert_eq!(project.query("SELECT amount FROM inbox.\"other.csv\"")[0]["amount"], "2,5");
    assert_eq!(project.query("SELECT id, x FROM inbox.\"a.jsonl\" ORDER BY id LIMIT 1")[0]["x"], "{\"y\":1}");
    assert_eq!(project.number("SELECT count(*) FROM inbox.payments"), 3);
    let listed = project.must(&["connections", "tables", "inbox"]);
    assert!(listed.contains("payments") && listed.contains("a.jsonl"), "{listed}");
    project.vitrina(&["query", "SELECT * FROM inbox.paymnets"]).says(1, &["paymnets"]);
}

/// Names that sinks give rise by track, so that they tell no order.
#[test]
fn what_vitrina_wrote_is_not_read_by_name() {
    let out = "[source]\nconnection = \"db\"\ntable = \"t\"\ncursor = { column = \"id\" }\n[sink]\nconnection = \"outbox\"\ntable = \"t\"\nmode = \"append\"\n";
    let back = "[source]\nconnection = \"outbox\"\ntable = \"t\"\nfiles.seen = \"name\"\n[sink]\nconnection = \"db\"\ntable = \"back\"\nmode = \"append\"\n";
    let project = Sandbox::new(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/out.toml", out),
        ("pipelines/back.toml", back),
    ]);
    project.sqlite(
        "db.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (1);",
    );
    project.must(&["run", "out"]);
    project.vitrina(&["run", "back"]).says(1, &["names that do not rise", "leave `files.seen` out"]);
}

/// Files of a folder are adopted with a record, and replaced by what comes after.
#[test]
fn a_folder_with_files_of_others_is_adopted() {
    let out = "[source]\nconnection = \"db\"\ntable = \"t\"\n[sink]\nconnection = \"outbox\"\ntable = \"t\"\nmode = \"replace\"\nfiles.format = \"csv\"\n";
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/out.toml", out)]);
    project.sqlite("db.sqlite", "CREATE TABLE t (id TEXT); INSERT INTO t VALUES ('1');");
    put(&project, "outbox/t/old.csv", b"id\n8\n9\n");
    project.vitrina(&["run", "out"]).says(1, &["no record says where they came from"]);
    project.must(&["position", "reset", "out"]);
    assert_eq!(project.number("SELECT count(*) FROM outbox.t"), 2, "what was there is the table's");
    project.must(&["run", "out"]);
    assert_eq!(project.number("SELECT count(*) FROM outbox.t"), 1);
    assert!(project.path("outbox/t/old.csv").exists(), "for an hour, for those who read it");
}

/// By name, little is remembered; a file that comes too late is passed over.
#[test]
fn files_by_name() {
    let project = loading("payments", "files.seen = \"name\"");
    put(&project, "inbox/payments/2.csv", b"id,name,amount\n2,b,2\n");
    project.must(&["run", "load"]);
    put(&project, "inbox/payments/1.csv", b"id,name,amount\n1,a,1\n");
    put(&project, "inbox/payments/3.csv", b"id,name,amount\n3,c,3\n");
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project), ["2|b|2.00", "3|c|3.00"]);
    let said = project.must(&["explain", "load"]);
    assert!(said.contains("comes behind those of all before it"), "{said}");
}

/// A changed file is read anew where that is asked for.
#[test]
fn a_changed_file_is_merged_again() {
    let merged = load("payments", "files.changed = \"read\"")
        .replace("mode = \"append\"", "mode = \"merge\"\nkey = [\"id\"]");
    let project = Sandbox::new(&[("vitrina.toml", PROJECT), ("pipelines/load.toml", &merged)]);
    put(&project, "inbox/payments/1.csv", b"id,name,amount\n1,a,1\n2,b,2\n");
    project.must(&["run", "load"]);
    put(&project, "inbox/payments/1.csv", b"id,name,amount\n1,a,1\n2,bb,2\n3,c,3\n");
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project), ["1|a|1.00", "2|bb|2.00", "3|c|3.00"]);
}
