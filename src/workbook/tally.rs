//! Totals, computed exactly: integers and decimals in 256 bits, doubles by compensated summation.

use arrow::datatypes::i256;

use super::{
    cell::{Cell, Cells, date, float, instant, wide},
    spec::Total,
};

/// A column's total so far.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    total: Total,
    /// Cells that hold something.
    present: u64,
    /// Values that are numbers (NaN and infinities are not).
    numbers: u64,
    sum: Sum,
    extreme: Option<Number>,
    shape: Shape,
}

/// How a number is shown again.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Scaled(i8),
    Date,
    Instant(crate::model::value::Tick, Option<chrono_tz::Tz>),
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Number {
    Exact(i256),
    Float(f64),
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    exact: i256,
    overflowed: bool,
    float: f64,
    compensation: f64,
    floats: bool,
}

impl Tally {
    pub(super) fn new(total: Total) -> Self {
        let (sum, extreme, shape) = (Sum::default(), None, Shape::Scaled(0));
        Self { total, present: 0, numbers: 0, sum, extreme, shape }
    }

    /// Which total it is.
    pub(super) fn total(&self) -> Total {
        self.total
    }

    /// Takes the rows of a batch in.
    pub(super) fn add(&mut self, cells: &Cells) {
        let array = cells.array();
        if self.total == Total::Count {
            self.present += match cells {
                // An empty text leaves its cell empty, so Excel does not count it either.
                Cells::Text(texts) => texts.iter().flatten().filter(|text| !text.is_empty()).count() as u64,
                _ => (array.len() - array.null_count()) as u64,
            };
            return;
        }
        match cells {
            Cells::Int(values) => self.add_exact(values.iter().flatten().map(|v| i256::from_i128(v.into()))),
            Cells::Unsigned(values) => {
                self.add_exact(values.iter().flatten().map(|v| i256::from_i128(v.into())));
            }
            Cells::Decimal(values, scale) => {
                self.shape = Shape::Scaled(*scale);
                self.add_exact(values.iter().flatten().map(i256::from_i128));
            }
            Cells::Wide(values, scale) => {
                self.shape = Shape::Scaled(*scale);
                self.add_exact(values.iter().flatten());
            }
            Cells::Date(values) => {
                self.shape = Shape::Date;
                self.add_exact(values.iter().flatten().map(|v| i256::from_i128(v.into())));
            }
            Cells::Instant(values, unit, zone) => {
                self.shape = Shape::Instant(*unit, *zone);
                self.add_exact(values.iter().flatten().map(|v| i256::from_i128(v.into())));
            }
            Cells::Time(values) => {
                self.shape = Shape::Time;
                self.add_exact(values.iter().flatten().map(|v| i256::from_i128(v.into())));
            }
            Cells::Float(values) => self.add_floats(values.iter().flatten()),
            Cells::Bool(_) | Cells::Text(_) => {}
        }
    }

    fn add_exact(&mut self, values: impl Iterator<Item = i256>) {
        for value in values {
            self.numbers += 1;
            match self.total {
                Total::Min | Total::Max => self.meet(Number::Exact(value)),
                _ => match self.sum.exact.checked_add(value) {
                    Some(sum) => self.sum.exact = sum,
                    None => self.sum.overflowed = true,
                },
            }
        }
    }

    fn add_floats(&mut self, values: impl Iterator<Item = f64>) {
        self.sum.floats = true;
        for value in values.filter(|value| value.is_finite()) {
            self.numbers += 1;
            match self.total {
                Total::Min | Total::Max => self.meet(Number::Float(value)),
                _ => self.sum.compensate(value),
            }
        }
    }

    fn meet(&mut self, value: Number) {
        let better = match (self.extreme, self.total) {
            (None, _) => true,
            (Some(best), Total::Min) => value < best,
            (Some(best), _) => value > best,
        };
        if better {
            self.extreme = Some(value);
        }
    }

    /// What stands under the column; nothing where no value says anything (an average of no rows).
    pub(super) fn result(&self) -> Cell<'static> {
        let scale = if let Shape::Scaled(scale) = self.shape { scale } else { 0 };
        match self.total {
            Total::Count => wide(i256::from_i128(self.present.into()), 0),
            Total::Sum if self.sum.overflowed => Cell::Empty,
            Total::Sum if self.sum.floats => float(self.sum.float + self.sum.compensation),
            Total::Sum => wide(self.sum.exact, scale),
            Total::Average if self.numbers == 0 || self.sum.overflowed => Cell::Empty,
            Total::Average if self.sum.floats => {
                float((self.sum.float + self.sum.compensation) / self.numbers as f64)
            }
            Total::Average => quotient(self.sum.exact, self.numbers, scale),
            Total::Min | Total::Max => match self.extreme {
                None => Cell::Empty,
                Some(Number::Float(value)) => float(value),
                Some(Number::Exact(value)) => self.shape.show(value),
            },
        }
    }
}

impl Shape {
    fn show(self, value: i256) -> Cell<'static> {
        let ticks = value.to_i128().and_then(|value| i64::try_from(value).ok());
        match (self, ticks) {
            (Self::Scaled(scale), _) => wide(value, scale),
            (Self::Date, Some(days)) => i32::try_from(days).map_or(Cell::Empty, date),
            (Self::Instant(unit, zone), Some(ticks)) => instant(ticks, unit, zone),
            (Self::Time, Some(nanoseconds)) => Cell::Number(nanoseconds as f64 / (86_400.0 * 1e9)),
            (_, None) => Cell::Empty,
        }
    }
}

impl Sum {
    /// Neumaier's step: keeps what an addition rounds away.
    fn compensate(&mut self, value: f64) {
        let sum = self.float + value;
        self.compensation += if self.float.abs() >= value.abs() {
            (self.float - sum) + value
        } else {
            (value - sum) + self.float
        };
        self.float = sum;
    }
}

/// `sum / count`, to 20 places before the one rounding to a double.
fn quotient(sum: i256, count: u64, scale: i8) -> Cell<'static> {
    const PLACES: i32 = 20;
    let count = i256::from_i128(count.into());
    let whole = sum.wrapping_div(count);
    let mut rest = sum.wrapping_rem(count).wrapping_abs();
    let mut digits = whole.wrapping_abs().to_string();
    for _ in 0..PLACES {
        rest = rest.wrapping_mul(i256::from_i128(10));
        digits.push_str(&rest.wrapping_div(count).to_string());
        rest = rest.wrapping_rem(count);
    }
    let sign = if sum.is_negative() { "-" } else { "" };
    format!("{sign}{digits}e{}", -PLACES - i32::from(scale)).parse().map_or(Cell::Empty, float)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    };

    use super::*;

    fn total(total: Total, array: impl Array + 'static) -> Cell<'static> {
        let array: ArrayRef = Arc::new(array);
        let mut tally = Tally::new(total);
        let half = array.len() / 2;
        for part in [array.slice(0, half), array.slice(half, array.len() - half)] {
            tally.add(&Cells::of(&part, chrono_tz::UTC).unwrap());
        }
        tally.result()
    }

    fn decimals(values: Vec<i128>) -> Decimal128Array {
        Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap()
    }

    #[test]
    fn integers_do_not_round() {
        let values = || Int64Array::from(vec![Some(i64::MAX), None, Some(-1), Some(1), Some(-i64::MAX + 7)]);
        assert_eq!(total(Total::Sum, values()), Cell::Number(7.0));
        assert_eq!(total(Total::Average, values()), Cell::Number(1.75));
        assert_eq!(total(Total::Count, values()), Cell::Number(4.0));
        assert!(matches!(total(Total::Max, values()), Cell::Exact(text, _) if text == "9223372036854775807"));
        assert!(
            matches!(total(Total::Min, values()), Cell::Exact(text, _) if text == "-9223372036854775800")
        );
    }

    #[test]
    fn decimals_do_not_round() {
        assert_eq!(total(Total::Sum, decimals(vec![10; 10])), Cell::Number(1.0));
        assert_eq!(total(Total::Average, decimals(vec![100, 0, 0])), Cell::Number(1.0 / 3.0));
        assert_eq!(total(Total::Average, decimals(vec![-1, 0])), Cell::Number(-0.005));
        let huge = total(Total::Sum, decimals(vec![10_i128.pow(37), 1]));
        assert!(matches!(huge, Cell::Exact(text, _) if text == "100000000000000000000000000000000000.01"));
    }

    #[test]
    fn floats_keep_what_addition_rounds_away() {
        let values = || Float64Array::from(vec![1e16, 1.0, f64::NAN, -1e16, f64::INFINITY]);
        assert_eq!(total(Total::Sum, values()), Cell::Number(1.0));
        assert_eq!(total(Total::Max, values()), Cell::Number(1e16));
        assert_eq!(total(Total::Count, values()), Cell::Number(5.0));
        assert_eq!(total(Total::Average, Float64Array::from(vec![f64::NAN])), Cell::Empty);
    }

    #[test]
    fn days_and_texts() {
        let days = Date32Array::from(vec![Some(0), None, Some(31)]);
        assert_eq!(total(Total::Max, days), Cell::Number(25_600.0));
        let texts = StringArray::from(vec![Some("a"), Some(""), None, Some("б")]);
        assert_eq!(total(Total::Count, texts), Cell::Number(2.0));
        assert_eq!(total(Total::Sum, Int64Array::from(Vec::<i64>::new())), Cell::Number(0.0));
    }
}
