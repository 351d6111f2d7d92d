//! A JSON object, and nothing else, as a struct.

use std::{fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

/// serde would read a struct from a list as well, by position. OTPless answers with objects, and with objects in them.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Outer {
        inner: Option<Object<Inner>>,
    }

    #[derive(serde::Deserialize)]
    struct Inner {
        number: u8,
    }

    #[test]
    fn c5_a_list_is_not_read_by_position() {
        let read = |json: &str| {
            let Object(outer) = serde_json::from_str::<Object<Outer>>(json).ok()?;
            Some(outer.inner.map(|Object(inner)| inner.number))
        };
        assert_eq!(read(r#"{"inner":{"number":1,"x":[]},"x":[]}"#), Some(Some(1)));
        assert_eq!(read(r#"{"inner":null}"#), Some(None));
        for list in [r#"[{"number":1}]"#, r#"{"inner":[1]}"#, r#"[[1]]"#, "[]", "1", "null", "{}x"] {
            assert_eq!(read(list), None, "{list}");
        }
    }
}
