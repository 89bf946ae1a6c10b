//! What Premier's dashboards show, cell by cell, against plain loops over the platform's rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::{Path, PathBuf},
};

use calamine::{Data, Range, Reader, Xlsx};
use chrono::{Months, NaiveDate, Utc};
use chrono_tz::Europe::Moscow;

use super::{
    facts::Facts,
    sums::{Watched, month_of},
};

/// What a cell is to show.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Text(String),
    Number(f64),
    Day(NaiveDate),
    Nothing,
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<NaiveDate> for Cell {
    fn from(day: NaiveDate) -> Self {
        Self::Day(day)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Nothing, Into::into)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A row of cells.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(Cell::from($cell)),*] };
}

type Rows = Vec<Vec<Cell>>;

/// Roubles of kopecks, hours of seconds.
fn roubles(kopecks: i64) -> f64 {
    kopecks as f64 / 100.0
}

fn hours(seconds: i64) -> f64 {
    seconds as f64 / 3600.0
}

/// The month that dashboards are about.
#[derive(Clone, Copy)]
struct Month {
    from: NaiveDate,
    until: NaiveDate,
}

impl Month {
    fn has(self, day: NaiveDate) -> bool {
        day >= self.from && day < self.until
    }
}

/// All sheets of the three dashboards.
pub(super) fn agree(facts: &Facts, file: impl Fn(&str) -> PathBuf) {
    let until = month_of(Utc::now().with_timezone(&Moscow).date_naive());
    let month = Month { from: until - Months::new(1), until };
    let mut book = Book::of(file("revenue"));
    book.sheet("По дням", &[1, 2, 3, 4], &[("Выручка по дням, ₽", &[4])], flows(facts, month));
    let charts = [("Начатые и оплаченные подписки", &[1, 2][..])];
    book.sheet("Подписки", &[1, 2, 4], &charts, subscriptions(facts, month));
    book.sheet("LTV", &[1, 3], &[("LTV по месяцу первой подписки, ₽", &[4])], lifetimes(facts));
    book.sheet("Отток", &[2, 3], &[("Пришли и ушли", &[2, 3]), ("Отток", &[5])], churn(facts));
    book.has_no_other_charts();
    let mut book = Book::of(file("content"));
    book.sheet("Топ тайтлов", &[4, 5, 7], &[("Часы просмотра", &[7])], titles(facts, month));
    book.sheet("Жанры", &[3, 4], &[("Время просмотра по жанрам", &[4])], genres(facts, month));
    book.sheet("Выручка", &[1, 2], &[("Распределённая выручка, ₽", &[2])], revenue(facts, month));
    book.sheet("По дням", &[1, 2, 5], &[("Просмотры по дням", &[1, 2])], views(facts, month));
    book.has_no_other_charts();
    let mut book = Book::of(file("audience"));
    book.sheet("Аудитория", &[4, 5], &[("Активные зрители", &[1, 2, 3])], actives(facts, month));
    book.sheet("Воронка", &[], &[("От визита до оплаты", &[1])], funnel(facts, month));
    book.sheet("Удержание", &[], &[("Сколько зрителей приходит через N недель", &[3])], retention(facts));
    book.sheet("Когорты", &[1], &[("Удержание по когортам", &[2, 5, 7])], cohorts(facts));
    book.sheet("Регионы", &[1, 2, 3], &[("Новые зрители и оплатившие", &[1, 3])], regions(facts, month));
    book.has_no_other_charts();
}

/// The row of the sheet where columns are named, and that of the first rows below it.
const FIRST: u32 = 4;

struct Book {
    file: PathBuf,
    opened: Xlsx<std::io::BufReader<std::fs::File>>,
    charts: Vec<String>,
    drawn: usize,
}

impl Book {
    fn of(file: PathBuf) -> Self {
        let opened = calamine::open_workbook(&file).unwrap();
        let charts = charts(&file);
        Self { file, opened, charts, drawn: 0 }
    }

    /// A sheet has these rows, sums below these columns, and charts of these names over these columns.
    fn sheet(&mut self, name: &str, sums: &[u32], charts: &[(&str, &[u32])], expected: Rows) {
        let shown = format!("{}: {name}", self.file.display());
        assert!(expected.len() > 1, "{shown}: nothing to compare");
        let range = self.opened.worksheet_range(name).unwrap();
        let behind = FIRST + expected.len() as u32;
        for (at, row) in (FIRST..).zip(&expected) {
            for (column, cell) in (0..).zip(row) {
                assert!(
                    shows(&range, at, column, cell),
                    "{shown}: row {at}, column {column}: {:?}, and not {cell:?}",
                    range.get_value((at, column))
                );
            }
        }
        for column in sums {
            let sum: f64 = expected.iter().map(|row| number(&row[*column as usize])).sum();
            assert!(
                shows(&range, behind, *column, &Cell::Number(sum)),
                "{shown}: the sum of column {column} is not {sum}"
            );
        }
        let last = if sums.is_empty() { behind - 1 } else { behind };
        assert_eq!(range.end().map(|end| end.0), Some(last), "{shown}: the last row");
        for (title, columns) in charts {
            let drawn = |column: &u32| {
                let letter = char::from(b'A' + u8::try_from(*column).unwrap());
                format!("${letter}${}:${letter}${behind}</c:f>", FIRST + 1)
            };
            let is_it = |xml: &String| {
                let own = xml.contains(&format!(">{title}<"))
                    && (xml.contains(&format!("<c:f>'{name}'!")) || xml.contains(&format!("<c:f>{name}!")));
                own && xml.matches("<c:val>").count() == columns.len()
                    && columns.iter().all(|column| xml.contains(&drawn(column)))
            };
            assert!(
                self.charts.iter().any(is_it),
                "{shown}: no chart {title} over {columns:?}: {:?}",
                self.charts
            );
            self.drawn += 1;
        }
    }

    fn has_no_other_charts(&self) {
        assert_eq!(self.charts.len(), self.drawn, "{}", self.file.display());
    }
}

/// Its charts as the file spells them.
fn charts(file: &Path) -> Vec<String> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let read = |name: &String| {
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    names.iter().filter(|name| name.starts_with("xl/charts/chart")).map(read).collect()
}

fn number(cell: &Cell) -> f64 {
    if let Cell::Number(number) = cell { *number } else { 0.0 }
}

fn shows(range: &Range<Data>, row: u32, column: u32, expected: &Cell) -> bool {
    let near = |found: f64, number: f64| (found - number).abs() < 1e-5 * number.abs().max(1.0);
    match (range.get_value((row, column)).unwrap_or(&Data::Empty), expected) {
        (Data::String(found), Cell::Text(text)) => found == text,
        (Data::Float(found), Cell::Number(number)) => near(*found, *number),
        (Data::Int(found), Cell::Number(number)) => near(*found as f64, *number),
        (Data::DateTime(found), Cell::Day(day)) => {
            let (year, month, of_month, ..) = found.to_ymd_hms_milli();
            NaiveDate::from_ymd_opt(year.into(), month.into(), of_month.into()) == Some(*day)
        }
        (Data::Empty, Cell::Nothing) => true,
        _ => false,
    }
}

fn flows(facts: &Facts, month: Month) -> Rows {
    let mut days: BTreeMap<NaiveDate, (i64, i64, i64)> = BTreeMap::new();
    for flow in facts.flows.iter().filter(|flow| month.has(flow.day)) {
        let day = days.entry(flow.day).or_default();
        *day = (day.0 + i64::from(flow.paid > 0), day.1 + flow.paid, day.2 + flow.refunded);
    }
    let row = |(day, (payments, paid, refunded))| {
        row![day, payments, roubles(paid), roubles(refunded), roubles(paid - refunded)]
    };
    days.into_iter().map(row).collect()
}

fn subscriptions(facts: &Facts, month: Month) -> Rows {
    let mut kinds: BTreeMap<String, (i64, i64, BTreeSet<i64>, i64)> = BTreeMap::new();
    for (passport, kind, start, _, money, ..) in facts.billing().into_values() {
        if month.has(start) {
            let of_kind = kinds.entry(kind).or_default();
            of_kind.0 += 1;
            of_kind.1 += i64::from(money > 0);
            of_kind.2.insert(passport);
            of_kind.3 += money;
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, counts)| (-counts.3, kind.clone()));
    let row = |(kind, (started, paid, viewers, money)): (String, (i64, i64, BTreeSet<i64>, i64))| {
        row![kind, started, paid, viewers.len() as i64, roubles(money), roubles(money) / started as f64]
    };
    kinds.into_iter().map(row).collect()
}

fn lifetimes(facts: &Facts) -> Rows {
    let mut viewers: BTreeMap<i64, (NaiveDate, i64, i64, i64)> = BTreeMap::new();
    for (passport, _, start, _, _, ltv, days) in facts.billing().into_values() {
        let viewer = viewers.entry(passport).or_insert((start, 0, ltv, days));
        *viewer = (viewer.0.min(start), viewer.1 + 1, ltv, days);
    }
    let mut months: BTreeMap<NaiveDate, [i64; 4]> = BTreeMap::new();
    for (first, subscriptions, ltv, days) in viewers.into_values() {
        let sums = months.entry(month_of(first)).or_default();
        sums.iter_mut().zip([1, subscriptions, ltv, days]).for_each(|(sum, more)| *sum += more);
    }
    let row = |(month, [viewers, subscriptions, money, days]): (NaiveDate, [i64; 4])| {
        let each = |sum: f64| sum / viewers as f64;
        row![
            month,
            viewers,
            each(subscriptions as f64),
            roubles(money),
            each(roubles(money)),
            each(days as f64)
        ]
    };
    months.into_iter().map(row).collect()
}

fn churn(facts: &Facts) -> Rows {
    let row = |(month, [before, gained, lost, after]): (NaiveDate, [i64; 4])| {
        row![month, before, gained, lost, after, (before > 0).then(|| lost as f64 / before as f64)]
    };
    facts.churn().into_iter().map(row).collect()
}

fn titles(facts: &Facts, month: Month) -> Rows {
    let mut titles: Vec<_> = facts.watched(|day| month.has(day)).into_iter().collect();
    titles.sort_by_key(|(tv, title)| (-title.seconds, *tv));
    let row = |(place, (tv, title)): (i64, (i64, Watched))| {
        let called = facts.called(tv);
        let (name, genre) = (called.clone().map(|called| called.0), called.clone().map(|called| called.1));
        let viewers = title.viewers.len() as i64;
        row![
            place,
            name,
            genre,
            called.map(|called| called.2),
            title.views,
            title.long,
            viewers,
            hours(title.seconds)
        ]
    };
    (1..).zip(titles).take(20).map(row).collect()
}

fn genres(facts: &Facts, month: Month) -> Rows {
    type Genre = (BTreeSet<i64>, BTreeSet<i64>, i64, i64);
    let mut genres: BTreeMap<String, Genre> = BTreeMap::new();
    for view in facts.views.iter().filter(|view| month.has(view.day)) {
        let known = facts.title(view.tv, view.day).map(|title| title.genre.clone());
        let genre = genres.entry(known.unwrap_or_else(|| "Без жанра".to_owned())).or_default();
        genre.0.insert(view.tv);
        genre.1.insert(view.passport);
        genre.2 += 1;
        genre.3 += view.seconds;
    }
    let mut genres: Vec<_> = genres.into_iter().collect();
    genres.sort_by_key(|(name, genre)| (-genre.3, name.clone()));
    let row = |(name, genre): (String, Genre)| {
        row![name, genre.0.len() as i64, genre.1.len() as i64, genre.2, hours(genre.3)]
    };
    genres.into_iter().map(row).collect()
}

fn revenue(facts: &Facts, month: Month) -> Rows {
    let mut titles: BTreeMap<Option<i64>, (i64, i64)> = BTreeMap::new();
    for (place, days) in facts.allocated() {
        for (seconds, kopecks) in days.into_iter().filter(|(day, _)| month.has(*day)).map(|(_, share)| share)
        {
            let title = titles.entry(place.map(|(_, tv, _)| tv)).or_default();
            *title = (title.0 + seconds, title.1 + kopecks);
        }
    }
    let named = |tv: Option<i64>| {
        tv.and_then(|tv| facts.called(tv)).map_or("Оплачено, не смотрели".to_owned(), |called| called.0)
    };
    let mut titles: Vec<_> = titles.into_iter().map(|(tv, sums)| (named(tv), sums)).collect();
    titles.sort_by_key(|(name, sums)| (-sums.1, name.clone()));
    let row = |(name, (seconds, kopecks)): (String, (i64, i64))| {
        row![name, hours(seconds), roubles(kopecks), (seconds > 0).then(|| roubles(kopecks) / hours(seconds))]
    };
    titles.into_iter().map(row).collect()
}

fn views(facts: &Facts, month: Month) -> Rows {
    type Day = (i64, i64, BTreeSet<i64>, BTreeSet<i64>, i64);
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for (view, running) in facts.views.iter().zip(facts.running()).filter(|(view, _)| month.has(view.day)) {
        let day = days.entry(view.day).or_default();
        day.0 += 1;
        day.1 += i64::from(view.seconds >= 180);
        day.2.insert(view.passport);
        day.3.extend(running.map(|_| view.passport));
        day.4 += view.seconds;
    }
    let row = |(day, counts): (NaiveDate, Day)| {
        row![day, counts.0, counts.1, counts.2.len() as i64, counts.3.len() as i64, hours(counts.4)]
    };
    days.into_iter().map(row).collect()
}

fn actives(facts: &Facts, month: Month) -> Rows {
    let row = |(day, [dau, wau, mau, new, visits, watching, _]): (NaiveDate, [i64; 7])| {
        row![day, dau, wau, mau, new, visits, watching, dau as f64 / mau as f64]
    };
    facts.actives().into_iter().filter(|(day, _)| month.has(*day)).map(row).collect()
}

fn funnel(facts: &Facts, month: Month) -> Rows {
    let mut sums = [0; 5];
    for (_, counts) in facts.conversion().into_iter().filter(|((day, _), _)| month.has(*day)) {
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [visitors, trials, payers, with_trial, _] = sums;
    let stages = [
        ("Первый визит", visitors),
        ("Пробный период", trials),
        ("Оплата после пробного", with_trial),
        ("Оплата без пробного", payers - with_trial),
    ];
    stages.into_iter().map(|(stage, count)| row![stage, count, count as f64 / visitors as f64]).collect()
}

fn retention(facts: &Facts) -> Rows {
    let cohorts = facts.cohorts();
    let mut weeks: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for ((cohort, week), viewers) in cohorts.iter().filter(|((_, week), _)| *week <= 26) {
        let sums = weeks.entry(*week).or_default();
        *sums = (sums.0 + viewers, sums.1 + cohorts[&(*cohort, 0)]);
    }
    let row =
        |(week, (viewers, size)): (i64, (i64, i64))| row![week, viewers, size, viewers as f64 / size as f64];
    weeks.into_iter().map(row).collect()
}

fn cohorts(facts: &Facts) -> Rows {
    let cohorts = facts.cohorts();
    let weeks: BTreeSet<NaiveDate> = cohorts.keys().map(|(cohort, _)| *cohort).collect();
    let row = |cohort: NaiveDate| {
        let size = cohorts[&(cohort, 0)];
        let came = |week| cohorts.get(&(cohort, week)).map(|viewers| *viewers as f64 / size as f64);
        let mut cells = row![cohort, size];
        cells.extend([1, 2, 3, 4, 8, 12, 26].map(|week| Cell::from(came(week))));
        cells
    };
    weeks.into_iter().map(row).collect()
}

fn regions(facts: &Facts, month: Month) -> Rows {
    let mut regions: BTreeMap<Option<String>, [i64; 3]> = BTreeMap::new();
    for ((_, region), counts) in facts.conversion().into_iter().filter(|((day, _), _)| month.has(*day)) {
        let sums = regions.entry(region).or_default();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let mut regions: Vec<_> = regions.into_iter().collect();
    regions.sort_by_key(|(name, sums)| (-sums[0], name.clone()));
    let row = |(name, [visitors, trials, payers]): (Option<String>, [i64; 3])| {
        row![name, visitors, trials, payers, payers as f64 / visitors as f64]
    };
    regions.into_iter().map(row).collect()
}
