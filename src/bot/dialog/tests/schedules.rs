//! When something shall be sent by itself: usual times, and schedules that are typed.

use super::{Talk, bot, member, period, viewer};
use crate::{
    bot::event::{Action, Call, Spot, State, Subscribes, Topic, Viewer, What, With},
    config::bot::Sent,
};

#[test]
fn subscriptions_have_usual_times() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    talk.says("/revenue").done(vec![]).taps("Присылать").taps("По будням");
    assert!(
        matches!(&talk.actions[0], Action::Subscribe { what: Sent::Report(report), cron, .. } if report == "revenue" && cron == "0 9 * * MON-FRI")
    );
    assert!(talk.screen.plain_text().contains("буду присылать: по будням в 9:00."));
    let mut talk = Talk::new(&bot, Viewer { subscribes: Subscribes::Never, ..viewer() });
    talk.says("/revenue").done(vec![]);
    assert!(!talk.labels().contains(&"🔔 Присылать"));
}

#[test]
fn a_schedule_that_is_typed_is_confirmed_first() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    for (typed, kept, shown, told) in [
        (
            "10:30",
            "30 10 * * *",
            "• Чт 19.03.2026 10:30\n• Пт 20.03.2026 10:30\n• Сб",
            "каждый день в 10:30.",
        ),
        ("5 8 * * MON", "5 8 * * MON", "• Пн 23.03.2026 08:05\n• Пн 30.03.2026 08:05\n", "5 8 * * MON."),
        ("*/15 * * * *", "*/15 * * * *", "• Ср 18.03.2026 12:15\n• Ср 18.03.2026 12:30\n", "*/15 * * * *."),
    ] {
        talk.says("/revenue").done(vec![]).taps("Присылать").taps("Своё расписание");
        assert!(
            talk.screen.plain_text().contains("минута, час, день месяца"),
            "{}",
            talk.screen.plain_text()
        );
        talk.says(typed);
        assert!(talk.screen.plain_text().contains(shown), "{typed}: {}", talk.screen.plain_text());
        assert!(talk.screen.plain_text().contains("время Europe/Moscow"));
        assert!(!talk.actions.iter().any(|action| matches!(action, Action::Subscribe { .. })), "{typed}");
        talk.taps("Присылать так");
        let kept = matches!(&talk.actions[0], Action::Subscribe { cron, .. } if cron == kept);
        assert!(kept, "{:?}", talk.actions);
        assert!(talk.screen.plain_text().contains(&format!("буду присылать: {told}")));
        assert!(matches!(talk.state.trail.last(), Some(Spot::Report { .. })), "{:?}", talk.state.trail);
    }
    // Where usual times are chosen, one may type as well, and think again.
    talk.taps("Присылать").says("10:30").says("11:00").taps("Назад").says("12:00").taps("Присылать так");
    assert!(matches!(&talk.actions[0], Action::Subscribe { cron, .. } if cron == "0 12 * * *"));
}

#[test]
fn a_schedule_that_is_wrong_says_what_is_wrong() {
    let bot = bot();
    let mut talk = Talk::new(&bot, viewer());
    for (wrong, said) in [
        ("25:00", "Такого времени нет: часы от 0 до 23, минуты от 0 до 59."),
        ("* * * * *", "чаще раза в 15 минут"),
        ("0,10 9 * * *", "чаще раза в 15 минут"),
        ("утром", "пять полей через пробел, а здесь их 1."),
        ("5 8 * *", "пять полей через пробел, а здесь их 4."),
        ("0 9 32 * *", "«32» не читается. На этом месте день месяца, от 1 до 31"),
        ("0 25 * * <b>", "«25» не читается. На этом месте час, от 0 до 23"),
        ("0 9 * * <b>", "«<b>» не читается. На этом месте день недели, MON–SUN или от 0 до 7"),
        ("0 9 30 2 *", "Такого дня не бывает."),
        ("@иногда", "Это не время и не выражение cron."),
    ] {
        talk.says("/revenue").done(vec![]).taps("Присылать").taps("Своё расписание").says(wrong);
        let screen = talk.screen.plain_text();
        assert!(screen.contains(said), "{wrong}: {screen}");
        assert!(screen.contains("• 30 10 * * MON-FRI — по будням в 10:30"), "a good example: {screen}");
        assert_eq!(talk.labels(), ["‹ Назад", "🏠 В начало"], "{wrong}");
    }
    // A role that is taken away takes the screen with it.
    talk.viewer = member(&["regional"], &["mrf1"]);
    talk.says("10:30");
    assert!(!talk.labels().contains(&"✔ Присылать так"), "{:?}", talk.labels());
}

#[test]
fn states_of_before_there_were_typed_schedules_are_read() {
    let state = r#"{"version":1,"trail":[{"menu":[[],0]},{"subscribe":{"report":"revenue","with":{"period":{"period":"yesterday"}}}}]}"#;
    let state: State = serde_json::from_str(state).unwrap();
    let call =
        Call { report: "revenue".to_owned(), with: With::from([("period".to_owned(), period("yesterday"))]) };
    assert_eq!(state.trail[1], Spot::Subscribe(Topic::Report(call)));
}

#[test]
fn a_workbook_is_subscribed_to_by_whoever_may_have_it() {
    let bot = bot();
    let book = || What::Workbook { mart: "sales".to_owned(), title: "📗 Продажи".to_owned() };
    let mut talk = Talk::new(&bot, viewer());
    talk.hear(book());
    assert!(!talk.labels().contains(&"✎ Своё расписание"), "no role has it: {:?}", talk.labels());
    let mut talk = Talk::new(&bot, member(&["admin"], &[]));
    talk.hear(book()).taps("Своё расписание").says("10:30").taps("Присылать так");
    let what = Sent::Workbook("sales".to_owned());
    assert_eq!(
        talk.actions[0],
        Action::Subscribe { what, with: With::new(), cron: "30 10 * * *".to_owned() }
    );
    assert!(talk.screen.plain_text().contains("буду присылать"), "{}", talk.screen.plain_text());
}

#[test]
fn past_the_last_subscription_it_is_refused_before_anything_is_asked() {
    let bot = bot();
    let mut talk = Talk::new(&bot, Viewer { subscribes: Subscribes::Full, ..viewer() });
    talk.says("/revenue").done(vec![]).taps("Присылать");
    let text = talk.screen.plain_text();
    assert!(text.starts_with("У вас уже 30 подписок") && text.contains("/subscriptions"), "{text}");
    assert!(matches!(talk.state.trail.last(), Some(Spot::Report { .. })), "{:?}", talk.state.trail);
    // One that was about to be made when another chat made the last one.
    talk.viewer.subscribes = Subscribes::Yes;
    talk.taps("Присылать");
    talk.viewer.subscribes = Subscribes::Full;
    talk.taps("По будням");
    let text = talk.screen.plain_text();
    assert!(text.contains("У вас уже 30 подписок") && !text.contains("Готово"), "{text}");
    let book = What::Workbook { mart: "book".to_owned(), title: "Книга".to_owned() };
    talk.hear(book);
    assert!(talk.screen.plain_text().contains("У вас уже 30 подписок"));
    assert!(!talk.actions.iter().any(|action| matches!(action, Action::Subscribe { .. })));
}
