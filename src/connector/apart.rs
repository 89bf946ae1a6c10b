//! Questions asked from where nobody may wait, as the SQL engine does when it looks a name up.

use super::error::{Error, ErrorKind, Result};

/// Waits for the answer on a thread with a runtime of its own. `place` must hold nothing that lives in another runtime: connections are begun in the one that they
/// are used in.
pub(crate) fn asked<P, T, F>(place: &P, question: F) -> Result<T>
where
    P: Sync,
    T: Send,
    F: AsyncFnOnce(&P) -> Result<T> + Send,
{
    let ask = || -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Error::new(ErrorKind::Internal, "no runtime can be made").caused_by(error))?;
        runtime.block_on(question(place))
    };
    std::thread::scope(|scope| scope.spawn(ask).join())
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "asking for names failed")))
}
