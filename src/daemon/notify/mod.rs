//! Tells webhooks what does not go as it should: once, and once more when it is over.
//!
//! A look holds the troubles of now against those that a receiver was told of. What is new or over is written down together with the notices about it, and
//! posted from there, one after another for each receiver. One that is down gets them later, in order; nothing else waits for it.

mod webhook;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::webhook::{Posted, Poster};
use super::Daemon;
use crate::{
    config::project::Project,
    connector::error::Result,
    model::trouble::{Trouble, TroubleKind},
    run::Runtime,
    state::notices::{Notice, Told},
};

/// How often it is looked where no run ends.
const LOOK: Duration = Duration::from_secs(5);
/// The least time between two looks, however many runs end.
const APART: Duration = Duration::from_secs(1);
/// Before a notice is posted again; doubled for each further failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// A notice that is older than this is given up.
const GIVE_UP: TimeDelta = TimeDelta::days(1);
/// Characters of a cause that are sent; the log has all of it.
const CAUSE: usize = 2_000;

/// Until the daemon stops.
pub(super) async fn notify(daemon: Arc<Daemon>, stop: CancellationToken) -> Result<()> {
    let mut desk = Desk { poster: Poster::new()?, known: None, unset: HashSet::new(), pace: HashMap::new() };
    let mut posts = FuturesUnordered::new();
    let mut looked = None;
    loop {
        let runtime = daemon.runtime();
        desk.meet(&runtime);
        if looked.is_none_or(|at: Instant| at.elapsed() >= APART) {
            if let Err(error) = desk.look(&runtime).await {
                tracing::warn!("what is wrong could not be told: {error}");
            }
            looked = Some(Instant::now());
        }
        for (name, notice) in desk.ready(&runtime) {
            let (poster, runtime) = (desk.poster.clone(), Arc::clone(&runtime));
            posts.push(async move {
                let posted = poster.post(runtime.project(), &name, &notice.body).await;
                (runtime, name, notice, posted)
            });
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = async { daemon.news.notified().await; tokio::time::sleep(APART).await } => {}
            () = tokio::time::sleep(LOOK.min(desk.wait())) => {}
            Some((runtime, name, notice, posted)) = posts.next(), if !posts.is_empty() => {
                desk.settle(&runtime, &name, &notice, posted);
            }
        }
    }
}

/// What is known of receivers while this daemon lives.
struct Desk {
    poster: Poster,
    /// The project that they were read of.
    known: Option<Arc<Runtime>>,
    /// Receivers whose address is not set: nobody is told.
    unset: HashSet<String>,
    pace: HashMap<String, Pace>,
}

/// When a receiver gets its next notice.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// One is on its way.
    busy: bool,
    failures: u32,
    at: Instant,
}

impl Desk {
    /// A new project may have other receivers, and other places of their addresses.
    fn meet(&mut self, runtime: &Arc<Runtime>) {
        if self.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, runtime)) {
            return;
        }
        self.unset.clear();
        let names: Vec<&str> = runtime.project().notify.keys().map(String::as_str).collect();
        if let Err(error) = runtime.history().keep_receivers(&names) {
            tracing::warn!("receivers that are gone could not be forgotten: {error}");
        }
        self.known = Some(Arc::clone(runtime));
    }

    /// Writes down what is new and what is over, with the notices about it.
    async fn look(&self, runtime: &Runtime) -> Result<()> {
        let project = runtime.project();
        if project.notify.keys().all(|name| self.unset.contains(name)) {
            return Ok(());
        }
        let (troubles, now) = (runtime.troubles().await?, runtime.clock().now());
        for (name, notify) in project.notify.iter().filter(|(name, _)| !self.unset.contains(*name)) {
            let told = runtime.history().told_of(name)?;
            let (raised, over) = news(&troubles, &told, &notify.on);
            if raised.is_empty() && over.is_empty() {
                continue;
            }
            let bodies = raised.iter().map(|trouble| failing(project, trouble, now));
            let bodies: Vec<String> =
                bodies.chain(over.iter().map(|told| recovered(project, told, now))).collect();
            let raised: Vec<Told> = raised.into_iter().map(Told::of).collect();
            let dropped = runtime.history().tell(name, &raised, &over, &bodies, now)?;
            if dropped > 0 {
                tracing::error!("{dropped} notices to `{name}` are dropped: too many wait");
            }
        }
        Ok(())
    }

    /// The next notice of each receiver that is not waited for.
    fn ready(&mut self, runtime: &Runtime) -> Vec<(String, Notice)> {
        let now = Instant::now();
        let mut ready = vec![];
        for name in runtime.project().notify.keys() {
            let pace = self.pace.entry(name.clone()).or_insert(Pace { busy: false, failures: 0, at: now });
            if pace.busy || pace.at > now || self.unset.contains(name) {
                continue;
            }
            match runtime.history().next_notice(name) {
                Ok(Some(notice)) => {
                    pace.busy = true;
                    ready.push((name.clone(), notice));
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("notices to `{name}` cannot be read: {error}"),
            }
        }
        ready
    }

    /// How long until a receiver that failed is tried again.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let waits = self.pace.values().filter(|pace| !pace.busy && pace.at > now).map(|pace| pace.at - now);
        waits.min().unwrap_or(LOOK)
    }

    /// What became of a notice.
    fn settle(&mut self, runtime: &Runtime, name: &str, notice: &Notice, posted: Posted) {
        let Some(pace) = self.pace.get_mut(name) else { return };
        pace.busy = false;
        match posted {
            Posted::Taken => {
                if pace.failures > 0 {
                    tracing::info!("`{name}` takes notices again");
                }
                (pace.failures, pace.at) = (0, Instant::now());
                end(runtime, name, notice);
            }
            Posted::Unset(why) => {
                tracing::info!("[notify.{name}] is told nothing: {why}");
                self.unset.insert(name.to_owned());
                let others = runtime.project().notify.keys().filter(|other| !self.unset.contains(*other));
                let others: Vec<&str> = others.map(String::as_str).collect();
                // Whoever sets it, and starts again, is told of what is wrong then.
                if let Err(error) = runtime.history().keep_receivers(&others) {
                    tracing::warn!("notices to `{name}` could not be forgotten: {error}");
                }
            }
            Posted::Failed(why) => {
                let wait = FIRST_WAIT.saturating_mul(1 << pace.failures.min(20)).min(LONGEST_WAIT);
                pace.failures = pace.failures.saturating_add(1);
                pace.at = Instant::now() + wait;
                // Told once until it takes notices again.
                if pace.failures == 1 {
                    tracing::warn!("a notice to `{name}` was not taken, and is posted again: {why}");
                }
                if runtime.clock().now() - notice.at > GIVE_UP {
                    tracing::error!("a notice to `{name}` is given up: it was not taken in a day: {why}");
                    end(runtime, name, notice);
                }
            }
        }
    }
}

fn end(runtime: &Runtime, name: &str, notice: &Notice) {
    if let Err(error) = runtime.history().end_notice(notice.id) {
        tracing::warn!("a notice to `{name}` may be posted twice: {error}");
    }
}

impl Told {
    fn of(trouble: &Trouble) -> Self {
        Self { kind: trouble.kind, name: trouble.name.clone(), since: trouble.since }
    }
}

/// What a receiver is to hear of: what is wrong and was not told, and what was told and is over.
fn news<'t>(troubles: &'t [Trouble], told: &[Told], on: &[TroubleKind]) -> (Vec<&'t Trouble>, Vec<Told>) {
    let same = |trouble: &Trouble, told: &Told| trouble.name == told.name && trouble.kind.is_like(told.kind);
    let raised = troubles.iter().filter(|trouble| on.contains(&trouble.kind));
    let raised = raised.filter(|trouble| !told.iter().any(|told| same(trouble, told)));
    let over = told.iter().filter(|told| !troubles.iter().any(|trouble| same(trouble, told)));
    (raised.collect(), over.cloned().collect())
}

fn failing(project: &Project, trouble: &Trouble, now: DateTime<Utc>) -> String {
    let what = match trouble.kind {
        TroubleKind::RunFailed => "failed",
        TroubleKind::CheckBlocked => "is blocked by its checks",
        TroubleKind::Stale => "is stale",
    };
    let why: String = trouble.why.chars().take(CAUSE).collect();
    let text = format!("🔴 {}: `{}` {what}: {why}", project.name, trouble.name);
    notice(
        project,
        &Told::of(trouble),
        "failing",
        now,
        &json!({ "why": why, "run": trouble.run, "text": text }),
    )
}

fn recovered(project: &Project, told: &Told, now: DateTime<Utc>) -> String {
    let text = match told.kind {
        TroubleKind::Stale => format!("🟢 {}: `{}` is fresh again", project.name, told.name),
        _ => format!("🟢 {}: `{}` no longer fails", project.name, told.name),
    };
    notice(project, told, "recovered", now, &json!({ "why": null, "run": null, "text": text }))
}

fn notice(
    project: &Project,
    told: &Told,
    state: &str,
    now: DateTime<Utc>,
    more: &serde_json::Value,
) -> String {
    json!({
        "id": uuid::Uuid::now_v7(),
        "project": project.name,
        "profile": project.profile,
        "event": told.kind,
        "state": state,
        "name": told.name,
        "since": told.since,
        "at": now,
        "why": more["why"],
        "run": more["run"],
        "text": more["text"],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(kind: TroubleKind, name: &str) -> Trouble {
        Trouble { kind, name: name.to_owned(), since: DateTime::UNIX_EPOCH, why: String::new(), run: None }
    }

    #[test]
    fn each_trouble_is_told_once_until_it_is_over() {
        use TroubleKind::{CheckBlocked, RunFailed, Stale};
        let told = |troubles: &[Trouble], told: &[(TroubleKind, &str)], on: &[TroubleKind]| {
            let told: Vec<Told> = told.iter().map(|(kind, name)| Told::of(&trouble(*kind, name))).collect();
            let (raised, over) = news(troubles, &told, on);
            let raised: Vec<String> = raised.into_iter().map(|trouble| trouble.name.clone()).collect();
            (raised, over.into_iter().map(|told| told.name).collect::<Vec<_>>())
        };
        let none = Vec::<String>::new;
        let failed = [trouble(RunFailed, "a"), trouble(Stale, "b")];
        assert_eq!(told(&failed, &[], &TroubleKind::ALL), (vec!["a".to_owned(), "b".to_owned()], none()));
        assert_eq!(told(&failed, &[(RunFailed, "a")], &[RunFailed]), (none(), none()));
        assert_eq!(told(&[], &[(RunFailed, "a")], &[RunFailed]), (none(), vec!["a".to_owned()]));
        // Failing in another way is failing still; being stale is another matter.
        assert_eq!(told(&[trouble(CheckBlocked, "a")], &[(RunFailed, "a")], &[RunFailed]), (none(), none()));
        let both = told(&[trouble(Stale, "a")], &[(RunFailed, "a")], &TroubleKind::ALL);
        assert_eq!(both, (vec!["a".to_owned()], vec!["a".to_owned()]));
    }
}
