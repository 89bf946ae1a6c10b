//! Words that periods are said with, in Russian and English.

/// Whether a period is this one or the one before.
#[derive(Clone, Copy)]
pub(super) enum Which {
    /// `этот`.
    This,
    /// `прошлый`.
    Last,
}

/// `этот`, `last`.
pub(super) fn which(word: &str) -> Option<Which> {
    let this = ["этот", "эта", "эту", "это", "этой", "этого", "этом", "this"].contains(&word);
    if this || word.starts_with("текущ") || word == "current" {
        return Some(Which::This);
    }
    let last = ["прошл", "предыдущ", "последн"].iter().any(|stem| word.starts_with(stem));
    (last || ["last", "past", "previous"].contains(&word)).then_some(Which::Last)
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// `день`.
    Day,
    /// `неделя`.
    Week,
    /// `месяц`.
    Month,
    /// `квартал`.
    Quarter,
    /// `год`.
    Year,
}

impl Unit {
    /// As relative periods have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// Days of one, about.
    pub(super) fn days(self) -> u64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        }
    }
}

/// `неделя`, `years`.
pub(super) fn unit(word: &str) -> Option<Unit> {
    let stems = [
        ("недел", Unit::Week),
        ("week", Unit::Week),
        ("месяц", Unit::Month),
        ("month", Unit::Month),
        ("квартал", Unit::Quarter),
        ("quarter", Unit::Quarter),
    ];
    if let Some((_, unit)) = stems.iter().find(|(stem, _)| word.starts_with(stem)) {
        return Some(*unit);
    }
    match word {
        "день" | "дня" | "дней" | "дни" | "сутки" | "суток" | "day" | "days" => {
            Some(Unit::Day)
        }
        "год" | "года" | "лет" | "году" | "year" | "years" => Some(Unit::Year),
        _ => None,
    }
}

/// `два`, `10`.
pub(super) fn number(word: &str) -> Option<u64> {
    let words = [
        ("два", 2),
        ("две", 2),
        ("двух", 2),
        ("три", 3),
        ("трех", 3),
        ("четыре", 4),
        ("пять", 5),
        ("шесть", 6),
        ("семь", 7),
        ("десять", 10),
        ("two", 2),
        ("three", 3),
        ("four", 4),
        ("five", 5),
        ("six", 6),
        ("seven", 7),
        ("ten", 10),
    ];
    words.iter().find(|(name, _)| *name == word).map(|(_, number)| *number).or_else(|| word.parse().ok())
}

/// `понедельник`, `Monday`: how many days after Monday. `по понедельникам` is no day.
pub(super) fn weekday(word: &str) -> Option<u32> {
    const NAMES: [&[&str]; 7] = [
        &["понедельник", "понедельника", "понедельнику", "monday"],
        &["вторник", "вторника", "вторнику", "tuesday"],
        &["среда", "среду", "среды", "среде", "wednesday"],
        &["четверг", "четверга", "четвергу", "thursday"],
        &["пятница", "пятницу", "пятницы", "пятнице", "friday"],
        &["суббота", "субботу", "субботы", "субботе", "saturday"],
        &["воскресенье", "воскресенья", "воскресенью", "sunday"],
    ];
    NAMES.iter().zip(0..).find(|(names, _)| names.contains(&word)).map(|(_, after)| after)
}

/// `марта`, `Mar`.
pub(super) fn month(word: &str) -> Option<u32> {
    const STEMS: [(&str, u32); 24] = [
        ("январ", 1),
        ("феврал", 2),
        ("март", 3),
        ("апрел", 4),
        ("май", 5),
        ("мая", 5),
        ("мае", 5),
        ("июн", 6),
        ("июл", 7),
        ("август", 8),
        ("сентябр", 9),
        ("октябр", 10),
        ("ноябр", 11),
        ("декабр", 12),
        ("january", 1),
        ("february", 2),
        ("march", 3),
        ("april", 4),
        ("june", 6),
        ("july", 7),
        ("august", 8),
        ("september", 9),
        ("october", 10),
        ("november", 11),
    ];
    const EXACT: [(&str, u32); 13] = [
        ("jan", 1),
        ("feb", 2),
        ("mar", 3),
        ("apr", 4),
        ("may", 5),
        ("jun", 6),
        ("jul", 7),
        ("aug", 8),
        ("sep", 9),
        ("oct", 10),
        ("nov", 11),
        ("dec", 12),
        ("december", 12),
    ];
    let exact = EXACT.iter().find(|(name, _)| *name == word);
    let found = exact.or_else(|| {
        STEMS.iter().find(|(stem, _)| word.strip_prefix(stem).is_some_and(|rest| rest.chars().count() <= 3))
    });
    found.map(|(_, number)| *number)
}
