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
        text.push_str(&drawn(bars));
    }
    if let Some(place) = saved {
        let about = printable(&picture.caption);
        let _ = write!(text, "{}", output.results.paint(format!("{about} {place}").trim(), Tone::Dim));
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
    fn bars_are_cut_to_eighths() {
        assert_eq!(bar(1.0, 64.0), "▌");
        assert_eq!(bar(f64::NAN, 1.0), "");
        assert_eq!(bar(1.0, 0.0), "");
    }
}
