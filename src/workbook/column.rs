//! A column of a sheet: how it looks, how it is written, what stands under it.

use arrow::datatypes::{DataType, Field};
use rust_xlsxwriter::{Format, Worksheet, XlsxError};

use super::{
    cell::{Cell, Cells, Oddity},
    check::{total_fits, validate_number_format},
    labels::Labels,
    look::{Look, column_width, header_width},
    spec::{SheetColumn, Total},
    style,
    tally::Tally,
};

/// What a column is, as far as looks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Number,
    Date,
    Moment,
    Text,
}

/// A column of a sheet.
pub(super) struct Column {
    /// In the result.
    pub(super) name: String,
    /// In the header and in charts.
    pub(super) title: String,
    pub(super) nature: Nature,
    pub(super) number_format: Option<String>,
    /// Lines that the header takes.
    pub(super) header_lines: u32,
    pub(super) tally: Option<Tally>,
    pub(super) format: Format,
    quoted: Format,
    exact: Format,
    look: Look,
    given_width: Option<f64>,
    pixels: u32,
    oddities: [u64; 3],
}

/// Rows that are measured at the top of a sheet.
pub(super) const MEASURED: usize = 100;

impl Column {
    /// A column as its type looks, unless `wish` says otherwise.
    pub(super) fn new(field: &Field, wish: &SheetColumn, labels: &Labels) -> Result<Self, String> {
        let (nature, own_format) = nature_of(field.data_type(), labels);
        if let Some(format) = &wish.format {
            validate_number_format(format).map_err(|what| format!("column \"{}\": {what}", field.name()))?;
        }
        if let Some(total) = wish.total {
            total_fits(total, field.data_type())
                .map_err(|what| format!("column \"{}\": {what}", field.name()))?;
        }
        if wish.width.is_some_and(|width| !(1.0..=255.0).contains(&width)) {
            return Err(format!("column \"{}\": a width is 1 to 255 characters", field.name()));
        }
        let title = wish.title.clone().unwrap_or_else(|| field.name().clone());
        let number_format = wish.format.clone().or(own_format);
        let format = style::column(number_format.as_deref(), nature == Nature::Text);
        let (pixels, header_lines) = header_width(&title);
        Ok(Self {
            name: field.name().clone(),
            title,
            nature,
            header_lines,
            tally: wish.total.map(Tally::new),
            quoted: style::quoted(&format),
            exact: style::exact(&format),
            format,
            look: number_format.as_deref().map_or(Look::General, Look::of),
            number_format,
            given_width: wish.width,
            pixels,
            oddities: [0; 3],
        })
    }

    /// Looks at rows at the top of the sheet, to know how wide it must be.
    pub(super) fn measure(&mut self, cells: &Cells, rows: usize) {
        for row in 0..rows.min(cells.array().len()) {
            self.pixels = self.pixels.max(self.look.width(&cells.cell(row)));
        }
    }

    /// Writes one cell.
    #[inline]
    pub(super) fn write(
        &mut self,
        sheet: &mut Worksheet,
        (row, column): (u32, u16),
        cell: Cell<'_>,
    ) -> Result<(), XlsxError> {
        match cell {
            Cell::Empty => {}
            Cell::Number(number) => _ = sheet.write_number(row, column, number)?,
            Cell::Bool(value) => _ = sheet.write_boolean(row, column, value)?,
            Cell::Text(text) if looks_like_a_formula(text) => {
                sheet.write_string_with_format(row, column, text, &self.quoted)?;
            }
            Cell::Text(text) => _ = sheet.write_string(row, column, text)?,
            Cell::Exact(text, why) => {
                self.oddities[why as usize] += 1;
                sheet.write_string_with_format(row, column, text, &self.exact)?;
            }
        }
        Ok(())
    }

    /// Writes the total, over the ranges that hold the column's rows. Excel would not see values that are
    /// written as text: then the total is a value too, not a formula.
    pub(super) fn write_total(
        &mut self,
        sheet: &mut Worksheet,
        (row, column): (u32, u16),
        ranges: &str,
    ) -> Result<(), XlsxError> {
        let Some(tally) = &self.tally else { return Ok(()) };
        let (total, result) = (tally.total(), tally.result());
        let mut format = style::total(&self.format);
        if let (Total::Count, _) | (Total::Average, Nature::Number) = (total, self.nature) {
            format = format.set_num_format(self.total_format(total));
        }
        self.pixels = self.pixels.max(Look::of(self.total_format(total)).width(&result) * 11 / 10);
        let whole = self.oddities[Oddity::Long as usize] == 0 && self.oddities[Oddity::Outside as usize] == 0;
        match result {
            Cell::Number(number) if whole || total == Total::Count => {
                let formula =
                    rust_xlsxwriter::Formula::new(formula(total, ranges)).set_result(number.to_string());
                sheet.write_formula_with_format(row, column, formula, &format)?;
            }
            Cell::Number(number) => _ = sheet.write_number_with_format(row, column, number, &format)?,
            Cell::Exact(text, _) => {
                sheet.write_string_with_format(row, column, text, &style::exact(&format))?;
            }
            Cell::Empty | Cell::Bool(_) | Cell::Text(_) => _ = sheet.write_blank(row, column, &format)?,
        }
        Ok(())
    }

    fn total_format(&self, total: Total) -> &str {
        match (total, &self.number_format) {
            (Total::Count, _) => "#,##0",
            (Total::Average, Some(format)) if format == INTEGER => "#,##0.00",
            (_, Some(format)) => format,
            (_, None) => "General",
        }
    }

    /// Gives the sheet's column its width.
    pub(super) fn set_width(&self, sheet: &mut Worksheet, column: u16) -> Result<(), XlsxError> {
        match self.given_width {
            Some(width) => sheet.set_column_width(column, width)?,
            None => sheet.set_column_width_pixels(column, column_width(self.pixels))?,
        };
        Ok(())
    }

    /// What a user should know of this column.
    pub(super) fn notes(&self, sheet: &str) -> Vec<String> {
        let what = [
            "with more than 15 digits are written as text, exactly",
            "that are not finite (NaN, infinity) are written as text; totals leave them out",
            "outside 1900-03-01 to 9999-12-31 are written as text",
        ];
        let odd = self.oddities.iter().zip(what).filter(|(count, _)| **count > 0);
        odd.map(|(count, what)| format!("sheet \"{sheet}\", column \"{}\": {count} values {what}", self.name))
            .collect()
    }

    /// Whether texts stand in it that Excel would mark as numbers written as text.
    pub(super) fn may_hold_numbers_as_text(&self) -> bool {
        self.nature == Nature::Text || self.oddities.iter().any(|count| *count > 0)
    }
}

/// How whole numbers look.
const INTEGER: &str = "#,##0";

/// Most places that a decimal shows; more come from divisions.
const MOST_PLACES: usize = 6;

fn nature_of(data_type: &DataType, labels: &Labels) -> (Nature, Option<String>) {
    let decimal = |scale: &i8| {
        let places = usize::try_from(*scale).unwrap_or(0).min(MOST_PLACES);
        if places == 0 { INTEGER.to_owned() } else { format!("{INTEGER}.{}", "0".repeat(places)) }
    };
    match data_type {
        kind if kind.is_integer() => (Nature::Number, Some(INTEGER.into())),
        kind if kind.is_floating() => (Nature::Number, Some("#,##0.00".into())),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => (Nature::Number, Some(decimal(scale))),
        DataType::Date32 | DataType::Date64 => (Nature::Date, Some(labels.date.into())),
        DataType::Timestamp(..) => (Nature::Moment, Some(format!("{} hh:mm:ss", labels.date))),
        DataType::Time32(_) | DataType::Time64(_) => (Nature::Moment, Some("hh:mm:ss".into())),
        DataType::Dictionary(_, value) => nature_of(value, labels),
        _ => (Nature::Text, None),
    }
}

/// Texts that a spreadsheet may take for a formula when they are edited, copied or exported.
#[inline]
fn looks_like_a_formula(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'))
}

fn formula(total: Total, ranges: &str) -> String {
    match total {
        Total::Sum => format!("=SUBTOTAL(109,{ranges})"),
        Total::Count => format!("=SUBTOTAL(103,{ranges})"),
        Total::Max => format!("=SUBTOTAL(104,{ranges})"),
        Total::Min => format!("=SUBTOTAL(105,{ranges})"),
        // A filter that leaves no row would show #DIV/0!.
        Total::Average => format!("=IFERROR(SUBTOTAL(101,{ranges}),\"\")"),
    }
}
