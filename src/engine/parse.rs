//! SQL text → one parsed query or condition, with a byte place for everything that a finding may point at.
//!
//! Parameters (`:region`, `:period.from`) become placeholders on the level of tokens, so they are whole words
//! wherever a value may stand, and keep their place. A colon that touches the word behind it begins a parameter; in an
//! array slice write a space: `names[1 : n]`.

use std::ops::{ControlFlow, Range};

use datafusion::sql::sqlparser::{
    ast::{Expr, Query, Select, Spanned, Statement, Visit, Visitor},
    dialect::{ClickHouseDialect, Dialect, GenericDialect, PostgreSqlDialect, SQLiteDialect},
    parser::{Parser, ParserError},
    tokenizer::{Span, Token, TokenWithSpan, Tokenizer},
};

use super::typing::Finding;

/// Nesting that SQL may have; past it the parser gives up instead of the stack.
const DEPTH: usize = 100;

/// One parsed query.
#[derive(Debug, Clone)]
pub(super) struct Parsed<T> {
    /// What was parsed; every parameter is a placeholder `$name`.
    pub(super) tree: T,
    /// Parameters in the order they stand, each with its place; a name may come again.
    pub(super) parameters: Vec<(String, Range<usize>)>,
}

/// Parses exactly one query: `SELECT`, `WITH … SELECT`, `VALUES`.
pub(super) fn query(sql: &str) -> Result<Parsed<Query>, Finding> {
    query_of(&GenericDialect {}, sql)
}

/// Parses a query of some database's own SQL: whichever way of writing it fits.
pub(super) fn native(sql: &str) -> Result<Parsed<Query>, Finding> {
    let other = || {
        let clickhouse = || query_of(&ClickHouseDialect {}, sql);
        query_of(&SQLiteDialect {}, sql).or_else(|_| query(sql)).or_else(|_| clickhouse())
    };
    query_of(&PostgreSqlDialect {}, sql).or_else(|finding| other().map_err(|_| finding))
}

fn query_of(dialect: &dyn Dialect, sql: &str) -> Result<Parsed<Query>, Finding> {
    let places = Places::new(sql);
    let (tokens, parameters) = tokens(dialect, sql, &places)?;
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    refuse_other_statements(first, &places)?;
    let mut parser = parser(dialect, tokens.clone());
    let statements = parser.parse_statements().map_err(|e| syntax(&e, &tokens, &places))?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(Statement::Query(tree)), None) => {
            only_reads(&tree, &places)?;
            Ok(Parsed { tree: *tree, parameters })
        }
        (Some(_), Some(second)) => Err(Finding::new(
            places.range(second.span()).unwrap_or(0..sql.len()),
            "sql-not-a-query",
            "only one query may stand here",
        )),
        (Some(other), None) => Err(Finding::new(
            places.range(other.span()).unwrap_or(0..sql.len()),
            "sql-not-a-query",
            "only a query (SELECT) may stand here",
        )),
        (None, _) => Err(Finding::new(0..sql.len(), "sql-not-a-query", "there is no SQL here")),
    }
}

/// Parses one expression, up to the end of the text.
pub(super) fn condition(sql: &str) -> Result<Parsed<Expr>, Finding> {
    let places = Places::new(sql);
    let dialect = GenericDialect {};
    let (tokens, parameters) = tokens(&dialect, sql, &places)?;
    let mut parser = parser(&dialect, tokens.clone());
    let tree = parser.parse_expr().map_err(|e| syntax(&e, &tokens, &places))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let place = places.range(rest.span).unwrap_or(sql.len()..sql.len());
        let message = format!("expected the end of the condition, found `{}`", rest.token);
        return Err(Finding::new(place, "sql-syntax", message));
    }
    Ok(Parsed { tree, parameters })
}

fn parser(dialect: &dyn Dialect, tokens: Vec<TokenWithSpan>) -> Parser<'_> {
    Parser::new(dialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens)
}

/// A query may hide what changes something: `SELECT … INTO t`, `WITH x AS (DELETE …)`.
fn only_reads(query: &Query, places: &Places<'_>) -> Result<(), Finding> {
    struct Changes;
    impl Visitor for Changes {
        type Break = Span;

        fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Span> {
            ControlFlow::Break(statement.span())
        }

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Span> {
            match &select.into {
                Some(into) => ControlFlow::Break(into.name.span()),
                None => ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Changes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(span) => {
            let place = places.range(span).unwrap_or_else(|| places.whole());
            Err(Finding::new(place, "sql-not-a-query", "a query reads, and this would write"))
        }
    }
}

/// A friendlier answer than "expected end of statement" to SQL that would change something.
fn refuse_other_statements(first: Option<&TokenWithSpan>, places: &Places<'_>) -> Result<(), Finding> {
    const CHANGING: [&str; 16] = [
        "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "COPY", "SET", "TRUNCATE", "MERGE",
        "EXPLAIN", "GRANT", "CALL", "BEGIN", "COMMIT", "PRAGMA",
    ];
    let Some(TokenWithSpan { token: Token::Word(word), span }) = first else {
        return Ok(());
    };
    let statement = word.value.to_uppercase();
    if word.quote_style.is_none() && CHANGING.contains(&statement.as_str()) {
        let place = places.range(*span).unwrap_or(0..0);
        let message = format!("only a query (SELECT) may stand here, not {statement}");
        return Err(Finding::new(place, "sql-not-a-query", message));
    }
    Ok(())
}

type Tokens = (Vec<TokenWithSpan>, Vec<(String, Range<usize>)>);

fn tokens(dialect: &dyn Dialect, sql: &str, places: &Places<'_>) -> Result<Tokens, Finding> {
    let raw = Tokenizer::new(dialect, sql).tokenize_with_location().map_err(|e| {
        let at = places.offset(e.location.line, e.location.column);
        Finding::new(at..sql.len(), "sql-syntax", lowered(&e.message))
    })?;
    let mut tokens = Vec::with_capacity(raw.len());
    let mut parameters = vec![];
    let mut rest = raw.as_slice();
    while let Some((token, behind)) = rest.split_first() {
        rest = behind;
        match (&token.token, parameter(rest, token.span)) {
            (Token::Colon, Some((name, length))) => {
                let span = Span::new(token.span.start, rest[length - 1].span.end);
                rest = &rest[length..];
                tokens.push(TokenWithSpan::new(Token::Placeholder(format!("${name}")), span));
                parameters.push((name, places.range(span).unwrap_or(0..0)));
            }
            (Token::Placeholder(text), _) => {
                let message = format!("`{text}` is no parameter here");
                let place = places.range(token.span).unwrap_or(0..sql.len());
                return Err(Finding::new(place, "sql-syntax", message)
                    .hint("write parameters with a colon and a name: `:region`"));
            }
            _ => tokens.push(token.clone()),
        }
    }
    Ok((tokens, parameters))
}

/// The parameter's name behind a colon, and how many tokens it takes: words joined by dots, nothing between them.
fn parameter(rest: &[TokenWithSpan], colon: Span) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut length = 0;
    let mut end = colon.end;
    loop {
        let word = rest.get(length)?;
        match &word.token {
            Token::Word(text) if text.quote_style.is_none() && word.span.start == end => {
                name.push_str(&text.value);
                length += 1;
                end = word.span.end;
            }
            _ => return None,
        }
        match (rest.get(length), rest.get(length + 1)) {
            (Some(dot), Some(next))
                if dot.token == Token::Period
                    && dot.span.start == end
                    && next.span.start == dot.span.end
                    && matches!(&next.token, Token::Word(text) if text.quote_style.is_none()) =>
            {
                name.push('.');
                length += 1;
                end = dot.span.end;
            }
            _ => return Some((name, length)),
        }
    }
}

/// The parser puts line and column into its message; they become a place.
fn syntax(error: &ParserError, tokens: &[TokenWithSpan], places: &Places<'_>) -> Finding {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "the SQL is nested too deeply",
    };
    let (message, location) = match message.rsplit_once(" at Line: ") {
        Some((message, location)) => (message, location.split_once(", Column: ")),
        None => (message, None),
    };
    let at =
        location.and_then(|(line, column)| Some((line.trim().parse().ok()?, column.trim().parse().ok()?)));
    let place = match at {
        Some((line, column)) => tokens
            .iter()
            .find(|token| token.span.start.line == line && token.span.start.column == column)
            .and_then(|token| places.range(token.span))
            .unwrap_or_else(|| places.offset(line, column)..places.text.len()),
        None => places.text.trim_end().len()..places.text.len(),
    };
    Finding::new(place, "sql-syntax", lowered(message).replace("found: EOF", "found the end of the SQL"))
}

/// The text without what changes nothing in it: blanks and comments. One that cannot be read is as it stands.
pub(super) fn normal(sql: &str) -> String {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize();
    let Ok(tokens) = tokens else { return sql.to_owned() };
    let tokens = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::SemiColon));
    tokens.map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Where a bare keyword stands first.
pub(super) fn keyword(sql: &str, word: &str) -> Option<Range<usize>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let found = tokens.into_iter().find(|token| match &token.token {
        Token::Word(text) => text.quote_style.is_none() && text.value.eq_ignore_ascii_case(word),
        _ => false,
    })?;
    Places::new(sql).range(found.span)
}

/// Messages of others begin with a capital and use colons as brackets.
pub(super) fn lowered(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("{first}{}", characters.as_str()).replacen("xpected: ", "xpected ", 1)
}

/// Lines and columns, as parsers count them, as byte offsets.
#[derive(Debug, Clone)]
pub(super) struct Places<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    /// The byte at which a 1-based line and column (in characters) begin.
    pub(super) fn offset(&self, line: u64, column: u64) -> usize {
        let start = match usize::try_from(line.saturating_sub(1)) {
            Ok(line) => self.lines.get(line).copied().unwrap_or(self.text.len()),
            Err(_) => self.text.len(),
        };
        let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        self.text[start..].char_indices().nth(skip).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The bytes of a span; `None` where the parser knows none.
    pub(super) fn range(&self, span: Span) -> Option<Range<usize>> {
        if span.start.line == 0 {
            return None;
        }
        let start = self.offset(span.start.line, span.start.column);
        let end = self.offset(span.end.line, span.end.column);
        Some(start..end.max(start))
    }

    /// The same for the engine's own spans.
    pub(super) fn common_range(&self, span: datafusion::common::Span) -> Range<usize> {
        self.offset(span.start.line, span.start.column)..self.offset(span.end.line, span.end.column)
    }

    /// The whole text without blanks around it.
    pub(super) fn whole(&self) -> Range<usize> {
        let start = self.text.len() - self.text.trim_start().len();
        start..self.text.trim_end().len().max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sql: &str) -> (String, &str) {
        let finding = query(sql).unwrap_err();
        (format!("{}: {}", finding.code, finding.message), &sql[finding.span])
    }

    #[test]
    fn parameters_are_words_behind_a_colon() {
        let sql =
            "SELECT 'регион', :region, x::text, :region.title FROM t WHERE d>=:period.from AND д = :период";
        let parsed = query(sql).unwrap();
        let names: Vec<&str> = parsed.parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["region", "region.title", "period.from", "период"]);
        for (name, place) in &parsed.parameters {
            assert_eq!(sql[place.clone()], format!(":{name}"));
        }
        assert!(parsed.tree.to_string().contains("d >= $period.from"));
    }

    #[test]
    fn blanks_and_comments_change_nothing() {
        let same = [
            "SELECT a, 'x  y' FROM t",
            " SELECT a,'x  y' -- all of it\n\tFROM t;",
            "SELECT a , 'x  y' /* x */ FROM t",
        ];
        assert!(same.iter().all(|sql| normal(sql) == normal(same[0])));
        for other in ["SELECT a, 'x y' FROM t", "SELECT a, 'x  y' FROM T", "SELECT a, 'x  y' FROM \"t\""] {
            assert_ne!(normal(other), normal(same[0]), "{other}");
        }
    }

    #[test]
    fn a_slice_is_no_parameter() {
        assert!(query("SELECT a[1 : n], a[1:2], ':x', \":y\" FROM t -- :z").unwrap().parameters.is_empty());
    }

    #[test]
    fn mistakes_have_a_place() {
        assert_eq!(
            at("SELECT 'ж',\n  a b c FROM t"),
            ("sql-syntax: expected end of statement, found: c".into(), "c")
        );
        assert_eq!(at("SELECT 'open").0, "sql-syntax: unterminated string literal");
        assert_eq!(at("SELECT (1").0, "sql-syntax: expected ), found the end of the SQL");
        assert_eq!(at("SELECT $1").1, "$1");
    }

    #[test]
    fn only_one_query() {
        assert_eq!(
            at("drop table t"),
            ("sql-not-a-query: only a query (SELECT) may stand here, not DROP".into(), "drop")
        );
        assert_eq!(
            at("SELECT 1; SELECT 2"),
            ("sql-not-a-query: only one query may stand here".into(), "SELECT 2")
        );
        assert_eq!(at(" ").0, "sql-not-a-query: there is no SQL here");
        assert!(query("SELECT 1;").is_ok());
    }

    #[test]
    fn conditions_end_where_the_text_ends() {
        assert!(condition("op = 'd' AND :region = 'mrf1'").is_ok());
        let sql = "op = 'd' op";
        assert_eq!(&sql[condition(sql).unwrap_err().span], "op");
    }
}
