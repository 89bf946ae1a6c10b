//! How wide cells are, in pixels of Excel's default font: measured, so that nobody has to drag columns.

use rust_xlsxwriter::cell_autofit_width;

use super::cell::Cell;

/// What a digit takes.
const DIGIT: u32 = 7;
/// What a comma or a dot takes.
const MARK: u32 = 4;
/// What a cell takes besides its content.
const PADDING: u32 = 12;
/// The filter's button in a header.
const BUTTON: u32 = 18;
/// Wider texts are cut by the next cell's, as Excel does.
const WIDEST: u32 = 430;
/// Longer headers are wrapped.
const WIDEST_HEADER: u32 = 130;
/// Narrower columns look broken.
const NARROWEST: u32 = 56;

/// How a number format shows values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Look {
    /// Digits: places behind the point, thousands apart, percent, and what stands around them in pixels.
    Number { places: usize, grouped: bool, percent: bool, around: u32 },
    /// As long as the pattern itself: dates and times.
    Pattern(u32),
    /// As it is.
    General,
}

impl Look {
    /// What a number format does to widths. Only its first section counts.
    pub(super) fn of(format: &str) -> Self {
        let (mut bare, mut around, mut quoted, mut bracket) = (String::new(), String::new(), false, false);
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => quoted = !quoted,
                _ if quoted => around.push(character),
                '[' => bracket = true,
                ']' => bracket = false,
                _ if bracket => {}
                ';' => break,
                '\\' => around.extend(characters.next()),
                '_' | '*' => {
                    characters.next();
                }
                '0' | '#' | '?' | ',' | '.' | '%' => bare.push(character),
                other => around.push(other),
            }
        }
        let around_width = if around.is_empty() { 0 } else { cell_autofit_width(&around) };
        if !bare.contains(['0', '#', '?']) {
            let moment = around.to_lowercase().contains(['d', 'm', 'y', 'h', 's']);
            return if moment {
                Self::Pattern(cell_autofit_width(&"0".repeat(format.chars().count())))
            } else {
                Self::General
            };
        }
        let places = bare.split_once('.').map_or(0, |(_, behind)| behind.matches(['0', '#', '?']).count());
        Self::Number {
            places,
            grouped: bare.contains(','),
            percent: bare.contains('%'),
            around: around_width,
        }
    }

    /// What a cell takes in this look.
    pub(super) fn width(&self, cell: &Cell<'_>) -> u32 {
        let width = match (cell, self) {
            (Cell::Empty, _) => 0,
            (Cell::Text(text), _) => cell_autofit_width(text),
            (Cell::Exact(text, _), _) => cell_autofit_width(text),
            (Cell::Bool(_), _) => cell_autofit_width("ИСТИНА"),
            (Cell::Number(_), Self::Pattern(width)) => *width,
            (Cell::Number(number), Self::General) => {
                (number.to_string().len() as u32).min(11) * DIGIT + PADDING
            }
            (Cell::Number(number), Self::Number { places, grouped, percent, around }) => {
                let number = if *percent { number * 100.0 } else { *number };
                let whole = (number.abs().max(1.0).log10().floor() as u32).min(300) + 1;
                let marks = if *grouped { (whole - 1) / 3 } else { 0 } + u32::from(*places > 0);
                let sign = if number < 0.0 { 5 } else { 0 } + if *percent { 11 } else { 0 };
                (whole + *places as u32) * DIGIT + marks * MARK + sign + around + PADDING
            }
        };
        width.min(WIDEST)
    }
}

/// What a header takes, and over how many lines.
pub(super) fn header_width(title: &str) -> (u32, u32) {
    // Bold letters are about a tenth wider.
    let text = cell_autofit_width(title) * 11 / 10;
    let widest_word = title.split_whitespace().map(cell_autofit_width).max().unwrap_or(0) * 11 / 10;
    let width = text.min(WIDEST_HEADER.max(widest_word)).min(WIDEST);
    (width + BUTTON, text.div_ceil(width.max(1)).min(4))
}

/// The width of a column whose widest cell takes `pixels`.
pub(super) fn column_width(pixels: u32) -> u32 {
    pixels.max(NARROWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_understood() {
        let plain = |places, grouped| Look::Number { places, grouped, percent: false, around: 0 };
        assert_eq!(Look::of("#,##0.00"), plain(2, true));
        assert_eq!(Look::of("0"), plain(0, false));
        assert_eq!(Look::of("#,##0;[Red]-#,##0.00"), plain(0, true));
        assert!(matches!(Look::of("0.0%"), Look::Number { places: 1, percent: true, .. }));
        assert!(matches!(Look::of("#,##0\\ \"₽\""), Look::Number { around, .. } if around > 0));
        assert!(matches!(Look::of("dd.mm.yyyy"), Look::Pattern(_)));
        assert_eq!(Look::of("General"), Look::General);
    }

    #[test]
    fn longer_numbers_are_wider() {
        let look = Look::of("#,##0.00");
        let width = |number: f64| look.width(&Cell::Number(number));
        assert!(width(1_234_567.0) > width(1_234.0));
        assert!(width(-1_234.0) > width(1_234.0));
        assert!(width(0.0) > 0);
        assert_eq!(look.width(&Cell::Text(&"я".repeat(1000))), WIDEST);
    }

    #[test]
    fn long_headers_wrap() {
        assert_eq!(header_width("Сумма").1, 1);
        let (width, lines) = header_width("Количество заявок на подключение услуг за прошлый месяц");
        assert!(lines >= 2 && width <= WIDEST_HEADER + BUTTON, "{width} {lines}");
    }
}
