//! Members whose kind or key is not known beforehand.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Cursor;
use crate::error::Problem;

/// A value that is no list and no object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Bool(bool),
    /// Numbers beyond the range are -1: no format has a use for them.
    Number(i64),
    Text(&'a str),
    /// Anything else.
    Other,
}

/// Reads a value of any kind.
pub(crate) fn value<'de, D, F>(value: D, at: &Cursor, take: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    F: FnOnce(&Value<'_>) -> Result<(), Problem>,
{
    value.deserialize_any(ValueVisitor { at, take })
}

struct ValueVisitor<'a, F> {
    at: &'a Cursor,
    take: F,
}

impl<F: FnOnce(&Value<'_>) -> Result<(), Problem>> ValueVisitor<'_, F> {
    fn take<E: de::Error>(self, value: &Value<'_>) -> Result<(), E> {
        (self.take)(value).map_err(|problem| self.at.refuse(problem))
    }
}

impl<'de, F: FnOnce(&Value<'_>) -> Result<(), Problem>> Visitor<'de> for ValueVisitor<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<(), E> {
        self.take(&Value::Bool(on))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.take(&Value::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.take(&Value::Number(i64::try_from(number).unwrap_or(-1)))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.take(&Value::Other)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.take(&Value::Text(text))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.take(&Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.take(&Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.take(&Value::Other)
    }
}

/// Reads an object whose keys are data: every member is given to `take`.
pub(crate) fn members<'de, D, F>(value: D, at: &Cursor, take: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    F: FnMut(&str, &Value<'_>) -> Result<(), Problem>,
{
    value.deserialize_map(MembersVisitor { at, take })
}

struct MembersVisitor<'a, F> {
    at: &'a Cursor,
    take: F,
}

impl<'de, F: FnMut(&str, &Value<'_>) -> Result<(), Problem>> Visitor<'de> for MembersVisitor<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(Member { key: &key, at: self.at, take: &mut self.take })?;
        }
        Ok(())
    }
}

struct Member<'a, F> {
    key: &'a str,
    at: &'a Cursor,
    take: &'a mut F,
}

impl<'de, F: FnMut(&str, &Value<'_>) -> Result<(), Problem>> DeserializeSeed<'de> for Member<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, member: D) -> Result<(), D::Error> {
        let Self { key, at, take } = self;
        value(member, at, |value| take(key, value))
    }
}
