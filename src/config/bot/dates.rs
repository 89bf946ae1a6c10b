//! Which days a question takes: the one place that the dialog, the header of an answer and the binding of parameters ask.

use chrono::NaiveDate;

use super::Dates;
use crate::model::time::Period;

/// The first year of a calendar without `min`.
const FIRST_YEAR: i32 = 2000;

/// Why days are none that a question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPeriod {
    /// They cannot be read, or one day is asked for.
    Unreadable,
    /// They begin before the first day that may be chosen.
    TooEarly,
    /// They begin after the last day that may be chosen.
    TooLate,
    /// They are more days than may be chosen.
    TooLong,
}

impl Dates {
    /// The first and the last day that may be chosen, as of `today`.
    pub fn ends(&self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let first = self.first.or(NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1)).unwrap_or(today);
        let last = self.last.unwrap_or(today);
        (first.min(last), last)
    }

    /// The days that a text stands for, as of `today`, cut to those that may be chosen where the text does not insist on the others: a relative period may
    /// begin before the first day there is, and two days (`2026-03-01..2026-03-31`) may end after the last one. `range`: several days may be chosen.
    pub fn period(&self, text: &str, today: NaiveDate, range: bool) -> Result<Period, NoPeriod> {
        let mut period = Period::parse(text, today).ok_or(NoPeriod::Unreadable)?;
        let days = (period.until - period.from).num_days();
        if !range && days != 1 {
            return Err(NoPeriod::Unreadable);
        }
        let (first, last) = self.ends(today);
        let relative = !text.starts_with(|c: char| c.is_ascii_digit());
        let begin = if relative { period.last() } else { period.from };
        if begin < first {
            return Err(NoPeriod::TooEarly);
        }
        if period.from > last {
            return Err(NoPeriod::TooLate);
        }
        if self.longest.is_some_and(|longest| days > i64::from(longest)) {
            return Err(NoPeriod::TooLong);
        }
        period.from = period.from.max(first);
        if text.contains("..") && period.last() > last {
            period.until = last.succ_opt().unwrap_or(last);
        }
        Ok(period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_cut_to_those_that_may_be_chosen() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let (first, today) = (Some(day("2026-03-10")), day("2026-03-18"));
        let dates = Dates { first, longest: Some(366), ..Dates::default() };
        let range = |text: &str| dates.period(text, today, true).map(|p| format!("{}..{}", p.from, p.last()));
        for (text, expected) in [
            ("last_30_days", Ok("2026-03-10..2026-03-17")),
            ("this_month", Ok("2026-03-10..2026-03-31")),
            ("this_week", Ok("2026-03-16..2026-03-22")),
            ("last_month", Err(NoPeriod::TooEarly)),
            ("2026-03-10..2026-03-31", Ok("2026-03-10..2026-03-18")),
            ("2026-03-01..2026-03-15", Err(NoPeriod::TooEarly)),
            ("2026-03-19..2026-03-20", Err(NoPeriod::TooLate)),
            ("2026-03", Err(NoPeriod::TooEarly)),
            ("last_400_days", Err(NoPeriod::TooLong)),
            ("someday", Err(NoPeriod::Unreadable)),
        ] {
            assert_eq!(range(text), expected.map(str::to_owned), "{text}");
        }
        let one = |text: &str| dates.period(text, today, false);
        assert!(one("yesterday").is_ok() && one("2026-03-18").is_ok());
        assert_eq!(one("2026-03-19"), Err(NoPeriod::TooLate));
        assert_eq!(one("this_week"), Err(NoPeriod::Unreadable));
        let open = Dates::default().period("2026-03-01..2026-12-31", today, true).unwrap();
        assert_eq!(open.last(), today);
    }
}
