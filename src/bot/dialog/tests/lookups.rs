//! Commands and links that name values of lists which only the database knows.

use super::{Talk, bot, colliding, member, period, viewer};
use crate::{
    bot::event::{Action, Given, Named, Picked, Spot, What},
    model::value::Value,
};

/// What the list of kinds has of the words: titles, and values in small letters.
fn kinds(titles: &[&str]) -> Vec<Named> {
    let picked =
        |title: &&str| Picked { value: Value::Text(title.to_lowercase()), title: (*title).to_owned() };
    let values = titles.iter().map(picked).collect();
    vec![Named { report: "revenue".to_owned(), ask: "kind".to_owned(), values }]
}

fn given(titles: &[&str]) -> Given {
    Given::Picked(kinds(titles)[0].values.clone())
}

#[test]
fn commands_and_links_take_them() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.named = kinds(&["Годовая"]);
    talk.says("/revenue годовая вчера");
    let (report, with) = talk.ran().unwrap();
    assert_eq!(
        (report, &with["kind"], &with["period"]),
        ("revenue", &given(&["Годовая"]), &period("yesterday"))
    );
    talk.named = kinds(&["Annual"]);
    talk.says("/start revenue_annual");
    assert_eq!(talk.ran().unwrap().1["kind"], given(&["Annual"]));
    assert_eq!(talk.state.trail.len(), 2, "a link begins at the first screen: {:?}", talk.state.trail);
}

#[test]
fn what_no_reading_uses_is_said() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    let mut left = |said: &str| {
        talk.says(said);
        let text = talk.screen.plain_text();
        text.split_once("Не учтено: ").map(|(_, left)| left.trim_end_matches('.').to_owned())
    };
    assert_eq!(left("выручка за прошлую неделю").as_deref(), None);
    assert_eq!(left("выручка за прошлую неделю по центру").as_deref(), Some("центру"));
    assert_eq!(left("лиды за прошлую неделю по центру").as_deref(), None);
    // Days that the question does not take.
    assert_eq!(left("/revenue 2019 абв").as_deref(), Some("абв, 2019"));
}

#[test]
fn what_is_known_at_once_asks_nobody() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.slow = true;
    for said in
        ["/revenue вчера", "/revenue выручка вчера", "/revenue", "/start revenue_yesterday", "/leads волга"]
    {
        talk.says(said);
        assert!(talk.ran().is_some(), "{said}: {:?}", talk.actions);
    }
}

#[test]
fn what_nobody_knows_is_not_passed_over() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue абракадабра вчера");
    assert!(talk.ran().is_none());
    let text = talk.screen.plain_text();
    assert!(text.contains("Вот как я понял «абракадабра вчера»."), "{text}");
    assert!(text.contains("Не учтено: абракадабра."), "{text}");
    assert_eq!(talk.labels()[0], "Выручка по дням · вчера");
    talk.taps("Выручка");
    assert_eq!(talk.ran().unwrap().1["kind"], Given::Any);
    talk.says("/start revenue_nothing");
    assert!(
        talk.ran().is_none() && talk.screen.plain_text().contains("Отчёт по этой ссылке вам недоступен.")
    );
    // Nobody is asked for the lists of a report that is not the asker's.
    let mut other = Talk::new(&bot, member(&["regional"], &["mrf1"]));
    other.slow = true;
    other.says("/start revenue_year");
    assert!(other.screen.plain_text().contains("вам недоступен") && other.state.waits_for().is_none());
    other.says("/revenue годовая");
    assert!(other.screen.plain_text().contains("Такой команды нет.") && other.state.waits_for().is_none());
}

#[test]
fn nor_where_no_list_is_the_databases() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    for (said, offered) in [
        ("/leads прошлая неделя сибирь", "Лиды по регионам · прошлая неделя"),
        ("/leads вчра", "Лиды по регионам"),
        ("/leads волга и луна", "Лиды по регионам · Волга"),
    ] {
        talk.says(said);
        assert!(talk.ran().is_none(), "{said} ran");
        assert!(talk.screen.plain_text().contains("Вот как я понял"), "{}", talk.screen.plain_text());
        assert_eq!(talk.labels()[0], offered);
    }
    talk.taps("Лиды по регионам · Волга");
    assert_eq!(talk.ran().unwrap().0, "leads");
}

#[test]
fn a_lone_number_answers_the_only_question_for_one() {
    let bot = colliding();
    let mut talk = Talk::new(&bot, viewer());
    let five = Given::Value(Value::Int(5));
    for said in ["/shows 5", "/shows 5 вчера", "/shows drama 5"] {
        talk.says(said);
        let (_, with) = talk.ran().unwrap_or_else(|| panic!("{said}: {:?}", talk.labels()));
        assert_eq!(with["least"], five, "{said}");
    }
    talk.says("/ask показы 5 вчера");
    assert!(talk.ran().is_none(), "a question in words shows what it could mean first");
    talk.taps("Показы · вчера · 5");
    assert_eq!(talk.ran().unwrap().1["least"], five);
    // Which of two was meant is not guessed, and neither is what the question does not take.
    for said in ["/shows 5 6", "/shows 7.25", "/shows пять"] {
        talk.says(said);
        assert!(talk.ran().is_none() && talk.labels()[0] == "Показы", "{said}: {:?}", talk.labels());
    }
}

#[test]
fn a_list_that_comes_late_finds_its_asker() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.slow = true;
    talk.says("/leads вчера волга").says("/revenue годовая");
    assert!(talk.screen.plain_text().contains("Читаю «годовая»…"), "{}", talk.screen.plain_text());
    assert_eq!(talk.labels(), ["‹ Назад", "🏠 В начало"]);
    let Some(Action::Understand { ticket, words, report }) = talk.state.waits_for() else {
        panic!("a restart would not ask again: {:?}", talk.state)
    };
    assert_eq!((words.as_str(), report.as_deref()), ("годовая", Some("revenue")));
    // The report that ran before is there first.
    talk.done(vec![]);
    talk.hear(What::Understood { ticket: ticket + 1, named: kinds(&["Годовая"]), advice: None });
    assert!(talk.ran().is_none(), "that was another question");
    talk.hear(What::Understood { ticket, named: kinds(&["Годовая"]), advice: None });
    assert_eq!(talk.ran().unwrap().1["kind"], given(&["Годовая"]));
    assert!(talk.state.waits_for().is_none());
}

#[test]
fn readings_that_come_late_are_shown() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.slow = true;
    talk.says("/leads вчера волга").says("выручка вчера");
    let Some(Action::Understand { ticket, .. }) = talk.state.waits_for() else { panic!("{:?}", talk.state) };
    talk.done(vec![]);
    talk.hear(What::Understood { ticket, named: vec![], advice: None });
    assert_eq!(talk.labels()[0], "Выручка по дням · вчера");
    assert!(talk.state.waits_for().is_none());
}

#[test]
fn who_has_gone_elsewhere_is_not_led_back() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.slow = true;
    talk.says("/revenue годовая");
    let waiting = |talk: &Talk<'_>| talk.state.trail.iter().any(|spot| matches!(spot, Spot::Told { .. }));
    let Some(Action::Understand { ticket, .. }) = talk.state.waits_for() else { panic!("{:?}", talk.state) };
    assert!(waiting(&talk));
    talk.says("/help");
    assert!(!waiting(&talk), "nobody comes back to a screen that waits: {:?}", talk.state.trail);
    talk.hear(What::Understood { ticket, named: kinds(&["Годовая"]), advice: None });
    assert!(talk.actions.is_empty(), "{:?}", talk.actions);
    // A role that is taken away takes the question with it.
    talk.says("/revenue годовая");
    let Some(Action::Understand { ticket, .. }) = talk.state.waits_for() else { panic!("{:?}", talk.state) };
    talk.viewer = member(&["regional"], &["mrf1"]);
    talk.hear(What::Understood { ticket, named: kinds(&["Годовая"]), advice: None });
    assert!(talk.ran().is_none() && !waiting(&talk));
}

#[test]
fn a_link_means_one_thing_whatever_the_lists_have() {
    let bot = colliding();
    let mut talk = Talk::new(&bot, viewer());
    let picked = |value: &str| {
        Given::Picked(vec![Picked { value: Value::Text(value.to_owned()), title: value.to_owned() }])
    };
    let of_genres = |value: &str| {
        let values = vec![Picked { value: Value::Text(value.to_owned()), title: value.to_owned() }];
        vec![Named { report: "shows".to_owned(), ask: "genre".to_owned(), values }]
    };
    for (link, report, ask, given) in [
        // A period is one, though a list before it, or the database, has a value of this name.
        ("shows_today", "shows", "period", period("today")),
        ("shows_2025-03", "shows", "period", period("2025-03")),
        // What the report does not take as a period is a value.
        ("shows_1999", "shows", "kind", picked("1999")),
        ("shows_drama", "shows", "kind", picked("drama")),
        // Each can be named.
        ("shows_kind_today", "shows", "kind", picked("today")),
        ("shows_genre_today", "shows", "genre", picked("today")),
        ("shows_period_today", "shows", "period", period("today")),
        ("shows_least_5", "shows", "least", Given::Value(Value::Int(5))),
        // The longer name of a report first.
        ("shows_last_week", "shows_last", "kind", picked("week")),
        ("shows_last_month", "shows", "period", period("last_month")),
        ("shows_period_last_week", "shows", "period", period("last_week")),
    ] {
        talk.named = of_genres("today");
        talk.says(&format!("/start {link}"));
        let (ran, with) = talk.ran().unwrap_or_else(|| panic!("{link}: {}", talk.screen.plain_text()));
        assert_eq!((ran, with.get(ask)), (report, Some(&given)), "{link}");
    }
    talk.named = of_genres("comedy");
    for link in
        ["shows_genre_today", "shows_genre_", "shows_kind_comedy2", "shows_least_many", "shows_last_drama"]
    {
        talk.says(&format!("/start {link}"));
        assert!(talk.ran().is_none(), "{link}");
        assert!(talk.screen.plain_text().contains("вам недоступен"), "{link}: {}", talk.screen.plain_text());
    }
    talk.says("/start shows_comedy");
    assert_eq!(talk.ran().unwrap().1["genre"], picked("comedy"));
}

#[test]
fn more_than_may_be_chosen_is_said() {
    let bot = colliding();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/start many");
    let Some(Action::Options { ticket, .. }) = talk.actions.last().cloned() else {
        panic!("{:?}", talk.actions)
    };
    let many = (0..60).map(|n| Picked { value: Value::Int(n), title: format!("Вид {n:02}") }).collect();
    talk.hear(What::Options { ticket, found: Some(many) });
    for n in 0..50 {
        if n > 0 && n % 8 == 0 {
            talk.taps(&format!("Страница {} ▸", n / 8 + 1));
        }
        talk.taps(&format!("☐ Вид {n:02}"));
    }
    talk.taps("☐ Вид 50");
    assert_eq!(talk.actions, [Action::Toast("Больше 50 значений выбрать нельзя.".to_owned())]);
    talk.taps("☑ Вид 49").taps("☐ Вид 50").taps("Готово");
    let Given::Picked(chosen) = &talk.ran().unwrap().1["kinds"] else { panic!() };
    assert_eq!((chosen.len(), &chosen[49].value), (50, &Value::Int(50)));
}
