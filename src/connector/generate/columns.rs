//! Rows' identities in, Arrow columns out: every cell is a function of its row's key and its column's name.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
        StringBuilder, TimestampMillisecondArray, UInt32Array,
    },
    compute::{nullif, take},
    datatypes::{DataType, Int64Type, SchemaRef},
    error::ArrowError,
};

use super::{
    condition::Condition,
    config::{Column, Generate, Lookup, Normal, Scalar},
    draw::{Cumulative, below, mix, name_key, normal_quantile, normal_share, pick, shuffled, unit},
    shape::{self, PRECISION},
    walk::Block,
};

/// How all columns of one generator are made; those taken from its parent stand first.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) schema: SchemaRef,
    /// Columns taken from the parent.
    inherited: usize,
    makers: Vec<Maker>,
}

#[derive(Debug)]
struct Maker {
    key: u64,
    way: Way,
    data_type: DataType,
    when: Option<Condition>,
    missing: f64,
    anew: bool,
}

#[derive(Debug)]
enum Way {
    Sequence(i64),
    EventTime,
    Zipf { from: i64, weights: Cumulative },
    Uniform { from: i64, count: u64 },
    Normal { normal: Normal, low: f64, high: f64 },
    Choice { weights: Cumulative, texts: Vec<String> },
    Constant(ArrayRef),
    Lookup { by: usize, places: HashMap<String, u32>, values: ArrayRef },
    Pick { by: usize, texts: Vec<String> },
    Step(Vec<String>),
    Nth(i64),
}

impl Columns {
    /// `spec` is checked; `key` is that of its pipeline and member.
    pub(super) fn new(spec: &Generate, schema: SchemaRef, key: u64) -> Self {
        let inherited = schema.fields().len() - spec.columns.len();
        let makers = spec.columns.iter().map(|(name, column)| {
            let key = below(key, name_key(name));
            Maker {
                key,
                way: way(column, &schema, key),
                data_type: shape::data_type(column),
                when: column.when.as_deref().and_then(|text| Condition::parse(text).ok()),
                missing: column.missing.unwrap_or(0.0),
                anew: column.anew == Some(true),
            }
        });
        Self { inherited, makers: makers.collect(), schema }
    }

    /// Which columns must be made to have those that are wanted.
    pub(super) fn needed(&self, wanted: &[usize]) -> Vec<bool> {
        let mut needed = vec![false; self.schema.fields().len()];
        for index in wanted {
            needed[*index] = true;
        }
        for index in (self.inherited..needed.len()).rev() {
            if !needed[index] {
                continue;
            }
            let maker = &self.makers[index - self.inherited];
            if let Way::Lookup { by, .. } | Way::Pick { by, .. } = &maker.way {
                needed[*by] = true;
            }
            if let Some(when) = &maker.when {
                self.used_by(when).into_iter().for_each(|used| needed[used] = true);
            }
        }
        needed
    }

    /// Columns that a condition asks about.
    pub(super) fn used_by(&self, condition: &Condition) -> Vec<usize> {
        let mut used = vec![];
        condition.each_test(&mut |column, _, _| used.extend(self.schema.index_of(column)));
        used
    }

    /// Whether one of these columns counts rows from the very beginning.
    pub(super) fn counts(&self, needed: &[bool]) -> bool {
        let own = needed.iter().skip(self.inherited);
        self.makers.iter().zip(own).any(|(maker, needed)| *needed && matches!(maker.way, Way::Sequence(_)))
    }

    /// Makes the needed columns of a block; the others are `None`.
    pub(super) fn make(&self, block: &Block, needed: &[bool]) -> Result<Vec<Option<ArrayRef>>, ArrowError> {
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(needed.len());
        arrays.extend((0..self.inherited).map(|index| block.inherited.get(index).cloned()));
        for (maker, needed) in self.makers.iter().zip(&needed[self.inherited..]) {
            let array = if *needed { Some(self.column(maker, block, &arrays)?) } else { None };
            arrays.push(array);
        }
        Ok(arrays)
    }

    /// Whether each row meets a condition over columns that were made.
    pub(super) fn met(
        &self,
        condition: &Condition,
        arrays: &[Option<ArrayRef>],
        rows: usize,
    ) -> Result<BooleanArray, ArrowError> {
        condition.evaluate(&|name| {
            let index = self.schema.index_of(name).ok();
            let made = index.and_then(|index| arrays.get(index).cloned().flatten());
            made.unwrap_or_else(|| arrow::array::new_null_array(&DataType::Utf8, rows))
        })
    }

    fn column(
        &self,
        maker: &Maker,
        block: &Block,
        arrays: &[Option<ArrayRef>],
    ) -> Result<ArrayRef, ArrowError> {
        let rows = block.len();
        let when = maker.when.as_ref().map(|when| self.met(when, arrays, rows)).transpose()?;
        let filled = |row: usize| when.as_ref().is_none_or(|when| when.is_valid(row) && when.value(row));
        let array = match &maker.way {
            Way::Sequence(first) if when.is_some() => gapped_sequence(block, *first, filled),
            way => maker.values(way, block, arrays)?,
        };
        if when.is_none() && maker.missing == 0.0 {
            return Ok(array);
        }
        let lost_key = below(maker.key, 1);
        let empty: BooleanArray = (0..rows)
            .map(|row| !filled(row) || unit(mix(maker.row_key(block, row) ^ lost_key)) < maker.missing)
            .map(Some)
            .collect();
        nullif(&array, &empty)
    }
}

impl Maker {
    /// What this column's cell of a row is drawn from: the same in all rows of one parent, unless they are drawn anew.
    fn row_key(&self, block: &Block, row: usize) -> u64 {
        match block.steps[row] {
            step @ 1.. if self.anew => below(block.keys[row], u64::from(step)),
            _ => block.keys[row],
        }
    }

    /// What each row draws for this column.
    fn cells(&self, block: &Block) -> impl Iterator<Item = u64> {
        (0..block.len()).map(|row| mix(self.row_key(block, row) ^ self.key))
    }

    fn values(&self, way: &Way, block: &Block, arrays: &[Option<ArrayRef>]) -> Result<ArrayRef, ArrowError> {
        let by = |index: &usize| arrays[*index].clone().ok_or_else(|| missing_column(*index));
        let rows = block.len();
        Ok(match way {
            Way::Sequence(first) => {
                let first = first.wrapping_add(block.before as i64);
                Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| first.wrapping_add(row))))
            }
            Way::EventTime => event_times(block),
            Way::Zipf { from, weights } => {
                let draw = |cell| from + weights.find(unit(cell)) as i64;
                Arc::new(Int64Array::from_iter_values(self.cells(block).map(draw)))
            }
            Way::Uniform { from, count } => {
                let draw = |cell| from.wrapping_add(pick(cell, *count) as i64);
                Arc::new(Int64Array::from_iter_values(self.cells(block).map(draw)))
            }
            Way::Normal { normal, low, high } => self.amounts(block, normal, *low, *high),
            Way::Choice { weights, texts } => {
                chosen(rows, self.cells(block).map(|cell| texts[weights.find(unit(cell))].as_str()))
            }
            Way::Constant(value) => take(value, &UInt32Array::from(vec![0; rows]), None)?,
            Way::Lookup { by: index, places, values } => look_up(&by(index)?, places, values)?,
            Way::Pick { by: index, texts } => picked(&by(index)?, texts, self.key),
            Way::Step(texts) => chosen(
                rows,
                block.steps.iter().map(|step| texts[usize::from(*step).min(texts.len() - 1)].as_str()),
            ),
            Way::Nth(first) => {
                let numbers = block.steps.iter().map(|step| first.wrapping_add(i64::from(*step)));
                Arc::new(Int64Array::from_iter_values(numbers))
            }
        })
    }

    fn amounts(&self, block: &Block, normal: &Normal, low: f64, high: f64) -> ArrayRef {
        let draws = self.cells(block).map(|cell| {
            let share = (low + unit(cell) * (high - low)).clamp(1e-12, 1.0 - 1e-12);
            normal.mean + normal.sd * normal_quantile(share)
        });
        let Some(digits) = normal.decimals else {
            return Arc::new(Float64Array::from_iter_values(draws));
        };
        let scale = 10_f64.powi(i32::from(digits));
        let scaled = Decimal128Array::from_iter_values(draws.map(|draw| (draw * scale).round() as i128));
        Arc::new(scaled.with_data_type(self.data_type.clone()))
    }
}

fn way(column: &Column, schema: &SchemaRef, key: u64) -> Way {
    let index = |name: &str| schema.index_of(name).unwrap_or_default();
    if let Some(first) = column.sequence {
        Way::Sequence(first)
    } else if let Some(zipf) = &column.zipf {
        let count = zipf.to - zipf.from + 1;
        let weights = Cumulative::new((1..=count).map(|nth| (nth as f64).powf(-zipf.exponent)));
        Way::Zipf { from: zipf.from, weights }
    } else if let Some(uniform) = &column.uniform {
        let count = i128::from(uniform.to) - i128::from(uniform.from) + 1;
        Way::Uniform { from: uniform.from, count: u64::try_from(count).unwrap_or(u64::MAX) }
    } else if let Some(normal) = &column.normal {
        let share = |bound: Option<f64>| bound.map(|bound| normal_share((bound - normal.mean) / normal.sd));
        let (low, high) = (share(normal.min).unwrap_or(0.0), share(normal.max).unwrap_or(1.0));
        Way::Normal { normal: normal.clone(), low, high }
    } else if let Some(choice) = &column.choice {
        let weights = Cumulative::new(choice.values().copied());
        Way::Choice { weights, texts: choice.keys().cloned().collect() }
    } else if let Some(constant) = &column.constant {
        Way::Constant(plain_values(&[constant], &shape::scalar_type(constant)))
    } else if let Some(lookup) = &column.lookup {
        let places = lookup.values.keys().cloned().zip(0..).collect();
        Way::Lookup { by: index(&lookup.by), places, values: lookup_values(lookup) }
    } else if let Some(pick) = &column.pick {
        Way::Pick { by: index(&pick.by), texts: shuffled(&pick.from, key) }
    } else if let Some(steps) = &column.step {
        Way::Step(steps.clone())
    } else if let Some(first) = column.nth {
        Way::Nth(first)
    } else {
        Way::EventTime
    }
}

fn lookup_values(lookup: &Lookup) -> ArrayRef {
    let values: Vec<&Scalar> = lookup.values.values().collect();
    plain_values(&values, &shape::lookup_type(lookup))
}

pub(super) fn plain_values(values: &[&Scalar], data_type: &DataType) -> ArrayRef {
    let number = |value: &&Scalar| match value {
        Scalar::Int(number) => *number as f64,
        Scalar::Float(number) => *number,
        Scalar::Bool(_) | Scalar::Text(_) => 0.0,
    };
    match data_type {
        DataType::Boolean => {
            let truth = |value: &&Scalar| matches!(value, Scalar::Bool(true));
            Arc::new(values.iter().map(truth).map(Some).collect::<BooleanArray>())
        }
        DataType::Int64 => {
            let whole = |value: &&Scalar| if let Scalar::Int(number) = value { *number } else { 0 };
            Arc::new(Int64Array::from_iter_values(values.iter().map(whole)))
        }
        DataType::Float64 => Arc::new(Float64Array::from_iter_values(values.iter().map(number))),
        DataType::Decimal128(PRECISION, digits) => {
            let scale = 10_f64.powi(i32::from(*digits));
            let scaled = values.iter().map(|value| (number(value) * scale).round() as i128);
            Arc::new(Decimal128Array::from_iter_values(scaled).with_data_type(data_type.clone()))
        }
        _ => {
            let text =
                |value: &&Scalar| if let Scalar::Text(text) = value { text.clone() } else { String::new() };
            Arc::new(StringArray::from_iter_values(values.iter().map(text)))
        }
    }
}

fn chosen<'a>(rows: usize, texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows, rows * 16);
    texts.for_each(|text| builder.append_value(text));
    Arc::new(builder.finish())
}

/// Rising where the row counts: the number of rows before its minute, and its rank among the counting ones in it. So no two
/// are the same, and nothing before the minute must be made.
fn gapped_sequence(block: &Block, first: i64, counts: impl Fn(usize) -> bool) -> ArrayRef {
    let mut next = first;
    let numbers = (0..block.len()).map(|row| {
        if row == 0 || block.minutes[row] != block.minutes[row - 1] {
            next = first.wrapping_add(block.before as i64 + row as i64);
        }
        let number = next;
        next += i64::from(counts(row));
        number
    });
    Arc::new(Int64Array::from_iter_values(numbers))
}

/// Milliseconds, rising within each minute; as they are told where rows are.
fn event_times(block: &Block) -> ArrayRef {
    const TIME: u64 = 0x7469_6D65;
    if !block.times.is_empty() {
        return Arc::new(TimestampMillisecondArray::from(block.times.clone()).with_timezone("UTC"));
    }
    let offset =
        |row: usize| pick(below(mix(block.keys[row] ^ TIME), u64::from(block.steps[row])), 60_000) as i64;
    let mut times: Vec<i64> = (0..block.len()).map(|row| block.minutes[row] * 60_000 + offset(row)).collect();
    // Minutes rise already, so this orders each minute in itself.
    times.sort_unstable();
    Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
}

fn look_up(by: &ArrayRef, places: &HashMap<String, u32>, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let indices: UInt32Array = if let Some(texts) = by.as_string_opt::<i32>() {
        texts.iter().map(|text| text.and_then(|text| places.get(text).copied())).collect()
    } else {
        let numbers = by.as_primitive::<Int64Type>();
        numbers
            .iter()
            .map(|number| number.and_then(|number| places.get(&number.to_string()).copied()))
            .collect()
    };
    take(values, &indices, None)
}

fn picked(by: &ArrayRef, texts: &[String], key: u64) -> ArrayRef {
    let count = texts.len() as i64;
    let names: StringArray = if let Some(keys) = by.as_string_opt::<i32>() {
        let text = |name: &str| texts[pick(below(key, name_key(name)), count as u64) as usize].as_str();
        keys.iter().map(|name| name.map(text)).collect()
    } else {
        let text = |number: i64| texts[number.rem_euclid(count) as usize].as_str();
        by.as_primitive::<Int64Type>().iter().map(|number| number.map(text)).collect()
    };
    Arc::new(names)
}

fn missing_column(index: usize) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("column {index} was not made"))
}
