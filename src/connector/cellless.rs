//! What the SQL engine says went wrong with a value, without the value: its messages quote cells.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// An error of the engine. What is wrong with a query, and not with a row, is told as it is.
pub(super) fn engine(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ArrowError(inner, _) => arrow(inner),
        DataFusionError::Execution(text) => unquoted(text),
        _ => error.strip_backtrace(),
    }
}

/// An error of a computation over arrays.
pub(super) fn arrow(error: &ArrowError) -> String {
    match error {
        ArrowError::CastError(text) => match cast_to(text) {
            Some(kind) => format!("a value cannot be cast to {kind}"),
            None => "a value cannot be cast".to_owned(),
        },
        ArrowError::ParseError(_) => "a text cannot be read as the type that it is cast to".to_owned(),
        ArrowError::ArithmeticOverflow(_) => "a result is too large for its type".to_owned(),
        other => unquoted(&other.to_string()),
    }
}

/// The type that a value was to be cast to: `Cannot cast string 'x' to value of Int64 type`, `Can't cast value 7 to type Int8`.
fn cast_to(text: &str) -> Option<&str> {
    let (_, end) = text.rsplit_once(" to ")?;
    let kind = end.strip_prefix("type ").or_else(|| end.strip_prefix("value of ")?.strip_suffix(" type"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "(), :\"+".contains(c);
    kind.chars().all(plain).then_some(kind)
}

/// Everything from the first quote to the last one may be of a cell, which may have quotes of its own.
fn unquoted(text: &str) -> String {
    match (text.find('\''), text.rfind('\'')) {
        (Some(first), Some(last)) if first < last => format!("{}…{}", &text[..=first], &text[last..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_told() {
        let cast = |text: &str| arrow(&ArrowError::CastError(text.to_owned()));
        assert_eq!(
            cast("Cannot cast string 'cell to cell' to value of Int64 type"),
            "a value cannot be cast to Int64"
        );
        assert_eq!(cast("Can't cast value 4711 to type Int8"), "a value cannot be cast to Int8");
        assert_eq!(cast("Failed to create naive time with i64 4711"), "a value cannot be cast");
        assert_eq!(cast("Cannot cast string 'a' to value of 'b' type"), "a value cannot be cast");
        let parsed = ArrowError::ParseError("Error parsing timestamp from 'cell'".to_owned());
        assert!(!arrow(&parsed).contains("cell"));
        let failed = DataFusionError::Execution("Error parsing 'it's a cell' using format '%Y'".to_owned());
        assert_eq!(engine(&failed), "Error parsing '…'");
        let planned = DataFusionError::Plan("no column 'x'".to_owned());
        assert!(engine(&planned).ends_with("no column 'x'"));
    }
}
