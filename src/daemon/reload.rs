//! Takes an edited project over: read and checked whole, then swapped at once, or left as it was.
//!
//! Runs that go end with the project that they began with; runs that follow their sources end at a slice's edge and begin again with
//! the new one. A bad edit changes nothing, and is told until it is mended.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, PoisonError},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use super::{Daemon, lock, manager, protocol::Stale, watch::Watch};
use crate::{
    config::{Loaded, Sources, draw, project::Project},
    model::problem::Severity,
    run::Runtime,
};

/// Until the daemon stops: at each SIGHUP, and each time a file was edited.
pub(super) async fn reload(daemon: Arc<Daemon>, stop: CancellationToken, begun: u64) -> std::io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut watch = Watch::start(&daemon.root)
        .inspect_err(|error| tracing::warn!("files are not watched: {error}; SIGHUP reloads"))
        .ok();
    let mut known = begun;
    let mut again = true;
    loop {
        let edited = async {
            match &mut watch {
                Some(watch) => watch.edited().await,
                None => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = hang_up.recv() => true,
            () = std::future::ready(()), if std::mem::take(&mut again) => false,
            () = edited => false,
        };
        let reading = Arc::clone(&daemon);
        let loaded = spawn_blocking(move || (reading.load)()).await?;
        again = watch.as_mut().is_some_and(|watch| watch.also(&loaded.sources));
        let found = digest(&loaded.sources);
        if asked || found != known {
            known = found;
            manager::reloading();
            let taking = Arc::clone(&daemon);
            spawn_blocking(move || taking.take(loaded)).await?;
            manager::ready(&daemon);
        }
    }
}

impl Daemon {
    /// Swaps the project, or says why not.
    fn take(self: &Arc<Self>, loaded: Loaded) {
        let problems: Vec<String> = loaded
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| draw::line(problem, &loaded.sources))
            .collect();
        let taken = match loaded.project {
            None => Err(problems),
            Some(project) => self.swap(Arc::new(project)).map_err(|why| vec![why]),
        };
        match taken {
            Ok(what) => {
                *lock(&self.stale) = None;
                tracing::info!("the edited project is taken over: {what}");
            }
            Err(problems) => {
                tracing::error!("the edited project is not taken over: it has problems; the old one goes on");
                for problem in &problems {
                    tracing::error!("{problem}");
                }
                *lock(&self.stale) = Some(Stale { since: self.clock.now(), problems });
            }
        }
        self.wake.notify_one();
    }

    fn swap(self: &Arc<Self>, project: Arc<Project>) -> Result<String, String> {
        let old = self.runtime();
        keeps_its_place(old.project(), &project)?;
        let (gate, clock) = (Arc::clone(&self.gate), Arc::clone(&self.clock));
        let runtime =
            Runtime::open_behind(gate, Arc::clone(&project), clock).map_err(|error| error.to_string())?;
        let what = changed(old.project(), &project);
        {
            let mut board = self.board();
            *board = board.reloaded(&project, runtime.lineage(), self.clock.now());
            *self.runtime.write().unwrap_or_else(PoisonError::into_inner) = runtime;
        }
        self.gate.allow(project.parallel);
        for cancel in lock(&self.following).values() {
            cancel.cancel();
        }
        self.keep();
        self.suspects.all();
        Ok(what)
    }
}

/// What cannot change under a running daemon.
fn keeps_its_place(old: &Project, new: &Project) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what} cannot change while the daemon runs: restart it"));
    if old.name != new.name {
        return wrong("`name` in [project]");
    }
    if old.state != new.state {
        return wrong("`state` in [daemon]");
    }
    if old.listen != new.listen {
        return wrong("`listen` in [daemon]");
    }
    Ok(())
}

/// What came, went and was changed, in words.
fn changed(old: &Project, new: &Project) -> String {
    let jobs = |project: &Project| -> BTreeMap<String, String> {
        let pipelines =
            project.pipelines.iter().map(|(name, pipeline)| (name.to_string(), format!("{pipeline:?}")));
        let marts = project.marts.iter().map(|(name, mart)| (name.to_string(), format!("{mart:?}")));
        pipelines.chain(marts).collect()
    };
    let (before, after) = (jobs(old), jobs(new));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let told: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (before.get(name), after.get(name)) {
            (None, _) => Some(format!("+ {name}")),
            (_, None) => Some(format!("- {name}")),
            (old, new) if old != new => Some(format!("~ {name}")),
            _ => None,
        })
        .collect();
    if told.is_empty() { "pipelines and marts are as they were".to_owned() } else { told.join(", ") }
}

pub(super) fn digest(sources: &Sources) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (path, text) in &sources.files {
        (path, text).hash(&mut hasher);
    }
    hasher.finish()
}
