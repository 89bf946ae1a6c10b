//! `init`: a project that passes `check` and runs.

use std::path::{Path, PathBuf};

use super::{
    context::{Context, PROJECT_FILE},
    failure::{Failure, Result},
    output::{self, counted},
};
use crate::project_template::{self, File};

const EXAMPLES: &str = "\
Examples:
  vitrina init reports                           sales people at work: regions, made-up rows, dashboards
  vitrina init reports --template premier        an online cinema: subscriptions, views, marts of them
  vitrina init reports --template empty          one source, one pipeline, one workbook, with comments
  vitrina --project reports check                then: does it hold?";

/// Options of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The project's folder; made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// What to begin with
    #[arg(long, value_enum, default_value_t)]
    template: Template,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Template {
    /// Sales people at work: bot databases → message log → warehouse → Excel dashboards
    #[default]
    Crm,
    /// An online cinema: platform → analytics → marts → Excel dashboards
    Premier,
    /// One made-up source, one pipeline, one workbook
    Empty,
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result {
    let template = match args.template {
        Template::Crm => project_template::Template::Crm,
        Template::Premier => project_template::Template::Premier,
        Template::Empty => project_template::Template::Empty,
    };
    let files = named(project_template::files(template), &project_name(&args.folder));
    write_project(&args.folder, &files)?;
    let made = counted(files.len() as u64, "file");
    context.output.say(&format!("{made} written to {}", args.folder.display()));
    let program = program();
    let folder = args.folder.display();
    output::print(&format!(
        "Try next:\n  {program} --project {folder} check\n  {program} --project {folder} run --all"
    ))
}

/// Writes a project's files; a file that is there already stops it before anything is written.
pub(super) fn write_project(folder: &Path, files: &[File]) -> Result {
    if let Some((path, _)) = files.iter().find(|(path, _)| folder.join(path).exists()) {
        return Err(Failure::usage(format!("{} is there already", folder.join(path).display()))
            .hint("choose another folder; nothing was written"));
    }
    for (path, text) in files {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|error| Failure::file("cannot make", parent, &error))?;
        std::fs::write(&file, text).map_err(|error| Failure::file("cannot write", &file, &error))?;
    }
    Ok(())
}

/// How the user called us, for commands to copy.
pub(super) fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "vitrina".to_owned())
}

/// A project's name from its folder's: what a name may hold is kept, the rest becomes `_`.
fn project_name(folder: &Path) -> String {
    let last = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let kept: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    let kept = kept.trim_matches('_');
    if kept.starts_with(|c: char| c.is_ascii_alphabetic()) { kept.to_owned() } else { "project".to_owned() }
}

/// The files with a name of its own for the project: two of one name could not share a database.
fn named(mut files: Vec<File>, name: &str) -> Vec<File> {
    let project = files.iter_mut().filter(|(path, _)| *path == PROJECT_FILE);
    for (_, text) in project {
        let Some(begin) = text.find("\nname = \"").map(|at| at + "\nname = \"".len()) else { continue };
        let Some(length) = text[begin..].find('"') else { continue };
        text.replace_range(begin..begin + length, name);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_names_come_from_folders() {
        let names =
            ["Мой-проект", "my-shop", "/tmp/Shop 2", "2026", "."].map(|name| project_name(Path::new(name)));
        assert_eq!(names, ["project", "my_shop", "shop_2", "project", "project"]);
    }

    #[test]
    fn a_template_takes_the_name() {
        let files = named(project_template::files(project_template::Template::Crm), "my_shop");
        let (_, text) = files.iter().find(|(path, _)| *path == PROJECT_FILE).unwrap();
        assert!(text.contains("\nname = \"my_shop\""), "{text}");
        let again = named(files.clone(), "vitrina");
        assert_eq!(again, project_template::files(project_template::Template::Crm), "nothing else changed");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &'static str| (path, "new".to_owned());
        write_project(folder.path(), &[file("a/b.toml")]).unwrap();
        let failure = write_project(folder.path(), &[file("c.toml"), file("a/b.toml")]).unwrap_err();
        assert!(failure.message.ends_with("is there already"), "{}", failure.message);
        assert!(!folder.path().join("c.toml").exists());
    }
}
