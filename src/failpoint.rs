//! Named places where a test can kill the process, or hold it up: every commit boundary has one.
//!
//! `VITRINA_FAILPOINT=name` aborts at the first pass of `failpoint::pass("name")`;
//! `name:3` at the third, `name:*` at each. `name@path` makes the file there and waits until it is taken away. Without the variable a pass costs one atomic load.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The variable that names the point.
pub const VARIABLE: &str = "VITRINA_FAILPOINT";

struct Armed {
    name: String,
    /// Passes until it happens; `None` = at each.
    left: Option<AtomicU64>,
    /// The file to wait for; `None` = abort.
    wait: Option<PathBuf>,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Aborts the process, as `kill -9` would, or waits, when this point is the armed one.
pub fn pass(name: &str) {
    let Some(armed) = ARMED.get_or_init(armed_from_environment) else {
        return;
    };
    let is_its_turn = |left: &AtomicU64| left.fetch_sub(1, Ordering::SeqCst) == 1;
    if armed.name == name && armed.left.as_ref().is_none_or(is_its_turn) {
        match &armed.wait {
            Some(file) => tokio::task::block_in_place(|| wait(file)),
            None => std::process::abort(),
        }
    }
}

fn wait(file: &Path) {
    // Where the file cannot be made there is nothing to wait for, and the test notices.
    let _ = std::fs::write(file, "");
    while file.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn armed_from_environment() -> Option<Armed> {
    let text = std::env::var(VARIABLE).ok()?;
    let (point, wait) = match text.split_once('@') {
        Some((point, file)) => (point, Some(PathBuf::from(file))),
        None => (text.as_str(), None),
    };
    let (name, left) = match point.rsplit_once(':') {
        Some((name, "*")) => (name, None),
        Some((name, count)) => (name, Some(count.parse().ok()?)),
        None => (point, Some(1)),
    };
    Some(Armed { name: name.to_owned(), left: left.map(AtomicU64::new), wait })
}
