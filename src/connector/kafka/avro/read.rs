//! A record's bytes as fields, by the schema that they were written with.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value as Json};

use super::schema::{Schema, Type};
use crate::{
    connector::{
        cells::{Cell, cell_as_json},
        textual::{Fields, Value},
    },
    model::{time::format_ticks, value::Tick},
};

/// Values in one another, at most.
const DEPTH: usize = 64;

/// Items without any bytes that a message may hold: their number costs it nothing.
const EMPTY_ITEMS: u64 = 65_536;

const BROKEN: &str = "a message that is not of its schema";

impl Schema {
    /// The fields of a record.
    pub(in super::super) fn fields<'a>(
        &'a self,
        bytes: &'a [u8],
        into: &mut Fields<'a>,
    ) -> Result<(), &'static str> {
        let mut reader = Reader { schema: self, rest: bytes };
        for (name, kind) in &self.root {
            into.push((name.into(), reader.value(kind, 0).ok_or(BROKEN)?));
        }
        if reader.rest.is_empty() { Ok(()) } else { Err(BROKEN) }
    }
}

struct Reader<'a> {
    schema: &'a Schema,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, kind: &'a Type, depth: usize) -> Option<Value<'a>> {
        if depth > DEPTH {
            return None;
        }
        Some(match kind {
            Type::Null => Value::Null,
            Type::Bool => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            Type::Int { wide } => Value::Cell(Cell::Int(self.whole(*wide)?)),
            Type::Float => {
                let bytes = self.take(4)?.try_into().ok()?;
                Value::Cell(Cell::Real(f32::from_le_bytes(bytes).into()))
            }
            Type::Double => Value::Cell(Cell::Real(f64::from_le_bytes(self.take(8)?.try_into().ok()?))),
            Type::Bytes => Value::Cell(Cell::Bytes(self.bytes()?)),
            Type::Fixed(length) => Value::Cell(Cell::Bytes(self.take(*length)?)),
            Type::Text => Value::Text(std::str::from_utf8(self.bytes()?).ok()?.into()),
            Type::Enum(symbols) => {
                let at = usize::try_from(self.whole(false)?).ok()?;
                Value::Text(symbols.get(at)?.into())
            }
            Type::Decimal { scale, fixed, .. } => {
                let bytes = match fixed {
                    Some(length) => self.take(*length)?,
                    None => self.bytes()?,
                };
                Value::Cell(Cell::Decimal { unscaled: unscaled(bytes)?, scale: *scale })
            }
            Type::Date => Value::Cell(Cell::Date(i32::try_from(self.whole(false)?).ok()?)),
            Type::Time { per_second } => {
                let ticks = self.whole(*per_second > 1_000)?;
                Value::Cell(Cell::Time(ticks.checked_mul(1_000_000 / per_second)?))
            }
            Type::Timestamp { tick, utc } => instant(self.whole(true)?, *tick, *utc)?,
            Type::Union(types) => {
                let at = usize::try_from(self.whole(true)?).ok()?;
                self.value(types.get(at)?, depth + 1)?
            }
            Type::Named(at) => self.value(self.schema.named.get(*at)?, depth + 1)?,
            Type::Array(_) | Type::Map(_) | Type::Record(_) => {
                Value::Nested(self.json(kind, depth)?.to_string().into())
            }
        })
    }

    /// What is nested, as JSON: numbers keep their digits, bytes are Base64.
    fn json(&mut self, kind: &'a Type, depth: usize) -> Option<Json> {
        if depth > DEPTH {
            return None;
        }
        Some(match kind {
            Type::Array(items) => {
                let mut array = vec![];
                self.blocks(|reader| {
                    array.push(reader.json(items, depth + 1)?);
                    Some(())
                })?;
                Json::Array(array)
            }
            Type::Map(values) => {
                let mut object = Map::new();
                self.blocks(|reader| {
                    let name = std::str::from_utf8(reader.bytes()?).ok()?;
                    object.insert(name.to_owned(), reader.json(values, depth + 1)?);
                    Some(())
                })?;
                Json::Object(object)
            }
            Type::Record(fields) => {
                let mut object = Map::new();
                for (name, kind) in fields {
                    object.insert(name.clone(), self.json(kind, depth + 1)?);
                }
                Json::Object(object)
            }
            Type::Named(at) => self.json(self.schema.named.get(*at)?, depth + 1)?,
            Type::Union(types) => {
                let at = usize::try_from(self.whole(true)?).ok()?;
                self.json(types.get(at)?, depth + 1)?
            }
            _ => match self.value(kind, depth)? {
                Value::Cell(Cell::Bytes(bytes)) => BASE64_STANDARD.encode(bytes).into(),
                Value::Cell(Cell::Real(value)) if !value.is_finite() => format!("{value}").into(),
                value => match value {
                    Value::Cell(cell) => cell_as_json(cell),
                    value => value.json(),
                },
            },
        })
    }

    /// The items of an array or a map: blocks, each with its length, up to an empty one.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let mut free = EMPTY_ITEMS;
        loop {
            let count = self.whole(true)?;
            if count == 0 {
                return Some(());
            }
            if count < 0 {
                // How many bytes the block has, for those who pass over it.
                self.whole(true)?;
            }
            for _ in 0..count.unsigned_abs() {
                let before = self.rest.len();
                item(self)?;
                if self.rest.len() == before {
                    free = free.checked_sub(1)?;
                }
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.whole(true)?).ok()?;
        self.take(length)
    }

    /// A zigzag number of seven bits a byte.
    fn whole(&mut self, wide: bool) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let value = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
                return (wide || i32::try_from(value).is_ok()).then_some(value);
            }
        }
        None
    }
}

/// A whole number of any length, the greatest byte first, in two's complement.
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let (more, last) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut all = [sign; 16];
    all[16 - last.len()..].copy_from_slice(last);
    let value = i128::from_be_bytes(all);
    // What lies before may only repeat the sign.
    (more.iter().all(|byte| *byte == sign) && (value < 0) == (sign != 0)).then_some(value)
}

fn instant(ticks: i64, tick: Tick, utc: bool) -> Option<Value<'static>> {
    let micros = match tick {
        Tick::S => ticks.checked_mul(1_000_000)?,
        Tick::Ms => ticks.checked_mul(1_000)?,
        Tick::Us => ticks,
        Tick::Ns => return Some(Value::Text(format_ticks(ticks, tick, utc).into())),
    };
    Some(Value::Cell(Cell::Timestamp { micros, utc }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: &str = r#"{"type":"record","name":"All","namespace":"shop","fields":[
        {"name":"n","type":["null","long"]},
        {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
        {"name":"f","type":{"type":"fixed","name":"Two","size":2}},
        {"name":"g","type":"shop.Two"},
        {"name":"e","type":{"type":"enum","name":"Kind","symbols":["A","Б"]}},
        {"name":"l","type":{"type":"array","items":["null","All","int"]}},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-nanos"}}]}"#;

    fn read<'a>(schema: &'a Schema, bytes: &'a [u8]) -> Result<Fields<'a>, &'static str> {
        let mut found = vec![];
        schema.fields(bytes, &mut found).map(|()| found)
    }

    #[test]
    fn every_kind_is_read() {
        let schema = Schema::parse(ALL, &[]).unwrap();
        // n = -3; d = -1.28 in one byte; f, g; e = Б; l = [null, 5] in a block that tells its size; t = 1 ns.
        let bytes = [2, 5, 2, 0x80, 1, 2, 3, 4, 2, 3, 6, 0, 4, 10, 0, 2];
        let found = read(&schema, &bytes).unwrap();
        let values: Vec<Value<'_>> = found.into_iter().map(|(_, value)| value).collect();
        let expected = [
            Value::Cell(Cell::Int(-3)),
            Value::Cell(Cell::Decimal { unscaled: -128, scale: 2 }),
            Value::Cell(Cell::Bytes(&[1, 2])),
            Value::Cell(Cell::Bytes(&[3, 4])),
            Value::Text("Б".into()),
            Value::Nested("[null,5]".into()),
            Value::Text("1970-01-01T00:00:00.000000001Z".into()),
        ];
        assert_eq!(values, expected);
        for cut in 0..bytes.len() {
            assert_eq!(read(&schema, &bytes[..cut]), Err(BROKEN), "cut at {cut}");
        }
        assert_eq!(read(&schema, &[&bytes[..], &[0]].concat()), Err(BROKEN), "something behind");
    }

    #[test]
    fn what_is_no_schema_is_told() {
        for (text, why) in [
            ("{", "is not JSON"),
            ("\"string\"", "is no record"),
            (
                r#"{"type":"record","name":"A","fields":[{"name":"a","type":"B"}]}"#,
                "is no Avro schema that can be read",
            ),
        ] {
            assert_eq!(Schema::parse(text, &[]).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn long_decimals_keep_their_sign() {
        assert_eq!(unscaled(&[]), Some(0));
        assert_eq!(unscaled(&[0xff; 20]), Some(-1));
        assert_eq!(unscaled(&[&[0; 4][..], &[0x7f; 16]].concat()), Some(i128::from_be_bytes([0x7f; 16])));
        assert_eq!(unscaled(&[&[0; 4][..], &[0xff; 16]].concat()), None);
        assert_eq!(unscaled(&[1; 17]), None);
    }

    proptest! {
        /// Whatever the bytes are, reading ends, soon, without a panic.
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let schema = Schema::parse(ALL, &[]).unwrap();
            let _ = read(&schema, &bytes);
        }
    }
}
