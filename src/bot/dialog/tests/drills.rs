//! Rows that lead on.

use super::{Talk, bot, member, period, regions, viewer};
use crate::{
    bot::{
        event::{Action, DrillTo, Given, Spot, With},
        screen::Block,
    },
    model::value::Value,
};

fn to(label: &str, report: &str, question: &str, given: Given) -> DrillTo {
    DrillTo {
        label: label.to_owned(),
        report: report.to_owned(),
        with: With::from([(question.to_owned(), given)]),
    }
}

#[test]
fn a_row_opens_the_other_report_with_what_it_says() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    let day = to("01.03.2026", "revenue_day", "day", period("2026-03-01"));
    talk.says("/revenue").done(vec![day.clone()]).taps("01.03.2026");
    assert_eq!(talk.ran(), Some(("revenue_day", &day.with)));
    let region = to("Волга", "leads", "region", regions(&[("mrf3", "Волга")]));
    talk.says("/revenue").done(vec![region.clone()]).taps("Волга");
    let (report, with) = talk.ran().unwrap();
    assert_eq!((report, &with["region"]), ("leads", &region.with["region"]));
}

#[test]
fn what_the_other_report_does_not_take_leads_nowhere() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    let number = |number: i64| Given::Value(Value::Int(number));
    talk.says("/revenue").done(vec![
        to("день", "revenue_day", "day", period("2026-03-01")),
        to("завтра", "revenue_day", "day", period("2026-03-19")),
        to("рано", "revenue", "period", period("2024-12-31")),
        to("не из списка", "leads", "region", regions(&[("mrf9", "Луна")])),
        to("без вида", "leads", "region", Given::Value(Value::Text("mrf3".to_owned()))),
        to("доля", "plan", "share", number(100)),
        to("много", "plan", "share", number(101)),
        to("нет такого", "gone", "share", number(1)),
    ]);
    let labels = talk.labels();
    assert_eq!(labels[..2], ["день", "доля"], "{labels:?}");
    assert!(labels[2].contains("Обновить"), "{labels:?}");
    let mut regional = Talk::new(&bot, member(&["regional"], &["mrf1"]));
    regional.says("/leads").done(vec![to("день", "revenue_day", "day", period("2026-03-01"))]);
    assert!(!regional.labels().contains(&"день"), "that report is not theirs");
}

#[test]
fn a_hundred_rows_have_pages_under_the_answer() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    let share = |n: i64| to(&format!("строка {n}"), "plan", "share", Given::Value(Value::Int(n)));
    talk.says("/revenue").done((1..=100).map(share).collect());
    let answer = talk.screen.blocks.clone();
    assert!(matches!(&answer[..], [.., Block::Text(said)] if said.plain_text().contains("Итого")));
    assert!(talk.labels().contains(&"строка 20") && !talk.labels().contains(&"строка 21"));
    talk.taps("Страница 2 ▸");
    assert!(talk.labels().contains(&"строка 40") && !talk.labels().contains(&"строка 20"));
    assert!(matches!(talk.actions[..], [Action::Buttons(_)]), "the answer stays: {:?}", talk.actions);
    assert_eq!(talk.screen.blocks, answer);
    for page in ["Страница 3 ▸", "Страница 4 ▸", "Страница 5 ▸", "◂ Страница 4", "Страница 5 ▸"]
    {
        talk.taps(page);
    }
    talk.taps("строка 100");
    assert!(talk.state.running.is_none(), "words are asked for next");
    assert!(talk.screen.plain_text().starts_with("План"), "{}", talk.screen.plain_text());
    talk.says("да");
    assert_eq!(talk.ran().unwrap().1["share"], Given::Value(Value::Int(100)));
}

#[test]
fn a_state_keeps_the_rows_of_the_last_answers_only() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    let share = |n: i64| to(&format!("строка {n}"), "plan", "share", Given::Value(Value::Int(n)));
    for report in ["/revenue", "/revenue вчера", "/revenue сегодня", "/revenue вчера"] {
        talk.says(report).done((1..=100).map(share).collect());
    }
    let kept = |spot: &Spot| if let Spot::Report { drills, .. } = spot { drills.len() } else { 0 };
    assert_eq!(talk.state.trail.iter().map(kept).collect::<Vec<_>>(), [0, 0, 0, 100, 100]);
}
