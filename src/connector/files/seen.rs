//! Which files have been read: arithmetic of positions, without I/O.
//!
//! A position holds a partition for each file that was read: its path, its size and its tag. With [`Seen::Name`] it holds those of the last slice alone, and
//! under the empty name the path up to which everything was read.
//!
//! Files are read in the order of their paths. Paths are the same for whoever looks, and stay when files are copied; times of writing have ties, and are those
//! of a copy. Names usually begin with a date or a number, so that it is the order of time as well, in which a merge keeps the last row of a key.

use std::collections::BTreeMap;

use chrono::DateTime;
use sha2::{Digest as _, Sha256};

use super::{
    config::{Changed, Seen},
    place::Found,
};
use crate::model::{
    position::{Bound, Position, SourceIdentity},
    unit::Scope,
    value::Value,
};

/// Files that are remembered one by one: their names go into every record, and a message of Kafka has a mebibyte.
pub(super) const REMEMBERED: usize = 5_000;
/// Files of one slice.
const A_SLICE: usize = 1_000;
/// The partition that tells up to which path everything was read.
const MARK: &str = "";

/// Why there is no next slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A file that was read is another one now.
    Changed(String),
    /// More files than are remembered.
    TooMany,
}

/// How files are told from those that were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// By what it is known which were read.
    pub(super) seen: Seen,
    /// What becomes of one that is another one now.
    pub(super) changed: Changed,
}

fn bound(file: &Found) -> Bound {
    let size = Value::Int(i64::try_from(file.size).unwrap_or(i64::MAX));
    Bound { at: vec![size], witness: Some(file.tag.clone()) }
}

fn file(path: &str, bound: &Bound) -> Option<Found> {
    let [Value::Int(size)] = bound.at.as_slice() else { return None };
    Some(Found {
        path: path.to_owned(),
        size: u64::try_from(*size).ok()?,
        tag: bound.witness.clone()?,
        modified: DateTime::UNIX_EPOCH,
    })
}

fn mark(path: &str) -> Bound {
    Bound::at(vec![Value::Text(path.to_owned())])
}

fn marked(position: Option<&Position>) -> Option<&str> {
    match position?.partitions.get(MARK)?.at.as_slice() {
        [Value::Text(path)] => Some(path),
        _ => None,
    }
}

impl Memory {
    /// Where these files, sorted by path, end.
    pub(super) fn head(self, source: SourceIdentity, files: &[Found]) -> Position {
        let partitions = match self.seen {
            Seen::Each => files.iter().map(|file| (file.path.clone(), bound(file))).collect(),
            Seen::Name => files.last().map(|last| (MARK.to_owned(), mark(&last.path))).into_iter().collect(),
        };
        Position { source, partitions }
    }

    /// Files between two positions that were not read yet, in order; `listed` = all that there are now, sorted by path.
    pub(super) fn fresh(
        self,
        from: Option<&Position>,
        head: &Position,
        listed: &[Found],
    ) -> Result<Vec<Found>, Refusal> {
        let until = marked(Some(head));
        let (mut fresh, behind) = (vec![], marked(from));
        for file in listed {
            let inside = match self.seen {
                // What others changed after the head was taken comes with the next run.
                Seen::Each => head.partitions.get(&file.path) == Some(&bound(file)),
                Seen::Name => until.is_some_and(|until| file.path.as_str() <= until),
            };
            let known = from.and_then(|from| from.partitions.get(&file.path));
            let read = match known {
                _ if !inside => false,
                Some(known) if *known == bound(file) => false,
                Some(_) if self.changed == Changed::Refuse => {
                    return Err(Refusal::Changed(file.path.clone()));
                }
                Some(_) => true,
                None => behind.is_none_or(|behind| file.path.as_str() > behind),
            };
            if read {
                fresh.push(file.clone());
            }
        }
        Ok(fresh)
    }

    /// Where a slice of these files ends.
    pub(super) fn after(
        self,
        source: SourceIdentity,
        from: Option<&Position>,
        taken: &[Found],
    ) -> Result<Position, Refusal> {
        let of_slice = taken.iter().map(|file| (file.path.clone(), bound(file)));
        let old = from.map(|from| from.partitions.clone()).unwrap_or_default();
        let partitions: BTreeMap<String, Bound> = match self.seen {
            Seen::Each => old.into_iter().chain(of_slice).collect(),
            Seen::Name => {
                let last = taken.last().map(|file| file.path.as_str()).max(marked(from));
                of_slice.chain(last.map(|last| (MARK.to_owned(), mark(last)))).collect()
            }
        };
        if partitions.len() > REMEMBERED {
            return Err(Refusal::TooMany);
        }
        Ok(Position { source, partitions })
    }

    /// The files of a unit, in order.
    pub(super) fn of_unit(self, scope: &Scope, after: &Position) -> Vec<Found> {
        let from = match scope {
            Scope::Slice { from } if self.seen == Seen::Each => from.as_ref(),
            _ => None,
        };
        let known = |path: &str| from.and_then(|from| from.partitions.get(path));
        let own = after.partitions.iter().filter(|(path, bound)| known(path) != Some(*bound));
        own.filter_map(|(path, bound)| file(path, bound)).collect()
    }
}

/// How many of these files make a slice of about so many bytes of Arrow; at least one. `bytes` is what a file comes to.
pub(super) fn cut(files: &[Found], most: u64, bytes: impl Fn(&Found) -> u64) -> usize {
    let mut sum = 0_u64;
    let fits = |file: &&Found| {
        sum = sum.saturating_add(bytes(file));
        sum <= most
    };
    files.iter().take(A_SLICE).take_while(fits).count().max(1).min(files.len())
}

/// The files that were read and are no more; of tables whose files are never taken away but by being replaced.
pub(super) fn gone<'a>(from: &'a Position, listed: &[Found]) -> Option<&'a str> {
    let there = |path: &str| listed.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok();
    from.partitions.keys().map(String::as_str).find(|path| *path != MARK && !there(path))
}

/// What tells one set of files from another.
pub(super) fn digest(files: &[Found]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(format!("{}\0{}\0{}\0", file.path, file.size, file.tag));
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The position of all files at once.
pub(super) fn snapshot(source: SourceIdentity, files: &[Found]) -> Position {
    let count = Value::Int(files.len() as i64);
    Position::single(source, Some(Bound { at: vec![count], witness: Some(digest(files)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceIdentity {
        SourceIdentity { kind: "files".into(), place: "x".into(), order: "each".into() }
    }

    fn files(names: &[(&str, &str)]) -> Vec<Found> {
        let found = |(path, tag): &(&str, &str)| Found {
            path: (*path).to_owned(),
            size: 10,
            tag: (*tag).to_owned(),
            modified: DateTime::UNIX_EPOCH,
        };
        names.iter().map(found).collect()
    }

    fn paths(files: &[Found]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    const EACH: Memory = Memory { seen: Seen::Each, changed: Changed::Refuse };
    const NAME: Memory = Memory { seen: Seen::Name, changed: Changed::Refuse };

    #[test]
    fn each_file_is_read_once() {
        let first = files(&[("b", "1"), ("c", "1")]);
        let head = EACH.head(source(), &first);
        let fresh = EACH.fresh(None, &head, &first).unwrap();
        assert_eq!(paths(&fresh), ["b", "c"]);
        let after = EACH.after(source(), None, &fresh[..1]).unwrap();
        let rest = EACH.fresh(Some(&after), &head, &first).unwrap();
        assert_eq!(paths(&rest), ["c"]);
        let end = EACH.after(source(), Some(&after), &rest).unwrap();
        assert_eq!(paths(&EACH.of_unit(&Scope::Slice { from: Some(after) }, &end)), ["c"]);
        assert_eq!(end, head);
        // Whatever its name, a late file is read; what came after the head is not.
        let later = files(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
        assert!(EACH.fresh(Some(&end), &head, &later).unwrap().is_empty());
        let head = EACH.head(source(), &later);
        assert_eq!(paths(&EACH.fresh(Some(&end), &head, &later).unwrap()), ["a", "d"]);
    }

    #[test]
    fn a_changed_file_is_refused_or_read_anew() {
        for memory in [EACH, NAME] {
            let old = files(&[("a", "1"), ("b", "1")]);
            let at = memory.after(source(), None, &old).unwrap();
            let new = files(&[("a", "1"), ("b", "2")]);
            let head = memory.head(source(), &new);
            let refused = memory.fresh(Some(&at), &head, &new);
            assert_eq!(refused, Err(Refusal::Changed("b".to_owned())));
            let read = Memory { changed: Changed::Read, ..memory };
            let fresh = read.fresh(Some(&at), &head, &new).unwrap();
            assert_eq!(paths(&fresh), ["b"]);
            let after = read.after(source(), Some(&at), &fresh).unwrap();
            assert_eq!(paths(&read.of_unit(&Scope::Slice { from: Some(at) }, &after)), ["b"]);
            assert!(read.fresh(Some(&after), &head, &new).unwrap().is_empty());
        }
    }

    #[test]
    fn by_name_little_is_remembered() {
        let first = files(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let head = NAME.head(source(), &first);
        assert_eq!(head.partitions.len(), 1);
        let after = NAME.after(source(), None, &first[..2]).unwrap();
        assert_eq!(paths(&NAME.of_unit(&Scope::Slice { from: None }, &after)), ["a", "b"]);
        let end = NAME.after(source(), Some(&after), &first[2..]).unwrap();
        assert_eq!(end.partitions.len(), 2, "the mark, and the last slice's one file");
        let later = files(&[("a0", "1"), ("c", "1"), ("d", "1")]);
        let head = NAME.head(source(), &later);
        assert_eq!(paths(&NAME.fresh(Some(&end), &head, &later).unwrap()), ["d"], "a0 comes too late");
        assert!(NAME.fresh(None, &NAME.head(source(), &[]), &later).unwrap().is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let many: Vec<Found> = (0..=REMEMBERED)
            .map(|number| Found { path: format!("{number:08}"), ..files(&[("x", "1")]).remove(0) })
            .collect();
        assert_eq!(EACH.after(source(), None, &many), Err(Refusal::TooMany));
        assert_eq!(cut(&many, u64::MAX, |file| file.size), A_SLICE);
        assert_eq!(cut(&many, 25, |file| file.size), 2);
        assert_eq!(cut(&many, 1, |file| file.size), 1, "a file is never split");
        assert_eq!(cut(&[], 1, |file| file.size), 0);
    }

    #[test]
    fn files_that_are_gone_are_noticed() {
        let at = EACH.after(source(), None, &files(&[("a", "1"), ("b", "1")])).unwrap();
        assert_eq!(gone(&at, &files(&[("b", "1"), ("c", "1")])), Some("a"));
        assert_eq!(gone(&at, &files(&[("a", "1"), ("b", "9")])), None);
    }
}
