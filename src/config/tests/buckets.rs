//! Connections to buckets: keys of another store, addresses that cannot be, at their place.

use super::{BASE, ORDERS, lines};

/// What is said of a warehouse with these keys in place of its folder; they begin at line 25.
fn told(keys: &str) -> Vec<String> {
    let project = BASE.replace("path = \"warehouse\"", keys);
    lines(&[("vitrina.toml", &project), ("pipelines/p.toml", ORDERS)])
}

#[test]
fn good_ones() {
    for keys in [
        "path = \"s3://lake/склад\"",
        "path = \"s3://lake\"\naccess_key_id = { env = \"A\" }\nsecret_access_key = { file = \"key\" }\naddressing = \"virtual_host\"",
        "path = \"s3://lake\"\nendpoint = \"http://minio:9000\"\nallow_http = true\nrequest_timeout = \"5s\"",
        "path = \"gs://lake/a\"\nservice_account = { command = [\"vault\", \"read\"] }",
        "path = \"az://lake/a\"\naccount = \"crm\"\nsas = { env = \"SAS\" }",
        "path = { env = \"NEVER_SET\", default = \"s3://lake\" }\nregion = \"ru-1\"",
        "path = { env = \"NEVER_SET\" }\nregion = \"ru-1\"",
        "path = \"s3://lake\"\nendpoint = { env = \"NEVER_SET\" }",
    ] {
        let errors: Vec<String> =
            told(keys).into_iter().filter(|line| !line.contains("unset-variable")).collect();
        assert_eq!(errors, Vec::<String>::new(), "{keys}");
    }
}

#[test]
fn bad_ones() {
    for (keys, expected) in [
        (
            "path = \"s3://\"",
            "25:8: error[bad-path]: connection `warehouse`: it names no bucket (write it as `s3://bucket/prefix`)",
        ),
        (
            "path = \"s3a://lake\"",
            "25:8: error[bad-path]: connection `warehouse`: no object store is named `s3a://` (did you mean `s3://`?)",
        ),
        (
            "path = \"s3://lake\"\naccount_key = { env = \"A\" }",
            "26:1: error[misplaced-key]: connection `warehouse`: `account_key` is a key of Azure Blob Storage, and `path` is in S3 (did you mean `secret_access_key`?)",
        ),
        (
            "path = \"lake\"\nendpoint = \"https://h\"",
            "26:1: error[misplaced-key]: connection `warehouse`: `endpoint` is a key of object stores, and `path` is a folder (leave it out, or name a bucket: `path = \"s3://bucket/prefix\"`)",
        ),
        (
            "path = \"s3://lake\"\nendpoint = \"http://minio:9000\"",
            "26:12: error[plain-http]: connection `warehouse`: `endpoint` would be spoken to without TLS (write `https://`; where the way there is safe, `allow_http = true`)",
        ),
        (
            "path = \"s3://lake\"\nacces_key_id = { env = \"A\" }",
            "26:1: error[unknown-key]: unknown key `acces_key_id` in [connections.warehouse] (did you mean `access_key_id`?)",
        ),
        ("path = \"az://lake\"", "error[missing-key]: connection `warehouse`: it needs `account`"),
        (
            "path = \"s3://lake\"\naccess_key_id = { env = \"A\" }",
            "error[missing-key]: connection `warehouse`: it needs `secret_access_key`, since it has `access_key_id`",
        ),
    ] {
        let told = told(keys);
        assert!(told.iter().any(|line| line.contains(expected)), "{keys}: {told:#?}");
    }
}

#[test]
fn a_secret_that_stands_there_is_hidden() {
    let told = told("path = \"s3://lake\"\naccess_key_id = \"AKIA-42\"\nsecret_access_key = \"hidden-42\"");
    assert!(told.iter().all(|line| !line.contains("-42")), "{told:?}");
    assert_eq!(told.iter().filter(|line| line.contains("secret-in-file")).count(), 2, "{told:?}");
}
