//! A run's word to its source about how far it has read: beside the run, which does not wait for it, and of several positions the newest alone.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::{
    connector::{error::Error, source::Source},
    model::{name::Track, position::Position},
};

/// How long the end of a run waits for its last position to be told.
const GRACE: Duration = Duration::from_secs(2);

/// Tells a source how far one track has read it.
pub(super) struct Reporter {
    newest: Mutex<Option<watch::Sender<Option<Position>>>>,
    telling: Mutex<Option<AbortOnDropHandle<()>>>,
    failures: Mutex<mpsc::Receiver<Error>>,
}

impl Reporter {
    /// Begins; nothing is told yet.
    pub(super) fn begin(source: Arc<dyn Source>, track: Track) -> Self {
        let (newest, mut positions) = watch::channel(None::<Position>);
        let (failed, failures) = mpsc::channel(1);
        let telling = async move {
            while positions.changed().await.is_ok() {
                let Some(position) = positions.borrow_and_update().clone() else { continue };
                if let Err(error) = source.committed(&track, &position).await {
                    // One that nobody has asked about yet stands for all.
                    let _ = failed.try_send(error);
                }
            }
        };
        let telling = AbortOnDropHandle::new(tokio::spawn(telling.in_current_span()));
        Self {
            newest: Mutex::new(Some(newest)),
            telling: Mutex::new(Some(telling)),
            failures: Mutex::new(failures),
        }
    }

    /// Lets the source know, as soon as it has heard of the position before.
    pub(super) fn tell(&self, position: &Position) {
        if let Some(newest) = lock(&self.newest).as_ref() {
            newest.send_replace(Some(position.clone()));
        }
    }

    /// Why a position could not be told since this was last asked.
    pub(super) fn failure(&self) -> Option<Error> {
        lock(&self.failures).try_recv().ok()
    }

    /// Waits a little for the last position to be told; nothing is told any more.
    pub(super) async fn end(&self) {
        drop(lock(&self.newest).take());
        let telling = lock(&self.telling).take();
        if let Some(telling) = telling {
            let _ = tokio::time::timeout(GRACE, telling).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
