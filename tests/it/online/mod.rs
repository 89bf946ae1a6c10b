//! What is asked of places before anything runs: rights with what mends them, indexes, what queries would read.

mod clickhouse;
mod greenplum;
mod indexes;
mod kafka;
mod postgres;

use serde_json::Value as Json;

use crate::support::project::Sandbox;

/// What `connections test` says of a connection, which ends with this code.
#[track_caller]
fn tested(here: &Sandbox, connection: &str, code: i32) -> Json {
    here.vitrina(&["connections", "test", connection, "--format", "json"]).ended(code).json()[0].clone()
}

/// The rights that are missing.
fn missing(tested: &Json) -> Vec<&str> {
    tested["missing"].as_array().unwrap().iter().map(|missing| missing["right"].as_str().unwrap()).collect()
}

/// What mends them, each once.
fn mends(tested: &Json) -> Vec<String> {
    let mut mends: Vec<String> = vec![];
    for missing in tested["missing"].as_array().unwrap() {
        let mend = missing["mend"].as_str().unwrap().to_owned();
        if !mends.contains(&mend) {
            mends.push(mend);
        }
    }
    mends
}

/// Problems of `check --online` of one code: where each is, and what it says.
fn told(here: &Sandbox, code: &str) -> Vec<(String, u64, String)> {
    let found = here.vitrina(&["check", "--online", "--format", "json"]).json();
    let of_code = found.as_array().unwrap().iter().filter(|problem| problem["code"] == code);
    let told = of_code.map(|problem| {
        let text = |key: &str| problem[key].as_str().unwrap_or_default();
        let says = format!("{}: {} ({})", text("severity"), text("message"), text("hint"));
        (text("path").to_owned(), problem["line"].as_u64().unwrap(), says)
    });
    told.collect()
}
