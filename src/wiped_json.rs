//! JSON that secrets came in, on its way out of memory.

use serde_json::{Map, Value};
use zeroize::Zeroize;

/// An object all of whose strings are wiped when it is dropped, however deep they stand. Names of fields are not: nothing that is
/// read here calls a field by a secret.
pub(crate) struct WipedObject(pub(crate) Map<String, Value>);

impl Drop for WipedObject {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// Wipes every string in `value`. Depth is bounded: it came out of a parser with a limit.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// That their bytes are overwritten is zeroize's own promise, and the memory of a whole process is looked through in
    /// `tests/processes` (E6).
    #[test]
    fn e6_every_string_is_wiped_however_deep() {
        let mut value = json!({
            "a": "canary", "b": 1, "c": null, "d": [true, "canary", ["canary"]], "e": {"f": {"g": ["canary"]}},
        });
        wipe(&mut value);
        assert_eq!(
            value,
            json!({"a": "", "b": 1, "c": null, "d": [true, "", [""]], "e": {"f": {"g": [""]}}})
        );
    }
}
