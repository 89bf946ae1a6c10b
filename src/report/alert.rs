//! What an alert's query finds, in a few lines.

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use futures::StreamExt;

use super::run::Reports;
use crate::{
    connector::error::{Error, ErrorKind, Result},
    engine::params::Params,
};

/// Rows that are told; the others are counted.
const ROWS: usize = 10;

impl Reports {
    /// The rows that an alert finds, a line each; `None` = none, or there is no such alert.
    pub async fn alert(&self, name: &str) -> Result<Option<String>> {
        let (runtime, none) = (self.runtime(), Params::new());
        let Some(alert) = runtime.project().bot.as_ref().and_then(|bot| bot.alerts.get(name)) else {
            return Ok(None);
        };
        let mut rows = if alert.sql.native {
            runtime.engine().native(&alert.sql.text, &none).await?
        } else {
            runtime.engine().query(&alert.sql.text, &none, runtime.clock().now()).await?
        };
        let (mut lines, mut more) = (vec![], 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(Error::from)?;
            let shown = batch.slice(0, batch.num_rows().min(ROWS - lines.len()));
            let unreadable = |error| {
                Error::new(ErrorKind::BadData, "the rows of the alert cannot be shown").caused_by(error)
            };
            lines.extend(written(&shown).map_err(unreadable)?);
            more += batch.num_rows() - shown.num_rows();
        }
        if lines.is_empty() {
            return Ok(None);
        }
        if more > 0 {
            lines.push(format!("… + {more}"));
        }
        Ok(Some(lines.join("\n")))
    }
}

/// Rows as lines: each column's name and value.
fn written(batch: &RecordBatch) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default().with_null("—");
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let line = |row: usize| {
        let cells = columns.iter().zip(schema.fields());
        cells
            .map(|(column, field)| format!("{}: {}", field.name(), column.value(row)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    Ok((0..batch.num_rows()).map(line).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_lines() {
        let region: arrow::array::ArrayRef = Arc::new(StringArray::from(vec![Some("Центр"), None]));
        let share: arrow::array::ArrayRef = Arc::new(Float64Array::from(vec![0.5, 0.25]));
        let batch = RecordBatch::try_from_iter([("region", region), ("share", share)]).unwrap();
        assert_eq!(written(&batch).unwrap(), ["region: Центр, share: 0.5", "region: —, share: 0.25"]);
    }
}
