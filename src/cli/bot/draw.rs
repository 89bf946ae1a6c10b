//! Screens of the bot as text: tables, charts of blocks, buttons by number.

use std::fmt::Write as _;

use crate::{
    bot::{
        screen::{Bars, Block, Button, Markup, Picture, Screen, Span, Table as Rows},
        words::Words,
    },
    cli::{
        output::{Output, Tone, printable},
        table::Table,
    },
    report,
};

/// Characters of a chart's longest bar.
const BAR: usize = 32;
/// Bars of a chart; the others are counted.
const BARS: usize = 31;
/// Series whose bars can be told apart; more are shown as a table of their numbers.
const SERIES: usize = 6;
/// Columns of such a table; the others are counted.
const COLUMNS: usize = 12;

/// A screen, its pictures and files told by where they were saved: `saved` has one place for each, in order.
pub(super) fn screen(screen: &Screen, saved: &[String], output: Output, own: &Words) -> String {
    let mut text = String::from("\n");
    let mut saved = saved.iter();
    for block in &screen.blocks {
        match block {
            Block::Text(markup) => text.push_str(&words(markup, output)),
            Block::Table(rows) => text.push_str(&table(rows, output, own)),
            Block::Picture(picture) => text.push_str(&chart(picture, saved.next(), output)),
            Block::File(file) => {
                let place = saved.next().map_or("", String::as_str);
                let _ =
                    write!(text, "{}: {place}", output.results.paint(&printable(&file.name), Tone::Strong));
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text.push_str(&buttons(&screen.rows, output));
    text.trim_end().to_owned()
}

fn words(markup: &Markup, output: Output) -> String {
    let parts = markup.0.iter().map(|span| match span {
        Span::Plain(text) | Span::Code(text) | Span::Block(text) => lines(text),
        Span::Bold(text) => output.results.paint(&lines(text), Tone::Strong),
        Span::Italic(text) => output.results.paint(&lines(text), Tone::Dim),
    });
    parts.collect()
}

/// A text without what would move the cursor, its lines kept.
fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

fn table(rows: &Rows, output: Output, own: &Words) -> String {
    let mut table = Table::of_columns(rows.columns.iter().map(|head| (head.title.clone(), head.number)));
    for row in &rows.rows {
        table.row(row.iter().map(|cell| cell.as_str().into()));
    }
    if !rows.total.is_empty() {
        table.row(rows.total.iter().map(|cell| crate::cli::table::Cell::new(cell, Tone::Strong)));
    }
    let mut text = table.text(output).trim_end().to_owned();
    if let Some(more) = report::table::more(rows, own) {
        let _ = write!(text, "\n{more}");
    }
    text
}

/// A chart by its numbers, and where its picture lies.
fn chart(picture: &Picture, saved: Option<&String>, output: Output) -> String {
    let mut text = String::new();
    if let Some(bars) = &picture.chart {
        text.push_str(&if bars.series.len() > SERIES { numbers(bars, output) } else { drawn(bars) });
    }
    if let Some(place) = saved {
        let about = printable(&picture.caption);
        let _ = write!(text, "{}", output.results.paint(format!("{about} {place}").trim(), Tone::Dim));
    }
    text
}

/// The numbers of a chart of many series, such as a heat map: what there is more of goes down.
fn numbers(bars: &Bars, output: Output) -> String {
    let cell = |label: usize, of: usize| bars.series[of].2.get(label).map_or("", String::as_str).trim();
    let series = bars.series.iter().map(|(title, ..)| title.as_str()).collect::<Vec<_>>();
    let labels = bars.labels.iter().map(String::as_str).collect::<Vec<_>>();
    let (down, across) = if series.len() > labels.len() { (&series, &labels) } else { (&labels, &series) };
    let heads = across.iter().take(COLUMNS).map(|title| (printable(title), true));
    let mut table = Table::of_columns(std::iter::once((String::new(), false)).chain(heads));
    for (row, title) in down.iter().enumerate().take(BARS) {
        let cells = (0..across.len().min(COLUMNS))
            .map(|column| if series.len() > labels.len() { cell(column, row) } else { cell(row, column) });
        table.row(std::iter::once(*title).chain(cells).map(Into::into));
    }
    let mut text = table.text(output).trim_end().to_owned();
    text.push('\n');
    for (all, shown) in [(down.len(), BARS), (across.len(), COLUMNS)] {
        if all > shown {
            let _ = writeln!(text, "… + {}", all - shown);
        }
    }
    text
}

fn drawn(bars: &Bars) -> String {
    let most = bars.series.iter().flat_map(|(_, numbers, _)| numbers).flatten();
    let most = most.fold(0.0_f64, |most, number| most.max(number.abs()));
    let width = |text: &str| text.chars().count();
    let label = bars.labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let title = if bars.series.len() > 1 {
        bars.series.iter().map(|(title, ..)| width(title)).max().unwrap_or(0)
    } else {
        0
    };
    let mut text = String::new();
    for (at, name) in bars.labels.iter().enumerate().take(BARS) {
        for (of, (series, numbers, written)) in bars.series.iter().enumerate() {
            let name = if of == 0 { printable(name) } else { String::new() };
            let series = if title > 0 { format!("{} ", printable(series)) } else { String::new() };
            let number = numbers.get(at).copied().flatten();
            let bar = bar(number.unwrap_or(0.0), most);
            let written = written.get(at).map_or("", String::as_str);
            let pad = if title > 0 { title + 1 } else { 0 };
            let _ = writeln!(text, "{name:label$}  {series:pad$}{bar} {}", printable(written));
        }
    }
    if bars.labels.len() > BARS {
        let _ = writeln!(text, "… + {}", bars.labels.len() - BARS);
    }
    text
}

/// A bar in eighths of a character.
fn bar(number: f64, most: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if most <= 0.0 || !number.is_finite() {
        return String::new();
    }
    let eighths = (number.abs() / most * (BAR * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

fn buttons(rows: &[Vec<Button>], output: Output) -> String {
    let mut text = String::new();
    let mut number = 0;
    for row in rows {
        let labels: Vec<String> = row
            .iter()
            .map(|button| {
                number += 1;
                let number = output.results.paint(&format!("[{number}]"), Tone::Strong);
                format!("{number} {}", printable(&button.label))
            })
            .collect();
        let _ = writeln!(text, "  {}", labels.join("   "));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::ColorWhen;

    #[test]
    fn charts_of_blocks() {
        let bars = Bars {
            labels: vec!["Пн".to_owned(), "Вторник".to_owned(), "Ср".to_owned()],
            series: vec![(
                "n".to_owned(),
                vec![Some(100.0), Some(50.0), None],
                vec!["100".to_owned(), "50".to_owned(), "—".to_owned()],
            )],
        };
        let drawn = drawn(&bars);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], format!("Пн       {} 100", "█".repeat(32)));
        assert_eq!(lines[1], format!("Вторник  {} 50", "█".repeat(16)));
        assert_eq!(lines[2], "Ср        —");
    }

    #[test]
    fn many_series_are_a_table_of_their_numbers() {
        let cohort = |week: usize| {
            let written = (0..3).map(|at| format!("{}", week * 10 + at)).collect();
            (format!("{week:02}.03"), vec![Some(1.0); 3], written)
        };
        let labels = vec!["1".to_owned(), "2".to_owned(), "3".to_owned()];
        let heat = numbers(
            &Bars { labels, series: (1..=40).map(cohort).collect() },
            Output::new(ColorWhen::Never, true),
        );
        let lines: Vec<Vec<&str>> = heat.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            (lines[0].as_slice(), lines[1].as_slice()),
            (&["1", "2", "3"][..], &["01.03", "10", "11", "12"][..])
        );
        assert_eq!((lines.len(), lines[32].as_slice()), (33, &["…", "+", "9"][..]));
        let days: Vec<String> = (1..=20).map(|day| format!("{day:02}.01")).collect();
        let many = |at: usize| {
            (format!("Р{at}"), vec![Some(1.0); 20], (0..20).map(|day| format!("{day}")).collect())
        };
        let wide = numbers(
            &Bars { labels: days, series: (0..14).map(many).collect() },
            Output::new(ColorWhen::Never, true),
        );
        assert!(wide.lines().next().unwrap().ends_with("Р11") && wide.ends_with("… + 2\n"), "{wide}");
    }

    #[test]
    fn bars_are_cut_to_eighths() {
        assert_eq!(bar(1.0, 64.0), "▌");
        assert_eq!(bar(f64::NAN, 1.0), "");
        assert_eq!(bar(1.0, 0.0), "");
    }
}
