//! The daemon's ear: a Unix socket in the state folder that its user alone may open.

use std::{
    fs::{self, File, Permissions},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{DirBuilderExt, PermissionsExt},
            net::UnixListener as StdListener,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    Daemon,
    protocol::{Hello, Reply, Request, VERSION},
};
use crate::{
    connector::error::{Error, ErrorKind, Result},
    model::name::Track,
    run::event::{Event, Observer},
};

/// The socket's name in the state folder.
const NAME: &str = "daemon.sock";

/// Commands that are listened to at once.
const COMMANDS: usize = 64;

/// How long whoever opened the socket may take to say what it wants, and to take what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a request.
const LONGEST_REQUEST: u64 = 4 << 20;

/// Events that wait for a slow command; more are left out, since they only draw progress.
const EVENTS_WAITING: usize = 1024;

/// A path's bytes that the system takes for a socket.
const LONGEST_PATH: usize = 100;

/// A socket that is listened on.
pub(super) struct Socket(StdListener);

/// A socket's path, through an open folder where it is too long for the system.
pub(super) struct Address {
    pub path: PathBuf,
    _folder: Option<File>,
}

/// Where the daemon of a state folder listens.
pub(super) fn address(state: &Path, name: &str) -> std::io::Result<Address> {
    let path = state.join(name);
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok(Address { path, _folder: None });
    }
    let folder = File::open(state)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
    Ok(Address { path, _folder: Some(folder) })
}

/// Begins to listen. Whoever calls holds the project's lock, so a socket that is there belongs to the dead.
pub(super) fn bind(state: &Path) -> Result<Socket> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot listen on the socket {}", state.join(NAME).display());
        Error::new(ErrorKind::of_io(&error), message).caused_by(error)
    };
    let listener = bind_privately(state).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Socket(listener))
}

/// In a folder that nobody else enters, so that there is no instant at which others may open it; then to its place.
fn bind_privately(state: &Path) -> std::io::Result<StdListener> {
    const PRIVATE: &str = "daemon.sock.new";
    let private = state.join(PRIVATE);
    let _ = fs::remove_dir_all(&private);
    fs::DirBuilder::new().mode(0o700).create(&private)?;
    let address = address(&private, NAME)?;
    let listener = StdListener::bind(&address.path)?;
    fs::set_permissions(&address.path, Permissions::from_mode(0o600))?;
    fs::rename(private.join(NAME), state.join(NAME))?;
    fs::remove_dir(&private)?;
    Ok(listener)
}

impl Socket {
    /// Listens until nothing runs any more.
    pub(super) fn task(
        self,
        daemon: &Arc<Daemon>,
    ) -> impl FnMut(CancellationToken) -> BoxFuture<'static, std::io::Result<()>> + Send + 'static {
        let daemon = Arc::clone(daemon);
        move |stop| {
            let (listener, daemon) = (self.0.try_clone(), Arc::clone(&daemon));
            Box::pin(async move { listen(UnixListener::from_std(listener?)?, daemon, stop).await })
        }
    }
}

async fn listen(listener: UnixListener, daemon: Arc<Daemon>, stop: CancellationToken) -> std::io::Result<()> {
    let room = Arc::new(Semaphore::new(COMMANDS));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            Ok::<_, std::io::Error>((place, listener.accept().await?.0))
        };
        let (place, stream) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next?,
        };
        let daemon = Arc::clone(&daemon);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = hear(&daemon, stream).await {
                tracing::debug!("a command was not answered: {error}");
            }
        });
    }
    // In another one's folder lies another one's socket.
    if daemon.held.is_held() {
        let _ = fs::remove_file(daemon.runtime().project().state.join(NAME));
    }
    Ok(())
}

async fn hear(daemon: &Arc<Daemon>, stream: UnixStream) -> std::io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    let request = async { (&mut reader).take(LONGEST_REQUEST).read_line(&mut line).await };
    tokio::select! {
        () = daemon.drained.cancelled() => return Ok(()),
        request = tokio::time::timeout(PATIENCE, request) => { request??; }
    }
    // What a command asked for ends with the daemon's runs, in the same time, and its answer is waited for.
    daemon.running.track_future(give(daemon, &line, reader, writer)).await
}

/// Does what a line asks for, and answers.
async fn give(
    daemon: &Arc<Daemon>,
    line: &str,
    reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
) -> std::io::Result<()> {
    let (events, inbox) = mpsc::channel(EVENTS_WAITING);
    let cancel = daemon.stop.child_token();
    let answer = async {
        match understand(daemon, line) {
            Ok(request) => do_it(daemon, request, events, &cancel).await,
            Err(error) => Reply::Failed(error),
        }
    };
    // Whoever went away hears nothing; what it asked for ends in order all the same.
    let gone = async {
        hung_up(reader).await;
        cancel.cancel();
        std::future::pending().await
    };
    tokio::select! {
        attended = attend(&mut writer, inbox, answer) => attended,
        never = gone => never,
    }
}

/// Tells what happens while the answer comes, and then the answer. Whoever does not listen holds nothing up: the answer is work that the daemon does.
async fn attend(
    writer: &mut OwnedWriteHalf,
    mut inbox: mpsc::Receiver<Reply>,
    answer: impl Future<Output = Reply>,
) -> std::io::Result<()> {
    let done = CancellationToken::new();
    let answered = async {
        let reply = answer.await;
        done.cancel();
        reply
    };
    let (reply, told) = tokio::join!(answered, tell(writer, &mut inbox, &done));
    told?;
    send(writer, &reply).await
}

/// Passes on events until nothing more comes.
async fn tell(
    writer: &mut OwnedWriteHalf,
    inbox: &mut mpsc::Receiver<Reply>,
    done: &CancellationToken,
) -> std::io::Result<()> {
    loop {
        let event = tokio::select! {
            event = inbox.recv() => event,
            () = done.cancelled() => inbox.try_recv().ok(),
        };
        match event {
            Some(event) => send(writer, &event).await?,
            None => return Ok(()),
        }
    }
}

fn understand(daemon: &Daemon, line: &str) -> Result<Request> {
    // The version first: of another one nothing else is understood.
    let version = serde_json::from_str::<serde_json::Value>(line).ok();
    let version = version.and_then(|hello| hello["version"].as_u64());
    if version != Some(u64::from(VERSION)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the daemon that runs this project is of another version of Vitrina",
        )
        .hint("restart it with this program"));
    }
    let hello: Hello = serde_json::from_str(line).map_err(|error| {
        Error::new(ErrorKind::Unsupported, "the request is not understood").caused_by(error)
    })?;
    let profile = daemon.runtime().project().profile.clone();
    if hello.profile != profile && !matches!(hello.request, Request::Status) {
        let message =
            format!("the daemon serves profile `{profile}` of this project, not `{}`", hello.profile);
        return Err(Error::new(ErrorKind::Unsupported, message)
            .hint(format!("say --profile {profile}, or stop the daemon")));
    }
    if daemon.stop.is_cancelled() && !matches!(hello.request, Request::Status) {
        let message = "the daemon that serves this project is stopping, and begins nothing more";
        return Err(
            Error::new(ErrorKind::Busy, message).hint("try again once it has ended, or was started again")
        );
    }
    Ok(hello.request)
}

async fn do_it(
    daemon: &Arc<Daemon>,
    request: Request,
    events: mpsc::Sender<Reply>,
    cancel: &CancellationToken,
) -> Reply {
    match request {
        Request::Status => Reply::Status(Box::new(daemon.status())),
        Request::Run { members, options } => {
            let observer: Arc<dyn Observer> = Arc::new(Telling(events));
            Reply::Ran(daemon.run_by_hand(&members, &options, &observer, cancel).await)
        }
        Request::Position { job, member, change } => {
            match daemon.change_position(&job, &member, &change).await {
                Ok(record) => Reply::Position(record),
                Err(error) => Reply::Failed(error),
            }
        }
        Request::DropLetters { tracks, ids } => {
            let records = Arc::clone(daemon.runtime().records());
            let dropped =
                tokio::task::spawn_blocking(move || records.drop_letters(&tracks, ids.as_deref())).await;
            match dropped {
                Ok(Ok(count)) => Reply::Dropped(count),
                Ok(Err(error)) => Reply::Failed(error.into()),
                Err(panic) => {
                    Reply::Failed(Error::new(ErrorKind::Internal, "dropping failed").caused_by(panic))
                }
            }
        }
    }
}

/// Until the command hangs up.
async fn hung_up(mut reader: BufReader<OwnedReadHalf>) {
    let mut rest = [0; 64];
    while reader.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

async fn send(writer: &mut OwnedWriteHalf, reply: &Reply) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(reply)?;
    text.push(b'\n');
    tokio::time::timeout(PATIENCE, writer.write_all(&text)).await?
}

/// Passes on what happens, for progress bars.
struct Telling(mpsc::Sender<Reply>);

impl Observer for Telling {
    fn event(&self, track: &Track, event: &Event) {
        let _ = self.0.try_send(Reply::Event { track: track.clone(), event: event.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command that is suspended (Ctrl-Z) reads nothing.
    #[tokio::test]
    async fn whoever_does_not_listen_holds_nothing_up() {
        let (_silent, ours) = UnixStream::pair().unwrap();
        let (_reader, mut writer) = ours.into_split();
        let (events, inbox) = mpsc::channel(EVENTS_WAITING);
        let long = |count| Reply::Failed(Error::new(ErrorKind::Internal, "x".repeat(count)));
        for _ in 0..EVENTS_WAITING {
            events.try_send(long(4_096)).unwrap();
        }
        let (ended, hears) = tokio::sync::oneshot::channel();
        let answer = async move {
            // After the line is full.
            tokio::time::sleep(Duration::from_millis(200)).await;
            ended.send(()).unwrap();
            Reply::Dropped(0)
        };
        let attending = tokio::spawn(async move { attend(&mut writer, inbox, answer).await });
        tokio::time::timeout(PATIENCE / 2, hears).await.expect("the work goes on").unwrap();
        attending.abort();
    }

    #[tokio::test]
    async fn a_deep_folder_has_a_socket_too_and_it_is_its_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("очень глубоко/".repeat(8));
        fs::create_dir_all(&state).unwrap();
        // What a daemon that was killed left behind.
        fs::write(state.join(NAME), "").unwrap();
        let socket = bind(&state).unwrap();
        let mode = fs::metadata(state.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        let address = address(&state, NAME).unwrap();
        UnixStream::connect(&address.path).await.unwrap();
        drop(socket);
        assert!(UnixStream::connect(&address.path).await.is_err(), "nobody listens any more");
    }
}
