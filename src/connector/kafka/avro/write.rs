//! Rows as records, by a schema made from their columns.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, Schema as Columns, SchemaRef, TimeUnit},
};
use arrow_avro::{
    schema::{FingerprintStrategy, SCHEMA_METADATA_KEY},
    writer::{EncodedRows, WriterBuilder, format::AvroSoeFormat},
};
use serde_json::{Value as Json, json};

use crate::{
    connector::{
        error::{Error, ErrorKind, Result},
        kafka::registry::is_latin_name,
    },
    model::column::ColumnType,
};

/// The name of the record.
const RECORD: &str = "Row";

/// Writes batches of some columns.
#[derive(Debug, Clone)]
pub(in super::super) struct Writer {
    /// As Avro has them, with the schema's text.
    columns: SchemaRef,
    /// The schema's number.
    id: u32,
}

impl Writer {
    /// The schema of some columns, which `register` gives a number.
    pub(in super::super) fn new(
        shown: &str,
        columns: &Columns,
        register: impl FnOnce(&str) -> Result<u32>,
    ) -> Result<Self> {
        let refused = |field: &Field, why: String| {
            let message = format!("column \"{}\" of {shown}: {why}", field.name());
            Error::new(ErrorKind::Unsupported, message)
        };
        let (mut fields, mut kinds) = (vec![], vec![]);
        for field in columns.fields() {
            if !is_latin_name(field.name()) {
                let why = "a name in Avro has only Latin letters, digits and `_`, and begins with no digit";
                return Err(refused(field, why.to_owned()).hint("name it otherwise in the SQL"));
            }
            let (kind, json) = kind(field.data_type()).ok_or_else(|| {
                refused(field, format!("Avro has no {}", ColumnType::of(field.data_type())))
            })?;
            kinds.push(Field::new(field.name(), kind, true));
            fields.push(json!({ "name": field.name(), "type": ["null", json], "default": null }));
        }
        let text = json!({ "type": "record", "name": RECORD, "fields": fields }).to_string();
        let id = register(&text)?;
        let metadata = [(SCHEMA_METADATA_KEY.to_owned(), text)].into();
        Ok(Self { columns: Arc::new(Columns::new_with_metadata(kinds, metadata)), id })
    }

    /// Every row as a message, after its schema's number.
    pub(in super::super) fn encode(&self, batch: &RecordBatch) -> Result<EncodedRows> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let column = |(field, array): (&Arc<Field>, &ArrayRef)| {
            Ok(cast_with_options(array, field.data_type(), &strict)?)
        };
        let columns = self.columns.fields().iter().zip(batch.columns()).map(column);
        let batch = RecordBatch::try_new(self.columns.clone(), columns.collect::<Result<_>>()?)?;
        let failed = |error: arrow_avro::errors::AvroError| {
            Error::new(ErrorKind::Internal, "rows cannot be written as Avro").caused_by(error)
        };
        let builder = WriterBuilder::new(self.columns.as_ref().clone())
            .with_fingerprint_strategy(FingerprintStrategy::Id(self.id));
        let mut encoder = builder.build_encoder::<AvroSoeFormat>().map_err(failed)?;
        encoder.encode(&batch).map_err(failed)?;
        Ok(encoder.flush())
    }
}

/// What a column is written as, without loss: its Arrow type, and Avro's.
fn kind(of: &DataType) -> Option<(DataType, Json)> {
    let logical = |base: &str, name: &str| json!({ "type": base, "logicalType": name });
    let decimal = |precision: u8, scale: i8| {
        let json =
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
        Some((DataType::Decimal128(precision, scale), json))
    };
    let kept = |json: Json| Some((of.clone(), json));
    match of {
        DataType::Boolean => kept("boolean".into()),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            Some((DataType::Int32, "int".into()))
        }
        DataType::Int64 | DataType::UInt32 => Some((DataType::Int64, "long".into())),
        DataType::UInt64 => decimal(20, 0),
        DataType::Float32 => kept("float".into()),
        DataType::Float64 => kept("double".into()),
        DataType::Utf8 => kept("string".into()),
        DataType::Binary => kept("bytes".into()),
        DataType::Date32 => kept(logical("int", "date")),
        DataType::Time64(TimeUnit::Microsecond) => kept(logical("long", "time-micros")),
        DataType::Decimal128(precision, scale @ 0..) => decimal(*precision, *scale),
        DataType::Timestamp(unit, zone) => {
            let (unit, name) = match unit {
                TimeUnit::Second | TimeUnit::Millisecond => (TimeUnit::Millisecond, "timestamp-millis"),
                TimeUnit::Microsecond => (TimeUnit::Microsecond, "timestamp-micros"),
                TimeUnit::Nanosecond => (TimeUnit::Nanosecond, "timestamp-nanos"),
            };
            let name = if zone.is_some() { name.to_owned() } else { format!("local-{name}") };
            Some((DataType::Timestamp(unit, zone.clone()), logical("long", &name)))
        }
        _ => None,
    }
}
