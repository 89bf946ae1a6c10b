//! Every mistake in a specification, with its place.

use indexmap::IndexMap;

use super::config::{Finding, Generate};

/// `path: message [what of the text] (hint)` of every finding.
fn found(text: &str, parents: &[(&str, &str)]) -> Vec<String> {
    let spec: Generate = toml::from_str(text).unwrap();
    let table: toml::Table = toml::from_str(text).unwrap();
    let parents: IndexMap<String, Generate> =
        parents.iter().map(|(name, text)| ((*name).to_owned(), toml::from_str(text).unwrap())).collect();
    let line = |finding: Finding| {
        let mut value = Some(&toml::Value::Table(table.clone())).cloned();
        for key in &finding.path {
            value = value.and_then(|value| value.get(key.as_str()).cloned());
        }
        let within = finding.within.map(|at| format!(" [{}]", &value.unwrap().as_str().unwrap()[at]));
        let hint = finding.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{}{hint}", finding.path.join("."), finding.message, within.unwrap_or_default())
    };
    spec.problems(&parents).into_iter().map(line).collect()
}

const ROOT: &str = "seed = 1\nstart = 2026-01-01\nper_day = 10\n";

#[test]
fn a_sound_one_has_none() {
    let text = format!("{ROOT}[columns]\nid = {{ sequence = 1 }}\n");
    assert_eq!(found(&text, &[]), [""; 0]);
    let child = "seed = 1\n[parent]\npipeline = 'p'\nwhen = 'id > 3'\ndelay = '1d'\ncolumns = { p = 'id' }\n\
                 [columns]\nid = { sequence = 1 }\nstep = { step = ['a'] }";
    assert_eq!(found(child, &[("p", &text)]), [""; 0]);
}

#[test]
fn what_is_missing_or_out_of_bounds() {
    let text = "seed = 1\nper_day = -1\ncurve = { hours = [1], weekdays = [0, 0, 0, 0, 0, 0, 0], growth_per_year = 99 }\n[columns]";
    assert_eq!(
        found(text, &[]),
        [
            "start: a generator without a parent needs `start`, the day of its first rows",
            "per_day: `per_day` must be between 0 and 100 million",
            "curve.hours: `hours` must be 24 weights from 0 on, one of them above it",
            "curve.weekdays: `weekdays` must be 7 factors from 0 on, one of them above it",
            "curve.growth_per_year: `growth_per_year` must be between -0.99 and 10",
            "columns: a generator needs at least one column",
        ]
    );
}

#[test]
fn columns_that_cannot_be_made() {
    let text = format!(
        r#"{ROOT}
[columns]
a = {{}}
b = {{ sequence = 1, constant = 2 }}
c = {{ zipf = {{ from = 5, to = 1, exponent = 1 }} }}
d = {{ normal = {{ mean = 1, sd = 0 }} }}
e = {{ choice = {{ x = 0 }}, missing = 1.5 }}
f = {{ event_time = false }}
g = {{ lookup = {{ by = "action", values = {{ leed = 1, call = "x" }} }} }}
action = {{ choice = {{ lead = 1, call = 2 }} }}
h = {{ lookup = {{ by = "action", values = {{ leed = 1, call = 2 }} }} }}
i = {{ pick = {{ by = "d", from = [] }} }}
j = {{ step = ["a", "b"] }}
k = {{ sequence = 1, missing = 0.5 }}
"#
    );
    insta::assert_snapshot!(found(&text, &[]).join("\n"), @r"
    columns.a: column `a` does not say how it is made (one of sequence, event_time, zipf, uniform, normal, choice, constant, lookup, pick, step, nth)
    columns.b.constant: column `b` is made in 2 ways: sequence, constant
    columns.c.zipf: column `c` needs `to` from `from` on, and at most a million values
    columns.d.normal: column `d` cannot be drawn (an `sd` above 0, and a `min` below `max`, both near the mean)
    columns.e.missing: `missing` must be between 0 and 1
    columns.e.choice: column `e` needs weights from 0 on, one of them above it
    columns.f.event_time: column `f` is not made: `event_time` can only be true
    columns.g.lookup.by: unknown column `action` (only columns that stand above can be used)
    columns.g.lookup: column `g` needs values of one type
    columns.g.lookup.values.leed: column `action` never has this value (did you mean `lead`?)
    columns.h.lookup.values.leed: column `action` never has this value (did you mean `lead`?)
    columns.i.pick.by: column `d` is neither text nor a whole number
    columns.i.pick: column `i` has nothing to pick from
    columns.j.step: column `j` has 2 steps instead of 1 (a first row, and further ones where `parent.follow` makes them)
    columns.k.missing: column `k` is never missing: leave `missing` out, or use `when`
    ");
}

#[test]
fn conditions_have_the_place_of_their_mistake() {
    let text = format!(
        r#"{ROOT}
[columns]
"Действие" = {{ choice = {{ lead = 1, call = 2 }} }}
a = {{ sequence = 1, when = "Действие = 'lead' AND Дейстие = 'call'" }}
b = {{ sequence = 1, when = "Действие = 5" }}
c = {{ sequence = 1, when = "Действие = 'x' AND lower(Действие) = 'y'" }}
d = {{ sequence = 1, when = "later = 1" }}
later = {{ sequence = 1 }}
"#
    );
    insta::assert_snapshot!(found(&text, &[]).join("\n"), @r"
    columns.a.when: unknown column `Дейстие` [Дейстие] (did you mean `Действие`?)
    columns.b.when: column `Действие` is text and cannot be compared with a number [Действие]
    columns.c.when: `lower(Действие)` is more than a generator knows: expected columns compared with literals (=, <>, <, <=, >, >=, IN, IS NULL), joined by AND, OR, NOT [lower(Действие)]
    columns.d.when: unknown column `later` [later] (only columns that stand above can be used)
    ");
}

#[test]
fn children_and_what_they_take() {
    let parent = format!("{ROOT}[columns]\nid = {{ sequence = 1 }}\naction = {{ choice = {{ a = 1 }} }}\n");
    let child = r#"
seed = 1
start = 2026-01-01
per_day = 5
curve = { growth_per_year = 1 }
[parent]
pipeline = "p"
when = "acton = 'a'"
chance = 2
delay = "9000d"
follow = { chance = -1, delay = "1d" }
columns = { id = "id", x = "idd" }
[columns]
id = { sequence = 1 }
event = { step = ["one"] }
"#;
    insta::assert_snapshot!(found(child, &[("p", &parent)]).join("\n"), @r"
    start: `start` is decided by the parent
    per_day: `per_day` is decided by the parent
    curve.growth_per_year: `growth_per_year` is decided by the parent
    parent.chance: `chance` must be between 0 and 1
    parent.follow.chance: `chance` must be between 0 and 1
    parent.delay: `delay` must be at most 366d
    parent.columns.id: column `id` is made below as well
    parent.when: unknown column `acton` [acton] (did you mean `action`?)
    parent.columns.x: unknown column `idd` (did you mean `id`?)
    columns.event.step: column `event` has 1 steps instead of 2 (a first row, and further ones where `parent.follow` makes them)
    ");
}

#[test]
fn delays_that_the_parent_says_and_rows_that_follow() {
    let parent = format!(
        "{ROOT}[columns]\nid = {{ sequence = 1 }}\nkind = {{ choice = {{ month = 1, year = 2 }} }}\n"
    );
    let child = r#"
seed = 1
[parent]
pipeline = "p"
delay = { days = "trial" }
follow = { chance = 0.9, delay = { days = "kind" }, most = 0 }
[columns]
id = { sequence = 1, anew = true }
event = { step = ["first"] }
n = { nth = 1 }
"#;
    insta::assert_snapshot!(found(child, &[("p", &parent)]).join("\n"), @r"
    parent.follow.most: `most` must be at least 1
    parent.delay.days: unknown column `trial` (only columns that stand above can be used)
    parent.follow.delay.days: column `kind` is no whole number of days
    columns.id.anew: column `id` is never the same: leave `anew` out
    ");
    let renewals = child.replace("most = 0", "most = 5").replace(r#""trial""#, r#""id""#);
    let renewals = renewals.replace(r#"{ days = "kind" }"#, r#"{ exactly = "400d" }"#);
    insta::assert_snapshot!(found(&renewals, &[("p", &parent)]).join("\n"), @r"
    parent.follow.delay: `delay` must be at most 366d
    columns.id.anew: column `id` is never the same: leave `anew` out
    columns.event.step: column `event` has 1 steps instead of 2 (a first row, and further ones where `parent.follow` makes them)
    ");
}

#[test]
fn rows_that_are_told() {
    let text = r#"
seed = 1
start = 2026-01-01
rows = [{ at = 2026-01-01, id = 1, title = "a" }, { at = 2026-01-02, id = "b" }]
[columns]
title = { constant = 1 }
"#;
    insta::assert_snapshot!(found(text, &[]).join("\n"), @r"
    start: `start` means nothing beside `rows`
    rows: column `id` has values of several types
    ");
    let text = text.replace("start = 2026-01-01\n", "").replace("id = \"b\"", "id = 2.5");
    insta::assert_snapshot!(found(&text, &[]).join("\n"), @"columns.title: column `title` stands in `rows` as well");
    assert_eq!(found("seed = 1\nrows = []\n[columns]", &[]), ["rows: `rows` must have one row at least"]);
}

#[test]
fn a_start_is_a_day_or_a_time() {
    let start = |text: &str| {
        let spec: Result<Generate, _> = toml::from_str(&format!("seed = 1\nstart = {text}\n[columns]"));
        spec.ok().map(|spec| spec.start.unwrap().to_string())
    };
    assert_eq!(start("2026-01-01").as_deref(), Some("2026-01-01T00:00:00"));
    assert_eq!(start("2026-01-01T08:30:00").as_deref(), Some("2026-01-01T08:30:00"));
    assert_eq!(start("2026-01-01 08:30:00+03:00").as_deref(), Some("2026-01-01T05:30:00Z"));
    assert_eq!(start("\"2026-01-01\"").as_deref(), Some("2026-01-01T00:00:00"));
    assert_eq!(start("08:30:00"), None);
    assert_eq!(start("5"), None);
}

/// The shipped project's generators are sound, and children have the types of what they take.
#[test]
fn the_shipped_generators() {
    #[derive(serde::Deserialize)]
    struct Pipeline {
        source: Source,
    }
    #[derive(serde::Deserialize)]
    struct Source {
        generate: Generate,
    }
    let read = |text: &str| toml::from_str::<Pipeline>(text).unwrap().source.generate;
    let actions = read(include_str!("../../../pipelines/crm_actions.toml"));
    let nature = read(include_str!("../../../pipelines/crm_nature.toml"));
    let parents = IndexMap::from([("crm_actions".to_owned(), actions.clone())]);
    assert_eq!(actions.problems(&IndexMap::new()), []);
    assert_eq!(nature.problems(&parents), []);
    let columns: Vec<String> = nature
        .schema(&parents)
        .fields()
        .iter()
        .map(|field| {
            let kind = crate::model::column::ColumnType::of(field.data_type());
            format!("{} {kind}{}", field.name(), if field.is_nullable() { "?" } else { "" })
        })
        .collect();
    insta::assert_snapshot!(columns.join(", "), @"lead_id int64?, client_id int64, manager_id int64?, manager text?, id int64, happened_at timestamp(ms, UTC), event text, reason text?, tariff text, service text, monthly_fee decimal(18,2)");
    let order = read(include_str!("../../project_template/empty/pipelines/shop_orders.toml"));
    assert_eq!(order.problems(&IndexMap::new()), []);
}
