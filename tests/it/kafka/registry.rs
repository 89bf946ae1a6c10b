//! Avro and Protobuf through a real schema registry: Apicurio's, which `scripts/services` starts.

use serde_json::{Value as Json, json};

use crate::support::{
    kafka::{Cluster, variable},
    project::Sandbox,
};

/// Asks the registry as another program would.
fn ask(method: &str, path: &str, body: Option<&Json>) -> Json {
    let url = format!("{}/{path}", variable("VITRINA_REGISTRY_URL"));
    let (method, body) = (method.to_owned(), body.map(Json::to_string));
    // Where nobody may wait: on a thread of its own.
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut request = reqwest::Client::new().request(method.parse().unwrap(), &url);
            if let Some(body) = body {
                request = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body);
            }
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success(), "{url}: {}", answer.status());
            serde_json::from_str(&answer.text().await.unwrap()).unwrap()
        })
    });
    asked.join().unwrap()
}

fn project(cluster: &Cluster) -> String {
    format!(
        "[project]\nname = \"x\"\n[connections.shop]\nkind = \"sqlite\"\npath = \"shop.db\"\n\
         [connections.log]\nkind = \"kafka\"\nbrokers = [\"{}\"]\nprefix = \"{}\"\nregistry.url = \"{}\"\n",
        variable("VITRINA_KAFKA_BROKERS"),
        cluster.prefix,
        variable("VITRINA_REGISTRY_URL"),
    )
}

fn write(format: &str) -> String {
    format!(
        "[source]\nconnection = \"shop\"\ntable = \"orders\"\ncursor = {{ column = \"id\" }}\n\
         [sink]\nconnection = \"log\"\ntable = \"{format}\"\nmode = \"append\"\non_schema_change = \"evolve\"\n[sink.kafka]\nformat = \"{format}\"\n"
    )
}

fn read(format: &str) -> String {
    format!(
        "[source]\nconnection = \"log\"\ntable = \"{format}\"\nbad_rows = \"dead_letter\"\n\
         [sink]\nconnection = \"shop\"\ntable = \"copy_{format}\"\nmode = \"append\"\non_schema_change = \"evolve\"\n"
    )
}

const ROWS: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, city TEXT, weight REAL); \
                    INSERT INTO orders VALUES (1, 'Москва', 0.5), (2, NULL, NULL), (3, '', -1e300)";

/// Rows there and back, columns that are added, schemas as the registry has them.
#[test]
fn rows_go_there_and_back() {
    let cluster = Cluster::new();
    let here = Sandbox::new(&[("vitrina.toml", &project(&cluster))]);
    here.sqlite("shop.db", ROWS);
    for format in ["avro", "protobuf"] {
        here.write(&format!("pipelines/in_{format}.toml"), &write(format));
        here.write(&format!("pipelines/out_{format}.toml"), &read(format));
    }
    here.must(&["run", "--all"]);
    let same = |format: &str, columns: &str, rows: i64| {
        let copy = format!("shop.copy_{format}");
        let both = format!("SELECT {columns} FROM {copy} INTERSECT SELECT {columns} FROM shop.orders");
        assert_eq!(here.number(&format!("SELECT count(*) AS n FROM ({both})")), rows, "{format}");
        assert_eq!(here.number(&format!("SELECT count(*) AS n FROM {copy}")), rows, "{format}");
    };
    let subject = |format: &str| format!("subjects/{}{format}-value", cluster.prefix);
    for (format, kind) in [("avro", None), ("protobuf", Some("PROTOBUF"))] {
        same(format, "id, city, weight", 3);
        assert_eq!(ask("GET", &format!("{}/versions", subject(format)), None), json!([1]), "{format}");
        let latest = ask("GET", &format!("{}/versions/latest", subject(format)), None);
        assert_eq!(
            latest.get("schemaType").and_then(Json::as_str).filter(|kind| *kind != "AVRO"),
            kind,
            "{latest:#}"
        );
        assert!(latest["schema"].as_str().unwrap().contains("weight"), "{latest:#}");
    }

    here.sqlite(
        "shop.db",
        "ALTER TABLE orders ADD COLUMN paid INTEGER; INSERT INTO orders VALUES (4, 'Омск', 2.5, 1)",
    );
    here.must(&["run", "--all"]);
    for format in ["avro", "protobuf"] {
        same(format, "id, city, weight, paid", 4);
        assert_eq!(ask("GET", &format!("{}/versions", subject(format)), None), json!([1, 2]), "{format}");
    }
    // A new process knows nothing, and reads messages of both schemas.
    assert_eq!(here.number("SELECT count(paid) AS n FROM log.avro"), 1);
    assert_eq!(here.number("SELECT count(city) AS n FROM log.protobuf"), 3);
}

#[test]
fn a_schema_that_does_not_go_with_the_one_before_is_refused() {
    let cluster = Cluster::new();
    let here = Sandbox::new(&[("vitrina.toml", &project(&cluster)), ("pipelines/in.toml", &write("avro"))]);
    here.sqlite("shop.db", ROWS);
    let name = format!("{}avro-value", cluster.prefix);
    let other = r#"{"type": "record", "name": "other", "fields": [{"name": "id", "type": "boolean"}]}"#;
    ask("POST", &format!("subjects/{name}/versions"), Some(&json!({ "schema": other })));
    ask("PUT", &format!("config/{name}"), Some(&json!({ "compatibility": "FULL" })));
    let ran = here.vitrina(&["run", "in"]).ended(1);
    assert!(ran.stderr.contains("does not take the rows' columns for"), "{ran:#?}");
    assert!(ran.stderr.contains("relax the subject's compatibility"), "{ran:#?}");
    ask("PUT", &format!("config/{name}"), Some(&json!({ "compatibility": "NONE" })));
    here.must(&["run", "in"]);
    assert_eq!(here.number("SELECT count(*) AS n FROM log.avro"), 3);
}

#[test]
fn a_number_that_the_registry_does_not_know_is_a_bad_row() {
    let cluster = Cluster::new();
    let here = Sandbox::new(&[
        ("vitrina.toml", &project(&cluster)),
        ("pipelines/in.toml", &write("avro")),
        ("pipelines/out.toml", &read("avro")),
    ]);
    here.sqlite("shop.db", ROWS);
    here.must(&["run", "in"]);
    cluster.write_bytes("avro", Some(&[0, 0x7f, 0xff, 0xff, 0xff, 2, 2]));
    here.must(&["run", "out"]);
    let letters = here.dead_letters("out");
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert!(letters[0].to_string().contains("which the registry does not know"), "{letters:#?}");
    assert_eq!(here.number("SELECT count(*) AS n FROM shop.copy_avro"), 3);
}
