//! Windows that share partitions: readers see the old rows or the new ones, and no window takes another's rows along.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use arrow::record_batch::RecordBatch;
use futures::future;
use vitrina::{
    connector::{
        clickhouse::config::{Config, SinkOptions, Urls},
        connection::Connection,
        error::Result,
        sink::{Committed, Sink, SinkOptions as Options, SinkSpec},
    },
    model::{delivery::Mode, name::Track},
};

use crate::{
    contract::writing::stage,
    support::{
        clickhouse::{Place, open, setting},
        proxy::{Fate, Proxy},
        rows::{batch, ints, texts},
        specs::{self, attempt, track, unit},
    },
};

/// Windows of ten ids, by what they begin with.
const WINDOWS: [i64; 8] = [0, 10, 20, 30, 40, 50, 60, 70];
/// Rows that each has at first, and then.
const OLD: i64 = 10;
const NEW: i64 = 7;

/// How a table may be partitioned: not at all, several windows in a partition, one, several partitions in a window, and windows across partitions.
const PARTITIONS: [Option<&str>; 5] =
    [None, Some("intDiv(id, 30)"), Some("intDiv(id, 10)"), Some("intDiv(id, 5)"), Some("id % 3")];

/// Those in which a window lies in one partition.
fn is_at_once(partition_by: Option<&str>) -> bool {
    !matches!(partition_by, Some("intDiv(id, 5)" | "id % 3"))
}

fn spec(partition_by: Option<&str>) -> SinkSpec {
    let clickhouse = SinkOptions {
        order_by: vec!["id".to_owned()],
        partition_by: partition_by.map(str::to_owned),
        ..SinkOptions::default()
    };
    SinkSpec {
        options: Options { clickhouse: Some(clickhouse), ..Options::default() },
        ..specs::sink("views", Mode::Window)
    }
}

/// The track of the window that begins here.
fn window(at: i64) -> Track {
    track("mrf1").of_window(&format!("w{at:03}"))
}

fn rows(at: i64, count: i64, name: &str) -> RecordBatch {
    let names = (0..count).map(|_| Some(name));
    batch(vec![("id", ints(at..at + count)), ("name", texts(names))])
}

async fn write(sink: &dyn Sink, at: i64, count: i64, name: &str) -> Result<Committed> {
    let rows = rows(at, count, name);
    stage(sink, &window(at), &unit(Mode::Window, at, &rows), &attempt(), &rows).await?.commit().await
}

/// Of each window that has rows: how many are old, and how many new.
fn seen(place: &Place) -> BTreeMap<i64, (i64, i64)> {
    let sql = format!(
        "SELECT intDiv(id, 10) * 10 AS at, countIf(name = 'old'), countIf(name <> 'old') FROM {} GROUP BY at FORMAT TSV",
        place.table("views")
    );
    let answer = place.run(&sql);
    let row = |line: &str| {
        let cells: Vec<i64> = line.split('\t').map(|cell| cell.parse().unwrap()).collect();
        (cells[0], (cells[1], cells[2]))
    };
    answer.lines().map(row).collect()
}

/// A table whose windows all have their first rows.
async fn filled(place: &Place, spec: &SinkSpec) -> Arc<dyn Sink> {
    let sink = place.open().sink(spec).await.unwrap();
    future::try_join_all(WINDOWS.map(|at| write(sink.as_ref(), at, OLD, "old"))).await.unwrap();
    let first = WINDOWS.map(|at| (at, (OLD, 0))).into();
    assert_eq!(seen(place), first);
    sink
}

/// While windows are built side by side, a reader finds each of them as it was or as it is to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_the_old_window_or_the_new() {
    for partition_by in PARTITIONS {
        let place = Place::new();
        let sink = filled(&place, &spec(partition_by)).await;
        let (over, looks) = (AtomicBool::new(false), AtomicU64::new(0));
        let look = || {
            while !over.load(Ordering::SeqCst) {
                for (at, found) in seen(&place) {
                    let whole = [(OLD, 0), (0, NEW)].contains(&found);
                    assert!(whole || !is_at_once(partition_by), "{partition_by:?}: {at}: {found:?}");
                    assert!(found.0 + found.1 > 0, "{partition_by:?}: {at} is empty");
                }
                let there = seen(&place).len();
                assert_eq!(there, WINDOWS.len(), "{partition_by:?}: a window has no rows");
                looks.fetch_add(1, Ordering::SeqCst);
            }
        };
        let built = thread::scope(|scope| {
            let looking = scope.spawn(look);
            let written = tokio::task::block_in_place(|| {
                let all = WINDOWS.map(|at| write(sink.as_ref(), at, NEW, "new"));
                tokio::runtime::Handle::current().block_on(future::join_all(all))
            });
            over.store(true, Ordering::SeqCst);
            looking.join().unwrap();
            written
        });
        for committed in built {
            assert_eq!(committed.unwrap().record().seq, 2);
        }
        assert!(looks.load(Ordering::SeqCst) > 3, "nobody looked meanwhile");
        assert_eq!(seen(&place), WINDOWS.map(|at| (at, (0, NEW))).into(), "{partition_by:?}");
        assert_eq!(ours(&place), "_vitrina_records");
    }
}

/// Tables of ours.
fn ours(place: &Place) -> String {
    let sql =
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '_vitrina')";
    place.inside(sql).trim().to_owned()
}

/// A window that has no rows any more leaves those of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_window_takes_its_rows_alone() {
    for partition_by in PARTITIONS {
        let place = Place::new();
        let sink = filled(&place, &spec(partition_by)).await;
        // The last has a partition, or some, to itself; then it comes back.
        for at in [20, 70] {
            write(sink.as_ref(), at, 0, "new").await.unwrap();
            let others = WINDOWS.into_iter().filter(|other| *other != at && (at != 70 || *other != 20));
            assert_eq!(seen(&place), others.map(|at| (at, (OLD, 0))).collect(), "{partition_by:?}");
        }
        for at in [20, 70] {
            write(sink.as_ref(), at, NEW, "new").await.unwrap();
        }
        let back = |at| if [20, 70].contains(&at) { (0, NEW) } else { (OLD, 0) };
        assert_eq!(seen(&place), WINDOWS.map(|at| (at, back(at))).into(), "{partition_by:?}");
    }
}

/// A window's line breaks at one of the statements that replace it; others of its partition are built meanwhile, and it is finished behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_left_half_way_is_finished_behind_its_neighbours() {
    for words in ["`views` REPLACE PARTITION", "REPLACE PARTITION", "DELETE FROM", "ATTACH PARTITION"] {
        for fate in [Fate::AnswerLost, Fate::Lost] {
            let place = Place::new();
            let spec = spec(Some("intDiv(id, 30)"));
            filled(&place, &spec).await;
            let (proxy, through) = behind_a_proxy(&place);
            let sink = through.sink(&spec).await.unwrap();
            let new = rows(10, NEW, "new");
            let unit = unit(Mode::Window, 10, &new);
            let staged = stage(sink.as_ref(), &window(10), &unit, &attempt(), &new).await.unwrap();
            let is_it = move |bytes: &[u8]| bytes.windows(words.len()).any(|part| part == words.as_bytes());
            proxy.trap(is_it, move || fate);
            let error = staged.commit().await.err().unwrap();
            assert!(error.kind.policy().retry && !proxy.untrap(), "{words}: {error}");
            // Its neighbours, by another connection: before its own turn comes, and behind it.
            let sink = place.open().sink(&spec).await.unwrap();
            write(sink.as_ref(), 0, NEW, "new").await.unwrap();
            sink.recover(&window(10)).await.unwrap();
            assert_eq!(sink.peek(&window(10)).await.unwrap().unwrap().seq, 2);
            write(sink.as_ref(), 20, NEW, "new").await.unwrap();
            let built = |at| if at < 30 { (0, NEW) } else { (OLD, 0) };
            assert_eq!(seen(&place), WINDOWS.map(|at| (at, built(at))).into(), "{words}, {fate:?}");
            assert_eq!(ours(&place), "_vitrina_records", "{words}, {fate:?}");
        }
    }
}

/// A connection to the place by a line that may be broken.
fn behind_a_proxy(place: &Place) -> (Proxy, Arc<dyn Connection>) {
    let proxy = Proxy::new();
    proxy.lead_to(setting("URL").trim_start_matches("http://"));
    let url = Urls::One(format!("http://{}", proxy.address));
    (proxy, open(Config { url, ..place.config.clone() }))
}
