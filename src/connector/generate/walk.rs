//! Rows by time: which rows every minute has, and which of them give rise to children later.
//!
//! A minute's rows are a function of the generator's key, its specification and the minute alone. So a walk may begin
//! anywhere: at a position, or far enough back that no parent of a row due is missed. Blocks always hold whole minutes.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, UInt32Array},
    compute::{interleave, take},
    datatypes::Int64Type,
};

use super::{
    columns::Columns,
    condition::Condition,
    curve::{DAY, Placing, Rate},
    draw::{below, unit},
    listed::Listed,
};
use crate::connector::error::{Error, ErrorKind, Result};

/// Rows that a block has, more or less.
const BLOCK: usize = 8192;

/// One generator of one member, ready to make rows.
#[derive(Debug)]
pub(super) struct Maker {
    /// The seed, the pipeline and the member in one.
    pub(super) key: u64,
    /// The first minute that may have rows, in minutes since 1970.
    pub(super) origin: i64,
    pub(super) flow: Flow,
    pub(super) columns: Columns,
    /// Rows before each day since `origin`, as far as anybody asked.
    pub(super) days: Mutex<Vec<u64>>,
}

/// Where rows come from.
#[derive(Debug)]
pub(super) enum Flow {
    /// By themselves.
    Own(Rate),
    /// From another generator's rows.
    Born(Lineage),
    /// As they are told.
    Listed(Listed),
}

/// How rows of a parent give rise to children.
#[derive(Debug)]
pub(super) struct Lineage {
    pub(super) parent: Arc<Maker>,
    pub(super) when: Option<Condition>,
    pub(super) chance: f64,
    pub(super) placing: Placing,
    pub(super) follow: Option<Following>,
    /// Columns of the parent that the child takes.
    pub(super) inherited: Vec<usize>,
}

/// Rows that follow a child's first one.
#[derive(Debug)]
pub(super) struct Following {
    /// The share of rows that are followed by another one.
    pub(super) chance: f64,
    pub(super) placing: Placing,
    pub(super) most: u8,
}

impl Lineage {
    /// How long after its parent a row may appear at most, in minutes.
    fn reach(&self) -> i64 {
        let following = |follow: &Following| follow.placing.reach() * i64::from(follow.most);
        self.placing.reach() + self.follow.as_ref().map_or(0, following)
    }

    /// The minutes of a parent's children before `until`, from what the first one is drawn from. `days` are what the parent's row says of delays.
    fn minutes(&self, parent: i64, until: i64, key: u64, days: impl Fn(&Placing) -> Option<i64>) -> Vec<i64> {
        let mut minutes = vec![];
        let mut next = self.placing.place(parent, days(&self.placing), below(key, 1));
        while let Some(minute) = next.filter(|minute| *minute < until) {
            minutes.push(minute);
            let nth = minutes.len() as u64;
            let follow = self.follow.as_ref().filter(|follow| nth <= u64::from(follow.most));
            let follow = follow.filter(|follow| unit(below(key, 2 * nth)) < follow.chance);
            next = follow.and_then(|follow| {
                follow.placing.place(minute, days(&follow.placing), below(key, 2 * nth + 1))
            });
        }
        minutes
    }

    /// Columns of the parent that say how late children are.
    fn delays(&self) -> impl Iterator<Item = usize> {
        let follow = self.follow.as_ref().map(|follow| &follow.placing);
        [Some(&self.placing), follow].into_iter().flatten().filter_map(Placing::days_column)
    }
}

/// Rows of some whole minutes, by what makes each of them what it is.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// When each row happens, in minutes since 1970; never falling.
    pub(super) minutes: Vec<i64>,
    /// What its cells are drawn from.
    pub(super) keys: Vec<u64>,
    /// 0, or a child's number among those of its parent, from 0 on.
    pub(super) steps: Vec<u8>,
    /// To the millisecond, where rows are told.
    pub(super) times: Vec<i64>,
    /// Columns taken from the parent, where they are needed, or told.
    pub(super) inherited: Vec<ArrayRef>,
    /// Rows before the first one, since the origin (where somebody counts).
    pub(super) before: u64,
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    fn push(&mut self, minute: i64, key: u64, step: u8) {
        self.minutes.push(minute);
        self.keys.push(key);
        self.steps.push(step);
    }
}

impl Maker {
    /// Walks over `from .. until`. `before` = rows before `from`; `needed` = columns that will be made of the blocks.
    pub(super) fn walk(
        self: &Arc<Self>,
        from: i64,
        until: i64,
        before: u64,
        needed: &[bool],
    ) -> Result<Walk> {
        let births = match &self.flow {
            Flow::Own(_) | Flow::Listed(_) => None,
            Flow::Born(lineage) => Some(Births::new(lineage, from, until, needed)?),
        };
        Ok(Walk { maker: self.clone(), next: from.max(self.origin), until, before, births })
    }

    /// Rows before a minute, since the origin.
    pub(super) fn rows_before(self: &Arc<Self>, minute: i64) -> Result<u64> {
        let rate = match &self.flow {
            Flow::Own(rate) => rate,
            Flow::Listed(listed) => return Ok(listed.range(self.origin, minute).len() as u64),
            Flow::Born(_) => {
                let mut walk = self.walk(self.origin, minute, 0, &self.columns.needed(&[]))?;
                while walk.next_block()?.is_some() {}
                return Ok(walk.before);
            }
        };
        let whole_days = usize::try_from((minute - self.origin).max(0) / DAY).unwrap_or(0);
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if days.is_empty() {
            days.push(0);
        }
        while days.len() <= whole_days {
            let day = self.origin + (days.len() as i64 - 1) * DAY;
            let rows = days[days.len() - 1] + rate.rows(day, day + DAY);
            days.push(rows);
        }
        Ok(days[whole_days] + rate.rows(self.origin + whole_days as i64 * DAY, minute))
    }

    /// The longest `from .. end` up to `until` that has at most `limit` rows, or one minute that has more; and its rows.
    pub(super) fn cut(self: &Arc<Self>, from: i64, until: i64, limit: u64) -> Result<(i64, u64)> {
        let mut cut = Cut { end: until, rows: 0, limit };
        match &self.flow {
            Flow::Own(rate) => {
                rate.each_minute(from.max(self.origin), until, |minute, rows| cut.takes(minute, rows));
            }
            Flow::Born(_) | Flow::Listed(_) => {
                let mut walk = self.walk(from, until, 0, &self.columns.needed(&[]))?;
                'blocks: while let Some(block) = walk.next_block()? {
                    for minute in block.minutes.chunk_by(|a, b| a == b) {
                        if !cut.takes(minute[0], minute.len() as u64) {
                            break 'blocks;
                        }
                    }
                }
            }
        }
        Ok((cut.end, cut.rows))
    }
}

struct Cut {
    end: i64,
    rows: u64,
    limit: u64,
}

impl Cut {
    fn takes(&mut self, minute: i64, rows: u64) -> bool {
        if self.rows > 0 && self.rows + rows > self.limit {
            self.end = minute;
            return false;
        }
        self.rows += rows;
        true
    }
}

/// On its way through time, block by block.
#[derive(Debug)]
pub(super) struct Walk {
    maker: Arc<Maker>,
    /// Minutes before this one are done.
    next: i64,
    until: i64,
    before: u64,
    births: Option<Births>,
}

impl Walk {
    /// The next rows; `None` = `until` is reached.
    pub(super) fn next_block(&mut self) -> Result<Option<Block>> {
        let mut block = match (&self.maker.flow, &mut self.births) {
            (Flow::Own(rate), _) => {
                let mut block = Block::default();
                let mut next = self.until;
                rate.each_minute(self.next, self.until, |minute, rows| {
                    let key = rate.minute_key(minute);
                    (0..rows).for_each(|row| block.push(minute, below(key, row), 0));
                    next = minute + 1;
                    block.len() < BLOCK
                });
                self.next = next;
                block
            }
            (Flow::Born(lineage), Some(births)) => {
                let block = births.next_block(lineage, self.maker.key, self.until)?;
                self.next = births.done;
                block
            }
            (Flow::Listed(listed), _) => {
                let rows = listed.range(self.next, self.until);
                self.next = self.until;
                listed_block(listed, rows, self.maker.key)
            }
            (Flow::Born(_), None) => Block::default(),
        };
        block.before = self.before;
        self.before += block.len() as u64;
        Ok((block.len() > 0).then_some(block))
    }
}

/// Children that are not due yet, while their parents pass by.
#[derive(Debug)]
struct Births {
    parents: Box<Walk>,
    /// Columns of the parents that are made.
    needed: Vec<bool>,
    /// Whether children take their parents' columns: not where rows are only counted.
    inherits: bool,
    from: i64,
    /// Minutes of children before this one are done.
    done: i64,
    due: BTreeMap<Appearance, Child>,
    batches: usize,
}

/// When a child appears, its parent's minute and number in it, and its step: the order of children.
type Appearance = (i64, i64, u32, u8);

#[derive(Debug)]
struct Child {
    key: u64,
    /// Where its parent's columns are.
    batch: (usize, Arc<Vec<ArrayRef>>),
    row: usize,
}

impl Births {
    fn new(lineage: &Lineage, from: i64, until: i64, needed: &[bool]) -> Result<Self> {
        let parent = &lineage.parent;
        let inherits = needed.iter().take(lineage.inherited.len()).any(|needed| *needed);
        let mut wanted = lineage.when.as_ref().map(|when| parent.columns.used_by(when)).unwrap_or_default();
        wanted.extend(lineage.delays());
        if inherits {
            wanted.extend(&lineage.inherited);
        }
        let needed = parent.columns.needed(&wanted);
        let since = (from - lineage.reach()).max(parent.origin);
        let before = if parent.columns.counts(&needed) { parent.rows_before(since)? } else { 0 };
        let parents = Box::new(parent.walk(since, (until - 1).max(since), before, &needed)?);
        Ok(Self { parents, needed, inherits, from, done: from, due: BTreeMap::new(), batches: 0 })
    }

    /// Children of whole minutes, once no parent to come can have another one in them.
    fn next_block(&mut self, lineage: &Lineage, key: u64, until: i64) -> Result<Block> {
        loop {
            let parents_end = self.parents.next >= self.parents.until;
            // A parent to come is at `parents.next` or later, and its children later still.
            self.done = if parents_end { until } else { (self.parents.next + 1).min(until) };
            let later = self.due.split_off(&(self.done, i64::MIN, 0, 0));
            let ready = mem::replace(&mut self.due, later);
            if !ready.is_empty() || parents_end {
                return block_of(&ready, lineage, self.inherits);
            }
            if let Some(block) = self.parents.next_block()? {
                self.bear(&block, lineage, key, until)?;
            }
        }
    }

    /// Decides which of these parents have children, and when.
    fn bear(&mut self, block: &Block, lineage: &Lineage, key: u64, until: i64) -> Result<()> {
        let columns = &lineage.parent.columns;
        let arrays = columns.make(block, &self.needed).map_err(broken)?;
        let met = lineage.when.as_ref().map(|when| columns.met(when, &arrays, block.len())).transpose();
        let met = met.map_err(broken)?;
        let mut chosen: Vec<u32> = vec![];
        let mut born: Vec<(Appearance, u64, usize)> = vec![];
        let mut rank = 0;
        for row in 0..block.len() {
            let minute = block.minutes[row];
            rank = if row > 0 && block.minutes[row - 1] == minute { rank + 1 } else { 0 };
            let key = below(below(key, block.keys[row]), u64::from(block.steps[row]));
            let may = met.as_ref().is_none_or(|met| met.is_valid(row) && met.value(row));
            if !may || unit(below(key, 0)) >= lineage.chance {
                continue;
            }
            let days = |placing: &Placing| days_of(placing, &arrays, row);
            for (at, step) in lineage.minutes(minute, until, key, days).into_iter().zip(0_u8..) {
                if at >= self.from {
                    born.push(((at, minute, rank, step), key, chosen.len()));
                }
            }
            chosen.push(row as u32);
        }
        let batch = (self.batches, Arc::new(self.inherit(lineage, &arrays, chosen)?));
        self.batches += 1;
        let children = born.into_iter().map(|(at, key, row)| (at, Child { key, batch: batch.clone(), row }));
        self.due.extend(children);
        Ok(())
    }

    /// The parents' columns, of those rows that have children.
    fn inherit(
        &self,
        lineage: &Lineage,
        arrays: &[Option<ArrayRef>],
        rows: Vec<u32>,
    ) -> Result<Vec<ArrayRef>> {
        if !self.inherits {
            return Ok(vec![]);
        }
        let rows = UInt32Array::from(rows);
        let inherited = lineage.inherited.iter().filter_map(|index| arrays[*index].as_ref());
        inherited.map(|array| take(array, &rows, None).map_err(broken)).collect()
    }
}

/// What a parent's row says of a delay, in days.
fn days_of(placing: &Placing, arrays: &[Option<ArrayRef>], row: usize) -> Option<i64> {
    let array = arrays.get(placing.days_column()?)?.as_ref()?;
    let days = array.as_primitive_opt::<Int64Type>()?;
    days.is_valid(row).then(|| days.value(row))
}

/// Told rows, all of them at once: nobody tells many.
fn listed_block(listed: &Listed, rows: Range<usize>, key: u64) -> Block {
    let mut block = Block { inherited: listed.slice(&rows), ..Block::default() };
    for row in rows {
        block.push(listed.minute(row), below(key, row as u64), 0);
        block.times.push(listed.times[row]);
    }
    block
}

fn block_of(ready: &BTreeMap<Appearance, Child>, lineage: &Lineage, inherits: bool) -> Result<Block> {
    let mut block = Block::default();
    for ((minute, _, _, step), child) in ready {
        block.push(*minute, child.key, *step);
    }
    if !inherits || ready.is_empty() {
        return Ok(block);
    }
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let mut batches: Vec<&[ArrayRef]> = vec![];
    let mut rows: Vec<(usize, usize)> = Vec::with_capacity(ready.len());
    for child in ready.values() {
        let number = *numbers.entry(child.batch.0).or_insert_with(|| {
            batches.push(&child.batch.1);
            batches.len() - 1
        });
        rows.push((number, child.row));
    }
    for column in 0..lineage.inherited.len() {
        let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch[column].as_ref()).collect();
        block.inherited.push(interleave(&arrays, &rows).map_err(broken)?);
    }
    Ok(block)
}

/// Rows are made for their own columns, so this is a mistake of ours.
pub(super) fn broken(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, "made-up rows do not fit their own columns").caused_by(error)
}
