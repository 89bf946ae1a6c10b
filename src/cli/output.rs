//! Where text goes and how it looks: results to stdout, everything else to stderr, colour where it is wanted.

use std::{
    io::{IsTerminal, Write},
    sync::LazyLock,
};

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::failure::Result;

/// The progress bars of this process: whoever writes to stderr goes around them.
static SCREEN: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a word means; colour is never its only sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing special.
    Plain,
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Something is wrong.
    Bad,
    /// Beside the point.
    Dim,
}

/// Where text goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// Where results go.
    pub results: Stream,
    /// Where everything else goes.
    pub messages: Stream,
    quiet: bool,
}

/// What reads a stream of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    /// Whether a person reads it.
    pub is_terminal: bool,
    /// Whether it is coloured.
    pub color: bool,
}

impl Output {
    /// Looks where stdout and stderr lead.
    pub(super) fn new(color: ColorWhen, quiet: bool) -> Self {
        let stream = |is_terminal: bool| Stream { is_terminal, color: wanted(color, is_terminal) };
        Self {
            results: stream(std::io::stdout().is_terminal()),
            messages: stream(std::io::stderr().is_terminal()),
            quiet,
        }
    }

    /// A word besides the result, on stderr; not with `--quiet`.
    pub(super) fn say(self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// Whether there is a screen for progress bars.
    pub(super) fn shows_bars(self) -> bool {
        self.messages.is_terminal && !self.quiet
    }
}

impl Stream {
    /// A word with its colour.
    pub(super) fn paint(self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.color)
    }
}

fn wanted(color: ColorWhen, is_terminal: bool) -> bool {
    match color {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// A result, with a newline at its end.
pub(super) fn print(text: &str) -> Result {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()?;
    Ok(())
}

/// A word on stderr that `--quiet` does not silence.
pub(super) fn complain(text: &str) {
    write_around_bars(text);
}

/// Columns of the terminal that results go to; a guess where there is none, or one that says nonsense.
pub(super) fn columns() -> u16 {
    const NARROWEST: u16 = 20;
    const UNKNOWN: u16 = 100;
    comfy_table::Table::new().width().filter(|columns| *columns >= NARROWEST).unwrap_or(UNKNOWN)
}

/// The progress bars of this process.
pub(super) fn screen() -> &'static MultiProgress {
    &SCREEN
}

/// One message to stderr, above the bars.
pub(super) fn write_around_bars(text: &str) {
    SCREEN.suspend(|| {
        let mut stderr = std::io::stderr().lock();
        // Where stderr is closed there is nobody to tell.
        let _ = stderr.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = stderr.write_all(b"\n");
        }
    });
}

fn paint(text: &str, tone: Tone, color: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Strong => "1",
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "1;31",
        Tone::Dim => "2",
    };
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text from outside (a cell, a column's name) as it may stand in a terminal: no control characters, one line.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(shown).collect()
}

fn shown(character: char) -> Vec<char> {
    match character {
        '\n' => vec!['\\', 'n'],
        '\t' => vec!['\\', 't'],
        '\r' => vec!['\\', 'r'],
        // Marks that turn the direction of writing could make a line lie about itself.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => character.escape_unicode().collect(),
        other if other.is_control() => other.escape_unicode().collect(),
        other => vec![other],
    }
}

/// A count as people read it: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 row`, `12,345 rows`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// How long something took: `0.3 s`, `12 s`, `3 min 5 s`, `2 h 3 min`.
pub(super) fn took(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_and_lengths() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "row"), counted(2_000, "row")], ["1 row", "2,000 rows"]);
        let lengths = [300, 12_000, 185_000, 7_380_000].map(|millis| took(Duration::from_millis(millis)));
        assert_eq!(lengths, ["0.3 s", "12 s", "3 min 5 s", "2 h 3 min"]);
    }

    #[test]
    fn outside_text_cannot_steer_the_terminal() {
        assert_eq!(printable("Имя \x1b[31m\n\u{202e}x"), "Имя \\u{1b}[31m\\n\\u{202e}x");
    }

    #[test]
    fn colour_is_left_out_where_it_is_not_wanted() {
        assert_eq!(paint("x", Tone::Bad, false), "x");
        assert_eq!(paint("x", Tone::Good, true), "\x1b[32mx\x1b[0m");
    }
}
