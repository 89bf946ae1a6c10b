//! Commands about the project itself: init, check, graph, schema.

use serde_json::json;

use super::{SHOP, shop};
use crate::support::project::{Ran, Sandbox, program};

#[test]
fn init_makes_projects_that_check() {
    let here = Sandbox::new(&[]);
    for template in ["crm", "empty"] {
        let made = here.vitrina(&["init", template, "--template", template]).done();
        assert!(made.stdout.contains(&format!("--project {template} check")), "{made:#?}");
        let text = std::fs::read_to_string(here.path(template).join("vitrina.toml")).unwrap();
        assert!(text.contains(&format!("name = \"{template}\"")), "{text}");
        let checked = here.vitrina(&["--project", template, "check"]).done();
        assert!(checked.stderr.contains("no problems"), "{checked:#?}");
        assert_eq!(checked.stdout, "");
    }
    let again = here.vitrina(&["init", "crm"]).ended(2);
    assert!(again.stderr.contains("is there already"), "{again:#?}");
}

#[test]
fn check_tells_all_problems_at_once() {
    let broken = SHOP.replace("kind = \"delta\"", "kind = \"delta\"\npth = \"x\"");
    let pipeline = "[source]\nconnection = \"shp\"\ntable = \"t\"\n[sink]\nconnection = \"warehouse\"\ntable = \"t\"\nmode = \"replace\"\n";
    let here = Sandbox::new(&[("vitrina.toml", &broken), ("pipelines/p.toml", pipeline)]);
    let told = here.vitrina(&["check"]).ended(1);
    assert!(told.stdout.contains("pth") && told.stdout.contains("shp"), "{told:#?}");
    assert!(told.stderr.contains("errors"), "{told:#?}");
    assert!(!told.stdout.contains('\x1b'), "colour in a pipe");

    let json = here.vitrina(&["check", "--format", "json"]).ended(1).json();
    let problems = json.as_array().unwrap();
    assert!(problems.len() >= 2, "{json:#}");
    for key in ["path", "line", "column", "end_line", "end_column", "code", "severity", "message", "hint"] {
        assert!(problems[0].get(key).is_some(), "no {key}: {json:#}");
    }
    let one = here.vitrina(&["check", "pipelines/p.toml", "--format", "json"]).ended(1).json();
    let paths: Vec<_> = one.as_array().unwrap().iter().map(|problem| problem["path"].clone()).collect();
    assert!(!paths.is_empty() && paths.iter().all(|path| path == "pipelines/p.toml"), "{one:#}");
    assert!(!here.path("data").exists(), "check made something");
}

#[test]
fn a_project_is_found_from_below() {
    let shop = shop();
    let below = shop.path("pipelines");
    for arguments in [&["check"][..], &["check", "orders.toml"]] {
        Ran::from(program(&below).args(arguments).output().unwrap()).done();
    }
}

#[test]
fn the_graph_shows_who_reads_whom() {
    let shop = shop();
    let text = shop.vitrina(&["graph"]).done().stdout;
    let expected = "\
shop.orders
orders  pipeline → warehouse.orders
└─ по_городам  mart → warehouse.по_городам
   └─ отчёт  mart → data/отчёт.xlsx
      └─ По городам  sheet
";
    assert_eq!(text, expected);
    let part = shop.vitrina(&["graph", "по_городам+"]).done().stdout;
    assert!(part.contains("отчёт") && !part.contains("orders  pipeline"), "{part}");
    let chart = shop.vitrina(&["graph", "--format", "mermaid"]).done().stdout;
    assert!(chart.starts_with("flowchart LR\n") && chart.contains("([\"по_городам\"])"), "{chart}");
}

#[test]
fn programs_get_the_graph_as_nodes_and_edges() {
    let shop = shop();
    let graph = shop.vitrina(&["graph", "--format", "json"]).done().json();
    let names: Vec<&str> =
        graph["nodes"].as_array().unwrap().iter().filter_map(|node| node["name"].as_str()).collect();
    for name in ["shop.orders", "orders", "по_городам", "data/отчёт.xlsx", "data/отчёт.xlsx: По городам"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    let dot = shop.must(&["graph", "--format", "dot"]);
    assert!(dot.starts_with("digraph vitrina {\n") && dot.contains("shape=cylinder"), "{dot}");
}

#[test]
fn reports_stand_at_the_end_of_the_graph_and_of_a_plan() {
    let shop = shop();
    let report = |name: &str, sql: &str, show: &str| {
        format!("[report.{name}]\ntitle = \"{name}\"\nsql = '{sql}'\n[[report.{name}.show]]\n{show}\n")
    };
    let (rows, mart) = ("table = { rows = 5 }", "SELECT total FROM mart.\"по_городам\"");
    let bot = [
        "[bot]\ntitle = \"Магазин\"\n".to_owned(),
        report("towns", mart, rows),
        report("raw", "SELECT count(*) AS n FROM shop.orders", rows),
        report("book", "SELECT count(*) AS n FROM pipeline.orders", "workbook = \"отчёт\""),
    ];
    shop.write("bot.toml", &bot.concat());
    shop.must(&["check", "--offline"]);
    let expected = "\
shop.orders
orders  pipeline → warehouse.orders
├─ по_городам  mart → warehouse.по_городам
│  ├─ отчёт  mart → data/отчёт.xlsx
│  │  ├─ По городам  sheet
│  │  └─ book  report
│  └─ towns  report
└─ book  report
shop.orders
raw  report
";
    assert_eq!(shop.must(&["graph"]), expected);
    let part = shop.must(&["graph", "по_городам"]);
    assert_eq!(part, "pipeline.orders\nпо_городам  mart → warehouse.по_городам\n└─ towns  report\n");
    let chart = shop.must(&["graph", "--format", "mermaid"]);
    assert!(chart.contains("{{\"towns\"}}"), "{chart}");
    assert!(shop.must(&["graph", "--format", "dot"]).contains("shape=hexagon"));
    let graph = shop.vitrina(&["graph", "--format", "json"]).done().json();
    let id = |kind: &str, name: &str| {
        let mut nodes = graph["nodes"].as_array().unwrap().iter();
        nodes.find(|node| node["kind"] == kind && node["name"] == name).unwrap()["id"].clone()
    };
    for (from, to) in [
        (id("mart", "по_городам"), id("report", "towns")),
        (id("table", "shop.orders"), id("report", "raw")),
        (id("mart", "отчёт"), id("report", "book")),
    ] {
        let edges = graph["edges"].as_array().unwrap();
        assert!(edges.iter().any(|edge| edge["from"] == from && edge["to"] == to), "{graph:#}");
    }
    let plan = shop.vitrina(&["plan", "по_городам", "--format", "json"]).done().json();
    assert_eq!((&plan[0]["read_by"], &plan[0]["reports"]), (&json!(["отчёт"]), &json!(["towns", "book"])));
    assert!(shop.must(&["plan", "по_городам"]).contains("отчёт, report towns, report book"));
}

#[test]
fn a_column_is_followed_both_ways() {
    let shop = shop();
    let column = "mart.отчёт.\"По городам\".total";
    let up = shop.must(&["graph", "--column", column, "--upstream"]);
    let expected = "\
mart.отчёт.\"По городам\".total
└─ mart.по_городам.total
   ├─ pipeline.orders.amount  computed
   │  └─ shop.orders.amount
   └─ which rows: pipeline.orders.Город
";
    assert_eq!(up, expected);
    assert_eq!(shop.must(&["graph", "--column", column]), expected, "unless told");
    for wrong in [vec!["--upstream"], vec!["--column", column, "--upstream", "--downstream"]] {
        shop.vitrina(&[&["graph"], wrong.as_slice()].concat()).ended(2);
    }
    let down = shop.must(&["graph", "--column", "shop.orders.Город", "--downstream"]);
    assert!(
        down.starts_with("shop.orders.Город\n└─ pipeline.orders.Город\n")
            && down.contains("└─ which rows: mart.по_городам"),
        "{down}"
    );
    let json =
        shop.vitrina(&["graph", "--column", "mart.по_городам.total", "--format", "json"]).done().json();
    assert!(json["edges"].as_array().unwrap().iter().any(|edge| edge["how"] == "rows"), "{json:#}");
    let wrong = shop.vitrina(&["graph", "--column", "mart.по_городам.totl"]).ended(2);
    assert!(wrong.stderr.contains("did you mean `mart.по_городам.total`?"), "{wrong:#?}");
}

#[test]
fn schemas_are_json_schemas() {
    let here = Sandbox::new(&[]);
    let all = here.vitrina(&["schema"]).done().json();
    assert!(all["pipeline.schema.json"]["properties"].get("source").is_some());
    here.vitrina(&["schema", "--out", "папка/схемы"]).done();
    let text = std::fs::read_to_string(here.path("папка/схемы/pipeline.schema.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), all["pipeline.schema.json"]);
}
