//! What the front-end itself says, in both languages: access, users, subscriptions, alerts.

use crate::config::project::Language;

/// One of two texts.
pub(super) fn pick<'a>(language: Language, russian: &'a str, english: &'a str) -> &'a str {
    match language {
        Language::Ru => russian,
        Language::En => english,
    }
}

macro_rules! words {
    ($($name:ident: $russian:literal, $english:literal;)*) => {
        $(
            #[doc = $english]
            pub(super) fn $name(language: Language) -> &'static str {
                pick(language, $russian, $english)
            }
        )*
    };
}

words! {
    wants_in: "Просит доступ", "Asks for access";
    approve: "✅ Впустить", "✅ Approve";
    deny: "✖ Отказать", "✖ Deny";
    block: "⛔ Заблокировать", "⛔ Block";
    unblock: "Разблокировать", "Unblock";
    revoke: "Закрыть доступ", "Revoke access";
    history: "🕘 История", "🕘 History";
    export: "⬇ Выгрузить", "⬇ Export";
    users: "👥 Пользователи", "👥 Users";
    back: "‹ Назад", "‹ Back";
    no_users: "Никого не нашлось.", "Nobody was found.";
    role_first: "Сначала отметьте хотя бы одну роль.", "Tick a role first.";
    only_admins: "Это могут только администраторы.", "Only admins may do that.";
    gone: "Этого больше нет.", "That is not there any more.";
    others: "Это кнопки другого человека. Напишите /start.", "These buttons are somebody else's. Write /start.";
    let_in: "Доступ открыт. Напишите /start.", "You have access now. Write /start.";
    not_let_in: "В доступе отказано. Если это ошибка, обратитесь к администратору.",
        "Your request was denied. If that is a mistake, talk to an admin.";
    shut_out: "Ваш доступ закрыт.", "Your access has ended.";
    rights_changed: "Ваши права изменились.", "Your rights have changed.";
    zone: "🕐 Часовой пояс", "🕐 Time zone";
    projects_zone: "как у проекта", "the project's";
    no_expiry: "без срока", "no end";
    until: "до", "until";
    waiting: "ждёт решения", "waits";
    member: "есть доступ", "has access";
    denied: "отказано", "denied";
    blocked: "заблокирован", "blocked";
    seen: "без доступа", "no access";
    reason: "Зачем", "Reason";
    subscriptions: "🔔 Подписки", "🔔 Subscriptions";
    no_subscriptions: "Подписок нет. Откройте отчёт и нажмите «Присылать».",
        "You have no subscriptions. Open a report and press “Send it to me”.";
    pause: "⏸ Приостановить", "⏸ Pause";
    resume: "▶ Возобновить", "▶ Resume";
    remove: "🗑 Удалить", "🗑 Remove";
    send_now: "📨 Прислать сейчас", "📨 Send now";
    add_workbook: "➕ Книга Excel", "➕ An Excel workbook";
    which_workbook: "Какую книгу присылать?", "Which workbook shall be sent?";
    too_many_subscriptions: "Подписок слишком много. Удалите лишние: /subscriptions",
        "You have too many subscriptions. Remove some: /subscriptions";
    paused: "на паузе", "paused";
    stopped: "остановлена", "stopped";
    busy: "Сейчас слишком много запросов. Повторите через минуту.",
        "Too much is asked for at the moment. Try again in a minute.";
    sending: "Готовлю.", "On its way.";
    stopped_role: "Подписка остановлена: у вас больше нет нужной роли.",
        "Your subscription has stopped: you no longer have the role for it.";
    stale: "⚠ Данные устарели", "⚠ The data is stale";
    report_failed: "Отчёт не выполнен", "A report failed";
    undelivered: "Сообщение не доставлено в чат", "A message was not delivered to chat";
    group_moved: "Группа стала супергруппой. Запишите новый номер в bot.toml", "A group became a supergroup. Put its new id into bot.toml";
    unknown_group: "Эта группа боту не знакома. Её номер для [chat.NAME] в bot.toml:",
        "The bot does not know this group. Its id for [chat.NAME] in bot.toml:";
    recovered: "🟢 Снова в порядке", "🟢 Recovered";
    history_empty: "Записей нет.", "No entries.";
}
