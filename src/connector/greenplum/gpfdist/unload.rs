//! Where segments bring rows: each unload has a path of its own, and takes each message of every segment once, in its order.
//!
//! Why no row is lost or doubled: a segment numbers its messages and repeats one whose answer it did not hear, so one with the last number is not taken again, and
//! any other than the next is refused, which ends the statement. A message is answered when it was passed on; so when the statement has ended, all rows that it counts are here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream, sync::mpsc, time::timeout};

use super::protocol::{Message, Refusal, Request, Scan};

/// Bytes of a message, at most: a segment's buffer, or one row that is longer.
const LONGEST: usize = 64 << 20;
/// Blocks that wait in an unload.
const WAITING: usize = 4;
/// How long a segment may be silent inside of a message.
const SILENCE: Duration = Duration::from_secs(30);

/// The unloads under way, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Unloads(Arc<Mutex<HashMap<String, Arc<Unload>>>>);

/// Rows on their way from the segments of one scan.
#[derive(Debug)]
struct Unload {
    blocks: mpsc::Sender<Bytes>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first one that brought something: no other may bring more.
    scan: Option<Scan>,
    segments: HashMap<u32, Arc<tokio::sync::Mutex<Segment>>>,
}

/// What a segment has brought.
#[derive(Debug, Default)]
struct Segment {
    /// The number of its last message.
    sequence: u64,
    /// A row whose end is in the next message.
    rest: BytesMut,
}

/// The end of an unload that rows come out of. Segments may bring some until it is dropped.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Blocks of whole rows.
    pub(super) blocks: mpsc::Receiver<Bytes>,
    unload: Arc<Unload>,
    path: String,
    unloads: Unloads,
}

impl Unloads {
    /// Begins an unload; `None` = one is under way at this path.
    pub(super) fn open(&self, path: &str) -> Option<Outlet> {
        let mut unloads = lock(&self.0);
        if unloads.contains_key(path) {
            return None;
        }
        let (sender, blocks) = mpsc::channel(WAITING);
        let unload = Arc::new(Unload { blocks: sender, state: Mutex::default() });
        unloads.insert(path.to_owned(), unload.clone());
        Some(Outlet { blocks, unload, path: path.to_owned(), unloads: self.clone() })
    }

    /// Takes a message, of which the first bytes are here.
    pub(super) async fn take(
        &self,
        stream: &mut TcpStream,
        begun: Vec<u8>,
        request: &Request,
        message: &Message,
    ) -> Result<(), Refusal> {
        // The last word of a segment may come when nobody waits for it any more.
        if message.last {
            return Ok(());
        }
        let segment = self.segment(request, message)?;
        if message.length > LONGEST {
            return Err(Refusal(413, "the message is too long"));
        }
        let body = body(stream, begun, message.length).await;
        let body = body.ok_or(Refusal(408, "the message broke off"))?;
        let unload = lock(&self.0).get(&request.path).cloned().ok_or(GONE)?;
        let mut segment = segment.lock().await;
        if message.sequence == segment.sequence {
            return Ok(());
        }
        if message.sequence != segment.sequence + 1 {
            return Err(Refusal(400, "a message is missing before this one"));
        }
        let block = segment.whole(&body);
        if !block.is_empty() {
            unload.blocks.send(block).await.map_err(|_| GONE)?;
        }
        segment.sequence = message.sequence;
        Ok(())
    }

    fn segment(
        &self,
        request: &Request,
        message: &Message,
    ) -> Result<Arc<tokio::sync::Mutex<Segment>>, Refusal> {
        let unload = lock(&self.0).get(&request.path).cloned().ok_or(GONE)?;
        let mut state = lock(&unload.state);
        if *state.scan.get_or_insert_with(|| request.scan.clone()) != request.scan {
            return Err(Refusal(409, "the rows of another scan are taken here"));
        }
        Ok(state.segments.entry(message.segment).or_default().clone())
    }
}

/// What is answered where nobody takes rows.
const GONE: Refusal = Refusal(404, "no unload is under way here");

impl Segment {
    /// The whole rows so far: a line break inside of a cell is spelled otherwise.
    fn whole(&mut self, body: &[u8]) -> Bytes {
        self.rest.extend_from_slice(body);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest.split_to(end).freeze()
    }
}

impl Outlet {
    /// Whether no segment has left half a row.
    pub(super) async fn is_whole(&self) -> bool {
        let segments: Vec<_> = lock(&self.unload.state).segments.values().cloned().collect();
        for segment in segments {
            if !segment.lock().await.rest.is_empty() {
                return false;
            }
        }
        true
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        lock(&self.unloads.0).remove(&self.path);
    }
}

/// A message's bytes; `None` = they break off.
async fn body(stream: &mut TcpStream, mut body: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    body.reserve(length.saturating_sub(body.len()));
    while body.len() < length {
        let read = timeout(SILENCE, stream.read_buf(&mut body)).await;
        if read.ok()?.ok()? == 0 {
            return None;
        }
    }
    body.truncate(length);
    Some(body)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
