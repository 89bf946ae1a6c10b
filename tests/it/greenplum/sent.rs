//! Everything that a connection sends, taken off the wire and held against what version 6 has.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use vitrina::connector::{connection::Connection, postgres::config::Config};

use super::{played::as_postgres, version6::objections};
use crate::{
    contract::{self, Abilities, Harness, Reading},
    contract_postgres::Postgres,
    support::{
        postgres::{open_greenplum, quote, setting},
        project::Sandbox,
    },
};

/// How a statement goes on to the server.
type Spelled = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A place whose connections are listened to.
pub(crate) struct Tapped {
    pub(crate) server: Postgres,
    /// Where it is listened.
    pub(crate) port: u16,
    sent: Arc<Mutex<BTreeSet<String>>>,
}

impl Tapped {
    pub(crate) async fn new() -> Self {
        Self::over(Postgres::new(), str::to_owned).await
    }

    /// A place that says that it is Greenplum 6, and takes its clauses for nothing. Schema `crm` of it is the place's own.
    pub(crate) async fn greenplum() -> Self {
        let server = Postgres::new();
        let schema = server.place.schema.clone();
        let spelled = move |sql: &str| {
            let sql = as_postgres(sql).replace("\"crm\"", &quote(&schema));
            sql.replace("'crm'", &format!("'{schema}'"))
        };
        Self::over(server, spelled).await
    }

    /// `spelled` = how a statement goes on to the server.
    async fn over(server: Postgres, spelled: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let spelled: Spelled = Arc::new(spelled);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(Mutex::default());
        let heard: Arc<Mutex<BTreeSet<String>>> = sent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = (setting("HOST"), setting("PORT").parse::<u16>().unwrap());
                let server = TcpStream::connect(server).await.unwrap();
                tokio::spawn(pass(client, server, heard.clone(), spelled.clone()));
            }
        });
        Self { server, port, sent }
    }

    /// Everything that was sent so far.
    pub(crate) fn sent(&self) -> BTreeSet<String> {
        self.sent.lock().unwrap().clone()
    }
}

/// What version 6 would refuse of these statements, each with what it is.
pub(crate) fn refused(sent: &BTreeSet<String>) -> Vec<String> {
    let refused = sent.iter().map(|sql| (objections(sql), sql)).filter(|(found, _)| !found.is_empty());
    refused.map(|(found, sql)| format!("{found:?}: {sql}")).collect()
}

/// Passes everything on; statements are kept as they came.
async fn pass(client: TcpStream, server: TcpStream, heard: Arc<Mutex<BTreeSet<String>>>, spelled: Spelled) {
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let (mut waiting, mut buffer, mut begun) = (vec![], vec![0; 64 << 10], false);
    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
        waiting.extend_from_slice(&buffer[..count]);
        let mut passed = vec![];
        // The first message has no type; the others are a type, a length and so many bytes less four.
        while let Some(length) = waiting.get(usize::from(begun)..usize::from(begun) + 4) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize + usize::from(begun);
            if waiting.len() < length {
                break;
            }
            let mut message: Vec<u8> = waiting.drain(..length).collect();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let statement = match message.first() {
                Some(b'Q') if begun => Some(text(&message[5..length - 1])),
                // A name, then the statement.
                Some(b'P') if begun => message[5..].split(|byte| *byte == 0).nth(1).map(text),
                _ => None,
            };
            if let (Some(b'Q'), Some(statement)) = (message.first(), &statement) {
                let spelled = spelled(statement);
                message =
                    [b"Q", &(spelled.len() as u32 + 5).to_be_bytes()[..], spelled.as_bytes(), b"\0"].concat();
            }
            heard.lock().unwrap().extend(statement);
            passed.append(&mut message);
            begun = true;
        }
        if to_server.write_all(&passed).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Harness for Tapped {
    fn abilities(&self) -> Abilities {
        self.server.abilities()
    }

    fn open(&self) -> Arc<dyn Connection> {
        let config = self.server.place.config();
        open_greenplum(Config { host: "127.0.0.1".to_owned(), port: self.port, ..config })
    }

    async fn insert(&self, reading: Reading, table: &str, rows: &RecordBatch) {
        self.server.insert(reading, table, rows).await;
    }

    async fn delete(&self, table: &str, ids: &[i64]) {
        self.server.delete(table, ids).await;
    }

    async fn drop_table(&self, table: &str) {
        self.server.drop_table(table).await;
    }

    async fn leftovers(&self) -> Vec<String> {
        vec![]
    }
}

/// Runs promises of the contract, each over a place of its own; what was sent.
macro_rules! sent_by {
    ($($module:ident::$promise:ident),* $(,)?) => {{
        let mut sent = BTreeSet::new();
        $(
            let place = Tapped::new().await;
            contract::$module::$promise(&place).await;
            sent.append(&mut place.sent.lock().unwrap());
        )*
        sent
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_6_has_all_that_is_sent() {
    let sent = sent_by![
        bounds::a_tie_splits_equal_values,
        bounds::bytes_limit_slices,
        bounds::an_overlap_meets_late_rows,
        bounds::a_start_leaves_older_rows_out,
        bounds::a_whole_table_is_one_snapshot_a_run,
        bounds::a_unit_is_read_again_alike,
        changes::a_source_made_again_is_refused,
        changes::a_source_that_shrank_is_refused,
        changes::what_is_missing_is_not_found,
        changes::changed_wakes,
        cells::cursors_keep_every_digit,
        cells::null_in_a_cursor_is_bad_data,
        commits::staged_rows_are_seen_by_checks_alone,
        commits::the_same_attempt_commits_once,
        commits::set_record_compares,
        commits::many_commits_and_maintenance_keep_everything,
        modes::merge_keeps_the_last_row,
        modes::merge_deletes_for_good,
        modes::merge_marks_the_deleted,
        modes::merge_by_several_columns,
        modes::merge_anew_leaves_nothing_old,
        modes::replace_by_partition_spares_the_others,
        modes::window_replaces_its_range,
        columns::types_come_back_cell_by_cell,
        columns::a_changed_schema_evolves,
        columns::types_widen,
        catalog::answers_equal_a_full_scan,
        catalog::new_tables_are_found,
        catalog::the_place_answers,
    ];
    let refused = refused(&sent);
    assert!(refused.is_empty(), "{refused:#?}");
    // The ear is not deaf.
    for begun in [
        "BEGIN",
        "COPY (",
        "COPY pg_temp",
        "COPY \"",
        "CREATE TABLE",
        "CREATE TEMP TABLE",
        "INSERT INTO",
        "DELETE FROM",
        "LOCK TABLE",
        "ALTER TABLE",
        "SELECT pg_advisory_xact_lock",
        "VACUUM",
        "SET TimeZone",
    ] {
        assert!(sent.iter().any(|sql| sql.starts_with(begun)), "nothing begins with {begun}");
    }
}

/// What looks at rights sends, and a mart whose rows stay in the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_6_has_all_that_commands_send() {
    let tapped = Tapped::new().await;
    let place = &tapped.server.place;
    place
        .run("CREATE TABLE src (id bigint); CREATE TABLE sold (at timestamptz, paid numeric(10,2)); INSERT INTO sold VALUES ('2026-01-01', 2)")
        .await;
    let env = |name: &str| format!("{{ env = \"VITRINA_POSTGRES_{name}\" }}");
    let project = format!(
        "[project]\nname = \"sent\"\n[connections.wh]\nkind = \"greenplum\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = {}\nuser = {}\n\
         password = {}\nsslmode = \"disable\"\nschema = '{}'\n",
        tapped.port,
        env("DATABASE"),
        env("USER"),
        env("PASSWORD"),
        place.schema
    );
    let pipeline = "[source]\nconnection = \"wh\"\ntable = \"src\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\n\
                    [sink]\nconnection = \"wh\"\ntable = \"copied\"\nmode = \"append\"\n";
    let mart = "sql = 'SELECT at, sum(paid) AS paid FROM wh.sold GROUP BY at'\n[sink]\nconnection = \"wh\"\ntable = \"made\"\n";
    let here =
        Sandbox::new(&[("vitrina.toml", &project), ("pipelines/p.toml", pipeline), ("marts/m.toml", mart)]);
    here.must(&["connections", "test"]);
    here.must(&["schema", "pull"]);
    here.must(&["check", "--online"]);
    here.must(&["run", "--all"]);
    let sent = tapped.sent();
    let refused = refused(&sent);
    assert!(refused.is_empty(), "{refused:#?}");
    for part in [
        "has_column_privilege(",
        "has_any_column_privilege(",
        "pg_has_role(",
        "bool_or(NOT isfinite(",
        "INSERT INTO pg_temp._vitrina_stage",
    ] {
        assert!(sent.iter().any(|sql| sql.contains(part)), "nothing has {part}: {sent:#?}");
    }
    let moved = |sql: &&String| sql.starts_with("COPY") && sql.contains("paid");
    assert_eq!(sent.iter().find(moved), None, "the mart's rows stay in the server");
}
