//! Cron expressions: five fields (minute, hour, day, month, weekday), or six with seconds first.
//!
//! Times are wall-clock times of a zone. Where clocks go forward, a time that does not happen is run at the first instant
//! after it; where they go back, a time that happens twice is run once, the first time. Expressions that repeat within the
//! hour (`*/5 * * * *`) leave the missing hour out and run through both of the doubled one.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};

/// A checked expression.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronProblem {
    /// Bytes of the expression.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
    /// Of which kind it is, for those who say it in words of their own.
    pub mistake: Mistake,
}

/// A kind of mistake in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// It has so many fields.
    Fields(usize),
    /// Its span is none of these: `hour`.
    Field(&'static str),
    /// Its day never happens.
    Never,
    /// Whatever else.
    Other,
}

/// Reads an expression.
pub fn parse_cron(text: &str) -> Result<Cron, CronProblem> {
    let fields = fields(text);
    if !matches!(fields.len(), 5 | 6) && !text.trim().starts_with('@') {
        let message =
            format!("a cron expression has 5 fields, or 6 with seconds first, and this has {}", fields.len());
        let hint = "minute hour day month weekday: `0 6 * * *` is every day at six".to_owned();
        let mistake = Mistake::Fields(fields.len());
        return Err(CronProblem { span: 0..text.len(), message, hint: Some(hint), mistake });
    }
    let pattern = parser().parse(text).map_err(|_| problem(text, &fields))?;
    let cron = Cron { text: text.to_owned(), pattern };
    if !cron.ever_happens() {
        let message = "this day never happens".to_owned();
        let span = fields.get(fields.len().saturating_sub(3)).cloned().unwrap_or(0..text.len());
        return Err(CronProblem { span, message, hint: None, mistake: Mistake::Never });
    }
    Ok(cron)
}

impl Cron {
    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time after an instant (not at it) in a zone.
    pub fn next(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A zone that leaves out a whole day (Samoa, 2011-12-30) is more than the search takes in one leap.
        const LEAPS: i64 = 30;
        (0..LEAPS).find_map(|hours| {
            let from = (after + TimeDelta::hours(hours)).with_timezone(&zone);
            let found = self.pattern.find_next_occurrence(&from, false).ok()?;
            Some(found.with_timezone(&Utc)).filter(|time| *time > after)
        })
    }

    /// Whether the wall-clock time of an instant is one that it names.
    pub fn matches(&self, zone: Tz, at: DateTime<Utc>) -> bool {
        self.pattern.is_time_matching(&at.with_timezone(&zone)).unwrap_or(false)
    }

    /// The shortest time between two of its times, by clocks that never change: what two years and a bit show, which have every day of a month beside every
    /// other that it can stand beside.
    pub fn shortest_gap(&self) -> Option<TimeDelta> {
        const LOOKED_AT: usize = 400;
        let next = |after: &DateTime<Utc>| self.next(Tz::UTC, *after);
        let until = DateTime::UNIX_EPOCH + TimeDelta::days(800);
        let times = std::iter::successors(next(&DateTime::UNIX_EPOCH), next);
        let times: Vec<_> = times.take(LOOKED_AT).take_while(|time| *time < until).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).min()
    }

    /// In words, in English: `at 06:00`.
    pub fn describe(&self) -> String {
        let text = self.pattern.describe();
        let mut characters = text.trim_end_matches('.').chars();
        let first: String = characters.next().map(|c| c.to_lowercase().collect()).unwrap_or_default();
        first + characters.as_str()
    }

    /// Whether it happens in twelve years with three leap days: the library itself would look through three thousand.
    fn ever_happens(&self) -> bool {
        let seconds = match self.text.split_whitespace().count() {
            5 => "0 ",
            6 => "",
            _ => return true,
        };
        let limited = format!("{seconds}{} 2095-2106", self.text);
        let pattern = CronParser::builder().seconds(Seconds::Required).build().parse(&limited);
        let from = DateTime::<Utc>::from_timestamp(3_944_678_400, 0).unwrap_or_default();
        pattern.is_ok_and(|pattern| pattern.find_next_occurrence(&from, true).is_ok())
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

/// The places of an expression's fields.
fn fields(text: &str) -> Vec<Range<usize>> {
    let start = |field: &str| field.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|field| start(field)..start(field) + field.len()).collect()
}

/// The library tells no place: the first field that is wrong among stars is the wrong one.
fn problem(text: &str, fields: &[Range<usize>]) -> CronProblem {
    const NAMES: [&str; 6] = ["second", "minute", "hour", "day", "month", "weekday"];
    let offset = NAMES.len().saturating_sub(fields.len());
    let nickname = text.trim().starts_with('@');
    for (at, field) in fields.iter().enumerate().filter(|_| !nickname) {
        let alone: Vec<&str> =
            (0..fields.len()).map(|other| if other == at { &text[field.clone()] } else { "*" }).collect();
        let Err(error) = parser().parse(&alone.join(" ")) else { continue };
        let written = &text[field.clone()];
        let name = NAMES.get(offset + at).copied().unwrap_or("field");
        let hint = match written.split_once('/') {
            Some((from, step)) if from.parse::<u32>().is_ok() => {
                Some(format!("from {from} on, every {step}: `{from}-59/{step}`"))
            }
            _ => Some(in_our_words(&error.to_string())),
        };
        return CronProblem {
            span: field.clone(),
            message: format!("`{written}` is no {name} of a cron expression"),
            hint,
            mistake: Mistake::Field(name),
        };
    }
    let message = "this is no cron expression".to_owned();
    let hint = Some("`0 6 * * *` is every day at six".to_owned());
    CronProblem { span: 0..text.len(), message, hint, mistake: Mistake::Other }
}

fn in_our_words(error: &str) -> String {
    error.to_lowercase().trim_start_matches("component error: ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate, NaiveTime, TimeZone, Timelike};

    use super::*;
    use crate::model::time::instant;

    const ZONES: [&str; 9] = [
        "UTC",
        "Europe/Moscow",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Tehran",
        "Pacific/Auckland",
    ];

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    fn times(cron: &str, zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let cron = parse_cron(cron).unwrap();
        let next = |after: &DateTime<Utc>| cron.next(zone, *after);
        std::iter::successors(next(&from), next).take_while(|time| *time < until).collect()
    }

    /// Every day of these years, whatever the clocks do, a fixed time runs exactly once: when it happens first, or at the
    /// first instant after the gap that it fell into.
    #[test]
    fn a_fixed_time_runs_once_a_day() {
        for name in ZONES {
            for (cron, hour, minute) in [("0 0 * * *", 0, 0), ("30 1 * * *", 1, 30), ("30 2 * * *", 2, 30)] {
                let zone = zone(name);
                let first = NaiveDate::from_ymd_opt(2018, 1, 2).unwrap();
                let last = NaiveDate::from_ymd_opt(2021, 1, 1).unwrap();
                let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
                let expected: Vec<DateTime<Utc>> = first
                    .iter_days()
                    .take_while(|day| *day < last)
                    .map(|day| instant(zone, day.and_time(time)))
                    .collect();
                let found = times(
                    cron,
                    zone,
                    instant(zone, first.and_time(NaiveTime::MIN)) - TimeDelta::seconds(1),
                    instant(zone, last.and_time(NaiveTime::MIN)),
                );
                assert_eq!(found, expected, "{cron} in {name}");
            }
        }
    }

    /// What repeats within the hour leaves the missing hour out and runs through both of the doubled one.
    #[test]
    fn a_repeated_time_follows_the_clock() {
        for (name, month) in ZONES.iter().flat_map(|name| [(name, 3), (name, 9)]) {
            let zone = zone(name);
            let start = Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
            let until = start + TimeDelta::days(70);
            let minutes = (5..70 * 24 * 60).step_by(5).map(|minute| start + TimeDelta::minutes(minute));
            let expected: Vec<DateTime<Utc>> =
                minutes.filter(|time| time.with_timezone(&zone).minute() % 15 == 0).collect();
            assert_eq!(times("*/15 * * * *", zone, start, until), expected, "{name}");
        }
    }

    #[test]
    fn clocks_that_change() {
        let on = |cron: &str, day: &str| -> Vec<String> {
            let from = format!("{day}T00:00:00Z").parse().unwrap();
            let found = times(cron, zone("Europe/Berlin"), from, from + TimeDelta::hours(4));
            found.iter().map(|time| time.format("%H:%M").to_string()).collect()
        };
        assert_eq!(on("30 2 * * *", "2026-03-29"), ["01:00"]);
        assert_eq!(on("30 2 * * *", "2026-10-25"), ["00:30"]);
        assert_eq!(on("30 */1 * * *", "2026-10-25"), ["00:30", "01:30", "02:30", "03:30"]);
    }

    #[test]
    fn a_day_that_a_zone_left_out() {
        let from = "2011-12-29T12:00:00Z".parse().unwrap();
        let found = times("0 6 * * *", zone("Pacific/Apia"), from, from + TimeDelta::days(3));
        assert!(found.len() >= 2, "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn days_of_month_and_week() {
        let from = "2026-01-01T00:00:00Z".parse().unwrap();
        let days = |cron: &str| -> Vec<String> {
            let found = times(cron, Tz::UTC, from, from + TimeDelta::days(70));
            found.iter().map(|time| format!("{}.{}", time.day(), time.month())).collect()
        };
        assert_eq!(days("0 6 L * *"), ["31.1", "28.2"]);
        assert_eq!(days("0 6 * * 5#2"), ["9.1", "13.2"]);
        assert_eq!(days("0 6 1 * *"), ["1.1", "1.2", "1.3"]);
        assert_eq!(days("15 30 6 1 * *"), ["1.1", "1.2", "1.3"]);
    }

    #[test]
    fn how_near_two_times_are() {
        let gap = |text: &str| parse_cron(text).unwrap().shortest_gap();
        for (text, minutes) in [
            ("* * * * *", 1),
            ("*/15 * * * *", 15),
            ("0,5 9 1 1 *", 5),
            ("0,59 0,23 * * MON,TUE", 1),
            ("0,59 0,23 1,15 * *", 59),
            ("0,50 0,23 28,1 2,3 *", 10),
            ("0 9 * * MON", 7 * 24 * 60),
        ] {
            assert_eq!(gap(text), Some(TimeDelta::minutes(minutes)), "{text}");
        }
        assert_eq!(gap("*/20 0 9 * * *"), Some(TimeDelta::seconds(20)));
        assert_eq!(gap("0 9 29 2 *"), None, "once in four years");
    }

    #[test]
    fn mistakes_have_a_place() {
        let wrong = |text: &str| {
            let problem = parse_cron(text).unwrap_err();
            (text[problem.span].to_owned(), problem.message, problem.hint.unwrap_or_default())
        };
        let (place, message, _) = wrong("0 25 * * *");
        assert_eq!((place.as_str(), message.as_str()), ("25", "`25` is no hour of a cron expression"));
        assert_eq!(wrong("5/5 * * * *").2, "from 5 on, every 5: `5-59/5`");
        assert_eq!(wrong("0 6 * * MONDY").0, "MONDY");
        assert_eq!(
            wrong("0 6 * *").1,
            "a cron expression has 5 fields, or 6 with seconds first, and this has 4"
        );
        assert_eq!(wrong("0 6 30 2 *").1, "this day never happens");
        assert_eq!(wrong("@sometimes").1, "this is no cron expression");
        for (text, mistake) in [
            ("0 25 * * *", Mistake::Field("hour")),
            ("0 6 * *", Mistake::Fields(4)),
            ("0 6 31 2 *", Mistake::Never),
            ("@sometimes", Mistake::Other),
        ] {
            assert_eq!(parse_cron(text).unwrap_err().mistake, mistake, "{text}");
        }
        assert!(parse_cron("@daily").is_ok());
        assert!(parse_cron("0 6 29 2 *").is_ok());
    }
}
