//! Rows as messages: of a schema made from their columns, or of a message that the project has.

use std::fmt::Write as _;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, Schema as Columns, TimeUnit, UInt64Type},
};
use prost_reflect::{
    Kind,
    prost::encoding::{WireType, encode_key, encode_varint},
};

use super::{
    SECONDS, TIMESTAMP,
    schema::{Field, Message},
};
use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        kafka::registry::is_latin_name,
        textual::json::{Encoder, can_spell},
    },
    model::column::ColumnType,
};

/// Writes batches of some columns.
#[derive(Debug)]
pub(in super::super) struct Writer {
    /// What stands before every message.
    frame: Vec<u8>,
    /// Columns by their places in a batch.
    columns: Vec<(usize, Column)>,
}

#[derive(Debug)]
struct Column {
    name: String,
    number: u32,
    kind: Kind,
    /// Where NULL is what no bytes speak of.
    nullable: bool,
}

impl Writer {
    /// With a schema of a topic's columns, which `register` gives a number; rows have some of them.
    pub(in super::super) fn registered(
        shown: &str,
        topic: &Columns,
        rows: &Columns,
        register: impl FnOnce(&str) -> Result<u32>,
    ) -> Result<Self> {
        let text = proto(shown, topic)?;
        let message = Message::first(&text).map_err(|error| {
            Error::new(ErrorKind::Unsupported, format!("{shown}: its columns make no Protobuf message"))
                .caused_by(error)
                .hint("name the columns otherwise in the SQL")
        })?;
        let columns = columns(shown, &message, rows, &[])?;
        // The schema's only message is the first one: a zero says so.
        Ok(Self { frame: [&[0], &register(&text)?.to_be_bytes()[..], &[0]].concat(), columns })
    }

    /// Of a message of the project, without a frame. Columns that are `beside` it may be none of its fields.
    pub(in super::super) fn named(
        shown: &str,
        message: &Message,
        rows: &Columns,
        beside: &[&String],
    ) -> Result<Self> {
        Ok(Self { frame: vec![], columns: columns(shown, message, rows, beside)? })
    }

    /// A batch, ready to be written row by row.
    pub(in super::super) fn rows<'a>(
        &'a self,
        batch: &'a RecordBatch,
        encoder: &'a Encoder<'a>,
    ) -> Result<Rows<'a>> {
        let cells = |(at, column): &(usize, Column)| cells(batch.column(*at), &column.kind);
        let cells = self.columns.iter().map(cells).collect::<Result<_>>()?;
        Ok(Rows { writer: self, encoder, cells })
    }
}

/// A schema whose fields have the numbers of a topic's columns.
fn proto(shown: &str, topic: &Columns) -> Result<String> {
    let mut fields = String::new();
    for (at, field) in topic.fields().iter().enumerate() {
        let refused = |why: &str| {
            let message = format!("column \"{}\" of {shown}: {why}", field.name());
            Error::new(ErrorKind::Unsupported, message).hint("name it otherwise in the SQL")
        };
        if !is_latin_name(field.name()) {
            return Err(refused(
                "a name in Protobuf has only Latin letters, digits and `_`, and begins with no digit",
            ));
        }
        let kind = match field.data_type() {
            DataType::Boolean => "bool",
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
                "int32"
            }
            DataType::UInt32 => "uint32",
            DataType::Int64 => "int64",
            DataType::UInt64 => "uint64",
            DataType::Float32 => "float",
            DataType::Float64 => "double",
            DataType::Binary => "bytes",
            DataType::Timestamp(_, Some(_)) => TIMESTAMP,
            // Decimals, dates and times of day are texts, as in JSON.
            _ => "string",
        };
        let _ = writeln!(fields, "  optional {kind} {} = {};", field.name(), number(at));
    }
    Ok(format!(
        "syntax = \"proto3\";\n\nimport \"google/protobuf/timestamp.proto\";\n\nmessage Row {{\n{fields}}}\n"
    ))
}

/// The number of a column's field: 19000 to 19999 are Protobuf's own.
fn number(at: usize) -> usize {
    if at < 18_999 { at + 1 } else { at + 1_001 }
}

fn columns(
    shown: &str,
    message: &Message,
    rows: &Columns,
    beside: &[&String],
) -> Result<Vec<(usize, Column)>> {
    let refused = |why: String, hint: &str| {
        Err(Error::new(ErrorKind::Unsupported, format!("{shown}: {why}")).hint(hint))
    };
    let mut columns = vec![];
    for (at, row) in rows.fields().iter().enumerate() {
        let Some(field) = message.fields.iter().find(|field| field.name == *row.name()) else {
            if beside.contains(&row.name()) {
                continue;
            }
            let why = format!("message `{}` has no field \"{}\"", message.name(), row.name());
            return refused(why, "leave the column out in the SQL, or add the field");
        };
        if !takes(field, row.data_type()) {
            let why = format!(
                "column \"{}\" is {}, which is no {} of message `{}`",
                row.name(),
                ColumnType::of(row.data_type()),
                kind_name(field),
                message.name(),
            );
            return refused(why, "cast it in the SQL; what is repeated or nested cannot be written");
        }
        let nullable = field.descriptor.supports_presence() && !field.descriptor.is_required();
        let (name, number) = (row.name().clone(), field.descriptor.number());
        columns.push((at, Column { name, number, kind: field.kind.clone(), nullable }));
    }
    let unfilled = |field: &&Field| rows.field_with_name(&field.name).is_err();
    match message.fields.iter().filter(|field| field.descriptor.is_required()).find(unfilled) {
        None => Ok(columns),
        Some(field) => {
            let why =
                format!("message `{}` must have \"{}\", and the rows have not", message.name(), field.name);
            refused(why, "add the column in the SQL")
        }
    }
}

fn kind_name(field: &Field) -> String {
    let many = if field.is_many() { "repeated " } else { "" };
    format!("{many}{:?}", field.kind)
}

/// Whether every cell of a type is a value of a field.
fn takes(field: &Field, kind: &DataType) -> bool {
    use DataType::{Binary, Boolean, Float32, Float64, Int64, Timestamp, UInt32, UInt64, Utf8};
    if field.is_many() {
        return false;
    }
    let narrow = || kind.is_integer() && !matches!(kind, Int64 | UInt64 | UInt32);
    match &field.kind {
        Kind::Bool => *kind == Boolean,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => narrow(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => kind.is_integer() && *kind != UInt64,
        Kind::Uint32 | Kind::Fixed32 => kind.is_unsigned_integer() && *kind != UInt64,
        Kind::Uint64 | Kind::Fixed64 => kind.is_unsigned_integer(),
        Kind::Float => *kind == Float32,
        Kind::Double => matches!(kind, Float32 | Float64),
        Kind::String => *kind != Binary && can_spell(kind),
        Kind::Bytes => *kind == Binary,
        Kind::Enum(_) => *kind == Utf8,
        Kind::Message(message) => message.full_name() == TIMESTAMP && matches!(kind, Timestamp(_, Some(_))),
    }
}

/// The cells of a column, in the one type that its kind is written from.
fn cells(array: &ArrayRef, kind: &Kind) -> Result<ArrayRef> {
    let into = match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            DataType::Int64
        }
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => DataType::UInt64,
        Kind::Double => DataType::Float64,
        _ => return Ok(array.clone()),
    };
    Ok(cast(array, &into)?)
}

/// The rows of a batch.
pub(in super::super) struct Rows<'a> {
    writer: &'a Writer,
    encoder: &'a Encoder<'a>,
    cells: Vec<ArrayRef>,
}

impl Rows<'_> {
    /// Adds a row.
    pub(in super::super) fn row(&self, row: usize, into: &mut Vec<u8>) -> Result<()> {
        into.extend_from_slice(&self.writer.frame);
        for ((at, column), cells) in self.writer.columns.iter().zip(&self.cells) {
            let told = match cells.is_null(row) {
                true if column.nullable => continue,
                true => Err("NULL, which its field cannot tell from zero: make it `optional`"),
                false => self.field(*at, column, cells.as_ref(), row, into)?,
            };
            told.map_err(|why| {
                Error::new(ErrorKind::BadData, format!("column \"{}\" has {why}", column.name))
            })?;
        }
        Ok(())
    }

    /// Adds a field; what is wrong with a cell that has no spelling is told.
    fn field(
        &self,
        at: usize,
        column: &Column,
        cells: &dyn Array,
        row: usize,
        into: &mut Vec<u8>,
    ) -> Result<Result<(), &'static str>> {
        let number = column.number;
        let int = || cells.as_primitive::<Int64Type>().value(row);
        let uint = || cells.as_primitive::<UInt64Type>().value(row);
        match &column.kind {
            Kind::Bool => varint(number, cells.as_boolean().value(row).into(), into),
            Kind::Int32 | Kind::Int64 => varint(number, int().cast_unsigned(), into),
            Kind::Sint32 | Kind::Sint64 => {
                varint(number, ((int() << 1) ^ (int() >> 63)).cast_unsigned(), into);
            }
            Kind::Uint32 | Kind::Uint64 => varint(number, uint(), into),
            Kind::Sfixed32 => bytes4(number, (int() as i32).to_le_bytes(), into),
            Kind::Fixed32 => bytes4(number, (uint() as u32).to_le_bytes(), into),
            Kind::Float => bytes4(number, cells.as_primitive::<Float32Type>().value(row).to_le_bytes(), into),
            Kind::Sfixed64 => bytes8(number, int().to_le_bytes(), into),
            Kind::Fixed64 => bytes8(number, uint().to_le_bytes(), into),
            Kind::Double => {
                bytes8(number, cells.as_primitive::<Float64Type>().value(row).to_le_bytes(), into);
            }
            Kind::Bytes => delimited(number, cells.as_binary::<i32>().value(row), into),
            Kind::String => {
                let mut text = vec![];
                self.encoder.bare(at, row, &mut text)?;
                delimited(number, &text, into);
            }
            Kind::Enum(known) => match known.get_value_by_name(cells.as_string::<i32>().value(row)) {
                Some(value) => varint(number, i64::from(value.number()).cast_unsigned(), into),
                None => return Ok(Err("a text that its field's enum does not name")),
            },
            Kind::Message(_) => match moment(cells, row) {
                Some(moment) => delimited(number, &moment, into),
                None => return Ok(Err("a time outside the years 1 to 9999")),
            },
        }
        Ok(Ok(()))
    }
}

/// A moment as `google.protobuf.Timestamp`.
fn moment(cells: &dyn Array, row: usize) -> Option<Vec<u8>> {
    let DataType::Timestamp(unit, _) = cells.data_type() else {
        return None;
    };
    let per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let ticks = cells.slice(row, 1);
    let ticks = cast(&ticks, &DataType::Int64).ok()?.as_primitive::<Int64Type>().value(0);
    let (seconds, nanos) =
        (ticks.div_euclid(per_second), ticks.rem_euclid(per_second) * (1_000_000_000 / per_second));
    let mut moment = vec![];
    for (number, value) in [(1, seconds), (2, nanos)].into_iter().filter(|(_, value)| *value != 0) {
        varint(number, value.cast_unsigned(), &mut moment);
    }
    SECONDS.contains(&seconds).then_some(moment)
}

fn varint(number: u32, value: u64, into: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, into);
    encode_varint(value, into);
}

fn bytes4(number: u32, value: [u8; 4], into: &mut Vec<u8>) {
    encode_key(number, WireType::ThirtyTwoBit, into);
    into.extend_from_slice(&value);
}

fn bytes8(number: u32, value: [u8; 8], into: &mut Vec<u8>) {
    encode_key(number, WireType::SixtyFourBit, into);
    into.extend_from_slice(&value);
}

fn delimited(number: u32, value: &[u8], into: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, into);
    encode_varint(value.len() as u64, into);
    into.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Float32Array, Int16Array, Int64Array, StringArray, UInt8Array, UInt64Array},
        datatypes::Field as Column,
    };

    use super::*;
    use crate::connector::kafka::protobuf::Decoded;

    const KINDS: &str = r#"syntax = "proto2"; message Kinds {
        required sint32 a = 1; optional sfixed32 b = 2; optional fixed32 c = 3; optional sint64 d = 20; optional sfixed64 e = 5;
        optional uint64 f = 6; optional float g = 7; optional Kind h = 8; enum Kind { NONE = 0; SOME = -2; } }"#;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// The rows as they are read again.
    fn written(rows: &RecordBatch) -> Result<Vec<String>> {
        let message = Arc::new(Message::first(KINDS).unwrap());
        let writer = Writer::named("the topic", &message, &rows.schema(), &[])?;
        let encoder = Encoder::new(rows)?;
        let content = writer.rows(rows, &encoder)?;
        let read = |row| {
            let mut bytes = vec![];
            content.row(row, &mut bytes)?;
            let decoded = Decoded::new(&message, &bytes).unwrap();
            let mut found = vec![];
            decoded.fields(&mut found).unwrap();
            Ok(found.iter().map(|(_, value)| value.json().to_string()).collect::<Vec<_>>().join(" "))
        };
        (0..rows.num_rows()).map(read).collect()
    }

    #[test]
    fn every_kind_is_written() {
        let rows = batch(vec![
            ("d", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
            ("a", Arc::new(Int16Array::from(vec![-7, i16::MAX]))),
            ("b", Arc::new(Int16Array::from(vec![Some(-1), None]))),
            ("c", Arc::new(UInt8Array::from(vec![Some(255), None]))),
            ("e", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
            ("f", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
            ("g", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
            ("h", Arc::new(StringArray::from(vec![Some("SOME"), None]))),
        ]);
        let least = i64::MIN;
        // In the order of their numbers.
        let expected = [
            format!("-7 -1 255 {least} \"18446744073709551615\" 0.5 \"SOME\" {least}"),
            "32767 null null null null null null null".to_owned(),
        ];
        assert_eq!(written(&rows).unwrap(), expected);
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let a: (&str, ArrayRef) = ("a", Arc::new(Int16Array::from(vec![1])));
        let text = |text| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let cases = [
            (vec![("b", a.1.clone())], "must have \"a\""),
            (vec![a.clone(), ("x", a.1.clone())], "has no field \"x\""),
            (vec![("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)], "is int64, which is no sint32"),
            (vec![a.clone(), ("h", text("тайна"))], "a text that its field's enum does not name"),
            (vec![("a", Arc::new(Int16Array::from(vec![None])) as ArrayRef)], "has NULL"),
        ];
        for (columns, says) in cases {
            let told = written(&batch(columns)).expect_err(says).to_string();
            assert!(told.contains(says) && !told.contains("тайна"), "{told}");
        }
    }

    /// Protobuf keeps some numbers for itself, and some names are words of its own.
    #[test]
    fn schemas_of_any_columns_can_be_read() {
        let names = ["message", "optional", "string", "Row", "a_b", "reserved", "oneof"];
        let columns: Vec<Column> = names.map(|name| Column::new(name, DataType::Int64, true)).into();
        let columns = Columns::new(columns);
        let made = Writer::registered("the topic", &columns, &columns, |_| Ok(7)).unwrap();
        assert_eq!((made.frame.as_slice(), made.columns.len()), (&[0, 0, 0, 0, 7, 0][..], names.len()));
        assert_eq!([0, 18_998, 18_999].map(number), [1, 18_999, 20_000]);
        let named = |name| Columns::new(vec![Column::new(name, DataType::Int64, true)]);
        let error = Writer::registered("the topic", &named("имя"), &named("имя"), |_| Ok(7)).unwrap_err();
        assert!(error.to_string().contains("column \"имя\""), "{error}");
    }
}
