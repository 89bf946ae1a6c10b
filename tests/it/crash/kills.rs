//! Death at any moment, while the bot goes on writing.

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rand::Rng;

use super::site::{Site, Target, add_rows};

/// Deaths of one project.
const DEATHS: usize = 12;
/// The bot writes no longer than this, whatever becomes of the test.
const WRITING: Duration = Duration::from_mins(5);

#[test]
fn death_at_any_moment_loses_and_doubles_nothing_in_sqlite() {
    die_often(Target::Sqlite);
}

#[test]
fn death_at_any_moment_loses_and_doubles_nothing_in_delta() {
    die_often(Target::Delta);
}

#[test]
fn death_at_any_moment_loses_and_doubles_nothing_in_postgres() {
    die_often(Target::Postgres);
}

#[test]
fn death_at_any_moment_loses_and_doubles_nothing_on_the_way_by_kafka() {
    die_often(Target::Kafka);
}

fn die_often(target: Target) {
    let whole = one_run(target);
    let site = Site::new(target);
    site.add(200);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let bot = site.source();
            let began = Instant::now();
            while !done.load(Ordering::SeqCst) && began.elapsed() < WRITING {
                add_rows(&bot, 3);
                thread::sleep(Duration::from_millis(40));
            }
        });
        let mut deaths = 0;
        for _ in 0..DEATHS {
            let mut child =
                site.program(&["run", "--all"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(whole.mul_f64(rand::rng().random_range(0.05..1.0)));
            child.kill().unwrap();
            deaths += usize::from(!child.wait().unwrap().success());
        }
        done.store(true, Ordering::SeqCst);
        assert!(deaths > 0, "every run ended before it was killed");
    });
    site.run_all();
    site.check();
}

/// How long a run takes that nobody kills.
fn one_run(target: Target) -> Duration {
    let site = Site::new(target);
    site.add(200);
    let started = Instant::now();
    site.run_all();
    started.elapsed()
}
