//! What can be told of a sheet before there are rows. Pure: `config` calls these, and so does [`Book::sheet`](super::Book::sheet).

use arrow::datatypes::DataType;

use super::spec::Total;
use crate::model::column::ColumnType;

/// Characters that Excel forbids in the name of a sheet.
const FORBIDDEN: [char; 7] = ['*', '?', ':', '[', ']', '\\', '/'];

/// Whether Excel takes this name for a sheet; says what is wrong with it.
pub fn validate_sheet_name(name: &str) -> Result<(), String> {
    let units = name.encode_utf16().count();
    if name.trim().is_empty() {
        return Err("a sheet needs a name".into());
    }
    if units > 31 {
        return Err(format!("a sheet's name has at most 31 characters, this one has {units}"));
    }
    if let Some(bad) = name.chars().find(|c| FORBIDDEN.contains(c) || c.is_control()) {
        return Err(format!("a sheet's name must not contain {bad:?}"));
    }
    if name.starts_with('\'') || name.ends_with('\'') {
        return Err("a sheet's name must not begin or end with an apostrophe".into());
    }
    if name.eq_ignore_ascii_case("history") {
        return Err("Excel keeps the name \"History\" for itself".into());
    }
    Ok(())
}

/// A cell as people write it (`H2`), as row and column from 0.
pub fn parse_cell(text: &str) -> Result<(u32, u16), String> {
    let wrong = || format!("expected a cell such as \"H2\", not {text:?}");
    let digits = text.find(|c: char| !c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (letters, number) = text.split_at(digits);
    if letters.is_empty() || letters.len() > 3 || number.starts_with(['0', '+']) {
        return Err(wrong());
    }
    let row: u32 = number.parse().map_err(|_| wrong())?;
    let column = letters
        .bytes()
        .fold(0_u32, |sum, letter| sum * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1);
    if row > super::ROW_LIMIT || column > 16_384 {
        return Err(format!("a sheet ends at XFD1048576, {text} is beyond it"));
    }
    Ok((row - 1, column as u16 - 1))
}

/// Whether a total can stand under a column of this type; says why not.
pub fn total_fits(total: Total, data_type: &DataType) -> Result<(), String> {
    let number = data_type.is_numeric();
    let moment =
        data_type.is_temporal() && !matches!(data_type, DataType::Duration(_) | DataType::Interval(_));
    let (fits, wants) = match total {
        Total::Count => (true, ""),
        Total::Sum | Total::Average => (number, "numbers"),
        Total::Min | Total::Max => (number || moment, "numbers, dates and times"),
    };
    let name = format!("{total:?}").to_lowercase();
    if fits {
        Ok(())
    } else {
        Err(format!("`{name}` is for {wants}, the column is {}", ColumnType::of(data_type)))
    }
}

/// Whether Excel can read a number format: it refuses a whole file for a bad one.
pub fn validate_number_format(format: &str) -> Result<(), String> {
    if format.is_empty() || format.encode_utf16().count() > 255 {
        return Err("a number format has 1 to 255 characters".into());
    }
    let (mut quoted, mut bracket, mut sections) = (false, false, 1);
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        match character {
            _ if character.is_control() => return Err("a number format has no control characters".into()),
            '"' => quoted = !quoted,
            _ if quoted => {}
            '\\' | '_' | '*' if characters.next().is_none() => {
                return Err(format!("nothing follows the last `{character}` of the number format"));
            }
            '[' if bracket => return Err("a `[` within brackets in the number format".into()),
            '[' => bracket = true,
            ']' if !bracket => return Err("a `]` without `[` in the number format".into()),
            ']' => bracket = false,
            ';' => sections += 1,
            _ => {}
        }
    }
    match (quoted, bracket, sections) {
        (true, ..) => Err("a `\"` is not closed in the number format".into()),
        (_, true, _) => Err("a `[` is not closed in the number format".into()),
        (_, _, 5..) => Err("a number format has at most four sections".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheet_names() {
        for good in ["По дням", "Itogi 2026", "a'b", "💳 Подписки", &"я".repeat(31)] {
            assert_eq!(validate_sheet_name(good), Ok(()), "{good}");
        }
        let long = "💳".repeat(16);
        for bad in ["", "  ", "a/b", "a:b", "[x]", "a\\b", "why?", "*", "'a", "a'", "a\nb", "History", &long]
        {
            assert!(validate_sheet_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cells() {
        assert_eq!(parse_cell("A1"), Ok((0, 0)));
        assert_eq!(parse_cell("h2"), Ok((1, 7)));
        assert_eq!(parse_cell("AA10"), Ok((9, 26)));
        assert_eq!(parse_cell("XFD1048576"), Ok((1_048_575, 16_383)));
        for bad in ["", "H", "2", "H0", "2H", "$H$2", "H2:K9", "XFE1", "A1048577", "AAAA1", "A+1", "Я1"] {
            assert!(parse_cell(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn totals_by_type() {
        assert_eq!(total_fits(Total::Sum, &DataType::Decimal128(12, 2)), Ok(()));
        assert_eq!(total_fits(Total::Max, &DataType::Date32), Ok(()));
        assert_eq!(total_fits(Total::Count, &DataType::Utf8), Ok(()));
        assert!(total_fits(Total::Sum, &DataType::Utf8).unwrap_err().contains("`sum` is for numbers"));
        assert!(total_fits(Total::Average, &DataType::Date32).is_err());
        assert!(total_fits(Total::Min, &DataType::Boolean).is_err());
    }

    #[test]
    fn number_formats() {
        for good in ["#,##0.00", "dd.mm.yyyy", "0.0%", "#,##0.00\\ \"₽\"", "[Red]-0;[>9]0;\"[\";@", "0_-"] {
            assert_eq!(validate_number_format(good), Ok(()), "{good}");
        }
        for bad in ["", "0\"", "[Red", "0]", "[[h]]", "0;0;0;0;0", "0\\", "0\n"] {
            assert!(validate_number_format(bad).is_err(), "{bad}");
        }
    }
}
