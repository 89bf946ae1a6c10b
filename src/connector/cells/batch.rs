//! Batches of typed columns against a contract: what does not decode is a bad row, never a silent NULL or a rounded value.

use std::sync::Arc;

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
        UInt64Array,
    },
    compute::{
        CastOptions, can_cast_types, cast_with_options, filter, filter_record_batch, is_not_null,
        kernels::cmp, not,
    },
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
    json::{WriterBuilder, writer::LineDelimited},
};
use chrono_tz::Tz;

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        source::{BadRow, Chunk},
    },
    model::column::{Contract, Unlisted},
};

/// Decodes a table's rows.
#[derive(Debug, Clone)]
pub struct BatchDecoder {
    /// All columns as the table has them: a bad row is kept whole.
    pub source: SchemaRef,
    /// Columns as the rows come out.
    pub target: SchemaRef,
    /// For each column of `target`, its number in `source`.
    picked: Vec<usize>,
    null_values: Vec<String>,
    zone: Tz,
    /// A column that the contract does not name, where that makes every row bad.
    unlisted: Option<String>,
}

/// What is wrong with a row, and in which column; `None` = nothing.
type Fault = Option<(Option<String>, String)>;

impl BatchDecoder {
    /// Rows of `declared` against a contract; without one they come as they are. `shown` is how messages name the table.
    pub fn new(shown: &str, declared: &SchemaRef, contract: Option<&Contract>, zone: Tz) -> Result<Self> {
        let Some(contract) = contract else {
            return Ok(Self {
                source: declared.clone(),
                target: declared.clone(),
                picked: (0..declared.fields().len()).collect(),
                null_values: vec![],
                zone,
                unlisted: None,
            });
        };
        let (mut picked, mut target): (Vec<usize>, Vec<FieldRef>) = (vec![], vec![]);
        for (name, column) in &contract.columns {
            let Ok(at) = declared.index_of(name) else {
                return Err(missing(shown, name, declared));
            };
            let field = declared.field(at);
            let to = column.kind.arrow();
            if !can_cast_types(field.data_type(), to) {
                let what =
                    format!("column `{name}` is {} and cannot be read as {}", field.data_type(), column.kind);
                return Err(Error::new(ErrorKind::SchemaChanged, format!("{shown}: {what}"))
                    .hint("change the contract"));
            }
            picked.push(at);
            target.push(Arc::new(Field::new(name, to.clone(), column.nullable)));
        }
        let others = declared.fields().iter().enumerate();
        let mut unlisted = None;
        for (at, field) in others.filter(|(_, field)| !contract.columns.contains_key(field.name())) {
            match contract.unlisted {
                Unlisted::Drop => {}
                Unlisted::Keep => {
                    picked.push(at);
                    target.push(field.clone());
                }
                Unlisted::Bad => unlisted = unlisted.or_else(|| Some(field.name().clone())),
            }
        }
        Ok(Self {
            source: declared.clone(),
            target: Arc::new(Schema::new(target)),
            picked,
            null_values: contract.null_values.clone(),
            zone,
            unlisted,
        })
    }

    /// The decoder of a unit that was planned with `schema`: columns that were added since are not its own.
    pub fn of_unit(
        shown: &str,
        declared: &SchemaRef,
        contract: Option<&Contract>,
        zone: Tz,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let passes_others_on = contract.is_none_or(|contract| contract.unlisted == Unlisted::Keep);
        let own = |field: &&FieldRef| !passes_others_on || schema.field_with_name(field.name()).is_ok();
        let fields: Vec<FieldRef> = declared.fields().iter().filter(own).cloned().collect();
        let decoder = Self::new(shown, &Arc::new(Schema::new(fields)), contract, zone)?;
        if decoder.target == *schema {
            return Ok(decoder);
        }
        let message = format!("{shown}: has other columns than when its slice was planned");
        Err(Error::new(ErrorKind::SchemaChanged, message))
    }

    /// Decodes a batch of `source`, whose rows have these numbers in their unit.
    pub fn decode(&self, batch: &RecordBatch, ordinals: UInt64Array) -> Result<Chunk> {
        let rows = batch.num_rows();
        // One for each row once there is any; most batches have none.
        let mut bad: Vec<Fault> = match &self.unlisted {
            None => vec![],
            Some(column) => {
                vec![Some((Some(column.clone()), "the contract does not name it".to_owned())); rows]
            }
        };
        let mut columns = vec![];
        for (at, to) in self.picked.iter().zip(self.target.fields()) {
            let from = self.source.field(*at);
            let (decoded, lost) = self.column(batch.column(*at), to.data_type())?;
            let lost = lost.filter(|lost| lost.true_count() > 0);
            if lost.is_none() && (to.is_nullable() || decoded.null_count() == 0) {
                columns.push(decoded);
                continue;
            }
            bad.resize(rows, None);
            for (row, fault) in bad.iter_mut().enumerate() {
                let reason = if lost.as_ref().is_some_and(|lost| lost.value(row)) {
                    format!("{} in a column of type {}", from.data_type(), to.data_type())
                } else if !to.is_nullable() && decoded.is_null(row) {
                    "NULL in a column that is not nullable".to_owned()
                } else {
                    continue;
                };
                fault.get_or_insert((Some(to.name().clone()), reason));
            }
            columns.push(decoded);
        }
        self.chunk(batch, columns, bad, ordinals)
    }

    fn chunk(
        &self,
        batch: &RecordBatch,
        columns: Vec<ArrayRef>,
        bad: Vec<Fault>,
        ordinals: UInt64Array,
    ) -> Result<Chunk> {
        let options = |rows| RecordBatchOptions::new().with_row_count(Some(rows));
        if bad.iter().all(Option::is_none) {
            let decoded =
                RecordBatch::try_new_with_options(self.target.clone(), columns, &options(batch.num_rows()))?;
            return Ok(Chunk { batch: decoded, ordinals, bad: vec![] });
        }
        let good: BooleanArray = bad.iter().map(|bad| Some(bad.is_none())).collect();
        let columns = columns.iter().map(|column| filter(column, &good)).collect::<Result<Vec<_>, _>>()?;
        let decoded =
            RecordBatch::try_new_with_options(self.target.clone(), columns, &options(good.true_count()))?;
        let sources = raw_rows(&filter_record_batch(batch, &not(&good)?)?)?;
        let found = bad.into_iter().enumerate().filter_map(|(row, bad)| Some((row, bad?)));
        let bad = found.zip(sources).map(|((row, (column, reason)), row_of_source)| BadRow {
            ordinal: ordinals.value(row),
            column,
            reason,
            row: row_of_source,
        });
        let bad = bad.collect();
        Ok(Chunk { batch: decoded, ordinals: filter(&ordinals, &good)?.as_primitive().clone(), bad })
    }

    /// A column in another type, and for each row whether its value did not come through.
    fn column(&self, column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Option<BooleanArray>)> {
        let column = self.without_null_values(column)?;
        let from = column.data_type().clone();
        if from == *to {
            return Ok((column, None));
        }
        let mut decoded = column.clone();
        for step in self.steps(&from, to) {
            decoded = lenient(&decoded, &step)?;
        }
        let mut lost: BooleanArray =
            (0..column.len()).map(|row| Some(column.is_valid(row) && decoded.is_null(row))).collect();
        if from == DataType::Utf8 {
            if let Some(cut) = cut_text(&column, &decoded, to)? {
                lost = arrow::compute::or(&lost, &cut)?;
            }
        } else if *to != DataType::Utf8 && !takes(to, &from) {
            let back = match (&from, to) {
                // The zone is no part of what may be lost, the unit is.
                (DataType::Timestamp(_, None), DataType::Timestamp(unit, Some(_))) => {
                    lenient(&lenient(&column, &DataType::Timestamp(*unit, None))?, &from)?
                }
                _ => lenient(&decoded, &from)?,
            };
            let changed = cmp::distinct(&back, &column)?;
            lost = arrow::compute::or(&lost, &arrow::compute::and(&changed, &is_not_null(&column)?)?)?;
        }
        Ok((decoded, Some(lost)))
    }

    /// Types on the way: texts and wall-clock times become instants by way of the project's zone.
    fn steps(&self, from: &DataType, to: &DataType) -> Vec<DataType> {
        let without_zone = matches!(from, DataType::Utf8 | DataType::Timestamp(_, None));
        match to {
            DataType::Timestamp(unit, Some(_)) if without_zone => {
                vec![DataType::Timestamp(*unit, Some(self.zone.name().into())), to.clone()]
            }
            _ => vec![to.clone()],
        }
    }

    fn without_null_values(&self, column: &ArrayRef) -> Result<ArrayRef> {
        if self.null_values.is_empty() || column.data_type() != &DataType::Utf8 {
            return Ok(column.clone());
        }
        let texts = column.as_string::<i32>().iter();
        let texts = texts.map(|text| text.filter(|text| !self.null_values.iter().any(|null| null == text)));
        Ok(Arc::new(texts.collect::<StringArray>()))
    }
}

fn missing(shown: &str, name: &str, declared: &SchemaRef) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("{shown}: has no column `{name}`"));
    let names = declared.fields().iter().map(|field| field.name().as_str());
    match crate::model::problem::nearest(name, names) {
        Some(near) => error.hint(format!("is `{near}` meant?")),
        None => error,
    }
}

/// A cast that makes NULL of what does not fit; the caller tells those from NULLs that were there.
fn lenient(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(column, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

/// For each text whether digits of it were cut: `1.239` read as decimal(12,2), microseconds read as seconds.
fn cut_text(texts: &ArrayRef, decoded: &ArrayRef, to: &DataType) -> Result<Option<BooleanArray>> {
    match to {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
            let digits = usize::try_from(*scale).unwrap_or_default();
            let cut = |text: &str| {
                let fraction =
                    text.split_once('.').map_or("", |(_, fraction)| fraction.trim_end_matches('0'));
                fraction.len() > digits
            };
            Ok(Some(texts.as_string::<i32>().iter().map(|text| Some(text.is_some_and(cut))).collect()))
        }
        DataType::Timestamp(_, zone) => {
            let fine = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
            let (exact, read) =
                (lenient(texts, &DataType::Timestamp(TimeUnit::Nanosecond, None))?, lenient(decoded, &fine)?);
            let of = |column: &ArrayRef| {
                column.as_primitive::<arrow::datatypes::TimestampNanosecondType>().clone()
            };
            let (exact, read) = (of(&exact), of(&read));
            let second = 1_000_000_000;
            let cut = exact.iter().zip(read.iter()).map(|pair| match pair {
                (Some(exact), Some(read)) => Some(exact.rem_euclid(second) != read.rem_euclid(second)),
                _ => Some(false),
            });
            Ok(Some(cut.collect()))
        }
        _ => Ok(None),
    }
}

/// Whether a column of type `target` takes every value of type `rows`.
pub fn takes(target: &DataType, rows: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
    let whole_digits = |data_type: &DataType| match data_type {
        Int8 => Some(3),
        Int16 => Some(5),
        Int32 => Some(10),
        Int64 => Some(19),
        _ => None,
    };
    match (target, rows) {
        (target, rows) if target == rows => true,
        (Int16, Int8) | (Int32, Int8 | Int16) | (Int64, Int8 | Int16 | Int32) => true,
        (Float64, Float32 | Int8 | Int16 | Int32) | (Float32, Int8 | Int16) => true,
        (Decimal128(p, s), Decimal128(q, t)) => {
            s >= t && i16::from(*p) - i16::from(*s) >= i16::from(*q) - i16::from(*t)
        }
        (Decimal128(p, s), rows) => {
            whole_digits(rows).is_some_and(|digits| i16::from(*p) - i16::from(*s) >= digits)
        }
        (Boolean | Date32, _) => false,
        // Nested types are compared by what is in them; names of list items do not count.
        (DataType::List(target), DataType::List(rows)) => takes(target.data_type(), rows.data_type()),
        _ => false,
    }
}

/// Rows as they were in the source, column by column.
pub fn raw_rows(batch: &RecordBatch) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
    // Decimals go as text: numbers in JSON are read as doubles.
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Decimal128(..) | DataType::Decimal256(..) => lenient(column, &DataType::Utf8),
        _ => Ok(column.clone()),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let fields = batch.schema_ref().fields().iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(vec![]);
    writer.write(&batch)?;
    writer.finish()?;
    let lines =
        serde_json::Deserializer::from_slice(&writer.into_inner()).into_iter().collect::<Result<_, _>>();
    lines.map_err(|error| Error::new(ErrorKind::Internal, "bad rows cannot be written down").caused_by(error))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};

    use super::*;
    use crate::model::column::ContractColumn;

    fn decode(column: ArrayRef, kind: &str, nullable: bool) -> Chunk {
        let declared: SchemaRef =
            Arc::new(Schema::new(vec![Field::new("Знач", column.data_type().clone(), true)]));
        let contract = Contract {
            columns: [("Знач".to_owned(), ContractColumn { kind: kind.parse().unwrap(), nullable })].into(),
            unlisted: Unlisted::Drop,
            null_values: vec!["NA".to_owned()],
        };
        let zone: Tz = "Europe/Moscow".parse().unwrap();
        let decoder = BatchDecoder::new("table `t`", &declared, Some(&contract), zone).unwrap();
        let ordinals = UInt64Array::from_iter_values(10..10 + column.len() as u64);
        decoder.decode(&RecordBatch::try_new(declared, vec![column]).unwrap(), ordinals).unwrap()
    }

    fn bad(chunk: &Chunk) -> Vec<u64> {
        chunk.bad.iter().map(|bad| bad.ordinal).collect()
    }

    #[test]
    fn nothing_is_rounded_or_lost() {
        let numbers: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(1.0), Some(1.5), None, Some(f64::NAN)]));
        let chunk = decode(numbers, "int64", true);
        assert_eq!(bad(&chunk), [11, 13]);
        assert_eq!(chunk.ordinals.values().as_ref(), [10, 12]);
        assert_eq!(chunk.bad[0].row["Знач"], 1.5);
        let narrow = decode(Arc::new(Int64Array::from(vec![127, 128])), "int8", true);
        assert_eq!(bad(&narrow), [11]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1.20", "1.239", "NA", "x"]));
        assert_eq!(bad(&decode(texts, "decimal(12,2)", true)), [11, 13]);
        let times: ArrayRef =
            Arc::new(StringArray::from(vec!["2026-01-01T10:00:00", "2026-01-01T10:00:00.5"]));
        let chunk = decode(times, "timestamp(s, UTC)", true);
        assert_eq!(bad(&chunk), [11]);
        let read = chunk.batch.column(0).as_primitive::<arrow::datatypes::TimestampSecondType>();
        assert_eq!(read.value(0), 1_767_250_800, "wall-clock text is the project's time");
    }

    #[test]
    fn a_null_where_none_may_be_is_a_bad_row() {
        let chunk = decode(Arc::new(Int64Array::from(vec![Some(1), None])), "int64", false);
        assert_eq!(bad(&chunk), [11]);
        assert_eq!(chunk.bad[0].reason, "NULL in a column that is not nullable");
    }

    #[test]
    fn wider_columns_take_narrower_values() {
        assert!(takes(&DataType::Int64, &DataType::Int16));
        assert!(!takes(&DataType::Int32, &DataType::Int64));
        assert!(takes(&DataType::Decimal128(12, 2), &DataType::Int32));
        assert!(!takes(&DataType::Decimal128(11, 2), &DataType::Int32));
        assert!(takes(&DataType::Decimal128(14, 3), &DataType::Decimal128(12, 2)));
        assert!(!takes(&DataType::Decimal128(12, 3), &DataType::Decimal128(12, 2)));
        assert!(!takes(&DataType::Float64, &DataType::Int64));
        assert!(!takes(&DataType::Utf8, &DataType::Int64));
    }
}
