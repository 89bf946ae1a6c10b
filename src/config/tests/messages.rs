//! Files of a project that say what messages are.

use std::path::Path;

use super::{lines, proved};

const PROJECT: &str = r#"
[project]
name = "test"
[connections.stream]
kind = "kafka"
brokers = ["localhost:9092"]
[connections.warehouse]
kind = "delta"
path = "warehouse"
"#;

const SHOP: &str = "syntax = \"proto3\"; package shop; import \"kinds/all.proto\";\n\
                    message Order { int64 id = 1; Kind kind = 2; }\n";

/// What is wrong with a source of these options and columns.
fn source(options: &str, columns: &str) -> Vec<String> {
    let text = format!(
        "[source]\nconnection = \"stream\"\ntable = \"t\"\n[source.kafka]\n{options}\n[source.columns]\n{columns}\n\
         [sink]\nconnection = \"warehouse\"\ntable = \"t\"\nmode = \"append\"\n"
    );
    lines(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/p.toml", &text),
        ("schemas/shop.proto", SHOP),
        ("schemas/kinds/all.proto", "syntax = \"proto3\"; package shop; enum Kind { UNKNOWN = 0; }"),
        ("schemas/two.proto", "syntax = \"proto3\"; message A {} message B {}"),
        ("schemas/broken.proto", "syntax = \"proto3\"; message A { Nowhere x = 1; }"),
    ])
}

#[test]
fn messages_are_proved() {
    let named = |proto: &str| format!("format = \"protobuf\"\nproto = \"schemas/{proto}.proto\"");
    let id = "id = \"int64\"";
    assert_eq!(source(&named("shop"), id), Vec::<String>::new());
    let cases = [
        (named("shop"), "id = \"int64\"\nkinds = \"text\"", "p.toml:9:1", "no field `kinds`"),
        (named("none"), id, "p.toml:6:9", "there is no file `schemas/none.proto`"),
        (named("two"), id, "p.toml:6:9", "has 2 messages, and none is named"),
        (named("broken"), id, "p.toml:6:9", "`schemas/broken.proto` cannot be read"),
        (named("shop") + "\nmessage = \"Order\"", id, "p.toml:7:11", "has no message `Order`"),
        (
            "format = \"json\"\nproto = \"schemas/shop.proto\"".to_owned(),
            id,
            "p.toml:6:9",
            "`proto` goes with",
        ),
        ("message = \"shop.Order\"".to_owned(), id, "p.toml:5:11", "`message` goes with"),
        ("format = \"protobuf\"".to_owned(), id, "p.toml:5:10", "has no schema registry"),
        ("format = \"avro\"".to_owned(), id, "p.toml:5:10", "has no schema registry"),
    ];
    for (options, columns, place, says) in cases {
        let found = source(&options, columns);
        assert!(
            found.len() == 1 && found[0].contains(place) && found[0].contains(says),
            "{options}: {found:#?}"
        );
    }
}

/// So that an edit of them is noticed.
#[test]
fn files_of_messages_are_files_of_the_project() {
    let pipeline = "[source]\nconnection = \"stream\"\ntable = \"t\"\n[source.kafka]\nformat = \"protobuf\"\n\
                    proto = \"schemas/shop.proto\"\n[source.columns]\nid = \"int64\"\n\
                    [sink]\nconnection = \"warehouse\"\ntable = \"t\"\nmode = \"append\"\n";
    let loaded = proved(&[
        ("vitrina.toml", PROJECT),
        ("pipelines/p.toml", pipeline),
        ("schemas/shop.proto", SHOP),
        (
            "schemas/kinds/all.proto",
            "syntax = \"proto3\";\npackage shop;\nimport 'far/more.proto';\nenum Kind { UNKNOWN = 0; }",
        ),
        ("far/more.proto", "syntax = \"proto3\"; import \"schemas/shop.proto\";"),
        ("schemas/two.proto", "syntax = \"proto3\"; message A {} message B {}"),
    ]);
    let read: Vec<_> =
        loaded.sources.files.keys().filter(|path| path.extension().unwrap() == "proto").collect();
    assert_eq!(read, ["schemas/shop.proto", "schemas/kinds/all.proto", "far/more.proto"].map(Path::new));
}
