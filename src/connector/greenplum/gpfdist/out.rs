//! Rows of a table that segments bring to us, each its part: `INSERT INTO external SELECT …`, and what arrives while it runs.
//!
//! Why every row of the statement is there once: see [`unload`](super::unload); besides, as many rows must have arrived as the statement counts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, FusedFuture},
    stream::BoxStream,
};
use tokio::sync::oneshot;

use super::{External, Service, digest, line::Line, unload::Outlet, unserved};
use crate::connector::{
    error::{Error, ErrorKind, Result},
    greenplum::sql,
    pg::{Bulk, Lease, Query, Rows, Table, failed},
    source::Chunk,
};

/// Reads whole tables by letting segments bring the rows.
pub(in crate::connector::greenplum) struct Brought {
    service: Arc<Service>,
}

impl Brought {
    pub(in crate::connector::greenplum) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

#[async_trait]
impl Bulk for Brought {
    async fn lend(
        &self,
        lease: Lease,
        query: Query,
        table: &Table,
    ) -> Result<(BoxStream<'static, Result<Chunk>>, oneshot::Receiver<Lease>)> {
        let shown = query.shown.clone();
        if lease.product.greenplum.is_none() {
            return Err(unserved(&lease, &shown, "read", "unload"));
        }
        let width = query.kinds.len();
        let key = digest(&format!("unload {} {} {width}", table.schema, table.name));
        let path = self.service.path(&key);
        let location = self.service.location(&path);
        let external = External::writable(&lease.server.config.schema, &key, width, &location);
        let table = external.made(&lease.server, &shown).await?;
        let Some(outlet) = self.service.desk().await?.unloads.open(&path) else {
            let message = format!("{shown}: another run reads it by gpfdist just now");
            return Err(Error::new(ErrorKind::Busy, message));
        };
        let statement = sql::unload(&table, width, &query.select);
        let insert = async move {
            let count = lease.run(&statement).await.map_err(|error| failed(&shown, error))?;
            Ok((count, lease))
        };
        let (back, returned) = oneshot::channel();
        Ok((gather(outlet, query, insert.boxed(), back)?, returned))
    }
}

/// The rows that arrive while the statement runs; when all are there, what it was run by is given back.
pub(super) fn gather<L: Send + 'static>(
    outlet: Outlet,
    query: Query,
    insert: BoxFuture<'static, Result<(u64, L)>>,
    back: oneshot::Sender<L>,
) -> Result<BoxStream<'static, Result<Chunk>>> {
    let rows = Rows::new(query)?;
    let gathering = Gathering {
        outlet,
        rows,
        insert: insert.fuse(),
        counted: None,
        block: Bytes::new(),
        line: Line::default(),
        back: Some(back),
    };
    let chunks = futures::stream::try_unfold(gathering, |mut gathering| async move {
        let chunk = gathering.chunk().await?;
        Ok(chunk.map(|chunk| (chunk, gathering)))
    });
    Ok(chunks.boxed())
}

/// Rows on their way. Dropped, its session is closed, and segments that still bring rows are refused, which ends the statement.
struct Gathering<L> {
    outlet: Outlet,
    rows: Rows,
    insert: futures::future::Fuse<BoxFuture<'static, Result<(u64, L)>>>,
    /// What the statement counted, once it has ended, and what it was run by.
    counted: Option<(u64, L)>,
    /// Lines that were not taken yet.
    block: Bytes,
    line: Line,
    /// `None` = all was read.
    back: Option<oneshot::Sender<L>>,
}

impl<L> Gathering<L> {
    async fn chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            self.take_lines()?;
            if self.rows.are_many() || self.back.is_none() {
                return self.rows.chunk();
            }
            match self.next().await? {
                Some(block) => self.block = block,
                None => self.finish().await?,
            }
        }
    }

    /// The next block; `None` = all are here.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if !self.insert.is_terminated() {
            tokio::select! {
                biased;
                Some(block) = self.outlet.blocks.recv() => return Ok(Some(block)),
                counted = &mut self.insert => self.counted = Some(counted?),
            }
        }
        // A message is answered when it was passed on: what the statement wrote is here.
        Ok(self.outlet.blocks.try_recv().ok())
    }

    fn take_lines(&mut self) -> Result<()> {
        let query = self.rows.query.clone();
        while !self.rows.are_many() && !self.block.is_empty() {
            let end = self.block.iter().position(|byte| *byte == b'\n').unwrap_or(self.block.len() - 1);
            let line = self.block.split_to(end + 1);
            if !self.line.read(&line[..end], &query.kinds) {
                let message = format!("{}: what a segment brought is no row of this table", query.shown);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            let line = &self.line;
            self.rows.take(|_, _| None, |at| line.cell(at, query.kinds[at]));
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        let (Some((counted, lease)), Some(back)) = (self.counted.take(), self.back.take()) else {
            return Ok(());
        };
        let taken = self.rows.taken();
        if counted != taken || !self.outlet.is_whole().await {
            let shown = &self.rows.query.shown;
            let message =
                format!("{shown}: segments brought {taken} rows, and the statement counts {counted}");
            return Err(Error::new(ErrorKind::Unreachable, message).hint("it is read again"));
        }
        // Whoever lent it may be gone.
        drop(back.send(lease));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::AsArray,
        datatypes::{DataType, Field, Int64Type, Schema},
    };
    use futures::{FutureExt, TryStreamExt};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::connector::{cells::Rules, greenplum::gpfdist::server::Desk, pg::Kind};

    async fn desk() -> (Desk, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let desk = Desk::default();
        tokio::spawn(desk.clone().serve(listener));
        (desk, port)
    }

    fn query() -> Query {
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
        Query {
            select: String::new(),
            kinds: vec![Kind::Int8, Kind::Text],
            schema: Arc::new(Schema::new(fields)),
            rules: Rules::default(),
            others: vec![],
            refuses: false,
            shown: "table".to_owned(),
        }
    }

    fn head(scan: u32, segment: u32, more: &str, length: usize) -> String {
        format!(
            "POST /out HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nX-GP-XID: 1700000000-0000000042\r\nX-GP-CID: 0\r\nX-GP-SN: {scan}\r\n\
             X-GP-SEGMENT-ID: {segment}\r\nX-GP-SEGMENT-COUNT: 3\r\nX-GP-PROTO: 0\r\n{more}Content-Type: text/xml\r\nContent-Length: {length}\r\n\r\n"
        )
    }

    /// What is answered to a message; the status.
    async fn post(port: u16, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut answer = vec![];
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()[9..12].to_owned()
    }

    async fn bring(port: u16, segment: u32, sequence: u64, body: &str) -> String {
        post(port, &head(7, segment, &format!("X-GP-SEQ: {sequence}\r\n"), body.len()), body).await
    }

    async fn done(port: u16, segment: u32, sequence: u64) -> String {
        post(port, &head(7, segment, &format!("X-GP-SEQ: {sequence}\r\nX-GP-DONE: 1\r\n"), 0), "").await
    }

    /// A segment's rows in messages that end anywhere, each sent twice.
    async fn segment(port: u16, segment: u32, rows: std::ops::Range<i64>) -> u64 {
        assert_eq!(bring(port, segment, 1, "").await, "200");
        let lines: String = rows.clone().map(|id| format!("{id}\tстрока\\n{id}\n")).collect();
        let mut sequence = 1;
        for part in lines.as_bytes().chunks(4_001) {
            sequence += 1;
            // Whole characters: the text is sent as one.
            for _ in 0..2 {
                let more = format!("X-GP-SEQ: {sequence}\r\n");
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                stream.write_all(head(7, segment, &more, part.len()).as_bytes()).await.unwrap();
                stream.write_all(part).await.unwrap();
                let mut answer = vec![];
                stream.read_to_end(&mut answer).await.unwrap();
                assert!(answer.starts_with(b"HTTP/1.0 200 ok\r\n"));
            }
        }
        assert_eq!(done(port, segment, sequence).await, "200");
        (rows.end - rows.start).unsigned_abs()
    }

    async fn gathered(
        outlet: Outlet,
        insert: impl Future<Output = Result<(u64, &'static str)>> + Send + 'static,
    ) -> Result<(Vec<Chunk>, Option<&'static str>)> {
        let (back, mut returned) = oneshot::channel();
        let chunks = gather(outlet, query(), insert.boxed(), back)?.try_collect().await?;
        Ok((chunks, returned.try_recv().ok()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_row_of_every_segment_is_there_once() {
        let (desk, port) = desk().await;
        for _ in 0..2 {
            let insert = async move {
                let parts = [
                    segment(port, 0, 0..9_000),
                    segment(port, 1, 9_000..9_001),
                    segment(port, 2, 9_001..20_000),
                ];
                Ok((futures::future::join_all(parts).await.into_iter().sum(), "lease"))
            };
            let (chunks, back) = gathered(desk.unloads.open("/out").unwrap(), insert).await.unwrap();
            assert_eq!(back, Some("lease"), "the session is given back");
            let mut ids: Vec<i64> = vec![];
            for (at, chunk) in chunks.iter().enumerate() {
                assert!(chunk.bad.is_empty());
                assert_eq!(chunk.ordinals.value(0), ids.len() as u64, "chunk {at}");
                let own = chunk.batch.column(0).as_primitive::<Int64Type>().values();
                let texts = chunk.batch.column(1).as_string::<i32>().iter();
                assert!(own.iter().zip(texts).all(|(id, text)| text == Some(&format!("строка\n{id}"))));
                ids.extend(own);
            }
            ids.sort_unstable();
            assert_eq!(ids, (0..20_000).collect::<Vec<_>>());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_count_that_does_not_agree_is_tried_again() {
        let (desk, port) = desk().await;
        for (body, counted) in [("1\ta\n", 2), ("1\ta\n2", 1)] {
            let insert = async move {
                assert_eq!(bring(port, 0, 1, "").await, "200");
                assert_eq!(bring(port, 0, 2, body).await, "200");
                Ok((counted, "lease"))
            };
            let error = gathered(desk.unloads.open("/out").unwrap(), insert).await.unwrap_err();
            assert!(
                error.kind.policy().retry && error.to_string().contains("segments brought 1 rows"),
                "{error}"
            );
        }
        let denied = async { Err(Error::new(ErrorKind::Denied, "no right to do so")) };
        let error = gathered(desk.unloads.open("/out").unwrap(), denied).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        let strange = async move {
            bring(port, 0, 1, "1\ta\tb\n").await;
            Ok((1, "lease"))
        };
        let error = gathered(desk.unloads.open("/out").unwrap(), strange).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Corrupt);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_out_of_order_is_refused() {
        let (desk, port) = desk().await;
        assert_eq!(bring(port, 0, 1, "").await, "404");
        assert_eq!(done(port, 0, 1).await, "200", "its last word may be late");
        let mut outlet = desk.unloads.open("/out").unwrap();
        assert!(desk.unloads.open("/out").is_none(), "one unload at a path");
        assert_eq!(bring(port, 0, 2, "1\ta\n").await, "400", "the first one is missing");
        assert_eq!(bring(port, 0, 1, "1\ta\n").await, "200");
        assert_eq!(bring(port, 0, 3, "3\tc\n").await, "400");
        assert_eq!(bring(port, 0, 2, "2\tb\n").await, "200");
        assert_eq!(bring(port, 0, 1, "1\ta\n").await, "400", "an older one than the last");
        assert_eq!(post(port, &head(8, 0, "X-GP-SEQ: 1\r\n", 0), "").await, "409", "another scan");
        assert_eq!(outlet.blocks.recv().await.unwrap(), "1\ta\n");
        assert_eq!(outlet.blocks.recv().await.unwrap(), "2\tb\n");
        drop(outlet);
        assert_eq!(bring(port, 0, 3, "3\tc\n").await, "404");
    }

    /// Curl asks before it sends much.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_segment_that_waits_is_told_to_go_on() {
        let (desk, port) = desk().await;
        let mut outlet = desk.unloads.open("/out").unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let asks = head(7, 0, "X-GP-SEQ: 1\r\nExpect: 100-continue\r\n", 4);
        stream.write_all(asks.as_bytes()).await.unwrap();
        let mut told = [0; 25];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"1\ta\n").await.unwrap();
        assert_eq!(outlet.blocks.recv().await.unwrap(), "1\ta\n");
    }
}
