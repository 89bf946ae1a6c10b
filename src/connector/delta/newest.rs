//! The newest snapshot of a table, as far as one sink knows it, and the turns of those who commit through it.

use tokio::sync::{Mutex, MutexGuard};

use super::{
    super::error::Result,
    group::Waiting,
    location::Location,
    table::{LastEntry, Table},
};

/// What is shared by all who write a table through one sink.
pub(super) struct Newest {
    location: Location,
    /// The newest snapshot seen, and what its log ended with. Held while the log is read on: who comes meanwhile takes what that finds.
    seen: Mutex<Option<(LastEntry, Table)>>,
    turn: Mutex<()>,
    /// Those who wait for their turn.
    pub(super) waiting: Waiting,
}

impl Newest {
    pub(super) fn new(location: Location) -> Self {
        Self { location, seen: Mutex::default(), turn: Mutex::default(), waiting: Waiting::default() }
    }

    /// The turn to commit. Windows of a mart are built side by side; without turns each of them would lose the race for the table's next version to the others, and
    /// read the log again for every race lost. Other processes are not held back.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The newest snapshot; reads only what was committed since the last look. `None` = there is no table.
    pub(super) async fn get(&self) -> Result<Option<Table>> {
        let mut seen = self.seen.lock().await;
        // Taken, and put back once it holds: where the look fails, what was remembered may be what is wrong.
        let known = match seen.take() {
            Some((last, table)) if table.last_entry().await?.as_ref() == Some(&last) => Some((last, table)),
            _ => None,
        };
        let (last, table) = match known {
            Some((last, table)) if table.is_newest().await? => (Some(last), table),
            Some((_, mut table)) => {
                table.refresh().await?;
                (table.last_entry().await?, table)
            }
            None => match self.location.open().await? {
                Some(table) => (table.last_entry().await?, table),
                None => return Ok(None),
            },
        };
        // One whose log has no end that is known is not remembered.
        *seen = last.map(|last| (last, table.clone()));
        Ok(Some(table))
    }
}
