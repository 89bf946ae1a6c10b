//! Every problem points at something.

use super::{BASE, ORDERS, checked};

#[test]
fn places_are_exact() {
    let text = ORDERS.replace("mode = \"append\"", "mode = \"apend\"").replace("\"shop\"", "\"shpo\"");
    let loaded = checked(&[("vitrina.toml", BASE), ("pipelines/p.toml", &text)]);
    let marked: Vec<&str> = loaded.problems.iter().map(|problem| &text[problem.span.clone()]).collect();
    assert_eq!(marked, ["\"shpo\"", "\"apend\""]);
}

#[test]
fn places_inside_of_strings_are_exact() {
    let text = ORDERS.replace("table = \"orders\"\nmode", "table = \"\\\"заказы\\\"_{регион}\"\nmode");
    let loaded = checked(&[("vitrina.toml", BASE), ("pipelines/p.toml", &text)]);
    let marked: Vec<&str> = loaded.problems.iter().map(|problem| &text[problem.span.clone()]).collect();
    assert_eq!(marked, ["{регион}"]);
}
