//! The words that a workbook itself says.

use std::borrow::Cow;

/// The words that a workbook itself says, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Before the moment of making.
    pub generated: Cow<'static, str>,
    /// Before the first and the last day.
    pub period: Cow<'static, str>,
    /// In the totals row.
    pub total: Cow<'static, str>,
    /// Under the header of an empty table.
    pub no_rows: Cow<'static, str>,
    /// Under a full sheet; its name follows.
    pub goes_on: Cow<'static, str>,
    /// Above the rows of a further sheet; the first one's name follows.
    pub continues: Cow<'static, str>,
    /// Around the names of sheets.
    pub quotes: [&'static str; 2],
    /// Page of pages, in Excel's footer codes.
    pub page: Cow<'static, str>,
    /// How days are shown.
    pub date: &'static str,
    /// The same for `chrono`.
    pub date_pattern: &'static str,
}

impl Labels {
    /// Russian.
    pub const RUSSIAN: Self = Self {
        generated: Cow::Borrowed("Сформировано"),
        period: Cow::Borrowed("Период"),
        total: Cow::Borrowed("Итого"),
        no_rows: Cow::Borrowed("Нет данных"),
        goes_on: Cow::Borrowed("Продолжение на листе"),
        continues: Cow::Borrowed("Продолжение листа"),
        quotes: ["«", "»"],
        page: Cow::Borrowed("Стр. &P из &N"),
        date: "dd.mm.yyyy",
        date_pattern: "%d.%m.%Y",
    };

    /// English.
    pub const ENGLISH: Self = Self {
        generated: Cow::Borrowed("Generated"),
        period: Cow::Borrowed("Period"),
        total: Cow::Borrowed("Total"),
        no_rows: Cow::Borrowed("No rows"),
        goes_on: Cow::Borrowed("Goes on in sheet"),
        continues: Cow::Borrowed("Continues sheet"),
        quotes: ["“", "”"],
        page: Cow::Borrowed("Page &P of &N"),
        date: "yyyy-mm-dd",
        date_pattern: "%Y-%m-%d",
    };

    /// A sheet's name among words.
    pub(super) fn quoted(&self, name: &str) -> String {
        let [open, close] = self.quotes;
        format!("{open}{name}{close}")
    }
}
