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

/// How long nothing is told after a position was, unless the run ends: lag tools look now and then, and many runs that follow their sources would keep places busy.
const EVERY: Duration = Duration::from_secs(5);

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
                let mut end = positions.clone();
                let _ = tokio::time::timeout(EVERY, end.wait_for(|_| false)).await;
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use datafusion::arrow::datatypes::SchemaRef;
    use futures::stream::BoxStream;

    use super::*;
    use crate::{
        connector::{error::Result, source::Chunk},
        model::{
            name::{JobName, Member},
            position::{Bound, SourceIdentity},
            unit::{SliceLimit, Unit},
            value::Value,
        },
    };

    /// Keeps what it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<Position>>);

    #[async_trait]
    impl Source for Told {
        async fn schema(&self) -> Result<SchemaRef> {
            unreachable!("nobody reads here")
        }

        async fn head(&self) -> Result<Position> {
            unreachable!("nobody reads here")
        }

        async fn plan(&self, _: Option<&Position>, _: &Position, _: SliceLimit) -> Result<Option<Unit>> {
            unreachable!("nobody reads here")
        }

        async fn read(&self, _: &Unit) -> Result<BoxStream<'static, Result<Chunk>>> {
            unreachable!("nobody reads here")
        }

        async fn committed(&self, _: &Track, position: &Position) -> Result<()> {
            lock(&self.0).push(position.clone());
            Ok(())
        }

        async fn changed(&self) {}
    }

    fn at(offset: i64) -> Position {
        let source = SourceIdentity { kind: "kafka".into(), place: "t".into(), order: "offset".into() };
        Position::single(source, Some(Bound::at(vec![Value::Int(offset)])))
    }

    #[tokio::test]
    async fn many_positions_are_told_now_and_then_and_the_last_one_at_the_end() {
        let source = Arc::new(Told::default());
        let track = Track::new("shop", &JobName::new("copy"), &Member::default());
        let reporter = Reporter::begin(source.clone(), track);
        for offset in 0..10 {
            reporter.tell(&at(offset));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(*lock(&source.0), [at(0)]);
        reporter.end().await;
        assert_eq!(*lock(&source.0), [at(0), at(9)]);
    }
}
