//! Queries, transforms and conditions over tables in memory.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMillisecondArray, UInt64Array},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider},
    datasource::MemTable,
    execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{TryStreamExt, stream};

use super::{
    params::Params,
    relations::{Relation, RelationMember, Relations},
    session::{Engine, Settings, tables_read},
    transform::{put_ordinals, take_ordinals},
};
use crate::connector::{
    connection::{Connection, Health, TableInfo},
    error::{Error, ErrorKind, Result},
    sink::{Sink, SinkSpec},
    source::{Source, SourceSpec},
};

/// A connection that only has tables.
struct Tables(Arc<MemoryCatalogProvider>);

#[async_trait]
impl Connection for Tables {
    async fn source(&self, _: &SourceSpec) -> Result<Arc<dyn Source>> {
        Err(Error::new(ErrorKind::Unsupported, "tables only"))
    }

    async fn sink(&self, _: &SinkSpec) -> Result<Arc<dyn Sink>> {
        Err(Error::new(ErrorKind::Unsupported, "tables only"))
    }

    fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::clone(&self.0) as _
    }

    fn default_schema(&self) -> String {
        "main".to_owned()
    }

    async fn probe(&self) -> Result<Health> {
        Err(Error::new(ErrorKind::Unsupported, "tables only"))
    }

    async fn tables(&self) -> Result<Vec<TableInfo>> {
        Ok(vec![])
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn connection(tables: Vec<(&str, &str, RecordBatch)>) -> Arc<Tables> {
    let catalog = MemoryCatalogProvider::new();
    for (schema, name, rows) in tables {
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new())).unwrap();
        }
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
        catalog.schema(schema).unwrap().register_table(name.to_owned(), Arc::new(table)).unwrap();
    }
    Arc::new(Tables(Arc::new(catalog)))
}

struct Jobs;

impl Relations for Jobs {
    fn names(&self) -> Vec<String> {
        vec!["finance/revenue".into(), "shared".into(), "unborn".into()]
    }

    fn get(&self, name: &str) -> Option<Relation> {
        let member = |region: &str, table: &str, planned: Option<SchemaRef>| RelationMember {
            member: vec![("region".to_owned(), region.to_owned())],
            connection: "warehouse".to_owned(),
            schema: None,
            table: table.to_owned(),
            planned,
        };
        let planned = Arc::new(Schema::new(vec![Field::new("позже", DataType::Utf8, true)]));
        let members = match name {
            "finance/revenue" => vec![
                member("mrf1", "revenue_mrf1", None),
                member("mrf2", "revenue_mrf2", None),
                member("mrf3", "revenue_mrf3", Some(planned)),
            ],
            "shared" => vec![member("mrf1", "revenue_mrf1", None), member("mrf2", "revenue_mrf1", None)],
            "unborn" => vec![member("mrf1", "unborn_mrf1", None)],
            _ => return None,
        };
        Some(Relation { members })
    }
}

fn engine() -> (Arc<Engine>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        memory: 64 << 20,
        spill: folder.path().join("spill"),
        zone: "Europe/Moscow".parse().unwrap(),
        threads: 2,
        push_down: true,
    };
    let mut engine = Engine::new(&settings).unwrap();
    engine.register_connection(
        "warehouse",
        connection(vec![
            ("main", "revenue_mrf1", batch(vec![("id", numbers([1, 2])), ("сумма", numbers([10, 20]))])),
            ("main", "revenue_mrf2", batch(vec![("id", numbers([3])), ("note", texts(&["x"]))])),
            (
                "main",
                "managers",
                batch(vec![("id", numbers([0, 1, 2, 1])), ("name", texts(&["Аня", "Боря", "Вера", "Юра"]))]),
            ),
            ("raw", "Таблица 1", batch(vec![("Имя", texts(&["о'Коннор \"Ж\""]))])),
        ]),
    );
    engine.register_connection(
        "stream",
        connection(vec![("main", "crm.actions.mrf1", batch(vec![("id", numbers([7]))]))]),
    );
    engine.register_relations("pipeline", Arc::new(Jobs));
    (Arc::new(engine), folder)
}

fn now() -> DateTime<Utc> {
    "2026-01-31T21:30:00Z".parse().unwrap()
}

async fn rows(engine: &Engine, sql: &str, params: &Params) -> Result<Vec<String>> {
    let stream = engine.query(sql, params, now()).await?;
    let batches: Vec<RecordBatch> = stream.try_collect().await?;
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    Ok(lines
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(","))
        .collect())
}

async fn given(sql: &str) -> Vec<String> {
    let (engine, _folder) = engine();
    rows(&engine, sql, &Params::new())
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error} ({:?})", error.hint))
}

async fn error(sql: &str) -> (ErrorKind, String, String) {
    let (engine, _folder) = engine();
    let error = rows(&engine, sql, &Params::new()).await.expect_err(sql);
    (error.kind, error.to_string(), error.advice().to_owned())
}

#[tokio::test]
async fn names_in_every_alphabet() {
    assert_eq!(given("SELECT id FROM stream.\"crm.actions.mrf1\"").await, ["7"]);
    assert_eq!(given("SELECT stream.\"crm.actions.mrf1\".id FROM stream.\"crm.actions.mrf1\"").await, ["7"]);
    assert_eq!(given("SELECT t.\"Имя\" FROM warehouse.raw.\"Таблица 1\" t").await, ["о'Коннор \"Ж\""]);
    assert_eq!(given("SELECT Имя FROM warehouse.raw.\"Таблица 1\" WHERE Имя LIKE '%Ж%'").await.len(), 1);
    assert_eq!(given("SELECT SUM(сумма) AS \"Итого, ₽\" FROM warehouse.revenue_mrf1").await, ["30"]);
}

#[tokio::test]
async fn members_are_one_relation() {
    let all =
        given("SELECT id, сумма, note, region, позже FROM pipeline.\"finance/revenue\" ORDER BY id").await;
    assert_eq!(all, ["1,10,,mrf1,", "2,20,,mrf1,", "3,,x,mrf2,"]);
    let one = given("SELECT id FROM pipeline.\"finance/revenue\" WHERE region = 'mrf2'").await;
    assert_eq!(one, ["3"]);
    assert_eq!(given("SELECT * FROM pipeline.shared ORDER BY id").await, ["1,10", "2,20"]);
}

#[tokio::test]
async fn a_filter_on_the_matrix_leaves_members_out() {
    let (engine, _folder) = engine();
    let sql = "SELECT id FROM pipeline.\"finance/revenue\" WHERE region = 'mrf2'";
    let plan = engine.explain(sql, &Params::new(), now()).await.unwrap();
    assert!(!plan.contains("UnionExec"), "{plan}");
}

#[tokio::test]
async fn parameters_are_bound() {
    let (engine, _folder) = engine();
    let mut params = Params::new();
    params.set("name", datafusion::scalar::ScalarValue::from("Б' OR 1=1 --"));
    params.set("none", datafusion::scalar::ScalarValue::Utf8(None));
    let found = rows(&engine, "SELECT id FROM warehouse.managers WHERE name = :name", &params).await.unwrap();
    assert!(found.is_empty());
    let found = rows(&engine, "SELECT :name AS n, :none IS NULL AS x", &params).await.unwrap();
    assert_eq!(found, ["Б' OR 1=1 --,true"]);
    let (kind, message, _) = error("SELECT :nmae").await;
    assert_eq!(
        (kind, message.as_str()),
        (ErrorKind::BadData, "SQL, line 1, column 8: there is no parameter `:nmae`")
    );
}

#[tokio::test]
async fn dates_are_days_of_the_zone() {
    assert_eq!(
        given("SELECT current_date() AS d, today() AS t, local_date(now()) AS l").await,
        ["2026-02-01,2026-02-01,2026-02-01"]
    );
    let day = "TIMESTAMP WITH TIME ZONE '2026-01-31T21:00:00Z'";
    let sql = format!(
        "SELECT {day} >= DATE '2026-02-01' AS a, {day} < DATE '2026-02-01' AS b, {day} BETWEEN DATE '2026-02-01' AND DATE '2026-02-02' AS c,
         {day} IN (DATE '2026-02-01') AS d, CAST({day} AS DATE) AS e, CAST(DATE '2026-02-01' AS TIMESTAMP WITH TIME ZONE) = {day} AS f"
    );
    assert_eq!(given(&sql).await, ["true,false,true,true,2026-02-01,true"]);
}

#[tokio::test]
async fn filters_on_local_days_become_filters_on_instants() {
    let table = "(SELECT value AS n, arrow_cast(1769800000 + value * 3600, 'Timestamp(Second, Some(\"UTC\"))') AS at FROM generate_series(0, 2000)) t";
    for (function, day) in [
        ("local_date", "2026-02-01"),
        ("local_week", "2026-02-02"),
        ("local_month", "2026-03-01"),
        ("local_month", "2026-03-02"),
    ] {
        for op in ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"] {
            let rewritten =
                format!("SELECT count(*) AS c FROM {table} WHERE {function}(at) {op} DATE '{day}'");
            let plain = format!(
                "SELECT count(*) AS c FROM {table} WHERE CAST({function}(at) AS VARCHAR) {op} '{day}'"
            );
            assert_eq!(given(&rewritten).await, given(&plain).await, "{rewritten}");
        }
    }
    let (engine, _folder) = engine();
    let sql = format!("SELECT n FROM {table} WHERE local_date(at) = DATE '2026-02-01'");
    let plan = engine.explain(&sql, &Params::new(), now()).await.unwrap();
    assert!(!plan.contains("local_date"), "{plan}");
}

#[tokio::test]
async fn nothing_but_queries() {
    for sql in [
        "CREATE TABLE t (a INT)",
        "SET x = 1",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "DELETE FROM warehouse.managers",
        "EXPLAIN ANALYZE SELECT 1",
        "WITH a AS (DELETE FROM warehouse.managers) SELECT 1",
        "SELECT 1 INTO t",
    ] {
        let (kind, message, _) = error(sql).await;
        assert_eq!(kind, ErrorKind::BadData, "{sql}: {message}");
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let (kind, message, hint) = error("SELECT 1 FROM warehouse.manager").await;
    assert_eq!(
        (kind, message.as_str(), hint.as_str()),
        (ErrorKind::NotFound, "there is no table warehouse.manager", "did you mean `managers`?")
    );
    assert_eq!(error("SELECT 1 FROM warehous.managers").await.2, "did you mean `warehouse`?");
    assert_eq!(error("SELECT 1 FROM pipeline.sharde").await.2, "did you mean `shared`?");
    assert_eq!(
        error("SELECT 1 FROM warehouse.rwa.x").await.2,
        "there is no schema `rwa`; did you mean `raw`?"
    );
    let (kind, message, hint) = error("SELECT 1 FROM pipeline.unborn").await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert_eq!(message, "unborn was never built, and its columns are not known before");
    assert_eq!(hint, "run it first: `vitrina run unborn`");
    let (kind, message, hint) = error("SELECT nmae\nFROM warehouse.managers").await;
    assert_eq!(
        (kind, message.as_str()),
        (ErrorKind::NotFound, "SQL, line 1, column 8: there is no column `nmae`")
    );
    assert_eq!(hint, "did you mean `name`?");
}

#[tokio::test]
async fn a_query_is_checked_over_the_tables_that_are_there() {
    let (engine, _folder) = engine();
    let typed = engine.check("SELECT nmae FROM warehouse.managers", &Params::new()).await.unwrap();
    assert_eq!(typed.findings[0].code, "sql-unknown-column");
    let typed = engine.check("SELECT name FROM warehouse.manager", &Params::new()).await.unwrap();
    assert_eq!(typed.findings[0].hint.as_deref(), Some("did you mean `managers`?"));
    let sql = "SELECT name FROM warehouse.managers JOIN pipeline.shared USING (id)";
    let typed = engine.check(sql, &Params::new()).await.unwrap();
    assert_eq!(typed.schema.unwrap().field(0).name(), "name");
    assert_eq!(tables_read(sql).len(), 2);
}

const UNIT: usize = 20_000;

/// A unit of a source: ids count up, ordinals have a gap where a row was bad.
fn unit() -> (SchemaRef, Vec<RecordBatch>) {
    let mut batches = vec![];
    for start in (0..UNIT).step_by(7_000) {
        let ids = (start..UNIT.min(start + 7_000)).map(|id| id as i64);
        let even: Vec<&str> = ids.clone().map(|id| if id % 2 == 0 { "call" } else { "test" }).collect();
        let at = TimestampMillisecondArray::from_iter_values(ids.clone().map(|id| id * 60_000))
            .with_timezone("UTC");
        let ordinals = UInt64Array::from_iter_values(ids.clone().map(|id| id as u64 + u64::from(id > 5)));
        let rows = batch(vec![("id", numbers(ids)), ("action", texts(&even)), ("at", Arc::new(at))]);
        batches.push(put_ordinals(&rows, &ordinals).unwrap());
    }
    let schema = take_ordinals(&batches[0]).unwrap().0.schema();
    (schema, batches)
}

fn stream_of(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches.into_iter().map(Ok))))
}

/// Rows and ordinals of a transform over the unit; the ordinals never fall.
async fn transformed(sql: Option<&str>) -> (RecordBatch, Vec<u64>) {
    let (engine, _folder) = engine();
    let (schema, batches) = unit();
    let mut params = Params::new();
    params.set("region", datafusion::scalar::ScalarValue::from("mrf1"));
    let transform = engine.transform(sql, &params, &schema).await.unwrap();
    let mut last = None;
    for _ in 0..2 {
        let out = transform.run(stream_of(batches.clone()), now()).await.unwrap();
        let out: Vec<RecordBatch> = out.try_collect().await.unwrap();
        let whole = arrow::compute::concat_batches(&out[0].schema(), &out).unwrap();
        let (rows, ordinals) = take_ordinals(&whole).unwrap();
        assert_eq!(rows.schema().fields(), transform.schema().fields());
        let ordinals = ordinals.values().to_vec();
        assert!(ordinals.is_sorted(), "rows keep the source's order: {sql:?}");
        last = Some((rows, ordinals));
    }
    last.unwrap()
}

#[tokio::test]
async fn rows_pass_as_they_are() {
    let (rows, ordinals) = transformed(None).await;
    assert_eq!((rows.num_rows(), ordinals[5], ordinals[6]), (UNIT, 5, 7));
}

#[tokio::test]
async fn a_transform_names_the_rows_it_kept() {
    let (rows, ordinals) =
        transformed(Some("SELECT *, :region AS region FROM source WHERE action <> 'test'")).await;
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "action", "at", "region"]);
    assert_eq!((rows.num_rows(), &ordinals[..5]), (UNIT / 2, [0, 2, 4, 7, 9].as_slice()));
}

#[tokio::test]
async fn nested_selects_carry_ordinals() {
    let sql = "WITH s AS (SELECT id * 2 AS twice FROM (SELECT id FROM source WHERE id > 9) x) SELECT twice + 1 AS \"дважды\" FROM s WHERE twice < 40";
    let (rows, ordinals) = transformed(Some(sql)).await;
    assert_eq!(rows.num_rows(), 10);
    assert_eq!((ordinals[0], rows.column(0).as_primitive::<Int64Type>().value(0)), (11, 21));
}

#[tokio::test]
async fn joins_keep_the_order() {
    for (sql, expected) in [
        (
            "SELECT s.id, m.name FROM source s JOIN warehouse.managers m ON m.id = s.id % 3",
            UNIT + UNIT / 3 + 1,
        ),
        ("SELECT s.id, m.name FROM source s LEFT JOIN warehouse.managers m ON m.id = s.id", UNIT + 1),
        ("SELECT s.id, m.name FROM warehouse.managers m RIGHT JOIN source s ON m.id = s.id", UNIT + 1),
        ("SELECT s.id, m.name FROM warehouse.managers m JOIN source s ON m.id = s.id", 4),
        ("SELECT s.id FROM source s LEFT JOIN warehouse.managers m ON m.id > s.id", UNIT + 2),
        (
            "SELECT s.id FROM source s WHERE EXISTS (SELECT 1 FROM warehouse.managers m WHERE m.id = s.id % 5)",
            3 * UNIT / 5,
        ),
        ("SELECT s.id FROM source s WHERE s.id % 5 NOT IN (SELECT id FROM warehouse.managers)", 2 * UNIT / 5),
        ("SELECT s.id, (SELECT max(id) FROM warehouse.managers) AS top FROM source s", UNIT),
        ("SELECT s.id FROM source s CROSS JOIN warehouse.managers m", 4 * UNIT),
        ("SELECT s.id FROM source s LEFT SEMI JOIN warehouse.managers m ON m.id = s.id % 5", 3 * UNIT / 5),
        ("SELECT s.id FROM source s LEFT ANTI JOIN warehouse.managers m ON m.id = s.id % 5", 2 * UNIT / 5),
    ] {
        let (rows, _) = transformed(Some(sql)).await;
        assert_eq!(rows.num_rows(), expected, "{sql}");
    }
}

#[tokio::test]
async fn source_streams_past_joined_tables() {
    let (engine, _folder) = engine();
    let (schema, _) = unit();
    let sql = "SELECT s.id, m.name FROM source s LEFT JOIN warehouse.managers m ON m.id = s.id";
    let transform = engine.transform(Some(sql), &Params::new(), &schema).await.unwrap();
    let plan = transform.explain().unwrap_or_default();
    assert!(!plan.contains("SortExec"), "{plan}");
}

#[tokio::test]
async fn now_is_the_time_of_the_unit() {
    let (rows, _) = transformed(Some("SELECT now() AS at, current_date() AS day FROM source")).await;
    assert_eq!(
        arrow::util::display::array_value_to_string(rows.column(0), 0).unwrap(),
        "2026-01-31T21:30:00Z"
    );
    assert_eq!(arrow::util::display::array_value_to_string(rows.column(1), 0).unwrap(), "2026-02-01");
}

#[tokio::test]
async fn a_transform_that_is_not_row_by_row_is_refused() {
    let (engine, _folder) = engine();
    let (schema, _) = unit();
    let error = engine
        .transform(Some("SELECT count(*) AS n FROM source"), &Params::new(), &schema)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("an aggregate over `source`"), "{error}");
}

#[tokio::test]
async fn failing_rows_fail_the_unit() {
    let (engine, _folder) = engine();
    let (schema, batches) = unit();
    let sql = "SELECT CAST(action AS INT) AS n FROM source";
    let transform = engine.transform(Some(sql), &Params::new(), &schema).await.unwrap();
    let out = transform.run(stream_of(batches), now()).await.unwrap();
    let error = Error::from(out.try_collect::<Vec<_>>().await.unwrap_err());
    assert_eq!(error.kind, ErrorKind::BadData);
}

#[tokio::test]
async fn conditions_are_asked_per_row() {
    let (engine, _folder) = engine();
    let (schema, batches) = unit();
    let holds = |sql: &str| {
        let condition = engine.condition(sql, &Params::new(), &schema).unwrap();
        let answers = condition.holds(&batches[0], now()).unwrap();
        assert_eq!((answers.len(), arrow::array::Array::null_count(&answers)), (7_000, 0));
        answers.true_count()
    };
    assert_eq!(holds("action = 'test'"), 3_500);
    assert_eq!(holds("id < 10 AND NULL"), 0);
    assert_eq!(holds("NULL"), 0);
    assert_eq!(holds("at < now()"), 7_000);
    assert_eq!(holds("at < DATE '1970-01-01'"), 0);
    let error = engine.condition("acton = 'd'", &Params::new(), &schema).err().unwrap();
    assert_eq!(error.advice(), "did you mean `action`?");
}
