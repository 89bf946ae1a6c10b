//! Rows → what a chart draws: which column is the axis, which are series, what their numbers are.

use std::sync::Arc;

use arrow::error::ArrowError;
use chrono::{Datelike, NaiveDate};
use indexmap::{IndexMap, IndexSet};

use super::{
    cell::Cell,
    chart::{self, Axis, Measure, Plot, Series},
    format,
    rows::{ColumnInfo, KEPT_ROWS, Rows},
};
use crate::{
    bot::{
        screen::{Bars, Picture},
        words::Words,
    },
    config::bot::{Chart, ChartKind, Format},
};

/// What is drawn of the rows; `None` where they lack a column or have no value.
pub fn plot(
    spec: &Chart,
    rows: &Rows,
    columns: &[ColumnInfo],
    (title, subtitle): (&str, &str),
    words: &Words,
) -> Result<Option<Plot>, ArrowError> {
    let find = |name: &String| columns.iter().position(|info| info.name == *name);
    let (Some(x), Some(y)) = (find(&spec.x), spec.y.iter().map(find).collect::<Option<Vec<_>>>()) else {
        return Ok(None);
    };
    let keys = rows.cells(x, KEPT_ROWS)?;
    let mut places: Vec<Cell> = vec![];
    let at = placed(
        &keys,
        &mut places,
        matches!(spec.kind, ChartKind::Line | ChartKind::Column | ChartKind::Stacked | ChartKind::HeatMap),
    );
    let mut series: IndexMap<String, Vec<Option<f64>>> = IndexMap::new();
    let by = spec.series.as_ref().and_then(find);
    for column in &y {
        let values = rows.cells(*column, KEPT_ROWS)?;
        let names = by.map(|by| rows.cells(by, KEPT_ROWS)).transpose()?;
        for (row, value) in values.iter().enumerate() {
            let name = match (&names, by) {
                (Some(names), Some(by)) => name(&names[row], &columns[by], words),
                _ => columns[*column].title.clone(),
            };
            let line = series.entry(name).or_insert_with(|| vec![None; places.len()]);
            // A place that comes twice is one: what belongs together is added up.
            if let Some(number) = value.number() {
                let there = &mut line[at[row]];
                *there = Some(there.unwrap_or(0.0) + number);
            }
        }
    }
    let measure = measure(&y, columns, rows);
    let series = series.into_iter().map(|(name, values)| Series { name, values }).collect();
    let axis = axis(&places, &columns[x], words);
    let (title, subtitle) = (title.to_owned(), subtitle.to_owned());
    Ok(Some(Plot { kind: spec.kind, title, subtitle, axis, series, measure, words: words.clone() }))
}

/// The places of an axis, each once, and where each row stands; days and numbers in their order, names as they come.
fn placed(keys: &[Cell], places: &mut Vec<Cell>, ordered: bool) -> Vec<usize> {
    let key = |cell: &Cell| match cell {
        Cell::Text(text) => format!("text {text}"),
        other => format!("{other:?}"),
    };
    let mut seen: IndexSet<String> = IndexSet::new();
    for cell in keys {
        if seen.insert(key(cell)) {
            places.push(cell.clone());
        }
    }
    let in_order = !places.iter().any(|cell| matches!(cell, Cell::Text(_) | Cell::Bool(_)));
    if ordered && in_order {
        places.sort_by(Cell::order);
    }
    let index: IndexMap<String, usize> =
        places.iter().enumerate().map(|(at, cell)| (key(cell), at)).collect();
    keys.iter().map(|cell| index[&key(cell)]).collect()
}

/// Days are days only where all are; anything else is a name.
fn axis(places: &[Cell], info: &ColumnInfo, words: &Words) -> Axis {
    let day = |cell: &Cell| match cell {
        Cell::Date(day) => Some(*day),
        Cell::Moment(at) if at.time() == chrono::NaiveTime::MIN => Some(at.date()),
        _ => None,
    };
    let days: Option<Vec<NaiveDate>> = places.iter().map(day).collect();
    match days {
        Some(days) if info.format != Some(Format::Month) || days.len() > 1 => Axis::Days(days),
        _ => Axis::Names(places.iter().map(|cell| name(cell, info, words)).collect()),
    }
}

/// What a place or a series is called: no chart has room for more.
fn name(cell: &Cell, info: &ColumnInfo, words: &Words) -> String {
    const LETTERS: usize = 200;
    format::shown(cell, info.format, words).chars().take(LETTERS).collect()
}

/// What the numbers are: of one kind, or numbers without a unit.
fn measure(y: &[usize], columns: &[ColumnInfo], rows: &Rows) -> Measure {
    let formats: Vec<Option<Format>> = y.iter().map(|at| columns[*at].format).collect();
    let one = formats
        .first()
        .copied()
        .flatten()
        .filter(|first| formats.iter().all(|format| *format == Some(*first)));
    let whole = y.iter().all(|at| rows.tallies[*at].sum().places() == 0);
    Measure { format: one, whole }
}

/// A drawn chart; `None` where there is nothing to draw.
pub fn picture(plot: &Plot, name: &str) -> Result<Option<Picture>, String> {
    let Some(drawing) = chart::draw(plot) else { return Ok(None) };
    let png: Arc<[u8]> = drawing.png()?.into();
    Ok(Some(Picture {
        png,
        name: format!("{name}.png"),
        caption: plot.title.clone(),
        chart: Some(Arc::new(bars(plot))),
    }))
}

/// The same as numbers, for places that draw with characters.
fn bars(plot: &Plot) -> Bars {
    let is_first = |day: &NaiveDate| day.day() == 1;
    let labels = match &plot.axis {
        Axis::Days(days) if days.len() > 1 && days.iter().all(is_first) => {
            days.iter().map(|day| format::months(*day, *day, &plot.words)).collect()
        }
        Axis::Days(days) => days.iter().map(|day| format::day_month(*day, &plot.words)).collect(),
        Axis::Names(names) => names.clone(),
    };
    let written = |value: &Option<f64>| match (value, plot.measure.format) {
        (None, _) => format::NOTHING.to_owned(),
        (Some(value), Some(Format::Percent)) => format::percent(*value, 1, plot.words.language()),
        (Some(value), Some(Format::Rub)) => {
            format::rubles(format::short(*value, &plot.words), plot.words.language())
        }
        (Some(value), _) => format::short(*value, &plot.words),
    };
    let series = |series: &Series| {
        (series.name.clone(), series.values.clone(), series.values.iter().map(written).collect())
    };
    Bars { labels, series: plot.series.iter().map(series).collect() }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray};

    use super::{super::rows::tests::rows_of, *};
    use crate::config::project::Language;

    fn info(name: &str, format: Option<Format>) -> ColumnInfo {
        ColumnInfo { name: name.into(), title: name.to_uppercase(), format, number: true }
    }

    fn chart(kind: ChartKind, y: &[&str], series: Option<&str>) -> Chart {
        let y = y.iter().map(|name| (*name).to_owned()).collect();
        Chart { kind, title: None, x: "day".into(), y, series: series.map(str::to_owned) }
    }

    #[test]
    fn rows_become_series() {
        let rows = rows_of(vec![
            ("day", Arc::new(Date32Array::from(vec![20_456, 20_454, 20_454, 20_455]))),
            ("region", Arc::new(StringArray::from(vec![Some("Центр"), Some("Волга"), Some("Центр"), None]))),
            ("money", Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), None]))),
            ("calls", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ]);
        let columns =
            [info("day", None), info("region", None), info("money", Some(Format::Rub)), info("calls", None)];
        let plot_of =
            |spec: &Chart| plot(spec, &rows, &columns, ("T", ""), &Words::plain(Language::Ru)).unwrap();
        let pivoted = plot_of(&chart(ChartKind::Line, &["money"], Some("region"))).unwrap();
        assert!(matches!(&pivoted.axis, Axis::Days(days) if days.is_sorted() && days.len() == 3));
        let lines: Vec<(&str, &[Option<f64>])> =
            pivoted.series.iter().map(|line| (line.name.as_str(), line.values.as_slice())).collect();
        assert_eq!(lines[0], ("Центр", &[Some(3.0), None, Some(1.0)][..]));
        assert_eq!(lines[2], ("—", &[None, None, None][..]));
        assert_eq!(pivoted.measure.format, Some(Format::Rub));
        let both = plot_of(&chart(ChartKind::Column, &["money", "calls"], None)).unwrap();
        assert_eq!((both.series.len(), both.measure.format), (2, None));
        assert_eq!(both.series[1].values, [Some(5.0), Some(4.0), Some(1.0)], "rows of one day are added up");
        assert!(plot_of(&chart(ChartKind::Line, &["gone"], None)).is_none());
        let months = ["2026-01-01", "2026-02-01"].map(|day| day.parse().unwrap());
        let by_month = bars(&Plot { axis: Axis::Days(months.to_vec()), ..pivoted.clone() });
        assert_eq!(by_month.labels, ["янв 2026", "фев 2026"]);
        let picture = picture(&pivoted, "revenue").unwrap().unwrap();
        assert!(picture.png.starts_with(b"\x89PNG"));
        assert_eq!(picture.chart.unwrap().series[0].2, ["3\u{202f}₽", "—", "1\u{202f}₽"]);
    }
}
