//! The project's folder → trees and raw structs: the only I/O of `config`.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{
    Sources,
    env::Environment,
    live::Live,
    lock::{self, Lock},
    raw::{
        bot::{BotFile, ReportFile},
        mart::MartFile,
        pipeline::PipelineFile,
        project::ProjectFile,
    },
    schema, secret,
    tree::{self, Node, Value},
    walk,
};
use crate::model::{name::JobName, problem::Problem};

/// The files of a project, each as a tree and as its struct.
pub(crate) struct Files {
    /// The folder, absolute.
    pub(crate) root: PathBuf,
    /// Texts.
    pub(crate) sources: Sources,
    /// What is wrong with each file by itself.
    pub(crate) problems: Vec<Problem>,
    /// `vitrina.toml`.
    pub(crate) project: Option<File<ProjectFile>>,
    /// In order of name.
    pub(crate) pipelines: Vec<JobFile<PipelineFile>>,
    /// In order of name.
    pub(crate) marts: Vec<JobFile<MartFile>>,
    /// `bot.toml`, where there is one.
    pub(crate) bot: Option<File<BotFile>>,
    /// `reports/`, in order of name.
    pub(crate) reports: Vec<JobFile<ReportFile>>,
    /// What is known of outside tables, where it is asked for and right.
    pub(crate) lock: Option<Lock>,
    /// What places answered, where they were asked.
    pub(crate) live: Live,
    /// Pipelines and marts that are there and could not be read: nothing is said about who names them.
    pub(crate) unread: Vec<JobName>,
}

/// A file that could be read.
pub(crate) struct File<T> {
    /// As written, mended by `walk`.
    pub(crate) tree: Node,
    /// Typed.
    pub(crate) raw: T,
}

/// A pipeline's or mart's file.
pub(crate) struct JobFile<T> {
    /// Its path under its folder, without the suffix.
    pub(crate) name: JobName,
    /// As written, defaults filled in, mended by `walk`.
    pub(crate) tree: Node,
    /// Typed.
    pub(crate) raw: T,
}

/// Files that a project may have; past it something is wrong with the folder.
const MOST_FILES: usize = 10_000;
/// Bytes that one file may have.
const MOST_BYTES: u64 = 4 << 20;
/// Tables of a pipeline whose keys are filled in one by one from `[defaults.pipeline]`.
const MERGED: [&str; 5] = ["source", "sink", "retry", "slice", "transform"];

/// The bot's file.
const BOT: &str = "bot.toml";

/// Reads a project's folder.
pub(crate) fn read(root: &Path, environment: &Environment<'_>) -> Files {
    let mut reading = Reading::of(root);
    let mut defaults = None;
    if let Some(tree) = reading.tree(Path::new("vitrina.toml"), &schema::PROJECT) {
        let file = reading.typed(tree, &schema::PROJECT, Some(environment));
        defaults = file.as_ref().and_then(|file| file.tree.find(&["defaults", "pipeline"]).cloned());
        reading.files.project = file;
    }
    reading.files.pipelines = reading.jobs("pipelines", &schema::PIPELINE, defaults.as_ref());
    reading.files.marts = reading.jobs("marts", &schema::MART, None);
    if reading.files.root.join(BOT).exists()
        && let Some(tree) = reading.tree(Path::new(BOT), &schema::BOT)
    {
        // What only the bot needs stops nothing else: it is left out where its variable is not set.
        let unset_allowed = Environment { read: environment.read, runs: None };
        reading.files.bot = reading.typed(tree, &schema::BOT, Some(&unset_allowed));
    }
    reading.files.reports = reading.jobs("reports", &schema::REPORT, None);
    // What runs asks the tables themselves.
    if environment.runs.is_none() {
        reading.files.lock = reading.lock();
    }
    reading.files
}

/// What is known of outside tables: nothing where there is no such file; `None` where it is wrong.
pub fn read_lock(root: &Path) -> (Option<Lock>, Sources, Vec<Problem>) {
    let mut reading = Reading::of(root);
    let lock = reading.lock();
    (lock, reading.files.sources, reading.files.problems)
}

struct Reading {
    files: Files,
}

impl Reading {
    fn of(root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let files = Files {
            root,
            sources: Sources::default(),
            problems: vec![],
            project: None,
            pipelines: vec![],
            marts: vec![],
            bot: None,
            reports: vec![],
            lock: None,
            live: Live::default(),
            unread: vec![],
        };
        Self { files }
    }

    fn lock(&mut self) -> Option<Lock> {
        if !self.files.root.join(lock::FILE).exists() {
            return Some(Lock::default());
        }
        let text = self.text(Path::new(lock::FILE))?;
        let (lock, problems) = lock::read(&text);
        self.files.problems.extend(problems);
        lock
    }

    fn jobs<T: DeserializeOwned>(
        &mut self,
        folder: &str,
        schema: &Json,
        defaults: Option<&Node>,
    ) -> Vec<JobFile<T>> {
        let mut jobs = vec![];
        for path in self.list(folder) {
            let Some(name) = self.job_name(&path, folder) else { continue };
            let file = self.tree(&path, schema).and_then(|mut tree| {
                if let Some(defaults) = defaults {
                    fill_in(&mut tree, defaults);
                }
                self.typed(tree, schema, None)
            });
            match file {
                Some(File { tree, raw }) => jobs.push(JobFile { name, tree, raw }),
                None => self.files.unread.push(name),
            }
        }
        jobs
    }

    /// The tree of a file whose syntax is right. Of a file whose syntax is wrong, everything else that is wrong is told, as far as it can be seen.
    fn tree(&mut self, path: &Path, schema: &Json) -> Option<Node> {
        let text = self.text(path)?;
        let mut parsed = tree::parse(&Arc::from(path), &text);
        let broken = parsed.problems.iter().any(|problem| problem.code == "syntax");
        if broken {
            let lines: Vec<usize> =
                parsed.problems.iter().map(|problem| line_of(&text, problem.span.start)).collect();
            let unset_allowed = Environment { read: &|_| None, runs: None };
            let seen = walk::walk(&mut parsed.root, schema, Some(&unset_allowed));
            // A line that cannot be read is missing from the tree: what it would have said is not known. Nor is what an array swallowed.
            let torn = parsed.problems.iter().find(|problem| problem.message == tree::UNCLOSED_ARRAY);
            let end = torn.map_or(usize::MAX, |problem| problem.span.start);
            let clear = |problem: &Problem| {
                problem.code != "missing-key"
                    && problem.span.start < end
                    && !lines.contains(&line_of(&text, problem.span.start))
            };
            parsed.problems.extend(seen.into_iter().filter(clear));
            secret::hide(&parsed.problems, &mut self.files.sources);
        }
        self.files.problems.extend(parsed.problems);
        (!broken).then_some(parsed.root)
    }

    fn typed<T: DeserializeOwned>(
        &mut self,
        mut tree: Node,
        schema: &Json,
        environment: Option<&Environment<'_>>,
    ) -> Option<File<T>> {
        self.files.problems.extend(walk::walk(&mut tree, schema, environment));
        secret::hide(&self.files.problems, &mut self.files.sources);
        self.sql_files(&tree);
        self.message_files(&tree);
        match tree.typed() {
            Ok(raw) => Some(File { tree, raw }),
            Err(problem) => {
                self.files.problems.push(problem);
                None
            }
        }
    }

    /// Reads the files that `sql = { file = … }` names.
    fn sql_files(&mut self, node: &Node) {
        for (key, child) in node.entries() {
            let named = if key == "sql" { child.get("file") } else { None };
            if let Some((named, text)) = named.and_then(|node| Some((node, node.text()?))) {
                match beside(&node.file, text) {
                    Some(path) if self.files.root.join(&path).is_file() => {
                        self.text(&path);
                    }
                    Some(path) => self.files.problems.push(
                        named
                            .error("missing-file", format!("there is no file `{}`", path.display()))
                            .hint("the path is relative to the folder of this TOML file"),
                    ),
                    None => self
                        .files
                        .problems
                        .push(named.error("missing-file", format!("`{text}` lies outside of the project"))),
                }
            }
            self.sql_files(child);
        }
        for item in node.items() {
            self.sql_files(item);
        }
    }

    /// Reads the `.proto` files that `kafka.proto` names and what they import, so that an edit of them is one of the project. What is wrong with them is told by
    /// whoever compiles them.
    fn message_files(&mut self, node: &Node) {
        for (key, child) in node.entries() {
            let named = if key == "kafka" { child.get("proto") } else { None };
            if let Some(path) = named.and_then(Node::text).and_then(|text| beside(Path::new(""), text)) {
                self.message_file(path);
            }
            self.message_files(child);
        }
    }

    fn message_file(&mut self, named: PathBuf) {
        let mut waiting = vec![named.clone()];
        while let Some(path) = waiting.pop() {
            let known = self.files.sources.files.contains_key(&path);
            if known || !self.files.root.join(&path).is_file() {
                continue;
            }
            let Some(text) = self.text(&path) else { continue };
            // Imports lie beside the file that is named, or are named from the project's folder on.
            let places = [named.as_path(), Path::new("")];
            let found = imports(&text).flat_map(|import| places.map(|place| beside(place, import)));
            waiting.extend(found.flatten());
        }
    }

    fn text(&mut self, path: &Path) -> Option<Arc<str>> {
        if let Some(text) = self.files.sources.files.get(path) {
            return Some(text.clone());
        }
        let full = self.files.root.join(path);
        let too_big = std::fs::metadata(&full).is_ok_and(|about| about.len() > MOST_BYTES);
        let problem = match std::fs::read(&full) {
            Err(error)
                if path == Path::new("vitrina.toml") && error.kind() == std::io::ErrorKind::NotFound =>
            {
                let message = "this folder is no project: it has no vitrina.toml";
                Problem::error(path, 0..0, "no-project", message).hint("`vitrina init DIR` makes a project")
            }
            Err(error) => Problem::error(path, 0..0, "unreadable-file", format!("cannot be read: {error}")),
            Ok(_) if too_big => {
                Problem::error(path, 0..0, "unreadable-file", format!("is longer than {MOST_BYTES} bytes"))
            }
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    let text: Arc<str> = text.into();
                    self.files.sources.files.insert(path.to_owned(), text.clone());
                    return Some(text);
                }
                Err(error) => {
                    let at = error.utf8_error().valid_up_to();
                    let message = format!("is not UTF-8: byte {at} is no text");
                    Problem::error(path, 0..0, "not-text", message).hint("save it as UTF-8")
                }
            },
        };
        self.files.problems.push(problem);
        None
    }

    /// TOML files under a folder, relative to the project's, sorted; hidden ones are left out.
    fn list(&mut self, folder: &str) -> Vec<PathBuf> {
        let mut found = vec![];
        let mut folders = vec![PathBuf::from(folder)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(self.files.root.join(&folder)) else { continue };
            for entry in entries.flatten() {
                let path = folder.join(entry.file_name());
                let hidden = entry.file_name().to_string_lossy().starts_with('.');
                match entry.file_type() {
                    _ if hidden => {}
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(_) if path.extension().is_some_and(|suffix| suffix == "toml") => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        if found.len() > MOST_FILES {
            let message = format!("more than {MOST_FILES} files in {folder}: the others are left out");
            self.files.problems.push(Problem::error(&found[MOST_FILES], 0..0, "too-many-files", message));
            found.truncate(MOST_FILES);
        }
        found
    }

    fn job_name(&mut self, path: &Path, folder: &str) -> Option<JobName> {
        let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
        let good = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        };
        if let Some(parts) = parts.filter(|parts| parts.iter().all(good)) {
            return Some(JobName::new(parts.join("/")));
        }
        let message = "a file's name is the job's name: letters, digits, `_` and `-`";
        self.files.problems.push(Problem::error(path, 0..0, "bad-name", message).hint("rename the file"));
        None
    }
}

/// The path that a TOML file means by a path of its own, relative to the project's folder; `None` = outside of it.
pub(crate) fn beside(file: &Path, text: &str) -> Option<PathBuf> {
    let mut path = file.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// What a `.proto` file imports, as it is written.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    let statements = text.split([';', '\n']).map(str::trim_start);
    statements
        .filter(|statement| statement.starts_with("import"))
        .filter_map(|statement| statement.split(['"', '\'']).nth(1))
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Fills in what a pipeline's file leaves out.
fn fill_in(tree: &mut Node, defaults: &Node) {
    let Value::Table(entries) = &mut tree.value else { return };
    for (key, default) in defaults.entries() {
        match entries.get_mut(key) {
            None => {
                entries.insert(key.to_owned(), default.clone());
            }
            Some(own) if MERGED.contains(&key) => {
                if let Value::Table(own) = &mut own.value {
                    for (key, default) in default.entries() {
                        own.entry(key.to_owned()).or_insert_with(|| default.clone());
                    }
                }
            }
            Some(_) => {}
        }
    }
}
