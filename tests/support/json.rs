//! JSON of any shape, in which the names that mean something come up often enough to matter.

use proptest::{prelude::*, sample::select};
use serde_json::Value;

pub(crate) fn any_json(
    names: &'static [&'static str],
    telling: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        telling,
    ];
    let known = names.len() as u32;
    let name = prop_oneof![known => select(names).prop_map(str::to_owned), 1 => ".{0,8}"];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
