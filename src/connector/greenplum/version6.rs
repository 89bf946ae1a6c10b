//! What Greenplum 6 has not, which is made from PostgreSQL 9.4: a judge of statements for tests. It stands alone, so that the tests that
//! record what a connection sends take it too.

/// Functions that version 6 has, and words that stand before a bracket.
const CALLED: &[&str] = &[
    "any",
    "avg",
    "bool_or",
    "clock_timestamp",
    "coalesce",
    "convert_to",
    "count",
    "current_database",
    "current_setting",
    "getdatabaseencoding",
    "encode",
    "format_type",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "hashtext",
    "isfinite",
    "left",
    "max",
    "md5",
    "min",
    "octet_length",
    "pg_advisory_xact_lock",
    "pg_has_role",
    "pg_is_in_recovery",
    "row",
    "row_to_json",
    "set_config",
    "sum",
    "version",
    // Words of SQL.
    "all",
    "and",
    "as",
    "by",
    "copy",
    "distinct",
    "else",
    "end",
    "every",
    "exists",
    "extract",
    "filter",
    "from",
    "having",
    "in",
    "join",
    "key",
    "location",
    "not",
    "on",
    "or",
    "range",
    "select",
    "start",
    "stdin",
    "stdout",
    "then",
    "using",
    "values",
    "where",
    "with",
    "when",
    "limit",
    // Types with a length.
    "bit",
    "char",
    "character",
    "decimal",
    "numeric",
    "timestamp",
    "timestamptz",
    "time",
    "varchar",
    "varying",
];

/// Settings that version 6 has.
const SETTINGS: &[&str] = &[
    "bytea_output",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "lock_timeout",
    "standard_conforming_strings",
    "statement_timeout",
    "synchronize_seqscans",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "timezone",
];

/// Words in a row that version 6 does not know, or that lock a whole table there.
const UNKNOWN: &[&[&str]] = &[
    &["on", "conflict"],
    &["merge"],
    &["update"],
    &["unique"],
    &["index"],
    &["generated"],
    &["identity"],
    &["add", "column", "if"],
    &["transaction", "snapshot"],
    &["skip", "locked"],
    &["tablesample"],
    &["regnamespace"],
    &["regrole"],
    &["attidentity"],
    &["attgenerated"],
    &["collisdeterministic"],
    &["indnkeyatts"],
    &["procedure"],
    &["call"],
    &["include"],
    &["overriding"],
    &["within", "group"],
];

/// What version 6 would refuse of these statements; empty = nothing.
pub(crate) fn objections(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let mut found = vec![];
    for phrase in UNKNOWN {
        if words.windows(phrase.len()).any(|window| window == *phrase) {
            found.push(format!("`{}`", phrase.join(" ")));
        }
    }
    for (at, window) in words.windows(3).enumerate() {
        let of_table = at > 0 && ["table", "schema"].contains(&words[at - 1]);
        if window == ["if", "not", "exists"] && !of_table {
            found.push("`if not exists` of what is no table".to_owned());
        }
    }
    for (at, pair) in words.windows(2).enumerate() {
        let is_name = at > 0
            && [".", "table", "exists", "into"].contains(&words[at - 1])
            && !words[..at].ends_with(&["pg_catalog", "."]);
        if pair[1] == "(" && is_word(pair[0]) && !is_name && !CALLED.contains(&pair[0]) {
            found.push(format!("the function `{}`", pair[0]));
        }
        if pair[0] == "set" && is_word(pair[1]) && !SETTINGS.contains(&pair[1]) {
            found.push(format!("the setting `{}`", pair[1]));
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words in small letters and signs; texts, comments and quoted names are each a sign of theirs.
fn tokens(sql: &str) -> Vec<String> {
    let mut found = vec![];
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if is_word(rest) => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        match first {
            '\'' | '"' => found.push(first.to_string()),
            _ if first.is_whitespace() => {}
            _ => found.push(rest[..length].to_lowercase()),
        }
        rest = &rest[length..];
    }
    found
}

#[test]
fn the_judge_knows_what_version_6_has_not() {
    for bad in [
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "UPDATE t SET a = 1",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int",
        "CREATE INDEX IF NOT EXISTS i ON t (a)",
        "SET idle_in_transaction_session_timeout = 0",
        "SELECT hashtextextended('a', 0)",
        "SELECT pg_catalog.sha256('a')",
        "SELECT a.attidentity FROM pg_attribute a",
        "BEGIN; SET TRANSACTION SNAPSHOT '1'",
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING",
    ] {
        assert!(!objections(bad).is_empty(), "{bad}");
    }
    for good in [
        "CREATE TABLE IF NOT EXISTS \"on conflict\" (a numeric(12,2), b text DEFAULT 'on conflict (update)')",
        "INSERT INTO \"s\".\"t\" (a) SELECT a FROM x WHERE row_to_json(a) ->> 'attidentity' = ''",
        "SET TimeZone = 'UTC'; COPY (SELECT 1) TO STDOUT (FORMAT binary)",
        "DELETE FROM t AS a USING (SELECT max(b) FROM c) AS d WHERE NOT EXISTS (SELECT 1)",
    ] {
        assert_eq!(objections(good), Vec::<String>::new(), "{good}");
    }
}
