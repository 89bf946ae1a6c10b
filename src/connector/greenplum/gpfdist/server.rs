//! Where segments fetch and bring rows, and how they fetch them: each load has a path of its own, and hands each of its blocks to one of those that ask.
//!
//! Why no row is lost or doubled: a block is whole rows, and is taken from the load's queue by one connection alone. A connection that breaks
//! ends without its last frame, so its segment fails, and with it the statement that loads; a load that fails says so to every segment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};

use super::{
    protocol::{self, LONGEST_HEAD, Refusal, Request, Scan, Want},
    unload::Unloads,
};

/// Blocks that wait in a load.
const WAITING: usize = 4;
/// Connections at once: more than the segments of a large cluster in several loads.
const CONNECTIONS: usize = 4_096;
/// How long a segment may take to say what it wants.
const ASKING: Duration = Duration::from_secs(30);
/// How long a segment may take no byte of a block.
const TAKING: Duration = Duration::from_mins(10);

/// Whom segments come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Desk {
    pub(super) loads: Loads,
    pub(super) unloads: Unloads,
}

/// The loads under way, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Loads(Arc<Mutex<HashMap<String, Arc<Load>>>>);

/// Rows on their way to the segments of one scan.
#[derive(Debug)]
struct Load {
    blocks: tokio::sync::Mutex<mpsc::Receiver<Bytes>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first one that asked: no other may share its rows.
    scan: Option<Scan>,
    /// How the rows ended, once they did.
    end: Option<Result<(), String>>,
    /// Whether the last block was handed out.
    drained: bool,
}

/// The end of a load that rows are put into. Segments may ask until it is dropped; dropped before it is finished, the load has failed.
#[derive(Debug)]
pub(super) struct Feed {
    /// `None` = no more rows come.
    blocks: Option<mpsc::Sender<Bytes>>,
    load: Arc<Load>,
    path: String,
    loads: Loads,
}

impl Desk {
    /// Answers whoever connects, until it is dropped.
    pub(super) async fn serve(self, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let desk = self.clone();
                    tokio::spawn(async move {
                        // A segment that hung up fails by itself, and the load hears of it in `give`.
                        let _ = desk.answer(stream).await;
                        drop(permit);
                    });
                }
                // No more files may be open, for now.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Ok(head) = timeout(ASKING, head(&mut stream)).await else {
            return Ok(());
        };
        let (head, begun) = head?;
        let request = match Request::parse(&head) {
            Ok(request) => request,
            Err(why) => return refuse(&mut stream, why).await,
        };
        match &request.want {
            Want::Rows => match self.loads.find(&request) {
                Ok(load) => load.give(&mut stream).await?,
                Err(why) => return refuse(&mut stream, why).await,
            },
            Want::Bring(message) => {
                if message.waits {
                    stream.write_all(protocol::GO_ON).await?;
                }
                match self.unloads.take(&mut stream, begun, &request, message).await {
                    Ok(()) => stream.write_all(protocol::TAKEN).await?,
                    Err(why) => return refuse(&mut stream, why).await,
                }
            }
        }
        stream.shutdown().await
    }
}

async fn refuse(stream: &mut TcpStream, why: Refusal) -> std::io::Result<()> {
    stream.write_all(protocol::refusal(why).as_bytes()).await?;
    stream.shutdown().await
}

impl Loads {
    /// Begins a load; `None` = one is under way at this path.
    pub(super) fn open(&self, path: &str) -> Option<Feed> {
        let mut loads = lock(&self.0);
        if loads.contains_key(path) {
            return None;
        }
        let (blocks, receiver) = mpsc::channel(WAITING);
        let load = Arc::new(Load { blocks: tokio::sync::Mutex::new(receiver), state: Mutex::default() });
        loads.insert(path.to_owned(), load.clone());
        Some(Feed { blocks: Some(blocks), load, path: path.to_owned(), loads: self.clone() })
    }

    /// The load that a request shares.
    fn find(&self, request: &Request) -> Result<Arc<Load>, Refusal> {
        let load = lock(&self.0).get(&request.path).cloned();
        let load = load.ok_or(Refusal(404, "no load is under way here"))?;
        let first = lock(&load.state).scan.get_or_insert_with(|| request.scan.clone()).clone();
        if first != request.scan {
            return Err(Refusal(409, "the rows here are for another scan"));
        }
        Ok(load)
    }
}

impl Load {
    /// Gives one segment its part of the rows.
    async fn give(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let late = {
            let state = lock(&self.state);
            state.drained && state.end == Some(Ok(()))
        };
        if late {
            return stream.write_all(protocol::NOTHING).await;
        }
        stream.write_all(protocol::ROWS).await?;
        while let Some(block) = self.next().await {
            let sent = async {
                stream.write_all(&protocol::data(block.len())).await?;
                stream.write_all(&block).await
            };
            let sent =
                timeout(TAKING, sent).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            if let Err(error) = sent {
                self.fail("a segment went away".to_owned());
                return Err(error);
            }
        }
        let end = lock(&self.state).end.clone();
        match end {
            Some(Ok(())) => stream.write_all(protocol::END).await,
            Some(Err(why)) => stream.write_all(&protocol::error(&why)).await,
            None => Ok(()),
        }
    }

    async fn next(&self) -> Option<Bytes> {
        let mut blocks = self.blocks.lock().await;
        if matches!(lock(&self.state).end, Some(Err(_))) {
            return None;
        }
        let block = blocks.recv().await;
        let mut state = lock(&self.state);
        state.drained |= block.is_none();
        // What still waits in a load that failed is of no use to anybody.
        block.filter(|_| !matches!(state.end, Some(Err(_))))
    }

    fn fail(&self, why: String) {
        let mut state = lock(&self.state);
        if !matches!(state.end, Some(Err(_))) {
            state.end = Some(Err(why));
        }
    }
}

impl Feed {
    /// Puts a block of whole rows in; waits while segments are slow. `false` = the load has failed.
    pub(super) async fn put(&self, block: Bytes) -> bool {
        let failed = matches!(lock(&self.load.state).end, Some(Err(_)));
        match &self.blocks {
            Some(blocks) if !failed => blocks.send(block).await.is_ok(),
            _ => false,
        }
    }

    /// All rows are in; segments that ask from now on share what still waits.
    pub(super) fn finish(&mut self) {
        lock(&self.load.state).end.get_or_insert(Ok(()));
        self.blocks = None;
    }

    /// The rows broke off: every segment hears why.
    pub(super) fn fail(&mut self, why: &str) {
        self.load.fail(why.to_owned());
        self.blocks = None;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.blocks.is_some() {
            self.fail("the load was given up");
        }
        lock(&self.loads.0).remove(&self.path);
    }
}

/// A request's head, up to the empty line, and what came behind it.
async fn head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut head, mut byte) = (vec![], [0; 1_024]);
    loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let begun = head.split_off(end + 4);
            head.truncate(end);
            return Ok((String::from_utf8_lossy(&head).into_owned(), begun));
        }
        let count = stream.read(&mut byte).await?;
        if count == 0 || head.len() + count > LONGEST_HEAD {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&byte[..count]);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
