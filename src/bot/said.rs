//! Periods as people say and type them, in Russian and English: `вчера`, `за прошлую неделю`, `с 1 по 15 марта`, `15.03–20.03.2026`,
//! `last 10 days`, `March 2026`.

mod words;

use chrono::{Datelike, Days, NaiveDate};

use crate::model::time::Period;
use words::{Unit, Which, month, number, unit, weekday, which};

/// Days that a number of days may be.
const MOST_DAYS: u64 = 3_660;

/// Words in small letters, without what stands between them; dates keep their points.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('ё', "е").replace(['–', '—', '−'], "-").replace("..", "-");
    let parts = text.split(|c: char| c.is_whitespace() || ",;:!?()«»“”\"'".contains(c));
    let parts = parts.map(|part| part.trim_matches(|c: char| c == '.')).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// The period that a text says, if it says nothing else: as [`Period::parse`] reads it.
pub(super) fn period(text: &str, today: NaiveDate) -> Option<String> {
    let trimmed = text.trim();
    if Period::parse(trimmed, today).is_some() {
        return Some(trimmed.to_owned());
    }
    let tokens = tokens(text);
    let (found, used) = first(&tokens, 0, today)?;
    (used == tokens.len()).then_some(found)
}

/// The first period among words, and which words say it.
pub(super) fn find(tokens: &[String], today: NaiveDate) -> Option<(String, std::ops::Range<usize>)> {
    (0..tokens.len()).find_map(|at| first(tokens, at, today).map(|(found, used)| (found, at..at + used)))
}

/// The period that begins with the word at a place, prepositions included, and how many words say it.
fn first(tokens: &[String], at: usize, today: NaiveDate) -> Option<(String, usize)> {
    let rest = &tokens[at..];
    let skipped = usize::from(
        rest.first()
            .is_some_and(|word| ["за", "в", "во", "на", "for", "in", "on", "of"].contains(&word.as_str())),
    );
    let said = Said { words: &rest[skipped..], today };
    let (found, used) =
        said.range().or_else(|| said.since()).or_else(|| said.relative()).or_else(|| said.alone())?;
    // A year that was never meant is none.
    Period::parse(&found, today)?;
    Some((found, used + skipped))
}

struct Said<'a> {
    words: &'a [String],
    today: NaiveDate,
}

impl Said<'_> {
    fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    /// `с 1 по 15 марта`, `1 марта - 15 апреля`, `1-15 марта`, `from March 1 to March 15`, `15.03-20.03.2026`.
    fn range(&self) -> Option<(String, usize)> {
        if let Some(found) = self.word(0).and_then(|word| literal_range(word, self.today)) {
            return Some((fixed(found), 1));
        }
        self.joined().or_else(|| {
            // What a dash joins in one word, as if it stood alone.
            let word = self.word(0).filter(|word| literal(word, self.today).is_none())?;
            let (before, after) = word.split_once('-')?;
            let words = [before, "-", after].map(str::to_owned).into_iter();
            let words: Vec<String> = words.chain(self.words[1..].iter().take(3).cloned()).collect();
            let (found, used) = Said { words: &words, today: self.today }.joined()?;
            Some((found, used.checked_sub(2)?))
        })
    }

    fn joined(&self) -> Option<(String, usize)> {
        let lead = usize::from(matches!(self.word(0), Some("с" | "со" | "from" | "between")));
        let joins = |word: &str| matches!(word, "по" | "до" | "to" | "till" | "until" | "-" | "and");
        let join = (lead + 1..self.words.len().min(lead + 5)).find(|at| self.word(*at).is_some_and(joins))?;
        if lead == 0 && self.word(join) == Some("and") {
            return None;
        }
        let after = Said { words: &self.words[join + 1..], today: self.today };
        let (last, used) = after.point()?;
        let before = Said { words: &self.words[lead..join], today: self.today };
        let from = match (before.point(), before.word(0)) {
            (Some((from, used)), _) if used == join - lead => from,
            // A number alone is a day of the last day's month.
            (_, Some(number)) if join - lead == 1 => {
                let number = number.trim_end_matches("-го").trim_end_matches("-е");
                let day = last.last().with_day(number.parse().ok()?)?;
                Period { from: day, until: day.succ_opt()? }
            }
            _ => return None,
        };
        let mut from = from.from;
        if from > last.last() {
            from = from.with_year(from.year() - 1)?;
        }
        (from < last.until).then(|| (fixed(Period { from, until: last.until }), join + 1 + used))
    }

    /// `с 1 марта`, `с понедельника`, `since March`: until today; `с начала месяца`.
    fn since(&self) -> Option<(String, usize)> {
        if !matches!(self.word(0)?, "с" | "со" | "from" | "since") {
            return None;
        }
        let begins = usize::from(self.word(1).is_some_and(|word| word.starts_with("начал")));
        if let Some(unit) = self.word(2).and_then(unit).filter(|_| begins > 0) {
            return Some((format!("this_{}", unit.name()), 3)).filter(|_| !matches!(unit, Unit::Day));
        }
        let words = self.words.get(1 + begins..)?;
        let (point, used) = Said { words, today: self.today }.point()?;
        let mut from = point.from;
        if from > self.today {
            from = from.with_year(from.year() - 1)?;
        }
        let until = self.today.succ_opt()?;
        (from < until).then(|| (fixed(Period { from, until }), 1 + begins + used))
    }

    /// `вчера`, `прошлая неделя`, `последние 10 дней`, `last week`, `past 2 weeks`, `за неделю`.
    fn relative(&self) -> Option<(String, usize)> {
        let first = self.word(0)?;
        match first {
            "сегодня" | "today" => return Some(("today".to_owned(), 1)),
            "вчера" | "yesterday" => return Some(("yesterday".to_owned(), 1)),
            "позавчера" => return Some((self.today.checked_sub_days(Days::new(2))?.to_string(), 1)),
            _ => {}
        }
        // `за вчерашний день`
        for (stem, name) in [("вчерашн", "yesterday"), ("сегодняшн", "today")] {
            if first.starts_with(stem) {
                let day = self.word(1).and_then(unit).is_some_and(|unit| matches!(unit, Unit::Day));
                return Some((name.to_owned(), 1 + usize::from(day)));
            }
        }
        let which = which(first);
        let at = usize::from(which.is_some());
        let number: Option<u64> = self.word(at).and_then(number);
        // `4 квартал` is the fourth one; `4 квартала` are four.
        if which.is_none() && number.is_some() && matches!(self.word(at + 1), Some("квартал" | "quarter"))
        {
            return None;
        }
        let unit = self.word(at + usize::from(number.is_some())).and_then(unit)?;
        let used = at + usize::from(number.is_some()) + 1;
        let name = match (which, number, unit) {
            (Some(Which::This), None, Unit::Day) => "today".to_owned(),
            (Some(Which::Last), None, Unit::Day) => "yesterday".to_owned(),
            (Some(Which::This), None, unit) => format!("this_{}", unit.name()),
            (Some(Which::Last), None, unit) => format!("last_{}", unit.name()),
            (Some(Which::This), Some(_), _) => return None,
            (_, Some(number), unit) => {
                let days = number.checked_mul(unit.days()).filter(|days| (1..=MOST_DAYS).contains(days))?;
                format!("last_{days}_days")
            }
            // `за неделю`: the week that ends with yesterday.
            (None, None, Unit::Day) => return None,
            (None, None, unit) => format!("last_{}_days", unit.days()),
        };
        Some((name, used))
    }

    /// A day, a month, a quarter or a year by itself.
    fn alone(&self) -> Option<(String, usize)> {
        let (found, used) = self.point()?;
        Some((fixed(found), used))
    }

    fn point(&self) -> Option<(Period, usize)> {
        let first = self.word(0)?;
        if let Some(found) = literal(first, self.today) {
            let word = matches!(self.word(1), Some("год" | "года" | "году" | "г")) && first.len() == 4;
            return Some((found, 1 + usize::from(word)));
        }
        match first {
            "сегодня" | "today" => return Period::parse("today", self.today).map(|found| (found, 1)),
            "вчера" | "yesterday" => {
                return Period::parse("yesterday", self.today).map(|found| (found, 1));
            }
            _ => {}
        }
        self.quarter().or_else(|| self.named_month()).or_else(|| self.weekday())
    }

    /// `понедельник`: the last one, today among them.
    fn weekday(&self) -> Option<(Period, usize)> {
        let day = weekday(self.word(0)?)?;
        let back = (7 + self.today.weekday().num_days_from_monday() - day) % 7;
        let from = self.today.checked_sub_days(Days::new(u64::from(back)))?;
        Some((Period { from, until: from.succ_opt()? }, 1))
    }

    /// `1 квартал 2026`, `первый квартал`, `Q1 2026`.
    fn quarter(&self) -> Option<(Period, usize)> {
        let first = self.word(0)?;
        let (number, mut used) = match first.strip_prefix('q').and_then(|rest| rest.parse::<u32>().ok()) {
            Some(number) => (number, 1),
            None => {
                let roman = ["i", "ii", "iii", "iv"].iter().position(|roman| *roman == first);
                let ordinals = [
                    ("перв", 1),
                    ("втор", 2),
                    ("трет", 3),
                    ("четверт", 4),
                    ("first", 1),
                    ("second", 2),
                    ("third", 3),
                    ("fourth", 4),
                ];
                let named =
                    ordinals.iter().find(|(stem, _)| first.starts_with(stem)).map(|(_, number)| *number);
                let named = named.or(roman.map(|at| at as u32 + 1));
                let number = named.or_else(|| first.trim_end_matches("-й").parse().ok())?;
                let word = self.word(1)?;
                (word.starts_with("квартал") || word.starts_with("quarter")).then_some((number, 2))?
            }
        };
        let year = self.year(&mut used);
        let month = (1..=4).contains(&number).then(|| number * 3 - 2)?;
        let year = year.unwrap_or_else(|| self.latest_year(month));
        let from = NaiveDate::from_ymd_opt(year, month, 1)?;
        Some((Period::of_months(from, 3)?, used))
    }

    /// `март`, `марта 2026`, `15 марта`, `March 15`, `15 March 2026`.
    fn named_month(&self) -> Option<(Period, usize)> {
        let day = |word: Option<&str>| {
            let word = word?
                .trim_end_matches("-го")
                .trim_end_matches("-е")
                .trim_end_matches("th")
                .trim_end_matches("st");
            word.trim_end_matches("nd")
                .trim_end_matches("rd")
                .parse::<u32>()
                .ok()
                .filter(|day| (1..=31).contains(day))
        };
        let (day, month, mut used) = match (month(self.word(0)?), day(self.word(0))) {
            (Some(month), _) => match day(self.word(1)) {
                Some(day) => (Some(day), month, 2),
                None => (None, month, 1),
            },
            (None, Some(day)) => (Some(day), month(self.word(1)?)?, 2),
            (None, None) => return None,
        };
        let year = self.year(&mut used).unwrap_or_else(|| self.latest_year(month));
        let from = NaiveDate::from_ymd_opt(year, month, day.unwrap_or(1))?;
        let found = match day {
            Some(_) => Period { from, until: from.succ_opt()? },
            None => Period::of_months(from, 1)?,
        };
        Some((found, used))
    }

    fn year(&self, used: &mut usize) -> Option<i32> {
        let word = self.word(*used)?;
        let year: i32 = word.parse().ok().filter(|year| Period::YEARS.contains(year) && word.len() == 4)?;
        *used += 1;
        *used += usize::from(matches!(self.word(*used), Some("год" | "года" | "году" | "г")));
        Some(year)
    }

    /// The year of a month that nobody said the year of: the last one in which it has begun.
    fn latest_year(&self, month: u32) -> i32 {
        self.today.year() - i32::from(month > self.today.month())
    }
}

/// A date in figures: `15.03.2026`, `15.03`, `15/03/26`, `2026-03-15`, `2026-03`, `03.2026`, `2026`.
fn literal(word: &str, today: NaiveDate) -> Option<Period> {
    if let Some(found) = Period::parse(word, today).filter(|_| word.starts_with(|c: char| c.is_ascii_digit()))
    {
        return Some(found);
    }
    let numbers: Option<Vec<u32>> = word.split(['.', '/']).map(|part| part.parse().ok()).collect();
    let day = |year: i32, month: u32, day: u32| {
        let from = NaiveDate::from_ymd_opt(year, month, day).filter(|_| Period::YEARS.contains(&year))?;
        Some(Period { from, until: from.succ_opt()? })
    };
    match numbers?.as_slice() {
        [d, m, y] if *y < 100 => day(2000 + *y as i32, *m, *d),
        [d, m, y] => day(i32::try_from(*y).ok()?, *m, *d),
        [m, y] if *y > 1900 => Period::parse(&format!("{y:04}-{m:02}"), today),
        [d, m] => day(today.year() - i32::from((*m, *d) > (today.month(), today.day())), *m, *d),
        _ => None,
    }
}

/// Two dates in figures in one word: `01.03-15.03.2026`, `1-15.03`, `2026-01-01-2026-01-31`.
fn literal_range(word: &str, today: NaiveDate) -> Option<Period> {
    if literal(word, today).is_some() {
        return None;
    }
    word.match_indices('-').find_map(|(at, _)| {
        let last = literal(&word[at + 1..], today)?;
        let whole = literal(&word[..at], today).filter(|_| word[..at].contains(['.', '-', '/']));
        let from = whole.map(|period| period.from).map(|from| {
            let open = word[..at].split('.').count() == 2 && word[at + 1..].split('.').count() == 3;
            if open { from.with_year(last.from.year()).unwrap_or(from) } else { from }
        });
        let from = from.or_else(|| last.from.with_day(word[..at].parse().ok()?))?;
        (from < last.until).then_some(Period { from, until: last.until })
    })
}

/// As [`Period::parse`] reads it: a day, a month, a year or two days.
pub(super) fn fixed(period: Period) -> String {
    let (from, last) = (period.from, period.last());
    let whole_month = from.day() == 1 && Some(period) == Period::of_months(from, 1);
    let whole_year = from.ordinal() == 1 && Some(period) == Period::of_months(from, 12);
    if from == last {
        from.to_string()
    } else if whole_month {
        from.format("%Y-%m").to_string()
    } else if whole_year {
        from.format("%Y").to_string()
    } else {
        format!("{from}..{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> NaiveDate {
        "2026-03-18".parse().unwrap()
    }

    #[test]
    fn in_russian() {
        for (said, meant) in [
            ("вчера", "yesterday"),
            ("За прошлую неделю", "last_week"),
            ("за эту неделю", "this_week"),
            ("в прошлом месяце", "last_month"),
            ("за текущий год", "this_year"),
            ("последние 10 дней", "last_10_days"),
            ("за последние две недели", "last_14_days"),
            ("за неделю", "last_7_days"),
            ("3 дня", "last_3_days"),
            ("март", "2026-03"),
            ("за май", "2025-05"),
            ("в ноябре 2024 года", "2024-11"),
            ("15 марта", "2026-03-15"),
            ("с 1 по 15 марта", "2026-03-01..2026-03-15"),
            ("1-15.03", "2026-03-01..2026-03-15"),
            ("с 20 февраля по 5 марта 2026", "2026-02-20..2026-03-05"),
            ("с 20 декабря по 5 января 2026", "2025-12-20..2026-01-05"),
            ("01.03–15.03.2026", "2026-03-01..2026-03-15"),
            ("25.12.2025 - 05.01.2026", "2025-12-25..2026-01-05"),
            ("15.03.2026", "2026-03-15"),
            ("15.03.26", "2026-03-15"),
            ("20.12", "2025-12-20"),
            ("03.2026", "2026-03"),
            ("2025 год", "2025"),
            ("первый квартал", "2026-01-01..2026-03-31"),
            ("4 квартал", "2025-10-01..2025-12-31"),
            ("2026-01-01..2026-01-31", "2026-01-01..2026-01-31"),
            ("позавчера", "2026-03-16"),
            ("за вчерашний день", "yesterday"),
            ("сегодняшний", "today"),
            ("с 1 марта", "2026-03-01..2026-03-18"),
            ("с 25 марта", "2025-03-25..2026-03-18"),
            ("с октября", "2025-10-01..2026-03-18"),
            ("с начала октября", "2025-10-01..2026-03-18"),
            ("с понедельника", "2026-03-16..2026-03-18"),
            ("с начала месяца", "this_month"),
            ("в понедельник", "2026-03-16"),
            ("в среду", "2026-03-18"),
            ("1-15 марта", "2026-03-01..2026-03-15"),
            ("1–15 марта 2025 года", "2025-03-01..2025-03-15"),
            ("с 1-го по 15-е марта", "2026-03-01..2026-03-15"),
            ("январь-февраль", "2026-01-01..2026-02-28"),
            ("III квартал", "2025-07-01..2025-09-30"),
        ] {
            assert_eq!(period(said, today()).as_deref(), Some(meant), "{said}");
        }
    }

    #[test]
    fn in_english() {
        for (said, meant) in [
            ("last week", "last_week"),
            ("this month", "this_month"),
            ("past 2 weeks", "last_14_days"),
            ("March 2025", "2025-03"),
            ("March 15", "2026-03-15"),
            ("15th march 2026", "2026-03-15"),
            ("from March 1 to March 15", "2026-03-01..2026-03-15"),
            ("Q1 2026", "2026-01-01..2026-03-31"),
            ("may", "2025-05"),
            ("since March 1", "2026-03-01..2026-03-18"),
            ("since monday", "2026-03-16..2026-03-18"),
        ] {
            assert_eq!(period(said, today()).as_deref(), Some(meant), "{said}");
        }
    }

    #[test]
    fn what_is_no_period() {
        for said in [
            "",
            "привет",
            "32.03.2026",
            "31 февраля",
            "вчера утром",
            "0 дней",
            "99999 дней",
            "с 15 по",
            "12345",
            "-",
            "этих 3 дней",
            "01.01.262142",
            "01.2147483648",
            "+262142-12",
            "с 1 по 01.01.262142",
            "с начала",
            "с начала дня",
            "с понедельниками",
            "-марта",
        ] {
            assert_eq!(period(said, today()), None, "{said}");
        }
    }

    proptest::proptest! {
        /// Whatever people type, and whatever day it is: what is found is read again as it was meant.
        #[test]
        fn anything_may_be_typed(
            text in "\\PC{0,40}|([0-9]{1,10}[-./ +]?){1,5}|((с|по|за|last|q1|март|год|дней|неделя|[0-9]{1,19}|-|\\.\\.) ?){0,6}",
            day in 7_300_i32..=47_000,
        ) {
            let today = crate::model::time::date_from_days(day);
            let whole = period(&text, today);
            let part = find(&tokens(&text), today).map(|(found, _)| found);
            for found in whole.iter().chain(&part) {
                let days = Period::parse(found, today);
                proptest::prop_assert!(days.is_some_and(|days| days.from < days.until), "{found}");
            }
        }
    }

    #[test]
    fn among_other_words() {
        let words = tokens("Выручка за прошлую неделю по Центру");
        assert_eq!(find(&words, today()), Some(("last_week".to_owned(), 1..4)));
    }
}
