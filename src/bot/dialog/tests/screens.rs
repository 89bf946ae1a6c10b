//! What is tapped and typed, and what is seen.

use super::{Talk, bot, colliding, member, period, regions, viewer};
use crate::{
    bot::{
        dialog::TRAIL,
        event::{Access, Action, Advice, Given, Named, Outcome, Picked, Spot, Viewer, What, With},
        screen::{Block, Markup},
    },
    config::project::Language,
    model::value::Value,
};

#[test]
fn three_taps_to_an_answer() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    assert_eq!(talk.labels(), ["💳 Деньги", "📞 CRM", "Много", "⭐ Избранное"]);
    talk.taps("Деньги").taps("Выручка");
    assert_eq!(
        talk.ran(),
        Some((
            "revenue",
            &With::from([("period".to_owned(), period("last_7_days")), ("kind".to_owned(), Given::Any)])
        ))
    );
    assert_eq!(talk.labels(), ["✖ Остановить", "‹ Назад", "🏠 В начало"]);
    talk.done(vec![]);
    assert_eq!(
        talk.screen.plain_text(),
        "Выручка по дням\nПериод: последние 7 дней, 11.03–17.03.2026\nПодписка: все\nИтого 1 ₽"
    );
    assert_eq!(
        talk.labels(),
        [
            "🔄 Обновить",
            "Период: последние 7 дней ✎",
            "Подписка: все ✎",
            "☆ В избранное",
            "🔔 Присылать",
            "‹ Назад",
            "🏠 В начало"
        ]
    );
    talk.taps("Период").taps("Вчера");
    assert_eq!(talk.ran().unwrap().1["period"], period("yesterday"));
    talk.done(vec![]).taps("Назад");
    assert!(talk.screen.plain_text().starts_with("💳 Деньги"), "{}", talk.screen.plain_text());
}

#[test]
fn what_has_no_default_is_asked() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.taps("Деньги").taps("Глубже").taps("План");
    assert!(talk.screen.plain_text().contains("Напишите число от 1 до 100."));
    talk.says("сто");
    assert!(talk.screen.plain_text().contains("Это не число."), "{}", talk.screen.plain_text());
    talk.says("0");
    assert!(talk.screen.plain_text().contains("Это меньше 1."));
    talk.says("50");
    assert!(talk.screen.plain_text().contains("Напишите значение."));
    talk.says("слишком длинный текст");
    assert!(talk.screen.plain_text().contains("Не больше 10 знаков."));
    talk.says("<b>_@");
    let with = talk.ran().unwrap().1;
    assert_eq!(with["share"], Given::Value(Value::Int(50)));
    assert_eq!(with["words"], Given::Value(Value::Text("<b>_@".to_owned())));
}

#[test]
fn a_calendar_ends_at_its_bounds() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue").done(vec![]).taps("Период").taps("Календарь");
    assert!(
        talk.labels()[..10].ends_with(&["Пн", "Вт", "Ср", "Чт", "Пт", "Сб", "Вс"]),
        "{:?}",
        talk.labels()
    );
    let rows = &talk.screen.rows;
    let month: Vec<&str> = rows[2].iter().map(|button| button.label.as_str()).collect();
    // March 2026 begins on a Sunday.
    assert_eq!(month, ["·", "·", "·", "·", "·", "·", "1"]);
    assert_eq!(rows[0][2].label, "·", "no way past today");
    talk.taps("Март 2026").taps("‹").taps("Январь");
    assert_eq!(talk.screen.rows[0][0].label, "·", "December 2024 cannot be reached: {:?}", talk.labels());
}

#[test]
fn a_range_in_the_calendar() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue").done(vec![]).taps("Период").taps("Календарь").taps("10");
    assert!(talk.screen.plain_text().contains("С 10.03.2026. Выберите последний день."));
    talk.taps("3");
    assert_eq!(talk.ran().unwrap().1["period"], period("2026-03-03..2026-03-10"));
}

#[test]
fn dates_typed_by_hand() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue").done(vec![]).taps("Период").says("с 1 по 15 марта");
    assert_eq!(talk.ran().unwrap().1["period"], period("2026-03-01..2026-03-15"));
    for (said, answer) in [
        ("01.12.2024", "Раньше 01.01.2025 выбрать нельзя."),
        ("2026-04-01", "Позже 18.03.2026 выбрать нельзя."),
        ("2025", "Можно выбрать не больше 92 дней."),
        ("когда-нибудь", "Такой даты нет."),
    ] {
        talk.done(vec![]).taps("Период").says(said);
        assert!(talk.screen.plain_text().contains(answer), "{said}: {}", talk.screen.plain_text());
        talk.taps("Назад").taps("Обновить");
    }
}

#[test]
fn several_of_a_list() {
    let bot = bot();
    let mut talk = Talk::new(&bot, member(&["regional"], &["mrf1"]));
    assert_eq!(talk.labels(), ["📞 CRM", "⭐ Избранное"]);
    talk.taps("CRM").taps("Лиды");
    assert_eq!(talk.ran().unwrap().1["region"], regions(&[("mrf1", "Центр")]), "the reader's own");
    talk.done(vec![]).taps("Регион").taps("Северо").taps("Волга").taps("Северо").taps("Готово");
    assert_eq!(talk.ran().unwrap().1["region"], regions(&[("mrf1", "Центр"), ("mrf3", "Волга")]));
    talk.done(vec![]).taps("Регион").says("запад");
    assert_eq!(talk.labels(), ["☐ Северо-Запад", "✔ Готово", "Весь список", "‹ Назад", "🏠 В начало"]);
    talk.says("нет такого");
    assert!(talk.screen.plain_text().contains("Подходящих значений нет."));
}

#[test]
fn a_list_from_a_query() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue").done(vec![]).taps("Подписка");
    let Some(Action::Options { ticket, limit: 100, .. }) = talk.actions.last().cloned() else {
        panic!("{:?}", talk.actions)
    };
    assert!(talk.screen.plain_text().contains("Загружаю список…"));
    let many = (0..20).map(|n| Picked { value: Value::Int(n), title: format!("Вид {n}") }).collect();
    talk.hear(What::Options { ticket: ticket - 1, found: Some(vec![]) });
    assert!(talk.actions.is_empty(), "an answer to an older question is passed over");
    talk.hear(What::Options { ticket, found: Some(many) });
    assert_eq!(talk.labels()[..3], ["Все", "Вид 0", "Вид 1"]);
    talk.taps("Страница 2").taps("Вид 9");
    assert_eq!(
        talk.ran().unwrap().1["kind"],
        Given::Picked(vec![Picked { value: Value::Int(9), title: "Вид 9".to_owned() }])
    );
    talk.done(vec![]).taps("Подписка");
    let Some(Action::Options { ticket, .. }) = talk.actions.last().cloned() else { panic!() };
    talk.hear(What::Options { ticket, found: None });
    assert!(talk.screen.plain_text().contains("Список сейчас недоступен."));
    talk.taps("Ещё раз");
    assert!(matches!(talk.actions.last(), Some(Action::Options { .. })));
}

#[test]
fn links_lead_to_reports() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/start revenue_yesterday");
    assert_eq!(talk.ran().unwrap().1["period"], period("yesterday"));
    talk.says("/start revenue_day");
    assert!(talk.ran().is_none() && talk.screen.plain_text().contains("Выберите день"));
    talk.says("/start leads_mrf2");
    assert_eq!(talk.ran().unwrap().1["region"], regions(&[("mrf2", "Северо-Запад")]));
    talk.says("/start nothing_here");
    assert!(talk.screen.plain_text().contains("Отчёт по этой ссылке вам недоступен."));
    let mut other = Talk::new(&bot, member(&["regional"], &["mrf1"]));
    other.says("/start revenue_yesterday");
    assert!(other.ran().is_none() && other.screen.plain_text().contains("вам недоступен"));
}

#[test]
fn questions_in_words() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/ask лиды за прошлую неделю по центру");
    assert_eq!(talk.labels()[0], "Лиды по регионам · прошлая неделя · Центр");
    talk.taps("Лиды");
    assert_eq!(talk.ran().unwrap().1["period"], period("last_week"));
    for (said, meant) in [
        ("сколько денег вчера", "Выручка по дням · вчера"),
        ("выручкa", "Выручка по дням"),
        ("выучка по дням за март", "Выручка по дням · март 2026"),
        ("revenue last week", "Выручка по дням · прошлая неделя"),
        ("лидов на Волге и Северо-Западе", "Лиды по регионам · Северо-Запад, Волга"),
    ] {
        talk.says(said);
        assert_eq!(talk.labels().first(), Some(&meant), "{said}");
    }
    talk.says("абракадабра");
    assert!(talk.screen.plain_text().contains("Не получилось понять «абракадабра»."));
    talk.says("/find лид");
    assert_eq!(talk.labels()[0], "Лиды по регионам");
}

/// What the database's list of a question has of a question in words.
fn named(titles: &[&str]) -> Vec<Named> {
    let picked =
        |title: &&str| Picked { value: Value::Text((*title).to_lowercase()), title: (*title).to_owned() };
    vec![Named {
        report: "revenue".to_owned(),
        ask: "kind".to_owned(),
        values: titles.iter().map(picked).collect(),
    }]
}

#[test]
fn questions_in_words_name_values_that_only_the_database_knows() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.named = named(&["Годовая"]);
    talk.says("выручка годовой за прошлую неделю");
    assert_eq!(talk.labels()[0], "Выручка по дням · прошлая неделя · Годовая");
    talk.taps("Годовая");
    let (report, with) = talk.ran().unwrap();
    assert_eq!((report, &with["kind"]), ("revenue", &Given::Picked(named(&["Годовая"])[0].values.clone())));
    // What is the report's own name is no value, whatever the list has.
    talk.named = named(&["Выручка"]);
    talk.says("выручка вчера");
    assert_eq!(talk.labels()[0], "Выручка по дням · вчера");
}

#[test]
fn what_a_model_advises_is_a_reading_or_nothing() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.named = named(&["Годовая"]);
    let mut ask = |report: &str, with: &[(&str, &str)]| {
        talk.says("как дела с деньгами от годовых");
        let Some(Spot::Understood { ticket: Some(ticket), .. }) = talk.state.trail.last() else {
            panic!("{:?}", talk.state)
        };
        let (ticket, before) =
            (*ticket, talk.labels().iter().map(|label| (*label).to_owned()).collect::<Vec<_>>());
        let with = with.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let advice = Advice { report: report.to_owned(), with };
        talk.hear(What::Understood { ticket, named: named(&["Годовая"]), advice: Some(advice) });
        (before, talk.labels()[0].to_owned())
    };
    let (_, first) = ask("leads", &[("period", "last_week"), ("region", "Волга")]);
    assert_eq!(first, "Лиды по регионам · прошлая неделя · Волга");
    let (_, first) = ask("revenue", &[("kind", "годовая")]);
    assert_eq!(first, "Выручка по дням · Годовая");
    for (report, with) in [
        ("salaries", &[][..]),
        ("leads", &[("region", "Марс")]),
        ("leads", &[("period", "2019-01-01..2026-01-01 OR 1=1")]),
        ("revenue", &[("period", "2020")]),
        ("revenue", &[("kind", "Месячная")]),
        ("revenue", &[("sql", "SELECT 1")]),
        ("plan", &[("share", "1e99")]),
    ] {
        let (before, first) = ask(report, with);
        assert_eq!(Some(&first), before.first(), "{report} {with:?} changed the reading");
    }
    // A regional manager is not led to a report that is not theirs.
    let mut other = Talk::new(&bot, member(&["regional"], &["mrf1"]));
    other.says("лиды");
    assert!(
        !matches!(other.state.trail.last(), Some(Spot::Understood { ticket: Some(_), .. })),
        "their reports have no such lists"
    );
}

#[test]
fn commands_take_words() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/leads прошлый месяц волга");
    let with = talk.ran().unwrap().1;
    assert_eq!((&with["period"], &with["region"]), (&period("last_month"), &regions(&[("mrf3", "Волга")])));
    talk.says("/nothing");
    assert!(talk.screen.plain_text().contains("Такой команды нет."));
}

#[test]
fn favourites_and_again() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/again");
    assert!(talk.screen.plain_text().contains("ещё не открывали"));
    talk.says("/start revenue_yesterday").done(vec![]).taps("В избранное");
    assert!(talk.actions.contains(&Action::Toast("Добавлено в избранное.".to_owned())));
    assert!(talk.labels().contains(&"★ Убрать из избранного"));
    talk.says("/start").taps("Избранное").taps("Выручка по дням · вчера");
    assert_eq!(talk.ran().unwrap().1["period"], period("yesterday"));
    talk.done(vec![]).taps("В начало").taps("Повторить");
    assert_eq!(talk.ran().unwrap().0, "revenue");
}

#[test]
fn a_stale_button_does_nothing() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    let old = talk.screen.button("💳 Деньги").unwrap().token.clone();
    talk.taps("CRM").hear(What::Button { token: old });
    assert!(talk.screen.plain_text().starts_with("Эта кнопка устарела."));
    assert!(talk.labels().contains(&"Лиды по регионам"), "where they are now");
}

#[test]
fn a_role_that_is_taken_away_takes_its_reports_with_it() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.taps("Деньги").taps("Выручка");
    let run = talk.run();
    talk.viewer = member(&["regional"], &["mrf1"]);
    let blocks = vec![Block::Text(Markup::text("secret"))];
    talk.hear(What::Answer { run, outcome: Outcome::Done { blocks, drills: vec![] } });
    assert!(talk.actions.contains(&Action::Cancel { run }), "{:?}", talk.actions);
    assert!(
        talk.screen.plain_text().starts_with("Показать этот отчёт нельзя"),
        "{}",
        talk.screen.plain_text()
    );
    let mut talk = Talk::new(&bot, viewer());
    let token = talk.screen.button("💳 Деньги").unwrap().token.clone();
    talk.viewer = member(&["regional"], &["mrf1"]);
    talk.hear(What::Button { token });
    assert!(talk.screen.plain_text().contains("устарела"));
}

#[test]
fn strangers_ask_to_be_let_in() {
    let bot = bot();
    let mut talk = Talk::new(&bot, Viewer { access: Access::Stranger, ..viewer() });
    assert_eq!(talk.labels(), ["Запросить доступ"]);
    talk.says("/revenue").says("выручка").taps("Запросить доступ").says("Иванов, нужна выручка");
    assert!(
        talk.actions.contains(&Action::RequestAccess {
            reason: "Иванов, нужна выручка".to_owned()
        })
    );
    assert!(talk.screen.plain_text().contains("Запрос отправлен."));
    talk.viewer.access = Access::Waiting;
    talk.says("/start");
    assert!(talk.screen.plain_text().contains("ещё рассматривают"));
    talk.viewer.access = Access::Blocked;
    talk.says("/start");
    assert!(talk.screen.plain_text().contains("Доступ закрыт."));
}

#[test]
fn failures_say_what_to_do() {
    let bot = bot();
    for (outcome, said) in [
        (Outcome::TimedOut, "За 30 с отчёт не успел посчитаться."),
        (Outcome::Failed, "Отчёт не получился."),
        (Outcome::Refused("слишком далеко".to_owned()), "Показать этот отчёт нельзя: слишком далеко."),
    ] {
        let mut talk = Talk::new(&bot, viewer());
        talk.says("/revenue");
        let run = talk.run();
        talk.hear(What::Answer { run, outcome });
        assert!(talk.screen.plain_text().contains(said), "{}", talk.screen.plain_text());
        assert!(talk.labels().contains(&"▶ Показать"));
    }
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue");
    let run = talk.run();
    talk.hear(What::Answer { run, outcome: Outcome::Queued(3) });
    assert!(talk.screen.plain_text().contains("перед ним: 3"));
    talk.taps("Остановить");
    assert!(talk.actions.contains(&Action::Cancel { run }));
    assert!(talk.screen.plain_text().contains("Остановлено."));
}

#[test]
fn an_answer_that_comes_late_leads_back_to_where_one_was() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue").taps("В начало").taps("CRM").done(vec![]);
    assert!(talk.screen.plain_text().contains("Итого 1 ₽"));
    talk.taps("Назад");
    assert!(talk.labels().contains(&"Лиды по регионам"));
}

#[test]
fn days_that_may_not_be_chosen_are_cut_off_and_said_so() {
    let bot = colliding();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/shows последние 3 года");
    assert_eq!(talk.ran().unwrap().1["period"], period("last_1095_days"));
    let text = talk.screen.plain_text();
    assert!(text.contains("дней, 01.01.2025–17.03.2026\n"), "{text}");
    talk.done(vec![]).taps("Период").says("с 1 по 30 марта");
    let text = talk.screen.plain_text();
    assert!(talk.ran().is_some() && text.contains("Период: 01.03–18.03.2026"), "{text}");
    talk.done(vec![]).taps("Период").says("с 20 декабря 2024 по 5 января 2025");
    assert!(talk.ran().is_none(), "what is said to the day is not cut at its beginning");
}

#[test]
fn in_english() {
    let bot = bot();
    let mut talk = Talk::new(&bot, Viewer { language: Language::En, ..viewer() });
    talk.says("/revenue yesterday").done(vec![]);
    assert!(
        talk.screen.plain_text().starts_with("Revenue by day\nPeriod: yesterday, 17 Mar 2026\n"),
        "{}",
        talk.screen.plain_text()
    );
}

#[test]
fn a_group_is_not_listened_to() {
    let bot = bot();
    let mut talk = Talk::new(&bot, Viewer { chat: -100, ..viewer() });
    talk.says("выручка");
    assert!(talk.actions.is_empty());
}

#[test]
fn states_are_small() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    for _ in 0..40 {
        talk.says("/help")
            .says("/find лид")
            .says("/start revenue_yesterday")
            .done(vec![])
            .taps("Период")
            .taps("Календарь");
    }
    assert!(talk.state.trail.len() <= TRAIL);
    let bytes = serde_json::to_string(&talk.state).unwrap().len();
    assert!(bytes < 5_000, "{bytes}");
}
