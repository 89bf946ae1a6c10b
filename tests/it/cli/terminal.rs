//! On a terminal: bars, colour, Ctrl-C. `script` (util-linux) gives the program one.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::shop;
use crate::support::project::Ran;

/// What the program writes on a terminal of its own.
fn on_terminal(folder: &Path, arguments: &str) -> String {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_vitrina"));
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_gets_drawn_tables_and_colour() {
    let shop = shop();
    let told = on_terminal(shop.root(), "run --all");
    assert!(told.contains('│') && told.contains("\x1b[38;5;2m done"), "{told:?}");
    let plain = on_terminal(shop.root(), "--color never status");
    assert!(plain.contains('│') && !plain.contains("\x1b[38"), "{plain:?}");
}

#[test]
fn the_first_interrupt_stops_at_an_edge_and_the_next_run_goes_on() {
    let shop = shop();
    shop.sqlite(
        "shop.db",
        r#"DELETE FROM orders;
           WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200000)
           INSERT INTO orders (id, "Город", amount) SELECT x, 'Омск', x FROM n;"#,
    );
    let file = shop.path("pipelines/orders.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("slice = {{ rows = 2000 }}\n{text}")).unwrap();
    let child = shop
        .command(&["run", "orders", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_commit(shop.root());
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let called = Ran::from(child.wait_with_output().unwrap()).ended(130);
    assert!(called.stderr.contains("stopping after what is being written"), "{called:#?}");
    let written = called.json()[0]["written"].as_u64().unwrap();
    assert!(written > 0 && written < 200_000, "{written} rows were written before it stopped");

    let run = shop.vitrina(&["run", "orders", "--format", "json"]).done().json();
    assert_eq!(written + run[0]["written"].as_u64().unwrap(), 200_000, "each row once");
}

/// Waits until the run has committed something.
fn wait_for_commit(folder: &Path) {
    let log = folder.join("data/warehouse/orders/_delta_log/00000000000000000002.json");
    let begun = Instant::now();
    while !log.exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing was committed in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}
