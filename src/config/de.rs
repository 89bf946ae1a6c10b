//! Serde over [`Node`]s: the innermost node that a type refuses names the place.

use std::{fmt, ops::Range, path::Path, sync::Arc};

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::StringDeserializer,
    },
    forward_to_deserialize_any,
};

use super::tree::{Node, Value};

/// What a type had against a node.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Why.
    pub(crate) message: String,
    /// Where.
    pub(crate) file: Option<Arc<Path>>,
    /// Where in it.
    pub(crate) span: Option<Range<usize>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), file: None, span: None }
    }
}

impl Failure {
    fn at(mut self, node: &Node) -> Self {
        if self.span.is_none() {
            self.span = Some(node.span.clone());
            self.file = Some(node.file.clone());
        }
        self
    }
}

/// The names by which `toml` passes a date through serde.
const DATETIME_STRUCT: &str = "$__toml_private_Datetime";
const DATETIME_FIELD: &str = "$__toml_private_datetime";

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.value {
            Value::String(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Datetime(value) => visitor.visit_map(OneDatetime(Some(value.to_string()))),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { entries: entries.iter(), next: None }),
        }
        .map_err(|failure: Failure| failure.at(self))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.value {
            Value::Datetime(value) => {
                visitor.visit_string(value.to_string()).map_err(|failure: Failure| failure.at(self))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.value {
            Value::String(text) if name == DATETIME_STRUCT => visitor
                .visit_map(OneDatetime(Some(text.clone())))
                .map_err(|failure: Failure| failure.at(self)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Table(entries) if entries.len() == 1 => {
                let (name, value) = entries.first().expect("one entry");
                visitor.visit_enum(OneVariant { name, value })
            }
            _ => self.deserialize_any(visitor),
        }
        .map_err(|failure: Failure| failure.at(self))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        self.0.next().map(|node| seed.deserialize(node).map_err(|failure| failure.at(node))).transpose()
    }
}

struct Entries<'de> {
    entries: indexmap::map::Iter<'de, String, Node>,
    next: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((key, node)) = self.entries.next() else { return Ok(None) };
        self.next = Some(node);
        let key: StringDeserializer<Failure> = key.clone().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|failure| failure.at(node))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let node = self.next.take().expect("serde asks for a key first");
        seed.deserialize(node).map_err(|failure| failure.at(node))
    }
}

struct OneDatetime(Option<String>);

impl<'de> MapAccess<'de> for OneDatetime {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        match self.0 {
            Some(_) => seed.deserialize(DATETIME_FIELD.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let text: StringDeserializer<Failure> = self.0.take().unwrap_or_default().into_deserializer();
        seed.deserialize(text)
    }
}

struct OneVariant<'de> {
    name: &'de str,
    value: &'de Node,
}

impl<'de> EnumAccess<'de> for OneVariant<'de> {
    type Error = Failure;
    type Variant = &'de Node;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, &'de Node), Failure> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self.value))
    }
}

impl<'de> VariantAccess<'de> for &'de Node {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Err(serde::de::Error::custom("this takes no value"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self).map_err(|failure| failure.at(self))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_any(visitor)
    }
}
