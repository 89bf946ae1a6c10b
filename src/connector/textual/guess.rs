//! What columns rows have that declare none: by what they look like.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use indexmap::IndexMap;

use super::{json::fields, value::Value};

/// The narrowest type that holds what was seen of each field.
#[derive(Default)]
pub(crate) struct Guess {
    fields: IndexMap<String, Option<DataType>>,
}

impl Guess {
    /// What an object shows; nothing where it is none.
    pub(crate) fn add_object(&mut self, object: &[u8]) {
        let mut found = vec![];
        if fields(object, &mut found).is_ok() {
            for (name, value) in found {
                self.field(&name, kind(&value));
            }
        }
    }

    /// That a field was seen, of this type; `None` = it was NULL.
    pub(crate) fn field(&mut self, name: &str, kind: Option<DataType>) {
        let seen = self.fields.entry(name.to_owned()).or_default();
        let Some(kind) = kind else { return };
        *seen = Some(match seen.take() {
            None => kind,
            Some(seen) if seen == kind => kind,
            Some(seen) if seen.is_integer() && kind.is_integer() => DataType::Int64,
            Some(DataType::Int64 | DataType::Float64) if kind.is_numeric() => DataType::Float64,
            Some(_) => DataType::Utf8,
        });
    }

    /// The fields, in the order in which they were seen.
    pub(crate) fn schema(self) -> SchemaRef {
        let field =
            |(name, kind): (String, Option<DataType>)| Field::new(name, kind.unwrap_or(DataType::Utf8), true);
        Arc::new(Schema::new(self.fields.into_iter().map(field).collect::<Vec<_>>()))
    }
}

fn kind(value: &Value<'_>) -> Option<DataType> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => DataType::Boolean,
        Value::Number(spelled) if spelled.parse::<i64>().is_ok() => DataType::Int64,
        // Doubles would round them.
        Value::Number(spelled) if !spelled.contains(['.', 'e', 'E']) => DataType::Utf8,
        Value::Number(_) => DataType::Float64,
        Value::Text(_) | Value::Nested(_) | Value::Cell(_) => DataType::Utf8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_get_the_narrowest_type_that_holds_them() {
        let mut guess = Guess::default();
        for message in [
            r#"{"a":1,"b":null,"c":true,"d":{"x":1},"e":1}"#,
            r#"{"a":2.5,"b":7,"c":"да","e":99999999999999999999}"#,
            "no JSON",
        ] {
            guess.add_object(message.as_bytes());
        }
        let kinds: Vec<(String, DataType)> = guess
            .schema()
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        let expected = [
            ("a", DataType::Float64),
            ("b", DataType::Int64),
            ("c", DataType::Utf8),
            ("d", DataType::Utf8),
            ("e", DataType::Utf8),
        ];
        assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }
}
