//! Rows as a run sees them: the same ones, however they are cut, whoever asks.

use std::collections::{HashMap, HashSet};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Int64Type, TimestampMillisecondType},
    util::display::array_value_to_string,
};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use proptest::prelude::*;

use super::*;
use crate::model::{
    position::Position,
    time::FixedClock,
    unit::{Progress, SliceLimit, Unit},
};

const PARENT: &str = r#"
seed = 42
start = 2026-01-01
per_day = 2000
curve = { hours = "office", weekdays = [1, 1, 1, 1, 0.9, 0.3, 0.1], growth_per_year = 0.4 }
[columns]
id = { sequence = 1 }
happened_at = { event_time = true }
manager_id = { zipf = { from = 1, to = 24, exponent = 0.6 }, missing = 0.01 }
"Имя" = { pick = { by = "manager_id", from = ["Анна", "Борис", "Вера", "Глеб"] } }
action = { choice = { call = 50, meeting = 20, offer = 15, lead = 15 } }
lead_id = { when = "action = 'lead'", sequence = 100 }
amount = { when = "action IN ('offer', 'lead')", normal = { mean = 900, sd = 250, min = 800, decimals = 2 } }
"#;

const CHILD: &str = r#"
seed = 42
curve = { hours = "office" }
[parent]
pipeline = "actions"
when = "action = 'lead'"
chance = 0.5
delay = "2d"
follow = { chance = 0.3, delay = "1d" }
columns = { lead_id = "lead_id", lead_at = "happened_at" }
[columns]
id = { sequence = 1 }
happened_at = { event_time = true }
event = { step = ["connected", "cancelled"] }
tariff = { choice = { "Домашний 100" = 3, "Мобильный" = 2 } }
fee = { lookup = { by = "tariff", values = { "Домашний 100" = 500, "Мобильный" = 300.5 }, decimals = 2 } }
"#;

const GRANDCHILD: &str = r#"
seed = 1
[parent]
pipeline = "services"
when = "event = 'connected'"
delay = "3h"
columns = { service_id = "id", lead_id = "lead_id" }
[columns]
n = { sequence = 0 }
at = { event_time = true }
"#;

const SUBSCRIPTIONS: &str = r#"
seed = 3
start = 2026-01-01
per_day = 40
[columns]
id = { sequence = 1 }
started_at = { event_time = true }
kind = { choice = { month = 3, week = 1 } }
days = { lookup = { by = "kind", values = { month = 30, week = 7 } } }
trial = { when = "kind = 'month'", constant = 2 }
"#;

const RENEWALS: &str = r#"
seed = 3
[parent]
pipeline = "subscriptions"
delay = { days = "trial" }
follow = { chance = 0.5, delay = { days = "days" }, most = 3 }
columns = { subscription_id = "id", started_at = "started_at", days = "days" }
[columns]
id = { sequence = 1 }
at = { event_time = true }
nth = { nth = 1 }
event = { step = ["first", "renewal"] }
card = { choice = { visa = 1, mir = 1 } }
mood = { choice = { good = 1, bad = 1 }, anew = true }
"#;

const TITLES: &str = r#"
seed = 1
rows = [
    { at = 2026-01-09T00:00:30, id = 1, title = "Маяк" },
    { at = 2026-01-02, id = 1, title = "Огни", genre = "драма", share = 1 },
    { at = 2026-01-02T10:00:00Z, id = 2, title = "Лес", share = 0.5 },
]
[columns]
version = { sequence = 1 }
at = { event_time = true }
"#;

fn spec(text: &str) -> Generate {
    toml::from_str(text).unwrap()
}

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn parents() -> IndexMap<String, Generate> {
    let parents = [("actions", PARENT), ("services", CHILD), ("subscriptions", SUBSCRIPTIONS)];
    parents.into_iter().map(|(name, text)| (name.to_owned(), spec(text))).collect()
}

/// A generator whose clock stands at `now`.
fn at(pipeline: &str, text: &str, member: &str, now: &str) -> Arc<dyn Source> {
    let member = Member::new(vec![("region".to_owned(), member.to_owned())]);
    let clock = Arc::new(FixedClock::at(time(now)));
    open(&JobName::new(pipeline), &member, &spec(text), &parents(), chrono_tz::Europe::Moscow, clock).unwrap()
}

fn limit(rows: u64) -> SliceLimit {
    SliceLimit { rows, bytes: u64::MAX }
}

async fn rows_of(source: &Arc<dyn Source>, unit: &Unit) -> RecordBatch {
    let chunks: Vec<_> = source.read(unit).await.unwrap().try_collect().await.unwrap();
    let ordinals: Vec<u64> = chunks.iter().flat_map(|chunk| chunk.ordinals.values().to_vec()).collect();
    assert_eq!(ordinals, (0..unit.rows.unwrap()).collect::<Vec<_>>());
    concat_batches(&unit.schema, chunks.iter().map(|chunk| &chunk.batch)).unwrap()
}

/// Everything from `from` to the head in slices of these sizes (the last one goes on); and the position reached.
async fn read_on(
    source: &Arc<dyn Source>,
    from: Option<Position>,
    sizes: &[u64],
) -> (Vec<RecordBatch>, Option<Position>) {
    let head = source.head().await.unwrap();
    let (mut position, mut batches) = (from, vec![]);
    for size in sizes.iter().chain(std::iter::repeat(&sizes[sizes.len() - 1])) {
        let Some(unit) = source.plan(position.as_ref(), &head, limit(*size)).await.unwrap() else {
            break;
        };
        batches.push(rows_of(source, &unit).await);
        let Progress::Position(after) = unit.after else { panic!("a position") };
        position = Some(after);
    }
    (batches, position)
}

async fn all(source: &Arc<dyn Source>) -> RecordBatch {
    let (batches, _) = read_on(source, None, &[u64::MAX]).await;
    concat_batches(&source.schema().await.unwrap(), &batches).unwrap()
}

fn ints(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    batch[column].as_primitive::<Int64Type>().iter().collect()
}

fn times(batch: &RecordBatch, column: &str) -> Vec<i64> {
    batch[column].as_primitive::<TimestampMillisecondType>().values().to_vec()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let array = &batch[column];
    let text = |row| array_value_to_string(array, row).unwrap();
    (0..array.len()).map(|row| array.is_valid(row).then(|| text(row))).collect()
}

#[tokio::test]
async fn the_same_rows_for_the_same_specification() {
    let rows = all(&at("actions", PARENT, "mrf1", "2026-01-20T12:00:00Z")).await;
    assert_eq!(rows, all(&at("actions", PARENT, "mrf1", "2026-01-20T12:00:00Z")).await);
    assert_ne!(rows, all(&at("actions", PARENT, "mrf2", "2026-01-20T12:00:00Z")).await);
    assert_ne!(rows, all(&at("others", PARENT, "mrf1", "2026-01-20T12:00:00Z")).await);
    let other_seed = PARENT.replace("seed = 42", "seed = 43");
    assert_ne!(rows, all(&at("actions", &other_seed, "mrf1", "2026-01-20T12:00:00Z")).await);
}

#[tokio::test]
async fn golden_rows_never_change() {
    let line = |batch: &RecordBatch, row: usize| {
        let cell = |array: &arrow::array::ArrayRef| array_value_to_string(array, row).unwrap();
        batch.columns().iter().map(cell).collect::<Vec<_>>().join("|")
    };
    let parents = all(&at("actions", PARENT, "mrf1", "2026-01-13T09:00:00Z")).await;
    let children = all(&at("services", CHILD, "mrf1", "2026-01-13T09:00:00Z")).await;
    let lines = [line(&parents, 0), line(&parents, 7), line(&parents, parents.num_rows() - 1)];
    let expected = [
        "1|2026-01-01T04:02:01.001Z|13|Анна|call||",
        "8|2026-01-01T04:41:05.300Z|5|Анна|meeting||",
        "17905|2026-01-13T08:59:57.178Z|12|Глеб|lead|18001|884.53",
    ];
    assert_eq!((parents.num_rows(), lines), (17_905, expected.map(str::to_owned)));
    let lines = [line(&children, 0), line(&children, children.num_rows() - 1)];
    let expected = [
        "377|2026-01-01T07:15:15.859Z|1|2026-01-01T08:26:22.438Z|connected|Мобильный|300.50",
        "16563|2026-01-12T12:19:32.022Z|1454|2026-01-13T08:44:48.571Z|connected|Домашний 100|500.00",
    ];
    assert_eq!((children.num_rows(), lines), (1454, expected.map(str::to_owned)));
}

#[tokio::test]
async fn sequences_are_unique_and_times_rise() {
    let rows = all(&at("actions", PARENT, "mrf1", "2026-02-20T12:00:00Z")).await;
    let ids: Vec<i64> = ints(&rows, "id").into_iter().map(Option::unwrap).collect();
    assert_eq!(ids, (1..=rows.num_rows() as i64).collect::<Vec<_>>());
    assert!(times(&rows, "happened_at").is_sorted());
    let leads: Vec<i64> = ints(&rows, "lead_id").into_iter().flatten().collect();
    assert!(leads.len() > 5_000 && leads[0] >= 100);
    assert!(leads.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn values_spread_as_they_are_told() {
    let rows = all(&at("actions", PARENT, "mrf1", "2026-03-01T00:00:00Z")).await;
    let share = |count: usize| count as f64 / rows.num_rows() as f64;
    assert!(rows.num_rows() > 70_000, "{}", rows.num_rows());
    let actions = texts(&rows, "action");
    for (action, expected) in [("call", 0.5), ("meeting", 0.2), ("offer", 0.15), ("lead", 0.15)] {
        let found = share(actions.iter().flatten().filter(|found| *found == action).count());
        assert!((found - expected).abs() < 0.01, "{action}: {found}");
    }
    let managers = ints(&rows, "manager_id");
    assert!((share(managers.iter().filter(|manager| manager.is_none()).count()) - 0.01).abs() < 0.002);
    let of = |manager: i64| managers.iter().flatten().filter(|found| **found == manager).count();
    assert!(of(1) > of(4) && of(4) > of(24) && of(24) > 500);
    for (row, amount) in texts(&rows, "amount").into_iter().enumerate() {
        let filled = matches!(actions[row].as_deref(), Some("offer" | "lead"));
        assert_eq!(amount.is_some(), filled);
        assert!(amount.is_none_or(|amount| amount.parse::<f64>().unwrap() >= 800.0));
    }
}

#[tokio::test]
async fn a_manager_has_one_name() {
    let rows = all(&at("actions", PARENT, "mrf1", "2026-02-01T00:00:00Z")).await;
    let mut names: HashMap<i64, String> = HashMap::new();
    for (manager, name) in ints(&rows, "manager_id").into_iter().zip(texts(&rows, "Имя")) {
        assert_eq!(manager.is_some(), name.is_some());
        if let (Some(manager), Some(name)) = (manager, name) {
            assert_eq!(names.entry(manager).or_insert_with(|| name.clone()), &name);
        }
    }
    let neighbours: HashSet<_> = (1..=4).map(|manager| &names[&manager]).collect();
    assert_eq!(neighbours.len(), 4);
}

#[tokio::test]
async fn children_have_parents_and_come_later() {
    let now = "2026-02-10T00:00:00Z";
    let parents = all(&at("actions", PARENT, "mrf1", now)).await;
    let children = all(&at("services", CHILD, "mrf1", now)).await;
    let leads = ints(&parents, "lead_id").into_iter().zip(times(&parents, "happened_at"));
    let leads: HashMap<i64, i64> = leads.filter_map(|(lead, at)| Some((lead?, at))).collect();
    let lead_ids: Vec<i64> = ints(&children, "lead_id").into_iter().map(Option::unwrap).collect();
    let (lead_at, at) = (times(&children, "lead_at"), times(&children, "happened_at"));
    let (events, tariffs) = (texts(&children, "event"), texts(&children, "tariff"));
    let mut first: HashMap<i64, (i64, &Option<String>)> = HashMap::new();
    let mut cancelled = 0;
    for row in 0..children.num_rows() {
        assert_eq!(lead_at[row], leads[&lead_ids[row]]);
        assert!(at[row] > lead_at[row]);
        if events[row].as_deref() == Some("connected") {
            assert!(first.insert(lead_ids[row], (at[row], &tariffs[row])).is_none());
        } else {
            let (connected_at, tariff) = first[&lead_ids[row]];
            assert!(at[row] > connected_at && tariffs[row] == *tariff);
            cancelled += 1;
        }
    }
    let (share, again) = (first.len() as f64 / leads.len() as f64, f64::from(cancelled) / first.len() as f64);
    assert!((0.4..0.5).contains(&share), "{share}: half of them, but for those to come");
    assert!((0.2..0.31).contains(&again), "{again}");
    let ids: Vec<_> = ints(&children, "id").into_iter().map(Option::unwrap).collect();
    assert_eq!(ids, (1..=children.num_rows() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn children_have_children() {
    let now = "2026-01-30T00:00:00Z";
    let services = all(&at("services", CHILD, "mrf1", now)).await;
    let grandchildren = all(&at("visits", GRANDCHILD, "mrf1", now)).await;
    let known: HashMap<_, _> = ints(&services, "id").into_iter().zip(ints(&services, "lead_id")).collect();
    let pairs = ints(&grandchildren, "service_id").into_iter().zip(ints(&grandchildren, "lead_id"));
    assert!(grandchildren.num_rows() > 1_000);
    assert!(pairs.into_iter().all(|(service, lead)| known[&service] == lead));
}

#[tokio::test]
async fn subscriptions_are_renewed_when_their_period_is_over() {
    let payments = all(&at("renewals", RENEWALS, "mrf1", "2026-06-30T00:00:00Z")).await;
    let column = |name: &str| ints(&payments, name).into_iter().map(Option::unwrap);
    let (started_at, at) = (times(&payments, "started_at"), times(&payments, "at"));
    let minute = |millis: i64| millis.div_euclid(60_000);
    let (cards, moods) = (texts(&payments, "card"), texts(&payments, "mood"));
    let events = texts(&payments, "event");
    let mut last: HashMap<i64, (i64, i64, usize)> = HashMap::new();
    let mut moods_changed = 0;
    for (row, (subscription, (days, nth))) in
        column("subscription_id").zip(column("days").zip(column("nth"))).enumerate()
    {
        assert_eq!(days, 30, "where the parent says nothing of the delay, nothing follows");
        if nth == 1 {
            assert_eq!(minute(at[row]), minute(started_at[row]) + 2 * 1440);
        } else {
            let (before, minute_before, first) = last[&subscription];
            assert_eq!((nth, minute(at[row])), (before + 1, minute_before + 30 * 1440));
            assert_eq!(cards[row], cards[first]);
            moods_changed += u32::from(moods[row] != moods[first]);
        }
        assert_eq!(events[row].as_deref(), Some(if nth == 1 { "first" } else { "renewal" }));
        last.entry(subscription).or_insert((0, 0, row));
        last.entry(subscription).and_modify(|entry| (entry.0, entry.1) = (nth, minute(at[row])));
    }
    let ended_at = |nth: i64| last.values().filter(|entry| entry.0 == nth).count();
    assert_eq!(ended_at(5), 0);
    assert!(ended_at(1) > ended_at(2) && ended_at(2) > 300 && ended_at(4) > 100);
    let followed = payments.num_rows() - last.len();
    assert!((0.45..0.55).contains(&(f64::from(moods_changed) / followed as f64)));
}

#[tokio::test]
async fn told_rows_appear_when_they_are_told_to() {
    let titles = |now: &str| {
        let source = at("titles", TITLES, "", now);
        async move { all(&source).await }
    };
    let rows = titles("2026-02-01T00:00:00Z").await;
    let cell = |array: &arrow::array::ArrayRef, row| array_value_to_string(array, row).unwrap();
    let lines: Vec<String> = (0..rows.num_rows())
        .map(|row| rows.columns().iter().map(|array| cell(array, row)).collect::<Vec<_>>().join("|"))
        .collect();
    assert_eq!(
        lines,
        [
            "1|Огни|драма|1.0|1|2026-01-01T21:00:00Z",
            "2|Лес||0.5|2|2026-01-02T10:00:00Z",
            "1|Маяк|||3|2026-01-08T21:00:30Z",
        ]
    );
    assert_eq!(titles("2026-01-05T00:00:00Z").await.num_rows(), 2);
    assert_eq!(titles("2026-01-01T00:00:00Z").await.num_rows(), 0);
}

#[tokio::test]
async fn only_whole_minutes_that_are_over() {
    let spec = PARENT.replace("2026-01-01", "2026-01-12").replace("per_day = 2000", "per_day = 2000000");
    let source = at("actions", &spec, "mrf1", "2026-01-12T09:00:30Z");
    let rows = all(&source).await;
    let last = *times(&rows, "happened_at").last().unwrap();
    let edge = time("2026-01-12T09:00:00Z").timestamp_millis();
    assert!(last < edge && last > edge - 2_000, "{last}");
    let early = at("actions", &spec, "mrf1", "2025-12-31T20:59:59Z");
    let head = early.head().await.unwrap();
    assert!(head.partitions.is_empty());
    assert!(early.plan(None, &head, limit(10)).await.unwrap().is_none());
    let first = all(&at("actions", PARENT, "mrf1", "2026-01-02T00:00:00Z")).await;
    assert!(times(&first, "happened_at")[0] >= time("2026-01-01T00:00:00+03:00").timestamp_millis());
}

#[tokio::test]
async fn a_position_without_a_count_goes_on_all_the_same() {
    for (pipeline, text) in [("actions", PARENT), ("services", CHILD), ("visits", GRANDCHILD)] {
        let source = at(pipeline, text, "mrf1", "2026-01-28T10:00:00Z");
        let (_, position) = read_on(&at(pipeline, text, "mrf1", "2026-01-20T10:00:00Z"), None, &[900]).await;
        let counted = read_on(&source, position.clone(), &[1000]).await.0;
        let mut position = position.unwrap();
        position.partitions.get_mut("").unwrap().witness = None;
        assert_eq!(read_on(&source, Some(position), &[1000]).await.0, counted, "{pipeline}");
    }
}

#[tokio::test]
async fn another_specification_is_another_source() {
    let source = at("actions", PARENT, "mrf1", "2026-01-20T12:00:00Z");
    let head = source.head().await.unwrap();
    let position = read_on(&source, None, &[u64::MAX]).await.1.unwrap();
    let changed = at("actions", &PARENT.replace("call = 50", "call = 51"), "mrf1", "2026-01-21T12:00:00Z");
    let refused = |error: Error| {
        assert_eq!(error.kind, ErrorKind::SourceChanged);
        error.message
    };
    let error = changed.plan(Some(&position), &changed.head().await.unwrap(), limit(10)).await.unwrap_err();
    assert!(refused(error).contains("actions/mrf1"));
    let elsewhere = at("actions", PARENT, "mrf2", "2026-01-21T12:00:00Z");
    let error =
        elsewhere.plan(Some(&position), &elsewhere.head().await.unwrap(), limit(10)).await.unwrap_err();
    assert!(refused(error).contains("another source"));
    let mut broken = position.clone();
    broken.partitions.get_mut("").unwrap().witness = Some("elephants".to_owned());
    refused(source.plan(Some(&broken), &head, limit(10)).await.unwrap_err());
    assert!(source.plan(Some(&position), &head, limit(10)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_unit_is_written_down_and_read_again() {
    let source = at("services", CHILD, "mrf1", "2026-01-28T10:00:00Z");
    let head = source.head().await.unwrap();
    let unit = source.plan(None, &head, limit(500)).await.unwrap().unwrap();
    let again: Unit = serde_json::from_str(&serde_json::to_string(&unit).unwrap()).unwrap();
    assert_eq!(rows_of(&source, &unit).await, rows_of(&source, &again).await);
    assert!(unit.rows.unwrap() <= 500);
    let one_minute = source.plan(None, &head, limit(1)).await.unwrap().unwrap();
    assert!(one_minute.rows.unwrap() >= 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Slices of any size, in runs that stop anywhere, give the rows that one slice gives.
    #[test]
    fn cut_anywhere(
        sizes in proptest::collection::vec(1_u64..4_000, 1..6),
        stops in proptest::collection::vec(0_i64..30 * 1440, 0..4),
        child in 0..5_usize,
    ) {
        let (pipeline, text) = [
            ("actions", PARENT),
            ("services", CHILD),
            ("visits", GRANDCHILD),
            ("renewals", RENEWALS),
            ("titles", TITLES),
        ][child];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let end = time("2026-01-31T10:17:00Z");
            let whole = all(&at(pipeline, text, "mrf1", &end.to_rfc3339())).await;
            let mut stops: Vec<_> = stops.iter().map(|back| end - chrono::TimeDelta::minutes(*back)).collect();
            stops.sort();
            stops.push(end);
            let (mut position, mut parts) = (None, vec![]);
            for stop in stops {
                let source = at(pipeline, text, "mrf1", &stop.to_rfc3339());
                let (batches, reached) = read_on(&source, position, &sizes).await;
                parts.extend(batches);
                position = reached;
            }
            assert_eq!(concat_batches(&whole.schema(), &parts).unwrap(), whole);
        });
    }
}
