//! Whatever stands in the files: problems, never a panic, and places inside the text.

use proptest::prelude::*;

use super::{BASE, ORDERS, checked, shipped};
use crate::config::draw;

const MART: &str = r#"
matrix = ["region"]
excel = "x_{region}.xlsx"
with.period = "last_month"
[[sheet]]
name = "a"
sql = """
SELECT client, sum(amount) AS amount FROM pipeline.p
WHERE :region = 'x' AND local_date(happened_at) >= :period.from GROUP BY client"""
columns.amount = { total = "sum" }
chart = { kind = "bar", x = "client", y = ["amount"], at = "D1" }
"#;

const PIECES: [&str; 24] = [
    "\"",
    "'",
    "\"\"\"",
    "=",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "#",
    ".",
    ",",
    "\\",
    "[source.columns]",
    "я",
    "{region}",
    "1",
    "-",
    "true",
    "2026-01-01",
    " ",
    "\r",
    "\u{0}",
    "key",
];

/// Puts pieces into a text, or cuts some out.
fn mutated(text: &str, changes: &[(usize, usize, usize)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, piece, cut) in changes {
        let at = at % (characters.len() + 1);
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, PIECES[piece % PIECES.len()].chars());
    }
    characters.into_iter().collect()
}

fn never_panics(files: &[(&str, &str)]) {
    let loaded = checked(files);
    for problem in &loaded.problems {
        let text = loaded.sources.files.get(&problem.path);
        assert!(problem.span.end <= text.map_or(0, |text| text.len()), "{problem:?}");
        assert!(!draw::text(problem, &loaded.sources, true, 10).is_empty());
    }
    draw::json(&loaded.problems, &loaded.sources);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_projects(
        changes in prop::collection::vec((any::<usize>(), any::<usize>(), 0_usize..6), 1..5),
        which in 0_usize..3,
    ) {
        let mut texts = [BASE.to_owned(), ORDERS.to_owned(), MART.to_owned()];
        texts[which] = mutated(&texts[which], &changes);
        never_panics(&[("vitrina.toml", &texts[0]), ("pipelines/p.toml", &texts[1]), ("marts/m.toml", &texts[2])]);
    }
}

#[test]
fn every_line_of_the_shipped_files_left_out_once() {
    for path in ["vitrina.toml", "pipelines/nature_to_warehouse.toml"] {
        let text = std::fs::read_to_string(shipped().join(path)).unwrap();
        for left_out in 0..text.lines().count() {
            let rest: Vec<&str> =
                text.lines().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| line).collect();
            let rest = rest.join("\n");
            match path {
                "vitrina.toml" => never_panics(&[(path, &rest)]),
                _ => never_panics(&[("vitrina.toml", BASE), (path, &rest)]),
            }
        }
    }
}
