//! `bot.toml`: what is right, and every mistake at its place.

use insta::assert_snapshot;

use super::{BASE, ORDERS, drawn, good, lines, shipped};
use crate::{
    config::bot::{ADMIN, AskKind, Bot, ChoiceFrom, MenuItem, RowRule, SendAt, Sent, Show},
    model::value::Value,
};

/// A table mart with the column that row rules speak of.
const MART: &str = "sql = \"\"\"\nSELECT local_date(happened_at) AS day, 'mrf1' AS region, amount FROM pipeline.orders\n\"\"\"\nsink.connection = \"warehouse\"\n";

const GOOD: &str = r#"
[bot]
title = { ru = "Отчёты", en = "Reports" }
texts.home = { ru = "Домой", en = "Home" }
texts.found = "Вот что есть по «{words}»:"

[access]
admins = [{ env = "ADMIN" }, 7]

[user.region]
from = "matrix.region"
many = true

[roles.executive]
[roles.regional]
title = "Менеджер"
rows.region = { user = "region" }
free = ["pipeline.orders"]

[[menu]]
title = "Деньги"
items = ["revenue", { title = "Глубже", items = ["day"] }]

[report.revenue]
title = "Выручка"
roles = ["executive", "regional"]
command = "revenue"
aliases = ["деньги"]
sql = """
SELECT m.day, sum(m.amount) AS money
FROM mart.sales AS m, (SELECT count(*) AS n FROM pipeline.orders) AS free
WHERE m.day >= :period.from AND m.day < :period.until AND (:region IS NULL OR m.region = :region)
GROUP BY m.day
"""
[report.revenue.ask]
period = { kind = "date_range", default = "last_7_days", presets = ["yesterday"], min = 2026-01-01, max = "31d" }
region = { kind = "choice", from = "SELECT DISTINCT region FROM mart.sales", any = "все" }
[[report.revenue.show]]
text = "Итого {{ money | sum | rub }} за {{ rows | length }} {{ period }}"
compare = "previous_period"
[[report.revenue.show]]
chart = { kind = "line", x = "day", y = ["money"] }
[[report.revenue.show]]
table = { total = ["money"], drill = { report = "day", with = { day = "day" } } }

[chat.sales]
id = { env = "SALES" }
roles = ["regional"]
user.region = ["mrf1"]

[subscription.morning]
report = "revenue"
with = { period = "yesterday" }
schedule = { cron = "0 9 * * MON-FRI", wait_fresh = "2h" }
to = { roles = ["executive"], chats = ["sales"] }

[alert.drop]
title = "Выручка упала"
sql = "SELECT day FROM mart.sales WHERE amount < 0"
schedule = { every = "1h" }
to = { roles = ["executive"] }
repeat = "6h"
quiet = { from = "22:00", until = "08:00" }

[[dialog]]
name = "start"
steps = ["/start"]
expect = ["Отчёты"]
"#;

const DAY: &str = "title = \"День\"\nsql = \"SELECT amount FROM mart.sales WHERE day = :day AND amount > :least\"\nask.day = { kind = \"date\" }\nask.least = { kind = \"number\", default = 0, min = 0 }\n";

fn files(bot: &str) -> Vec<(&str, &str)> {
    vec![
        ("vitrina.toml", BASE),
        ("pipelines/orders.toml", ORDERS),
        ("marts/sales.toml", MART),
        ("reports/day.toml", DAY),
        ("bot.toml", bot),
    ]
}

/// Problems of the good bot with something else in it.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    drawn(&files(&GOOD.replacen(from, to, 1)))
}

/// The first line of each problem of the good bot with something else in it.
fn told(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    lines(&files(&GOOD.replacen(from, to, 1)))
}

#[test]
fn a_bot_that_is_right() {
    let project = good(&files(GOOD));
    let bot: Bot = project.bot.unwrap();
    assert_eq!(bot.admins, [7], "one whose variable is not set is left out");
    assert_eq!(bot.attributes["region"].values["mrf2"], "Волга");
    assert_eq!(bot.roles["regional"].rows["region"], RowRule::User("region".to_owned()));
    assert!(bot.roles.contains_key(ADMIN) && bot.request);
    assert!(matches!(&bot.menu[0], MenuItem::Menu { items, .. } if items.len() == 2));
    let revenue = &bot.reports["revenue"];
    assert_eq!(revenue.output.as_ref().unwrap().fields().len(), 2);
    let reads: Vec<String> = revenue.reads.iter().map(ToString::to_string).collect();
    assert_eq!(reads, ["mart.sales", "pipeline.orders"]);
    let AskKind::Choice(choice) = &revenue.ask["region"].kind else { panic!() };
    assert!(matches!(choice.from, ChoiceFrom::Sql(_)));
    assert_eq!(choice.value_type, Some(arrow::datatypes::DataType::Utf8));
    let AskKind::Number(least) = &bot.reports["day"].ask["least"].kind else { panic!() };
    assert_eq!((least.whole, &least.default), (true, &Some(Value::Int(0))));
    assert!(
        matches!(bot.reports["day"].show.as_slice(), [Show::Table(_), Show::File(_)]),
        "a table and a file"
    );
    assert_eq!(bot.chats["sales"].id, None);
    assert!(matches!(bot.subscriptions["morning"].at, SendAt::Cron { .. }));
    assert!(bot.alerts["drop"].quiet.is_some());
    let words = crate::bot::words::Words::new(&bot.texts, crate::config::project::Language::En);
    assert_eq!((words.home(), words.back()), ("Home", "‹ Back"));
}

#[test]
fn the_shipped_bot_is_right() {
    let loaded = crate::config::check(shipped(), "default", &|_| None);
    let problems: Vec<&str> = loaded.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(problems, Vec::<&str>::new());
    let bot = loaded.project.and_then(|project| project.bot).unwrap();
    let typed = bot.reports.values().filter(|report| report.output.is_some()).count();
    assert_eq!(typed, bot.reports.len(), "every report's SQL is typed");
}

#[test]
fn names_that_there_are_not() {
    let bot = GOOD
        .replace("roles = [\"executive\", \"regional\"]", "roles = [\"executve\", \"regional\"]")
        .replace("items = [\"revenue\", ", "items = [\"revenu\", ")
        .replace(
            "drill = { report = \"day\", with = { day = \"day\" } }",
            "drill = { report = \"dya\", with = { day = \"day\" } }",
        )
        .replace("rows.region = { user = \"region\" }", "rows.region = { user = \"regoin\" }")
        .replace("chats = [\"sales\"]", "chats = [\"seles\"]")
        .replace("texts.home", "texts.hone")
        .replace("user.region = [\"mrf1\"]", "user.region = [\"mrf9\"]")
        .replace("free = [\"pipeline.orders\"]", "free = [\"pipeline.order\"]");
    assert_snapshot!(drawn(&files(&bot)));
}

#[test]
fn parameters_and_questions() {
    assert_snapshot!("asked_by_nobody", with("m.region = :region)", "m.region = :regoin)"));
    assert_snapshot!("a_range_is_no_day", with("m.day >= :period.from", "m.day >= :period"));
    assert_snapshot!(
        "unused",
        with("[[report.revenue.show]]\ntext", "extra = { kind = \"text\" }\n[[report.revenue.show]]\ntext")
    );
    assert_snapshot!(
        "a_list_of_three",
        with("SELECT DISTINCT region FROM mart.sales", "SELECT day, region, amount FROM mart.sales")
    );
    assert_snapshot!(
        "a_column_that_is_not_there",
        with("SELECT m.day, sum(m.amount)", "SELECT m.day, sum(m.amont)")
    );
}

#[test]
fn rows_that_a_role_may_not_see() {
    assert_snapshot!("no_column", with("free = [\"pipeline.orders\"]", ""));
    assert_snapshot!("native", with("aliases = [\"деньги\"]", "native = true"));
    assert_snapshot!(
        "alerts",
        with("to = { roles = [\"executive\"] }\nrepeat", "to = { roles = [\"regional\"] }\nrepeat")
    );
}

#[test]
fn questions_by_themselves() {
    let bot = GOOD.replace(
        "[report.revenue.ask]\n",
        "[report.revenue.ask]\na = { kind = \"text\", presets = [\"yesterday\"], many = true }\nb = { kind = \"choice\" }\nc = { kind = \"choice\", values = [\"x\"], default = \"y\" }\nd = { kind = \"date\", default = \"last_week\" }\ne = { kind = \"number\", default = 5, min = 6 }\nf = { kind = \"date_range\", default = \"yestrday\", max = \"5\" }\n\"ё-ж\" = { kind = \"text\" }\n",
    );
    let bot = bot.replace(
        "presets = [\"yesterday\"], min = 2026-01-01",
        "presets = [\"last_month\", \"this_year\", \"2025-12-31\"], min = 2026-01-01",
    );
    let problems = lines(&files(&bot));
    let problems: Vec<&String> = problems.iter().filter(|line| !line.contains("changes nothing")).collect();
    assert_snapshot!(problems.iter().map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn answers() {
    assert_snapshot!(
        "template",
        with("{{ money | sum | rub }} за {{ rows | length }}", "{{ monney | smu | rub }}")
    );
    assert_snapshot!("torn_template", with("{{ money | sum | rub }}", "{{ money | sum | rub }"));
    assert_snapshot!("two_in_one", with("chart = { kind", "file = \"excel\"\nchart = { kind"));
    assert_snapshot!("chart", with("x = \"day\", y = [\"money\"]", "x = \"dya\", y = [\"day\"]"));
    assert_snapshot!("heat_map", with("kind = \"line\", x", "kind = \"heat_map\", x"));
    assert_snapshot!(
        "workbook",
        with("chart = { kind = \"line\", x = \"day\", y = [\"money\"] }", "workbook = \"sales\"")
    );
    assert_snapshot!("drill", with("with = { day = \"day\" }", "with = { dai = \"day\", least = \"mony\" }"));
}

#[test]
fn commands() {
    for (command, message) in [
        ("Revenue", "`Revenue` is no command that Telegram takes"),
        ("1st", "`1st` is no command that Telegram takes"),
        ("выручка", "`выручка` is no command that Telegram takes"),
        ("find", "`/find` is a command of the bot itself"),
        ("users", "`/users` is a command of the bot itself"),
        ("subscriptions", "`/subscriptions` is a command of the bot itself"),
    ] {
        let told = told("command = \"revenue\"", &format!("command = \"{command}\""));
        assert!(told.len() == 1 && told[0].contains(message), "{told:#?}");
    }
    let twice = GOOD.replace("[chat.sales]", "[report.other]\ntitle = \"x\"\ncommand = \"revenue\"\naliases = [\"ДЕНЬГИ\"]\nsql = \"SELECT 1 AS x\"\n[chat.sales]");
    assert_snapshot!(drawn(&files(&twice)));
}

#[test]
fn menus() {
    assert_snapshot!(with(
        "{ title = \"Глубже\", items = [\"day\"] }",
        "\"revenue\", { title = \"\", items = [] }"
    ));
}

#[test]
fn subscriptions_and_alerts() {
    let bot = GOOD
        .replace(
            "with = { period = \"yesterday\" }",
            "with = { perod = \"yesterday\", region = \"mrf1\", period = \"yestrday\" }",
        )
        .replace("schedule = { every = \"1h\" }", "schedule = { every = \"1s\", cron = \"0 9 * * *\" }")
        .replace("quiet = { from = \"22:00\"", "quiet = { from = \"25:00\"")
        .replace("to = { roles = [\"executive\"], chats", "to = { roles = [\"content\"], chats")
        .replace("[roles.executive]", "[roles.executive]\n[roles.content]");
    assert_snapshot!("both", drawn(&files(&bot)));
    assert_snapshot!(
        "nobody_answers",
        with("report = \"revenue\"\nwith = { period = \"yesterday\" }", "report = \"day\"")
    );
    assert_snapshot!("bad_cron", with("0 9 * * MON-FRI", "0 25 * * *"));
}

#[test]
fn workbooks_by_themselves() {
    const BOOK: (&str, &str) =
        ("marts/book.toml", "excel = \"book.xlsx\"\n[[sheet]]\nname = \"x\"\nsql = \"SELECT 1 AS one\"\n");
    let given = |what: &str| {
        GOOD.replace(
            "report = \"revenue\"\nwith = { period = \"yesterday\" }\nschedule",
            &format!("{what}\nschedule"),
        )
    };
    let right = given("workbook = \"book\"");
    let bot: Bot = good(&[files(&right), vec![BOOK]].concat()).bot.unwrap();
    assert_eq!(bot.subscriptions["morning"].what, Sent::Workbook("book".to_owned()));
    assert_eq!(
        bot.workbook_roles("book"),
        ["executive", "regional"],
        "those of the role, and those of the group"
    );
    for (what, said) in [
        ("workbook = \"bok\"", "there is no mart `bok` that makes a workbook"),
        ("workbook = \"book\"\nreport = \"revenue\"", "a subscription sends one thing"),
        ("", "a subscription sends one thing"),
        ("workbook = \"book\"\nwith = { period = \"yesterday\" }", "a workbook asks nothing"),
    ] {
        let wrong = given(what);
        let told = lines(&[files(&wrong), vec![BOOK]].concat());
        assert!(told.len() == 1 && told[0].contains(said), "{what}: {told:#?}");
    }
}

#[test]
fn a_model_is_reached_safely() {
    let model = |lines: &str| told("[access]", &format!("[bot.model]\n{lines}\n[access]"));
    for right in
        ["https://models.example.com/v1/chat/completions", "http://127.0.0.1:8080/v1/chat/completions"]
    {
        assert_eq!(model(&format!("url = \"{right}\"\nname = \"m\"")), Vec::<String>::new());
    }
    for (wrong, said) in [
        ("url = \"http://models.example.com\"\nname = \"m\"", "expected an https address"),
        ("url = \"https://models.example.com\"\nname = \" \"", "the model has no name"),
        ("url = \"https://models.example.com\"\nname = \"m\"\ntimeout = \"5m\"", "up to a minute"),
    ] {
        let told = model(wrong);
        assert!(told.len() == 1 && told[0].contains(said), "{wrong}: {told:#?}");
    }
}

#[test]
fn texts_keep_their_holes() {
    assert_snapshot!(with("Вот что есть по «{words}»:", "Вот что есть по «{wrods}»:"));
}

#[test]
fn texts_are_held_against_ours() {
    let bot = |texts: &str| GOOD.replace("texts.home", &format!("{texts}\ntexts.home"));
    for right in [
        "texts.page_next = \"Дальше\"",
        "texts.months_short = { ru = \"я|ф|м|а|м|и|и|а|с|о|н|д\" }",
        "texts.rows_more = { ru = \"+{count}|+{count}|+{count}\", en = \"+{count}|+{count}\" }",
        "texts.excel_sheet = \"Лист\"",
    ] {
        assert_eq!(lines(&files(&bot(right))), Vec::<String>::new(), "{right}");
    }
    for (wrong, said) in [
        ("texts.hoome = \"x\"", "did you mean `home`?"),
        ("texts.zzzzzzzz = \"x\"", "docs/reference/texts.md lists them"),
        ("texts.back = \"к {page}\"", "nothing is put into it"),
        ("texts.request_closed = \"Нельзя.\"", "text `request_closed` says nothing without `{id}`"),
        ("texts.refused = { en = \"No.\" }", "text `refused` says nothing without `{why}`"),
        ("texts.list_search = \"{words\"", "a brace without its other half"),
        ("texts.weekdays = \"Пн|Вт\"", "has 7 parts between `|` in this language, and this one has 2"),
        (
            "texts.rows_more = \"+{count}|+{count}|+{count}\"",
            "has 2 parts between `|` in this language, and this one has 3",
        ),
        ("texts.excel_sheet = \"a/b\"", "a sheet's name must not contain '/'"),
        ("texts.back = { ru = \" \" }", "this text is empty"),
    ] {
        let (told, drawn) = (lines(&files(&bot(wrong))), drawn(&files(&bot(wrong))));
        assert!(told.len() == 1 && drawn.contains(said), "{wrong}: {drawn}");
    }
}

#[test]
fn reports_in_two_places() {
    let bot =
        GOOD.replace("[chat.sales]", "[report.day]\ntitle = \"x\"\nsql = \"SELECT 1 AS x\"\n[chat.sales]");
    let told = lines(&files(&bot));
    assert!(told.iter().any(|line| line.contains("report `day` stands in bot.toml as well")), "{told:#?}");
}

#[test]
fn dialogs_name_what_there_is() {
    assert_snapshot!(with(
        "steps = [\"/start\"]\nexpect = [\"Отчёты\"]",
        "steps = []\nroles = [\"exec\"]\nexpect_run = \"revnue\""
    ));
}
