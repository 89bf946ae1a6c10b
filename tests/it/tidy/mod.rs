//! Holds the habits that no compiler holds: who may import whom, how long files and functions are, what texts never say.

use std::path::{Path, PathBuf};

mod imports;
mod lexer;

/// Lines of a file, at most.
const FILE_LINES: usize = 500;
/// Lines of a function, at most.
const FUNCTION_LINES: usize = 70;

/// A file of the tree.
struct File {
    /// Its path from the root, with `/`.
    path: String,
    text: String,
}

#[test]
fn imports_follow_the_rules() {
    let rust = rust_files();
    let sources = rust.iter().filter_map(|file| file.path.strip_prefix("src/").map(|path| (path, file)));
    none_of(sources.flat_map(|(path, file)| imports::violations(path, &file.text)));
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    none_of(rust_files().iter().flat_map(|file| {
        let lines = file.text.lines().count();
        let long =
            (lines > FILE_LINES).then(|| format!("{}: {lines} lines, at most {FILE_LINES}", file.path));
        let mute = !file.text.starts_with("//! ");
        long.into_iter().chain(mute.then(|| format!("{}: does not begin with `//! `", file.path)))
    }));
}

#[test]
fn functions_fit_a_screen() {
    none_of(rust_files().iter().flat_map(|file| {
        let long = lexer::functions(&lexer::code_only(&file.text));
        let long = long.into_iter().filter(|function| function.lines > FUNCTION_LINES);
        long.map(|f| format!("{}:{}: `{}` has {} lines", file.path, f.line, f.name, f.lines))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn nothing_is_left_undone() {
    let marks = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    none_of(rust_files().iter().flat_map(|file| {
        let code = lexer::code_only(&file.text);
        let found = marks.iter().filter(|mark| code.contains(**mark));
        found.map(|mark| format!("{}: has {mark}", file.path)).collect::<Vec<_>>()
    }));
}

/// Where a Russian word may stand in the code of the bot and its reports: among its texts, and where it reads what people write.
const RUSSIAN: [&str; 4] =
    ["src/bot/words/texts.rs", "src/bot/said.rs", "src/bot/said/words.rs", "src/bot/stems.rs"];

#[test]
fn what_people_see_stands_among_the_texts() {
    let ours = |file: &&File| {
        ["src/bot/", "src/report/"].iter().any(|folder| file.path.starts_with(folder))
            && !file.path.contains("/tests")
            && !file.path.ends_with("/gallery.rs")
            && !RUSSIAN.contains(&file.path.as_str())
    };
    none_of(rust_files().iter().filter(ours).flat_map(|file| {
        let code = file.text.split("mod tests {").next().unwrap_or_default();
        let is_russian = |text: &str| text.chars().any(|c| matches!(c, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё'));
        let texts = lexer::texts(code).into_iter().filter(|(_, text)| is_russian(text));
        texts
            .map(|(line, text)| format!("{}:{line}: {text} belongs to src/bot/words/texts.rs", file.path))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn every_text_is_said_somewhere() {
    let rust = rust_files();
    let texts = rust.iter().find(|file| file.path == RUSSIAN[0]).unwrap();
    let (_, list) = texts.text.split_once("texts! {").unwrap();
    let keys: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("    ").filter(|line| !line.starts_with([' ', '/'])))
        .map(|line| line.trim_start_matches("@count ").trim_start_matches("@list "))
        .filter_map(|line| line.split([':', '(']).next())
        .collect();
    assert!(keys.len() > 200, "{keys:?}");
    let code: String = rust
        .iter()
        .filter(|file| file.path.starts_with("src/") && file.path != RUSSIAN[0])
        .map(|file| lexer::code_only(&file.text))
        .collect();
    let is_said = |key: &str| {
        [".", "Words::"].iter().any(|before| {
            code.match_indices(&format!("{before}{key}")).any(|(at, found)| {
                !code[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        })
    };
    none_of(keys.iter().filter(|key| !is_said(key)).map(|key| format!("the text `{key}` is never said")));
}

#[test]
fn texts_name_no_machine_and_no_workplace() {
    // Written in parts, so that this file does not name them either.
    let folders = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let words = [("issue", " #"), ("sub", "agent"), ("work", "tree"), ("coding ", "session"), ("todo", ":")];
    let words: Vec<String> = words.iter().map(|(a, b)| format!("{a}{b}")).collect();
    none_of(texts().iter().flat_map(|file| {
        let text = file.text.to_lowercase();
        let found = folders.iter().chain(&words).filter(|word| text.contains(word.as_str()));
        found.map(|word| format!("{}: says `{word}`", file.path)).collect::<Vec<_>>()
    }));
}

fn none_of(findings: impl Iterator<Item = String>) {
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn rust_files() -> Vec<File> {
    texts().into_iter().filter(|file| Path::new(&file.path).extension().is_some_and(|e| e == "rs")).collect()
}

/// Every text of the tree, without what builds and runs leave there.
fn texts() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![];
    let kept =
        ["src", "tests", "benches", "docs", "scripts", "examples", "pipelines", "marts", "reports", ".ci"];
    for name in kept {
        collect(&root.join(name), &mut found);
    }
    for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if [".md", ".toml"].iter().any(|suffix| name.ends_with(suffix)) {
            found.push(entry.path());
        }
    }
    found.sort();
    let named = |path: PathBuf| {
        let text = String::from_utf8(std::fs::read(&path).unwrap()).ok()?;
        let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        Some(File { path, text })
    };
    found.into_iter().filter_map(named).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}
