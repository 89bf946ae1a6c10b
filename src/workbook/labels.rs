//! The words that a workbook itself says.

/// The words that a workbook itself says, in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels {
    /// Before the moment of making.
    pub generated: &'static str,
    /// Before the first and the last day.
    pub period: &'static str,
    /// In the totals row.
    pub total: &'static str,
    /// Under the header of an empty table.
    pub no_rows: &'static str,
    /// Under a full sheet; its name follows.
    pub goes_on: &'static str,
    /// Above the rows of a further sheet; the first one's name follows.
    pub continues: &'static str,
    /// Around the names of sheets.
    pub quotes: [&'static str; 2],
    /// Page of pages, in Excel's footer codes.
    pub page: &'static str,
    /// How days are shown.
    pub date: &'static str,
    /// The same for `chrono`.
    pub date_pattern: &'static str,
}

impl Labels {
    /// Russian.
    pub const RUSSIAN: Self = Self {
        generated: "Сформировано",
        period: "Период",
        total: "Итого",
        no_rows: "Нет данных",
        goes_on: "Продолжение на листе",
        continues: "Продолжение листа",
        quotes: ["«", "»"],
        page: "Стр. &P из &N",
        date: "dd.mm.yyyy",
        date_pattern: "%d.%m.%Y",
    };

    /// English.
    pub const ENGLISH: Self = Self {
        generated: "Generated",
        period: "Period",
        total: "Total",
        no_rows: "No rows",
        goes_on: "Goes on in sheet",
        continues: "Continues sheet",
        quotes: ["“", "”"],
        page: "Page &P of &N",
        date: "yyyy-mm-dd",
        date_pattern: "%Y-%m-%d",
    };

    /// A sheet's name among words.
    pub(super) fn quoted(&self, name: &str) -> String {
        let [open, close] = self.quotes;
        format!("{open}{name}{close}")
    }
}
