//! The target's name in statements of users, who call it `this`.

/// The statement with the target's name for every `this` that is a name: not in texts, comments and quoted names, nor behind a dot.
pub(crate) fn named(sql: &str, table: &str) -> String {
    let mut out = String::with_capacity(sql.len() + table.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = token(rest, first, out.chars().next_back());
        let (word, tail) = rest.split_at(length);
        let is_column = out.trim_end().ends_with('.');
        if word.eq_ignore_ascii_case("this") && !is_column {
            out.push_str(table);
        } else {
            out.push_str(word);
        }
        rest = tail;
    }
    out
}

/// Bytes of what the text begins with: a word, a text, a comment, a quoted name, or one character.
fn token(rest: &str, first: char, before: Option<char>) -> usize {
    let to = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    match first {
        '\'' => text_end(rest, before.is_some_and(|before| before.eq_ignore_ascii_case(&'e'))),
        '"' => to("\"", 1),
        '-' if rest.starts_with("--") => to("\n", 2),
        '/' if rest.starts_with("/*") => comment_end(rest),
        '$' => match rest[1..].find('$').map(|at| &rest[..at + 2]) {
            Some(tag) if tag[1..tag.len() - 1].chars().all(is_word) => to(tag, tag.len()),
            _ => 1,
        },
        _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
        _ => first.len_utf8(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of a text; a doubled quote begins the next one, which changes nothing.
fn text_end(rest: &str, escapes: bool) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if escapes => escaped = true,
            '\'' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The end of a comment, which may hold others.
fn comment_end(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        let step = match here {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_is_the_target_where_it_is_a_name() {
        let target = r#""dwh"."Заказы 'a'""#;
        for (given, expected) in [
            ("ANALYZE this", r#"ANALYZE "dwh"."Заказы 'a'""#),
            ("GRANT SELECT ON This TO bi", r#"GRANT SELECT ON "dwh"."Заказы 'a'" TO bi"#),
            (
                "DELETE FROM this WHERE this.id < 0",
                r#"DELETE FROM "dwh"."Заказы 'a'" WHERE "dwh"."Заказы 'a'".id < 0"#,
            ),
            (
                r#"SELECT 'this', "this", this_, thisтак, a.this, a . this"#,
                r#"SELECT 'this', "this", this_, thisтак, a.this, a . this"#,
            ),
            (
                "SELECT 'it''s this', E'\\'this' -- this\n/* /* this */ this */",
                "SELECT 'it''s this', E'\\'this' -- this\n/* /* this */ this */",
            ),
            ("DO $x$ this $x$ $$ this $$", "DO $x$ this $x$ $$ this $$"),
            ("'open this", "'open this"),
        ] {
            assert_eq!(named(given, target), expected);
        }
    }
}
