//! Whatever a page passes to a command, it gets a typed error (requirement D8).

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use serde_json::{Value, json};
use tauri::ipc::InvokeBody;

use crate::support::{
    any_json,
    page::{Invocation, Page, all, invocation, manifest, open},
};

/// What a typed error can say it is.
const KINDS: [&str; 13] = [
    "notSignedIn",
    "rejected",
    "network",
    "server",
    "rateLimited",
    "invalidToken",
    "storageUnavailable",
    "storage",
    "sessionChanged",
    "invalidConfig",
    "invalidArgument",
    "notPermitted",
    "internal",
];

/// A page that may call everything, without a server, and nobody signed in.
fn page() -> Page {
    let mut permissions = all();
    permissions
        .as_array_mut()
        .unwrap()
        .push(json!({"identifier": "otpless:allow-fetch", "allow": ["http://127.0.0.1:9/*"]}));
    open("http://127.0.0.1:9", permissions)
}

fn call(page: &Page, command: &str, body: InvokeBody) -> Result<(), Value> {
    Invocation { body, ..invocation(page.window.as_ref(), command, Value::Null) }.answer().map(drop)
}

#[test]
fn d8_wrong_arguments_are_refused_by_their_names() {
    let page = page();
    let error_of = |command: &str, args: &Value| {
        let error = call(&page, command, InvokeBody::Json(args.clone())).unwrap_err();
        (error["kind"].clone(), error["message"].as_str().unwrap_or_default().to_owned())
    };
    for args in [
        json!({}),
        json!(null),
        json!({"result": null}),
        json!({"result": 1}),
        json!({"result": [[]]}),
        json!({"other": 1}),
    ] {
        let (kind, message) = error_of("start_session", &args);
        assert_eq!(kind, "invalidArgument", "{args}");
        assert!(message.starts_with("result "), "{args}: {message}");
    }
    for bad in [json!("60"), json!(-1), json!(1e300), json!([]), json!({}), json!(true)] {
        let (kind, message) = error_of("get_session_token", &json!({"minValidity": bad}));
        assert_eq!(kind, "invalidArgument", "{bad}");
        assert!(message.starts_with("minValidity "), "{bad}: {message}");
    }
    for good in [json!(null), json!(0), json!(1.5)] {
        assert_eq!(error_of("get_session_token", &json!({"minValidity": good})).0, "notSignedIn", "{good}");
    }
    for command in ["start_session", "get_session_token", "fetch", "fetch_send", "fetch_read", "fetch_cancel"]
    {
        for body in [
            InvokeBody::Raw(vec![0xff; 100]),
            InvokeBody::Raw(b"{\"minValidity\": 1}".to_vec()),
            InvokeBody::Raw(Vec::new()),
            InvokeBody::Json(json!("text")),
            InvokeBody::Json(json!([1])),
        ] {
            let error = call(&page, command, body).unwrap_err();
            assert_eq!(error["kind"], "invalidArgument", "{command}: {error}");
        }
    }
}

fn any_arguments() -> impl Strategy<Value = Value> {
    let names = &[
        "result",
        "minValidity",
        "request",
        "call",
        "url",
        "method",
        "headers",
        "body",
        "redirect",
        "sessionId",
        "sessionToken",
        "refreshToken",
    ];
    let telling = select(&["http://127.0.0.1:9/", "POST", "whole", "stream", "manual", "a.b.c"][..]);
    any_json(names, telling.prop_map(Value::from))
}

#[test]
fn d8_arbitrary_arguments_get_an_answer_or_a_typed_error() {
    let page = page();
    let commands: Vec<String> =
        manifest().permissions.into_values().flat_map(|permission| permission.commands.allow).collect();
    let body = prop_oneof![
        8 => any_arguments().prop_map(InvokeBody::Json),
        1 => vec(any::<u8>(), 0..200).prop_map(InvokeBody::Raw),
    ];
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&(select(commands), body), |(command, body)| {
        if let Err(error) = call(&page, &command, body) {
            let kind = error["kind"].as_str().unwrap_or_default();
            prop_assert!(KINDS.contains(&kind), "{command}: {error}");
            prop_assert!(
                error["message"].is_string() && error["retryable"].is_boolean(),
                "{command}: {error}"
            );
        }
        Ok(())
    });
    outcome.unwrap();
}
