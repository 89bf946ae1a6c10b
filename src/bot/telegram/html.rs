//! Text for Telegram: marks become tags, everything else is text whatever it looks like; long text is split at lines, tags whole.

use crate::bot::screen::{Markup, Span};

/// UTF-16 units of a message's text.
pub(super) const TEXT_UNITS: usize = 4096;
/// UTF-16 units of a caption.
pub(super) const CAPTION_UNITS: usize = 1024;

/// The HTML of a text that Telegram takes in one message each. Blank messages, which it would refuse, are left out.
pub(super) fn messages(markup: &Markup) -> Vec<String> {
    let mut split = Split::default();
    for span in &markup.0 {
        let (tag, text) = tag(span);
        for line in text.split_inclusive('\n') {
            split.add(tag, line);
        }
    }
    split.end();
    split.done
}

/// The HTML of a text without marks.
pub(super) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            // Marks that turn the direction of all that follows: a name may hold one, and must not turn its neighbours.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            '\n' | '\t' => html.push(c),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

/// UTF-16 units of a text, as Telegram counts.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Whether a text has at most so many units; a long one is not read to its end.
fn fits(text: &str, room: usize) -> bool {
    let mut used = 0;
    text.chars().all(|c| {
        used += c.len_utf16();
        used <= room
    })
}

fn tag(span: &Span) -> (&'static str, &str) {
    match span {
        Span::Plain(text) => ("", text),
        Span::Bold(text) => ("b", text),
        Span::Italic(text) => ("i", text),
        Span::Code(text) => ("code", text),
        Span::Block(text) => ("pre", text),
    }
}

/// Messages that were filled, and the one that is being filled.
#[derive(Default)]
struct Split {
    done: Vec<String>,
    /// Pieces of the message at hand: tag and text.
    pieces: Vec<(&'static str, String)>,
    units: usize,
}

impl Split {
    fn add(&mut self, tag: &'static str, line: &str) {
        let mut rest = line;
        while !rest.is_empty() {
            let room = TEXT_UNITS - self.units;
            if fits(rest, room) {
                return self.push(tag, rest);
            }
            // A line goes whole into the next message; one that no message can hold is cut at a blank, or anywhere.
            if self.units > 0 {
                self.end();
                continue;
            }
            let (head, tail) = rest.split_at(cut(rest));
            self.push(tag, head);
            self.end();
            rest = tail;
        }
    }

    fn push(&mut self, tag: &'static str, text: &str) {
        self.units += units(text);
        match self.pieces.last_mut() {
            Some((last, kept)) if *last == tag => kept.push_str(text),
            _ => self.pieces.push((tag, text.to_owned())),
        }
    }

    fn end(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        self.units = 0;
        if pieces.iter().all(|(_, text)| text.trim().is_empty()) {
            return;
        }
        let html = pieces.iter().map(|(tag, text)| match *tag {
            "" => escape(text),
            tag => format!("<{tag}>{}</{tag}>", escape(text)),
        });
        self.done.push(html.collect::<String>().trim_end_matches('\n').to_owned());
    }
}

/// Where a line that no message can hold is cut: after the last blank that is near the end of what fits, or at the end.
fn cut(line: &str) -> usize {
    const NEAR: usize = 200;
    let (mut used, mut end, mut blank) = (0, 0, None);
    for (at, c) in line.char_indices() {
        used += c.len_utf16();
        if used > TEXT_UNITS {
            break;
        }
        end = at + c.len_utf8();
        if c.is_whitespace() {
            blank = Some((end, used));
        }
    }
    match blank {
        Some((at, used)) if used + NEAR > TEXT_UNITS => at,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_are_tags_and_everything_else_is_text() {
        let markup = Markup::new()
            .bold("<b>Иван</b> & Ко")
            .plain(" _a_ *b* @c\n")
            .with(Span::Block("x < y".to_owned()));
        assert_eq!(
            messages(&markup),
            ["<b>&lt;b&gt;Иван&lt;/b&gt; &amp; Ко</b> _a_ *b* @c\n<pre>x &lt; y</pre>"]
        );
        assert_eq!(escape("a\u{202e}b\u{0}c"), "ab c");
        assert_eq!(messages(&Markup::text(" \n\n")), Vec::<String>::new());
    }

    #[test]
    fn long_text_is_split_at_lines_with_tags_whole() {
        let line = format!("{}\n", "я".repeat(99));
        let messages = messages(&Markup::new().bold("заголовок\n").with(Span::Block(line.repeat(50))));
        assert_eq!(messages.len(), 2);
        assert!(messages[0].starts_with("<b>заголовок\n</b><pre>") && messages[0].ends_with("</pre>"));
        assert!(messages[1].starts_with("<pre>я") && messages[1].ends_with("я\n</pre>"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_message_is_too_long_and_no_word_is_lost(
            texts in proptest::collection::vec(("[a-zа-я<&🙂 \n]{0,6000}", 0..3_u8), 1..4),
        ) {
            let spans = texts.iter().map(|(text, kind)| match kind {
                0 => Span::Plain(text.clone()),
                1 => Span::Bold(text.clone()),
                _ => Span::Block(text.clone()),
            });
            let markup = Markup(spans.collect());
            let mut told = String::new();
            for html in messages(&markup) {
                let plain = html.replace("<b>", "").replace("</b>", "").replace("<pre>", "").replace("</pre>", "");
                prop_assert!(!plain.contains('<'), "a tag that was not ours");
                let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
                prop_assert!(units(&plain) <= TEXT_UNITS);
                told.push_str(&plain);
            }
            let words = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(words(&told), words(&markup.plain_text()));
        }
    }
}
