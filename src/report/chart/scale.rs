//! The axis of values: round numbers, short labels, one unit said once.

use super::Measure;
use crate::{
    bot::words::Words,
    config::bot::Format,
    report::{
        cell::Cell,
        format::{self, Magnitude},
    },
};

/// A range of values with marks at round numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) step: f64,
    magnitude: Magnitude,
}

impl Scale {
    /// A range that holds all values; zero among them where it is asked for or near.
    pub(super) fn over(
        values: impl Iterator<Item = f64>,
        from_zero: bool,
        steps: f64,
        measure: &Measure,
    ) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let near = |one: f64, other: f64| one.abs() < 0.6 * other.abs();
        if from_zero || low >= high || near(low, high) || near(high, low) {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if low >= high {
            (low, high) = (0.0, 1.0);
        }
        let mut step = round((high - low) / steps);
        // Counted things have no halves.
        if measure.whole && step.fract() > 0.0 {
            step = if step < 1.0 { 1.0 } else { 5.0 };
        }
        let low = (low / step + 1e-9).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        let magnitude = match measure.format {
            Some(Format::Percent | Format::Text) => Magnitude::One,
            _ => Magnitude::of(high.abs().max(low.abs())),
        };
        Self { low, high, step, magnitude }
    }

    /// The round numbers, from low to high.
    pub(super) fn marks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count.min(50)).map(|at| self.low + at as f64 * self.step).collect()
    }

    /// Where a value lies, 0 at the low end and 1 at the high one.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// A mark's label, without its unit.
    pub(super) fn label(&self, value: f64, measure: &Measure, words: &Words) -> String {
        let percent = measure.format == Some(Format::Percent);
        let factor = if percent { 100.0 } else { 1.0 / self.magnitude.divisor() };
        let step = self.step * factor;
        let fits = |places: &i32| {
            (step * 10f64.powi(*places)).fract().min(1.0 - (step * 10f64.powi(*places)).fract()) < 1e-6
        };
        let places = (0..6).find(fits).unwrap_or(6) as u8;
        let places = if value.abs() < self.step * 1e-6 { 0 } else { places };
        let number = Cell::Float(value * factor);
        match measure.format {
            Some(Format::Text) => format::plain(&number, places),
            _ => format::digits(&number, places, words.language()),
        }
    }

    /// What all labels are in: `млн ₽`, `%`, `тыс. шт.`.
    pub(super) fn unit(&self, measure: &Measure, words: &Words) -> String {
        let unit = match measure.format {
            Some(Format::Rub) => "₽",
            Some(Format::Percent) => "%",
            _ => "",
        };
        let word = match self.magnitude {
            Magnitude::One => "",
            Magnitude::Thousand => words.thousands(),
            Magnitude::Million => words.millions(),
            Magnitude::Milliard => words.milliards(),
        };
        format!("{word} {unit}").trim().to_owned()
    }
}

/// 1, 2, 2.5 or 5 by a power of ten, not below.
fn round(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A value beside its mark: short, with its unit.
pub(super) fn value_label(value: f64, measure: &Measure, words: &Words) -> String {
    match measure.format {
        Some(Format::Percent) => format::percent(value, u8::from(value.abs() < 0.1), words.language()),
        Some(Format::Text) => format::plain(&Cell::Float(value), Cell::Float(value).places()),
        _ => format::short(value, words),
    }
}

/// A value in full words: `1,25 млн ₽`.
pub(super) fn value_with_unit(value: f64, measure: &Measure, words: &Words) -> String {
    let number = value_label(value, measure, words);
    match measure.format {
        Some(Format::Rub) => format::rubles(number, words.language()),
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::project::Language;

    fn labels(values: &[f64], format: Option<Format>) -> String {
        let (measure, words) = (Measure { format, whole: false }, Words::plain(Language::Ru));
        let scale = Scale::over(values.iter().copied(), false, 5.0, &measure);
        let marks: Vec<String> =
            scale.marks().iter().map(|mark| scale.label(*mark, &measure, &words)).collect();
        format!("{} | {}", marks.join(" "), scale.unit(&measure, &words)).replace(format::NARROW, "_")
    }

    #[test]
    fn marks_are_round_and_short() {
        assert_eq!(
            labels(&[120_000.0, 1_180_000.0], Some(Format::Rub)),
            "0 0,25 0,50 0,75 1,00 1,25 | млн ₽"
        );
        assert_eq!(labels(&[0.0, 40.0], None), "0 10 20 30 40 | ");
        assert_eq!(labels(&[0.02, 0.31], Some(Format::Percent)), "0 10 20 30 40 | %");
        assert_eq!(labels(&[-30.0, 70.0], None), "−40 −20 0 20 40 60 80 | ");
        assert_eq!(labels(&[12_000.0, 48_000.0], None), "0 10 20 30 40 50 | тыс.");
        assert_eq!(labels(&[1_500.0, 1_740.0], None), "1_500 1_550 1_600 1_650 1_700 1_750 | ");
    }

    #[test]
    fn counted_things_have_whole_marks() {
        let measure = Measure { format: None, whole: true };
        for most in 1..=1_000 {
            let scale = Scale::over([0.0, f64::from(most)].into_iter(), true, 5.0, &measure);
            let marks = scale.marks();
            assert!(marks.iter().all(|mark| mark.fract() == 0.0), "{most}: {marks:?}");
            assert!((2..=8).contains(&marks.len()), "{most}: {marks:?}");
        }
    }

    #[test]
    fn every_range_has_marks() {
        for values in
            [&[][..], &[0.0], &[5.0], &[-5.0], &[1e-12], &[1e15, 2e15], &[1e300], &[3.0, 3.000_000_1]]
        {
            let measure = Measure::default();
            let scale = Scale::over(values.iter().copied(), false, 5.0, &measure);
            let marks = scale.marks();
            assert!((2..=12).contains(&marks.len()), "{values:?}: {scale:?}");
            assert!(
                values.iter().all(|value| (-0.001..=1.001).contains(&scale.place(*value))),
                "{values:?}: {scale:?}"
            );
        }
    }
}
