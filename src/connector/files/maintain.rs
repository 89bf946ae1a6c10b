//! Old manifests, files that were replaced, left-overs of dead attempts. None of it changes a row or breaks a reader: files are removed only when they are old.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use object_store::{Error as StoreError, ObjectStoreExt as _, path::Path};

use super::{
    super::error::Result,
    ledger::{KEPT, Ledger},
    manifest::{Manifest, READ, Replaced},
    place::Table,
};

/// What no manifest names is not removed sooner: it may be of a unit that is staged.
const STAGED: Duration = Duration::from_secs(7 * 24 * 3600);

/// All that there is time for, most useful first.
pub(super) async fn maintain(ledger: &Ledger, budget: Duration, now: DateTime<Utc>) -> Result<()> {
    let begun = Instant::now();
    let late = || begun.elapsed() >= budget;
    old_manifests(ledger, late).await?;
    if late() {
        return Ok(());
    }
    replaced(ledger, now, late).await?;
    if late() {
        return Ok(());
    }
    left_over(ledger, late).await
}

/// Removes manifests that nobody looks at any more: from the oldest on, so that a gap is never behind a number.
async fn old_manifests(ledger: &Ledger, late: impl Fn() -> bool) -> Result<()> {
    let mut numbers = ledger.numbers(None).await?;
    numbers.sort_unstable();
    let Some((newest, written)) = numbers.last().copied() else { return Ok(()) };
    // The store's own clock, on both sides.
    let old = |(number, at): &(u64, DateTime<Utc>)| number + KEPT < newest && *at + READ < written;
    for (number, _) in numbers.iter().take_while(|manifest| old(manifest)) {
        if late() {
            break;
        }
        remove(&ledger.table, &ledger.path(*number)?).await?;
    }
    Ok(())
}

/// Removes files that were replaced long enough ago, and their names.
async fn replaced(ledger: &Ledger, now: DateTime<Utc>, late: impl Fn() -> bool) -> Result<()> {
    let Some(version) = ledger.newest().await? else { return Ok(()) };
    let (old, young): (Vec<Replaced>, Vec<Replaced>) =
        version.manifest.replaced.iter().cloned().partition(|file| file.is_old(now));
    if old.is_empty() {
        return Ok(());
    }
    for file in &old {
        if late() {
            return Ok(());
        }
        forget(&ledger.table, file).await?;
    }
    // Who loses the race does it the next time.
    ledger.put(Some(&version), Manifest { replaced: young, ..version.manifest.clone() }).await.map(drop)
}

/// Removes a file that was replaced long enough ago, unless somebody else has taken its name again.
pub(super) async fn forget(table: &Table, file: &Replaced) -> Result<()> {
    let path = table.inside(&file.name);
    // Names of ours are given once.
    let ours = is_ours(&file.name);
    if ours || table.now(&path).await?.is_some_and(|found| found.modified <= file.at) {
        remove(table, &table.path(&path)?).await?;
    }
    Ok(())
}

/// Removes files of ours that no manifest names, and never will.
async fn left_over(ledger: &Ledger, late: impl Fn() -> bool) -> Result<()> {
    let table = &ledger.table;
    let files = table.look().await?.unwrap_or_default();
    let half_written = table.half_written();
    // Asked for behind the listing: what was committed meanwhile is named.
    let Some(version) = ledger.newest().await? else { return Ok(()) };
    let Some(written) = table.now(ledger.path(version.number)?.as_ref()).await? else { return Ok(()) };
    let manifest = &version.manifest;
    let names =
        manifest.files.iter().map(|file| &file.name).chain(manifest.replaced.iter().map(|file| &file.name));
    let named: HashSet<String> = names.map(|name| table.inside(name)).collect();
    for file in files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if is_ours(name)
            && !named.contains(&file.path)
            && file.modified + STAGED < written.modified
            && !late()
        {
            remove(table, &table.path(&file.path)?).await?;
        }
    }
    for path in half_written {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let modified = path.metadata().and_then(|found| found.modified()).map(DateTime::<Utc>::from);
        if is_ours(name) && modified.is_ok_and(|modified| modified + STAGED < written.modified) {
            // Gone by itself is as good.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

/// Whether a file has a name such as sinks give: a sequence number, an attempt, a random number, a file's number.
fn is_ours(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let parts: Vec<&str> = stem.split('-').collect();
    let hexadecimal =
        |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match parts.as_slice() {
        [seq, attempt, random, number] => {
            hexadecimal(seq, 8)
                && attempt.len() >= 16
                && hexadecimal(random, 8)
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

async fn remove(table: &Table, path: &Path) -> Result<()> {
    match table.store.delete(path).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(table.failed(format!("`{path}` cannot be removed"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ours() {
        assert!(is_ours("00000001-0198f2aa11bb7c3c9d2e3f4a5b6c7d8e-00c0ffee-0.csv.gz"));
        for other in ["payments.csv", "00000001-x-00c0ffee-0.csv", "2026-01-31-0.parquet", "_vitrina"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
