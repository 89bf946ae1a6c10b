//! Rows to be read: the top of them, a total, how many are left, and where each leads to.
//!
//! Phones are shown up to three columns in letters of one width ([`narrow`]) and more as a picture ([`for_phone`]); terminals draw tables of their own.

use arrow::error::ArrowError;

use super::{
    cell::Cell,
    chart::{self, Grid},
    format::{self, NARROW},
    rows::{ColumnInfo, Rows},
};
use crate::{
    bot::{
        screen::{Block, Head, Picture, Table},
        words::Words,
    },
    config::bot::Table as TableSpec,
};

/// Letters of one width that a phone shows in a line.
pub const PHONE: usize = 32;
/// Columns that fit into them.
const NARROW_COLUMNS: usize = 3;
/// Rows of a picture: more in one are too small to be read, and of a hundred high ones Telegram would not take it.
const PICTURE_ROWS: usize = 40;
/// Letters of a cell; pictures cut further.
const CELL: usize = 300;
/// Columns of a table that is looked at; the file has all.
const COLUMNS: usize = 14;

/// A table of an answer.
pub fn table(
    spec: &TableSpec,
    rows: &Rows,
    columns: &[ColumnInfo],
    words: &Words,
) -> Result<Table, ArrowError> {
    let chosen = chosen(spec, columns);
    let values: Vec<Vec<Cell>> =
        chosen.iter().map(|(at, _)| rows.cells(*at, spec.rows)).collect::<Result<_, _>>()?;
    let cells: Vec<Vec<String>> =
        chosen.iter().zip(&values).map(|((_, info), values)| written(values, info, words)).collect();
    let shown = cells.first().map_or(0, Vec::len);
    let row = |row: usize| cells.iter().map(|column| column[row].clone()).collect();
    let head = |(_, info): &(usize, &ColumnInfo)| Head { title: info.title.clone(), number: info.number };
    Ok(Table {
        columns: chosen.iter().map(head).collect(),
        rows: (0..shown).map(row).collect(),
        total: total(spec, rows, &chosen, &values, words),
        more: rows.count - shown as u64,
        more_columns: if spec.columns.is_empty() { (columns.len() - chosen.len()) as u64 } else { 0 },
    })
}

fn chosen<'a>(spec: &TableSpec, columns: &'a [ColumnInfo]) -> Vec<(usize, &'a ColumnInfo)> {
    let all = columns.iter().enumerate();
    if spec.columns.is_empty() {
        return all.take(COLUMNS).collect();
    }
    let find = |name: &String| columns.iter().enumerate().find(|(_, info)| info.name == *name);
    spec.columns.iter().filter_map(find).collect()
}

/// The cells of a column, all with the same places behind the comma.
pub(super) fn written(cells: &[Cell], info: &ColumnInfo, words: &Words) -> Vec<String> {
    let places = places(cells, info);
    let text = |cell: &Cell| format::with_places(cell, info.format, places, words);
    cells.iter().map(|cell| cut(&text(cell), CELL)).collect()
}

/// Places behind the comma that a column needs.
fn places(cells: &[Cell], info: &ColumnInfo) -> u8 {
    cells.iter().map(|cell| format::places(cell, info.format)).max().unwrap_or(0)
}

/// A line of sums, with at least as many places behind the comma as the column above them has.
fn total(
    spec: &TableSpec,
    rows: &Rows,
    chosen: &[(usize, &ColumnInfo)],
    values: &[Vec<Cell>],
    words: &Words,
) -> Vec<String> {
    if spec.total.is_empty() || rows.count == 0 {
        return vec![];
    }
    let sum = |(at, info): &(usize, &ColumnInfo), values: &[Cell]| {
        let sum = rows.tallies[*at].sum();
        let places = places(values, info).max(format::places(&sum, info.format));
        format::with_places(&sum, info.format, places, words)
    };
    let mut cells: Vec<String> = vec![];
    for (column, values) in chosen.iter().zip(values) {
        let wanted = spec.total.contains(&column.1.name);
        cells.push(if wanted { sum(column, values) } else { String::new() });
    }
    if let Some(first) = cells.first_mut().filter(|first| first.is_empty()) {
        *first = words.total().to_owned();
    }
    cells
}

/// Letters up to a number of them.
pub(super) fn cut(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut letters = text.chars().map(clean);
    let mut kept: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// What stands under a table that goes on: `… ещё 90 строк`, and columns likewise.
pub fn more(table: &Table, words: &Words) -> Option<String> {
    let rows = (table.more > 0).then(|| words.rows_more(table.more));
    let columns = (table.more_columns > 0).then(|| words.columns_more(table.more_columns));
    let both: Vec<String> = rows.into_iter().chain(columns).collect();
    (!both.is_empty()).then(|| both.join("\n"))
}

/// A table whose columns do not fit, cell by cell: for whoever cannot show a picture.
pub fn lines(table: &Table) -> String {
    let heads: Vec<&str> = table.columns.iter().map(|head| head.title.as_str()).collect();
    let mut text = heads.join(" · ");
    for row in table.rows.iter().chain([&table.total]).filter(|row| !row.is_empty()) {
        text.push('\n');
        text.push_str(&row.join(" · "));
    }
    text
}

/// A table in letters of one width, `width` of them in a line; `None` where its columns do not fit whole: a name that is cut says little, and a title less.
pub fn narrow(table: &Table, width: usize) -> Option<String> {
    let count = table.columns.len();
    if count == 0 || count > NARROW_COLUMNS {
        return None;
    }
    let clean = |text: &String| text.replace(NARROW, "\u{a0}");
    let header: Vec<String> = table.columns.iter().map(|head| clean(&head.title)).collect();
    let mut lines: Vec<Vec<String>> = vec![header];
    lines.extend(
        table
            .rows
            .iter()
            .chain([&table.total])
            .filter(|row| !row.is_empty())
            .map(|row| row.iter().map(clean).collect()),
    );
    let longest = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(longest).collect();
    let whole = widths.iter().sum::<usize>() + count - 1;
    if whole > width {
        return None;
    }
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let is_total = !table.total.is_empty() && at + 1 == lines.len();
        if at == 1 || is_total {
            text.push_str(&"─".repeat(whole));
            text.push('\n');
        }
        let cells = line.iter().zip(&widths).zip(&table.columns);
        let padded = cells.map(|((cell, width), head)| padded(cell, *width, head.number));
        text.push_str(padded.collect::<Vec<_>>().join(" ").trim_end());
        text.push('\n');
    }
    Some(text.trim_end().to_owned())
}

fn padded(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(text.chars().count()));
    if right { space + text } else { text.to_owned() + &space }
}

/// A table as a phone shows it: letters of one width where its columns fit into [`PHONE`] of them, else pictures, of forty rows each. Pixels take a while.
pub fn for_phone(
    table: Table,
    (title, subtitle): (&str, &str),
    name: &str,
    words: &Words,
) -> Result<Vec<Block>, String> {
    if narrow(&table, PHONE).is_some() {
        return Ok(vec![Block::Table(table)]);
    }
    let last = table.rows.len().div_ceil(PICTURE_ROWS).max(1) - 1;
    let part = |at: usize| {
        let rows = table.rows.iter().skip(at * PICTURE_ROWS).take(PICTURE_ROWS).cloned().collect();
        let (total, note) = if at == last {
            (table.total.clone(), more(&table, words).unwrap_or_default())
        } else {
            (vec![], String::new())
        };
        let grid = Grid {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            columns: table.columns.iter().map(|head| (head.title.clone(), head.number)).collect(),
            rows,
            total,
            note,
        };
        let png = chart::grid(&grid).png()?.into();
        let name =
            if last == 0 { format!("{name}-table.png") } else { format!("{name}-table-{}.png", at + 1) };
        Ok(Block::Picture(Picture { png, name, caption: title.to_owned(), chart: None }))
    };
    (0..=last).map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, StringArray};

    use super::{super::rows::tests::rows_of, *};
    use crate::config::{bot::Format, project::Language};

    fn rows(count: usize) -> Rows {
        let money: Vec<Option<i128>> =
            (0..count as i128).map(|at| (at != 1).then_some(123_456_789 + at)).collect();
        rows_of(vec![
            ("day", Arc::new(Date32Array::from((0..count as i32).map(|at| 20_454 + at).collect::<Vec<_>>()))),
            ("who", Arc::new(StringArray::from(vec!["Константинопольский <b>\nА_В"; count]))),
            ("money", Arc::new(Decimal128Array::from(money).with_precision_and_scale(18, 2).unwrap())),
        ])
    }

    fn infos() -> Vec<ColumnInfo> {
        let info = |name: &str, title: &str, format, number| ColumnInfo {
            name: name.into(),
            title: title.into(),
            format,
            number,
        };
        vec![
            info("day", "День", None, false),
            info("who", "Менеджер", None, false),
            info("money", "Сумма", Some(Format::Rub), true),
        ]
    }

    fn spec(total: &[&str]) -> TableSpec {
        TableSpec {
            rows: 3,
            columns: vec![],
            total: total.iter().map(|name| (*name).to_owned()).collect(),
            drill: None,
        }
    }

    #[test]
    fn the_top_a_total_and_how_many_are_left() {
        let table = table(&spec(&["money"]), &rows(5), &infos(), &Words::plain(Language::Ru)).unwrap();
        assert_eq!((table.rows.len(), table.more), (3, 2));
        assert_eq!(more(&table, &Words::plain(Language::Ru)).unwrap(), "… ещё 2 строки");
        assert_eq!(
            table.rows[0],
            ["01.01.2026", "Константинопольский <b> А_В", "1\u{202f}234\u{202f}567,89\u{202f}₽"]
        );
        assert_eq!(table.rows[1][2], "—");
        assert_eq!(table.total, ["Итого", "", "4\u{202f}938\u{202f}271,65\u{202f}₽"]);
        assert_eq!(narrow(&table, PHONE + 20), None, "nothing is cut");
        let shown = narrow(&table, PHONE + 21).unwrap();
        assert!(shown.lines().all(|line| line.chars().count() <= PHONE + 21), "{shown}");
        insta::assert_snapshot!(shown.replace('\u{a0}', "_"));
    }

    #[test]
    fn a_total_has_the_places_of_its_column() {
        let money = Decimal128Array::from(vec![123, 127]).with_precision_and_scale(12, 2).unwrap();
        let rows = rows_of(vec![("money", Arc::new(money) as arrow::array::ArrayRef)]);
        let info = ColumnInfo { name: "money".into(), title: "money".into(), format: None, number: true };
        let table = table(&spec(&["money"]), &rows, &[info], &Words::plain(Language::En)).unwrap();
        assert_eq!((table.rows[0][0].as_str(), table.total[0].as_str()), ("1.23", "2.50"));
    }

    #[test]
    fn columns_that_are_left_out_are_counted() {
        let titles: Vec<String> = (0..COLUMNS + 3).map(|at| format!("c{at}")).collect();
        let column = || Arc::new(StringArray::from(vec!["x"])) as arrow::array::ArrayRef;
        let rows = rows_of(titles.iter().map(|title| (title.as_str(), column())).collect());
        let info = |title: &String| ColumnInfo {
            name: title.clone(),
            title: title.clone(),
            format: None,
            number: false,
        };
        let infos: Vec<ColumnInfo> = titles.iter().map(info).collect();
        let words = Words::plain(Language::Ru);
        let all = table(&spec(&[]), &rows, &infos, &words).unwrap();
        assert_eq!((all.columns.len(), more(&all, &words).as_deref()), (COLUMNS, Some("… ещё 3 столбца")));
        let chosen = TableSpec { columns: vec!["c16".to_owned()], ..spec(&[]) };
        let chosen = table(&chosen, &rows, &infos, &words).unwrap();
        assert_eq!((chosen.columns.len(), more(&chosen, &words)), (1, None), "those are left out on purpose");
    }

    #[test]
    fn tables_of_any_size_are_narrow_or_none() {
        let empty = table(&spec(&["money"]), &rows(0), &infos(), &Words::plain(Language::Ru)).unwrap();
        assert!(
            empty.total.is_empty()
                && empty.rows.is_empty()
                && more(&empty, &Words::plain(Language::En)).is_none()
        );
        let wide = Table { columns: vec![Head { title: "x".into(), number: false }; 4], ..Table::default() };
        assert_eq!(narrow(&wide, PHONE), None);
        let long = Table {
            columns: vec![Head { title: "a".into(), number: true }, Head { title: "b".into(), number: true }],
            rows: vec![vec!["1".repeat(20), "2".repeat(20)]],
            ..Table::default()
        };
        assert_eq!(narrow(&long, PHONE), None, "digits are never cut");
    }
}
