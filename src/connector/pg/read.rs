//! Rows out of the server: one binary COPY, decoded as it comes.
//!
//! Nothing is read ahead of who takes the chunks: what waits is one message of the server and the chunk under construction. A stream that
//! is dropped asks the server to stop.

use std::{cell::OnceCell, pin::Pin, sync::Arc};

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::oneshot;
use tokio_postgres::CopyOutStream;

use super::{
    client::Lease,
    decode::{Fields, RowReader, Step, cell, plain},
    error::failed,
    rows::Rows,
    types::Kind,
};
use crate::connector::{
    cells::Rules,
    error::{Error, ErrorKind, Result},
    source::Chunk,
};

/// What is read, and as what.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// A SELECT of `kinds.len()` columns.
    pub(crate) select: String,
    /// What its columns are; the first ones are those of `schema`.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) schema: SchemaRef,
    pub(crate) rules: Rules,
    /// Names of the columns behind those of `schema`: they belong to the row that a dead letter keeps.
    pub(crate) others: Vec<String>,
    /// Whether no row may have them.
    pub(crate) refuses: bool,
    pub(crate) shown: String,
}

impl Query {
    /// What is sent.
    pub(crate) fn statement(&self) -> String {
        format!("COPY ({}) TO STDOUT (FORMAT binary)", self.select)
    }
}

/// Whose session it is, and what becomes of it when all was read.
enum Held {
    /// Our own: its transaction ends, and others may have it.
    Own(Lease),
    /// Lent: whoever lent it gets it back.
    Lent(Lease, oneshot::Sender<Lease>),
    /// Others have it too.
    Shared(Arc<Lease>),
}

impl Held {
    fn session(&self) -> &Lease {
        match self {
            Self::Own(lease) | Self::Lent(lease, _) => lease,
            Self::Shared(lease) => lease,
        }
    }
}

/// The rows of a query; the session's transaction ends with them.
pub(crate) async fn copy(lease: Lease, query: Query) -> Result<BoxStream<'static, Result<Chunk>>> {
    begin(Held::Own(lease), query).await
}

/// The rows of a query, and the session once they were all read.
pub(crate) async fn lend(
    lease: Lease,
    query: Query,
) -> Result<(BoxStream<'static, Result<Chunk>>, oneshot::Receiver<Lease>)> {
    let (sender, receiver) = oneshot::channel();
    Ok((begin(Held::Lent(lease, sender), query).await?, receiver))
}

/// The rows of a query over a session that others have too.
pub(crate) async fn copy_shared(
    lease: Arc<Lease>,
    query: Query,
) -> Result<BoxStream<'static, Result<Chunk>>> {
    begin(Held::Shared(lease), query).await
}

async fn begin(held: Held, query: Query) -> Result<BoxStream<'static, Result<Chunk>>> {
    // Before the statement is sent: the server may be long at work before it answers at all.
    let guard = Guard(Some(held));
    let stream = guard.copy(&query).await?;
    let reading = Reading {
        guard,
        stream: Box::pin(stream),
        reader: RowReader::default(),
        fields: vec![],
        kinds: query.kinds.clone(),
        long: vec![OnceCell::new(); query.kinds.len()],
        rows: Rows::new(query)?,
    };
    let chunks = futures::stream::try_unfold(reading, |mut reading| async move {
        let chunk = reading.chunk().await?;
        Ok(chunk.map(|chunk| (chunk, reading)))
    });
    Ok(chunks.boxed())
}

/// A session that works for us; gone when all was read. Dropped before, it asks the server to stop.
struct Guard(Option<Held>);

impl Guard {
    async fn copy(&self, query: &Query) -> Result<CopyOutStream> {
        let Some(held) = &self.0 else {
            return Err(Error::new(ErrorKind::Internal, "a session was used after its end"));
        };
        held.session().copy_out(&query.statement()).await.map_err(|error| failed(&query.shown, error))
    }
}

struct Reading {
    guard: Guard,
    stream: Pin<Box<CopyOutStream>>,
    reader: RowReader,
    fields: Fields,
    kinds: Vec<Kind>,
    /// Numbers of a row that are too long for a number, by column.
    long: Vec<OnceCell<String>>,
    rows: Rows,
}

impl Reading {
    async fn chunk(&mut self) -> Result<Option<Chunk>> {
        if self.guard.0.is_none() {
            return Ok(None);
        }
        while !self.rows.are_many() {
            match self.reader.next(self.kinds.len(), &mut self.fields) {
                Step::Row => self.take_row(),
                Step::Broken => {
                    let message = format!("{}: the server's answer is no binary COPY", self.rows.query.shown);
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
                Step::Short | Step::End => match self.stream.next().await {
                    Some(bytes) => {
                        self.reader.feed(bytes.map_err(|error| failed(&self.rows.query.shown, error))?);
                    }
                    None => {
                        self.finish().await?;
                        break;
                    }
                },
            }
        }
        self.rows.chunk()
    }

    /// Everything was read.
    async fn finish(&mut self) -> Result<()> {
        if !self.reader.ended() {
            let message = format!("{}: the server's answer broke off", self.rows.query.shown);
            return Err(Error::new(ErrorKind::Unreachable, message));
        }
        match self.guard.0.take() {
            Some(Held::Own(lease)) => {
                lease.run("COMMIT").await.map_err(|error| failed(&self.rows.query.shown, error))?;
                lease.give_back();
            }
            // Whoever lent it may be gone.
            Some(Held::Lent(lease, to)) => drop(to.send(lease)),
            Some(Held::Shared(_)) | None => {}
        }
        Ok(())
    }

    fn take_row(&mut self) {
        let Self { reader, fields, long, rows, .. } = self;
        for spelling in long.iter_mut() {
            spelling.take();
        }
        let kinds = &self.kinds;
        let bytes = |at: usize| fields[at].clone().map(|field| reader.bytes(field));
        rows.take(
            |at, column| plain(kinds[at], bytes(at)?, column),
            |at| cell(kinds[at], bytes(at), &long[at]),
        );
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(Held::Own(lease) | Held::Lent(lease, _)) = self.0.take() else {
            return;
        };
        // The session is closed in any case; without a runtime to ask through, the server notices when it next writes.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let token = lease.cancel_token();
                lease.server.cancel(token).await;
                drop(lease);
            });
        }
    }
}
