//! What an alert's query finds, in a few lines, as people of the project's language read it.

use arrow::error::ArrowError;
use futures::StreamExt;

use super::{format, rows::Rows, run::Reports, table::cut};
use crate::{
    bot::words::Words,
    connector::error::{Error, ErrorKind, Result},
    engine::params::Params,
};

/// Rows that are told; the others are counted.
const ROWS: usize = 10;
/// Letters of a row; the end of a longer one is left out, with a mark that says so.
const LETTERS: usize = 180;

impl Reports {
    /// The rows that an alert finds, a line each; `None` = none, or there is no such alert.
    pub async fn alert(&self, name: &str) -> Result<Option<String>> {
        let (runtime, none) = (self.runtime(), Params::new());
        let project = runtime.project();
        let Some(alert) = project.bot.as_ref().and_then(|bot| bot.alerts.get(name)) else {
            return Ok(None);
        };
        let mut found = if alert.sql.native {
            runtime.engine().native(&alert.sql.text, &none).await?
        } else {
            runtime.engine().query(&alert.sql.text, &none, runtime.clock().now()).await?
        };
        let unreadable =
            |error| Error::new(ErrorKind::BadData, "the rows of the alert cannot be shown").caused_by(error);
        let mut rows = Rows::new(found.schema(), project.zone);
        while let Some(batch) = found.next().await {
            rows.take(&batch.map_err(Error::from)?).map_err(unreadable)?;
        }
        if rows.count == 0 {
            return Ok(None);
        }
        told(&rows, &self.words(project.language)).map(Some).map_err(unreadable)
    }
}

/// Rows as lines: each column's name and value.
fn told(rows: &Rows, words: &Words) -> Result<String, ArrowError> {
    let columns = (0..rows.schema.fields().len()).map(|at| rows.cells(at, ROWS));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let shown = columns.first().map_or(0, Vec::len);
    let line = |row: usize| {
        let cells = columns.iter().zip(rows.schema.fields());
        let cells = cells
            .map(|(column, field)| format!("{}: {}", field.name(), format::shown(&column[row], None, words)));
        cut(&cells.collect::<Vec<_>>().join(", "), LETTERS)
    };
    let more = rows.count - shown as u64;
    let more = (more > 0).then(|| words.rows_more(more));
    Ok((0..shown).map(line).chain(more).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Float64Array, StringArray};

    use super::{super::rows::tests::rows_of, *};
    use crate::config::project::Language;

    #[test]
    fn rows_are_lines() {
        let region: ArrayRef = Arc::new(StringArray::from(vec![Some("Центр"), None]));
        let share: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1_234.25]));
        let day: ArrayRef = Arc::new(Date32Array::from(vec![20_454, 20_455]));
        let rows = rows_of(vec![("region", region), ("share", share), ("day", day)]);
        assert_eq!(
            told(&rows, &Words::plain(Language::Ru)).unwrap(),
            "region: Центр, share: 0,5, day: 01.01.2026\nregion: —, share: 1\u{202f}234,25, day: 02.01.2026"
        );
    }

    #[test]
    fn what_is_left_out_is_said() {
        let long: ArrayRef = Arc::new(StringArray::from(vec!["ж".repeat(1_000); 13]));
        let told = told(&rows_of(vec![("a", long)]), &Words::plain(Language::Ru)).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!((lines.len(), lines[10]), (11, "… ещё 3 строки"));
        assert!(lines[0].ends_with('…') && lines[0].chars().count() == LETTERS, "{told}");
    }
}
