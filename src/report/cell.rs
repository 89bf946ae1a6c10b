//! One value of an answer, exact: decimals keep their digits until they are shown.

use std::cmp::Ordering;

use chrono::{NaiveDate, NaiveDateTime};

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Empty,
    /// `unscaled × 10^-scale`; whole numbers have scale 0.
    Decimal {
        /// All digits.
        unscaled: i128,
        /// Digits behind the comma.
        scale: u8,
    },
    /// A double; NaN and the infinities among them.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// A day.
    Date(NaiveDate),
    /// A wall-clock time, instants in the reader's zone.
    Moment(NaiveDateTime),
    /// Anything else.
    Text(String),
}

impl Cell {
    /// A whole number.
    pub fn int(value: impl Into<i128>) -> Self {
        Self::Decimal { unscaled: value.into(), scale: 0 }
    }

    /// As a finite number; `None` for NULL, NaN, the infinities and what is no number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Decimal { unscaled, scale } => Some(*unscaled as f64 / 10f64.powi(i32::from(*scale))),
            Self::Float(value) => value.is_finite().then_some(*value),
            _ => None,
        }
    }

    /// Whether it is of a numeric type.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Decimal { .. } | Self::Float(_))
    }

    /// Digits behind the comma that it needs, two at most.
    pub(super) fn places(&self) -> u8 {
        match self {
            Self::Decimal { unscaled, scale } => {
                let (mut unscaled, mut scale) = (*unscaled, *scale);
                while scale > 0 && unscaled % 10 == 0 {
                    (unscaled, scale) = (unscaled / 10, scale - 1);
                }
                scale.min(2)
            }
            Self::Float(value) if value.is_finite() => {
                let cents = (value * 100.0).round();
                if cents % 100.0 == 0.0 {
                    0
                } else if cents % 10.0 == 0.0 {
                    1
                } else {
                    2
                }
            }
            _ => 0,
        }
    }

    /// NULLs and what has no order among others come last.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Moment(a), Self::Moment(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
        }
    }
}

/// A sum that loses nothing while all its parts are exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sum {
    /// No number yet.
    Nothing,
    /// Exact.
    Exact(i128, u8),
    /// Of doubles, or past 38 digits.
    Rough(f64),
}

impl Sum {
    /// Adds a value; NULL and what is no number count for nothing, NaN makes the sum NaN.
    pub(super) fn add(self, cell: &Cell) -> Self {
        match (self, cell) {
            (Self::Nothing, Cell::Decimal { unscaled, scale }) => Self::Exact(*unscaled, *scale),
            (Self::Exact(sum, left), Cell::Decimal { unscaled, scale }) => {
                let common = left.max(*scale);
                let widened =
                    |value: i128, from: u8| value.checked_mul(10i128.checked_pow(u32::from(common - from))?);
                let exact = widened(sum, left).zip(widened(*unscaled, *scale));
                match exact.and_then(|(one, two)| one.checked_add(two)) {
                    Some(sum) => Self::Exact(sum, common),
                    None => Self::Rough(self.rough() + cell.number().unwrap_or_default()),
                }
            }
            (Self::Rough(sum), Cell::Decimal { .. }) => Self::Rough(sum + cell.number().unwrap_or_default()),
            (_, Cell::Float(value)) => Self::Rough(self.rough() + value),
            (sum, _) => sum,
        }
    }

    fn rough(self) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Exact(unscaled, scale) => unscaled as f64 / 10f64.powi(i32::from(scale)),
            Self::Rough(sum) => sum,
        }
    }

    /// As a value; empty where there was no number.
    pub(super) fn cell(self) -> Cell {
        match self {
            Self::Nothing => Cell::Empty,
            Self::Exact(unscaled, scale) => Cell::Decimal { unscaled, scale },
            Self::Rough(sum) => Cell::Float(sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(unscaled: i128, scale: u8) -> Cell {
        Cell::Decimal { unscaled, scale }
    }

    #[test]
    fn sums_are_exact_while_they_can_be() {
        let cells = [decimal(10, 1), Cell::Empty, decimal(20, 2), Cell::Text("7".into())];
        let sum = cells.iter().fold(Sum::Nothing, Sum::add);
        assert_eq!(sum, Sum::Exact(120, 2));
        assert_eq!(sum.add(&Cell::Float(0.5)), Sum::Rough(1.7));
        assert!(matches!(Sum::Exact(i128::MAX, 0).add(&Cell::int(1)), Sum::Rough(_)));
        assert!(matches!(Sum::Nothing.add(&Cell::Float(f64::NAN)).cell(), Cell::Float(sum) if sum.is_nan()));
        assert_eq!(Sum::Nothing.add(&Cell::Empty).cell(), Cell::Empty);
    }

    #[test]
    fn places_that_are_needed() {
        assert_eq!([decimal(1500, 3), decimal(1550, 3), decimal(1555, 3)].map(|c| c.places()), [1, 2, 2]);
        assert_eq!(
            [Cell::Float(2.0), Cell::Float(0.1), Cell::Float(f64::NAN)].map(|c| c.places()),
            [0, 1, 0]
        );
    }
}
