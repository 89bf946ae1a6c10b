//! What may run at once in one process: so many runs, and of a track one at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::model::name::Track;

/// Shared by every runtime of a process: a daemon that has reloaded its project has two for a while.
///
/// Invariant: a track has one run at a time, whoever asked for it. Its sink would refuse the second one, but as a failure.
#[derive(Debug)]
pub struct Gate {
    places: Arc<Semaphore>,
    limit: Mutex<usize>,
    tracks: Mutex<HashMap<Track, Arc<tokio::sync::Mutex<()>>>>,
}

/// The right to run a track; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _track: OwnedMutexGuard<()>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// Lets `limit` runs in at once.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(limit)),
            limit: Mutex::new(limit),
            tracks: Mutex::default(),
        })
    }

    /// Waits for a track, and then for a place.
    pub async fn turn(&self, track: &Track) -> Turn {
        let alone = self.alone(track).await;
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        Turn { _place: place, ..alone }
    }

    /// Waits for a track alone: for what never ends, and for what takes no time.
    pub async fn alone(&self, track: &Track) -> Turn {
        let lock = Arc::clone(lock(&self.tracks).entry(track.clone()).or_default());
        Turn { _track: lock.lock_owned().await, _place: None }
    }

    /// Another limit from now on; runs that have begun go on.
    pub fn allow(&self, limit: usize) {
        let mut known = lock(&self.limit);
        if limit > *known {
            self.places.add_permits(limit - *known);
        } else if limit < *known {
            let (places, fewer) = (Arc::clone(&self.places), *known - limit);
            tokio::spawn(async move {
                for _ in 0..fewer {
                    if let Ok(place) = places.acquire().await {
                        place.forget();
                    }
                }
            });
        }
        *known = limit;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::name::{JobName, Member};

    fn track(name: &str) -> Track {
        Track::new("p", &JobName::new(name), &Member::default())
    }

    async fn waits<T>(work: impl Future<Output = T>) -> bool {
        tokio::time::timeout(Duration::from_millis(50), work).await.is_err()
    }

    #[tokio::test]
    async fn a_track_has_one_run_and_all_together_so_many() {
        let gate = Gate::new(2);
        let first = gate.turn(&track("a")).await;
        assert!(waits(gate.turn(&track("a"))).await && waits(gate.alone(&track("a"))).await);
        let second = gate.turn(&track("b")).await;
        assert!(waits(gate.turn(&track("c"))).await, "both places are taken");
        drop(gate.alone(&track("c")).await);
        gate.allow(3);
        drop(gate.turn(&track("c")).await);
        gate.allow(1);
        tokio::task::yield_now().await;
        drop(first);
        assert!(waits(gate.turn(&track("c"))).await, "the limit is one by now");
        drop(second);
        drop(gate.turn(&track("c")).await);
    }
}
