//! Messages that are no JSON, and what is beside their content.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, TimestampMicrosecondArray,
        UInt64Array,
    },
    record_batch::RecordBatch,
};
use vitrina::{
    connector::{
        error::{Error, ErrorKind, Result},
        kafka::config::{self, Format, SinkOptions as Writing, SourceOptions as Reading},
        sink::{Committed, SinkOptions, SinkSpec},
        source::SourceSpec,
    },
    model::{delivery::Mode, secret::Secret},
};

use crate::{
    contract::{
        reading::{Held, WIDE, try_read},
        writing::stage,
    },
    support::{
        kafka::{Cluster, open},
        registry::Registry,
        rows::{batch, flags, ints, text, texts},
        specs::{self, attempt, track, unit},
    },
};

pub(super) fn config(cluster: &Cluster, registry: Option<&Registry>) -> config::Config {
    let registry = registry.map(|registry| config::Registry {
        url: registry.url.clone(),
        user: None,
        password: None,
        ca_file: None,
    });
    config::Config { registry, ..cluster.config() }
}

pub(super) async fn write(
    cluster: &Cluster,
    config: config::Config,
    spec: &SinkSpec,
    rows: &RecordBatch,
    at: i64,
) -> Result<Committed> {
    let sink = open(config, cluster.root.path().to_owned())?.sink(spec).await?;
    let unit = unit(Mode::Append, at, rows);
    stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), rows).await?.commit().await
}

/// Everything that is in a topic.
pub(super) async fn read(cluster: &Cluster, config: config::Config, spec: &SourceSpec) -> Result<Held> {
    let source = open(config, cluster.root.path().to_owned())?.source(spec).await?;
    let head = source.head().await?;
    let unit = source.plan(None, &head, WIDE).await?.expect("something to read");
    try_read(source.as_ref(), &unit).await
}

pub(super) fn sink(table: &str, options: Writing) -> SinkSpec {
    SinkSpec {
        options: SinkOptions { kafka: Some(options), ..SinkOptions::default() },
        ..specs::sink(table, Mode::Append)
    }
}

pub(super) fn source(table: &str, like: &RecordBatch, options: Reading) -> SourceSpec {
    let mut spec = specs::source(table, like);
    spec.options.kafka = Some(options);
    spec
}

pub(super) fn reads(format: Format) -> Reading {
    Reading { format: Some(format), ..Reading::default() }
}

/// Rows of many types, with a NULL of each.
pub(super) fn all_types() -> RecordBatch {
    let amounts = Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(12, 2).unwrap();
    let moments = TimestampMicrosecondArray::from(vec![Some(1_767_225_600_123_456), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", ints([1, 2])),
        ("name", texts([Some("Имя, \"в кавычках\"\n"), None])),
        ("amount", Arc::new(amounts)),
        ("at", Arc::new(moments.with_timezone("UTC"))),
        ("day", Arc::new(Date32Array::from(vec![Some(20_454), None]))),
        ("share", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
        ("big", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0, 255, b'"']), None]))),
        ("sure", flags([true, false])),
    ];
    batch(columns)
}

/// What is written is read again, cell by cell; the reader need not say how, because the topic's writer left it.
#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read_as_it_was_written() {
    let cluster = Cluster::new();
    let registry = Registry::new();
    let rows = all_types();
    for (table, format, delimiter) in [
        ("json", Format::Json, None),
        ("csv", Format::Csv, Some(';')),
        ("avro", Format::Avro, None),
        ("protobuf", Format::Protobuf, None),
    ] {
        let config = config(&cluster, Some(&registry));
        let spec = sink(table, Writing { format, delimiter, ..Writing::default() });
        write(&cluster, config.clone(), &spec, &rows, 1)
            .await
            .unwrap_or_else(|error| panic!("{table}: {error}"));
        for spec in [specs::source(table, &rows), specs::undeclared(table)] {
            let held = read(&cluster, config.clone(), &spec)
                .await
                .unwrap_or_else(|error| panic!("{table}: {error}"));
            assert!(held.bad.is_empty(), "{table}: {:?}", held.bad);
            assert_eq!(text(&held.batch), text(&rows), "{table}");
            assert_eq!(held.batch.schema().fields(), rows.schema().fields(), "{table}");
        }
    }
    let csv = &cluster.messages("csv")[0].2;
    let line = "1;\"Имя, \"\"в кавычках\"\"\n\";-123.45;2026-01-01T00:00:00.123456Z;2026-01-01;0.1;18446744073709551615;AP8i;true";
    assert_eq!(csv, line);
    // One question for each of the two writers of one schema would be one too many.
    let state = registry.state();
    let told = state.asked.iter().filter(|asked| asked.starts_with("POST")).collect::<Vec<_>>();
    let once = |table: &str| format!("POST /subjects/{}-value/versions", cluster.topic(table));
    assert_eq!(told, [&once("avro"), &once("protobuf")]);
}

/// A topic keeps its format: a pipeline that says another one is refused before it writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_keeps_its_format() {
    let cluster = Cluster::new();
    let rows = batch(vec![("id", ints([1]))]);
    write(&cluster, cluster.config(), &sink("kept", Writing::default()), &rows, 1).await.unwrap();
    let other = sink("kept", Writing { format: Format::Csv, ..Writing::default() });
    let error = write(&cluster, cluster.config(), &other, &rows, 2).await.expect_err("another format");
    assert_eq!(error.kind, ErrorKind::SchemaChanged, "{error}");
    assert!(error.to_string().contains("json, not csv"), "{error}");
    let error = write(
        &cluster,
        cluster.config(),
        &sink("a", Writing { format: Format::Avro, ..Writing::default() }),
        &rows,
        1,
    )
    .await
    .expect_err("no registry");
    assert!(
        error.to_string().contains("no schema registry") && error.advice().contains("registry.url"),
        "{error}"
    );
}

/// Records of others have the contract's columns in their order; what is no such record is a bad row among good ones.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_others_are_read_by_the_contract() {
    let cluster = Cluster::new();
    cluster.create("csv", 1, &[]);
    cluster.write("csv", 0, &["1,a", "x,b", "2", "3,\"", "4,", "5,\"\"\r\n"]);
    let like = batch(vec![("id", ints([])), ("name", texts([]))]);
    let held = read(&cluster, cluster.config(), &source("csv", &like, reads(Format::Csv))).await.unwrap();
    assert_eq!(text(&held.batch), ["1|a", "4|∅", "5|"]);
    let told: Vec<(u64, &str)> = held.bad.iter().map(|bad| (bad.ordinal, bad.reason.as_str())).collect();
    let spelled = "text in an int64 column";
    assert_eq!(
        told,
        [(1, spelled), (2, "a message of 1 fields, not 2"), (3, "a message that is no record of CSV")]
    );
    let mut spec = specs::undeclared("csv");
    spec.options.kafka = Some(reads(Format::Csv));
    let error = read(&cluster, cluster.config(), &spec).await.expect_err("no columns");
    assert!(error.advice().contains("[source.columns]"), "{error}");
}

/// A message as it is, text or bytes; the others of its columns are its key and headers.
#[tokio::test(flavor = "multi_thread")]
async fn raw_messages_are_one_column() {
    let cluster = Cluster::new();
    cluster.create("raw", 1, &[]);
    for message in [Some(&b"{broken"[..]), Some(&[0xff, 0]), None] {
        cluster.write_bytes("raw", message);
    }
    let like = batch(vec![("line", texts([]))]);
    let by = Reading { value: Some("line".to_owned()), ..reads(Format::Raw) };
    let held = read(&cluster, cluster.config(), &source("raw", &like, by.clone())).await.unwrap();
    assert_eq!(text(&held.batch), ["{broken", "∅"]);
    assert_eq!(held.bad[0].reason, "text that is not UTF-8");
    let like = batch(vec![("line", Arc::new(BinaryArray::from_vec(vec![])) as ArrayRef)]);
    let held = read(&cluster, cluster.config(), &source("raw", &like, by)).await.unwrap();
    assert_eq!(text(&held.batch), ["7b62726f6b656e", "ff00", "∅"]);

    let rows = batch(vec![("value", texts([Some("как есть"), None])), ("id", ints([1, 2]))]);
    let raw = Writing { format: Format::Raw, ..Writing::default() };
    let error = write(&cluster, cluster.config(), &sink("written", raw.clone()), &rows, 1)
        .await
        .expect_err("a lost column");
    assert!(error.to_string().contains("column \"id\" has no place"), "{error}");
    let keyed = Writing { message_key: vec!["id".to_owned()], ..raw };
    write(&cluster, cluster.config(), &sink("written", keyed), &rows, 1).await.unwrap();
    let by = Reading { message_key: Some("id".to_owned()), ..Reading::default() };
    let held = read(&cluster, cluster.config(), &source("written", &rows, by)).await.unwrap();
    assert_eq!(text(&held.batch), ["как есть|1", "∅|2"]);
}

/// Key, timestamp, headers and the place in the topic are columns where a contract has them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_beside_the_content_is_read() {
    let cluster = Cluster::new();
    let rows = all_types();
    let options = Writing {
        message_key: vec!["name".to_owned(), "id".to_owned()],
        timestamp: Some("at".to_owned()),
        headers: vec!["amount".to_owned(), "name".to_owned(), "sure".to_owned()],
        partitions: Some(1),
        ..Writing::default()
    };
    write(&cluster, cluster.config(), &sink("beside", options), &rows, 1).await.unwrap();
    let mut by = Reading {
        message_key: Some("key".to_owned()),
        timestamp: Some("written".to_owned()),
        headers: Some("heads".to_owned()),
        partition: Some("part".to_owned()),
        offset: Some("number".to_owned()),
        ..Reading::default()
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("number", ints([])),
        ("key", texts([])),
        ("id", ints([])),
        ("heads", texts([])),
        ("part", ints([])),
        ("written", Arc::new(TimestampMicrosecondArray::from(Vec::<i64>::new()).with_timezone("UTC"))),
    ];
    let like = batch(columns);
    let held = read(&cluster, cluster.config(), &source("beside", &like, by.clone())).await.unwrap();
    assert!(held.bad.is_empty(), "{:?}", held.bad);
    let first = r#"0|["Имя, \"в кавычках\"\n",1]|1|{"amount":"-123.45","name":"Имя, \"в кавычках\"\n","sure":"true"}|0|2026-01-01T00:00:00.123Z"#;
    let lines = text(&held.batch);
    assert_eq!(lines[0], first);
    assert!(
        lines[1].starts_with(r#"1|[null,2]|2|{"sure":"false"}|0|20"#),
        "a moment of its own: {}",
        lines[1]
    );
    by.offset = Some("nowhere".to_owned());
    let error =
        read(&cluster, cluster.config(), &source("beside", &like, by)).await.expect_err("a lost column");
    assert!(
        error.to_string().contains("\"nowhere\"") && error.advice().contains("[source.columns]"),
        "{error}"
    );
}

/// A message as its registry's users frame it.
pub(super) fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body].concat()
}

const ID_AND_NOTE: &str = r#"{"type":"record","name":"A","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"]}]}"#;
const ID: &str = r#"{"type":"record","name":"B","namespace":"x","fields":[{"name":"id","type":"int"}]}"#;

/// Each message by its own schema; what cannot be read is one bad row among good ones, whatever is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn avro_of_others_is_read_message_by_message() {
    let cluster = Cluster::new();
    let registry = Registry::new();
    let (both, only) = (registry.add(ID_AND_NOTE, "AVRO"), registry.add(ID, "AVRO"));
    let other = registry.add("syntax = \"proto3\";", "PROTOBUF");
    cluster.create("avro", 1, &[]);
    let messages: [Vec<u8>; 8] = [
        framed(both, &[2, 2, 4, b'h', b'i']),
        framed(77, &[2]),
        framed(only, &[4]),
        b"{\"id\":3}".to_vec(),
        framed(both, &[6]),
        framed(other, &[6]),
        framed(only, &[8, 8]),
        framed(both, &[10, 0]),
    ];
    for message in &messages {
        cluster.write_bytes("avro", Some(message));
    }
    let like = batch(vec![("id", ints([])), ("note", texts([]))]);
    let spec = source("avro", &like, reads(Format::Avro));
    let held = read(&cluster, config(&cluster, Some(&registry)), &spec).await.unwrap();
    assert_eq!(text(&held.batch), ["1|hi", "2|∅", "5|∅"]);
    let told: Vec<(u64, &str)> = held.bad.iter().map(|bad| (bad.ordinal, bad.reason.as_str())).collect();
    let expected = [
        (1, "a message of schema 77, which the registry does not know"),
        (3, "a message that does not begin with the number of a schema"),
        (4, "a message that is not of its schema"),
        (5, "a message of schema 3, which is PROTOBUF and not AVRO"),
        (6, "a message that is not of its schema"),
    ];
    assert_eq!(told, expected);
    assert_eq!(held.bad[1].row["$message"], "{\"id\":3}");
    let undeclared = specs::undeclared("avro");
    let json = read(&cluster, cluster.config(), &undeclared).await.unwrap();
    assert_eq!(json.batch.num_rows(), 1, "unless it is told, a topic of others is JSON");
}

/// A schema whose others cannot be had makes its messages bad rows, and ends: in a circle, too.
#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_refer_to_nothing_are_told() {
    let cluster = Cluster::new();
    let registry = Registry::new();
    let (lost, circle) = (registry.add(ID, "AVRO"), registry.add(ID_AND_NOTE, "AVRO"));
    let (wrong, text) = (registry.add(ID, "AVRO"), registry.add("\"unknown\"", "AVRO"));
    {
        let mut state = registry.state();
        state.references.insert(lost, vec![("x.Gone", "gone")]);
        state.references.insert(circle, vec![("A", "circle")]);
        state.references.insert(wrong, vec![("x.Text", "text")]);
        state.subjects.extend([("circle", circle), ("text", text)]);
    }
    cluster.create("avro", 1, &[]);
    for id in [lost, circle, wrong] {
        cluster.write_bytes("avro", Some(&framed(id, &[2])));
    }
    let spec = source("avro", &batch(vec![("id", ints([]))]), reads(Format::Avro));
    let held = read(&cluster, config(&cluster, Some(&registry)), &spec).await.unwrap();
    let told: Vec<&str> = held.bad.iter().map(|bad| bad.reason.as_str()).collect();
    let expected = [
        "a message of schema 1, which refers to `gone` 1, which the registry does not know",
        "a message of schema 2, which refers to too many others",
        "a message of schema 3, which refers to what is no Avro schema that can be read",
    ];
    assert_eq!(told, expected);
}

async fn refused(cluster: &Cluster, config: config::Config) -> Error {
    let like = batch(vec![("id", ints([]))]);
    read(cluster, config, &source("avro", &like, reads(Format::Avro))).await.expect_err("the registry fails")
}

/// A registry that fails stops the slice, and says what is wrong with it; rows are not bad for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_stops_the_slice() {
    let cluster = Cluster::new();
    let registry = Registry::new();
    cluster.create("avro", 1, &[]);
    cluster.write_bytes("avro", Some(&framed(registry.add(ID, "AVRO"), &[2])));
    let with = || config(&cluster, Some(&registry));
    for (status, kind, says) in [
        (503, ErrorKind::Unreachable, "503"),
        (429, ErrorKind::Busy, "429"),
        (403, ErrorKind::Denied, "right to read schemas"),
        (500, ErrorKind::Unreachable, "500"),
    ] {
        registry.state().refuse = Some(status);
        let error = refused(&cluster, with()).await;
        let told = format!("{error}: {}", error.advice());
        assert_eq!(error.kind, kind, "{told}");
        assert!(
            told.contains(says) && told.contains("the schema registry of connection \"place\""),
            "{told}"
        );
    }
    {
        let mut state = registry.state();
        (state.refuse, state.guarded) = (None, true);
    }
    let error = refused(&cluster, with()).await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.advice().contains("registry.password"), "{}", error.advice());
    let mut entered = with();
    if let Some(registry) = &mut entered.registry {
        registry.user = Some(Secret::Literal("me".to_owned()));
        registry.password = Some(Secret::Literal("тайна123".to_owned()));
    }
    let like = batch(vec![("id", ints([]))]);
    let held = read(&cluster, entered.clone(), &source("avro", &like, reads(Format::Avro))).await.unwrap();
    assert_eq!(text(&held.batch), ["1"]);
    drop(registry);
    let error = refused(&cluster, entered).await;
    let told = format!("{error}: {}", error.advice());
    assert_eq!(error.kind, ErrorKind::Unreachable, "{told}");
    assert!(told.contains("cannot be reached") && !told.contains("тайна123"), "{told}");
}

/// Columns that do not go with those before them are refused by the registry, before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_may_refuse_columns() {
    let cluster = Cluster::new();
    let registry = Registry::new();
    registry.state().refuse = Some(409);
    let rows = batch(vec![("id", ints([1]))]);
    let spec = sink("strict", Writing { format: Format::Avro, ..Writing::default() });
    let error =
        write(&cluster, config(&cluster, Some(&registry)), &spec, &rows, 1).await.expect_err("refused");
    assert_eq!(error.kind, ErrorKind::SchemaChanged, "{error}");
    assert!(error.to_string().contains("strict-value"), "{error}");
    assert!(!cluster.topics().contains(&"strict".to_owned()), "{:?}", cluster.topics());
    let named = batch(vec![("имя", ints([1]))]);
    registry.state().refuse = None;
    let error =
        write(&cluster, config(&cluster, Some(&registry)), &spec, &named, 1).await.expect_err("a name");
    assert!(error.to_string().contains("column \"имя\""), "{error}");
}
