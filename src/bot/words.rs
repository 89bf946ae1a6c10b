//! The bot's own words, in both languages. `[bot.texts]` may put others in their place; `{holes}` stay.

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    config::{bot::Bot, project::Language},
    report::format,
};

/// A text in Russian and in English.
pub type Pair = (&'static str, &'static str);

/// Every text by its key.
pub const KEYS: [(&str, Pair); 98] = [
    ("home", ("🏠 В начало", "🏠 Home")),
    ("back", ("‹ Назад", "‹ Back")),
    ("page_previous", ("◂ Страница {page}", "◂ Page {page}")),
    ("page_next", ("Страница {page} ▸", "Page {page} ▸")),
    ("choose", ("Выберите раздел или отчёт.", "Choose a section or a report.")),
    (
        "nothing_yet",
        (
            "Вам пока не открыт ни один отчёт. Попросите администратора дать вам роль.",
            "No report is open to you yet. Ask an admin for a role.",
        ),
    ),
    (
        "stranger",
        (
            "Этот бот показывает отчёты тем, кому открыт доступ.",
            "This bot shows reports to those who have access.",
        ),
    ),
    ("request", ("Запросить доступ", "Ask for access")),
    (
        "request_reason",
        (
            "Напишите одним сообщением, кто вы и какие отчёты вам нужны.",
            "Tell in one message who you are and which reports you need.",
        ),
    ),
    (
        "request_sent",
        (
            "Запрос отправлен. Администратор ответит вам здесь.",
            "Your request is sent. An admin will answer you here.",
        ),
    ),
    (
        "request_closed",
        (
            "Доступ открывает администратор. Назовите ему свой номер: {id}.",
            "An admin gives access. Tell them your number: {id}.",
        ),
    ),
    (
        "waiting",
        (
            "Ваш запрос ещё рассматривают. Администратор ответит вам здесь.",
            "Your request is still waiting. An admin will answer you here.",
        ),
    ),
    (
        "blocked",
        (
            "Доступ закрыт. Если это ошибка, обратитесь к администратору.",
            "Your access is closed. If that is a mistake, talk to an admin.",
        ),
    ),
    (
        "stale",
        (
            "Эта кнопка устарела. Вот что открыто сейчас:",
            "That button is out of date. This is where you are now:",
        ),
    ),
    ("unknown_command", ("Такой команды нет.", "There is no such command.")),
    ("unknown_link", ("Отчёт по этой ссылке вам недоступен.", "The report of this link is not open to you.")),
    ("found", ("Нашлось по запросу «{words}»:", "Found for “{words}”:")),
    (
        "found_nothing",
        (
            "По запросу «{words}» ничего не нашлось. Попробуйте другое слово.",
            "Nothing was found for “{words}”. Try another word.",
        ),
    ),
    (
        "find_what",
        (
            "Что найти? Напишите слово из названия отчёта.",
            "What are you looking for? Type a word of its title.",
        ),
    ),
    ("understanding", ("Читаю «{words}»…", "Reading “{words}”…")),
    ("understood", ("Вот как я понял «{words}». Что показать?", "This is how I read “{words}”. Which one?")),
    (
        "understood_nothing",
        (
            "Не получилось понять «{words}». Назовите отчёт и период, например: «{example} за прошлую неделю».",
            "“{words}” could not be read. Name a report and a period, for example: “{example} last week”.",
        ),
    ),
    ("favourites", ("⭐ Избранное", "⭐ Favourites")),
    (
        "favourites_none",
        (
            "Здесь пока пусто. Откройте отчёт и нажмите «{button}».",
            "Nothing here yet. Open a report and press “{button}”.",
        ),
    ),
    ("favourite_add", ("☆ В избранное", "☆ Keep")),
    ("favourite_remove", ("★ Убрать из избранного", "★ Do not keep")),
    ("favourite_added", ("Добавлено в избранное.", "Kept among your favourites.")),
    ("favourite_removed", ("Убрано из избранного.", "No longer among your favourites.")),
    (
        "favourites_full",
        (
            "В избранном уже {count}: больше не поместится.",
            "You keep {count} already, and there is no room for more.",
        ),
    ),
    ("again", ("🔁 Повторить последний", "🔁 The last one again")),
    ("again_none", ("Вы ещё не открывали отчётов.", "You have not run any report yet.")),
    ("run", ("▶ Показать", "▶ Show")),
    ("refresh", ("🔄 Обновить", "🔄 Refresh")),
    ("change", ("{title}: {value} ✎", "{title}: {value} ✎")),
    ("preparing", ("Готовлю отчёт…", "Preparing the report…")),
    ("queued", ("Отчёт в очереди, перед ним: {count}.", "The report waits in line behind {count}.")),
    (
        "queue_full",
        (
            "Сейчас слишком много отчётов в очереди. Повторите через минуту.",
            "Too many reports wait in line at the moment. Try again in a minute.",
        ),
    ),
    ("cancel", ("✖ Остановить", "✖ Stop")),
    ("cancelled", ("Остановлено.", "Stopped.")),
    ("cancelled_nothing", ("Сейчас ничего не выполняется.", "Nothing is running.")),
    (
        "timed_out",
        (
            "За {seconds} с отчёт не успел посчитаться. Выберите период покороче или повторите позже.",
            "The report was not done in {seconds} s. Choose a shorter period, or try later.",
        ),
    ),
    (
        "failed",
        (
            "Отчёт не получился. Попробуйте ещё раз через несколько минут. Администраторы видят причину.",
            "The report failed. Try again in a few minutes. Admins can see why.",
        ),
    ),
    ("refused", ("Показать этот отчёт нельзя: {why}.", "This report cannot be shown: {why}.")),
    ("refused_role", ("у вас больше нет нужной роли", "you no longer have the role for it")),
    ("not_chosen", ("не выбрано", "not chosen")),
    ("calendar", ("📅 Календарь", "📅 Calendar")),
    (
        "ask_range",
        (
            "Выберите период или напишите его: «вчера», «01.03–15.03.2026», «март».",
            "Choose a period, or type it: “yesterday”, “1 Mar – 15 Mar 2026”, “March”.",
        ),
    ),
    (
        "ask_day",
        (
            "Выберите день или напишите его: «вчера», «15.03.2026».",
            "Choose a day, or type it: “yesterday”, “15 Mar 2026”.",
        ),
    ),
    ("first_day", ("Выберите первый день.", "Choose the first day.")),
    ("last_day", ("С {day}. Выберите последний день.", "From {day}. Choose the last day.")),
    ("choose_day", ("Выберите день.", "Choose the day.")),
    ("choose_month", ("Выберите месяц.", "Choose the month.")),
    ("whole_month", ("Весь {month}", "All of {month}")),
    (
        "ask_list",
        (
            "Выберите значение. Чтобы найти, напишите часть названия.",
            "Choose a value. To search, type a part of it.",
        ),
    ),
    (
        "ask_lists",
        (
            "Отметьте одно или несколько значений и нажмите «{button}».",
            "Mark one or more, then press “{button}”.",
        ),
    ),
    ("list_loading", ("Загружаю список…", "Loading the list…")),
    ("list_failed", ("Список сейчас недоступен.", "The list is not there at the moment.")),
    ("list_empty", ("Подходящих значений нет.", "No value fits.")),
    ("list_search", ("Найдено по «{words}»:", "Found for “{words}”:")),
    ("list_all", ("Весь список", "The whole list")),
    (
        "list_more",
        (
            "Показаны первые {count}. Напишите часть названия, чтобы найти остальное.",
            "These are the first {count}. Type a part of the title to find others.",
        ),
    ),
    ("retry", ("🔄 Ещё раз", "🔄 Try again")),
    ("done", ("✔ Готово", "✔ Done")),
    ("ask_number", ("Напишите число.", "Type a number.")),
    ("ask_number_bounds", ("Напишите число от {least} до {most}.", "Type a number from {least} to {most}.")),
    ("ask_text", ("Напишите значение.", "Type the value.")),
    ("keep_default", ("Оставить: {value}", "Keep: {value}")),
    (
        "wrong_date",
        ("Такой даты нет. Напишите её так: 15.03.2026.", "That is no date. Write it like this: 15 Mar 2026."),
    ),
    ("wrong_early", ("Раньше {day} выбрать нельзя.", "Nothing earlier than {day} can be chosen.")),
    ("wrong_late", ("Позже {day} выбрать нельзя.", "Nothing later than {day} can be chosen.")),
    ("wrong_long", ("Можно выбрать не больше {days}.", "No more than {days} can be chosen.")),
    ("wrong_number", ("Это не число. Напишите его цифрами.", "That is no number. Write it in digits.")),
    ("wrong_small", ("Это меньше {least}.", "That is less than {least}.")),
    ("wrong_big", ("Это больше {most}.", "That is more than {most}.")),
    ("wrong_text", ("Не больше {count} знаков.", "No more than {count} characters.")),
    ("subscribe", ("🔔 Присылать", "🔔 Send it to me")),
    (
        "subscribe_when",
        (
            "Когда присылать? Выберите или напишите время: «10:30» или cron «30 10 * * MON-FRI».",
            "When shall it be sent? Choose, or type a time: “10:30”, or cron “30 10 * * MON-FRI”.",
        ),
    ),
    ("schedule_own", ("✎ Своё расписание", "✎ A schedule of my own")),
    (
        "schedule_how",
        (
            "Напишите время или выражение cron: минута, час, день месяца, месяц, день недели. Не чаще раза в {minutes} минут.\n\n\
             • 10:30 — каждый день\n• 30 10 * * MON-FRI — по будням в 10:30\n• 0 9 1,15 * * — 1-го и 15-го числа в 9:00\n• 0 */2 * * * — каждые два часа",
            "Type a time, or a cron expression: minute, hour, day of the month, month, weekday. Once in {minutes} minutes at most.\n\n\
             • 10:30 — every day\n• 30 10 * * MON-FRI — on workdays at 10:30\n• 0 9 1,15 * * — on the 1st and the 15th at 9:00\n• 0 */2 * * * — every two hours",
        ),
    ),
    (
        "schedule_understood",
        (
            "Расписание: {when}, время {zone}. Ближайшие отправки:\n{times}\n\nВерно? Подтвердите или напишите другое.",
            "The schedule: {when}, by the clock of {zone}. The next times:\n{times}\n\nIs that right? Confirm it, or type another one.",
        ),
    ),
    ("schedule_confirm", ("✔ Присылать так", "✔ Send it then")),
    (
        "wrong_time",
        (
            "Такого времени нет: часы от 0 до 23, минуты от 0 до 59.",
            "That is no time: hours are 0 to 23, minutes 0 to 59.",
        ),
    ),
    (
        "wrong_often",
        (
            "Это чаще раза в {minutes} минут: так часто присылать нельзя.",
            "That is more than once in {minutes} minutes, and so often nothing is sent.",
        ),
    ),
    (
        "wrong_cron_fields",
        (
            "В выражении cron пять полей через пробел, а здесь их {count}.",
            "A cron expression has five fields with spaces between, and this has {count}.",
        ),
    ),
    (
        "wrong_cron_field",
        (
            "«{field}» не читается. На этом месте {name}: число, список 1,15, промежуток 1-5, шаг */2 или просто *.",
            "“{field}” cannot be read. This place has {name}: a number, a list 1,15, a range 1-5, a step */2, or just *.",
        ),
    ),
    ("wrong_cron_never", ("Такого дня не бывает.", "There is no such day.")),
    ("wrong_cron", ("Это не время и не выражение cron.", "That is neither a time nor a cron expression.")),
    ("cron_second", ("секунда, от 0 до 59", "a second, 0 to 59")),
    ("cron_minute", ("минута, от 0 до 59", "a minute, 0 to 59")),
    ("cron_hour", ("час, от 0 до 23", "an hour, 0 to 23")),
    ("cron_day", ("день месяца, от 1 до 31", "a day of the month, 1 to 31")),
    ("cron_month", ("месяц, от 1 до 12", "a month, 1 to 12")),
    ("cron_weekday", ("день недели, MON–SUN или от 0 до 7", "a weekday, MON to SUN or 0 to 7")),
    ("subscribed", ("Готово, буду присылать: {when}.", "Done. It will be sent {when}.")),
    (
        "help",
        (
            "Отчёты открываются кнопками, командами или словами: напишите, что вас интересует и за какой период.",
            "Open reports by buttons, by commands, or in words: type what you want to see and for which period.",
        ),
    ),
    ("help_commands", ("Команды", "Commands")),
    ("help_reports", ("Отчёты", "Reports")),
    (
        "elsewhere",
        (
            "Здесь эта команда не работает: откройте бота в Telegram.",
            "This command does not work here: open the bot in Telegram.",
        ),
    ),
];

/// The bot's own commands, with what stands beside them in Telegram's list.
pub const COMMANDS: [(&str, Pair); 7] = [
    ("start", ("В начало", "Home")),
    ("help", ("Что умеет бот", "What the bot can do")),
    ("ask", ("Спросить словами: /ask выручка за прошлую неделю", "Ask in words: /ask revenue last week")),
    ("find", ("Найти отчёт", "Find a report")),
    ("favourites", ("Избранное", "Favourites")),
    ("again", ("Повторить последний отчёт", "Run the last report again")),
    ("cancel", ("Остановить отчёт", "Stop the report")),
];

static BY_KEY: LazyLock<HashMap<&'static str, Pair>> = LazyLock::new(|| KEYS.into_iter().collect());

/// The words of one bot in one language.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    bot: &'a Bot,
    /// The language.
    pub language: Language,
}

impl<'a> Words<'a> {
    /// Of a bot.
    pub fn new(bot: &'a Bot, language: Language) -> Self {
        Self { bot, language }
    }

    /// One text.
    pub fn get(&self, key: &str) -> &'a str {
        match self.bot.texts.get(key) {
            Some(text) => text.get(self.language),
            None => pick(BY_KEY.get(key).copied().unwrap_or_default(), self.language),
        }
    }

    /// One text with its holes filled.
    pub fn fill(&self, key: &str, holes: &[(&str, &str)]) -> String {
        let text = self.get(key);
        let mut filled = String::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                filled.push('{');
                rest = after;
                continue;
            };
            match holes.iter().find(|(hole, _)| *hole == name) {
                Some((_, value)) => filled.push_str(value),
                None => {
                    filled.push('{');
                    filled.push_str(name);
                    filled.push('}');
                }
            }
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

/// One language of a pair.
pub fn pick(pair: Pair, language: Language) -> &'static str {
    match language {
        Language::Ru => pair.0,
        Language::En => pair.1,
    }
}

/// The holes of a text.
pub fn holes(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// A number of things in words: `1 день`, `2 дня`, `5 дней`.
pub fn plural(count: u64, language: Language, russian: [&str; 3], english: [&str; 2]) -> String {
    let forms: &[&str] = match language {
        Language::Ru => &russian,
        Language::En => &english,
    };
    format!("{count} {}", format::plural(i128::from(count), forms, language))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_holes() {
        for (key, (ru, en)) in KEYS {
            let sorted = |text: &'static str| {
                let mut names: Vec<&str> = holes(text).collect();
                names.sort_unstable();
                names
            };
            assert_eq!(sorted(ru), sorted(en), "{key}");
        }
        assert_eq!(BY_KEY.len(), KEYS.len());
    }

    #[test]
    fn the_docs_list_every_text() {
        let docs = include_str!("../../docs/bot.md");
        for (key, (ru, en)) in KEYS {
            let row = format!("| `{key}` | {ru} | {en} |").replace('\n', "<br>");
            assert!(docs.lines().any(|line| line == row), "docs/bot.md does not have this:\n{row}");
        }
    }

    #[test]
    fn holes_are_filled_once() {
        let bot = Bot::default();
        let words = Words::new(&bot, Language::En);
        assert_eq!(words.fill("found", &[("words", "{words} {")]), "Found for “{words} {”:");
    }

    #[test]
    fn days_in_russian() {
        let days = |count| plural(count, Language::Ru, ["день", "дня", "дней"], ["day", "days"]);
        assert_eq!(
            [1, 2, 5, 11, 12, 21, 366].map(days),
            ["1 день", "2 дня", "5 дней", "11 дней", "12 дней", "21 день", "366 дней"]
        );
    }
}
