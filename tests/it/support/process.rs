//! Processes that a test may stop, freeze and kill.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How long a process that has ended may still be listed.
const NOTICED: Duration = Duration::from_secs(10);

/// A process and all that descend from it, as the kernel lists them now.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        at += 1;
    }
    found
}

/// Who began a process that is alive.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // A name may hold anything, but none has the last bracket: state and parent follow it.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    rest.next()?.parse().ok().filter(|_| state != "Z")
}

/// Sends a signal, as in `STOP`, to processes; those that are gone do not hear it.
pub(crate) fn signal(name: &str, ids: &[u32]) {
    let ids = ids.iter().map(u32::to_string);
    let _ = Command::new("kill").arg(format!("-{name}")).args(ids).output().expect("kill runs");
}

/// Kills a process and its family as a loss of power would, and waits until nothing of them is left: one that nobody has taken note of yet looks alive to others. Who
/// never takes note is not waited for.
pub(crate) fn kill(root: u32) {
    let all = family(root);
    signal("KILL", &all);
    let (begun, alive) = (Instant::now(), |id: &u32| parent(*id).is_some());
    let there = |id: &u32| Path::new(&format!("/proc/{id}")).exists();
    while all.iter().any(alive) || (all.iter().any(there) && begun.elapsed() < NOTICED) {
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process that stands still, with its family, until this is dropped.
pub(crate) struct Frozen(Vec<u32>);

impl Frozen {
    pub(crate) fn new(root: u32) -> Self {
        let all = family(root);
        signal("STOP", &all);
        Self(all)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}
