//! Protobuf: of others and our own, with a schema registry and with a file of the project.

use arrow::datatypes::DataType;
use vitrina::connector::{
    error::ErrorKind,
    kafka::config::{Format, SinkOptions as Writing, SourceOptions as Reading},
};

use super::formats::{all_types, config, framed, read, reads, sink, source, write};
use crate::support::{
    kafka::{Cluster, open},
    registry::Registry,
    rows::{batch, flags, ints, text, texts},
    specs,
};

const SHOP: &str = r#"
syntax = "proto3";
package shop;

import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message Empty {}

message Order {
  message Line { string sku = 1; uint64 count = 2; optional double price = 3; }
  enum Kind { UNKNOWN = 0; SALE = 1; GIFT = 2; }
  int64 id = 1;
  optional string note = 2;
  Kind kind = 3;
  repeated Line lines = 4;
  map<string, int32> marks = 5;
  google.protobuf.Timestamp at = 6;
  fixed64 big = 7;
  sint32 delta = 8;
  bytes raw = 9;
  Line first = 10;
  repeated int32 numbers = 11;
  google.protobuf.Int64Value old = 12;
}
"#;

/// An order with every field, in bytes that were put together by hand.
fn order() -> Vec<u8> {
    [
        &[0x08, 0x07][..],                                             // id = 7
        &[0x12, 0x02, b'h', b'i'],                                     // note
        &[0x18, 0x02],                                                 // kind = GIFT
        &[0x22, 0x05, 0x0a, 0x01, b'a', 0x10, 0x03],                   // lines: sku a, count 3
        &[0x2a, 0x05, 0x0a, 0x01, b'z', 0x10, 0x02],                   // marks: z = 2
        &[0x2a, 0x05, 0x0a, 0x01, b'b', 0x10, 0x01],                   // marks: b = 1
        &[0x32, 0x08, 0x08, 0x80, 0xf2, 0xd6, 0xca, 0x06, 0x10, 0x01], // at, one nanosecond past a second
        &[0x39, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],       // big = 2^64 - 1
        &[0x40, 0x03],                                                 // delta = -2
        &[0x4a, 0x02, 0x00, 0xff],                                     // raw
        &[0x52, 0x00],                                                 // first: there, and empty
        &[0x5a, 0x03, 0x01, 0x96, 0x01],                               // numbers, packed: 1, 150
        &[0x62, 0x00],                                                 // old: there, and zero
        &[0xa8, 0x06, 0x01],                                           // a field that the schema has not
    ]
    .concat()
}

/// What [`order`] is, and the message of no bytes, in the order of the fields.
const ORDERS: [&str; 2] = [
    r#"7|hi|GIFT|[{"sku":"a","count":3,"price":null}]|{"b":1,"z":2}|2026-01-01T00:00:00.000000001Z|18446744073709551615|-2|00ff|{"sku":"","count":0,"price":null}|[1,150]|0"#,
    "0|∅|UNKNOWN|[]|{}|∅|0|0||∅|[]|∅",
];

/// Each message by its own schema, and which of its messages it is; what cannot be read is one bad row among good ones.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_others_name_their_schemas() {
    let cluster = Cluster::new();
    let registry = Registry::new();
    let shop = registry.add(SHOP, "PROTOBUF");
    let one = registry.add("syntax = \"proto3\"; message A { int64 id = 1; }", "PROTOBUF");
    let avro = registry.add(r#"{"type":"record","name":"B","fields":[]}"#, "AVRO");
    let broken = registry.add("message {", "PROTOBUF");
    cluster.create("shop", 1, &[]);
    let second = |bytes: &[u8]| framed(shop, &[&[0x02, 0x02], bytes].concat());
    let messages = [
        second(&order()),
        second(&[]),
        framed(one, &[0, 0x08, 0x05]),
        framed(77, &[0]),
        framed(avro, &[0]),
        framed(broken, &[0]),
        framed(shop, &[0x02, 0x08, 0x08, 0x01]),
        second(&order()[..3]),
        second(&[0x0d, 0, 0, 0, 0]),
        b"{\"id\":3}".to_vec(),
        // The second message of the file, the first one within it.
        framed(shop, &[0x04, 0x02, 0x00, 0x0a, 0x01, b'q']),
    ];
    for message in &messages {
        cluster.write_bytes("shop", Some(message));
    }
    let like = batch(vec![("id", ints([])), ("kind", texts([])), ("sku", texts([]))]);
    let spec = source("shop", &like, reads(Format::Protobuf));
    let held = read(&cluster, config(&cluster, Some(&registry)), &spec).await.unwrap();
    assert_eq!(text(&held.batch), ["7|GIFT|∅", "0|UNKNOWN|∅", "5|∅|∅", "∅|∅|q"]);
    let told: Vec<(u64, &str)> = held.bad.iter().map(|bad| (bad.ordinal, bad.reason.as_str())).collect();
    let expected = [
        (3, "a message of schema 77, which the registry does not know"),
        (4, "a message of schema 3, which is AVRO and not PROTOBUF"),
        (5, "a message of schema 4, which is no Protobuf schema that can be read"),
        (6, "a message that its schema does not have"),
        (7, "a message that is not of its schema"),
        (8, "a message that is not of its schema"),
        (9, "a message that does not begin with the number of a schema"),
    ];
    assert_eq!(told, expected);
    assert_eq!(held.bad[6].row["$message"], "{\"id\":3}");
}

/// Bare messages of the project's file: every kind of field, with the types that the file says.
#[tokio::test(flavor = "multi_thread")]
async fn bare_messages_are_read_by_a_file() {
    let cluster = Cluster::new();
    std::fs::write(cluster.root.path().join("shop.proto"), SHOP).unwrap();
    cluster.create("bare", 1, &[]);
    for message in [order(), vec![], b"\xff".to_vec()] {
        cluster.write_bytes("bare", Some(&message));
    }
    let by = |message: &str| Reading {
        proto: Some("shop.proto".to_owned()),
        message: Some(message.to_owned()),
        ..reads(Format::Protobuf)
    };
    let mut spec = specs::undeclared("bare");
    spec.options.kafka = Some(by("shop.Order"));
    let held = read(&cluster, cluster.config(), &spec).await.unwrap();
    assert_eq!(text(&held.batch), ORDERS);
    assert_eq!(held.bad[0].reason, "a message that is not of its schema");
    let kinds: Vec<String> =
        held.batch.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    let expected = [
        DataType::Int64,
        DataType::Utf8,
        DataType::Utf8,
        DataType::Utf8,
        DataType::Utf8,
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, Some("UTC".into())),
        DataType::UInt64,
        DataType::Int32,
        DataType::Binary,
        DataType::Utf8,
        DataType::Utf8,
        DataType::Int64,
    ];
    assert_eq!(kinds, expected.map(|kind| kind.to_string()));

    spec.options.kafka = Some(by("shop.Oder"));
    let error = read(&cluster, cluster.config(), &spec).await.expect_err("no such message");
    assert!(error.to_string().contains("no message `shop.Oder`"), "{error}");
    assert!(error.advice().contains("`shop.Order`"), "{}", error.advice());
}

const MINE: &str = r#"
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Mine {
  sint64 id = 7;
  optional string name = 1;
  optional string amount = 2;
  google.protobuf.Timestamp at = 3;
  optional string day = 4;
  optional double share = 5;
  optional fixed64 big = 6;
  optional bytes bytes = 8;
  bool sure = 9;
  repeated int64 many = 10;
}
"#;

/// Rows become messages of the project's file, and are read again as they were; what has no place in the message is refused before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_by_a_file() {
    let cluster = Cluster::new();
    std::fs::write(cluster.root.path().join("mine.proto"), MINE).unwrap();
    let by =
        || Writing { format: Format::Protobuf, proto: Some("mine.proto".to_owned()), ..Writing::default() };
    let rows = all_types();
    write(&cluster, cluster.config(), &sink("mine", by()), &rows, 1).await.unwrap();
    let held = read(&cluster, cluster.config(), &specs::source("mine", &rows)).await.unwrap();
    assert!(held.bad.is_empty(), "{:?}", held.bad);
    assert_eq!(text(&held.batch), text(&rows));
    // The file may be elsewhere; what messages are stays.
    std::fs::rename(cluster.root.path().join("mine.proto"), cluster.root.path().join("moved.proto")).unwrap();
    let by = || Writing { proto: Some("moved.proto".to_owned()), ..by() };
    write(&cluster, cluster.config(), &sink("mine", by()), &rows, 2).await.unwrap();
    let other = Writing { format: Format::Protobuf, ..Writing::default() };
    let error =
        write(&cluster, cluster.config(), &sink("mine", other), &rows, 3).await.expect_err("another frame");
    assert_eq!(error.kind, ErrorKind::SchemaChanged, "{error}");
    let whole = read(&cluster, cluster.config(), &specs::undeclared("mine")).await.unwrap();
    assert_eq!(whole.batch.num_columns(), rows.num_columns() + 1, "the field that was not filled, too");

    let cases = [
        ("no field", batch(vec![("id", ints([1])), ("nowhere", ints([1]))]), "has no field \"nowhere\""),
        ("a list", batch(vec![("many", ints([1]))]), "is int64, which is no repeated int64"),
        ("another kind", batch(vec![("sure", ints([1]))]), "is int64, which is no bool"),
    ];
    for (what, rows, says) in cases {
        let error = write(&cluster, cluster.config(), &sink("other", by()), &rows, 1).await.expect_err(what);
        assert_eq!(error.kind, ErrorKind::Unsupported, "{what}: {error}");
        assert!(error.to_string().contains(says), "{what}: {error}");
    }
    assert!(!cluster.topics().contains(&"other".to_owned()), "{:?}", cluster.topics());
    let holes = flags([true]).slice(0, 0);
    let nothing = arrow::array::new_null_array(holes.data_type(), 1);
    let rows = batch(vec![("sure", nothing)]);
    let error = write(&cluster, cluster.config(), &sink("null", by()), &rows, 1).await.expect_err("a NULL");
    assert_eq!(error.kind, ErrorKind::BadData, "{error}");
    assert!(error.to_string().contains("make it `optional`"), "{error}");
}

/// A field keeps its number when columns come and go; strangers' numbers are not guessed.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_the_topics() {
    use vitrina::connector::sink::OnSchemaChange;
    let cluster = Cluster::new();
    let registry = Registry::new();
    let with = || config(&cluster, Some(&registry));
    let mut spec = sink("grown", Writing { format: Format::Protobuf, ..Writing::default() });
    spec.on_schema_change = OnSchemaChange::Evolve;
    let (id, name) = (|id| ("id", ints([id])), |name| ("name", texts([Some(name)])));
    write(&cluster, with(), &spec, &batch(vec![id(1), name("a")]), 1).await.unwrap();
    write(&cluster, with(), &spec, &batch(vec![("more", ints([5])), name("b")]), 2).await.unwrap();
    let held = read(&cluster, with(), &specs::undeclared("grown")).await.unwrap();
    assert_eq!(text(&held.batch), ["1|a|∅", "∅|b|5"]);
    let last = registry.state().schemas.last().unwrap().0.clone();
    assert!(last.contains("int64 id = 1;") && last.contains("int64 more = 3;"), "{last}");

    cluster.create("theirs", 1, &[]);
    let theirs = registry.add("syntax = \"proto3\"; message A { int64 id = 9; }", "PROTOBUF");
    cluster.write_bytes("theirs", Some(&framed(theirs, &[0, 0x48, 1])));
    let connection = open(with(), cluster.root.path().to_owned()).unwrap();
    let spec = sink("theirs", Writing { format: Format::Protobuf, ..Writing::default() });
    let error = connection.sink(&spec).await.unwrap().target().await.expect_err("numbers of others");
    assert!(error.to_string().contains("Vitrina did not make"), "{error}");
    assert!(error.advice().contains("`proto`"), "{}", error.advice());
}
