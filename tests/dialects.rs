//! The two dialects of a sign-in result against each other: whatever values a sign-in has, however its SDK wraps them and
//! whatever else it sends along, the same three values come out; and what is no sign-in in the one is none in the other.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tauri_plugin_otpless::{ErrorKind, engine::SignIn};

use crate::support::any_json;

/// The values of one sign-in.
#[derive(Clone, Debug)]
struct Values {
    session_id: String,
    session_token: String,
    refresh_token: String,
    state: Option<String>,
}

fn jwt() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,80}\\.[A-Za-z0-9_-]{0,80}"
}

fn values() -> impl Strategy<Value = Values> {
    ("[0-9a-f]{32}|[A-Za-z0-9_-]{1,64}", jwt(), jwt(), proptest::option::of("[!-~]{1,40}")).prop_map(
        |(session_id, session_token, refresh_token, state)| Values {
            session_id,
            session_token,
            refresh_token,
            state,
        },
    )
}

/// What SDKs send along and nobody here has asked for.
fn extras() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        "status",
        "userId",
        "token",
        "idToken",
        "timestamp",
        "identities",
        "network",
        "x-[a-z]{1,8}"
    ];
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        jwt().prop_map(Value::from),
        Just(json!([{"identityType": "MOBILE"}])),
    ];
    proptest::collection::hash_map(name, value, 0..5).prop_map(|fields| fields.into_iter().collect())
}

fn web(values: &Values) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("success".into(), true.into());
    fields.insert("sessionId".into(), values.session_id.as_str().into());
    fields.insert("sessionToken".into(), values.session_token.as_str().into());
    fields.insert("refreshToken".into(), values.refresh_token.as_str().into());
    with_state(fields, values)
}

/// Some mobile SDKs put a `sessionId` beside the rest.
fn mobile(values: &Values, id_beside: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("sessionToken".into(), values.session_id.as_str().into());
    fields.insert("sessionTokenJWT".into(), values.session_token.as_str().into());
    fields.insert("refreshToken".into(), values.refresh_token.as_str().into());
    if id_beside {
        fields.insert("sessionId".into(), values.session_id.as_str().into());
    }
    with_state(fields, values)
}

fn with_state(mut fields: Map<String, Value>, values: &Values) -> Map<String, Value> {
    if let Some(state) = &values.state {
        fields.insert("state".into(), state.as_str().into());
    }
    fields
}

/// How the SDKs wrap it: bare, as `sessionInfo`, and in the `ONETAP` event of the web SDK.
fn wrapped(how: u8, fields: Map<String, Value>, extras: Map<String, Value>) -> Value {
    // What is there counts; extras stand beside it.
    let beside = |mut inner: Map<String, Value>| {
        for (name, value) in extras {
            inner.entry(name).or_insert(value);
        }
        Value::Object(inner)
    };
    let outer = |name: &str, inner: Value| Map::from_iter([(name.to_owned(), inner)]);
    match how % 4 {
        0 => beside(fields),
        1 => beside(outer("sessionInfo", fields.into())),
        2 => json!({"responseType": "ONETAP", "success": true, "statusCode": 200,
                    "response": beside(outer("sessionInfo", fields.into()))}),
        _ => json!({"responseType": "ONETAP", "response": beside(fields)}),
    }
}

fn read(result: Value) -> Result<SignIn, (ErrorKind, String)> {
    SignIn::from_json(result).map_err(|error| (error.kind(), error.message().to_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_dialects_however_wrapped_give_the_same_values(
        values in values(), extras in extras(), how_web in any::<u8>(), how_mobile in any::<u8>(), id_beside in any::<bool>(),
    ) {
        let web = read(wrapped(how_web, web(&values), extras.clone())).expect("the web dialect");
        let mobile = read(wrapped(how_mobile, mobile(&values, id_beside), extras)).expect("the mobile dialect");
        prop_assert_eq!(web.tokens.session_id.expose(), values.session_id.as_str());
        prop_assert_eq!(web.tokens.session_token.expose(), values.session_token.as_str());
        prop_assert_eq!(web.tokens.refresh_token.expose(), values.refresh_token.as_str());
        prop_assert_eq!(&web.state, &values.state);
        prop_assert_eq!((web.tokens, web.state), (mobile.tokens, mobile.state));
    }

    #[test]
    fn what_lacks_a_value_or_has_a_wrong_one_is_refused_in_both(
        values in values(), how in any::<u8>(), which in 0..3_usize,
        wrong in prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            Just(Some("".into())),
            any::<i64>().prop_map(|number| Some(number.into())),
            Just(Some(json!({"token": "h.p.s"}))),
            Just(Some("a b".into())),
        ],
    ) {
        for (dialect, names) in [
            (web(&values), ["sessionId", "sessionToken", "refreshToken"]),
            (mobile(&values, false), ["sessionToken", "sessionTokenJWT", "refreshToken"]),
        ] {
            let mut fields = dialect;
            match &wrong {
                None => drop(fields.remove(names[which])),
                Some(wrong) => drop(fields.insert(names[which].into(), wrong.clone())),
            }
            let (kind, message) = read(wrapped(how, fields, Map::new())).expect_err("it is no sign-in");
            prop_assert_eq!(kind, ErrorKind::InvalidArgument);
            // Without its own name for a value a result may be taken for the other dialect: any of the names will do.
            prop_assert!(
                ["sessionId ", "sessionToken ", "sessionTokenJWT ", "refreshToken "].iter().any(|name| message.starts_with(name)),
                "{}", message
            );
            for secret in [&values.session_token, &values.refresh_token] {
                prop_assert!(!message.contains(secret.as_str()), "{}", message);
            }
        }
    }

    /// D8: whatever a page passes, it is a typed error or a sign-in; nothing panics.
    #[test]
    fn d8_any_json_is_read_or_refused(result in any_result()) {
        if let Err((kind, message)) = read(result) {
            prop_assert_eq!(kind, ErrorKind::InvalidArgument);
            prop_assert!(message.contains("Nothing was stored"), "{}", message);
        }
    }
}

fn any_result() -> impl Strategy<Value = Value> {
    let names = &[
        "sessionId",
        "sessionToken",
        "sessionTokenJWT",
        "refreshToken",
        "sessionInfo",
        "response",
        "success",
        "state",
    ];
    any_json(names, jwt().prop_map(Value::from))
}
