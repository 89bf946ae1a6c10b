//! How far a member is, and changing it deliberately: `position show|set|reset|adopt`.

use std::collections::BTreeMap;

use super::{
    Runtime,
    ledger::{ADOPTED, settled},
    member::Found,
};
use crate::{
    config::project::MartOutput,
    connector::{
        error::{Error, ErrorKind, Result},
        sink::SinkSpec,
    },
    failpoint,
    model::{
        name::{AttemptId, JobName, Member},
        position::{Bound, Position},
        unit::{Build, Progress, Record, SliceLimit, Unit},
        value::Value,
        window::{Window, Windows},
    },
};

/// Where a member stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What its sink remembers; `None` = it never ran.
    pub record: Option<Record>,
    /// Where its source ends now; `None` for marts.
    pub head: Option<Position>,
    /// The unit that a run would begin with; `None` = there is nothing new.
    pub next: Option<Unit>,
}

/// A deliberate change of a position.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Everything up to and including this cursor value (or offset) counts as moved.
    Set(String),
    /// Nothing counts as moved: the next run begins at the source's beginning.
    Reset,
    /// The rows that the target holds are what the source holds up to now.
    Adopt,
}

impl Runtime {
    /// Where a member stands. Disturbs no one.
    pub async fn standing(&self, job: &JobName, member: &Member) -> Result<Standing> {
        let record = self.record_of(job, member).await?;
        let Found::Pipeline(pipeline, member) = self.find(job, member)? else {
            return Ok(Standing { record, head: None, next: None });
        };
        let source = self.source(pipeline, member).await?;
        let head = source.head().await?;
        let from = record.as_ref().and_then(|record| record.progress.position());
        let next = source.plan(from, &head, member.slice).await?;
        Ok(Standing { record, head: Some(head), next })
    }

    /// What a pipeline's source is sent for the unit that a run would begin with; for its first one, where there is nothing new.
    pub async fn sent(&self, job: &JobName, member: &Member) -> Result<Option<String>> {
        let record = self.record_of(job, member).await?;
        let Found::Pipeline(pipeline, member) = self.find(job, member)? else { return Ok(None) };
        let source = self.source(pipeline, member).await?;
        let head = source.head().await?;
        let from = record.as_ref().and_then(|record| record.progress.position());
        let unit = match source.plan(from, &head, member.slice).await? {
            None => source.plan(None, &head, member.slice).await?,
            next => next,
        };
        match unit {
            Some(unit) => source.describe(&unit).await,
            None => Ok(None),
        }
    }

    /// The record that a member's sink holds; for a workbook, what its file says of itself.
    pub async fn record_of(&self, job: &JobName, member: &Member) -> Result<Option<Record>> {
        let track = self.project.track(job, member);
        match self.find(job, member)? {
            Found::Pipeline(_, member) => self.sink(&member.sink).await?.peek(&track).await,
            Found::Mart(_, member) => match &member.output {
                MartOutput::Table { windows: Some(_), .. } => {
                    self.record_of_windows(job, &member.member).await
                }
                MartOutput::Table { sink, .. } => self.sink(sink).await?.peek(&track).await,
                MartOutput::Workbook(workbook) => super::workbook::record(&workbook.file),
            },
        }
    }

    /// Changes a member's position, by compare-and-swap; gives the new record.
    pub async fn change_position(&self, job: &JobName, member: &Member, change: &Change) -> Result<Record> {
        if let Found::Mart(_, mart) = self.find(job, member)?
            && let Some(windows) = mart.windows()
        {
            return self.change_windows(job, member, windows, change).await;
        }
        let sink = self.sink(self.sink_spec(job, member)?).await?;
        let track = self.project.track(job, member);
        sink.recover(&track).await?;
        let old = sink.peek(&track).await?;
        let progress = self.changed_progress(job, member, change).await?;
        let record = Record {
            seq: Record::next_seq(old.as_ref()),
            progress: progress.read_anew(Record::next_anew(old.as_ref())),
            attempt: AttemptId::fresh(),
            at: self.clock.now(),
            rows: 0,
        };
        sink.set_record(&track, old.as_ref().map(|record| record.seq), &record).await?;
        Ok(record)
    }

    /// Of a mart that is built window by window: forgets what was built, or takes all windows up to now for built.
    async fn change_windows(
        &self,
        job: &JobName,
        member: &Member,
        windows: &Windows,
        change: &Change,
    ) -> Result<Record> {
        let sink = self.sink(self.sink_spec(job, member)?).await?;
        let track = self.project.track(job, member);
        let prefix = track.windows_prefix();
        let progress = mart_progress(job, change)?;
        let keys: Vec<String> = match change {
            Change::Reset => {
                let known = sink.records(&prefix).await?;
                known.iter().filter_map(|(key, _)| Some(key.strip_prefix(&prefix)?.to_owned())).collect()
            }
            _ => windows.all(self.clock.now()).iter().map(Window::key).collect(),
        };
        let known = settled(&sink, &track, &keys).await?;
        let mut last = None;
        for key in keys {
            let track = track.of_window(&key);
            let old = known.get(&track.key());
            let record = Record {
                seq: Record::next_seq(old),
                progress: progress.clone(),
                attempt: AttemptId::fresh(),
                at: self.clock.now(),
                rows: 0,
            };
            sink.set_record(&track, old.map(|record| record.seq), &record).await?;
            failpoint::pass("run.ledger.changed");
            last = Some(record);
        }
        last.ok_or_else(|| {
            let message = format!("mart `{job}` has no window whose record could be changed");
            Error::new(ErrorKind::NotFound, message).hint("`vitrina run` builds its windows")
        })
    }

    async fn changed_progress(&self, job: &JobName, member: &Member, change: &Change) -> Result<Progress> {
        let (pipeline, member) = match self.find(job, member)? {
            Found::Pipeline(pipeline, member) => (pipeline, member),
            Found::Mart(..) => return mart_progress(job, change),
        };
        let source = self.source(pipeline, member).await?;
        match change {
            Change::Reset => Ok(Progress::Start),
            Change::Adopt => Ok(Progress::Position(source.head().await?)),
            Change::Set(text) => {
                let position = moved(&source.head().await?, text)?;
                // A position that the source itself refuses is refused now, not at the next run.
                source.plan(Some(&position), &source.head().await?, SliceLimit { rows: 1, bytes: 1 }).await?;
                Ok(Progress::Position(position))
            }
        }
    }

    fn sink_spec(&self, job: &JobName, member: &Member) -> Result<&SinkSpec> {
        match self.find(job, member)? {
            Found::Pipeline(_, member) => Ok(&member.sink),
            Found::Mart(_, member) => match &member.output {
                MartOutput::Table { sink, .. } => Ok(sink),
                MartOutput::Workbook(_) => {
                    let message = format!("`{job}` is a workbook: it is written whole and has no position");
                    Err(Error::new(ErrorKind::Unsupported, message))
                }
            },
        }
    }
}

fn mart_progress(job: &JobName, change: &Change) -> Result<Progress> {
    match change {
        Change::Adopt => {
            Ok(Progress::Build(Build { fingerprint: ADOPTED.to_owned(), inputs: BTreeMap::default() }))
        }
        Change::Reset => Ok(Progress::Start),
        Change::Set(_) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("mart `{job}` is built whole: it has no position to set"),
        )),
    }
}

/// The head's position with other bounds, typed as the head's own: `5`, or for several partitions `0: 5, 1: 7`.
fn moved(head: &Position, text: &str) -> Result<Position> {
    let mut position = head.clone();
    if let (1, Some((name, bound))) = (position.partitions.len(), position.partitions.iter_mut().next()) {
        let text = text.strip_prefix(&format!("{name}: ")).unwrap_or(text);
        *bound = bound_like(text, bound)?;
        return Ok(position);
    }
    let given: BTreeMap<&str, &str> = text.split(", ").filter_map(|part| part.split_once(": ")).collect();
    if position.partitions.is_empty() || given.keys().ne(position.partitions.keys()) {
        let message = "the source is empty or has several partitions, not all of which are named";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .hint(format!("name every partition; the source's end is: {head}")));
    }
    for (name, bound) in &mut position.partitions {
        *bound = bound_like(given[name.as_str()], bound)?;
    }
    Ok(position)
}

fn bound_like(text: &str, like: &Bound) -> Result<Bound> {
    let parts: Vec<&str> = text.split(" / ").collect();
    if parts.len() > like.at.len() {
        let message = format!("`{text}` has {} parts, the position has {}", parts.len(), like.at.len());
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let at = parts.iter().zip(&like.at).map(|(part, like)| typed(part, like));
    Ok(Bound::at(at.collect::<Result<_>>()?))
}

/// A value of the type that another one has.
fn typed(text: &str, like: &Value) -> Result<Value> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Unsupported, format!("`{text}` is no {what}"))
            .hint(format!("for example: {like}"))
    };
    Ok(match like {
        Value::Int(_) => Value::Int(text.parse().map_err(|_| wrong("whole number"))?),
        Value::UInt(_) => Value::UInt(text.parse().map_err(|_| wrong("whole number"))?),
        Value::Text(_) => Value::Text(text.to_owned()),
        Value::Date(_) => {
            let day: chrono::NaiveDate = text.parse().map_err(|_| wrong("date"))?;
            Value::Date(day.signed_duration_since(chrono::NaiveDate::default()).num_days() as i32)
        }
        Value::Timestamp { unit, utc, .. } => {
            let nanos = arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text)
                .map_err(|_| wrong("timestamp"))?;
            let ticks = nanos.div_euclid(1_000_000_000 / unit.per_second());
            Value::Timestamp { ticks, unit: *unit, utc: *utc }
        }
        Value::Decimal { scale, .. } => {
            let unscaled = arrow::compute::kernels::cast_utils::parse_decimal::<
                arrow::datatypes::Decimal128Type,
            >(text, 38, *scale)
            .map_err(|_| wrong("decimal"))?;
            Value::Decimal { unscaled, scale: *scale }
        }
        Value::Null | Value::Bool(_) | Value::Float(_) => return Err(wrong("position of this source")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::SourceIdentity;

    fn head(at: Vec<Value>) -> Position {
        let source =
            SourceIdentity { kind: "sqlite".into(), place: "crm actions".into(), order: "id int64".into() };
        Position::single(source, Some(Bound::at(at)))
    }

    #[test]
    fn values_are_typed_as_the_head_is() {
        let moved = |at: Vec<Value>, text: &str| super::moved(&head(at), text).map(|p| p.to_string());
        assert_eq!(moved(vec![Value::Int(9)], "5").unwrap(), "5");
        let pair = vec![Value::Date(20_000), Value::Int(9)];
        assert_eq!(moved(pair.clone(), "2024-01-31").unwrap(), "2024-01-31");
        assert_eq!(moved(pair, "2024-01-31 / 7").unwrap(), "2024-01-31 / 7");
        let wrong = moved(vec![Value::Int(9)], "five").unwrap_err();
        assert_eq!(
            (wrong.to_string().as_str(), wrong.advice()),
            ("`five` is no whole number", "for example: 9")
        );
        assert!(moved(vec![Value::Int(9)], "1 / 2").is_err());
    }

    #[test]
    fn every_partition_is_named() {
        let mut head = head(vec![Value::Int(9)]);
        head.partitions = ["0", "1"].map(|name| (name.to_owned(), Bound::at(vec![Value::Int(9)]))).into();
        assert_eq!(moved(&head, "0: 5, 1: 7").unwrap().to_string(), "0: 5, 1: 7");
        for wrong in ["5", "0: 5", "0: 5, 2: 7", "0: 5, 1: seven"] {
            assert!(moved(&head, wrong).is_err(), "{wrong}");
        }
    }
}
