//! As much of Rust's grammar as the tidy rules need: what is code, and where functions end.

/// What a piece of a file is.
#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Code,
    Comment,
    Text,
    Letter,
}

/// The piece that begins at a place, and where it ends.
fn piece(chars: &[char], at: usize) -> (Piece, usize) {
    let (piece, end) = match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => (Piece::Comment, find(chars, at, |c| c[0] == '\n')),
        ('/', Some('*')) => (Piece::Comment, find(chars, at + 2, |c| c.starts_with(&['*', '/'])) + 2),
        ('"', _) => (Piece::Text, string_end(chars, at + 1)),
        ('r', Some('"' | '#')) if !follows_a_name(chars, at) => (Piece::Text, raw_string_end(chars, at)),
        ('\'', Some('\\')) => (Piece::Letter, find(chars, at + 3, |c| c[0] == '\'') + 1),
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => (Piece::Letter, at + 3),
        _ => (Piece::Code, at + 1),
    };
    (piece, end.max(at + 1).min(chars.len()))
}

/// The code of a file with comments, strings and characters blanked out; lines stay where they are.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (piece, end) = piece(&chars, at);
        let shown = |c: &char| if piece == Piece::Code || *c == '\n' { *c } else { ' ' };
        code.extend(chars[at..end].iter().map(shown));
        at = end;
    }
    code
}

/// The strings and characters of a file as they are written, each with its line, from 1 on.
pub(super) fn texts(text: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at, mut line) = (vec![], 0, 1);
    while at < chars.len() {
        let (piece, end) = piece(&chars, at);
        if matches!(piece, Piece::Text | Piece::Letter) {
            found.push((line, chars[at..end].iter().collect()));
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

fn find(chars: &[char], from: usize, hit: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| hit(&chars[*at..])).unwrap_or(chars.len())
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at + 1;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    find(chars, at + 2 + hashes, |c| c.starts_with(&close)) + close.len()
}

fn follows_a_name(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| chars[at]);
    before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b')
}

/// A function's name, its first line (from 1) and how many lines it has.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// The functions of blanked code that have a body.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let mut found = vec![];
    for (at, _) in code.match_indices("fn ") {
        let starts_a_word = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !starts_a_word || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(&code[at..]) {
            let line = code[..at].matches('\n').count() + 1;
            let lines = code[at..at + end].matches('\n').count() + 1;
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// Where the body that begins after this signature ends; `None` = a signature alone.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_u32, 0_u32);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return Some(at),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn blanks_what_is_not_code() {
    let code =
        code_only("let a = \"fn x() {\"; // fn y\nlet b = 'x'; let c: &'static str = r#\"\"{\"#; /* { */ d");
    assert!(!code.contains('{') && !code.contains("fn"), "{code}");
    assert!(
        code.contains("&'static str") && code.contains(" d") && code.matches('\n').count() == 1,
        "{code}"
    );
}

#[test]
fn finds_texts() {
    let found = texts("// \"no\"\nlet a = \"да\\\"\"; let b: &'static str = r#\"x\n\"\"#; '\\''\n'я'");
    let found: Vec<(usize, &str)> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(found, [(2, "\"да\\\"\""), (2, "r#\"x\n\"\"#"), (3, "'\\''"), (4, "'я'")]);
}

#[test]
fn measures_functions() {
    let found = functions("fn a(x: [u8; 3]) {\n  if x { y }\n}\ntrait T { fn b(); }\nfn c() {}\n");
    let found: Vec<(&str, usize, usize)> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    assert_eq!(found, [("a", 1, 3), ("c", 5, 1)]);
}
