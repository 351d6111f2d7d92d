//! JSON for untrusted input: like `serde_json::Value`, but a repeated key is an error.
//!
//! `{"alg":"RS256","alg":"none"}` means one thing to whoever reads the first and another to whoever reads the last;
//! RFC 7515 §4 and RFC 7519 §4 let us refuse it, so we do (requirement B10). Depth is bounded by serde_json (128).

use std::{collections::HashSet, fmt};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Looks at keys and at nothing else. What the values are is left to serde_json's own type: with its feature
/// `arbitrary_precision`, which any crate of an app may turn on, only that one can read a number.
struct NoRepeats;

impl<'de> Deserialize<'de> for NoRepeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = NoRepeats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoRepeats, E> {
        Ok(NoRepeats)
    }

    fn visit_i64<E>(self, _: i64) -> Result<NoRepeats, E> {
        Ok(NoRepeats)
    }

    fn visit_u64<E>(self, _: u64) -> Result<NoRepeats, E> {
        Ok(NoRepeats)
    }

    fn visit_f64<E>(self, _: f64) -> Result<NoRepeats, E> {
        Ok(NoRepeats)
    }

    fn visit_str<E>(self, _: &str) -> Result<NoRepeats, E> {
        Ok(NoRepeats)
    }

    fn visit_unit<E>(self) -> Result<NoRepeats, E> {
        Ok(NoRepeats)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NoRepeats, A::Error> {
        while seq.next_element::<NoRepeats>()?.is_some() {}
        Ok(NoRepeats)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<NoRepeats, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !keys.insert(key) {
                return Err(de::Error::custom("a key stands twice"));
            }
            entries.next_value::<NoRepeats>()?;
        }
        Ok(NoRepeats)
    }
}

/// Parses a JSON object, refusing repeated keys at any depth and anything after the object.
///
/// The error says nothing about the content: it may have been a secret.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_slice::<NoRepeats>(bytes) {
        Ok(NoRepeats) => {}
        Err(error) if error.is_data() => return Err("has a repeated key"),
        Err(_) => return Err("is not JSON"),
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("is not a JSON object"),
        Err(_) => Err("is not JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_repeated_keys_are_refused_at_any_depth() {
        assert!(object(br#"{"a":1,"b":{"c":[{"d":null}]}}"#).is_ok());
        for twice in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"a":2}}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            assert_eq!(object(twice.as_bytes()), Err("has a repeated key"), "{twice}");
        }
    }

    #[test]
    fn b10_only_one_whole_object_is_accepted() {
        for not_an_object in ["[]", "1", "\"x\"", "null"] {
            assert_eq!(object(not_an_object.as_bytes()), Err("is not a JSON object"), "{not_an_object}");
        }
        for broken in ["", "{", "{}x", "{\"a\":}", &"[".repeat(500)] {
            assert_eq!(object(broken.as_bytes()), Err("is not JSON"), "{broken}");
        }
    }
}
