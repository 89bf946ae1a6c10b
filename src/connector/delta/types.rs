//! Arrow types and Delta types: which column becomes which, and what fits into what.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use deltalake::kernel::{
    MetadataValue, Protocol, StructField, StructType, contains_timestampntz,
    engine::arrow_conversion::TryIntoKernel as _,
};

pub(super) use crate::connector::cells::takes;

/// The zone of instants.
const UTC: &str = "UTC";

/// The Arrow type of the Delta column that takes values of `data_type` without loss; `None` = there is none.
pub(super) fn stored(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(..) => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Time32(_) | DataType::Time64(_) => {
            DataType::Utf8
        }
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(precision, scale) if *precision <= 38 => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => return None,
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| UTC.into()))
        }
        DataType::Dictionary(_, value) => return stored(value),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(nested(item)?)
        }
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(nested).collect::<Option<Vec<_>>>()?.into())
        }
        _ => return None,
    })
}

fn nested(field: &FieldRef) -> Option<FieldRef> {
    Some(Arc::new(field.as_ref().clone().with_data_type(stored(field.data_type())?)))
}

/// The one column of a table that holds nothing but records yet: Delta has no table without columns.
pub(super) const PLACE_HOLDER: &str = "_vitrina";

/// What a user's explicit type is stored as: nanoseconds may be cut, because the user said so.
pub(super) fn stored_as_asked(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            stored(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        other => stored(other),
    }
}

/// A column of a snapshot without views, dictionaries and the library's own metadata.
pub(super) fn plain(field: &FieldRef) -> FieldRef {
    let data_type = stored(field.data_type()).unwrap_or_else(|| field.data_type().clone());
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

/// A column as Delta writes it down. Every column may be NULL: what may not is judged before rows come here.
pub(super) fn column(name: &str, data_type: &DataType, comment: Option<&str>) -> Option<StructField> {
    let field: StructField = (&Field::new(name, data_type.clone(), true)).try_into_kernel().ok()?;
    Some(match comment {
        Some(comment) => field.add_metadata([("comment", MetadataValue::String(comment.to_owned()))]),
        None => field,
    })
}

/// The protocol that a new table with these columns needs.
pub(super) fn protocol_for(schema: &StructType) -> Result<Protocol, serde_json::Error> {
    let value = if contains_timestampntz(schema.fields()) {
        serde_json::json!({
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": [NTZ],
            "writerFeatures": [NTZ, "appendOnly", "invariants"],
        })
    } else {
        serde_json::json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
    };
    serde_json::from_value(value)
}

/// The table feature that wall-clock timestamps need.
pub(super) const NTZ: &str = "timestampNtz";

/// `protocol` raised so that columns of `schema` may be added; `None` = it allows them already.
pub(super) fn raised_protocol(
    protocol: &Protocol,
    schema: &StructType,
) -> Result<Option<Protocol>, serde_json::Error> {
    let mut value = serde_json::to_value(protocol)?;
    if !contains_timestampntz(schema.fields()) || lists(&value, "writerFeatures", NTZ) {
        return Ok(None);
    }
    let implied = match value["minWriterVersion"].as_i64() {
        Some(7) => vec![],
        // What older versions imply must be listed from version 7 on.
        _ => vec!["appendOnly", "invariants"],
    };
    value["minReaderVersion"] = 3.into();
    value["minWriterVersion"] = 7.into();
    for (list, names) in [("readerFeatures", vec![NTZ]), ("writerFeatures", [vec![NTZ], implied].concat())] {
        let mut listed = value[list].as_array().cloned().unwrap_or_default();
        listed.extend(names.into_iter().map(Into::into));
        value[list] = listed.into();
    }
    serde_json::from_value(value).map(Some)
}

fn lists(protocol: &serde_json::Value, list: &str, feature: &str) -> bool {
    protocol[list].as_array().is_some_and(|features| features.iter().any(|found| found == feature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_loses_nothing() {
        let us = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        assert_eq!(stored(&DataType::UInt64), Some(DataType::Decimal128(20, 0)));
        let moscow = DataType::Timestamp(TimeUnit::Second, Some("Europe/Moscow".into()));
        assert_eq!(stored(&moscow), Some(us(Some("UTC"))));
        assert_eq!(stored(&DataType::Timestamp(TimeUnit::Millisecond, None)), Some(us(None)));
        assert_eq!(stored(&DataType::Timestamp(TimeUnit::Nanosecond, None)), None);
        assert_eq!(stored(&DataType::Decimal256(50, 2)), None);
    }

    #[test]
    fn wall_clock_columns_raise_the_protocol_once() {
        let wall = column("at", &DataType::Timestamp(TimeUnit::Microsecond, None), None).unwrap();
        let number = column("id", &DataType::Int64, Some("ключ")).unwrap();
        let without = StructType::try_new([number.clone()]).unwrap();
        let with = StructType::try_new([number, wall]).unwrap();
        let old = protocol_for(&without).unwrap();
        assert_eq!(raised_protocol(&old, &without).unwrap(), None);
        let raised = raised_protocol(&old, &with).unwrap().unwrap();
        assert_eq!(raised_protocol(&raised, &with).unwrap(), None);
        assert_eq!(serde_json::to_value(&raised).unwrap()["minWriterVersion"], 7);
    }
}
