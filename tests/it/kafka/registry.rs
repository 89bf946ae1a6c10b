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

/// Types that schemas share lie in schemas of their own, which the registry names: they are asked for, whatever their subjects are called.
#[test]
fn schemas_that_refer_to_others_are_read() {
    let cluster = Cluster::new();
    let shared = |name: &str| format!("{}общее/{name}", cluster.prefix);
    let encoded = |name: &str| shared(name).replace("общее/", "%D0%BE%D0%B1%D1%89%D0%B5%D0%B5%2F");
    let add = |subject: &str, body: Json| {
        ask("POST", &format!("subjects/{subject}/versions"), Some(&body))["id"].as_u64().unwrap() as u32
    };
    let country = r#"{"type":"enum","name":"Country","namespace":"geo","symbols":["RU","KZ"]}"#;
    add(&encoded("country"), json!({ "schema": country }));
    let city = r#"{"type":"record","name":"City","namespace":"geo","fields":[{"name":"name","type":"string"},{"name":"country","type":"Country"}]}"#;
    let to_country = json!([{ "name": "geo.Country", "subject": shared("country"), "version": 1 }]);
    add(&encoded("city"), json!({ "schema": city, "references": to_country }));
    let order = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"city","type":"geo.City"},{"name":"country","type":"geo.Country"}]}"#;
    let to_both = json!([
        { "name": "geo.City", "subject": shared("city"), "version": 1 },
        { "name": "geo.Country", "subject": shared("country"), "version": 1 },
    ]);
    let name = format!("{}avro-value", cluster.prefix);
    let avro = add(&name, json!({ "schema": order, "references": to_both }));

    let geo = "syntax = \"proto3\"; package geo; message City { string name = 1; }";
    add(&encoded("city.proto"), json!({ "schemaType": "PROTOBUF", "schema": geo }));
    let shop = "syntax = \"proto3\"; package shop; import \"geo/city.proto\"; message Order { int64 id = 1; geo.City city = 2; }";
    let to_city = json!([{ "name": "geo/city.proto", "subject": shared("city.proto"), "version": 1 }]);
    let name = format!("{}protobuf-value", cluster.prefix);
    let protobuf = add(&name, json!({ "schemaType": "PROTOBUF", "schema": shop, "references": to_city }));

    let frame = |id: u32, content: &[u8]| [&[0][..], &id.to_be_bytes(), content].concat();
    for topic in ["avro", "protobuf"] {
        cluster.create(topic, 1, &[]);
    }
    cluster.write_bytes("avro", Some(&frame(avro, &[2, 4, b'A', b'B', 2, 0])));
    cluster.write_bytes("protobuf", Some(&frame(protobuf, &[0, 8, 7, 18, 4, 10, 2, b'A', b'B'])));
    let here = Sandbox::new(&[("vitrina.toml", &project(&cluster))]);
    here.sqlite("shop.db", "CREATE TABLE other (id INTEGER)");
    for format in ["avro", "protobuf"] {
        let pipeline = format!(
            "[source]\nconnection = \"log\"\ntable = \"{format}\"\n[source.kafka]\nformat = \"{format}\"\n\
             [sink]\nconnection = \"shop\"\ntable = \"copy_{format}\"\nmode = \"append\"\n"
        );
        here.write(&format!("pipelines/out_{format}.toml"), &pipeline);
    }
    here.must(&["run", "--all"]);
    let avro = here.query("SELECT id, city, country FROM shop.copy_avro");
    assert_eq!(avro[0]["id"], 1);
    assert_eq!(
        (&avro[0]["city"], &avro[0]["country"]),
        (&json!(r#"{"name":"AB","country":"KZ"}"#), &json!("RU"))
    );
    let protobuf = here.query("SELECT id, city FROM shop.copy_protobuf");
    assert_eq!((&protobuf[0]["id"], &protobuf[0]["city"]), (&json!(7), &json!(r#"{"name":"AB"}"#)));
}
