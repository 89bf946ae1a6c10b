//! What a mart's member reads, and how far that is: what its builds remember, and are held against later.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{Runtime, ledger::renamed};
use crate::model::{
    name::{JobName, Member},
    unit::{Build, Progress, Record},
    window::Window,
};

/// What a member reads, and how far that is.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs {
    /// Sequence numbers of tracks that are whole, by key.
    pub fixed: BTreeMap<String, u64>,
    /// Windows of other marts: key and sequence number of each.
    pub windows: Vec<(Window, String, u64)>,
    /// Digests of the queries of marts that are built whole, by key.
    pub queries: BTreeMap<String, u64>,
    /// Of pipelines that have read their source again the commit with which they began to, by key.
    pub anew: BTreeMap<String, u64>,
    /// Of members that were renamed the key that they had before.
    pub was: BTreeMap<String, String>,
}

/// Behind the key of a mart that is built whole: which query it was built from.
const QUERY: &str = "#query";
/// Behind the key of a pipeline: the commit with which it began to read its source again.
const ANEW: &str = "#anew";

impl Inputs {
    /// What a window is built from: windows of others that touch it.
    pub(super) fn of(&self, window: &Window) -> BTreeMap<String, u64> {
        let touched = self.windows.iter().filter(|(other, ..)| other.touches(window));
        let touched = touched.map(|(_, key, seq)| (key.clone(), *seq));
        self.fixed.clone().into_iter().chain(touched).chain(named(&self.queries, QUERY)).collect()
    }

    /// What a whole table is built from: how far each input is, and what makes it another one.
    pub(super) fn whole(&self) -> BTreeMap<String, u64> {
        let others = named(&self.queries, QUERY).chain(named(&self.anew, ANEW));
        self.versions().into_iter().chain(others).collect()
    }

    /// How far each input is; of a mart's windows the number of their builds.
    fn versions(&self) -> BTreeMap<String, u64> {
        let mut all = self.fixed.clone();
        for (_, key, seq) in &self.windows {
            *all.entry(member_of(key).to_owned()).or_default() += seq;
        }
        all
    }

    /// The first input of a window that is not what it was. What is whole moves on all the time: a pipeline is another one only where it has read its source again, a
    /// mart by its query, and by inputs that are other ones.
    pub(super) fn changed(&self, window: &Window, built: &Build) -> Option<String> {
        let touched = self.windows.iter().filter(|(other, ..)| other.touches(window));
        let mut changed = touched.filter(|(_, key, seq)| !self.is_same(built, key, *seq));
        let window = changed.next().map(|(_, key, _)| name_of(member_of(key)));
        // Of what was built before queries were kept nothing is known.
        let edited = |(key, digest): &(&String, &u64)| {
            built.inputs.get(&format!("{key}{QUERY}")).is_some_and(|known| known != *digest)
        };
        let again =
            |(key, since): &(&String, &u64)| self.known(built, key).is_some_and(|known| known < *since);
        window
            .or_else(|| self.queries.iter().find(edited).map(|(key, _)| name_of(key)))
            .or_else(|| self.anew.iter().find(again).map(|(key, _)| name_of(key)))
    }

    /// The first input of a whole table that is not what it was.
    pub(super) fn changed_of_whole(&self, built: &Build) -> Option<String> {
        let versions = self.versions();
        let mut changed = versions.iter().filter(|(key, seq)| !self.is_same(built, key, **seq));
        changed.next().map(|(key, _)| name_of(key))
    }

    fn is_same(&self, built: &Build, key: &str, seq: u64) -> bool {
        self.known(built, key) == Some(&seq)
    }

    /// What something was built from, by whatever name it was known then.
    fn known<'b>(&self, built: &'b Build, key: &str) -> Option<&'b u64> {
        let member = member_of(key);
        let old = || Some(format!("{}{}", self.was.get(member)?, &key[member.len()..]));
        built.inputs.get(key).or_else(|| built.inputs.get(&old()?))
    }
}

fn named<'a>(values: &'a BTreeMap<String, u64>, what: &'a str) -> impl Iterator<Item = (String, u64)> {
    values.iter().map(move |(key, value)| (format!("{key}{what}"), *value))
}

/// A digest of the query that a whole table was built from, and of what made its inputs other ones; none of a pipeline's, nor of rows that somebody else made.
pub(super) fn query_of(record: &Record) -> Option<u64> {
    const DIGITS: usize = 12;
    let Progress::Build(built) = &record.progress else { return None };
    let own = u64::from_str_radix(built.fingerprint.get(..DIGITS)?, 16).ok()?;
    let below = built.inputs.iter().filter(|(key, _)| key.ends_with(QUERY) || key.ends_with(ANEW));
    // Without names, which may change.
    let mut below: Vec<u64> = below.map(|(_, value)| *value).collect();
    if below.is_empty() {
        return Some(own);
    }
    below.sort_unstable();
    let digest = Sha256::digest(format!("{own} {below:?}"));
    // As many digits as the other ones have.
    Some(digest.iter().take(DIGITS / 2).fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// A member as users name it, by its key.
fn name_of(key: &str) -> String {
    key.split_once(':').map_or(key, |(_, name)| name).to_owned()
}

/// The key of the member whose window this is.
fn member_of(key: &str) -> &str {
    key.rsplit_once('@').map_or(key, |(member, _)| member)
}

impl Runtime {
    /// Where everything stands that a member reads from; what never ran is left out.
    pub(super) async fn inputs(&self, job: &JobName, member: &Member) -> Inputs {
        let mut inputs = Inputs::default();
        let Some(node) = self.lineage.find(job, member) else { return inputs };
        for &before in &self.lineage.nodes[node].upstream {
            let before = &self.lineage.nodes[before];
            let track = self.project.track(&before.job, &before.member);
            let found = self.find(&before.job, &before.member).ok();
            if let Some(was) = found.and_then(|found| renamed(&track, found.info())) {
                inputs.was.insert(track.key(), was.key());
            }
            if let Ok(Some(windows)) = self.windows_of(&before.job, &before.member).await {
                let keyed = windows
                    .into_iter()
                    .map(|(window, record)| (window, track.of_window(&window.key()).key(), record.seq));
                inputs.windows.extend(keyed);
            } else if let Ok(Some(record)) = self.record_of(&before.job, &before.member).await {
                inputs.fixed.insert(track.key(), record.seq);
                inputs.anew.extend(record.progress.anew().map(|since| (track.key(), since)));
                if let Some(digest) = query_of(&record) {
                    inputs.queries.insert(track.key(), digest);
                }
            }
        }
        inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::AttemptId;

    fn record(progress: Progress) -> Record {
        Record { seq: 7, progress, attempt: AttemptId::parse("a"), at: chrono::DateTime::UNIX_EPOCH, rows: 1 }
    }

    /// The digest of a whole table that was built from these.
    fn digest(inputs: &Inputs) -> Option<u64> {
        let fingerprint = "00000000000f0000".to_owned();
        query_of(&record(Progress::Build(Build { fingerprint, inputs: inputs.whole() })))
    }

    #[test]
    fn a_whole_table_is_another_one_by_its_query_and_by_inputs_that_are() {
        let of = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
        };
        let plain = Inputs { fixed: of(&[("p:titles", 3)]), ..Inputs::default() };
        assert_eq!(digest(&plain), Some(15));
        let moved = Inputs { fixed: of(&[("p:titles", 9)]), ..Inputs::default() };
        assert_eq!(digest(&moved), Some(15), "what is whole moves on all the time");
        let again = Inputs { anew: of(&[("p:titles", 4)]), ..plain.clone() };
        let twice = Inputs { anew: of(&[("p:titles", 5)]), ..plain.clone() };
        let query = Inputs { queries: of(&[("p:history", 4)]), ..plain.clone() };
        let digests = [&plain, &again, &twice].map(digest);
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
        assert_ne!(digest(&query), digest(&plain));
        let renamed = Inputs { anew: of(&[("p:films", 4)]), ..plain };
        assert_eq!(digest(&renamed), digest(&again));
        assert!(digest(&again).unwrap() < 1 << 48, "read back from JSON as it was");
        assert_eq!(query_of(&record(Progress::Start)), None);
    }
}
