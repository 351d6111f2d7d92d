//! Every call to v1 is spelt exactly as OTPless documents it, but for the client id and secret, which the relay adds.
//!
//! Here the local OTPless stands where the relay would, and refuses every call for the lack of them: what was sent is seen all
//! the same. `relay` has the answers.

use otpless_local::{LoggedRequest, Operation};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    ErrorKind,
    engine::{Credentials, HttpClient, RelayApi, RelayHeaders, SessionApi},
};

use crate::support::Device;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn api(device: &Device, below: &str) -> RelayApi {
    let base = format!("{}{below}", device.otpless.url()).parse().unwrap();
    let headers = RelayHeaders::default().with("X-Api-Key", "a key of 1").with("x-tenant", "t-7");
    RelayApi::new(HttpClient::new().unwrap(), base, headers).unwrap()
}

fn assert_sent(request: &LoggedRequest, path: &str, body: Value) {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
    assert_eq!(request.body, body);
    let mut headers = request.headers.clone();
    for every_client_has in ["accept", "content-length", "host", "user-agent"] {
        headers.remove(every_client_has);
    }
    let sent: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        sent,
        [
            ("accept-encoding", "identity"),
            ("content-type", "application/json"),
            ("x-api-key", "a key of 1"),
            ("x-tenant", "t-7")
        ],
        "and no client id, no client secret, no app id"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_calls_are_spelt_as_documented_and_carry_no_client_id_or_secret() {
    let device = Device::new().await;
    let (id, api) = (ID.into(), api(&device, ""));
    let credentials =
        Credentials { session_id: &id, session_token: &"h.p.s".into(), state: Some("not for v1") };
    let errors = [
        api.authenticate(credentials).await.outcome.unwrap_err().error,
        api.refresh(&"h.r.s".into(), Some("not for v1")).await.outcome.unwrap_err().error,
        api.revoke(&id).await.outcome.unwrap_err().error,
        api.session_details(&id).unwrap().await.outcome.unwrap_err().error,
    ];
    for error in errors {
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidConfig, Some("401")), "{error}");
    }
    let requests = device.control.take_requests();
    let operations: Vec<_> = requests.iter().map(|request| request.operation).collect();
    assert_eq!(
        operations,
        [
            Operation::ValidateSession,
            Operation::GetNewSessionToken,
            Operation::RevokeSession,
            Operation::GetSessionDetails
        ]
    );
    for (request, (call, body)) in requests.iter().zip([
        ("validate-session", json!({"sessionToken": "h.p.s"})),
        ("get-new-session-token", json!({"refreshToken": "h.r.s"})),
        ("revoke-session", json!({"sessionToken": ID})),
        ("get-session-details", json!({"sessionToken": ID})),
    ]) {
        assert_sent(request, &format!("/v1/sessions/{call}"), body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_may_live_below_a_path_of_the_backend() {
    let device = Device::new().await;
    for below in ["/auth/otpless", "/auth/otpless/"] {
        let _ = api(&device, below).revoke(&ID.into()).await;
        let request = device.control.take_requests().remove(0);
        let path = "/auth/otpless/v1/sessions/revoke-session";
        assert_sent(&request, path, json!({"sessionToken": ID}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_would_carry_a_secret_is_refused_when_the_api_is_made() {
    let device = Device::new().await;
    let headers = RelayHeaders::default().with("clientSecret", "canary");
    let base = device.otpless.url().parse().unwrap();
    let error = RelayApi::new(HttpClient::new().unwrap(), base, headers).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.message().contains("clientSecret") && !error.message().contains("canary"), "{error}");
}
