//! The pictures of docs/reports.md, drawn by the code itself: `UPDATE_IMAGES=1` on this test makes them anew.

use std::path::Path;

use chrono::Days;

use super::*;
use crate::config::project::Language;

/// Wide enough to see, small enough for a repository.
const WIDTH: u32 = 540;

fn days(count: usize) -> Axis {
    let first: NaiveDate = "2026-01-01".parse().unwrap();
    Axis::Days((0..count).map(|at| first + Days::new(at as u64)).collect())
}

fn names(names: &[&str]) -> Axis {
    Axis::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

fn wave(count: usize, size: f64, pace: f64) -> Vec<Option<f64>> {
    let value = |at: usize| {
        let weekend = if at % 7 >= 5 { -0.18 } else { 0.0 };
        Some(size * (1.0 + 0.25 * (at as f64 * pace).sin() + 0.004 * at as f64 + weekend))
    };
    (0..count).map(value).collect()
}

fn series(name: &str, values: Vec<Option<f64>>) -> Series {
    Series { name: name.to_owned(), values }
}

fn of(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().map(|value| Some(*value)).collect()
}

fn plot(
    kind: ChartKind,
    (title, subtitle): (&str, &str),
    axis: Axis,
    series: Vec<Series>,
    format: Option<Format>,
) -> Plot {
    let (title, subtitle) = (title.to_owned(), subtitle.to_owned());
    let measure = Measure { format, whole: format.is_none() };
    Plot { kind, title, subtitle, axis, series, measure, words: Words::plain(Language::Ru) }
}

fn cohorts() -> Vec<Series> {
    let months = ["янв", "фев", "мар", "апр", "май", "июн", "июл", "авг"];
    let row = |(at, month): (usize, &&str)| {
        let kept = |age: usize| (age + at < 8).then(|| 0.97f64.powi(at as i32) / (1.0 + 0.35 * age as f64));
        series(&format!("{month} 2026"), (0..8).map(kept).collect())
    };
    months.iter().enumerate().map(row).collect()
}

const JANUARY: &str = "1–31 янв 2026";

fn over_time() -> Vec<(&'static str, Plot)> {
    let kinds = vec![
        series("Месяц", wave(14, 600_000.0, 0.5)),
        series("Год", wave(14, 300_000.0, 0.8)),
        series("Пробная", wave(14, 60_000.0, 0.2)),
    ];
    let money = vec![series("Выручка", wave(31, 1_240_000.0, 0.4))];
    let ages = Axis::Names((0..8).map(|age| age.to_string()).collect());
    let stacked = ("Выручка по видам подписки", "1–14 янв 2026");
    let kept = ("Удержание по когортам", "месяц жизни подписки");
    let rub = Some(Format::Rub);
    vec![
        ("line", plot(ChartKind::Line, ("Выручка по дням", JANUARY), days(31), money, rub)),
        ("stacked", plot(ChartKind::Stacked, stacked, days(14), kinds, rub)),
        ("heat_map", plot(ChartKind::HeatMap, kept, ages, cohorts(), Some(Format::Percent))),
    ]
}

fn of_parts() -> Vec<(&'static str, Plot)> {
    let regions = names(&["Центр", "Северо-Запад", "Волга", "Урал", "Дальний Восток"]);
    let titles =
        ["Слово пацана. Кровь на асфальте", "Жуки", "Пищеблок", "Бедные смеются, богатые плачут", "Химера"];
    let genres = names(&["Драма", "Комедия", "Триллер", "Мелодрама", "Детектив"]);
    let stages = names(&["Открыли страницу", "Нажали «Подписаться»", "Ввели карту", "Оплатили"]);
    let views = vec![series("Просмотры", of(&[1_254_000.0, 870_300.0, 512_000.0, 340_500.0, 88_000.0]))];
    let shares = vec![series("Просмотры", of(&[310_000.0, 240_000.0, 130_000.0, 90_000.0, 60_000.0]))];
    let people = vec![series("Люди", of(&[184_000.0, 61_200.0, 24_900.0, 19_300.0]))];
    let two = vec![
        series("Звонки", of(&[240.0, 180.0, 155.0, 120.0, 64.0])),
        series("Лиды", of(&[61.0, 44.0, 52.0, 18.0, 9.0])),
    ];
    let top = ("Топ сериалов по просмотрам", JANUARY);
    vec![
        ("column", plot(ChartKind::Column, ("Звонки и лиды", JANUARY), regions, two, None)),
        ("bar", plot(ChartKind::Bar, top, names(&titles), views, None)),
        ("pie", plot(ChartKind::Pie, ("Просмотры по жанрам", JANUARY), genres, shares, None)),
        ("funnel", plot(ChartKind::Funnel, ("Воронка подписки", JANUARY), stages, people, None)),
    ]
}

fn table() -> Grid {
    let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    Grid {
        title: "Менеджеры региона".to_owned(),
        subtitle: "1–31 янв 2026".to_owned(),
        columns: vec![
            ("Менеджер".into(), false),
            ("Регион".into(), false),
            ("Звонки".into(), true),
            ("Лиды".into(), true),
            ("Сумма".into(), true),
        ],
        rows: vec![
            row(["Иванова Анна", "Центр", "1 204", "312", "1 234 567 ₽"]),
            row(["Константинопольский Александр", "Северо-Запад", "980", "287", "998 400 ₽"]),
            row(["Ли Сергей", "Волга", "875", "190", "640 250 ₽"]),
        ],
        total: row(["Итого", "", "3 059", "789", "2 873 217 ₽"]),
        note: "… ещё 14 строк".to_owned(),
    }
}

#[test]
fn the_docs_show_what_is_drawn() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    let docs = std::fs::read_to_string(folder.with_file_name("reports.md")).unwrap();
    let plots = over_time().into_iter().chain(of_parts());
    let mut drawings: Vec<(&str, Drawing)> = plots.map(|(name, plot)| (name, draw(&plot).unwrap())).collect();
    drawings.push(("table", grid(&table())));
    for (name, drawing) in drawings {
        let file = folder.join(format!("report-{name}.png"));
        if std::env::var_os("UPDATE_IMAGES").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, drawing.png_of_width(WIDTH).unwrap()).unwrap();
        }
        assert!(file.exists(), "{}: UPDATE_IMAGES=1 makes it", file.display());
        assert!(docs.contains(&format!("images/report-{name}.png")), "docs/reports.md does not show {name}");
    }
}
