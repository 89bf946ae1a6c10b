//! What was read a moment ago, for those who ask the same: rows by report, parameters, row rules and how far the tracks are that it reads; lists and
//! pictures likewise.
//!
//! A place is made before the query runs, so that many who ask at once wait for one execution. A failed or cancelled one leaves the place
//! empty, and the next who waits tries. Where nobody can tell how long rows are good for, a place is there until its query begins: who asks later
//! has a query of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// Bytes of rows that are kept.
pub(super) const CACHE_BYTES: usize = 64 << 20;
/// Answers that are kept.
const CACHE_ENTRIES: usize = 1_000;

/// What tells answers apart.
pub(super) type Key = [u8; 32];
/// One answer, or the place where it will be.
pub(super) type Place<T> = Arc<OnceCell<Arc<T>>>;

/// What takes room.
pub(super) trait Weighs {
    /// Bytes, about.
    fn weighs(&self) -> usize;
}

/// Least recently used first.
pub(super) struct Cache<T> {
    places: Mutex<IndexMap<Key, Place<T>>>,
    bytes: usize,
}

impl<T: Weighs> Cache<T> {
    pub(super) fn new(bytes: usize) -> Self {
        Self { places: Mutex::default(), bytes }
    }

    /// The place of an answer.
    pub(super) fn place(&self, key: Key) -> Place<T> {
        let mut places = self.lock();
        let place = places.shift_remove(&key).unwrap_or_default();
        places.insert(key, Arc::clone(&place));
        place
    }

    /// Whoever asks from now on gets a place of their own.
    pub(super) fn close(&self, key: Key, place: &Place<T>) {
        let mut places = self.lock();
        if places.get(&key).is_some_and(|there| Arc::ptr_eq(there, place)) {
            places.shift_remove(&key);
        }
    }

    /// Lets go of what was not asked for longest, until all fit.
    pub(super) fn trim(&self) {
        let mut places = self.lock();
        let size = |place: &Place<T>| place.get().map_or(0, |kept| kept.weighs());
        let mut bytes: usize = places.values().map(size).sum();
        while bytes > self.bytes || places.len() > CACHE_ENTRIES {
            let Some((_, place)) = places.shift_remove_index(0) else { return };
            bytes -= size(&place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, IndexMap<Key, Place<T>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key of parts, none of which runs into the next.
pub(super) fn key(parts: &[String]) -> Key {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::{
        super::rows::{Rows, tests::rows_of},
        *,
    };

    #[tokio::test]
    async fn what_was_used_last_stays() {
        let rows = || Arc::new(rows_of(vec![("n", Arc::new(Int64Array::from(vec![1; 1_000])))]));
        let cache = Cache::<Rows>::new(rows().size() * 2);
        let put = async |name: &str| {
            cache.place(key(&[name.to_owned()])).get_or_init(async || rows()).await;
            cache.trim();
        };
        let there = |name: &str| cache.lock().get(&key(&[name.to_owned()])).is_some();
        put("a").await;
        put("b").await;
        put("a").await;
        put("c").await;
        assert_eq!([there("a"), there("b"), there("c")], [true, false, true]);
        assert_ne!(key(&["ab".into(), "c".into()]), key(&["a".into(), "bc".into()]));
    }

    #[test]
    fn a_closed_place_is_for_those_who_have_it() {
        let (cache, key) = (Cache::<Rows>::new(1 << 20), key(&["x".into()]));
        let (first, second) = (cache.place(key), cache.place(key));
        assert!(Arc::ptr_eq(&first, &second));
        cache.close(key, &first);
        let third = cache.place(key);
        assert!(!Arc::ptr_eq(&first, &third), "its query has begun");
        cache.close(key, &second);
        assert!(Arc::ptr_eq(&third, &cache.place(key)), "another's place was closed");
    }

    #[tokio::test]
    async fn many_wait_for_one() {
        let cache = Arc::new(Cache::<Rows>::new(1 << 20));
        let ran = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let ask = || {
            let (cache, ran) = (Arc::clone(&cache), Arc::clone(&ran));
            async move {
                let init = async || {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    ran.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    Arc::new(rows_of(vec![("n", Arc::new(Int64Array::from(vec![1])))]))
                };
                cache.place(key(&["x".into()])).get_or_init(init).await.count
            }
        };
        let counts = futures::future::join_all((0..50).map(|_| ask())).await;
        assert_eq!((counts.len(), ran.load(std::sync::atomic::Ordering::SeqCst)), (50, 1));
    }
}
