//! Sources and sinks of files: tables that name none, keys that do not go together, at their place.

use super::lines;

const PROJECT: &str = r#"
[project]
name = "test"
[connections.inbox]
kind = "files"
path = "inbox"
[connections.warehouse]
kind = "sqlite"
path = "w.db"
"#;

/// What is said of a pipeline from files into a table.
fn source(table: &str, rest: &str) -> Vec<String> {
    told(&format!(
        "[source]\nconnection = \"inbox\"\ntable = {table}\n{rest}\n[sink]\nconnection = \"warehouse\"\ntable = \"t\"\nmode = \"append\"\n"
    ))
}

/// What is said of a pipeline into files; the sink's keys begin at line 6.
fn sink(table: &str, rest: &str) -> Vec<String> {
    told(&format!(
        "[source]\nconnection = \"warehouse\"\ntable = \"t\"\ncursor = {{ column = \"id\" }}\n[sink]\nconnection = \"inbox\"\ntable = {table}\n{rest}"
    ))
}

fn told(pipeline: &str) -> Vec<String> {
    let all = lines(&[("vitrina.toml", PROJECT), ("pipelines/p.toml", pipeline)]);
    all.into_iter().filter(|line| line.contains("error")).collect()
}

#[test]
fn files_that_are_read_again_are_not_appended_in_silence() {
    let found = source("\"payments\"", "files.format = \"csv\"\nfiles.changed = \"read\"");
    assert!(found.len() == 1 && found[0].contains("[weak-delivery]"), "{found:?}");
    assert!(found[0].contains("use `merge`"), "{found:?}");
}

#[test]
fn good_ones() {
    for (table, rest) in [
        ("\"payments/*.csv\"", "files.delimiter = \";\""),
        (
            "\"payments\"",
            "files.format = \"jsonl\"\nfiles.settle = \"5s\"\nfiles.seen = \"name\"\nfiles.changed = \"refuse\"",
        ),
        ("\"платежи 2026.csv.gz\"", "files.header = false\ncolumns = { id = \"int64\" }"),
    ] {
        assert_eq!(source(table, rest), Vec::<String>::new(), "{table}");
    }
    for rest in
        ["mode = \"append\"", "mode = \"replace\"\nfiles.format = \"csv\"\nfiles.compression = \"zst\""]
    {
        let rest = rest.to_owned();
        let found = sink("\"выгрузка/платежи\"", &rest);
        let found: Vec<_> = found.into_iter().filter(|line| !line.contains("slices-replace")).collect();
        assert_eq!(found, Vec::<String>::new(), "{rest}");
    }
}

#[test]
fn bad_sources() {
    for (table, rest, expected) in [
        ("\"../x\"", "", "p.toml:3:9: error[bad-table]: `../x` is no path of files"),
        ("\"a/[.csv\"", "", "p.toml:3:9: error[bad-table]: `a/[.csv` is no pattern"),
        ("\"a/_vitrina/b\"", "", "p.toml:3:9: error[bad-table]: `a/_vitrina/b` has a name of Vitrina's own"),
        ("\"a\"", "cursor = { column = \"id\" }", "p.toml:4:1: error[cursor-on-files]: `inbox` is of files"),
        (
            "\"a\"",
            "files.delimiter = \"ж\"",
            "p.toml:4:19: error[bad-delimiter]: `delimiter` must be one ASCII character",
        ),
        (
            "\"a\"",
            "files.delimiter = \";\"\nfiles.format = \"jsonl\"",
            "p.toml:4:7: error[conflicting-keys]: `delimiter` goes with the format `csv`",
        ),
        (
            "\"a\"",
            "files.header = false",
            "p.toml:4:16: error[missing-key]: files without a line of names need a contract",
        ),
        ("\"a\"", "files.formt = \"csv\"", "did you mean `format`?"),
    ] {
        let found = source(table, rest);
        assert!(found.len() == 1 && found[0].contains(expected), "{table} {rest}: {found:#?}");
    }
}

#[test]
fn bad_sinks() {
    for (table, rest, expected) in [
        ("\"a/*.csv\"", "mode = \"append\"", "p.toml:7:9: error[bad-table]: `a/*.csv` is a pattern"),
        ("\"a.csv\"", "mode = \"append\"", "p.toml:7:9: error[bad-table]: `a.csv` is a file"),
        (
            "\"a\"",
            "mode = \"merge\"\nkey = [\"id\"]",
            "p.toml:8:8: error[unsupported-mode]: `inbox` is files, which cannot merge",
        ),
        (
            "\"a\"",
            "mode = \"append\"\nfiles.compression = \"gz\"",
            "p.toml:9:7: error[conflicting-keys]: `compression` goes with text",
        ),
    ] {
        let found = sink(table, rest);
        assert!(found.len() == 1 && found[0].contains(expected), "{table} {rest}: {found:#?}");
    }
}
