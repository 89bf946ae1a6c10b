//! What stands under a screen on a terminal: its buttons, one of them chosen by arrows, and the line that is typed. Pure: keys in, text to be
//! written out.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::keys::Key;
use crate::{
    bot::screen::Button,
    cli::output::{Stream, Tone, printable},
};

/// Before each line of buttons.
const MARGIN: usize = 2;
/// Between two buttons.
const GAP: usize = 3;
/// Clears the line at hand.
pub(super) const CLEAR: &str = "\r\x1b[2K";
/// Lines are not continued in the next one meanwhile, so that as many are drawn as are counted.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
/// The chosen button is drawn in reverse.
const REVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing that leaves the line: it is drawn again.
    Drawn,
    /// The button of this number, from 0 on, is pressed.
    Pressed(usize),
    /// A line was typed.
    Typed(String),
    /// No more comes.
    Ended,
}

/// Buttons and a line.
#[derive(Debug, Default)]
pub(super) struct Pad {
    labels: Vec<String>,
    /// Numbers of the buttons on each line, as they are drawn.
    lines: Vec<Vec<usize>>,
    /// By button: blanks behind its label, where it stands in a grid.
    blanks: Vec<usize>,
    chosen: Option<usize>,
    typed: String,
    /// Whether the buttons of this screen were drawn.
    drawn: bool,
    /// Whether they stand right above the line, so that they can be drawn over.
    above: bool,
    columns: usize,
    height: usize,
}

impl Pad {
    /// The buttons of a new screen, on a terminal of so many columns and lines.
    pub(super) fn show(&mut self, rows: &[Vec<Button>], (columns, height): (usize, usize)) {
        let button = |(at, button): (usize, &Button)| format!("[{}] {}", at + 1, printable(&button.label));
        self.labels = rows.iter().flatten().enumerate().map(button).collect();
        (self.columns, self.height) = (columns.max(20), height);
        self.chosen = None;
        (self.drawn, self.above) = (false, false);
        let mut at = 0;
        self.lines = rows
            .iter()
            .flat_map(|row| {
                let numbers: Vec<usize> = (at..at + row.len()).collect();
                at += row.len();
                self.laid_out(numbers)
            })
            .collect();
        self.blanks = self.aligned();
    }

    /// Blanks behind the labels of grids: lines that follow each other and have as many buttons, three or more.
    fn aligned(&self) -> Vec<usize> {
        let width = |at: &usize| self.labels[*at].width();
        let mut blanks = vec![0; self.labels.len()];
        for grid in
            self.lines.chunk_by(|line, next| line.len() == next.len()).filter(|grid| grid[0].len() > 2)
        {
            for place in 0..grid[0].len() {
                let widest = grid.iter().map(|line| width(&line[place])).max().unwrap_or(0);
                for line in grid {
                    blanks[line[place]] = widest - width(&line[place]);
                }
            }
        }
        blanks
    }

    /// Something was written below the buttons: they are drawn anew when they are next chosen among.
    pub(super) fn left_behind(&mut self) {
        self.above = false;
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: Key) -> Done {
        match key {
            // Where something is typed, Enter sends that.
            Key::Up | Key::Down | Key::Left | Key::Right if !self.typed.is_empty() => {}
            Key::Up | Key::Down | Key::Left | Key::Right => self.chosen = self.neighbour(key),
            Key::Enter => return self.entered(),
            Key::End if self.typed.is_empty() => return Done::Ended,
            Key::End => {}
            Key::Backspace => drop(self.typed.pop()),
            Key::Word => {
                let kept = self.typed.trim_end();
                let kept = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                self.typed.truncate(kept);
            }
            Key::Clear => {
                self.typed.clear();
                self.chosen = None;
            }
            Key::Letter(letter) => {
                self.chosen = None;
                self.typed.push(letter);
            }
        }
        Done::Drawn
    }

    fn entered(&mut self) -> Done {
        let typed = std::mem::take(&mut self.typed);
        match self.chosen.take() {
            Some(at) if typed.trim().is_empty() => Done::Pressed(at),
            _ => Done::Typed(typed),
        }
    }

    /// The button beside the chosen one; of a line above or below, the one that stands in the same place. Past the ends it goes round.
    fn neighbour(&self, key: Key) -> Option<usize> {
        let last = self.labels.len().checked_sub(1)?;
        let Some(now) = self.chosen else {
            return Some(if matches!(key, Key::Down | Key::Right) { 0 } else { last });
        };
        let line = self.lines.iter().position(|line| line.contains(&now))?;
        let place = self.lines[line].iter().position(|at| *at == now)?;
        let lines = self.lines.len();
        Some(match key {
            Key::Left => now.checked_sub(1).unwrap_or(last),
            Key::Right => (now + 1) % (last + 1),
            _ => {
                let step = if key == Key::Up { lines - 1 } else { 1 };
                let to = (line + step) % lines;
                self.lines[to][place.min(self.lines[to].len() - 1)]
            }
        })
    }

    /// The line that is typed, and above it the buttons: drawn over, or anew where they have not been drawn or are chosen among from afar.
    pub(super) fn drawn(&mut self, stream: Stream) -> String {
        let mut text = format!("{NO_WRAP}{CLEAR}");
        let over = self.above && self.lines.len() + 1 < self.height;
        let anew = !self.above && (!self.drawn || self.chosen.is_some());
        if !self.lines.is_empty() && (over || anew) {
            let up = self.lines.len();
            // Writing into a text cannot fail.
            let _ = if over { write!(text, "\x1b[{up}A") } else { writeln!(text) };
            for line in &self.lines {
                let labels: Vec<String> = line.iter().map(|at| self.label(*at, stream)).collect();
                let _ = writeln!(text, "{CLEAR}{}{}", " ".repeat(MARGIN), labels.join(&" ".repeat(GAP)));
            }
            (self.drawn, self.above) = (true, true);
        }
        text + CLEAR + &self.line(stream) + WRAP
    }

    /// The line as it is typed, or the button that Enter would press; of what is too long, the end.
    pub(super) fn line(&self, stream: Stream) -> String {
        let prompt = stream.paint("›", Tone::Strong);
        match self.chosen {
            Some(at) if self.typed.is_empty() => {
                format!("{prompt} {}", stream.paint(&self.labels[at], Tone::Dim))
            }
            _ => {
                let mut room = self.columns.saturating_sub(4);
                let letters = self.typed.chars().rev().take_while(|letter| {
                    let width = letter.width().unwrap_or(0);
                    let fits = width <= room;
                    room = room.saturating_sub(width);
                    fits
                });
                let shown: Vec<char> = letters.collect();
                format!("{prompt} {}", printable(&shown.into_iter().rev().collect::<String>()))
            }
        }
    }

    fn label(&self, at: usize, stream: Stream) -> String {
        let (label, blanks) = (&self.labels[at], " ".repeat(self.blanks[at]));
        if self.chosen == Some(at) {
            return format!("{REVERSE}{label}{PLAIN}{blanks}");
        }
        let (number, title) = label.split_once(' ').unwrap_or((label, ""));
        format!("{} {title}{blanks}", stream.paint(number, Tone::Strong))
    }

    /// The lines of a row: one where it fits into the terminal, else one for each button.
    fn laid_out(&self, row: Vec<usize>) -> Vec<Vec<usize>> {
        let widths: usize = row.iter().map(|at| self.labels[*at].width() + GAP).sum();
        if MARGIN + widths <= self.columns + GAP {
            vec![row]
        } else {
            row.into_iter().map(|at| vec![at]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pad(rows: &[&[&str]], columns: usize) -> Pad {
        let button = |label: &&str| Button { label: (*label).to_owned(), token: String::new() };
        let rows: Vec<Vec<Button>> = rows.iter().map(|row| row.iter().map(button).collect()).collect();
        let mut pad = Pad::default();
        pad.show(&rows, (columns, 24));
        pad
    }

    fn stream() -> Stream {
        Stream { is_terminal: true, color: false }
    }

    fn pressed(pad: &mut Pad, keys: &[Key]) -> Done {
        for key in keys {
            assert_eq!(pad.key(*key), Done::Drawn);
        }
        pad.key(Key::Enter)
    }

    #[test]
    fn arrows_choose_and_enter_presses() {
        let rows: [&[&str]; 3] = [&["a"], &["b", "c", "d"], &["e", "f"]];
        for (keys, chosen) in [
            (&[Key::Down][..], 0),
            (&[Key::Up], 5),
            (&[Key::Down, Key::Down, Key::Right], 2),
            (&[Key::Down, Key::Down, Key::Right, Key::Down], 5),
            (&[Key::Down, Key::Down, Key::Right, Key::Right, Key::Down], 5),
            (&[Key::Down, Key::Left], 5),
            (&[Key::Up, Key::Down], 0),
            (&[Key::Up, Key::Right], 0),
        ] {
            assert_eq!(pressed(&mut pad(&rows, 80), keys), Done::Pressed(chosen), "{keys:?}");
        }
        assert_eq!(pressed(&mut pad(&[], 80), &[Key::Down]), Done::Typed(String::new()), "nothing to choose");
    }

    #[test]
    fn what_is_typed_is_no_button() {
        let mut pad = pad(&[&["a", "b"]], 80);
        let typed = "лиды  вчера".chars().map(Key::Letter);
        let keys: Vec<Key> =
            [Key::Down].into_iter().chain(typed).chain([Key::Word, Key::Backspace, Key::End]).collect();
        assert_eq!(pressed(&mut pad, &keys), Done::Typed("лиды ".to_owned()));
        assert_eq!(pressed(&mut pad, &[Key::Letter('2')]), Done::Typed("2".to_owned()));
        assert_eq!(pressed(&mut pad, &[Key::Letter('2'), Key::Down, Key::Clear]), Done::Typed(String::new()));
        assert_eq!(pad.key(Key::End), Done::Ended);
    }

    #[test]
    fn buttons_are_drawn_over_themselves() {
        let mut pad = pad(&[&["Да", "Нет"], &["🏠 В начало"]], 80);
        let first = pad.drawn(stream());
        assert!(first.contains("  [1] Да   [2] Нет\n") && !first.contains("\x1b[2A"), "{first:?}");
        pad.key(Key::Right);
        let chosen = pad.drawn(stream());
        assert!(chosen.contains("\x1b[2A") && chosen.contains("\x1b[7m[1] Да\x1b[0m"), "{chosen:?}");
        assert!(chosen.contains("› [1] Да"), "{chosen:?}");
        pad.left_behind();
        assert!(!pad.drawn(stream()).contains("\x1b[2A"), "something else stands there");
        // More lines than the terminal has cannot be drawn over: the line alone says what is chosen.
        pad.height = 2;
        pad.key(Key::Right);
        let chosen = pad.drawn(stream());
        assert!(!chosen.contains("\x1b[2A") && chosen.contains("› [2] Нет"), "{chosen:?}");
    }

    #[test]
    fn grids_are_aligned() {
        let mut pad = pad(&[&["Пн", "Вт", "Ср"], &["1", "12", "·"], &["да", "нет"]], 80);
        let drawn = pad.drawn(stream());
        assert!(drawn.contains("  [1] Пн   [2] Вт   [3] Ср\n"), "{drawn:?}");
        assert!(drawn.contains("  [4] 1    [5] 12   [6] · \n"), "{drawn:?}");
        assert!(drawn.contains("  [7] да   [8] нет\n"), "{drawn:?}");
    }

    #[test]
    fn rows_that_are_too_wide_have_a_line_for_each_button() {
        let pad = pad(&[&["длинная кнопка", "ещё одна кнопка"], &["a"]], 30);
        assert_eq!(pad.lines, [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn of_a_long_line_the_end_is_shown() {
        let mut pad = pad(&[], 20);
        "0123456789abcdefghij".chars().for_each(|letter| drop(pad.key(Key::Letter(letter))));
        assert_eq!(pad.line(stream()), "› 456789abcdefghij");
    }
}
