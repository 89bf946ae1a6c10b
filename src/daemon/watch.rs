//! Notices that a file of the project was edited.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::Instant};

use crate::config::Sources;

/// Editors write in several steps: this long nothing must happen, or that long something.
const QUIET: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(3);

/// Folders of a project whose files matter at any depth; of the project's own folder, and of those where else a file of the project lies, those at its top do.
const FOLDERS: [&str; 3] = ["pipelines", "marts", "reports"];

/// Files that a project is made of. Databases and workbooks beside them change all the time.
const KINDS: [&str; 6] = ["toml", "sql", "lock", "proto", "avsc", "json"];

/// Watches a project's folder.
pub(super) struct Watch {
    root: PathBuf,
    watcher: RecommendedWatcher,
    /// Folders besides, where files lie that the project names.
    others: BTreeSet<PathBuf>,
    edits: mpsc::Receiver<()>,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn start(root: &Path) -> notify::Result<Self> {
        let (sender, edits) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&event)) {
                // One is waiting already: that is enough.
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(root, RecursiveMode::NonRecursive)?;
        let mut watch = Self { root: root.to_owned(), watcher, others: BTreeSet::new(), edits };
        watch.folders();
        Ok(watch)
    }

    /// The next edit, once it seems to be over. Pending for ever where nothing can be watched any more.
    pub(super) async fn edited(&mut self) {
        if self.edits.recv().await.is_none() {
            return std::future::pending().await;
        }
        let begun = Instant::now();
        while begun.elapsed() < LONGEST && tokio::time::timeout(QUIET, self.edits.recv()).await.is_ok() {}
        self.folders();
    }

    /// Watches the folders of these files too; whether some were not watched before: their files may have been edited since they were read.
    pub(super) fn also(&mut self, sources: &Sources) -> bool {
        let folders = sources.files.keys().filter_map(|path| path.parent());
        let beside = |folder: &&Path| {
            folder.iter().next().is_some_and(|first| FOLDERS.iter().all(|known| first != *known))
        };
        let others: BTreeSet<PathBuf> = folders.filter(beside).map(|folder| self.root.join(folder)).collect();
        let mut fresh = false;
        for folder in &others {
            // Again each time: it may have been made anew.
            let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            if self.others.contains(folder) {
                continue;
            }
            match watched {
                Ok(()) => fresh = true,
                Err(error) => {
                    tracing::warn!("{} cannot be watched: {error}; SIGHUP reloads", folder.display());
                }
            }
        }
        self.others = others;
        fresh
    }

    /// Folders that are there by now.
    fn folders(&mut self) {
        for folder in FOLDERS {
            let folder = self.root.join(folder);
            if folder.is_dir()
                && let Err(error) = self.watcher.watch(&folder, RecursiveMode::Recursive)
            {
                tracing::warn!("{} cannot be watched: {error}; SIGHUP reloads", folder.display());
            }
        }
    }
}

fn matters(event: &Event) -> bool {
    let written = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
    let ours = |path: &PathBuf| match path.extension() {
        Some(kind) => KINDS.iter().any(|known| kind == *known),
        // A folder that came or went.
        None => FOLDERS.iter().any(|folder| path.iter().any(|part| part == *folder)),
    };
    written && event.paths.iter().any(ours)
}
