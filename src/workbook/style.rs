//! Colours and formats: one place decides how workbooks look.

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder};

/// Headers, titles, first series.
pub(super) const ACCENT: Color = Color::RGB(0x1F_4E_79);
/// What is said beside the rows.
pub(super) const QUIET: Color = Color::RGB(0x59_59_59);
/// Thin lines.
pub(super) const LINE: Color = Color::RGB(0xBF_BF_BF);
/// Behind totals.
const TOTAL: Color = Color::RGB(0xDD_E6_F0);

/// Series of a chart, in order; then again from the first.
pub(super) const SERIES: [u32; 8] =
    [0x2E_75_B6, 0xED_7D_31, 0x70_AD_47, 0xFF_C0_00, 0x7F_60_A8, 0x2A_9D_8F, 0xC0_39_2B, 0x7F_7F_7F];

/// The workbook's title.
pub(super) fn title() -> Format {
    Format::new()
        .set_bold()
        .set_font_size(16)
        .set_font_color(ACCENT)
        .set_align(FormatAlign::Left)
        .set_align(FormatAlign::VerticalCenter)
}

/// Period, moment of making, "no rows".
pub(super) fn remark() -> Format {
    Format::new().set_font_color(QUIET).set_align(FormatAlign::Left).set_italic()
}

/// A column's header.
pub(super) fn header(text: bool) -> Format {
    let format = Format::new()
        .set_bold()
        .set_font_color(Color::White)
        .set_background_color(ACCENT)
        .set_text_wrap()
        .set_align(FormatAlign::VerticalCenter)
        .set_border_right(FormatBorder::Thin)
        .set_border_right_color(Color::White);
    if text {
        format.set_align(FormatAlign::Left).set_indent(1)
    } else {
        format.set_align(FormatAlign::Center)
    }
}

/// A column of numbers, or of texts.
pub(super) fn column(number_format: Option<&str>, text: bool) -> Format {
    let format = Format::new();
    let format = match number_format {
        Some(number_format) => format.set_num_format(number_format),
        None => format,
    };
    if text { format.set_align(FormatAlign::Left).set_indent(1) } else { format }
}

/// A text that looks like a formula: Excel keeps it a text even when it is edited.
pub(super) fn quoted(column: &Format) -> Format {
    column.clone().set_quote_prefix()
}

/// A number that is written as text.
pub(super) fn exact(column: &Format) -> Format {
    column.clone().set_quote_prefix().set_align(FormatAlign::Right)
}

/// The totals row.
pub(super) fn total(column: &Format) -> Format {
    column
        .clone()
        .set_bold()
        .set_background_color(TOTAL)
        .set_border_top(FormatBorder::Thin)
        .set_border_top_color(ACCENT)
}
