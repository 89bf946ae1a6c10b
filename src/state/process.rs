//! Who we are, in a way that a reused process id cannot imitate.

use std::sync::LazyLock;

static TOKEN: LazyLock<String> =
    LazyLock::new(|| format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()));

/// This process: its id and a number that no other process has.
pub(super) fn token() -> &'static str {
    &TOKEN
}
