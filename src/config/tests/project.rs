//! Variables, profiles, defaults, what a right project becomes.

use insta::assert_snapshot;

use super::{BASE, ORDERS, drawn, folder, good, lines, shipped};
use crate::{
    config::{self, draw, project::Trigger},
    connector::ConnectionConfig,
    model::{delivery::Mode, time::Span},
};

#[test]
fn the_shipped_project_is_right() {
    for load in
        [config::load(shipped(), "default", &|_| None), config::check(shipped(), "default", &|_| None)]
    {
        let lines: Vec<String> =
            load.problems.iter().map(|problem| draw::line(problem, &load.sources)).collect();
        assert_eq!(lines, Vec::<String>::new());
        let project = load.project.unwrap();
        assert_eq!(project.pipelines.len(), 25);
        assert_eq!(project.marts.len(), 16);
        assert_eq!(project.connections.len(), 7);
        let written = project.pipelines.values().flat_map(|pipeline| &pipeline.members);
        assert!(written.clone().count() == 37 && written.into_iter().all(|member| member.output.is_some()));
    }
}

#[test]
fn members_are_spelled_out() {
    let text = r#"
matrix = ["region"]
[source]
connection = "crm_{region}"
schema = "actions"
table = "actions"
cursor = { column = "id", overlap = "10m", start = 2026-01-01 }
[transform]
sql = "SELECT *, :region.title AS title FROM source"
[sink]
connection = "warehouse"
table = "{region}.{{x}}"
mode = "merge"
key = ["id"]
"#;
    let project = good(&[("vitrina.toml", BASE), ("pipelines/a/b.toml", text)]);
    let pipeline = &project.pipelines.values().next().unwrap();
    assert_eq!(pipeline.info.name.as_str(), "a/b");
    let tables: Vec<&str> = pipeline.members.iter().map(|member| member.sink.table.as_str()).collect();
    assert_eq!(tables, ["mrf1.{x}", "mrf2.{x}"]);
    assert_eq!(pipeline.members[1].facts["region.title"], "Волга");
    let ConnectionConfig::Sqlite(config) = &project.connections["crm_mrf2"] else { panic!() };
    assert_eq!(config.databases["nature"], "crm/mrf2/nature.db");
}

#[test]
fn defaults_are_filled_in_and_the_file_wins() {
    let project = format!(
        "{BASE}\n[defaults.pipeline]\nowner = \"all\"\nretry = {{ attempts = 9, wait = \"3s\" }}\nsink.on_schema_change = \"evolve\"\n"
    );
    let pipeline =
        format!("owner = \"me\"\nretry = {{ wait = \"4s\" }}\nschedule = {{ every = \"1m\" }}\n{ORDERS}");
    let project = good(&[("vitrina.toml", &project), ("pipelines/p.toml", &pipeline)]);
    let pipeline = &project.pipelines.values().next().unwrap();
    assert_eq!(pipeline.info.owner.as_deref(), Some("me"));
    assert_eq!(pipeline.info.retry.attempts, 9);
    assert_eq!(pipeline.info.retry.wait, "4s".parse::<Span>().unwrap());
    assert_eq!(
        pipeline.info.schedule.as_ref().unwrap().trigger,
        Trigger::Every("1m".parse::<Span>().unwrap())
    );
    assert_eq!(pipeline.members[0].sink.on_schema_change, crate::connector::sink::OnSchemaChange::Evolve);
    assert_eq!(pipeline.members[0].sink.mode, Mode::Append);
}

#[test]
fn mistakes_in_defaults_are_told_once_and_where_they_stand() {
    let project =
        format!("{BASE}\n[defaults.pipeline]\nretry = {{ attemts = 9 }}\nschedule = {{ every = \"x\" }}\n");
    assert_snapshot!(drawn(&[("vitrina.toml", &project), ("pipelines/p.toml", ORDERS)]));
}

#[test]
fn variables() {
    let project = BASE
        .replace("\"shop.db\"", "{ env = \"SHOP_DB\" }")
        .replace("log = true", "log = { env = \"LOG\", default = true }")
        .replace("[matrix", "[daemon]\nparallel = { env = \"PARALLEL\" }\n[matrix");
    let folder = folder(&[("vitrina.toml", &project)]);
    let set = |name: &str| match name {
        "SHOP_DB" => Some("other.db".to_owned()),
        "PARALLEL" => Some("7".to_owned()),
        _ => None,
    };
    let loaded = config::load(folder.path(), "default", &set);
    let project = loaded.project.unwrap();
    assert_eq!(project.parallel, 7);
    assert!(project.connections["stream"].is_log());
    let ConnectionConfig::Sqlite(config) = &project.connections["shop"] else { panic!() };
    assert_eq!(config.path.as_deref(), Some("other.db"));
    // Unset: allowed where nothing runs.
    assert!(config::check(folder.path(), "default", &|_| None).problems.is_empty());
    let wrong = |name: &str| (name == "PARALLEL").then(|| "many".to_owned());
    let loaded = config::load(folder.path(), "default", &wrong);
    let text: Vec<String> =
        loaded.problems.iter().map(|problem| draw::text(problem, &loaded.sources, false, 100)).collect();
    assert_snapshot!(text.join("\n"));
}

#[test]
fn profiles_replace_whole_connections() {
    let project = format!(
        "{BASE}\n[profile.test.connections.warehouse]\nkind = \"sqlite\"\npath = \"w.db\"\nlog = true\n[profile.test.connections.more]\nkind = \"delta\"\npath = \"more\"\n"
    );
    let merge = ORDERS.replace("\"append\"", "\"merge\"\nkey = [\"id\"]");
    let only = format!(
        "profiles = [\"default\", \"tset\"]\n{}",
        ORDERS.replace("table = \"orders\"", "table = \"x\"")
    );
    let files =
        [("vitrina.toml", project.as_str()), ("pipelines/p.toml", &merge), ("pipelines/q.toml", &only)];
    assert_snapshot!(drawn(&files));
    let folder = folder(&files[..2]);
    assert!(config::load(folder.path(), "default", &|_| None).project.is_some());
    assert!(config::load(folder.path(), "test", &|_| None).project.is_none());
    let unknown = config::load(folder.path(), "tset", &|_| None);
    assert_eq!(unknown.problems[0].hint.as_deref(), Some("did you mean `test`?"));
}

#[test]
fn bad_projects() {
    assert_snapshot!(drawn(&[(
        "vitrina.toml",
        r#"
[project]
name = "a b"
[matrix.my-list]
"x y" = { "the title" = "a" }
[matrix.empty]
[matrix.unused]
a = {}
[connections.source]
kind = "sqlite"
[connections."a b"]
kind = "sqlite"
path = "a"
databases = { b = "b" }
[connections.c]
kind = "sqlit"
[connections.d]
path = "d"
[connections."crm_{reigon}"]
kind = "delta"
path = "crm/{region"
[connections.e]
kind = "delta"
path = "e/{unused.title}"
[connections.f]
kind = "delta"
path = "a"
[profile.default.connections.x]
kind = "delta"
path = "x"
"#
    )]));
}

/// A setting that exactly once rests on is no connection's to set, and is told at its key.
#[test]
fn settings_of_our_own_are_refused() {
    let with = |settings: &str| {
        let keys = format!("kind = \"clickhouse\"\nurl = \"https://ch:8443\"\n{settings}");
        let project = BASE.replace("kind = \"delta\"\npath = \"warehouse\"", &keys);
        lines(&[("vitrina.toml", &project), ("pipelines/p.toml", ORDERS)])
    };
    assert_eq!(with("settings = { max_threads = \"4\" }"), Vec::<String>::new());
    for name in ["mutations_sync", "insert_deduplicate", "read_overflow_mode"] {
        let told = with(&format!("settings = {{ max_threads = \"4\", {name} = \"0\" }}"));
        let expected = format!(
            "26:33: error[reserved-name]: connection `warehouse` sets `{name}`, which Vitrina sets itself"
        );
        assert!(told.len() == 1 && told[0].contains(&expected), "{told:#?}");
    }
}

#[test]
fn json_says_where() {
    let folder = folder(&[("vitrina.toml", "[project]\nname = \"тест\" # ж\nnme = 1\n")]);
    let loaded = config::check(folder.path(), "default", &|_| None);
    assert_snapshot!(serde_json::to_string_pretty(&draw::json(&loaded.problems, &loaded.sources)).unwrap());
    assert_eq!(
        lines(&[("vitrina.toml", "[project]\nname = \"t\" \nnme = 1\n")]),
        ["vitrina.toml:3:1: error[unknown-key]: unknown key `nme` in [project] (did you mean `name`?)"]
    );
}

#[test]
fn the_reference_is_fresh() {
    for (page, fresh) in [("configuration", config::reference()), ("texts", config::texts_reference())] {
        let path = shipped().join(format!("docs/reference/{page}.md"));
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &fresh).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == fresh, "docs/reference/{page}.md is stale: run this test with UPDATE_REFERENCE=1");
    }
}

#[test]
fn a_run_asks_for_the_variables_of_its_own_profile_alone() {
    let project = "[project]\nname = \"p\"\ntime_zone = \"UTC\"\n\
         [connections.d]\nkind = \"delta\"\npath = \"d\"\n\
         [profile.\"на сервере\".connections.d]\nkind = \"delta\"\npath = { env = \"NEVER_SET\" }\n";
    let folder = folder(&[("vitrina.toml", project)]);
    let told = |profile: &str| {
        let load = config::load(folder.path(), profile, &|_| None);
        load.problems.iter().map(|problem| problem.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told("default"), Vec::<String>::new());
    assert_eq!(told("на сервере"), ["unset-variable"]);
}
