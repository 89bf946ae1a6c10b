//! Settings of the server that what Vitrina promises rests on: they are sent with every statement, whatever the user's profile says.

/// What every statement that changes something is sent with: changes are done when they are answered, no insert waits beside the others, and one may span any number of partitions.
pub(super) const WRITING: [(&str, &str); 9] = [
    ("async_insert", "0"),
    ("alter_sync", "2"),
    ("mutations_sync", "2"),
    ("lightweight_deletes_sync", "2"),
    // Two equal blocks of rows are two.
    ("insert_deduplicate", "0"),
    // In a Replicated database, a replica that is away holds nobody up.
    ("distributed_ddl_output_mode", "null_status_on_timeout_only_active"),
    // A NULL for a column that takes none is a mistake, and not the type's default: where rows are sent, and where they are selected.
    ("input_format_null_as_default", "0"),
    ("insert_null_as_default", "0"),
    ("max_partitions_per_insert_block", "0"),
];

/// Rows as Arrow: not compressed inside, where only our library would need another one for it; texts as the bytes that they are. A reader who goes away stops
/// the query: the server does so for those alone that only read.
pub(super) const AS_ARROW: [(&str, &str); 6] = [
    ("readonly", "2"),
    ("cancel_http_readonly_queries_on_client_close", "1"),
    ("output_format_arrow_compression_method", "none"),
    ("output_format_arrow_string_as_string", "0"),
    ("output_format_arrow_low_cardinality_as_dictionary", "0"),
    ("output_format_arrow_fixed_string_as_fixed_byte_array", "0"),
];

/// Small answers.
pub(super) const AS_ROWS: [(&str, &str); 1] = [("output_format_json_quote_64bit_integers", "0")];

/// How answers are compressed by LZ4: fast. The server's own level is that of its slow variant, which takes several times as long as the query itself.
pub(super) const LZ4: (&str, &str) = ("http_zlib_compression_level", "1");

/// What every statement is sent with: a limit that is met is an error, and no profile cuts answers by itself. With `break` the answer ends there, and looks like a whole one.
pub(super) const THROWING: [(&str, &str); 13] = [
    ("limit", "0"),
    ("offset", "0"),
    ("transfer_overflow_mode", "throw"),
    ("read_overflow_mode", "throw"),
    ("read_overflow_mode_leaf", "throw"),
    ("timeout_overflow_mode", "throw"),
    ("timeout_overflow_mode_leaf", "throw"),
    ("result_overflow_mode", "throw"),
    ("sort_overflow_mode", "throw"),
    ("group_by_overflow_mode", "throw"),
    ("distinct_overflow_mode", "throw"),
    ("join_overflow_mode", "throw"),
    ("set_overflow_mode", "throw"),
];

/// Whether a setting is one of these, which no connection may set otherwise.
pub(super) fn is_own(name: &str) -> bool {
    let mut all = WRITING.iter().chain(&AS_ARROW).chain(&AS_ROWS).chain(&THROWING);
    all.any(|(own, _)| *own == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_our_own() {
        for name in ["async_insert", "insert_deduplicate", "readonly", "result_overflow_mode"] {
            assert!(is_own(name), "{name}");
        }
        assert!(!is_own("max_threads"));
    }
}
