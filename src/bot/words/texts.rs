//! Every text that a user of the bot may see, by its key: in Russian and in English. `[bot.texts]` may put others in their place.
//!
//! What stands in braces is put in: `(name)` says which there are, `= must` which a text cannot do without. A text of `@count` has a form for each
//! number that Russian and English tell apart, between `|`; one of `@list` has names in their order.

texts! {
    // Getting around.
    home: "🏠 В начало", "🏠 Home";
    back: "‹ Назад", "‹ Back";
    page_previous(page): "◂ Страница {page}", "◂ Page {page}";
    page_next(page): "Страница {page} ▸", "Page {page} ▸";
    choose: "Выберите раздел или отчёт.", "Choose a section or a report.";
    nothing_yet:
        "Вам пока не открыт ни один отчёт. Попросите администратора дать вам роль.",
        "No report is open to you yet. Ask an admin for a role.";
    stale:
        "Эта кнопка устарела. Вот что открыто сейчас:",
        "That button is out of date. This is where you are now:";
    unknown_command: "Такой команды нет.", "There is no such command.";
    only_words:
        "Понимаю только текст и кнопки. Напишите, что показать, или откройте /start.",
        "Only words and buttons are understood. Type what you want to see, or open /start.";
    unknown_link: "Отчёт по этой ссылке вам недоступен.", "The report of this link is not open to you.";

    // Being let in.
    stranger:
        "Этот бот показывает отчёты тем, кому открыт доступ.",
        "This bot shows reports to those who have access.";
    request: "Запросить доступ", "Ask for access";
    request_reason:
        "Напишите одним сообщением, кто вы и какие отчёты вам нужны.",
        "Tell in one message who you are and which reports you need.";
    request_sent:
        "Запрос отправлен. Администратор ответит вам здесь.",
        "Your request is sent. An admin will answer you here.";
    request_closed(id = must):
        "Доступ открывает администратор. Назовите ему свой номер: {id}.",
        "An admin gives access. Tell them your number: {id}.";
    waiting:
        "Ваш запрос ещё рассматривают. Администратор ответит вам здесь.",
        "Your request is still waiting. An admin will answer you here.";
    blocked:
        "Доступ закрыт. Если это ошибка, обратитесь к администратору.",
        "Your access is closed. If that is a mistake, talk to an admin.";
    let_in: "Доступ открыт. Напишите /start.", "You have access now. Write /start.";
    not_let_in:
        "В доступе отказано. Если это ошибка, обратитесь к администратору.",
        "Your request was denied. If that is a mistake, talk to an admin.";
    shut_out: "Ваш доступ закрыт.", "Your access has ended.";
    rights_changed: "Ваши права изменились.", "Your rights have changed.";
    others: "Это кнопки другого человека. Напишите /start.", "These buttons are somebody else's. Write /start.";
    unknown_group:
        "Эта группа боту не знакома. Её номер для [chat.NAME] в bot.toml:",
        "The bot does not know this group. Its id for [chat.NAME] in bot.toml:";

    // Finding, asking in words.
    found(words): "Нашлось по запросу «{words}»:", "Found for “{words}”:";
    found_nothing(words):
        "По запросу «{words}» ничего не нашлось. Попробуйте другое слово.",
        "Nothing was found for “{words}”. Try another word.";
    find_what:
        "Что найти? Напишите слово из названия отчёта.",
        "What are you looking for? Type a word of its title.";
    understanding(words): "Читаю «{words}»…", "Reading “{words}”…";
    understood(words): "Вот как я понял «{words}». Что показать?", "This is how I read “{words}”. Which one?";
    not_used(words = must): "Не учтено: {words}.", "Not taken into account: {words}.";
    understood_nothing(words, example):
        "Не получилось понять «{words}». Назовите отчёт и период, например: «{example} за прошлую неделю».",
        "“{words}” could not be read. Name a report and a period, for example: “{example} last week”.";

    // Favourites, and the last report.
    favourites: "⭐ Избранное", "⭐ Favourites";
    favourites_none(button):
        "Здесь пока пусто. Откройте отчёт и нажмите «{button}».",
        "Nothing here yet. Open a report and press “{button}”.";
    favourite_add: "☆ В избранное", "☆ Keep";
    favourite_remove: "★ Убрать из избранного", "★ Do not keep";
    favourite_added: "Добавлено в избранное.", "Kept among your favourites.";
    favourite_removed: "Убрано из избранного.", "No longer among your favourites.";
    favourites_full(count):
        "В избранном уже {count}: больше не поместится.",
        "You keep {count} already, and there is no room for more.";
    again: "🔁 Повторить последний", "🔁 The last one again";
    again_none: "Вы ещё не открывали отчётов.", "You have not run any report yet.";

    // A report, and what becomes of it.
    run: "▶ Показать", "▶ Show";
    refresh: "🔄 Обновить", "🔄 Refresh";
    change(title, value = must): "{title}: {value} ✎", "{title}: {value} ✎";
    preparing: "Готовлю отчёт…", "Preparing the report…";
    queued(count = must): "Отчёт в очереди, перед ним: {count}.", "The report waits in line behind {count}.";
    queue_full:
        "Сейчас слишком много отчётов в очереди. Повторите через минуту.",
        "Too many reports wait in line at the moment. Try again in a minute.";
    cancel: "✖ Остановить", "✖ Stop";
    cancelled: "Остановлено.", "Stopped.";
    cancelled_nothing: "Сейчас ничего не выполняется.", "Nothing is running.";
    timed_out(seconds):
        "За {seconds} с отчёт не успел посчитаться. Выберите период покороче или повторите позже.",
        "The report was not done in {seconds} s. Choose a shorter period, or try later.";
    failed:
        "Отчёт не получился. Попробуйте ещё раз через несколько минут. Администраторы видят причину.",
        "The report failed. Try again in a few minutes. Admins can see why.";
    refused(why = must): "Показать этот отчёт нельзя: {why}.", "This report cannot be shown: {why}.";
    refused_role: "у вас больше нет нужной роли", "you no longer have the role for it";
    refused_rows: "ваши роли видят не все данные, из которых он сделан", "your roles do not see all the data that it is made of";
    not_chosen: "не выбрано", "not chosen";
    crashed:
        "Что-то пошло не так, и это действие не выполнено: ошибка в программе. Попробуйте ещё раз или начните сначала: /start. Администраторы уже знают.",
        "Something went wrong, and this was not done: a mistake in the program. Try again, or begin anew: /start. Admins have been told.";

    // Questions.
    calendar: "📅 Календарь", "📅 Calendar";
    ask_range:
        "Выберите период или напишите его: «вчера», «01.03–15.03.2026», «март».",
        "Choose a period, or type it: “yesterday”, “1 Mar – 15 Mar 2026”, “March”.";
    ask_day:
        "Выберите день или напишите его: «вчера», «15.03.2026».",
        "Choose a day, or type it: “yesterday”, “15 Mar 2026”.";
    first_day: "Выберите первый день.", "Choose the first day.";
    last_day(day): "С {day}. Выберите последний день.", "From {day}. Choose the last day.";
    choose_day: "Выберите день.", "Choose the day.";
    choose_month: "Выберите месяц.", "Choose the month.";
    whole_month(month): "Весь {month}", "All of {month}";
    ask_list:
        "Выберите значение. Чтобы найти, напишите часть названия.",
        "Choose a value. To search, type a part of it.";
    ask_lists(button):
        "Отметьте одно или несколько значений и нажмите «{button}».",
        "Mark one or more, then press “{button}”.";
    list_loading: "Загружаю список…", "Loading the list…";
    list_failed: "Список сейчас недоступен.", "The list is not there at the moment.";
    list_empty: "Подходящих значений нет.", "No value fits.";
    list_search(words): "Найдено по «{words}»:", "Found for “{words}”:";
    list_all: "Весь список", "The whole list";
    list_full(count):
        "Больше {count} значений выбрать нельзя.",
        "No more than {count} can be chosen.";
    list_more(count):
        "Показаны первые {count}. Напишите часть названия, чтобы найти остальное.",
        "These are the first {count}. Type a part of the title to find others.";
    retry: "🔄 Ещё раз", "🔄 Try again";
    done: "✔ Готово", "✔ Done";
    ask_number: "Напишите число.", "Type a number.";
    ask_number_bounds(least = must, most = must):
        "Напишите число от {least} до {most}.",
        "Type a number from {least} to {most}.";
    ask_text: "Напишите значение.", "Type the value.";
    keep_default(value = must): "Оставить: {value}", "Keep: {value}";
    wrong_date:
        "Такой даты нет. Напишите её так: 15.03.2026.",
        "That is no date. Write it like this: 15 Mar 2026.";
    wrong_early(day = must): "Раньше {day} выбрать нельзя.", "Nothing earlier than {day} can be chosen.";
    wrong_late(day = must): "Позже {day} выбрать нельзя.", "Nothing later than {day} can be chosen.";
    @count wrong_long(count = must):
        "Можно выбрать не больше {count} дня.|Можно выбрать не больше {count} дней.|Можно выбрать не больше {count} дней.",
        "No more than {count} day can be chosen.|No more than {count} days can be chosen.";
    wrong_number: "Это не число. Напишите его цифрами.", "That is no number. Write it in digits.";
    wrong_small(least = must): "Это меньше {least}.", "That is less than {least}.";
    wrong_big(most = must): "Это больше {most}.", "That is more than {most}.";
    @count wrong_text(count = must):
        "Не больше {count} знака.|Не больше {count} знаков.|Не больше {count} знаков.",
        "No more than {count} character.|No more than {count} characters.";

    // Periods.
    today: "сегодня", "today";
    yesterday: "вчера", "yesterday";
    this_week: "эта неделя", "this week";
    last_week: "прошлая неделя", "last week";
    this_month: "этот месяц", "this month";
    last_month: "прошлый месяц", "last month";
    this_quarter: "этот квартал", "this quarter";
    last_quarter: "прошлый квартал", "last quarter";
    this_year: "этот год", "this year";
    last_year: "прошлый год", "last year";
    @count last_days(count = must):
        "последний {count} день|последние {count} дня|последние {count} дней",
        "last {count} day|last {count} days";
    year(year = must): "{year} год", "{year}";
    @list months:
        "январь|февраль|март|апрель|май|июнь|июль|август|сентябрь|октябрь|ноябрь|декабрь",
        "January|February|March|April|May|June|July|August|September|October|November|December";
    @list months_short:
        "янв|фев|мар|апр|май|июн|июл|авг|сен|окт|ноя|дек",
        "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec";
    @list weekdays: "Пн|Вт|Ср|Чт|Пт|Сб|Вс", "Mo|Tu|We|Th|Fr|Sa|Su";

    // Subscribing.
    subscribe: "🔔 Присылать", "🔔 Send it to me";
    subscribe_when:
        "Когда присылать? Выберите или напишите время: «10:30» или cron «30 10 * * MON-FRI».",
        "When shall it be sent? Choose, or type a time: “10:30”, or cron “30 10 * * MON-FRI”.";
    schedule_own: "✎ Своё расписание", "✎ A schedule of my own";
    schedule_how(minutes):
        "Напишите время или выражение cron: минута, час, день месяца, месяц, день недели. Не чаще раза в {minutes} минут.\n\n\
         • 10:30 — каждый день\n• 30 10 * * MON-FRI — по будням в 10:30\n• 0 9 1,15 * * — 1-го и 15-го числа в 9:00\n• 0 */2 * * * — каждые два часа",
        "Type a time, or a cron expression: minute, hour, day of the month, month, weekday. Once in {minutes} minutes at most.\n\n\
         • 10:30 — every day\n• 30 10 * * MON-FRI — on workdays at 10:30\n• 0 9 1,15 * * — on the 1st and the 15th at 9:00\n• 0 */2 * * * — every two hours";
    schedule_understood(when = must, zone, times = must):
        "Расписание: {when}, время {zone}. Ближайшие отправки:\n{times}\n\nВерно? Подтвердите или напишите другое.",
        "The schedule: {when}, by the clock of {zone}. The next times:\n{times}\n\nIs that right? Confirm it, or type another one.";
    schedule_confirm: "✔ Присылать так", "✔ Send it then";
    wrong_time:
        "Такого времени нет: часы от 0 до 23, минуты от 0 до 59.",
        "That is no time: hours are 0 to 23, minutes 0 to 59.";
    wrong_often(minutes = must):
        "Это чаще раза в {minutes} минут: так часто присылать нельзя.",
        "That is more than once in {minutes} minutes, and so often nothing is sent.";
    wrong_cron_fields(count):
        "В выражении cron пять полей через пробел, а здесь их {count}.",
        "A cron expression has five fields with spaces between, and this has {count}.";
    wrong_cron_field(field, name = must):
        "«{field}» не читается. На этом месте {name}: число, список 1,15, промежуток 1-5, шаг */2 или просто *.",
        "“{field}” cannot be read. This place has {name}: a number, a list 1,15, a range 1-5, a step */2, or just *.";
    wrong_cron_never: "Такого дня не бывает.", "There is no such day.";
    wrong_cron: "Это не время и не выражение cron.", "That is neither a time nor a cron expression.";
    cron_second: "секунда, от 0 до 59", "a second, 0 to 59";
    cron_minute: "минута, от 0 до 59", "a minute, 0 to 59";
    cron_hour: "час, от 0 до 23", "an hour, 0 to 23";
    cron_day: "день месяца, от 1 до 31", "a day of the month, 1 to 31";
    cron_month: "месяц, от 1 до 12", "a month, 1 to 12";
    cron_weekday: "день недели, MON–SUN или от 0 до 7", "a weekday, MON to SUN or 0 to 7";
    subscribed(when = must):
        "Готово, буду присылать: {when}. Все подписки: /subscriptions",
        "Done. It will be sent {when}. All subscriptions: /subscriptions";
    daily_at(time = must): "каждый день в {time}", "every day at {time}";
    workdays_at(time = must): "по будням в {time}", "on workdays at {time}";
    mondays_at(time = must): "по понедельникам в {time}", "on Mondays at {time}";
    fridays_at(time = must): "по пятницам в {time}", "on Fridays at {time}";
    month_begins_at(time = must): "первого числа в {time}", "on the 1st of the month at {time}";

    // Subscriptions.
    subscriptions: "🔔 Подписки", "🔔 Subscriptions";
    subscriptions_none(button):
        "Подписок нет. Откройте отчёт и нажмите «{button}».",
        "You have no subscriptions. Open a report and press “{button}”.";
    subscriptions_full(count):
        "У вас уже {count} подписок, больше нельзя. Удалите лишние: /subscriptions",
        "You have {count} subscriptions already, and there is no room for more. Remove some: /subscriptions";
    pause: "⏸ Приостановить", "⏸ Pause";
    resume: "▶ Возобновить", "▶ Resume";
    remove: "🗑 Удалить", "🗑 Remove";
    send_now: "📨 Прислать сейчас", "📨 Send now";
    sending: "Готовлю.", "On its way.";
    busy:
        "Сейчас слишком много запросов. Повторите через минуту.",
        "Too much is asked for at the moment. Try again in a minute.";
    add_workbook: "➕ Книга Excel", "➕ An Excel workbook";
    which_workbook: "Какую книгу присылать?", "Which workbook shall be sent?";
    paused: "на паузе", "paused";
    stopped(why = must): "остановлена: {why}", "stopped: {why}";
    stopped_role:
        "Подписка остановлена: у вас больше нет нужной роли.",
        "Your subscription has stopped: you no longer have the role for it.";
    stopped_gone:
        "Подписка остановлена: того, что она присылала, больше нет.",
        "Your subscription has stopped: what it sent is no longer there.";
    what_is_gone: "того, что она присылала, больше нет", "what it sent is no longer there";
    stopped_chat: "сообщения сюда не доходили", "messages did not arrive here";
    gone: "Этого больше нет.", "That is not there any more.";
    data_stale(what): "⚠ Данные устарели: {what}", "⚠ The data is stale: {what}";

    // Users, for admins.
    users: "👥 Пользователи", "👥 Users";
    users_none: "Никого не нашлось.", "Nobody was found.";
    only_admins: "Это могут только администраторы.", "Only admins may do that.";
    request_told: "Просит доступ", "Asks for access";
    reason(reason = must): "Зачем: {reason}", "Reason: {reason}";
    role_first: "Сначала отметьте хотя бы одну роль.", "Tick a role first.";
    decided: "Это уже решено.", "That is decided already.";
    approve: "✅ Впустить", "✅ Approve";
    deny: "✖ Отказать", "✖ Deny";
    block: "⛔ Заблокировать", "⛔ Block";
    unblock: "Разблокировать", "Unblock";
    revoke: "Закрыть доступ", "Revoke access";
    history: "🕘 История", "🕘 History";
    history_none: "Записей нет.", "No entries.";
    export: "⬇ Выгрузить", "⬇ Export";
    zone: "🕐 Часовой пояс", "🕐 Time zone";
    zone_of_project: "как у проекта", "the project's";
    no_expiry: "без срока", "no end";
    expiry_days(days = must): "{days} дн.", "{days} d";
    until(time = must): "до {time}", "until {time}";
    is_member: "есть доступ", "has access";
    is_waiting: "ждёт решения", "waits";
    is_denied: "отказано", "denied";
    is_blocked: "заблокирован", "blocked";
    is_seen: "без доступа", "no access";
    is_over(time = must): "доступ закончился {time}", "access ended {time}";
    is_of_file: "администратор: так записано в bot.toml", "an admin: bot.toml says so";
    attribute_missing(title = must):
        "⚠ Не указано: {title}. Без этого роль не покажет ни одной строки.",
        "⚠ Not set: {title}. Without it the role shows no row.";
    by_command_line: "командная строка", "command line";

    // What was done to a user, in their history.
    act_request: "просит доступ", "asks for access";
    act_approve: "доступ открыт", "approved";
    act_deny: "отказано", "denied";
    act_block: "доступ заблокирован", "blocked";
    act_revoke: "доступ закрыт", "access revoked";
    act_grant: "выданы роли", "roles given";
    act_role: "роль", "role";
    act_attribute: "свойство", "attribute";
    act_expiry: "срок", "end of access";
    act_zone: "часовой пояс", "time zone";
    act_import: "из таблицы", "from a table";
    act_export: "выгрузка пользователей", "users exported";
    act_subscribe: "подписка", "subscribed";
    act_pause: "подписка на паузе", "subscription paused";
    act_resume: "подписка возобновлена", "subscription resumed";
    act_unsubscribe: "подписка удалена", "subscription removed";
    act_stop: "подписка остановлена", "subscription stopped";
    act_cancel: "отчёт остановлен", "report stopped";

    // Told to admins.
    report_failed: "Отчёт не выполнен", "A report failed";
    @count failed_since(count = must):
        "С прошлого такого сообщения — ещё {count} раз.|С прошлого такого сообщения — ещё {count} раза.|С прошлого такого сообщения — ещё {count} раз.",
        "And {count} time more since the last such notice.|And {count} times more since the last such notice.";
    step_failed:
        "Действие пользователя не выполнено: ошибка в программе",
        "What a user did was not done: a mistake in the program";
    undelivered(chat = must, why = must):
        "Сообщение не доставлено в чат {chat}: {why}",
        "A message was not delivered to chat {chat}: {why}";
    subscription_gone(what = must, whose = must):
        "Подписка остановлена, её отчёта больше нет: {what}. Чья: {whose}",
        "A subscription has stopped, its report is no longer there: {what}. Whose: {whose}";
    group_moved:
        "Группа стала супергруппой. Запишите новый номер в bot.toml",
        "A group became a supergroup. Put its new id into bot.toml";
    recovered: "🟢 Снова в порядке", "🟢 Recovered";

    // Help, and the commands that Telegram shows.
    help:
        "Отчёты открываются кнопками, командами или словами: напишите, что вас интересует и за какой период.",
        "Open reports by buttons, by commands, or in words: type what you want to see and for which period.";
    help_commands: "Команды", "Commands";
    help_reports: "Отчёты", "Reports";
    begin: "Начать", "Begin";
    command_start: "В начало", "Home";
    command_help: "Что умеет бот", "What the bot can do";
    command_ask: "Спросить словами: /ask выручка за прошлую неделю", "Ask in words: /ask revenue last week";
    command_find: "Найти отчёт", "Find a report";
    command_favourites: "Избранное", "Favourites";
    command_again: "Повторить последний отчёт", "Run the last report again";
    command_cancel: "Остановить отчёт", "Stop the report";

    // Answers of reports.
    yes: "да", "yes";
    no: "нет", "no";
    thousand: "тыс.", "K";
    million: "млн", "M";
    milliard: "млрд", "B";
    thousands: "тыс.", "thousand";
    millions: "млн", "million";
    milliards: "млрд", "billion";
    nothing_found:
        "Ничего не найдено: за этот период и с этими условиями строк нет.",
        "Nothing was found: there are no rows for this period and these conditions.";
    nothing_set(title = must):
        "Ничего не найдено: администратор ещё не указал для вас «{title}», без этого строк не видно.",
        "Nothing was found: an admin has not set “{title}” for you yet, and without it no row can be seen.";
    total: "Итого", "Total";
    @count rows_more(count = must):
        "… ещё {count} строка|… ещё {count} строки|… ещё {count} строк",
        "… {count} more row|… {count} more rows";
    @count columns_more(count = must):
        "… ещё {count} столбец|… ещё {count} столбца|… ещё {count} столбцов",
        "… {count} more column|… {count} more columns";
    text_more:
        "… Текст длиннее: показано его начало.",
        "… There is more of this text: you see its beginning.";
    stale_since(name, time):
        "⚠️ Данные устарели: «{name}» — по состоянию на {time}.",
        "⚠️ Stale data: “{name}” stands as of {time}.";
    stale_never(name):
        "⚠️ Данных ещё нет: «{name}» ни разу не построена.",
        "⚠️ No data yet: “{name}” was never built.";
    data_of(days = must): "Данные за {days}", "Data of {days}";
    updated(time = must): "обновлены {time}", "updated {time}";
    data_updated(time = must): "Данные обновлены {time}", "Data updated {time}";

    // Charts.
    @count shown_rows(count = must, all):
        "Показана {count} строка из {all}|Показаны {count} строки из {all}|Показаны {count} строк из {all}",
        "Shown: {count} row of {all}|Shown: {count} rows of {all}";
    @count shown_series(count = must, all):
        "Показан {count} ряд из {all}|Показаны {count} ряда из {all}|Показаны {count} рядов из {all}",
        "Shown: {count} series of {all}|Shown: {count} series of {all}";
    @count shown_stages(count = must, all):
        "Показана {count} стадия из {all}|Показаны {count} стадии из {all}|Показаны {count} стадий из {all}",
        "Shown: {count} stage of {all}|Shown: {count} stages of {all}";
    @count shown_columns(count = must, all):
        "Показан {count} столбец из {all}|Показаны {count} столбца из {all}|Показаны {count} столбцов из {all}",
        "Shown: {count} column of {all}|Shown: {count} columns of {all}";
    funnel_share(share = must): "прошли {share}", "went on {share}";
    pie_total: "всего", "total";
    pie_negative(count): "Не вошли отрицательные значения: {count}", "Negative values left out: {count}";
    pie_others(count): "Прочие ({count})", "Others ({count})";

    // Files of reports.
    csv_large(size, limit):
        "Файл CSV, даже сжатый, получился больше, чем можно переслать: {size} МБ при пределе {limit} МБ. Сократите период или выберите одно значение фильтра.",
        "The CSV file, even zipped, is larger than can be sent: {size} MB of at most {limit} MB. Choose a shorter period or one value of a filter.";
    excel_large(size, limit):
        "Файл Excel получился больше, чем можно переслать: {size} МБ при пределе {limit} МБ. Сократите период или выберите одно значение фильтра.",
        "The Excel file is larger than can be sent: {size} MB of at most {limit} MB. Choose a shorter period or one value of a filter.";
    excel_cell_long(column):
        "Файл Excel не сделан: в столбце «{column}» есть текст длиннее 32 767 знаков. Выберите другие строки или CSV.",
        "The Excel file was not made: column “{column}” has a text of more than 32,767 characters. Choose other rows, or CSV.";
    excel_rows(rows):
        "Файл Excel не сделан: строк больше {rows}. Сократите период или выберите одно значение фильтра.",
        "The Excel file was not made: there are more than {rows} rows. Choose a shorter period or one value of a filter.";
    excel_sheet: "Отчёт", "Report";
    excel_generated: "Сформировано", "Generated";
    excel_period: "Период", "Period";
    excel_total: "Итого", "Total";
    excel_no_rows: "Нет данных", "No rows";
    excel_goes_on: "Продолжение на листе", "Goes on in sheet";
    excel_continues: "Продолжение листа", "Continues sheet";
    excel_page: "Стр. &P из &N", "Page &P of &N";
    workbook_none: "Для ваших ролей рабочей книги нет.", "There is no workbook for your roles.";
    workbook_large(name, limit):
        "{name}: больше {limit} МБ, переслать нельзя.",
        "{name}: larger than {limit} MB, it cannot be sent.";
    workbook_missing(name): "{name}: ещё не готова.", "{name}: not made yet.";
}
