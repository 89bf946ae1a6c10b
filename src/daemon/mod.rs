//! The process that runs a project by itself: it builds everything once, owns the long-lived tasks, reloads, and stops in order.
//!
//! - `conductor` begins what the [`board`] says is due, and tells it how runs end;
//! - `reload` takes an edited project over, whole or not at all;
//! - `socket` lets commands act through this process, so that two never write at once;
//! - `health` tells over HTTP how it is, `manager` tells systemd;
//! - `notify` tells webhooks what goes wrong, `rebuild` looks for stale windows.
//!
//! Another task is one line in [`serve`]: `tasks.spawn("bot", daemon.task(bot::run))`. It asks [`Daemon::runtime`] for the project as it is
//! now, and runs members by [`Daemon::run_by_hand`], where each takes its turn.

mod alarm;
mod board;
mod bot;
mod by_hand;
pub mod client;
mod conductor;
mod health;
mod manager;
mod notify;
pub mod protocol;
mod rebuild;
mod reload;
mod socket;
mod tasks;
mod watch;
mod watching;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    board::Board,
    protocol::{Stale, Status},
};
pub use self::{
    board::{SlotState, SlotView},
    tasks::{TaskState, Tasks},
    watching::Going,
};
use crate::{
    config::{Loaded, Sources, project::Project},
    connector::error::{Error, ErrorKind, Result},
    model::time::Clock,
    run::{Runtime, gate::Gate},
    state::lock::LockPlace,
};

/// How long tasks other than runs may take to end.
const TASK_GRACE: Duration = Duration::from_secs(5);

/// How much longer than its grace a run that was told to stop is waited for: a commit that was begun is seen to its end.
const COMMIT_GRACE: Duration = Duration::from_secs(5);

/// A daemon that did not look at its board for this long hangs.
const HANGS: TimeDelta = TimeDelta::minutes(1);

/// What a daemon is made of.
pub struct Settings {
    /// The checked project.
    pub project: Arc<Project>,
    /// What it was made of.
    pub files: Sources,
    /// Reads the project's files anew.
    pub load: Box<dyn Fn() -> Loaded + Send + Sync>,
    /// Where the project's lock lies, which the caller holds.
    pub held: LockPlace,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What the daemon's tasks share.
pub struct Daemon {
    clock: Arc<dyn Clock>,
    load: Box<dyn Fn() -> Loaded + Send + Sync>,
    root: PathBuf,
    since: DateTime<Utc>,
    runtime: RwLock<Arc<Runtime>>,
    gate: Arc<Gate>,
    board: Mutex<Board>,
    /// Held while what changed on the board is written, so that nothing older overwrites it.
    keeping: Mutex<()>,
    /// Whoever changed something wakes the conductor.
    wake: Arc<Notify>,
    /// A run has ended: whoever tells of failures looks.
    news: Notify,
    suspects: rebuild::Suspects,
    /// Cancelled once: nothing is begun any more, and what runs ends.
    stop: CancellationToken,
    held: LockPlace,
    /// Cancelled once the lock is another's.
    lost: CancellationToken,
    running: TaskTracker,
    /// Runs that follow their sources, by name: how they are told to end.
    following: Mutex<HashMap<String, CancellationToken>>,
    going: Mutex<watching::AllGoing>,
    stale: Mutex<Option<Stale>>,
    looked_at: AtomicI64,
    /// They end with `stop`.
    tasks: Tasks,
    /// Cancelled once runs and tasks have ended: nobody is answered any more.
    drained: CancellationToken,
    /// What tells how the daemon is, also while it stops. They end with `drained`.
    listeners: Tasks,
}

/// Runs a project until it is told to stop.
pub async fn serve(settings: Settings) -> Result<()> {
    // First of all: who is told to stop while still starting ends in order too.
    let told_to_stop = stop_signal()?;
    let listen = settings.project.listen;
    // What is edited from here on is noticed, also before the files are watched.
    let begun = reload::digest(&settings.files);
    let daemon = Daemon::build(settings)?;
    let health = listen.map(bind).transpose()?;
    let socket = socket::bind(&daemon.runtime().project().state)?;
    let tasks = daemon.tasks.clone();
    daemon.listeners.spawn("socket", socket.task(&daemon));
    tasks.spawn("conductor", daemon.task(conductor::conduct));
    tasks.spawn("reload", daemon.task(move |daemon, stop| reload::reload(daemon, stop, begun)));
    tasks.spawn("manager", daemon.task(manager::beat));
    tasks.spawn("bot", daemon.task(bot::serve));
    tasks.spawn("rebuild", daemon.task(rebuild::rebuild));
    tasks.spawn("notify", daemon.task(notify::notify));
    if let Some(health) = health {
        daemon.listeners.spawn("health", health::task(&daemon, health));
    }
    daemon.announce(listen);
    manager::ready(&daemon);
    let lost = tokio::select! {
        () = told_to_stop => false,
        () = daemon.lost.cancelled() => true,
    };
    daemon.end().await;
    if lost { Err(lock_lost()) } else { Ok(()) }
}

impl Daemon {
    fn build(settings: Settings) -> Result<Arc<Self>> {
        let Settings { project, load, held, clock, .. } = settings;
        let (now, gate) = (clock.now(), Gate::new(project.parallel));
        let runtime = Runtime::open_behind(Arc::clone(&gate), Arc::clone(&project), Arc::clone(&clock))?;
        // What is lost with the history is only what was missed while nobody looked.
        let known = runtime.history().standings().unwrap_or_else(|error| {
            tracing::warn!("schedules begin anew: {error}");
            vec![]
        });
        let board = Board::new(&project, runtime.lineage(), known, now);
        let (stop, drained) = (CancellationToken::new(), CancellationToken::new());
        Ok(Arc::new(Self {
            clock,
            load,
            root: project.root.clone(),
            since: now,
            runtime: RwLock::new(runtime),
            gate,
            board: Mutex::new(board),
            keeping: Mutex::default(),
            wake: Arc::default(),
            news: Notify::new(),
            suspects: rebuild::Suspects::default(),
            tasks: Tasks::new(stop.clone()),
            stop,
            listeners: Tasks::new(drained.clone()),
            drained,
            held,
            lost: CancellationToken::new(),
            running: TaskTracker::new(),
            following: Mutex::default(),
            going: Mutex::default(),
            stale: Mutex::default(),
            looked_at: AtomicI64::new(now.timestamp()),
        }))
    }

    /// The project as it is now, opened: what is begun with it ends with it, whatever is edited meanwhile.
    pub fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let now = self.clock.now();
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since,
            profile: self.runtime().project().profile.clone(),
            healthy: self.is_healthy(),
            stopping: self.stop.is_cancelled(),
            stale: lock(&self.stale).clone(),
            tasks: self.tasks.states().into_iter().chain(self.listeners.states()).collect(),
            members: self.board().view(now),
            going: lock(&self.going).clone(),
        }
    }

    /// Whether it does what it is there for. Once it was told to stop that is to end, for which it has a time of its own.
    fn is_healthy(&self) -> bool {
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        self.stop.is_cancelled() || self.clock.now().timestamp() - looked_at < HANGS.num_seconds()
    }

    fn is_ready(&self) -> bool {
        self.is_healthy() && !self.stop.is_cancelled()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    /// A task that is given the daemon, and the token that tells it to end.
    fn task<F, W>(self: &Arc<Self>, work: F) -> impl FnMut(CancellationToken) -> W + Send + 'static
    where
        F: Fn(Arc<Self>, CancellationToken) -> W + Send + 'static,
    {
        let daemon = Arc::clone(self);
        move |stop| work(Arc::clone(&daemon), stop)
    }

    fn announce(&self, listen: Option<SocketAddr>) {
        let runtime = self.runtime();
        let project = runtime.project();
        let scheduled = project.jobs().filter(|info| info.schedule.is_some()).count();
        let jobs = project.jobs().count();
        let health = listen.map_or(String::new(), |listen| format!("; health at http://{listen}/health"));
        tracing::info!(
            "serving `{}` (profile {}): {scheduled} of {jobs} pipelines and marts run by themselves{health}",
            project.name,
            project.profile
        );
    }

    /// Begins nothing more, and tells so to whoever asks; runs may finish their slices, and what is not committed in time is rolled back by being dropped.
    async fn end(&self) {
        let grace = self.runtime().project().grace;
        manager::stopping();
        tracing::info!("stopping: {} runs have {} s to finish", self.running.len(), grace.as_secs());
        self.stop.cancel();
        self.running.close();
        let late = tokio::time::timeout(grace + COMMIT_GRACE, self.running.wait()).await.is_err();
        if late {
            tracing::warn!(
                "{} runs did not end in time: what they had not committed is rolled back",
                self.running.len()
            );
        }
        self.tasks.ended(TASK_GRACE).await;
        self.drained.cancel();
        self.listeners.ended(TASK_GRACE).await;
        self.keep();
        tracing::info!("stopped");
    }
}

/// Listens from now on, and resolves at the first SIGTERM or Ctrl-C; a second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Io, "cannot listen to signals").caused_by(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // One that comes before the reload listens must not end the process; what was edited by then is seen all the same.
    drop(signal(SignalKind::hangup()).map_err(failed)?);
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("stopped at once: what was not committed is rolled back");
            // What is staged was never visible.
            std::process::exit(130);
        });
    })
}

fn lock_lost() -> Error {
    let message = "the state folder was deleted or replaced while the daemon ran: its lock keeps no other daemon away any more";
    Error::new(ErrorKind::Conflict, message)
        .hint("start it again; to begin with an empty state folder stop the daemon first")
}

fn bind(listen: SocketAddr) -> Result<std::net::TcpListener> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::of_io(&error), format!("cannot listen on {listen}"))
            .caused_by(error)
            .hint("`listen` in [daemon] must be an address of this machine that nothing else listens on")
    };
    let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No change of ours is left half done by a panic: each is one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
