//! TLS as it ships (E1): the client the plugin makes, against servers that cannot prove who they are.

use std::{collections::BTreeMap, sync::Arc};

use otpless_test_kit::tls::{self, Client};
use serde_json::{Value, json};
use tauri_plugin_otpless::engine::{
    ClientApi, Credentials, Expected, HttpClient, JwksVerifier, SessionApi, SystemClock, TokenVerifier,
};
use tokio::runtime::Handle;

const TEST: &str = "tls::e1_no_call_gets_through_to_a_server_that_cannot_prove_who_it_is";

/// Planted wherever a call carries something.
const SESSION_ID: &str = "canary0123456789abcdef0123456789";

/// The calls there are, in the order the client makes them, by what a server hears of them first.
const CALLS: [&str; 4] = [
    "POST /v4/session/authenticate ",
    "POST /v4/session/refresh ",
    "DELETE /v4/session/canary0123456789abcdef0123456789 ",
    "GET /.well-known/jwks ",
];

#[test]
fn e1_no_call_gets_through_to_a_server_that_cannot_prove_who_it_is() {
    if let Some(part) = Client::here() {
        return client(part);
    }
    for server in tls::called(TEST, &CALLS) {
        for call in CALLS {
            let error = &server.outcomes[call];
            let Some(wrong) = server.wrong else {
                assert_eq!(*error, Value::Null, "{call}succeeds where nothing is wrong");
                continue;
            };
            assert_eq!(
                (&error["kind"], &error["code"]),
                (&json!("network"), &json!("9105")),
                "{wrong}, {call}"
            );
            let shown = error.to_string();
            for kept in ["localhost", "https", SESSION_ID] {
                assert!(!shown.contains(kept), "{wrong}, {call}: {shown}");
            }
        }
    }
}

/// The other process.
#[tokio::main]
async fn client(part: Client) {
    let http = HttpClient::new().expect("an HTTP client");
    let mut all = BTreeMap::new();
    for url in &part.servers {
        let api = ClientApi::new(http.clone(), url.parse().expect("a URL"), "APP");
        let id = SESSION_ID.into();
        let credentials = Credentials { session_id: &id, session_token: &"h.p.s".into(), state: None };
        let keys = JwksVerifier::new(
            Expected { issuer: "https://otpless.com".into(), app_id: "APP".into() },
            format!("{url}/.well-known/jwks").parse::<url::Url>().expect("a URL"),
            http.clone(),
            Arc::new(SystemClock::default()),
            Arc::<tauri_plugin_otpless::engine::MemoryActivityLog>::default(),
            Arc::new(Handle::current()),
        );
        let errors = [
            api.authenticate(credentials).await.outcome.err().map(|refused| refused.error),
            api.refresh(&"h.r.s".into(), None).await.outcome.err().map(|refused| refused.error),
            api.revoke(&id).await.outcome.err().map(|refused| refused.error),
            keys.fetch_keys().await.err(),
        ];
        let shown = errors.map(|error| {
            let error = error?;
            Some(json!({"kind": error.kind(), "code": error.code(), "shown": format!("{error} {error:?}")}))
        });
        let shown = CALLS.into_iter().map(str::to_owned).zip(shown.map(Value::from)).collect();
        all.insert(url.clone(), shown);
    }
    part.says(&all);
}
