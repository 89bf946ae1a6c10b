//! Files that are not what they should be: each is named, and nothing of it is loaded.

use std::fs;

use super::{gz, loaded, loading, put};

const GOOD: &[u8] = b"id,name,amount\n1,a,1\n";

/// Bytes of a Parquet file of payments.
fn parquet_of(rows: i64) -> Vec<u8> {
    use crate::support::rows::{batch, ints, texts};
    let names: Vec<Option<&str>> = (0..rows).map(|_| Some("x")).collect();
    let rows = batch(vec![
        ("id", ints(0..rows)),
        ("name", texts(names.clone())),
        ("amount", texts(names.iter().map(|_| Some("1.5")))),
    ]);
    let mut bytes = vec![];
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_file_that_is_cut_short_or_broken_is_named() {
    let whole = parquet_of(5_000);
    let packed = gz(&"id,name,amount\n".repeat(3_000));
    let mut flipped = whole.clone();
    let footer = flipped.len() - 300..flipped.len() - 100;
    flipped[footer].iter_mut().for_each(|byte| *byte = !*byte);
    let cases: [(&str, &[u8], &str); 9] = [
        ("cut.parquet", &whole[..whole.len() / 2], "it is no whole Parquet file"),
        ("flipped.parquet", &flipped, "flipped.parquet"),
        ("empty.parquet", b"", "it is no whole Parquet file"),
        ("text.parquet", b"id,name\n1,x\n", "it is no whole Parquet file"),
        (
            "cut.csv",
            b"id,name,amount\n1,a,1\n2,b",
            "ends within the row that begins on line 3: it was cut short",
        ),
        ("open.csv", b"id,name,amount\n1,\"a,1\n2,b,2\n", "ends within the row that begins on line 2"),
        ("cut.jsonl", b"{\"id\":1}\n{\"id\":2,\"na", "ends within the row that begins on line 2"),
        ("cut.csv.gz", &packed[..packed.len() - 9], "cannot be unpacked: it is broken, or was cut short"),
        ("no.csv.zst", GOOD, "cannot be unpacked"),
    ];
    for (name, bytes, says) in cases {
        let project = loading("payments", "");
        put(&project, "inbox/payments/0.csv", GOOD);
        put(&project, &format!("inbox/payments/{name}"), bytes);
        let ran = project.vitrina(&["run", "load"]);
        assert_ne!(ran.code, Some(0), "{name}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains(name), "{name}: {}", ran.stderr);
        let table =
            project.vitrina(&["query", "SELECT count(*) AS n FROM db.payments", "--format", "ndjson"]);
        assert!(table.code != Some(0) || table.stdout.contains("\"n\":0"), "{name}: {table:?}");
    }
}

#[test]
fn columns_that_do_not_fit_are_told() {
    let cases: [(&str, &str, &[u8], &str); 6] = [
        ("", "a.csv", b"id;name;amount\n1;a;1\n", "its fields look parted by ';': set `files.delimiter`"),
        ("", "a.csv", b"id,nam,amount\n1,a,1\n", "`payments/a.csv` has no column `name`"),
        ("", "a.csv", b"id,name,name,amount\n1,a,b,1\n", "has two columns `name`"),
        ("", "a.csv", b"", "`payments/a.csv` has no column `id`"),
        ("", "a.txt", GOOD, "does not tell what it is made of"),
        ("", "a.csv", b"id,name,amount\none,a,1\n", "bad_rows"),
    ];
    for (options, name, bytes, says) in cases {
        let project = loading("payments", options);
        put(&project, &format!("inbox/payments/{name}"), bytes);
        project.vitrina(&["run", "load"]).says(1, &[says]);
    }
}

#[test]
fn bad_rows_are_put_aside_and_read_again() {
    let project = loading("payments", "bad_rows = \"dead_letter\"");
    put(
        &project,
        "inbox/payments/a.csv",
        b"id,name,amount\n1,a,1\nx,b,2\n3,c\n4,d,\"4\"5\n5,e,5\n\xff,f,6\n",
    );
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project), ["1|a|1.00", "5|e|5.00"]);
    let letters = project.dead_letters("load");
    assert_eq!(letters.len(), 4, "{letters:#?}");
    let told = format!("{letters:#?}");
    for part in [
        "a row of 2 fields, not 3",
        "a row that is no record of CSV",
        "a row that is not UTF-8",
        "\"$line\": Number(4)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_changed_file_is_refused() {
    let project = loading("payments", "");
    put(&project, "inbox/payments/a.csv", GOOD);
    project.must(&["run", "load"]);
    put(&project, "inbox/payments/a.csv", b"id,name,amount\n1,a,1\n2,b,2\n");
    project
        .vitrina(&["run", "load"])
        .says(1, &["`payments/a.csv` was read, and is another file now", "files.changed"]);
    assert_eq!(loaded(&project), ["1|a|1.00"]);
    fs::remove_file(project.path("inbox/payments/a.csv")).unwrap();
    project.must(&["run", "load"]);
    put(&project, "inbox/payments/b.csv", b"id,name,amount\n2,b,2\n");
    project.must(&["run", "load"]);
    assert_eq!(loaded(&project), ["1|a|1.00", "2|b|2.00"], "what was moved away is no matter");
}

#[test]
fn a_folder_that_is_not_there_or_not_open_is_told() {
    let project = loading("payments", "");
    project.vitrina(&["run", "load"]).says(1, &["there is no such folder", "inbox/payments"]);
    put(&project, "inbox/payments/a.csv", GOOD);
    project.write("inbox/file", "");
    let tested = project.must(&["connections", "test", "inbox"]);
    assert!(tested.contains("files"), "{tested}");
}

#[test]
fn a_folder_of_another_format_is_not_mixed() {
    let out = |format: &str| {
        format!(
            "[source]\nconnection = \"db\"\ntable = \"t\"\ncursor = {{ column = \"id\" }}\n[sink]\nconnection = \"outbox\"\ntable = \"t\"\nmode = \"append\"\nfiles.format = \"{format}\"\n"
        )
    };
    let project = loading("payments", "");
    project.write("pipelines/out.toml", &out("csv"));
    project.sqlite(
        "db.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (1);",
    );
    project.must(&["run", "out"]);
    project.write("pipelines/out.toml", &out("jsonl"));
    project.sqlite("db.sqlite", "INSERT INTO t VALUES (2);");
    project.vitrina(&["run", "out"]).says(1, &["its files are CSV", "write into another folder"]);
    assert_eq!(project.number("SELECT count(*) FROM outbox.t"), 1);
}
