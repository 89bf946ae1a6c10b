//! Rows that go when others come: what a merge, a replace or a window takes out of a table.
//!
//! Files are judged one by one, and each is a pure matter of its own content: untouched, gone, or written anew
//! without some rows. So when somebody else committed in between, only files that appeared since are judged, and
//! judgements of files that vanished are dropped: the result is exact for the very version that is committed on.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array as _, BooleanArray, RecordBatch},
    compute::{
        and, filter_record_batch,
        kernels::cmp::{gt_eq, lt, not_distinct},
        not,
    },
    datatypes::{Schema, SchemaRef},
};
use deltalake::kernel::{Action, Add};
use futures::StreamExt as _;

use super::{
    super::error::{ErrorKind, Result},
    bounds::{Bounds, literal, stats_exclude},
    digest::KeyDigest,
    files::{FileWriter, Unnamed},
    listing::Listing,
    location::Location,
    read::{apart, batches_of, stream_files},
    table::{DataFile, Table},
};
use crate::model::value::Value;

/// Which rows go.
#[derive(Debug, Clone)]
pub(super) enum Erase {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// Those whose columns have these values.
    Equal(Vec<(String, Value)>),
    /// Those whose column lies in `from .. until`.
    Window {
        /// The column.
        column: String,
        /// In.
        from: Value,
        /// Out.
        until: Value,
    },
    /// Those with one of these keys.
    Keys {
        /// Columns that make the key.
        columns: Vec<String>,
        /// Digests of the keys.
        keys: Arc<HashSet<KeyDigest>>,
        /// Between what each key column lies, where that is known.
        bounds: Vec<Option<Bounds>>,
    },
}

impl Erase {
    /// The columns that it looks at.
    fn columns(&self) -> Vec<&str> {
        match self {
            Self::Nothing | Self::Everything => vec![],
            Self::Equal(values) => values.iter().map(|(column, _)| column.as_str()).collect(),
            Self::Window { column, .. } => vec![column],
            Self::Keys { columns, .. } => columns.iter().map(String::as_str).collect(),
        }
    }

    /// Whether neither takes out a row that may come with the other, whichever comes first: then both may come at once.
    pub(super) fn spares_rows_of(&self, other: &Self) -> bool {
        match (self, other) {
            // As if what takes nothing out came last.
            (Self::Nothing, _) | (_, Self::Nothing) => true,
            (
                Self::Window { column: one, from, until },
                Self::Window { column: other, from: other_from, until: other_until },
            ) => {
                let before = |until: &Value, from: &Value| until.compare(from).is_some_and(Ordering::is_le);
                one == other && (before(until, other_from) || before(other_until, from))
            }
            (Self::Equal(one), Self::Equal(other)) => {
                let differs = |((one, value), (other, its)): (&(String, Value), &(String, Value))| {
                    one == other && value.compare(its).is_some_and(Ordering::is_ne)
                };
                one.iter().zip(other).any(differs)
            }
            _ => false,
        }
    }

    /// Whether the log alone says that no row of a file goes.
    fn spares(&self, file: &DataFile, schema: &SchemaRef) -> bool {
        let spared = |column: &str, bounds: &Bounds| {
            schema.field_with_name(column).is_ok_and(|field| stats_exclude(file, field, bounds))
        };
        match self {
            Self::Nothing => true,
            Self::Everything => false,
            Self::Equal(values) => values
                .iter()
                .any(|(column, value)| spared(column, &Bounds { least: value.clone(), most: value.clone() })),
            Self::Window { column, from, until } => {
                spared(column, &Bounds { least: from.clone(), most: before(until) })
            }
            Self::Keys { columns, keys, bounds } => {
                keys.is_empty()
                    || columns
                        .iter()
                        .zip(bounds)
                        .any(|(column, bounds)| bounds.as_ref().is_some_and(|bounds| spared(column, bounds)))
            }
        }
    }

    /// For each row of a batch that has the columns this looks at: whether it goes.
    pub(super) fn goes(&self, location: &Location, batch: &RecordBatch) -> Result<BooleanArray> {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| location.error(ErrorKind::SchemaChanged, format!("has no column `{name}`")))
        };
        let misfit = |error: arrow::error::ArrowError| {
            location.error(ErrorKind::BadData, "rows to replace cannot be told").caused_by(error)
        };
        let all = |goes: bool| BooleanArray::from(vec![goes; batch.num_rows()]);
        Ok(match self {
            Self::Nothing => all(false),
            Self::Everything => all(true),
            Self::Equal(values) => values.iter().try_fold(all(true), |goes, (name, value)| {
                let column = column(name)?;
                let value = literal(value, column.data_type()).map_err(misfit)?;
                and(&goes, &not_distinct(column, &value).map_err(misfit)?).map_err(misfit)
            })?,
            Self::Window { column: name, from, until } => {
                let column = column(name)?;
                let from = literal(from, column.data_type()).map_err(misfit)?;
                let until = literal(until, column.data_type()).map_err(misfit)?;
                let inside =
                    and(&gt_eq(column, &from).map_err(misfit)?, &lt(column, &until).map_err(misfit)?)
                        .map_err(misfit)?;
                // A row without a time lies in no window.
                inside.iter().map(|inside| Some(inside == Some(true))).collect()
            }
            Self::Keys { columns, keys, .. } => {
                let columns = columns.iter().map(|name| column(name).cloned()).collect::<Result<Vec<_>>>()?;
                let digests = super::digest::digests(&columns).map_err(misfit)?;
                digests.iter().map(|digest| Some(keys.contains(digest))).collect()
            }
        })
    }
}

/// The last value that is less; where there is no such one the value itself, which costs at most a look into a file.
fn before(until: &Value) -> Value {
    match until {
        Value::Int(value) => Value::Int(value.saturating_sub(1)),
        Value::Date(days) => Value::Date(days.saturating_sub(1)),
        Value::Timestamp { ticks, unit, utc } => {
            Value::Timestamp { ticks: ticks.saturating_sub(1), unit: *unit, utc: *utc }
        }
        other => other.clone(),
    }
}

/// What became of the files that were judged.
#[derive(Debug, Default)]
pub(super) struct Erased {
    /// Those that go, by path.
    gone: BTreeMap<Arc<str>, Gone>,
    /// All of them.
    judged: Arc<Listing>,
}

/// A file that goes; the rows that stay are in others.
#[derive(Debug)]
struct Gone {
    file: Arc<DataFile>,
    rest: Vec<Add>,
    unnamed: Unnamed,
}

impl Erased {
    /// Judges the files of a snapshot that were not judged before, and forgets those that it lacks.
    pub(super) async fn catch_up(&mut self, erase: &Erase, table: &Table) -> Result<()> {
        if matches!(erase, Erase::Nothing) {
            return Ok(());
        }
        let listing = table.listing()?;
        self.gone.retain(|path, _| listing.contains(path));
        let schema = table.schema()?;
        let fresh: Vec<_> = listing.beyond(&self.judged).collect();
        for (path, file) in fresh {
            if let Some(gone) = judge(erase, table, file, &schema).await? {
                self.gone.insert(Arc::clone(path), gone);
            }
        }
        self.judged = listing;
        Ok(())
    }

    /// Whether no file goes.
    pub(super) fn is_empty(&self) -> bool {
        self.gone.is_empty()
    }

    /// The actions that take the rows out.
    pub(super) fn actions(&self, now: i64) -> Vec<Action> {
        let mut actions = vec![];
        for gone in self.gone.values() {
            actions.push(gone.file.removal(true, now));
            actions.extend(gone.rest.iter().cloned().map(Action::Add));
        }
        actions
    }

    /// From here on a log entry may name the files that were written anew.
    pub(super) fn keep(&mut self) {
        self.each(Unnamed::keep);
    }

    /// It is sure that no log entry names them.
    pub(super) fn release(&mut self) {
        self.each(Unnamed::release);
    }

    fn each(&mut self, act: impl Fn(&mut Unnamed)) {
        self.gone.values_mut().for_each(|gone| act(&mut gone.unnamed));
    }
}

/// What becomes of a file; `None` = it is untouched.
async fn judge(
    erase: &Erase,
    table: &Table,
    file: &Arc<DataFile>,
    schema: &SchemaRef,
) -> Result<Option<Gone>> {
    let gone = |rest, unnamed| Some(Gone { file: Arc::clone(file), rest, unnamed });
    if matches!(erase, Erase::Everything) {
        return Ok(gone(vec![], Unnamed::default()));
    }
    if erase.spares(file, schema) {
        return Ok(None);
    }
    let (going, total) = count(erase, table, file, schema).await?;
    if going == 0 {
        return Ok(None);
    }
    let mut unnamed = Unnamed::default();
    if going == total {
        return Ok(gone(vec![], unnamed));
    }
    let rest = write_rest(erase, table, file, schema).await?;
    unnamed.add(table, &rest);
    Ok(gone(rest, unnamed))
}

/// Rows of a file that go, and all its rows; reads only the columns that decide.
async fn count(erase: &Erase, table: &Table, file: &DataFile, schema: &SchemaRef) -> Result<(u64, u64)> {
    let location = &table.location;
    let columns = erase.columns().into_iter().map(|name| {
        schema
            .field_with_name(name)
            .cloned()
            .map_err(|_| location.error(ErrorKind::SchemaChanged, format!("has no column `{name}`")))
    });
    let schema: SchemaRef = Arc::new(Schema::new(columns.collect::<Result<Vec<_>>>()?));
    let (erase, file, inner) = (erase.clone(), file.clone(), location.clone());
    let counted = apart(location, async move {
        let (mut going, mut total) = (0, 0);
        let mut batches = batches_of(&inner, &file, &schema, None).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            going += erase.goes(&inner, &batch)?.true_count() as u64;
            total += batch.num_rows() as u64;
        }
        Ok((going, total))
    });
    counted.await
}

async fn write_rest(erase: &Erase, table: &Table, file: &DataFile, schema: &SchemaRef) -> Result<Vec<Add>> {
    let mut writer = FileWriter::start(table, schema, &table.partition_columns()?)?;
    let mut batches = Box::pin(stream_files(&table.location, vec![file.clone()], schema));
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let stays = not(&erase.goes(&table.location, &batch)?)?;
        writer.write(&filter_record_batch(&batch, &stays)?).await?;
    }
    let mut rest = writer.finish().await?;
    for add in &mut rest {
        // Rows keep their place among the table's files.
        add.modification_time = file.modified;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_at_once() {
        let window = |column: &str, from, until| Erase::Window {
            column: column.to_owned(),
            from: Value::Date(from),
            until: Value::Date(until),
        };
        let equal = |region: &str, day| {
            Erase::Equal(vec![
                ("day".to_owned(), Value::Date(day)),
                ("region".to_owned(), Value::Text(region.to_owned())),
            ])
        };
        let keys =
            || Erase::Keys { columns: vec!["id".to_owned()], keys: Arc::default(), bounds: vec![None] };
        for (one, other, spared) in [
            (Erase::Nothing, Erase::Nothing, true),
            (Erase::Nothing, Erase::Everything, true),
            (Erase::Nothing, keys(), true),
            (window("dt", 1, 2), window("dt", 2, 3), true),
            (window("dt", 1, 3), window("dt", 2, 3), false),
            (window("dt", 1, 2), window("day", 2, 3), false),
            (equal("mrf1", 1), equal("mrf2", 1), true),
            (equal("mrf1", 1), equal("mrf1", 1), false),
            (equal("mrf1", 1), window("day", 2, 3), false),
            (keys(), keys(), false),
            (Erase::Everything, Erase::Everything, false),
        ] {
            assert_eq!(one.spares_rows_of(&other), spared, "{one:?} and {other:?}");
            assert_eq!(other.spares_rows_of(&one), spared, "{other:?} and {one:?}");
        }
    }
}
