//! The bytes of a file, unpacked, for work that blocks.

use std::io::{self, BufReader, Read};

use bytes::{Buf as _, Bytes};
use flate2::read::MultiGzDecoder;
use futures::StreamExt as _;
use object_store::{GetResultPayload, ObjectStoreExt as _};
use tokio::sync::mpsc;

use super::{
    super::error::{ErrorKind, Result},
    config::Compression,
    place::Table,
};

/// Pieces that wait to be read.
const WAITING: usize = 4;
/// Bytes that are read from a file at once.
const BUFFER: usize = 256 << 10;

/// A file's bytes.
pub(super) type Input = Box<dyn Read + Send>;

/// Begins to read a file.
pub(super) async fn open(table: &Table, path: &str, packed: Option<Compression>) -> Result<Input> {
    let got = table.store.get(&table.path(path)?).await;
    let got = got.map_err(|error| table.failed(format!("`{path}` cannot be read"), error))?;
    let plain: Input = match got.payload {
        GetResultPayload::File(file, _) => Box::new(BufReader::with_capacity(BUFFER, file)),
        GetResultPayload::Stream(mut stream) => {
            let (send, receive) = mpsc::channel(WAITING);
            tokio::spawn(async move {
                while let Some(piece) = stream.next().await {
                    if send.send(piece.map_err(io::Error::other)).await.is_err() {
                        return; // Nobody reads on.
                    }
                }
            });
            Box::new(Pieces { receive, piece: Bytes::new() })
        }
    };
    Ok(match packed {
        None => plain,
        Some(Compression::Gz) => Box::new(MultiGzDecoder::new(plain)),
        Some(Compression::Zst) => Box::new(zstd::Decoder::new(plain).map_err(|error| {
            table.error(ErrorKind::Internal, "Zstandard cannot be unpacked").caused_by(error)
        })?),
    })
}

/// What comes over the network, piece by piece.
struct Pieces {
    receive: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receive.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let taken = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..taken]);
        Ok(taken)
    }
}
