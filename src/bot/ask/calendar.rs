//! A month's calendar and a year's: nothing past the bounds can be pressed, and no arrow leads there.

use chrono::{Datelike, Days, Months, NaiveDate};

use super::bounds;
use crate::{
    bot::{dates, event::Given, press::Intent, said, scene::Scene, view::View},
    config::bot::{Ask, AskKind},
    model::time::Period,
};

/// Days of six weeks, which no month has more of.
const CELLS: usize = 42;
/// Stands where nothing can be pressed.
const BLANK: &str = "·";

/// The first day of a month.
pub(in crate::bot) fn month_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The days of a month.
pub(super) fn month(scene: &Scene<'_>, ask: &Ask, month: NaiveDate, from: Option<NaiveDate>) -> View {
    let Some(bounds) = bounds::dates(ask) else { return View::default() };
    let (first, last) = bounds.ends(scene.today);
    let month = month_of(month.clamp(first, last));
    let next = month.checked_add_months(Months::new(1)).unwrap_or(month);
    let before = month.checked_sub_days(Days::new(1)).unwrap_or(month);
    let words = &scene.words;
    let text = match (&ask.kind, from) {
        (AskKind::Date(_), _) => words.choose_day().to_owned(),
        (_, None) => words.first_day().to_owned(),
        (_, Some(from)) => words.last_day(dates::day(from, words.language())),
    };
    let mut view = View::text(&text);
    view.row([
        arrow("‹", before >= first, Intent::Month(month_of(before))),
        (dates::capital(&dates::month(month, words)), Intent::Year(month.year())),
        arrow("›", next <= last, Intent::Month(next)),
    ]);
    view.row(words.weekdays().map(|name| (name.to_owned(), Intent::Still)));
    let longest = bounds.longest.map_or(i64::MAX, i64::from);
    let blanks = month.weekday().num_days_from_monday() as usize;
    let mut cells = Vec::with_capacity(CELLS);
    cells.resize_with(blanks, blank);
    let days = month.iter_days().take_while(|day| *day < next);
    cells.extend(days.map(|day| {
        let near = from.is_none_or(|from| (day - from).num_days().abs() < longest);
        if day < first || day > last || !near {
            return blank();
        }
        let label = if Some(day) == from { format!("[{}]", day.day()) } else { day.day().to_string() };
        (label, Intent::Day(day))
    }));
    cells.resize_with(cells.len().next_multiple_of(7), blank);
    // Weeks that have not come yet are left out.
    while cells.len() > 7 && cells[cells.len() - 7..].iter().all(|(label, _)| label == BLANK) {
        cells.truncate(cells.len() - 7);
    }
    view.grid(cells, 7);
    let whole = Period { from: month, until: next };
    let text = said::fixed(whole);
    if matches!(ask.kind, AskKind::DateRange(_)) && from.is_none() && bounds::judge(scene, ask, &text).is_ok()
    {
        let label = words.whole_month(dates::month_name(month, words));
        view.row([(label, Intent::Give(Given::Period(text)))]);
    }
    view
}

/// The months of a year.
pub(super) fn year(scene: &Scene<'_>, ask: &Ask, year: i32, _from: Option<NaiveDate>) -> View {
    let Some(bounds) = bounds::dates(ask) else { return View::default() };
    let (first, last) = bounds.ends(scene.today);
    let year = year.clamp(first.year(), last.year());
    let mut view = View::text(scene.words.choose_month());
    view.row([
        arrow("‹", year > first.year(), Intent::Year(year - 1)),
        (year.to_string(), Intent::Still),
        arrow("›", year < last.year(), Intent::Year(year + 1)),
    ]);
    let months = (1..=12).map(|number| {
        let Some(month) = NaiveDate::from_ymd_opt(year, number, 1) else { return blank() };
        if month < month_of(first) || month > last {
            return blank();
        }
        (dates::capital(dates::month_name(month, &scene.words)), Intent::Month(month))
    });
    view.grid(months, 3);
    view
}

fn arrow(label: &str, open: bool, intent: Intent) -> (String, Intent) {
    if open { (label.to_owned(), intent) } else { blank() }
}

fn blank() -> (String, Intent) {
    (BLANK.to_owned(), Intent::Still)
}
