//! Pictures judged by their geometry: every text knows its room.

use chrono::Days;

use super::*;
use crate::config::project::Language;

const KINDS: [ChartKind; 7] = [
    ChartKind::Line,
    ChartKind::Column,
    ChartKind::Stacked,
    ChartKind::Bar,
    ChartKind::Pie,
    ChartKind::Funnel,
    ChartKind::HeatMap,
];

fn days(count: usize) -> Axis {
    let first: NaiveDate = "2026-01-01".parse().unwrap();
    Axis::Days((0..count).map(|at| first + Days::new(at as u64)).collect())
}

fn names(count: usize) -> Axis {
    let long = "Очень длинное название документального сериала о жизни северных оленей";
    let names =
        ["Центр", "Северо-Запад", "Санкт-Петербург и Ленинградская область", long, "Ы", "👍 <b>&\u{202e}x"];
    Axis::Names((0..count).map(|at| format!("{} {at}", names[at % names.len()])).collect())
}

/// A wave with what databases give: NULL, NaN, infinities, zeros.
fn wave(count: usize, size: f64, phase: f64) -> Vec<Option<f64>> {
    let value = |at: usize| match at % 11 {
        7 => None,
        8 => Some(f64::NAN),
        9 => Some(f64::INFINITY),
        10 => Some(0.0),
        _ => Some(size * (1.0 + (at as f64 * 0.7 + phase).sin())),
    };
    (0..count).map(value).collect()
}

fn plots() -> Vec<Plot> {
    let mut plots = vec![];
    for kind in KINDS {
        for count in [1, 2, 3, 7, 12, 31, 90, 366] {
            for (series, size, format) in [
                (1, 1_250_000.0, Some(Format::Rub)),
                (3, 0.4, Some(Format::Percent)),
                (12, -300.0, None),
                (14, 9.9e9, Some(Format::Number)),
                (1, 1e-7, Some(Format::Whole)),
                (2, -4e15, Some(Format::Text)),
            ] {
                for axis in [days(count), names(count)] {
                    let named = |at: usize| Series {
                        name: format!("Ряд с номером {at} и длинным именем"),
                        values: wave(count, size, at as f64),
                    };
                    plots.push(Plot {
                        kind,
                        title: "Выручка по видам подписки и регионам за выбранный период с разбивкой по дням и неделям".into(),
                        subtitle: "1–31 янв 2026".into(),
                        axis,
                        series: (0..series).map(named).collect(),
                        measure: Measure { format, whole: false },
                        words: Words::plain(if count % 2 == 0 { Language::Ru } else { Language::En }),
                    });
                }
            }
        }
    }
    plots
}

fn told(plot: &Plot) -> String {
    format!(
        "{:?}, {} places, {} series, {:?}",
        plot.kind,
        plot.axis.len(),
        plot.series.len(),
        plot.measure.format
    )
}

#[test]
fn no_label_lies_upon_another_and_none_leaves_the_sheet() {
    for plot in plots() {
        let drawing = draw(&plot).unwrap_or_else(|| panic!("nothing drawn: {}", told(&plot)));
        let texts: Vec<(&Text, Area)> = drawing.texts().map(|text| (text, text.area())).collect();
        assert!(texts.len() > 2, "{}", told(&plot));
        for (at, (text, area)) in texts.iter().enumerate() {
            let inside = area.left >= 8.0 && area.right <= drawing.width - 8.0 && area.top >= 8.0;
            assert!(inside && area.bottom <= drawing.height - 8.0, "{:?} of {}", text.text, told(&plot));
            assert!(text.size >= 13.0, "{:?} is too small: {}", text.text, told(&plot));
            let upon = texts[..at].iter().find(|(_, other)| other.overlaps(area));
            assert!(upon.is_none(), "{:?} upon {:?}: {}", text.text, upon.unwrap().0.text, told(&plot));
        }
    }
}

#[test]
fn every_number_of_a_drawing_is_one() {
    for plot in plots() {
        let svg = draw(&plot).unwrap().svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", told(&plot));
        assert!(!svg.contains("<b>"), "{}", told(&plot));
        let is_flat = svg.contains("width=\"0.0\"") || svg.contains("height=\"0.0\"");
        assert!(!is_flat, "a rectangle without extent: {}", told(&plot));
    }
}

#[test]
fn what_has_no_value_is_not_drawn() {
    for kind in KINDS {
        let plot = |axis: Axis, values: Vec<Option<f64>>| Plot {
            kind,
            title: String::new(),
            subtitle: String::new(),
            axis,
            series: vec![Series { name: "y".into(), values }],
            measure: Measure::default(),
            words: Words::plain(Language::Ru),
        };
        assert!(draw(&plot(days(0), vec![])).is_none());
        assert!(draw(&plot(days(2), vec![None, Some(f64::NAN)])).is_none());
        assert!(draw(&plot(names(3), vec![Some(0.0)])).is_some());
    }
}

#[test]
fn labels_are_those_that_people_look_for() {
    let drawn = |count: usize| {
        let series = vec![Series { name: "y".into(), values: vec![Some(5.0); count] }];
        let measure = Measure::default();
        let (title, subtitle) = (String::new(), String::new());
        let plot = Plot {
            kind: ChartKind::Line,
            title,
            subtitle,
            axis: days(count),
            series,
            measure,
            words: Words::plain(Language::Ru),
        };
        let drawing = draw(&plot).unwrap();
        drawing
            .texts()
            .map(|text| text.text.clone())
            .filter(|text| text.contains(char::is_alphabetic))
            .collect()
    };
    let week: Vec<String> = drawn(7);
    assert_eq!(week.first().map(String::as_str), Some("1 янв"));
    assert_eq!(week.len(), 7);
    let month: Vec<String> = drawn(31);
    assert_eq!(month, ["5 янв", "12 янв", "19 янв", "26 янв"]);
    let year: Vec<String> = drawn(366);
    assert_eq!(year.len(), 13);
    assert!(year.iter().all(|label| label.len() == "янв".len()));
}

#[test]
fn a_grid_keeps_its_cells_apart() {
    for columns in [1, 2, 4, 6, 9, 14] {
        let cell = |row: usize, at: usize| match (at + row) % 4 {
            0 => "Константинопольский Александр Владиславович".to_owned(),
            1 => "1 234 567,50 ₽".to_owned(),
            2 => String::new(),
            _ => "Нижний Новгород".to_owned(),
        };
        let table = Grid {
            title: "Сделки".into(),
            columns: (0..columns).map(|at| (format!("Показатель {at}"), at % 2 == 1)).collect(),
            rows: (0..12).map(|row| (0..columns).map(|at| cell(row, at)).collect()).collect(),
            total: (0..columns).map(|at| cell(1, at)).collect(),
            note: "… ещё 90 строк в файле".into(),
            ..Grid::default()
        };
        let drawing = grid(&table);
        let texts: Vec<(&Text, Area)> = drawing.texts().map(|text| (text, text.area())).collect();
        for (at, (text, area)) in texts.iter().enumerate() {
            assert!(
                area.left >= 8.0 && area.right <= drawing.width - 8.0,
                "{:?} in {columns} columns",
                text.text
            );
            let upon = texts[..at].iter().find(|(_, other)| other.overlaps(area));
            assert!(upon.is_none(), "{:?} upon {:?} in {columns} columns", text.text, upon.unwrap().0.text);
        }
    }
}
