//! The values of a choice: written down, or read by a query under the same row rules as the report.

use futures::StreamExt;

use super::{
    access,
    cell::Cell,
    format,
    rows::Values,
    run::{Failure, Reports, Request, unreadable},
};
use crate::{
    bot::event::Picked,
    config::bot::{AskKind, ChoiceFrom},
    connector::error::Error,
    engine::{params::Params, row_rules::Guarded},
    model::value::Value,
};

/// Values that are looked through for a search.
const SEARCHED: usize = 100_000;

impl Reports {
    /// The values of a question whose titles have `search` in them, in whatever case, at most `most`. Of a request, the parameters do not count.
    pub async fn options(
        &self,
        request: &Request,
        ask: &str,
        search: &str,
        most: usize,
    ) -> Result<Vec<Picked>, Failure> {
        let runtime = self.runtime();
        let bot = runtime.project().bot.as_ref().ok_or(Failure::Unknown)?;
        let report = bot.reports.get(&request.report).ok_or(Failure::Unknown)?;
        let refused = || Failure::Refused(format!("no role of the reader may run `{}`", report.name));
        let rules = access::rules(bot, report, &request.reader).ok_or_else(refused)?;
        let Some(AskKind::Choice(choice)) = report.ask.get(ask).map(|ask| &ask.kind) else {
            return Err(Failure::Unknown);
        };
        let sought = search.to_lowercase();
        let fits = |picked: &Picked| shown(picked).to_lowercase().contains(&sought);
        let sql = match &choice.from {
            ChoiceFrom::Values(values) => {
                let picked = |(value, title): (&String, &String)| Picked {
                    value: Value::Text(value.clone()),
                    title: title.clone(),
                };
                return Ok(values.iter().map(picked).filter(fits).take(most).collect());
            }
            ChoiceFrom::Sql(sql) => sql,
        };
        if sql.native && !rules.sees_everything() {
            return Err(Failure::Refused(format!(
                "the list of `{ask}` is native, and the reader sees some rows only"
            )));
        }
        let read = async {
            let mut rows = if sql.native {
                runtime.engine().native(&sql.text, &Params::new()).await?
            } else {
                let now = runtime.clock().now();
                match runtime.engine().query_under(&sql.text, &Params::new(), now, &rules).await? {
                    Guarded::Rows(rows) => rows,
                    Guarded::Refused(refusal) => return Err(Failure::Refused(refusal.to_string())),
                }
            };
            let (mut found, mut seen) = (vec![], 0);
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(Error::from)?;
                let columns = batch.columns().iter().take(2).map(|column| Values::of(column, request.zone));
                let columns = columns.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
                for row in 0..batch.num_rows() {
                    let picked = columns.first().and_then(|values| value(&values.cell(row))).map(|value| {
                        let title = columns
                            .get(1)
                            .map(|titles| titles.cell(row))
                            .filter(|title| *title != Cell::Empty);
                        let title = title.map(|title| format::shown(&title, None, request.language));
                        Picked { value, title: title.unwrap_or_default() }
                    });
                    found.extend(picked.filter(fits));
                    seen += 1;
                    if found.len() >= most || seen >= SEARCHED {
                        return Ok(found);
                    }
                }
            }
            Ok(found)
        };
        tokio::time::timeout(report.timeout, read).await.unwrap_or(Err(Failure::TimedOut))
    }
}

fn shown(picked: &Picked) -> String {
    if picked.title.is_empty() { picked.value.to_string() } else { picked.title.clone() }
}

/// A cell as a value that can be bound; NULL is none.
pub(super) fn value(cell: &Cell) -> Option<Value> {
    Some(match cell {
        Cell::Empty => return None,
        Cell::Decimal { unscaled, scale: 0 } => Value::Int(i64::try_from(*unscaled).ok()?),
        Cell::Decimal { unscaled, scale } => {
            Value::Decimal { unscaled: *unscaled, scale: i8::try_from(*scale).ok()? }
        }
        Cell::Float(value) => Value::Float((*value).into()),
        Cell::Bool(value) => Value::Bool(*value),
        Cell::Date(day) => Value::Text(day.to_string()),
        Cell::Moment(at) => Value::Text(at.to_string()),
        Cell::Text(text) => Value::Text(text.clone()),
    })
}
