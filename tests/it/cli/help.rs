//! `--help` teaches.

use crate::support::project::Sandbox;

const COMMANDS: [&str; 21] = [
    "init",
    "demo",
    "check",
    "run",
    "backfill",
    "plan",
    "checks",
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
    "test",
    "report",
    "bot",
    "users",
];

#[test]
fn every_command_has_help_with_examples() {
    let here = Sandbox::new(&[]);
    let overview = here.vitrina(&["--help"]).done();
    for command in COMMANDS {
        assert!(overview.stdout.contains(&format!("\n  {command} ")), "{command} is not in the overview");
        let help = here.vitrina(&[command, "--help"]).done();
        assert!(help.stdout.contains("Examples:\n  vitrina "), "{command}: {}", help.stdout);
        assert!(help.stdout.contains("--profile"), "{command} does not tell of options that go everywhere");
        assert!(!help.stdout.contains('\x1b'), "{command}: colour in a pipe");
        assert_eq!(help.stderr, "", "{command}: help is a result");
        let mut behind = help.stdout.split("Examples:\n").nth(1).unwrap_or_default().lines();
        let is_broken = |line: &&str| line.len() < 40 && line.starts_with(char::is_alphabetic);
        let orphan = behind.find(|line| is_broken(line) && !line.ends_with('.'));
        assert_eq!(orphan, None, "{command}: a sentence is broken where it need not be");
    }
}

#[test]
fn the_overview_tells_the_exit_codes() {
    let here = Sandbox::new(&[]);
    let overview = here.vitrina(&["-h"]).done().stdout;
    for line in ["  1    the project", "  2    wrong usage", "  3    the world failed", "  130  interrupted"]
    {
        assert!(overview.contains(line), "{overview}");
    }
}

#[test]
fn version() {
    let here = Sandbox::new(&[]);
    let version = here.vitrina(&["--version"]).done();
    assert_eq!(version.stdout, format!("vitrina {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn colour_comes_where_it_is_asked_for() {
    let here = Sandbox::new(&[]);
    assert!(here.vitrina(&["--color", "always", "--help"]).done().stdout.contains('\x1b'));
    assert!(!here.vitrina(&["--color=never", "--help"]).done().stdout.contains('\x1b'));
}
