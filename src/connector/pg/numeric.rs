//! `numeric` in the binary format: digits of base 10,000 around a decimal point, exactly, both ways.

use bytes::{BufMut, BytesMut};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const PLUS_INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// A number as it came.
#[derive(Debug, PartialEq)]
pub(crate) enum Number {
    /// `unscaled × 10^-scale`.
    Decimal { unscaled: i128, scale: u8 },
    /// One that does not fit the above, spelled.
    Long(String),
    /// NaN or an infinity.
    NotFinite(f64),
}

/// Reads a number; `None` = these bytes are none.
pub(crate) fn read(bytes: &[u8]) -> Option<Number> {
    let at = |i: usize| Some(u16::from_be_bytes(bytes.get(2 * i..2 * i + 2)?.try_into().ok()?));
    let (count, weight) = (usize::from(at(0)?), i32::from(at(1)?.cast_signed()));
    let (sign, scale) = (at(2)?, at(3)?);
    match sign {
        0 | NEGATIVE => {}
        NAN => return Some(Number::NotFinite(f64::NAN)),
        PLUS_INFINITY => return Some(Number::NotFinite(f64::INFINITY)),
        MINUS_INFINITY => return Some(Number::NotFinite(f64::NEG_INFINITY)),
        _ => return None,
    }
    let digits =
        bytes.get(8..8 + 2 * count)?.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let negative = sign == NEGATIVE;
    Some(match short(digits.clone(), weight, scale) {
        Some((unscaled, scale)) => {
            Number::Decimal { unscaled: if negative { -unscaled } else { unscaled }, scale }
        }
        None => Number::Long(spelled(&digits.collect::<Vec<_>>(), weight, scale, negative)),
    })
}

fn short(mut digits: impl ExactSizeIterator<Item = u16>, weight: i32, scale: u16) -> Option<(i128, u8)> {
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= 76)?;
    // The power of ten that the last digit stands for, and how many places that is from the scale.
    let places = (weight + 1 - digits.len() as i32) * 4 + i32::from(scale);
    let fold = |value: i128, digit: u16| value.checked_mul(10_000)?.checked_add(i128::from(digit));
    let whole = digits.try_fold(0_i128, fold)?;
    let power = || 10_i128.checked_pow(places.unsigned_abs());
    let unscaled = match whole {
        0 => 0,
        _ if places >= 0 => whole.checked_mul(power()?)?,
        // Places behind the scale are zeros.
        _ => whole / power()?,
    };
    (unscaled.unsigned_abs() < 10_u128.pow(38)).then_some((unscaled, scale))
}

fn spelled(digits: &[u16], weight: i32, scale: u16, negative: bool) -> String {
    let digit = |place: i32| usize::try_from(weight - place).ok().and_then(|i| digits.get(i)).copied();
    let whole: String = (0..=weight).rev().map(|place| format!("{:04}", digit(place).unwrap_or(0))).collect();
    let whole = whole.trim_start_matches('0');
    let groups = i32::from(scale).div_euclid(4) + 1;
    let fraction: String = (1..=groups).map(|place| format!("{:04}", digit(-place).unwrap_or(0))).collect();
    let (sign, whole) = (if negative { "-" } else { "" }, if whole.is_empty() { "0" } else { whole });
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{}", &fraction[..usize::from(scale)]),
    }
}

/// Writes a number, given as its digits without sign and how many of them are behind the point; with its length before it.
pub(crate) fn write(negative: bool, digits: &str, scale: u8, out: &mut BytesMut) {
    let scale_places = usize::from(scale);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale_places));
    // Zeros around the point that the digits do not spell: `5` with scale 2 is `0.05`.
    let lead = (4 - whole.len() % 4) % 4;
    let between = scale_places - fraction.len();
    let groups_before = (whole.len() + lead) / 4;
    let total = (groups_before * 4 + scale_places).div_ceil(4);
    let mut groups = vec![0_u16; total];
    let mut set = |place: usize, digit: u8| groups[place / 4] += u16::from(digit - b'0') * TEN[place % 4];
    for (i, digit) in whole.bytes().enumerate() {
        set(lead + i, digit);
    }
    for (i, digit) in fraction.bytes().enumerate() {
        set(groups_before * 4 + between + i, digit);
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups[leading..].iter().rev().take_while(|group| **group == 0).count();
    let kept = &groups[leading..total - trailing];
    out.put_i32(8 + 2 * kept.len() as i32);
    out.put_u16(kept.len() as u16);
    out.put_i16(if kept.is_empty() { 0 } else { groups_before as i16 - 1 - leading as i16 });
    out.put_u16(if negative && !kept.is_empty() { NEGATIVE } else { 0 });
    out.put_u16(u16::from(scale));
    for group in kept {
        out.put_u16(*group);
    }
}

const TEN: [u16; 4] = [1_000, 100, 10, 1];

#[cfg(test)]
mod tests {
    use super::*;

    fn back(negative: bool, digits: &str, scale: u8) -> Number {
        let mut out = BytesMut::new();
        write(negative, digits, scale, &mut out);
        assert_eq!(i32::from_be_bytes(out[..4].try_into().unwrap()) as usize, out.len() - 4);
        read(&out[4..]).unwrap()
    }

    #[test]
    fn numbers_come_back() {
        let nines = "9".repeat(38);
        for (negative, digits, scale, unscaled) in [
            (false, "0", 0, 0),
            (true, "0", 4, 0),
            (false, "1", 0, 1),
            (true, "10000", 0, -10_000),
            (false, "5", 2, 5),
            (false, "5", 8, 5),
            (true, "1234567", 3, -1_234_567),
            (false, "100000000", 4, 100_000_000),
            (false, nines.as_str(), 36, 10_i128.pow(38) - 1),
            (true, nines.as_str(), 0, 1 - 10_i128.pow(38)),
        ] {
            assert_eq!(
                back(negative, digits, scale),
                Number::Decimal { unscaled, scale },
                "{digits} {scale}"
            );
        }
        // The last digits of base 10,000 end behind the scale.
        assert_eq!(back(false, &nines, 38), Number::Long(format!("0.{nines}")));
        let long = "1234567890123456789012345678901234567890";
        assert_eq!(back(true, long, 3), Number::Long(format!("-{}.890", &long[..37])));
        assert_eq!(back(false, long, 0), Number::Long(long.to_owned()));
        assert_eq!(back(false, long, 40), Number::Long(format!("0.{long}")));
    }

    #[test]
    fn what_the_server_sends() {
        // 1.50 as PostgreSQL writes it: digits 1 and 5000, weight 0, two places shown.
        assert_eq!(
            read(&[0, 2, 0, 0, 0, 0, 0, 2, 0, 1, 0x13, 0x88]),
            Some(Number::Decimal { unscaled: 150, scale: 2 })
        );
        assert!(matches!(read(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), Some(Number::NotFinite(x)) if x.is_nan()));
        assert_eq!(read(&[0, 0, 0, 0, 0xD0, 0, 0, 0x20]), Some(Number::NotFinite(f64::INFINITY)));
        assert_eq!(read(&[0, 9]), None);
    }
}
