//! Named places where a test can kill the process: every commit boundary has one.
//!
//! `VITRINA_FAILPOINT=name` aborts at the first pass of `failpoint::pass("name")`;
//! `name:3` at the third. Without the variable a pass costs one atomic load.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// The variable that names the point to abort at.
pub const VARIABLE: &str = "VITRINA_FAILPOINT";

struct Armed {
    name: String,
    left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Aborts the process, as `kill -9` would, when this point is the armed one.
pub fn pass(name: &str) {
    let Some(armed) = ARMED.get_or_init(armed_from_environment) else {
        return;
    };
    if armed.name == name && armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}

fn armed_from_environment() -> Option<Armed> {
    let text = std::env::var(VARIABLE).ok()?;
    let (name, count) = match text.rsplit_once(':') {
        Some((name, count)) => (name.to_owned(), count.parse().ok()?),
        None => (text, 1),
    };
    Some(Armed { name, left: AtomicU64::new(count) })
}
