//! What is sent to a Greenplum alone: a PostgreSQL stands behind a tap that says it were one. Statements are judged as they come off the wire, and go on without
//! the clauses that the server behind does not know.

use std::{path::Path, sync::Arc};

use arrow::datatypes::SchemaRef;
use vitrina::{
    config::{self, TestsOf, project::Project},
    connector::{
        ConnectionConfig, OpenContext,
        connection::Connection,
        error::Error,
        greenplum::config::{Config, Gpfdist, Load, SinkOptions as GreenplumOptions},
        sink::{OnSchemaChange, SinkOptions, SinkSpec},
    },
    model::delivery::Mode,
};

use super::sent::{Tapped, refused};
use crate::{
    contract::writing::stage,
    support::{
        postgres::as_greenplum,
        rows::{batch, ints, texts},
        specs::{self, attempt, track, unit},
    },
};

/// A statement as a PostgreSQL takes it: it answers as Greenplum 6 does, knows no storage and no distribution, and external tables are tables without rows. The
/// rights to make external tables are those to make databases and roles.
pub(super) fn as_postgres(sql: &str) -> String {
    let mut sql = sql.to_owned();
    for (said, played) in [
        (
            "current_setting('server_version_num'), version()",
            "'90426', 'PostgreSQL 9.4.26 (Greenplum Database 6.25.3 build commit:1)'",
        ),
        ("CREATE READABLE EXTERNAL TABLE", "CREATE TABLE"),
        ("DROP EXTERNAL TABLE", "DROP TABLE"),
        ("rolcreaterextgpfd", "rolcreatedb"),
        ("rolcreatewextgpfd", "rolcreaterole"),
    ] {
        sql = sql.replace(said, played);
    }
    for (from, to) in [
        (" WITH (appendoptimized", ")"),
        (" LOCATION (", "ENCODING 'UTF8'"),
        (" DISTRIBUTED BY (", ")"),
        (" DISTRIBUTED ", "RANDOMLY"),
    ] {
        while let Some(begin) = sql.find(from) {
            let end = begin + sql[begin..].find(to).expect("the end of a clause") + to.len();
            sql.replace_range(begin..end, "");
        }
    }
    sql
}

/// A connection through the tap.
fn open(config: Config) -> Arc<dyn Connection> {
    let root = std::env::temp_dir();
    let context = OpenContext { name: "warehouse".to_owned(), scratch: root.join("scratch"), root };
    vitrina::connector::open(&ConnectionConfig::Greenplum(config), context).unwrap()
}

fn config(tapped: &Tapped) -> Config {
    Config { host: "127.0.0.1".to_owned(), port: tapped.port, ..as_greenplum(tapped.server.place.config()) }
}

/// What a pipeline of the shipped project writes in production: each member's sink, and the columns of its rows.
fn written(project: &Project, pipeline: &str) -> Vec<(SinkSpec, SchemaRef)> {
    let (_, pipeline) = project
        .pipelines
        .iter()
        .find(|(name, _)| name.to_string() == pipeline)
        .unwrap_or_else(|| panic!("no pipeline {pipeline}"));
    let members = pipeline.members.iter().map(|member| {
        let columns = member.output.clone().expect("its contract tells its columns");
        (member.sink.clone(), columns)
    });
    members.collect()
}

/// The tables that the shipped project makes in production, as its files say them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_tables_are_made_like_this() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let loaded = config::load_offline(root, "production", TestsOf::NoJob, &|_| None);
    let project = loaded.project.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    let ConnectionConfig::Greenplum(shipped) = &project.connections["warehouse"] else {
        panic!("the warehouse of production is a Greenplum")
    };
    let tapped = Tapped::greenplum().await;
    let connection = open(Config { schema: shipped.schema.clone(), ..config(&tapped) });
    let mut expected = vec![];
    for (pipeline, table, columns) in [
        (
            "actions_to_warehouse",
            "crm_bot_actions",
            "\"id\" bigint, \"happened_at\" timestamptz(3), \"manager_id\" bigint, \"manager\" text, \"client_id\" bigint, \
             \"channel\" text, \"action\" text, \"lead_id\" bigint, \"amount\" numeric(12,2), \"region\" text",
        ),
        (
            "nature_to_warehouse",
            "crm_bot_nature",
            "\"id\" bigint, \"happened_at\" timestamptz(3), \"lead_id\" bigint, \"client_id\" bigint, \"manager_id\" bigint, \
             \"manager\" text, \"event\" text, \"reason\" text, \"service\" text, \"tariff\" text, \"monthly_fee\" numeric(12,2), \
             \"region\" text",
        ),
    ] {
        let written = written(&project, pipeline);
        assert_eq!(written.len(), 3, "{pipeline}");
        for ((spec, columns_of), region) in written.into_iter().zip(["mrf1", "mrf2", "mrf3"]) {
            let sink = connection.sink(&spec).await.unwrap();
            sink.claim(&track(region), &columns_of).await.unwrap();
            expected.push(format!(
                "CREATE TABLE \"crm\".\"{table}_{region}\" ({columns}) WITH (appendoptimized=true, orientation=column) DISTRIBUTED RANDOMLY"
            ));
        }
    }
    let sent = tapped.sent();
    let made: Vec<&String> =
        sent.iter().filter(|sql| sql.contains("\"crm_bot_") && sql.starts_with("CREATE")).collect();
    assert_eq!(made, expected.iter().collect::<Vec<_>>());
    assert_eq!(refused(&sent), Vec::<String>::new());
}

/// One load through the connection, which fails since no segment comes; what it was told.
async fn load(config: Config, spec: &SinkSpec, rows: &arrow::record_batch::RecordBatch) -> Error {
    let sink = open(config).sink(spec).await.unwrap();
    let unit = unit(Mode::Append, 1, rows);
    let staged = stage(sink.as_ref(), &track("mrf1"), &unit, &attempt(), rows).await;
    staged.err().expect("no segment comes")
}

/// The external table of a load is made by the first one, used by the next ones, and made anew for other columns or another port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_table_is_made_once() {
    let tapped = Tapped::greenplum().await;
    let options = GreenplumOptions { load: Load::Gpfdist, ..GreenplumOptions::default() };
    let options = SinkOptions { greenplum: Some(options), ..SinkOptions::default() };
    let spec =
        SinkSpec { options, on_schema_change: OnSchemaChange::Evolve, ..specs::sink("t", Mode::Append) };
    let ports = free_ports().await;
    let through = |port| {
        let gpfdist = Gpfdist { host: "127.0.0.1".to_owned(), port, listen: "127.0.0.1".to_owned() };
        Config { gpfdist: Some(gpfdist), ..config(&tapped) }
    };
    let external = || -> Vec<String> {
        let sent = tapped.sent().into_iter();
        sent.filter(|sql| sql.contains("EXTERNAL TABLE")).collect()
    };
    let rows = batch(vec![("id", ints([1])), ("name", texts([Some("a")]))]);
    for _ in 0..3 {
        let error = load(through(ports[0]), &spec, &rows).await;
        assert!(error.kind.policy().retry && error.to_string().contains("segments took 0 rows"), "{error}");
    }
    let once = external();
    assert!(once.len() == 1 && once[0].contains(&format!("'gpfdist://127.0.0.1:{}/", ports[0])), "{once:#?}");
    load(through(ports[1]), &spec, &rows).await;
    let moved = external();
    assert_eq!(moved.iter().filter(|sql| sql.starts_with("DROP")).count(), 1, "{moved:#?}");
    assert_eq!(moved.iter().filter(|sql| sql.starts_with("CREATE")).count(), 2, "{moved:#?}");
    let wider = batch(vec![("id", ints([1])), ("name", texts([Some("a")])), ("more", ints([1]))]);
    load(through(ports[1]), &spec, &wider).await;
    assert_eq!(external().iter().filter(|sql| sql.starts_with("CREATE")).count(), 3, "{:#?}", external());
    let left = "SELECT count(*) FROM pg_tables WHERE tablename LIKE '\\_vitrina\\_load\\_%' AND schemaname = current_schema()";
    let left: i64 = tapped.server.place.stranger().await.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, 1, "older forms are dropped");
    assert_eq!(refused(&tapped.sent()), Vec::<String>::new());
}

/// Two ports that nobody listens on just now.
async fn free_ports() -> [u16; 2] {
    let free = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    [free().await, free().await].map(|listener| listener.local_addr().unwrap().port())
}
