//! ClickHouse: addresses that cannot be, keys of a sink that do not go together, columns that its options name.

use super::{BASE, ORDERS, lines};

/// What is said of a warehouse at these addresses, and of a sink into it with these keys. The connection's keys begin at line 24.
fn told(url: &str, sink: &str) -> Vec<String> {
    let keys = format!("kind = \"clickhouse\"\nurl = {url}");
    let project = BASE.replace("kind = \"delta\"\npath = \"warehouse\"", &keys);
    let pipeline = ORDERS.replace("mode = \"append\"", sink);
    lines(&[("vitrina.toml", &project), ("pipelines/p.toml", &pipeline)])
}

const ONE: &str = "\"https://ch:8443\"";
const MERGE: &str = "mode = \"merge\"\nkey = [\"id\"]\n[sink.clickhouse]\n";

#[test]
fn good_ones() {
    for sink in [
        "mode = \"append\"".to_owned(),
        format!("{MERGE}merge = \"replacing\"\nversion = \"happened_at\"\norder_by = [\"id\"]"),
        format!("{MERGE}merge = \"delete\"\norder_by = [\"client\"]\ncodec = {{ client = \"ZSTD(3)\" }}"),
    ] {
        assert_eq!(told(ONE, &sink), Vec::<String>::new(), "{sink}");
    }
}

#[test]
fn addresses_that_cannot_be() {
    let append = "mode = \"append\"";
    for (url, expected) in [
        ("\"ch://me:s3cret@ch:9000\"", "is no address of a ClickHouse's HTTP interface"),
        ("[]", "error[bad-address]: connection `warehouse`: its `url` names no server"),
        ("[\"https://a\", \"https://b\"]", "error[read-only]: connection `warehouse` has several urls"),
    ] {
        let said = told(url, append);
        assert!(said.len() == 1 && said[0].contains(expected), "{url}: {said:#?}");
        assert!(!said[0].contains("s3cret"), "{said:#?}");
    }
}

#[test]
fn keys_that_do_not_go_together() {
    for (sink, expected) in [
        (
            "mode = \"append\"\n[sink.clickhouse]\nmerge = \"replacing\"".to_owned(),
            "`merge` goes with the mode merge, and the mode is `append`",
        ),
        (format!("{MERGE}version = \"id\""), "`version` goes with `merge = \"replacing\"`"),
        (format!("{MERGE}merge = \"replacing\"\norder_by = [\"client\"]"), "`order_by` is not the key"),
        (format!("{MERGE}merge = \"replacing\"\nengine = \"MergeTree\""), "needs the engine"),
        (format!("{MERGE}codec = {{ clent = \"ZSTD(3)\" }}"), "the rows have no column `clent`"),
        (format!("{MERGE}merge = \"replacing\"\nversion = \"at\""), "the rows have no column `at`"),
        (
            "mode = \"merge\"\nkey = [\"id\"]\ndelete = { when = \"id = 0\", how = \"hard\" }\n[sink.clickhouse]\nmerge = \"replacing\"".to_owned(),
            "adds rows, and takes none away",
        ),
    ] {
        let said = told(ONE, &sink);
        assert!(said.len() == 1 && said[0].contains(expected), "{sink}: {said:#?}");
    }
}
