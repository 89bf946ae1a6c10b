//! `--help` teaches.

use super::{call, folder};

const COMMANDS: [&str; 14] = [
    "init",
    "demo",
    "check",
    "run",
    "preview",
    "explain",
    "query",
    "status",
    "runs",
    "position",
    "dead-letters",
    "graph",
    "schema",
    "connections",
];

#[test]
fn every_command_has_help_with_examples() {
    let here = folder(&[]);
    let overview = call(here.path(), &["--help"]).done();
    for command in COMMANDS {
        assert!(overview.stdout.contains(&format!("\n  {command} ")), "{command} is not in the overview");
        let help = call(here.path(), &[command, "--help"]).done();
        assert!(help.stdout.contains("Examples:\n  vitrina "), "{command}: {}", help.stdout);
        assert!(help.stdout.contains("--profile"), "{command} does not tell of options that go everywhere");
        assert!(!help.stdout.contains('\x1b'), "{command}: colour in a pipe");
        assert_eq!(help.stderr, "", "{command}: help is a result");
    }
}

#[test]
fn the_overview_tells_the_exit_codes() {
    let here = folder(&[]);
    let overview = call(here.path(), &["-h"]).done().stdout;
    for line in ["  1    the project", "  2    wrong usage", "  3    the world failed", "  130  interrupted"]
    {
        assert!(overview.contains(line), "{overview}");
    }
}

#[test]
fn version() {
    let here = folder(&[]);
    let version = call(here.path(), &["--version"]).done();
    assert_eq!(version.stdout, format!("vitrina {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn colour_comes_where_it_is_asked_for() {
    let here = folder(&[]);
    assert!(call(here.path(), &["--color", "always", "--help"]).done().stdout.contains('\x1b'));
    assert!(!call(here.path(), &["--color=never", "--help"]).done().stdout.contains('\x1b'));
}
