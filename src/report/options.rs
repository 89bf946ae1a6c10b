//! The values of a choice: written down, or read by a query under the same row rules as the report. What a query gave is kept as answers are: as
//! long as the tracks that it reads stand still, for whoever may see the same rows.

use std::sync::Arc;

use futures::StreamExt;

use super::{
    access,
    cache::{Key, Weighs, key},
    cell::Cell,
    format,
    rows::Values,
    run::{Failure, Reports, Request, moves, unreadable},
    table::cut,
};
use crate::{
    bot::{event::Picked, lists::List, words::Words},
    config::{
        bot::{AskKind, Choice, ChoiceFrom, Report},
        project::Sql,
    },
    connector::error::Error,
    engine::{
        params::Params,
        row_rules::{Guarded, RowRules},
        session::tables_read,
    },
    model::value::Value,
};

/// Values of a list that are kept; what lies behind them is found by searching.
const READ: usize = 100_000;
/// Letters of a value that can be chosen: it stands in the dialog's state as long as it is shown. Longer ones are left out, and longer titles cut.
pub(super) const VALUE_LETTERS: usize = 200;
/// Bytes of lists that are kept.
pub(super) const LISTS_BYTES: usize = 32 << 20;

impl Weighs for List {
    fn weighs(&self) -> usize {
        self.bytes()
    }
}

/// A list that a query gives, as one reader may see it.
struct Listing<'a> {
    request: &'a Request,
    ask: &'a str,
    sql: &'a Sql,
    rules: RowRules,
}

impl Reports {
    /// The values of a question whose titles have `search` in them, in whatever case, at most `most`. Of a request, the parameters do not count.
    pub async fn options(
        &self,
        request: &Request,
        ask: &str,
        search: &str,
        most: usize,
    ) -> Result<Vec<Picked>, Failure> {
        let (report, rules) = self.may_run(request)?;
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
        let listing = Listing { request, ask, sql, rules };
        let found = async {
            if let Some(key) = self.list_key(&listing).await {
                let list = self.kept(&listing, key).await?;
                let found: Vec<Picked> =
                    list.values().iter().filter(|one| fits(one)).take(most).cloned().collect();
                // Of a list that goes on, what is sought may stand behind what is kept.
                if found.len() >= most || list.values().len() < READ {
                    return Ok(found);
                }
            }
            self.read(&listing, most, fits).await
        };
        tokio::time::timeout(report.timeout, found).await.unwrap_or(Err(Failure::TimedOut))
    }

    /// The whole list of a question whose values only a query knows, as the reader may see it.
    pub async fn list(&self, request: &Request, ask: &str) -> Result<Arc<List>, Failure> {
        let (report, rules) = self.may_run(request)?;
        let choice = report.ask.get(ask).map(|ask| &ask.kind);
        let Some(AskKind::Choice(Choice { from: ChoiceFrom::Sql(sql), .. })) = choice else {
            return Err(Failure::Unknown);
        };
        let listing = Listing { request, ask, sql, rules };
        let found = async {
            match self.list_key(&listing).await {
                Some(key) => self.kept(&listing, key).await,
                None => Ok(Arc::new(List::new(self.read(&listing, READ, |_| true).await?))),
            }
        };
        tokio::time::timeout(report.timeout, found).await.unwrap_or(Err(Failure::TimedOut))
    }

    /// The report of a request, and what its reader sees of it.
    fn may_run(&self, request: &Request) -> Result<(&Report, RowRules), Failure> {
        let bot = self.runtime().project().bot.as_ref().ok_or(Failure::Unknown)?;
        let report = bot.reports.get(&request.report).ok_or(Failure::Unknown)?;
        let refused = || Failure::Refused(format!("no role of the reader may run `{}`", report.name));
        let rules = access::rules(bot, &report.roles, &request.reader).ok_or_else(refused)?;
        Ok((report, rules))
    }

    /// By what a list is kept; `None` = nobody knows whether it is the same a moment later.
    async fn list_key(&self, listing: &Listing<'_>) -> Option<Key> {
        if listing.sql.native || moves(&listing.sql.text) {
            return None;
        }
        let versions = self.runtime().versions(&tables_read(&listing.sql.text)).await;
        versions.complete.then(|| {
            key(&[
                listing.sql.text.clone(),
                format!("{:?}", listing.rules),
                format!("{:?}", versions.tracks),
                listing.request.zone.name().to_owned(),
                format!("{:?}", listing.request.language),
            ])
        })
    }

    async fn kept(&self, listing: &Listing<'_>, key: Key) -> Result<Arc<List>, Failure> {
        let place = self.lists().place(key);
        let read = async || Ok::<_, Failure>(Arc::new(List::new(self.read(listing, READ, |_| true).await?)));
        let list = Arc::clone(place.get_or_try_init(read).await?);
        self.lists().trim();
        Ok(list)
    }

    /// Reads values until there are so many that fit.
    async fn read(
        &self,
        listing: &Listing<'_>,
        most: usize,
        fits: impl Fn(&Picked) -> bool,
    ) -> Result<Vec<Picked>, Failure> {
        let Listing { request, ask, sql, rules } = listing;
        if sql.native && !rules.sees_everything() {
            return Err(Failure::Refused(format!(
                "the list of `{ask}` is native, and the reader sees some rows only"
            )));
        }
        let runtime = self.runtime();
        let mut rows = if sql.native {
            runtime.engine().native(&sql.text, &Params::new()).await?
        } else {
            let now = runtime.clock().now();
            match runtime.engine().query_under(&sql.text, &Params::new(), now, rules).await? {
                Guarded::Rows(rows) => rows,
                Guarded::Refused(refusal) => return Err(Failure::Refused(refusal.to_string())),
            }
        };
        let words = self.words(request.language);
        let (mut found, mut left_out) = (vec![], 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(Error::from)?;
            let columns = batch.columns().iter().take(2).map(|column| Values::of(column, request.zone));
            let columns = columns.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
            for row in 0..batch.num_rows() {
                let one = picked(&columns, row, &words);
                left_out += usize::from(one.as_ref().is_some_and(|one| !can_be_chosen(&one.value)));
                found.extend(one.filter(|one| can_be_chosen(&one.value)).filter(&fits));
                if found.len() >= most {
                    return Ok(found);
                }
            }
        }
        if left_out > 0 {
            let report = &request.report;
            tracing::warn!(
                "the list of `{ask}` of `{report}`: {left_out} values of more than {VALUE_LETTERS} letters are left out"
            );
        }
        Ok(found)
    }
}

/// The value of a row and its title, where it has one of its own.
fn picked(columns: &[Values], row: usize, words: &Words) -> Option<Picked> {
    let value = value(&columns.first()?.cell(row))?;
    let title = columns.get(1).map(|titles| titles.cell(row)).filter(|title| *title != Cell::Empty);
    let title = title.map(|title| cut(&format::shown(&title, None, words), VALUE_LETTERS));
    Some(Picked { value, title: title.unwrap_or_default() })
}

/// Whether a value is short enough to be kept in a dialog's state.
pub(super) fn can_be_chosen(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.len() <= VALUE_LETTERS || text.chars().count() <= VALUE_LETTERS,
        _ => true,
    }
}

fn shown(picked: &Picked) -> String {
    if picked.title.is_empty() { picked.value.to_string() } else { picked.title.clone() }
}

/// A value as a list of texts has it, where it is one.
pub(super) fn value_of(choice: &Choice, value: Value) -> Value {
    use arrow::datatypes::DataType::{LargeUtf8, Utf8, Utf8View};
    match choice.value_type {
        Some(Utf8 | LargeUtf8 | Utf8View) => Value::Text(value.to_string()),
        _ => value,
    }
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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};

    use super::*;
    use crate::config::project::Language;

    #[test]
    fn what_is_kept_of_a_choice_is_short() {
        let long = "ж".repeat(VALUE_LETTERS + 1);
        let column = |texts: [&str; 2]| {
            let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            Values::of(&array, chrono_tz::UTC).unwrap()
        };
        let columns = [column(["a", long.as_str()]), column([long.as_str(), "b"])];
        let one = |row| picked(&columns, row, &Words::plain(Language::Ru)).unwrap();
        assert_eq!(one(0).title.chars().count(), VALUE_LETTERS);
        assert!(one(0).title.ends_with("ж…") && can_be_chosen(&one(0).value));
        assert!(!can_be_chosen(&one(1).value), "a value is never cut: it would be another one");
    }
}
