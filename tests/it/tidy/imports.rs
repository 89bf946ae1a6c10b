//! Who may import whom.

use super::lexer;

/// What the files of a folder may name of ours, besides their own folder. The first rule that fits a file counts.
const RULES: &[(&str, &[&str])] = &[
    ("model/", &[]),
    ("failpoint.rs", &[]),
    ("clock.rs", &["model"]),
    ("state/", &["model"]),
    ("workbook/", &["model", "failpoint"]),
    ("schedule/", &["model", "config::project"]),
    (
        "engine/",
        &[
            "model",
            "connector::connection",
            "connector::error",
            "connector::executor",
            "connector::sent",
            "connector::sink",
            "connector::source",
        ],
    ),
    ("bot/telegram/tests/", &["model", "config", "state"]),
    // A front-end touches the world: records, runs, time.
    (
        "bot/telegram/",
        &[
            "model",
            "config::bot",
            "config::project",
            "report",
            "state",
            "schedule",
            "failpoint",
            "connector::secret",
            "run::Runtime",
        ],
    ),
    ("bot/dialog/tests/", &["model", "config"]),
    ("bot/words/", &["config::project", "report::format"]),
    ("bot/access.rs", &["config::bot", "config::project", "state::bot"]),
    ("bot/due.rs", &["model", "config::bot", "schedule", "state::bot"]),
    ("bot/subscribe.rs", &["model", "config::bot", "config::project", "schedule"]),
    ("bot/users_csv.rs", &["state::bot"]),
    ("bot/", &["model", "config::bot", "config::project", "report"]),
    (
        "config/",
        &[
            "model",
            "bot::words",
            "workbook::spec",
            "engine::params",
            "engine::typing",
            "schedule",
            "connector::ConnectionConfig",
            "connector::misfit",
            "connector::sink",
            "connector::source",
            "connector::*::config",
            "connector::*::source_facts",
            // Tests' rows spell values as sources do.
            "connector::cells",
        ],
    ),
    (
        "run/",
        &[
            "model",
            "connector",
            "engine",
            "state",
            "config::project",
            "config::lineage",
            "config::live",
            "config::lock",
            "config::unit_test",
            "workbook",
            "failpoint",
            "clock",
        ],
    ),
    (
        "daemon/",
        &[
            "model",
            "bot::telegram",
            "connector::error",
            "connector::secret",
            "state",
            "run",
            "schedule",
            "config::Loaded",
            "config::Sources",
            "config::draw",
            "config::lineage",
            "config::project",
        ],
    ),
    // Reports hand screens' values to whoever shows them, and know no connector but its errors.
    (
        "report/",
        &[
            "model",
            "config::project",
            "config::bot",
            "engine",
            "run",
            "workbook",
            "connector::error",
            "bot::screen",
            "bot::event",
            "bot::lists",
            "bot::words",
        ],
    ),
    ("connector/mod.rs", &["model", "connector"]),
    ("connector/error.rs", &["model", "connector::cellless", "connector::store_said"]),
    ("connector/sink.rs", &["model", "connector::error", "connector::executor", "connector::*::config"]),
    ("connector/source.rs", &["model", "connector::error", "connector::*::config"]),
    (
        "connector/",
        &[
            "model",
            "failpoint",
            // What connectors share: each a module of its own, named for what it is.
            "connector::apart",
            "connector::cells",
            "connector::OpenContext",
            "connector::connection",
            "connector::cursor",
            "connector::durable",
            "connector::error",
            "connector::executor",
            "connector::feed",
            "connector::filter",
            "connector::fitting",
            "connector::misfit",
            "connector::objects",
            "connector::one_schema",
            "connector::parquet_file",
            "connector::records",
            "connector::rights",
            "connector::scan",
            "connector::secret",
            "connector::sent",
            "connector::sink",
            "connector::source",
            "connector::store_said",
            "connector::textual",
        ],
    ),
];

/// What some connectors share: the folder, and the module that its files may name besides.
const SHARED: &[(&str, &str)] =
    &[("connector/postgres/", "connector::pg"), ("connector/greenplum/", "connector::pg")];

/// What a file of `src` (its path from there) imports and may not.
pub(super) fn violations(path: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = RULES.iter().find(|(place, _)| path.starts_with(place)) else {
        return vec![]; // main.rs, lib.rs, cli: they join everything.
    };
    let own = own_place(path);
    let shares = |import: &str| {
        SHARED.iter().any(|(folder, module)| path.starts_with(folder) && is_under(import, module))
    };
    let fits = |import: &str| {
        is_under(import, &own) || shares(import) || allowed.iter().any(|rule| matches(rule, import))
    };
    let imports = imports(path, text).into_iter().filter(|import| !fits(import));
    imports.map(|import| format!("src/{path}: may not import `crate::{import}`")).collect()
}

/// The folder whose files may always import each other: a connector's, or the top one.
fn own_place(path: &str) -> String {
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let depth = if parts[0] == "connector" { 2.min(parts.len()) } else { 1 };
    parts[..depth].join("::")
}

fn is_under(import: &str, place: &str) -> bool {
    import == place || import.strip_prefix(place).is_some_and(|rest| rest.starts_with("::"))
}

fn matches(rule: &str, import: &str) -> bool {
    let mut parts = import.split("::");
    rule.split("::").all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

/// Every path of ours that a file names outside its tests, from the crate's root.
fn imports(path: &str, text: &str) -> Vec<String> {
    let code = lexer::code_only(text);
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut module: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if module.last() == Some(&"mod") {
        module.pop();
    }
    let mut found = vec![];
    for (at, _) in code.match_indices("crate::") {
        expand("", &code[at + "crate::".len()..], &mut found);
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue; // Counted with the first of them.
        }
        let mut rest = &code[at..];
        let mut parent = module.clone();
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, _) = (after, parent.pop());
        }
        expand(&parent.join("::"), rest, &mut found);
    }
    found.into_iter().flat_map(|import| followed(&import, code)).collect()
}

/// What a file names through a module that it imports as a whole: `a::m` is `a::m::f` where the file says `m::f`.
fn followed(import: &str, code: &str) -> Vec<String> {
    let module = format!("{}::", import.rsplit("::").next().unwrap_or_default());
    let mut found = vec![];
    for (at, _) in code.match_indices(&module) {
        let inside_a_name = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if !inside_a_name {
            expand(import, &code[at + module.len()..], &mut found);
        }
    }
    if found.is_empty() { vec![import.to_owned()] } else { found }
}

/// Adds the paths of `a::{b, c::{d}}` under `prefix`; returns how much of `code` was taken.
fn expand(prefix: &str, code: &str, found: &mut Vec<String>) -> usize {
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':' && c != '*');
    let end = end.unwrap_or(code.len());
    let path = code[..end].trim_end_matches(':');
    let joined =
        [prefix, path].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("::");
    if !code[end..].starts_with('{') {
        found.push(joined);
        return end;
    }
    let mut at = end + 1;
    loop {
        at += code[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(code.len() - at);
        if at >= code.len() || code[at..].starts_with('}') {
            return (at + 1).min(code.len());
        }
        let taken = expand(&joined, &code[at..], found);
        let name = code[at + taken..].find([',', '}', '{']).unwrap_or(0); // ` as x`
        at += (taken + name).max(1);
    }
}

#[test]
fn finds_paths() {
    let text = "use crate::{a::b, c::{self, d::*}};\nuse super::{error::E, super::run as other};\nfn f() { crate::g::h() }";
    let found = imports("connector/sqlite/read.rs", text);
    let expected = ["a::b", "c::self", "c::d::*", "g::h", "connector::sqlite::error::E"];
    assert!(expected.iter().all(|path| found.iter().any(|found| found == path)), "{found:?}");
}

#[test]
fn judges_paths() {
    let refused = |path: &str, text: &str| !violations(path, text).is_empty();
    assert!(refused("model/unit.rs", "use crate::clock::SystemClock;"));
    assert!(refused("connector/sqlite/read.rs", "use crate::connector::delta::config::Config;"));
    assert!(refused("connector/sqlite/read.rs", "use super::super::delta::open;"));
    assert!(refused("config/resolve.rs", "use crate::connector::sqlite::open;"));
    assert!(refused("config/resolve.rs", "use crate::connector::{sqlite}; fn f() { sqlite::open() }"));
    assert!(!refused(
        "config/resolve.rs",
        "use crate::connector::{sqlite}; struct A(sqlite::config::Config);"
    ));
    assert!(!refused("config/resolve.rs", "use crate::connector::sqlite::config::Config;"));
    assert!(!refused(
        "connector/sqlite/read.rs",
        "use super::types::{a, b}; use crate::connector::error::Result;"
    ));
    assert!(refused("connector/sqlite/read.rs", "use crate::connector::pg::Server;"));
    assert!(!refused("connector/postgres/mod.rs", "use super::pg::{Server, literal};"));
    assert!(!refused("connector/delta/mod.rs", "use super::{OpenContext, connection::Connection};"));
}
