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
        kafka::{
            json::{Encoder, can_spell},
            value::is_latin_name,
        },
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
    format!("{many}{:?}", field.kind).to_lowercase()
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
                varint(number, ((int() << 1) ^ (int() >> 63)).cast_unsigned(), into)
            }
            Kind::Uint32 | Kind::Uint64 => varint(number, uint(), into),
            Kind::Sfixed32 => bytes4(number, (int() as i32).to_le_bytes(), into),
            Kind::Fixed32 => bytes4(number, (uint() as u32).to_le_bytes(), into),
            Kind::Float => bytes4(number, cells.as_primitive::<Float32Type>().value(row).to_le_bytes(), into),
            Kind::Sfixed64 => bytes8(number, int().to_le_bytes(), into),
            Kind::Fixed64 => bytes8(number, uint().to_le_bytes(), into),
            Kind::Double => {
                bytes8(number, cells.as_primitive::<Float64Type>().value(row).to_le_bytes(), into)
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
