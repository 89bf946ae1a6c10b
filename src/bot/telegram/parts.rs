//! A screen as the messages that show it.

use std::{path::PathBuf, sync::Arc};

use super::html::{self, CAPTION_UNITS, units};
use crate::{
    bot::{
        screen::{Block, Button, Markup, Picture, Screen, Span, Table},
        words::Words,
    },
    report::table::{PHONE, lines, more, narrow},
};

/// Messages of text that a screen may have; what is longer comes as a file.
const TEXTS: usize = 8;
/// Characters of a title on a button; Telegram shows less of it.
const LABEL: usize = 64;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// HTML.
    Text(String),
    /// A picture with a caption of HTML, which may be empty.
    Picture {
        /// PNG.
        png: Arc<[u8]>,
        /// Its name.
        name: String,
        /// HTML.
        caption: String,
    },
    /// A file.
    File {
        /// Its name.
        name: String,
        /// Its content.
        content: Content,
    },
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// It lies there.
    At(Arc<PathBuf>),
    /// This.
    Text(String),
}

/// The messages of a screen, at least one; its buttons belong to the last.
pub(super) fn parts(screen: &Screen, words: &Words) -> Vec<Part> {
    let mut parts = vec![];
    let mut text = Markup::new();
    for block in &screen.blocks {
        match block {
            Block::Text(markup) => append(&mut text, markup.clone()),
            Block::Table(table) => append(&mut text, Markup::new().with(Span::Block(drawn(table, words)))),
            Block::Picture(picture) => {
                flush(&mut text, &mut parts);
                parts.extend(pictured(picture));
            }
            Block::File(file) => {
                flush(&mut text, &mut parts);
                let content = Content::At(Arc::clone(&file.path));
                parts.push(Part::File { name: file.name.clone(), content });
            }
        }
    }
    flush(&mut text, &mut parts);
    if parts.is_empty() {
        parts.push(Part::Text("…".to_owned()));
    }
    parts
}

/// The rows of a keyboard: labels that Telegram takes, and what comes back.
pub(super) fn keyboard(rows: &[Vec<Button>]) -> Vec<Vec<(String, String)>> {
    let label = |button: &Button| {
        let label: String = button.label.chars().filter(|c| !c.is_control()).collect();
        let short: String = label.trim().chars().take(LABEL).collect();
        if short.is_empty() { "…".to_owned() } else { short }
    };
    let row = |row: &Vec<Button>| row.iter().map(|button| (label(button), button.token.clone())).collect();
    rows.iter().map(row).collect()
}

fn append(text: &mut Markup, more: Markup) {
    if !text.0.is_empty() {
        text.0.push(Span::Plain("\n".to_owned()));
    }
    text.0.extend(more.0);
}

fn flush(text: &mut Markup, parts: &mut Vec<Part>) {
    let markup = std::mem::take(text);
    let messages = html::messages(&markup);
    if messages.len() <= TEXTS {
        parts.extend(messages.into_iter().map(Part::Text));
        return;
    }
    parts.extend(messages.into_iter().take(1).map(Part::Text));
    parts.push(Part::File { name: "text.txt".to_owned(), content: Content::Text(markup.plain_text()) });
}

/// A caption that is too long for one stands in messages after the picture.
fn pictured(picture: &Picture) -> Vec<Part> {
    let fits = units(&picture.caption) <= CAPTION_UNITS;
    let caption = if fits { html::escape(picture.caption.trim()) } else { String::new() };
    let mut parts =
        vec![Part::Picture { png: Arc::clone(&picture.png), name: picture.name.clone(), caption }];
    if !fits {
        flush(&mut Markup::text(picture.caption.clone()), &mut parts);
    }
    parts
}

/// A table in letters of one width. Wider ones came as pictures, unless nobody drew them.
fn drawn(table: &Table, words: &Words) -> String {
    let mut text = narrow(table, PHONE).unwrap_or_else(|| lines(table));
    text.push('\n');
    if let Some(more) = more(table, words) {
        text.push_str(&more);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bot::screen::{File, Head},
        config::project::Language,
        report,
    };

    fn head(title: &str, number: bool) -> Head {
        Head { title: title.to_owned(), number }
    }

    #[test]
    fn texts_and_tables_share_messages_and_pictures_stand_alone() {
        let table = Table {
            columns: vec![head("День", false), head("₽", true)],
            rows: vec![vec!["1 янв".to_owned(), "12".to_owned()], vec!["<b>".to_owned(), "1 200".to_owned()]],
            total: vec!["Итого".to_owned(), "1 212".to_owned()],
            more: 3,
            more_columns: 0,
        };
        let picture = |caption: &str| {
            Block::Picture(Picture {
                png: Arc::from(*b"x"),
                name: "a.png".to_owned(),
                caption: caption.to_owned(),
                chart: None,
            })
        };
        let file = File { name: "a.xlsx".to_owned(), path: Arc::new(PathBuf::from("/a")) };
        let blocks = vec![
            Block::Text(Markup::new().bold("Выручка")),
            Block::Table(table),
            picture("a <b>"),
            picture(&"длинно ".repeat(200)),
            Block::File(file),
        ];
        let parts = parts(&Screen { blocks, rows: vec![] }, &Words::plain(Language::Ru));
        let Part::Text(first) = &parts[0] else { panic!("{parts:?}") };
        let drawn = "<b>Выручка</b>\n<pre>День      ₽\n───────────\n1 янв    12\n&lt;b&gt;   1 200\n───────────\nИтого 1 212\n… ещё 3 строки\n</pre>";
        assert_eq!(first, drawn);
        assert!(matches!(&parts[1], Part::Picture { caption, .. } if caption == "a &lt;b&gt;"));
        assert!(matches!(&parts[2], Part::Picture { caption, .. } if caption.is_empty()));
        assert!(matches!(&parts[3], Part::Text(text) if text.starts_with("длинно")));
        assert!(matches!(&parts[4], Part::File { name, .. } if name == "a.xlsx"));
        assert_eq!(parts.len(), 5);
    }

    /// A table of so many columns: days, names, and numbers after them.
    fn table_of(columns: usize, rows: usize) -> Table {
        let title =
            |at: usize| ["День", "Менеджер"].get(at).map_or(format!("Показатель {at}"), ToString::to_string);
        let cell = |row: usize, at: usize| match at {
            0 => format!("{:02}.03.2026", row % 28 + 1),
            1 => "Константин Константинопольский".to_owned(),
            _ => format!("{} ₽", row * 1_000 + at),
        };
        let mut total = vec![String::new(); columns];
        total[0] = "Итого".to_owned();
        Table {
            columns: (0..columns).map(|at| head(&title(at), at > 1)).collect(),
            rows: (0..rows).map(|row| (0..columns).map(|at| cell(row, at)).collect()).collect(),
            total,
            more: 7,
            more_columns: 0,
        }
    }

    /// The parts of a table, as they are made of an answer.
    fn parts_of(columns: usize, rows: usize) -> Vec<Part> {
        let words = Words::plain(Language::Ru);
        let blocks = report::table::for_phone(table_of(columns, rows), ("Лиды", "март"), "leads", &words);
        parts(&Screen { blocks: blocks.unwrap(), rows: vec![] }, &words)
    }

    #[test]
    fn what_does_not_fit_a_phone_is_a_picture() {
        let narrow = parts_of(1, 10);
        let [Part::Text(text)] = narrow.as_slice() else { panic!("{narrow:?}") };
        let lines = text.trim_start_matches("<pre>").trim_end_matches("</pre>").lines();
        assert!(lines.clone().all(|line| line.chars().count() <= PHONE), "{text}");
        assert!(lines.count() == 15 && text.contains("… ещё 7 строк"), "{text}");
        // Two columns with names that would be cut, and more columns than letters can show.
        for columns in [2, 4, 10] {
            let wide = parts_of(columns, 10);
            let [Part::Picture { png, name, caption }] = wide.as_slice() else { panic!("{wide:?}") };
            assert_eq!((name.as_str(), caption.as_str()), ("leads-table.png", "Лиды"));
            assert!(png.starts_with(b"\x89PNG"));
        }
        let long = parts_of(14, 100);
        assert_eq!(long.len(), 3, "{}", long.len());
        for part in &long {
            let Part::Picture { png, .. } = part else { panic!("{part:?}") };
            let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
            let (width, height) = (side(16), side(20));
            assert!(width + height <= 10_000 && height <= 20 * width, "Telegram takes no {width}x{height}");
        }
        let undrawn = Screen { blocks: vec![Block::Table(table_of(4, 1))], rows: vec![] };
        let told = parts(&undrawn, &Words::plain(Language::Ru));
        assert!(
            matches!(&told[..], [Part::Text(text)] if text.contains("01.03.2026 · Константин")),
            "{told:?}"
        );
    }

    #[test]
    fn text_without_end_comes_as_a_file() {
        let blocks = vec![Block::Text(Markup::text("слово ".repeat(200_000)))];
        let parts = parts(&Screen { blocks, rows: vec![] }, &Words::plain(Language::Ru));
        assert_eq!(parts.len(), 2);
        let Part::File { content: Content::Text(text), .. } = &parts[1] else { panic!("no file") };
        assert_eq!(text.len(), "слово ".len() * 200_000);
    }

    #[test]
    fn labels_are_what_telegram_takes() {
        let button = |label: &str| Button { label: label.to_owned(), token: "t".to_owned() };
        let rows = keyboard(&[vec![button("\n "), button(&"я".repeat(100))]]);
        assert_eq!((rows[0][0].0.as_str(), rows[0][1].0.chars().count()), ("…", 64));
    }
}
