//! The order in which files are written to the disk and shown, as the kernel saw it. A kill cannot show this, a loss of
//! power would: what a name leads to must be on the disk before the name is, and the name before anybody is told.

use std::process::Command;

use super::{
    places::{Pair, Place},
    site::Site,
};
use crate::support::project::Ran;

/// A call of the program that matters for durability.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// A file or folder was synced.
    Sync(String),
    /// A file took a name.
    Name { from: String, to: String },
}

/// The calls of one run of everything, in order, paths as they stand.
fn calls(into: Place) -> (Site, Vec<Call>) {
    let site = Site::new(Pair { from: Place::Sqlite, into });
    site.add(50);
    let trace = site.sandbox.path("trace.txt");
    let plain = site.program(&["run", "--all"]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-qq", "-s", "4096", "-e", "signal=none"]);
    traced.args(["-e", "trace=fsync,fdatasync,?rename,?renameat,?renameat2,?link,?linkat", "-o"]);
    traced.arg(&trace).arg(plain.get_program()).args(plain.get_args());
    traced.current_dir(site.sandbox.root());
    Ran::from(traced.output().expect("strace is installed (scripts/test sees to it)")).done();
    let text = std::fs::read_to_string(trace).unwrap();
    let calls = whole_calls(&text).iter().filter_map(|line| parse(line, &site)).collect();
    (site, calls)
}

/// Calls that another thread interrupted, put together where they ended.
fn whole_calls(text: &str) -> Vec<String> {
    let mut open: std::collections::HashMap<&str, &str> = std::collections::HashMap::new();
    let mut calls = vec![];
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or(("", line));
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            open.insert(thread, start);
        } else if let Some((_, end)) = call.split_once("resumed>") {
            calls.push(format!("{}{end}", open.remove(thread).unwrap_or_default()));
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

fn parse(call: &str, site: &Site) -> Option<Call> {
    let (name, rest) = call.split_once('(')?;
    if !call.trim_end().ends_with("= 0") {
        return None;
    }
    let folder = site.sandbox.root().canonicalize().unwrap();
    let ours = |path: &str| {
        path.strip_prefix(folder.to_str().unwrap()).map(|path| path.trim_start_matches('/').to_owned())
    };
    if name.ends_with("sync") {
        let path = rest.split_once('<')?.1.rsplit_once('>')?.0;
        return ours(&unescaped(path)).map(Call::Sync);
    }
    let paths: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
    Some(Call::Name { from: ours(unescaped(paths[0]).as_str())?, to: ours(unescaped(paths[1]).as_str())? })
}

/// strace writes bytes past ASCII as octal: `\320\241`.
fn unescaped(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(u8::is_ascii_digit));
        let byte = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

/// A path's folder; empty = the project's own.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn synced(calls: &[Call], path: &str) -> bool {
    calls.iter().any(|call| matches!(call, Call::Sync(synced) if synced == path))
}

/// Whether the content under this name was synced: by this name, or by the one that it had before.
fn content_synced(calls: &[Call], path: &str) -> bool {
    let named = |(at, call): (usize, &Call)| match call {
        Call::Name { from, to } => to == path && synced(&calls[..at], from),
        Call::Sync(_) => false,
    };
    synced(calls, path) || calls.iter().enumerate().any(named)
}

/// A workbook's bytes, then its name, then the folder that holds the name.
#[test]
fn a_workbook_is_synced_before_it_is_named() {
    let (_site, calls) = calls(Place::Sqlite);
    let named = |call: &Call| matches!(call, Call::Name { to, .. } if to == "book.xlsx");
    let at = calls.iter().position(named).unwrap_or_else(|| panic!("no workbook took its name: {calls:#?}"));
    let Call::Name { from, .. } = &calls[at] else { unreachable!() };
    assert!(synced(&calls[..at], from), "its bytes were not synced before: {calls:#?}");
    assert!(synced(&calls[at..], ""), "the folder was not synced after: {calls:#?}");
}

/// A Delta commit: the files that it names are on the disk before the log entry takes its name; the entry and its folder are
/// before that table's next commit.
#[test]
fn a_delta_commit_names_only_what_is_on_the_disk() {
    let (site, calls) = calls(Place::Delta);
    let entries: Vec<(usize, &str)> = (calls.iter().enumerate())
        .filter_map(|(at, call)| match call {
            Call::Name { to, .. } if is_log_entry(to) => Some((at, to.as_str())),
            _ => None,
        })
        .collect();
    assert!(entries.len() >= 5, "{calls:#?}");
    let mut records = 0;
    for (at, entry) in &entries {
        let log = folder_of(entry);
        for file in added_files(&site, entry) {
            let file = format!("{}/{file}", folder_of(log));
            assert!(
                content_synced(&calls[..*at], &file),
                "{entry} names {file} before it was synced: {calls:#?}"
            );
            let folder = folder_of(&file);
            assert!(
                synced(&calls[..*at], folder),
                "{entry} names {file} before {folder} was synced: {calls:#?}"
            );
        }
        for record in record_files(&site, entry) {
            let is_it = |call: &&Call| matches!(call, Call::Sync(path) if path.ends_with(&record));
            let found = calls[..*at].iter().find(is_it);
            let Some(Call::Sync(path)) = found else {
                panic!("{entry} marks {record} before it was synced: {calls:#?}")
            };
            let folder = folder_of(path);
            assert!(
                synced(&calls[..*at], folder) && synced(&calls[..*at], folder_of(folder)),
                "{entry} marks {record} before {folder} and what leads to it were synced: {calls:#?}"
            );
            records += 1;
        }
        assert!(
            content_synced(&calls[..=*at], entry),
            "{entry} took its name before it was synced: {calls:#?}"
        );
        let next = entries.iter().find(|(next, other)| next > at && folder_of(other) == log);
        let next = next.map_or(calls.len(), |(next, _)| *next);
        assert!(synced(&calls[*at..next], log), "{log} was not synced after {entry}: {calls:#?}");
    }
    assert!(records >= 5, "{calls:#?}");
}

fn is_log_entry(path: &str) -> bool {
    let version = path.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
    path.contains("/_delta_log/")
        && version.is_some_and(|v| v.len() == 20 && v.bytes().all(|b| b.is_ascii_digit()))
}

fn actions(site: &Site, entry: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(site.sandbox.path(entry)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Data files that a log entry adds, as paths under the table.
fn added_files(site: &Site, entry: &str) -> Vec<String> {
    let actions = actions(site, entry);
    actions.iter().filter_map(|action| action["add"]["path"].as_str().map(str::to_owned)).collect()
}

/// The names of the record files that a log entry marks: by sequence number and tag.
fn record_files(site: &Site, entry: &str) -> Vec<String> {
    let actions = actions(site, entry);
    let marks = |kind: &str| {
        let of_kind = |action: &serde_json::Value| {
            let (id, version) = (action["txn"]["appId"].as_str()?, action["txn"]["version"].as_i64()?);
            Some((id.strip_prefix(kind)?.to_owned(), version))
        };
        actions.iter().filter_map(of_kind).collect::<std::collections::BTreeMap<String, i64>>()
    };
    let tags = marks("vitrina-attempt:");
    marks("vitrina:").iter().map(|(track, seq)| format!("/{seq:020}-{:016x}.json", tags[track])).collect()
}

/// A manifest: the files that it names are on the disk before it takes its name, and so is it; its folder is before anybody is told. Windows that are committed at the same time may
/// name the next one in between: it has all that this one has.
#[test]
fn a_manifest_names_only_what_is_on_the_disk() {
    let (site, calls) = calls(Place::Files);
    let manifests: Vec<(usize, &str)> = (calls.iter().enumerate())
        .filter_map(|(at, call)| match call {
            Call::Name { to, .. } if to.contains("/_vitrina/") && to.ends_with(".json") => {
                Some((at, to.as_str()))
            }
            _ => None,
        })
        .collect();
    assert!(manifests.len() >= 5, "{calls:#?}");
    let mut named = 0;
    for (at, manifest) in &manifests {
        let folder = folder_of(manifest);
        let text = std::fs::read_to_string(site.sandbox.path(manifest)).unwrap();
        let content: serde_json::Value = serde_json::from_str(&text).unwrap();
        for file in content["files"].as_array().unwrap() {
            let file = format!("{}/{}", folder_of(folder), file["name"].as_str().unwrap());
            assert!(
                content_synced(&calls[..*at], &file),
                "{manifest} names {file} before it was synced: {calls:#?}"
            );
            let within = folder_of(&file);
            assert!(
                synced(&calls[..*at], within),
                "{manifest} names {file} before {within} was synced: {calls:#?}"
            );
            named += 1;
        }
        assert!(
            content_synced(&calls[..=*at], manifest),
            "{manifest} took its name before it was synced: {calls:#?}"
        );
        assert!(synced(&calls[*at..], folder), "{folder} was not synced after {manifest}: {calls:#?}");
    }
    assert!(named >= 5, "{calls:#?}");
}

/// A commit into SQLite is synced: `synchronous` is FULL or more, so the write-ahead log is synced in every commit.
#[test]
fn a_sqlite_commit_is_synced() {
    let (_site, calls) = calls(Place::Sqlite);
    let synced = |name: &str| {
        calls.iter().filter(|call| matches!(call, Call::Sync(path) if path.starts_with(name))).count()
    };
    assert!(
        synced("warehouse.db") >= 4,
        "commits of 50 rows in slices of 20, a replacement and a mart: {calls:#?}"
    );
    assert!(synced("state/records.db") >= 1, "dead letters are promises too: {calls:#?}");
}
