//! The other end of the daemon's socket: how a command asks the running daemon to do what it would do itself.

use std::{path::Path, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    protocol::{Hello, Reply, Request, Status, VERSION},
    socket::address,
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::{
        name::{JobName, Member},
        unit::Record,
    },
    run::{
        RunOptions,
        event::{Observer, Outcome},
        position::Change,
    },
};

/// A daemon that listens. One request each.
pub struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    profile: String,
}

/// The daemon of a project, where one runs.
pub async fn connect(state: &Path, profile: &str) -> Option<Client> {
    let address = address(state, "daemon.sock").ok()?;
    let (reader, writer) = UnixStream::connect(&address.path).await.ok()?.into_split();
    Some(Client { lines: BufReader::new(reader).lines(), writer, profile: profile.to_owned() })
}

impl Client {
    /// How it stands.
    pub async fn status(mut self) -> Result<Status> {
        self.ask(Request::Status).await?;
        match self.answer().await? {
            Reply::Status(status) => Ok(*status),
            other => Err(strange(&other)),
        }
    }

    /// Runs members there. Cancelling asks the daemon to stop them; how they ended comes back all the same.
    pub async fn run(
        mut self,
        members: &[(JobName, Member)],
        options: &RunOptions,
        observer: &Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Outcome>> {
        self.ask(Request::Run { members: members.to_vec(), options: options.clone() }).await?;
        let mut told = false;
        loop {
            let reply = tokio::select! {
                reply = self.answer() => reply?,
                () = cancel.cancelled(), if !told => {
                    told = true;
                    // Hanging up in one direction says it; the answer comes in the other one.
                    self.writer.shutdown().await.map_err(lost)?;
                    continue;
                }
            };
            match reply {
                Reply::Event { track, event } => observer.event(&track, &event),
                Reply::Ran(ran) => return Ok(ran),
                other => return Err(strange(&other)),
            }
        }
    }

    /// Changes how far a member is.
    pub async fn change_position(
        mut self,
        job: &JobName,
        member: &Member,
        change: &Change,
    ) -> Result<Record> {
        let (job, member, change) = (job.clone(), member.clone(), change.clone());
        self.ask(Request::Position { job, member, change }).await?;
        match self.answer().await? {
            Reply::Position(record) => Ok(record),
            other => Err(strange(&other)),
        }
    }

    /// Drops dead letters; says how many.
    pub async fn drop_letters(mut self, tracks: &[String], ids: Option<&[i64]>) -> Result<u64> {
        self.ask(Request::DropLetters { tracks: tracks.to_vec(), ids: ids.map(<[i64]>::to_vec) }).await?;
        match self.answer().await? {
            Reply::Dropped(count) => Ok(count),
            other => Err(strange(&other)),
        }
    }

    async fn ask(&mut self, request: Request) -> Result<()> {
        let hello = Hello { version: VERSION, profile: self.profile.clone(), request };
        let mut text = serde_json::to_vec(&hello).map_err(|error| lost(error.into()))?;
        text.push(b'\n');
        self.writer.write_all(&text).await.map_err(lost)
    }

    async fn answer(&mut self) -> Result<Reply> {
        let line = self.lines.next_line().await.map_err(lost)?;
        let line = line.ok_or_else(|| lost(std::io::ErrorKind::UnexpectedEof.into()))?;
        match serde_json::from_str(&line) {
            Ok(Reply::Failed(failed)) => Err(failed),
            Ok(reply) => Ok(reply),
            Err(error) => Err(Error::new(ErrorKind::Unsupported, "the daemon's answer is not understood")
                .caused_by(error)
                .hint("restart the daemon with this program")),
        }
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, "the daemon of this project went away")
        .caused_by(error)
        .hint("what was committed stays; `vitrina status` shows where everything stands")
}

fn strange(reply: &Reply) -> Error {
    let kind = match reply {
        Reply::Event { .. } => "an event",
        Reply::Status(_) => "a status",
        Reply::Ran(_) => "outcomes",
        Reply::Position(_) => "a position",
        Reply::Dropped(_) => "a count",
        Reply::Failed(_) => "a failure",
    };
    Error::new(ErrorKind::Internal, format!("the daemon answered with {kind}"))
}
