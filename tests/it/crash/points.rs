//! Death at every named point of the sources.

use std::{
    collections::BTreeSet,
    os::unix::process::ExitStatusExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{
    Took,
    places::{Pair, Place},
    site::Site,
};

/// What `abort` kills with.
pub(super) const SIGABRT: i32 = 6;

/// Begins the names of the bot's points, which no run passes: tests/it/daemon/bot_dies.rs dies at them.
pub(crate) const BOT: &str = "bot.";

/// Begins the names of the points that only `backfill` passes.
const BACKFILL: &str = "run.backfill.";

/// Begins the names of the points where the windows' ledger changes and no window is built: windows.rs dies at them.
pub(super) const LEDGER: &str = "run.ledger.";

/// The point that a run passes only where a mart has another name than before.
const RENAMED: &str = "run.windows.taken_over";

/// Names of the failpoints that runs pass.
fn names() -> BTreeSet<String> {
    let of_others = |name: &String| name.starts_with(BOT) || name.starts_with(LEDGER);
    all_names().into_iter().filter(|name| !of_others(name)).collect()
}

/// Names of the failpoints that the sources pass.
pub(crate) fn all_names() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(!found.is_empty());
    found
}

fn gather(folder: &Path, found: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, found);
        } else if path.file_name().is_some_and(|name| name != "failpoint.rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let calls = text.split("failpoint::pass(").skip(1).map(str::trim_start);
            found.extend(calls.map(|call| {
                let name = call.strip_prefix('"').and_then(|rest| rest.split('"').next());
                name.unwrap_or_else(|| panic!("{}: a failpoint is named by a literal", path.display()))
                    .to_owned()
            }));
        }
    }
}

/// Dies at the first and at a later pass of every point; nothing is lost or doubled. Every point lies on some project's way.
#[test]
fn death_at_any_point_loses_and_doubles_nothing() {
    let _told = Took::new("death at every failpoint");
    let reached: Mutex<BTreeSet<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for place in Place::ALL.into_iter().chain([Place::Bucket, Place::Generate]) {
            let reached = &reached;
            scope.spawn(move || {
                for name in names().into_iter().filter(|name| !other_kind(place, name)) {
                    if die_and_go_on(way_by(place), &name) {
                        reached.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
                    }
                }
            });
        }
    });
    let reached = reached.into_inner().unwrap_or_else(PoisonError::into_inner);
    let missed: Vec<_> = names().into_iter().filter(|name| !reached.contains(name)).collect();
    assert!(missed.is_empty(), "no project passes {missed:?}");
}

/// A way that passes every point of a place's connector.
fn way_by(place: Place) -> Pair {
    match place {
        Place::Generate => Pair::MADE_UP,
        Place::Kafka => Pair { from: Place::Kafka, into: Place::Sqlite },
        into => Pair { from: Place::Sqlite, into },
    }
}

/// Whether the point was reached.
fn die_and_go_on(pair: Pair, point: &str) -> bool {
    let site = Site::new(pair);
    site.add(50);
    let first = dies(&site, point);
    site.add(30);
    site.rename();
    let again = dies(&site, &format!("{point}:2"));
    site.add(5);
    site.run_all();
    site.check();
    first || again
}

/// Whether it is a point that another place's way passes.
fn other_kind(place: Place, point: &str) -> bool {
    let of = |owner: Place| is_of(owner, point);
    if Place::ALL.into_iter().any(of) { !of(place) } else { place == Place::Kafka }
}

/// Whether it is a point of the place's connector.
fn is_of(place: Place, point: &str) -> bool {
    point.strip_prefix(prefix(place)).is_some_and(|rest| rest.starts_with('.'))
}

/// The points that runs of a pair's project may pass, as often as they are repeated.
pub(super) fn on_the_way(pair: Pair) -> Vec<String> {
    let passed = |name: &String| {
        let of = |place: Place| is_of(place, name);
        name != RENAMED && (!Place::ALL.into_iter().any(of) || pair.written().into_iter().any(of))
    };
    names().into_iter().filter(passed).collect()
}

/// A backfill is of a mart whose tables are there.
pub(super) fn prepare(point: &str, site: &Site) {
    if point.starts_with(BACKFILL) {
        site.run_all();
    }
}

/// The arguments of the command that passes a point.
pub(super) fn passing(point: &str, site: &Site) -> Vec<String> {
    if point.starts_with(BACKFILL) {
        site.backfill().to_vec()
    } else {
        ["run", "--all"].map(str::to_owned).to_vec()
    }
}

/// What the points of its connector begin with; those of SQLite where it has none, since made-up rows go there.
fn prefix(place: Place) -> &'static str {
    match place {
        Place::Generate => "sqlite",
        Place::Postgres | Place::Greenplum => "pg",
        Place::Bucket => "delta",
        other => other.kind(),
    }
}

/// Runs everything with this point armed; whether it died there. A run that does not pass it must succeed.
fn dies(site: &Site, point: &str) -> bool {
    prepare(point, site);
    let output = site.armed(point, &passing(point, site)).output().unwrap();
    let died = output.status.signal() == Some(SIGABRT);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(died || output.status.success(), "{point}: {}\n{said}", output.status);
    died
}
