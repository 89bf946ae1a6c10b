//! Syntax that only TOML 1.1 has: read by our parser, but not by the editors and tools of our users.

use std::path::Path;

use toml_parser::{
    Source, Span,
    decoder::Encoding,
    parser::{Event, EventKind, parse_document},
};

use crate::model::problem::Problem;

/// Every place where a file that parses is not TOML 1.0.
pub(crate) fn problems(file: &Path, text: &str) -> Vec<Problem> {
    let source = Source::new(text);
    let tokens: Vec<_> = source.lex().collect();
    let mut events: Vec<Event> = Vec::new();
    parse_document(&tokens, &mut events, &mut ());
    let mut found = Vec::new();
    let mut open = Vec::new();
    let mut last_separator: Option<Span> = None;
    for event in &events {
        let inline = open.last() == Some(&EventKind::InlineTableOpen);
        let mut report = |span: Span, what: &str| {
            let message = format!("{what} is TOML 1.1, and this is read as TOML 1.0");
            let span = span.start()..span.end();
            found.push(Problem::error(file, span, "toml-1-1", message).hint(
                "write an inline table on one line without a trailing comma, or as a [table] of its own; seconds and \\u escapes in full",
            ));
        };
        match event.kind() {
            EventKind::InlineTableOpen | EventKind::ArrayOpen => open.push(event.kind()),
            EventKind::InlineTableClose => {
                if let Some(separator) = last_separator {
                    report(separator, "a comma after the last key of an inline table");
                }
                open.pop();
            }
            EventKind::ArrayClose => {
                open.pop();
            }
            EventKind::Newline if inline => report(event.span(), "a new line in an inline table"),
            EventKind::Comment if inline => report(event.span(), "a comment in an inline table"),
            EventKind::Scalar => scalar(text, event, &mut report),
            _ => {}
        }
        match event.kind() {
            EventKind::ValueSep => last_separator = Some(event.span()),
            EventKind::Whitespace | EventKind::Newline | EventKind::Comment => {}
            _ => last_separator = None,
        }
    }
    found
}

fn scalar(text: &str, event: &Event, report: &mut dyn FnMut(Span, &str)) {
    let span = event.span();
    let raw = &text[span.start()..span.end()];
    match event.encoding() {
        Some(Encoding::BasicString | Encoding::MlBasicString) => {
            let mut escape = false;
            for (at, c) in raw.char_indices() {
                if escape && (c == 'e' || c == 'x') {
                    let start = span.start() + at - 1;
                    report(Span::new_unchecked(start, start + 2), "this escape");
                }
                escape = c == '\\' && !escape;
            }
        }
        None if time_without_seconds(raw) => report(span, "a time without seconds"),
        _ => {}
    }
}

/// `07:32`, `1979-05-27T07:32`, `1979-05-27 07:32Z`.
fn time_without_seconds(raw: &str) -> bool {
    let Some(colon) = raw.find(':') else { return false };
    let minutes_end = colon + 3;
    raw.len() >= minutes_end && raw.as_bytes().get(minutes_end) != Some(&b':')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn only_what_is_new() {
        let codes = |text: &str| super::problems(Path::new("x.toml"), text).len();
        assert_eq!(codes("a = { b = 1, c = [1,\n 2,], d = 07:32:00 } # c\n"), 0);
        assert_eq!(codes("a = [ { b = 1 }, ] \nb = \"\\\\e \\n \\\\x\""), 0);
        assert_eq!(codes("a = { b = 1,\n c = 2 }"), 1);
        assert_eq!(codes("a = { b = 1, }"), 1);
        assert_eq!(codes("a = { b = { c = 1, }, }"), 2);
        assert_eq!(codes("a = { b = 1 # x\n }"), 2);
        assert_eq!(codes("a = \"\\e \\x41\""), 2);
        assert_eq!(codes("a = 07:32\nb = 1979-05-27T07:32\nc = 1979-05-27 07:32Z"), 3);
    }
}
