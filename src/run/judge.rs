//! Row judgement: what becomes of rows that do not decode or do not fit, by the pipeline's policy.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Map, Value as Json};

use super::fit::Misfit;
use crate::{
    config::project::{BadRowPolicy, BadRows},
    connector::{
        cells::{Cell, cell_as_json},
        error::{Error, ErrorKind, Result},
        source::{BadRow, Chunk},
    },
};

/// Rows that must have been seen before `max_bad` is judged.
pub(super) const JUDGED_FROM: u64 = 1_000;

/// Counts of one run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Source rows, bad ones included.
    pub rows: u64,
    /// Bad rows.
    pub bad: u64,
}

/// Judges the rows of one unit. Shared by the stream that feeds the sink and the story that commits.
pub(super) struct Judge {
    rules: BadRows,
    what: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Seen,
    letters: Vec<BadRow>,
    recent: VecDeque<(UInt64Array, RecordBatch)>,
}

impl Judge {
    /// A judge over one unit; `before` = what the run saw in earlier, committed units.
    pub(super) fn new(rules: BadRows, what: String, before: Seen) -> Self {
        Self { rules, what, state: Mutex::new(State { seen: before, ..State::default() }) }
    }

    /// Takes in a chunk as it was read: counts, keeps its rows until they have come out of the SQL, judges those that did not decode.
    pub(super) fn read(&self, chunk: &Chunk) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.rows += (chunk.batch.num_rows() + chunk.bad.len()) as u64;
        if self.rules.policy == BadRowPolicy::DeadLetter && chunk.batch.num_rows() > 0 {
            state.recent.push_back((chunk.ordinals.clone(), chunk.batch.clone()));
        }
        chunk.bad.iter().try_for_each(|row| self.bad(&mut state, || row.clone()))
    }

    /// Takes in rows that came out of the SQL and do not fit; `ordinals` are those of the whole batch that came out.
    pub(super) fn fitted(&self, ordinals: &UInt64Array, misfits: &[Misfit]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for misfit in misfits {
            let ordinal = ordinals.value(misfit.row);
            let row = source_row(&state.recent, ordinal);
            let (column, reason) = (Some(misfit.column.clone()), misfit.reason.clone());
            self.bad(&mut state, || BadRow { ordinal, column, reason, row })?;
        }
        if let Some(last) = ordinals.iter().flatten().last() {
            let passed = |rows: &UInt64Array| rows.value(rows.len() - 1) <= last;
            // The last chunk that came out may still have rows on their way, where a join makes several of one.
            while state.recent.len() > 1 && passed(&state.recent[0].0) {
                state.recent.pop_front();
            }
        }
        Ok(())
    }

    /// What was seen so far, earlier units included.
    pub(super) fn seen(&self) -> Seen {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    /// The dead letters gathered since they were last taken, once they are at least `least`.
    pub(super) fn take_letters(&self, least: usize) -> Vec<BadRow> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.letters.len() < least { vec![] } else { std::mem::take(&mut state.letters) }
    }

    fn bad(&self, state: &mut State, row: impl FnOnce() -> BadRow) -> Result<()> {
        state.seen.bad += 1;
        match self.rules.policy {
            BadRowPolicy::Stop => Err(self.stopped(&row())),
            BadRowPolicy::Skip => self.share(state),
            BadRowPolicy::DeadLetter => {
                let row = row();
                state.letters.push(row);
                self.share(state)
            }
        }
    }

    fn stopped(&self, row: &BadRow) -> Error {
        let column = row.column.as_ref().map_or(String::new(), |column| format!(" column `{column}`"));
        let reason = &row.reason;
        Error::new(
            ErrorKind::BadData,
            format!("a bad row in {} (row {} of this unit):{column} {reason}", self.what, row.ordinal + 1),
        )
        .hint("mend the row, or set `bad_rows = \"dead_letter\"` or `\"skip\"` in [source]")
    }

    fn share(&self, state: &State) -> Result<()> {
        let Some(most) = self.rules.max_share else { return Ok(()) };
        let Seen { rows, bad } = state.seen;
        if rows < JUDGED_FROM || (bad as f64) <= most * (rows as f64) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::BadData,
            format!(
                "too many bad rows in {}: {bad} of {rows}, more than max_bad = \"{}%\"",
                self.what,
                // 7% is kept as 0.07, and 0.07 × 100 is a little more than 7.
                (most * 1e8).round() / 1e6
            ),
        )
        .hint("look at them with `vitrina dead-letters list`, mend the source or raise `max_bad`"))
    }
}

/// The source row of an ordinal, as JSON.
fn source_row(recent: &VecDeque<(UInt64Array, RecordBatch)>, ordinal: u64) -> Map<String, Json> {
    let found = recent
        .iter()
        .find_map(|(ordinals, batch)| ordinals.values().binary_search(&ordinal).ok().map(|row| (batch, row)));
    found.map(|(batch, row)| row_as_json(batch, row)).unwrap_or_default()
}

/// A row as a dead letter keeps it: what has no cell of its own kind as text.
fn row_as_json(batch: &RecordBatch, row: usize) -> Map<String, Json> {
    let schema = batch.schema_ref();
    let columns = schema.fields().iter().zip(batch.columns());
    columns.map(|(field, array)| (field.name().clone(), cell_of(array, row))).collect()
}

fn cell_of(array: &ArrayRef, row: usize) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    let plain = match array.data_type() {
        DataType::Boolean => return cell_as_json(Cell::Bool(array.as_boolean().value(row))),
        DataType::Binary => return cell_as_json(Cell::Bytes(array.as_binary::<i32>().value(row))),
        kind if kind.is_signed_integer() => Some(DataType::Int64),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Some(DataType::Int64),
        kind if kind.is_floating() => Some(DataType::Float64),
        _ => None,
    };
    let cast = plain.and_then(|plain| cast(&array.slice(row, 1), &plain).ok());
    if let Some(integers) = cast.as_ref().and_then(|cast| cast.as_primitive_opt::<Int64Type>()) {
        return cell_as_json(Cell::Int(integers.value(0)));
    }
    if let Some(reals) = cast.as_ref().and_then(|cast| cast.as_primitive_opt::<Float64Type>()) {
        return cell_as_json(Cell::Real(reals.value(0)));
    }
    let options = FormatOptions::new().with_display_error(true);
    let text = ArrayFormatter::try_new(array.as_ref(), &options).map(|cells| cells.value(row).to_string());
    cell_as_json(Cell::Text(&text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::Int64Array,
        datatypes::{Field, Schema},
    };

    use super::*;

    fn judge(policy: BadRowPolicy, max_share: Option<f64>) -> Judge {
        Judge::new(BadRows { policy, max_share }, "p".to_owned(), Seen::default())
    }

    /// Good rows, then bad ones.
    fn chunk(good: usize, bad: u64) -> Chunk {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]));
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![7; good]));
        let bad = (good as u64..).take(bad as usize).map(|ordinal| BadRow {
            ordinal,
            column: Some("x".to_owned()),
            reason: "no number".to_owned(),
            row: Map::new(),
        });
        Chunk {
            batch: RecordBatch::try_new(schema, vec![rows]).unwrap(),
            ordinals: UInt64Array::from_iter_values(0..good as u64),
            bad: bad.collect(),
        }
    }

    fn told(judge: &Judge, chunk: &Chunk) -> String {
        judge.read(chunk).err().map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn a_share_is_judged_from_the_thousandth_row_on() {
        let judge = judge(BadRowPolicy::Skip, Some(0.07));
        assert_eq!(told(&judge, &chunk(0, 999)), "");
        assert_eq!(
            told(&judge, &chunk(0, 1)),
            "too many bad rows in p: 1000 of 1000, more than max_bad = \"7%\""
        );
    }

    #[test]
    fn a_share_at_the_edge_is_no_more_than_it() {
        let judge = judge(BadRowPolicy::DeadLetter, Some(0.01));
        assert_eq!(told(&judge, &chunk(990, 10)), "");
        assert_eq!(judge.take_letters(11).len(), 0);
        assert_eq!(judge.take_letters(10).len(), 10);
        assert!(told(&judge, &chunk(0, 1)).contains("11 of 1001"));
    }

    #[test]
    fn earlier_units_of_the_run_count() {
        let before = Seen { rows: 999, bad: 10 };
        let rules = BadRows { policy: BadRowPolicy::Skip, max_share: Some(0.01) };
        let judge = Judge::new(rules, "p".to_owned(), before);
        assert!(told(&judge, &chunk(0, 1)).contains("11 of 1000"));
    }

    #[test]
    fn without_a_share_none_is_too_many() {
        assert_eq!(told(&judge(BadRowPolicy::Skip, None), &chunk(0, 5_000)), "");
        assert!(told(&judge(BadRowPolicy::Stop, None), &chunk(1, 1)).contains("row 2 of this unit"));
    }
}
