//! Whether rows fit their target's columns: casts that lose nothing, and for the rows that would lose something, why.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    buffer::BooleanBuffer,
    compute::{CastOptions, cast_with_options, filter_record_batch, kernels::cmp::not_distinct},
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};

/// A batch cut to the rows that fit, and the others.
pub(super) struct Fitted {
    /// Rows that fit, with the target's schema.
    pub batch: RecordBatch,
    /// Rows that do not: their index in the batch that was given, the column, the reason. Rising; the first column at fault only.
    pub misfits: Vec<Misfit>,
}

/// A row that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Index in the batch.
    pub row: usize,
    /// The target's column.
    pub column: String,
    /// Why, without the value.
    pub reason: String,
}

/// Casts every column to the target's type, by name; a column that the rows do not have becomes NULL.
pub(super) fn fit(batch: &RecordBatch, target: &SchemaRef) -> Result<Fitted, ArrowError> {
    if batch.schema_ref() == target {
        return Ok(Fitted { batch: batch.clone(), misfits: vec![] });
    }
    let mut columns = Vec::with_capacity(target.fields().len());
    let mut keep: Option<Vec<bool>> = None;
    let mut misfits = Vec::new();
    for field in target.fields() {
        let (array, lost) = match batch.column_by_name(field.name()) {
            Some(array) => cast_lossless(array, field.data_type())?,
            None => (new_null_array(field.data_type(), batch.num_rows()), None),
        };
        let mut fault = |row: usize, reason: String| {
            let keep = keep.get_or_insert_with(|| vec![true; batch.num_rows()]);
            if std::mem::replace(&mut keep[row], false) {
                misfits.push(Misfit { row, column: field.name().clone(), reason });
            }
        };
        for row in lost.iter().flat_map(|lost| lost.set_indices()) {
            fault(row, format!("does not fit {}", crate::model::column::ColumnType::of(field.data_type())));
        }
        if !field.is_nullable() && array.null_count() > 0 {
            (0..array.len())
                .filter(|row| array.is_null(*row))
                .for_each(|row| fault(row, "is NULL".to_owned()));
        }
        columns.push(array);
    }
    misfits.sort_by_key(|misfit| misfit.row);
    let nullable = relaxed(target, misfits.is_empty());
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let mut fitted = RecordBatch::try_new_with_options(nullable, columns, &options)?;
    if let Some(keep) = keep {
        fitted = filter_record_batch(&fitted, &BooleanArray::from(keep))?;
        let options = RecordBatchOptions::new().with_row_count(Some(fitted.num_rows()));
        fitted = RecordBatch::try_new_with_options(Arc::clone(target), fitted.columns().to_vec(), &options)?;
    }
    Ok(Fitted { batch: fitted, misfits })
}

/// The target's schema, all columns nullable where rows that break that are still in.
fn relaxed(target: &SchemaRef, clean: bool) -> SchemaRef {
    if clean {
        return Arc::clone(target);
    }
    let fields: Vec<_> =
        target.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(arrow::datatypes::Schema::new_with_metadata(fields, target.metadata().clone()))
}

/// The column in another type, and the rows whose value would not survive it.
fn cast_lossless(array: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Option<BooleanBuffer>), ArrowError> {
    if array.data_type() == to {
        return Ok((Arc::clone(array), None));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let cast = cast_with_options(array, to, &options)?;
    let mut lost = newly_null(array, &cast);
    if may_round(array.data_type(), to) {
        let back = cast_with_options(&cast, array.data_type(), &options)?;
        let same = not_distinct(&back, array)?;
        let changed = !same.values();
        lost = Some(match lost {
            Some(lost) => &lost | &changed,
            None => changed,
        });
    }
    Ok((cast, lost.filter(|lost| lost.count_set_bits() > 0)))
}

fn newly_null(before: &ArrayRef, after: &ArrayRef) -> Option<BooleanBuffer> {
    if after.null_count() == before.logical_null_count() {
        return None;
    }
    let valid_after = after.nulls()?.inner().clone();
    let lost = match before.logical_nulls() {
        Some(nulls) => nulls.inner() & &!&valid_after,
        None => !&valid_after,
    };
    Some(lost)
}

/// Whether a cast between these types can change a value without making it NULL.
fn may_round(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Date32, Date64, Decimal128, Decimal256, Float16, Float32, Float64, Time32, Time64, Timestamp,
    };
    match (from, to) {
        (Float16 | Float32 | Float64, _) => {
            to.is_integer() || to.is_decimal() || (to.is_floating() && to != &Float64)
        }
        (from, Float16 | Float32 | Float64) => from.is_numeric(),
        (Decimal128(_, before) | Decimal256(_, before), Decimal128(_, after) | Decimal256(_, after)) => {
            after < before
        }
        (Decimal128(_, scale) | Decimal256(_, scale), to) => to.is_integer() && *scale > 0,
        (Timestamp(before, _), Timestamp(after, _))
        | (Time32(before) | Time64(before), Time32(after) | Time64(after)) => before > after,
        (Timestamp(..), Date32 | Date64) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray},
        datatypes::{Field, Int32Type, Schema, TimeUnit},
    };

    use super::*;

    fn batch(array: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap()
    }

    fn target(kind: DataType, nullable: bool) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("x", kind, nullable)]))
    }

    fn rows(array: ArrayRef, kind: DataType, nullable: bool) -> (usize, Vec<usize>) {
        let fitted = fit(&batch(array), &target(kind, nullable)).unwrap();
        (fitted.batch.num_rows(), fitted.misfits.iter().map(|misfit| misfit.row).collect())
    }

    #[test]
    fn what_does_not_fit_is_told_and_taken_out() {
        let numbers = Arc::new(Int64Array::from(vec![Some(1), Some(1 << 40), None]));
        assert_eq!(rows(numbers.clone(), DataType::Int32, true), (2, vec![1]));
        assert_eq!(rows(numbers.clone(), DataType::Int32, false), (1, vec![1, 2]));
        let fitted = fit(&batch(numbers), &target(DataType::Int32, true)).unwrap();
        assert_eq!(fitted.batch.column(0).as_primitive::<Int32Type>().value(0), 1);
        assert_eq!(fitted.misfits[0].reason, "does not fit int32");
    }

    #[test]
    fn nothing_is_rounded_in_silence() {
        let floats = Arc::new(Float64Array::from(vec![1.0, 1.5, f64::NAN]));
        assert_eq!(rows(floats.clone(), DataType::Int64, true), (1, vec![1, 2]));
        assert_eq!(rows(floats, DataType::Decimal128(10, 1), true), (2, vec![2]));
        let times = Arc::new(TimestampMicrosecondArray::from(vec![1_000, 1_001]));
        assert_eq!(rows(times, DataType::Timestamp(TimeUnit::Millisecond, None), true), (1, vec![1]));
        let big = Arc::new(Int64Array::from(vec![(1 << 53) + 1, 1 << 53]));
        assert_eq!(rows(big, DataType::Float64, true), (1, vec![0]));
        let texts = Arc::new(StringArray::from(vec!["7", "seven"]));
        assert_eq!(rows(texts, DataType::Int64, true), (1, vec![1]));
    }

    #[test]
    fn a_column_that_is_missing_is_null() {
        let fitted = fit(
            &batch(Arc::new(Int64Array::from(vec![1]))),
            &Arc::new(Schema::new(vec![Field::new("y", DataType::Utf8, true)])),
        )
        .unwrap();
        assert_eq!(fitted.batch.column(0).null_count(), 1);
    }
}
